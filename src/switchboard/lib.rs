//! The exchange: everything above SIP and sound meets here, still pure.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod event;
pub mod exchange;
pub mod lead;
pub mod rules;
pub mod switchboard;
pub mod view;

mod call;
mod callback;
mod carriers;
mod command;
mod decisions;
mod destination;
mod dialling;
mod handing;
mod inbound;
mod journal;
mod legs;
mod outbound;
mod queueing;
mod record;
mod replacing;
mod restore;
mod routing;
mod talk;
mod transfer;
mod transit;
mod verification;
