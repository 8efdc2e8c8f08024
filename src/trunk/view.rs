//! What others may look at: how each trunk stands. Nothing here decides.

use crate::health::State;
use crate::health::traffic::Figures;
use crate::lease::Way;
use crate::registration::{Registration, Standing};
use crate::rules::Caps;
use crate::trunks::Trunks;
use domain::hop::Hop;
use domain::id::TrunkId;
use domain::now::Now;
use std::sync::Arc;
use std::time::Duration;

/// How a trunk stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkView {
    /// Which.
    pub trunk: TrunkId,
    /// Whether calls may leave through it.
    pub enabled: bool,
    /// Whether it takes calls.
    pub state: State,
    /// Our registration at it, if it wants one.
    pub registration: Option<Standing>,
    /// The numbers that its registrar says are ours.
    pub associated: Vec<Arc<str>>,
    /// Its targets.
    pub targets: Vec<TargetView>,
    /// Whether they come from answers that have run out, because DNS fails.
    pub stale: bool,
    /// Channels that we use, and that it uses.
    pub channels: (u32, u32),
    /// Calls begun in the last second, by us and by it.
    pub rate: (u32, u32),
    /// What they may not exceed.
    pub caps: Caps,
    /// Its calls over the window.
    pub figures: Figures,
}

/// How a target stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetView {
    /// Where.
    pub hop: Hop,
    /// Up or down.
    pub state: State,
    /// How long its last answered probe took.
    pub round_trip: Option<Duration>,
}

impl Trunks {
    /// How the trunks stand, in the order of their names.
    pub fn views(&self, now: Now) -> Vec<TrunkView> {
        let at = now.instant;
        let view = |(id, trunk): (&TrunkId, &crate::trunks::trunk::Trunk)| {
            let rules = self.rules().trunks.get(id)?;
            let share = self.leases().trunk(id)?;
            let both = |of: &dyn Fn(Way) -> u32| (of(Way::Outgoing), of(Way::Incoming));
            let target = |(hop, target): (&Hop, &crate::health::Target)| TargetView {
                hop: hop.clone(),
                state: target.state(),
                round_trip: target.round_trip(),
            };
            Some(TrunkView {
                trunk: id.clone(),
                enabled: rules.enabled,
                state: trunk.state().clone(),
                registration: trunk.registration().map(|it| it.standing(at)),
                associated: trunk
                    .registration()
                    .map_or_else(Vec::new, |it: &Registration| it.associated().to_vec()),
                targets: trunk.health().iter().map(target).collect(),
                stale: trunk.locator().is_stale(),
                channels: both(&|way| share.channels_of(way)),
                rate: both(&|way| share.rate_of(way, at)),
                caps: rules.caps,
                figures: trunk.figures(&rules.health, at),
            })
        };
        self.all().filter_map(view).collect()
    }
}
