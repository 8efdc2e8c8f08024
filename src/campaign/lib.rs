//! campaign
pub mod event;
