//! Kills with signal 9 in the middle of a campaign, judged by the record of its carrier.

mod callers;
pub mod carrier;
pub mod judge;
mod tones;
pub mod trial;
