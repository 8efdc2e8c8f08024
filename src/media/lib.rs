//! media
pub mod event;
pub mod clip;
