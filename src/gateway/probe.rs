//! `trunkline trunk probe`: a trunk tried as a conformance test, with the settings that suit it.
//!
//! ```text
//! script (what next, what it means) ─► line (sockets, endpoint, sound) ─► the trunk
//!        ▲        │                          │
//!        └────────┼────────── what was seen ─┘
//!                 └─► report
//! ```
//!
//! It has sockets and a SIP endpoint of its own: a gateway that is at work notices nothing of it.

pub mod ask;
pub mod certificate;
pub mod facts;
pub mod finding;
mod judge;
pub mod line;
pub mod report;
pub mod script;
