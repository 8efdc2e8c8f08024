//! The talk with a caller, as a checked file plans it.
//!
//! ```text
//! Started ─► conversation.rs ─► node after node of flow.rs
//!              │  ask.rs       open question: classify, confirm, choose, try again
//!              │  menu.rs      one key
//!              │  collect.rs   digits
//!              │  callback.rs  offer, number, promise
//!              └─ each listens through listen.rs, asks yes or no through confirm.rs,
//!                 and climbs ladder.rs after silence and misunderstanding
//! ```
//!
//! A machine in the shape of all others: events in, actions out, told the time. It knows neither
//! telephones nor engines nor queues; it names what it wants and is told what came of it.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ask;
mod callback;
mod collect;
mod confirm;
pub mod conversation;
pub mod event;
pub mod flow;
mod ladder;
mod listen;
mod menu;
pub mod message;
mod spoken;
mod talk;
