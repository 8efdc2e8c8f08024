//! Reads TOML files as documents: every fault at once, each with its place and the way out.
//! Flows, intents and the gateway's configuration are all read through it.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod section;
