//! Which trunks take calls, as the last call through each showed. Nothing is sent to find out.

use domain::cause::CauseKind;
use domain::id::TrunkId;
use std::collections::BTreeMap;
use switchboard::event::LegRecord;

/// The trunks of the configuration; each counts as up until a call shows otherwise.
#[derive(Debug, Default)]
pub struct Trunks {
    up: BTreeMap<TrunkId, bool>,
}

impl Trunks {
    /// All up.
    pub fn new(trunks: impl IntoIterator<Item = TrunkId>) -> Self {
        Self { up: trunks.into_iter().map(|trunk| (trunk, true)).collect() }
    }

    /// A leg has ended: what it shows of its trunk.
    pub fn leg_ended(&mut self, leg: &LegRecord) {
        let Some(up) = leg.trunk.as_ref().and_then(|trunk| self.up.get_mut(trunk)) else { return };
        if let Some(shown) = shown_by(leg) {
            *up = shown;
        }
    }

    /// Hands the gauges on.
    pub fn export(&self) {
        for (trunk, up) in &self.up {
            api::metrics::trunk_up(&trunk.tenant.0, &trunk.name, *up);
        }
    }
}

/// Whether the trunk took this call; `None` when the leg does not tell.
fn shown_by(leg: &LegRecord) -> Option<bool> {
    // Ours are even; a call that came from the trunk does not show that it takes one.
    if leg.leg.0 % 2 == 1 {
        return None;
    }
    match (leg.cause.kind, leg.cause.status) {
        // RFC 3261 §21.5.4: 503 speaks for the whole server, other failures for this call.
        (CauseKind::Silent, _) | (CauseKind::Failed, 503) => Some(false),
        // Nothing was sent, or nothing had come back yet.
        (CauseKind::NotAdmitted, _) | (CauseKind::Cancelled, 0) => None,
        (
            CauseKind::Normal
            | CauseKind::Busy
            | CauseKind::NoAnswer
            | CauseKind::Declined
            | CauseKind::InvalidNumber
            | CauseKind::Cancelled
            | CauseKind::AnsweredLate
            | CauseKind::Failed,
            _,
        ) => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cause::{Cause, EndedBy};
    use domain::id::{CallId, LegId, TenantId};
    use media::event::QualityReport;
    use switchboard::event::LegRole;

    #[test]
    fn the_last_call_tells() {
        let trunk = TrunkId::new(&TenantId::default(), "carrier");
        let mut trunks = Trunks::new([trunk.clone()]);
        let status = |kind, status| Cause { kind, status, q850: 0, by: EndedBy::Peer };
        let table = [
            (2, Cause::silent(), false),
            (3, Cause::normal(EndedBy::Us), false),
            (4, Cause::cancelled(), false),
            (6, status(CauseKind::Busy, 486), true),
            (8, status(CauseKind::Failed, 503), false),
            (10, status(CauseKind::Failed, 500), true),
        ];
        for (leg, cause, up) in table {
            trunks.leg_ended(&record(leg, &trunk, cause));
            assert_eq!(trunks.up, BTreeMap::from([(trunk.clone(), up)]), "{leg}");
        }
        let other = TrunkId::new(&TenantId::default(), "other");
        trunks.leg_ended(&record(12, &other, Cause::silent()));
        assert_eq!(trunks.up.len(), 1);
    }

    fn record(leg: u64, trunk: &TrunkId, cause: Cause) -> LegRecord {
        LegRecord {
            leg: LegId(leg),
            call: CallId(1),
            tenant: TenantId::default(),
            role: LegRole::Contact,
            sip_call_id: "".into(),
            trunk: Some(trunk.clone()),
            from: "".into(),
            to: "".into(),
            agent: None,
            queue: None,
            intent: None,
            started_wall_ms: 0,
            answered_wall_ms: None,
            ended_wall_ms: 1,
            cause,
            quality: QualityReport::default(),
            verstat: None,
            attestation: None,
        }
    }
}
