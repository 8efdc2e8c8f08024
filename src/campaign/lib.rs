//! Calls we start: by the thousand a minute, within the law, nobody twice for one attempt.
//!
//! Start at [`campaign`]: the machine that leases contacts, paces their dialling and knows when
//! nothing is left. What happened to a contact and what comes next: [`disposition`], [`retry`].
//! The last check before a number is dialled: [`permit`], decided inside the store's transaction.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod calling_window;
pub mod campaign;
pub mod disposition;
pub mod event;
pub mod pacer;
pub mod permit;
pub mod retry;
