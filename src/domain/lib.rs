//! Words shared by all layers. No decision is taken here; depends on `std` only.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cause;
pub mod fault;
pub mod hop;
pub mod id;
pub mod ip_version;
pub mod media_plan;
pub mod now;
pub mod phone_number;
pub mod prompt;
pub mod timers;
