//! The program: sockets, media threads, the signalling loop, the command line. It takes no
//! decision: an `if` on the state of a call here is a bug.
#![warn(missing_docs)]

pub mod cli;
pub mod config;
pub mod demo;
pub mod documents;
pub mod engines;
pub mod fetch;
pub mod intents;
pub mod listeners;
pub mod media_worker;
pub mod memory;
pub mod net;
pub mod perform;
pub mod probe;
pub mod prompts;
pub mod replies;
pub mod run;
pub mod secrets;
pub mod signalling;
pub mod stir;
pub mod telemetry;
pub mod telephone;
pub mod trace;
pub mod webhook;
