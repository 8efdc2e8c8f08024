//! Kills with signal 9 in the middle of a campaign, judged by the record of its carrier.

mod callers;
mod carrier;
mod judge;
mod tones;
pub mod trial;
