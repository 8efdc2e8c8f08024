//! sip
pub mod error;
pub mod event;
pub mod message;
pub mod transaction;
