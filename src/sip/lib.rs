//! sip
pub mod digest;
pub mod error;
pub mod event;
pub mod message;
pub mod sdp;
pub mod transaction;
