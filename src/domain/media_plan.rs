//! What two ends agreed on for their sound: the outcome of an SDP offer and answer, in plain words.

use std::net::{IpAddr, SocketAddr};

/// A codec this program speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law, 8 kHz (RFC 3551 §4.5.14).
    Pcma,
}

impl Codec {
    /// The static payload type (RFC 3551 §6).
    pub fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The name in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// Who may send, seen from our side (RFC 3264 §6.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Both send.
    SendRecv,
    /// Only we send.
    SendOnly,
    /// Only they send.
    RecvOnly,
    /// Nobody sends.
    Inactive,
}

impl Direction {
    /// Whether we may send.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// What is left of it where only `limit` is allowed.
    pub fn within(self, limit: Self) -> Self {
        match (self.sends() && limit.sends(), self.receives() && limit.receives()) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether we are to expect sound.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// The agreed sound of one leg.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaPlan {
    /// Where their RTP is expected. Port 0 or an unspecified address means: send nothing.
    pub remote: SocketAddr,
    /// Another address that their sound may come from: that of their signalling, where it is not
    /// the one above. Behind a NAT the description names an address that nobody reaches.
    pub also_from: Option<IpAddr>,
    /// The codec we send; both of ours are decoded whichever arrives.
    pub codec: Codec,
    /// The payload type to send `codec` with.
    pub payload_type: u8,
    /// The payload type that we send `telephone-event/8000` with (RFC 4733), when agreed.
    pub event_payload_type: Option<u8>,
    /// The payload type that their telephone events come with: the one in our own description, which
    /// need not be theirs (RFC 3264 §5.1, §6.1). The type above is understood as well.
    pub event_receive_type: Option<u8>,
    /// Who may send, seen from our side.
    pub direction: Direction,
    /// Packet time in milliseconds that we send: 20 unless `a=ptime` asked otherwise (10–60).
    pub ptime_ms: u16,
}
