//! Signalling: bytes to legs and back, in the four layers of RFC 3261 §5.
//!
//! | layer | here |
//! |---|---|
//! | syntax | [`message`], [`sdp`], [`digest`] |
//! | transport | the shell, which knows sockets; [`event::Flow`] is all that is seen of it here, and [`stun`] |
//! | transaction | [`transaction`] |
//! | transaction user | `leg`, `identity`, `registrar`, put together by [`endpoint`]; [`registration`] |
//!
//! Pure: an [`endpoint::Endpoint`] is told the bytes, the time and the orders, and answers with
//! [`event::Action`]s.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod digest;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod guard;
pub mod identity;
mod leg;
pub mod message;
pub mod overload;
mod registrar;
pub mod registration;
pub mod sdp;
pub mod stun;
pub mod transaction;
