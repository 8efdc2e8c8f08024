//! Callers waiting, agents working, promises of a call back.
//!
//! Start at [`dispatcher`]: a free agent meets the right ticket. [`callback`] keeps the promises
//! and hands their tickets to it in the callers' old places. Both are pure machines; neither knows
//! what a telephone is.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admission;
pub mod agent;
pub mod callback;
pub mod dispatcher;
pub mod event;
mod roster;
pub mod wait_estimate;
pub mod waiting_line;
pub mod words;
