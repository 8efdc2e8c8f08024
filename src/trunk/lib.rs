//! Carriers and PBXs: how many calls one may be given.
//!
//! Which trunk a call takes is named by its campaign, its queue or its flow; how the trunk is
//! reached stands in the exchange's rules. Health and failover will live here beside [`cap`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cap;
