//! switchboard
pub mod event;
