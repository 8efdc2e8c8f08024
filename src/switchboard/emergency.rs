//! Calls for help: from agents and from PBXs, to trunks of their own, in an order of their own.
//!
//! No cap, limit, permit or drain stops one; its caller is never hidden; what fails is tried
//! everywhere, at once. A trunk that itself stands among those that lead to help is a carrier, not a
//! PBX: what comes in from there is never such a call.
//!
//! Calls `transit`. Called by `inbound`.

use crate::call::{Onward, RingLimits};
use crate::switchboard::Switchboard;
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::id::{TenantId, TrunkId};
use domain::now::Now;
use sip::event::Source;
use std::collections::VecDeque;
use std::time::Duration;

/// Help may be slow to answer; nobody gives up before the caller does.
const RINGS_FOR: Duration = Duration::from_secs(300);

/// A trunk that has said nothing for this long is given up for the next: two INVITEs lost in a row
/// (RFC 3261 §17.1.1.2 sends them at 0, 0.5 and 1.5 s).
const HEARD_WITHIN: Duration = Duration::from_secs(2);

impl Switchboard {
    /// Where a call for help goes; `None`: it is none.
    pub(crate) fn emergency_onward(&self, source: &Source, dialled: &str) -> Option<Onward> {
        let rules = &self.rules.emergency;
        if !rules.numbers.iter().any(|number| **number == *dialled) {
            return None;
        }
        let trunks = match source {
            Source::Agent(agent) => self.trunks_to_help(&agent.tenant),
            Source::Trunk(trunk) => {
                let trunks = self.trunks_to_help(&trunk.tenant);
                if trunks.contains(trunk) {
                    return None;
                }
                trunks
            }
        };
        Some(Onward::Number {
            number: dialled.into(),
            route: "emergency".into(),
            trunks,
            limits: RingLimits { ring_for: RINGS_FOR, heard_within: Some(HEARD_WITHIN) },
            emergency: true,
        })
    }

    fn trunks_to_help(&self, tenant: &TenantId) -> VecDeque<TrunkId> {
        let own = &self.rules.emergency.trunks;
        let all = || self.rules.trunks.keys().filter(|trunk| trunk.tenant == *tenant);
        match own.is_empty() {
            true => all().cloned().collect(),
            false => own.iter().cloned().collect(),
        }
    }

    /// Counts a channel of the trunk that a call for help comes from, whatever its cap; whether it
    /// has one to give back.
    pub(crate) fn take_always(&mut self, trunk: &TrunkId, now: Now) -> bool {
        let cap = self.trunks.get_mut(trunk);
        cap.map(|cap| cap.take_always(now.instant)).is_some()
    }
}

/// Whether the next trunk is tried after this one has ended so: always, unless somebody has spoken
/// or the caller himself has gone.
pub(crate) fn may_try_another(cause: Cause) -> bool {
    match cause.kind {
        CauseKind::Normal | CauseKind::AnsweredLate => false,
        CauseKind::Cancelled => cause.by == EndedBy::Peer,
        CauseKind::Busy
        | CauseKind::NoAnswer
        | CauseKind::Declined
        | CauseKind::InvalidNumber
        | CauseKind::Silent
        | CauseKind::Failed
        | CauseKind::NotAdmitted => true,
    }
}
