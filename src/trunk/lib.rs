//! Carriers and PBXs: where they are, whether they take calls, and which one takes which call.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod caller_id;
pub mod cap;
pub mod event;
pub mod failover;
pub mod health;
pub mod lease;
pub mod locate;
pub mod number;
pub mod random;
pub mod registration;
pub mod route;
pub mod rules;
pub mod trunks;
pub mod view;
