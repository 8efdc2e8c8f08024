//! queue
pub mod event;
