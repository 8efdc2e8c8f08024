//! sip
pub mod digest;
pub mod endpoint;
pub mod error;
pub mod event;
mod leg;
pub mod message;
mod registrar;
pub mod registration;
pub mod sdp;
pub mod transaction;
