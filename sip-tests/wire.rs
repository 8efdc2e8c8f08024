//! The program on the wire: `trunkline` as a process of its own, on loopback, against programs
//! nobody here wrote (SIPp, baresip, rsipstack, flite) and against bare sockets.
//!
//! Nothing here waits for a time to pass in order to meet a deadline: every wait is for something
//! told (a line, an event, an exit), bounded by [`PATIENCE`], which is long because machines are
//! slow and short enough to end.

mod agents;
mod baresip;
mod builtin;
mod callbacks;
mod callers;
mod campaigns;
mod certificates;
mod commands;
mod drain;
mod events;
mod guard;
mod http;
mod installation;
mod ipv6;
mod kamailio;
mod keys;
mod linphone;
mod located;
mod manual;
mod name_server;
mod ports;
mod probe;
mod process;
mod receiver;
mod rsipstack;
mod sipp;
mod sipvicious;
mod sound;
mod spoilt;
mod stir;
mod tls;
mod transit;
mod two_trunklines;

use std::time::Duration;

/// How long anything is waited for. A second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
