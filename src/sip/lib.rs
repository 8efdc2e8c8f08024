//! sip
pub mod event;
