//! From what a caller said to what he wants: intent, confidence, values.
//!
//! ```text
//! intent_set.rs   examples from a file ─► classifier.rs (trained at the start)
//! sentence ─► normalize.rs ─► features.rs ─► linear.rs ─► calibration.rs ─► Understanding
//!          └► slot.rs: order numbers, telephone numbers, dates
//! ```
//!
//! Needs no weights from elsewhere and knows both languages by the words and letters of the
//! examples alone.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod background;
mod calibration;
pub mod classifier;
pub mod evaluate;
mod features;
pub mod intent_set;
mod linear;
pub mod normalize;
mod simplify;
pub mod slot;
#[cfg(test)]
mod tests;
