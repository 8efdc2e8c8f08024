//! What passes between SIP and the trunks above it: registrations of ours, and probes.

use domain::hop::Hop;
use domain::id::TrunkId;
use std::sync::Arc;
use std::time::Duration;

/// An order that belongs to no leg.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TrunkCommand {
    /// Sends a REGISTER (RFC 3261 §10.2), and answers its challenge with the trunk's credentials.
    Register {
        /// At which trunk.
        trunk: TrunkId,
        /// Where it is sent.
        hop: Hop,
        /// The user part of the address of record; empty: the user of the credentials.
        user: Arc<str>,
        /// The user part of the Contact: what the trunk will dial; empty: as `user`.
        contact: Arc<str>,
        /// How long it is asked for.
        expires: Duration,
    },
    /// Takes it back (RFC 3261 §10.2.2).
    Unregister {
        /// At which trunk.
        trunk: TrunkId,
        /// Where it is sent.
        hop: Hop,
        /// As it was registered.
        user: Arc<str>,
        /// As it was registered.
        contact: Arc<str>,
    },
    /// Sends an OPTIONS (RFC 3261 §11).
    Probe {
        /// To which trunk.
        trunk: TrunkId,
        /// Where it is sent.
        hop: Hop,
    },
}

/// What came of it. Each order has exactly one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TrunkEvent {
    /// A REGISTER was accepted.
    Registered {
        /// At which trunk.
        trunk: TrunkId,
        /// Where.
        hop: Hop,
        /// How long the registrar holds it (RFC 3261 §10.2.4).
        granted: Duration,
        /// `Service-Route` (RFC 3608 §5, §6.1), in order.
        service_route: Vec<Arc<str>>,
        /// `P-Associated-URI` (RFC 7315 §4.1), in order.
        associated: Vec<Arc<str>>,
    },
    /// It was not.
    RegisterFailed {
        /// At which trunk.
        trunk: TrunkId,
        /// Where.
        hop: Hop,
        /// The final status; `None`: none came, or it could not be sent.
        status: Option<u16>,
        /// `Retry-After`.
        retry_after: Option<Duration>,
        /// `Min-Expires` of a 423.
        min_expires: Option<Duration>,
    },
    /// A registration was taken back, as far as that could be done.
    Unregistered {
        /// At which trunk.
        trunk: TrunkId,
    },
    /// An OPTIONS was answered, or not.
    Probed {
        /// Which trunk.
        trunk: TrunkId,
        /// Where.
        hop: Hop,
        /// The final status; `None`: none came, or it could not be sent.
        status: Option<u16>,
        /// From sending it to that.
        round_trip: Duration,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
}
