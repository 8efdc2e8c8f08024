//! ivr
pub mod event;
