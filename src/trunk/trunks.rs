//! All trunks together: their places, registrations, health and calls.
//!
//! ```text
//!  Event ─► handle ─► locate · registration · health ─► Action     (owned by the switchboard)
//!  RouteRequest ─► route ─► Decision ─► take ─► dial ─► Ringing, Answered, Over
//!                                └── outcome ─► next ─► Decision
//! ```

use crate::event::{Action, Event};
use crate::failover::Outcome;
use crate::route::{Candidate, Decision, RouteRequest};
use domain::hop::Hop;
use domain::id::{LegId, TenantId, TrunkId};
use domain::now::Now;

/// Who began a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Way {
    /// The trunk did.
    Incoming,
    /// We did.
    Outgoing,
}

/// What a machine of trunks can do: what the switchboard relies on.
pub trait TrunkBook {
    /// Takes one event.
    fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>);

    /// Takes every deadline that has come.
    fn handle_deadline(&mut self, now: Now, out: &mut Vec<Action>);

    /// When `handle_deadline` is wanted next.
    fn deadline(&self) -> Option<std::time::Instant>;

    /// Where a call goes, and why not elsewhere. Changes nothing.
    fn route(&self, request: &RouteRequest, now: Now) -> Decision;

    /// Where a call goes after `decision` was tried and ended so. `chosen` is `None` when nothing
    /// more may be tried, `refusal` then says what the first side is told.
    fn next(
        &self,
        request: &RouteRequest,
        decision: &Decision,
        outcome: Outcome,
        now: Now,
    ) -> Decision;

    /// Takes the channel of what was chosen, for `leg`, which is about to be dialled. False: another
    /// call was faster, route again. An emergency call always gets one. It is given back by
    /// `Event::Over`.
    fn take(&mut self, leg: LegId, candidate: &Candidate, tenant: &TenantId, now: Now) -> bool;

    /// Takes the channel of a call that a trunk began. False: refuse it with 503. `emergency` is
    /// never refused.
    fn take_incoming(
        &mut self,
        leg: LegId,
        trunk: &TrunkId,
        tenant: &TenantId,
        emergency: bool,
        now: Now,
    ) -> bool;

    /// The targets of a trunk in the order they are tried, `random` choosing among equals.
    fn hops(&self, trunk: &TrunkId, random: u64) -> Vec<Hop>;
}
