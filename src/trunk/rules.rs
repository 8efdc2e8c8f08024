//! What the trunks are told: their places, thresholds, numbers, caps and the routes over them. Built
//! by the shell from its configuration.

use crate::caller_id::CallerIdRules;
use crate::failover::FailoverRules;
use crate::health::HealthRules;
use crate::locate::{LocateRules, Place};
use crate::number::{DialPlan, Number, NumberForm, NumberStyle};
use crate::registration::RegistrationRules;
use crate::route::Route;
use domain::id::{TenantId, TrunkId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything the trunks are told.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The trunks.
    pub trunks: BTreeMap<TrunkId, TrunkRules>,
    /// The first that fits a call is taken; where its trunks fail, none after it is asked.
    pub routes: Vec<Route>,
    /// What each tenant may do; a tenant that is not here has no numbers of its own and no caps.
    pub tenants: BTreeMap<TenantId, TenantRules>,
    /// How names are resolved.
    pub locate: LocateRules,
}

/// One carrier or PBX.
#[derive(Clone, Debug)]
pub struct TrunkRules {
    /// Where it is.
    pub place: Place,
    /// Whether calls may leave through it; one of a shut trunk may still come in.
    pub enabled: bool,
    /// Caps.
    pub caps: Caps,
    /// When it counts as down.
    pub health: HealthRules,
    /// How we register at it, if we do. Calls leave only while we are registered.
    pub registration: Option<RegistrationRules>,
    /// What may be tried after what.
    pub failover: FailoverRules,
    /// How its numbers are read, both the caller's and the dialled.
    pub plan: DialPlan,
    /// How it wants the dialled number written.
    pub dialled: NumberForm,
    /// How it wants the caller's number written.
    pub caller: NumberForm,
    /// The number shown when a call has none of its own.
    pub caller_id: Option<Number>,
    /// Nothing heard at all for this long lets the next target be tried, where the call may ring
    /// twice; zero: never.
    pub heard_within: Duration,
}

/// How much one trunk or tenant bears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caps {
    /// Calls begun by us per second at most.
    pub outgoing_per_second: u32,
    /// Calls begun by them per second at most.
    pub incoming_per_second: u32,
    /// Calls that we began, at once.
    pub outgoing: u32,
    /// Calls that they began, at once.
    pub incoming: u32,
    /// Calls at once of both directions.
    pub channels: u32,
}

impl TrunkRules {
    /// A trunk at `place` that is neither probed nor registered at, without caps, whose numbers are
    /// written as they came.
    pub fn plain(place: Place) -> Self {
        Self {
            place,
            enabled: true,
            caps: Caps::NONE,
            health: HealthRules { probe_every: Duration::ZERO, ..HealthRules::default() },
            registration: None,
            failover: FailoverRules::default(),
            plan: DialPlan::default(),
            dialled: NumberForm { style: NumberStyle::Raw, ..NumberForm::default() },
            caller: NumberForm { style: NumberStyle::Raw, ..NumberForm::default() },
            caller_id: None,
            heard_within: Duration::ZERO,
        }
    }
}

impl Caps {
    /// No cap at all.
    pub const NONE: Self = Self {
        outgoing_per_second: u32::MAX,
        incoming_per_second: u32::MAX,
        outgoing: u32::MAX,
        incoming: u32::MAX,
        channels: u32::MAX,
    };
}

/// What one tenant may do.
#[derive(Clone, Debug)]
pub struct TenantRules {
    /// How the numbers that its people, flows and campaigns dial are read.
    pub plan: DialPlan,
    /// Which numbers it may show.
    pub caller_ids: CallerIdRules,
    /// Its share of all trunks.
    pub caps: Caps,
}
