//! A world without sockets: the whole exchange among callers, agents, carriers, a disk that breaks
//! and a network that loses. One seed is one run, to the byte.
//!
//! ```text
//!   phone · rude ──datagrams──► network ──► exchange (endpoint + switchboard)
//!                                             │ effects
//!             sound · ledger · engine ◄───────┘
//!                  └── results, later ──────────► exchange
//! ```
//! What must hold stands in `invariant`; runs are made from a seed in `scenario`, by hand in
//! `journeys`; `sip-tests/simulation.rs` runs them. Calls the exchange. Called by tests only.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod house;
pub mod invariant;
pub mod journeys;
pub mod ladder;
pub mod ledger;
pub mod network;
pub mod person;
pub mod phone;
pub mod rude;
pub mod scenario;
pub mod world;

mod disk;
mod engine;
mod perform;
mod sound;

#[cfg(test)]
mod tests;
