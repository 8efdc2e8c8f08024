//! The transaction layer (RFC 3261 §17): what makes one request and its responses out of
//! datagrams that may be lost, repeated or reordered.
//!
//! Four machines, one for each kind of transaction, know time and status and no message:
//!
//! | | our request | the peer's request |
//! |---|---|---|
//! | INVITE | [`invite_client`] | [`invite_server`] |
//! | all others | [`client`] | [`server`] |
//!
//! [`clients`] and [`servers`] keep them all, with the bytes they repeat; [`key`] tells to which
//! a message belongs.

pub mod client;
pub mod clients;
pub mod derived;
pub mod invite_client;
pub mod invite_server;
pub mod key;
pub mod server;
pub mod servers;
#[cfg(test)]
mod timer_table;

use std::time::Duration;

/// T1: the estimated round trip (RFC 3261 §17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// T2: the longest pause between repetitions of a request or of a response to INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// T4: the longest time a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);
/// Timers B, F, H, J, L and M: 64*T1 (RFC 3261 table 4, RFC 6026 §7).
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(32);
