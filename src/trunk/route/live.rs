//! What the routing engine asks of the world: the machine answers it, and in tests a table does.

use crate::health::State;
use crate::lease::Full;
use domain::hop::Hop;
use domain::id::{TenantId, TrunkId};
use domain::now::Now;
use std::sync::Arc;

/// Whether a target takes calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// It does.
    Up,
    /// It is down, and one call may try it.
    Trial,
    /// It is down: why.
    Down(Arc<str>),
}

/// The state of things that a route is chosen by.
pub trait Live {
    /// Whether a trunk that wants it has us registered.
    ///
    /// # Errors
    /// It has not: why.
    fn registered(&self, trunk: &TrunkId, now: Now) -> Result<(), Arc<str>>;

    /// Whether a trunk takes calls.
    fn state(&self, trunk: &TrunkId, now: Now) -> State;

    /// Whether a trunk that is down may be tried by one call.
    fn is_trial_due(&self, trunk: &TrunkId, now: Now) -> bool;

    /// The targets of a trunk in the order they are tried, `random` choosing among equals.
    fn targets(&self, trunk: &TrunkId, random: u64, now: Now) -> Vec<(Hop, Condition)>;

    /// Whether a trunk bears another call of ours.
    ///
    /// # Errors
    /// Which cap is full.
    fn trunk_room(&self, trunk: &TrunkId, now: Now) -> Result<(), Full>;

    /// Whether a tenant may have another call of ours.
    ///
    /// # Errors
    /// Which cap is full.
    fn tenant_room(&self, tenant: &TenantId, now: Now) -> Result<(), Full>;
}
