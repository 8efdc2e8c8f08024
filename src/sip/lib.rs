//! sip
pub mod event;
pub mod transaction;
