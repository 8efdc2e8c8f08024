//! How the calls of trunks have gone of late. Nothing is sent to find out.

use api::views::{LiveTrunk, LiveViews, TrunkFigures};
use domain::cause::CauseKind;
use domain::id::{LegId, TrunkId};
use domain::now::Now;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use switchboard::event::LegRecord;
use switchboard::switchboard::Switchboard;
use trunk::registration::Standing;

/// How far back figures of calls reach.
const WINDOW_MS: u64 = 15 * 60 * 1_000;
/// Calls of a trunk kept for them; the oldest goes when another comes.
const CALLS_MAX: usize = 1_000;
/// Ringing calls whose delay waits for their end; the delay of one more is not counted.
const RINGING_MAX: usize = 65_536;

/// The trunks of the configuration.
#[derive(Debug, Default)]
pub struct Trunks {
    /// When each call ended (Unix milliseconds), and its part of the figures.
    recent: BTreeMap<TrunkId, VecDeque<(u64, TrunkFigures)>>,
    rang: HashMap<LegId, Duration>,
}

impl Trunks {
    /// Without a call yet.
    pub fn new(trunks: impl IntoIterator<Item = TrunkId>) -> Self {
        let recent = trunks.into_iter().map(|trunk| (trunk, VecDeque::new())).collect();
        Self { recent, ..Self::default() }
    }

    /// A leg has ended: what it shows of its trunk.
    pub fn leg_ended(&mut self, leg: &LegRecord) {
        let part = part_of(leg, self.rang.remove(&leg.leg));
        let Some(recent) = leg.trunk.as_ref().and_then(|trunk| self.recent.get_mut(trunk)) else {
            return;
        };
        if recent.len() >= CALLS_MAX {
            recent.pop_front();
        }
        recent.push_back((leg.ended_wall_ms, part));
    }

    /// A call of ours was heard ringing, so long after its INVITE.
    pub fn rang(&mut self, leg: LegId, delay: Duration) {
        if self.rang.len() < RINGING_MAX {
            self.rang.insert(leg, delay);
        }
    }

    /// How the calls of a trunk have gone within the window before `wall_ms`.
    pub fn figures(&self, trunk: &TrunkId, wall_ms: u64) -> TrunkFigures {
        let recent = self.recent.get(trunk).into_iter().flatten();
        let within = recent.filter(|(at, _)| at + WINDOW_MS > wall_ms);
        within.fold(TrunkFigures::default(), |sum, (_, part)| TrunkFigures {
            calls: sum.calls + part.calls,
            answered: sum.answered + part.answered,
            failed: sum.failed + part.failed,
            unavailable: sum.unavailable + part.unavailable,
            rung: sum.rung + part.rung,
            post_dial_delay_ms: sum.post_dial_delay_ms + part.post_dial_delay_ms,
            received: sum.received + part.received,
            lost: sum.lost + part.lost,
            heard: sum.heard + part.heard,
            jitter_us: sum.jitter_us + part.jitter_us,
        })
    }

    /// Puts into the views how each trunk stands.
    pub fn show(&self, switchboard: &Switchboard, now: Now, views: &LiveViews) {
        for view in switchboard.trunks().views(now) {
            let (rate, channels) =
                switchboard.trunk_use(&view.trunk, now.instant).unwrap_or_default();
            let (registration, registration_why) = match &view.registration {
                None => (None, "".into()),
                Some(Standing::Registered { .. }) => (Some("registered"), "".into()),
                Some(Standing::Failed { why, .. }) => (Some("not registered"), why.clone()),
                Some(Standing::Idle | Standing::Asking | Standing::Left) => {
                    (Some("not registered"), "".into())
                }
            };
            let live = LiveTrunk {
                state: view.state.word(),
                why: view.state.why().into(),
                registration,
                registration_why,
                calls_per_second: rate,
                calls_per_second_max: view.caps.outgoing_per_second,
                channels,
                channels_max: view.caps.channels,
                figures: self.figures(&view.trunk, now.wall_ms),
            };
            views.trunks.insert(view.trunk, live);
        }
    }
}

/// What a call adds to the figures. Those that came from the trunk tell only of its sound; those that
/// our side gave up before anything was known, or never sent, tell nothing of it.
fn part_of(leg: &LegRecord, rang_after: Option<Duration>) -> TrunkFigures {
    let quality = &leg.quality;
    let had_sound = quality.received > 0;
    let sound = TrunkFigures {
        received: quality.received,
        lost: if had_sound { quality.lost } else { 0 },
        heard: u32::from(had_sound),
        jitter_us: if had_sound { quality.jitter_us.into() } else { 0 },
        ..TrunkFigures::default()
    };
    let ours = leg.leg.0.is_multiple_of(2);
    let unknown = matches!(
        (leg.cause.kind, leg.cause.status),
        (CauseKind::NotAdmitted, _) | (CauseKind::Cancelled, 0)
    );
    if !ours || (unknown && leg.answered_wall_ms.is_none()) {
        return sound;
    }
    let answered = leg.answered_wall_ms.is_some();
    let silent = leg.cause.kind == CauseKind::Silent;
    let failed = !answered && (silent || (500..=599).contains(&leg.cause.status));
    TrunkFigures {
        calls: 1,
        answered: u32::from(answered),
        failed: u32::from(failed),
        unavailable: u32::from(!answered && leg.cause.status == 503),
        rung: u32::from(rang_after.is_some()),
        post_dial_delay_ms: rang_after
            .map_or(0, |delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        ..sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cause::{Cause, EndedBy};
    use domain::id::{CallId, LegId, TenantId};
    use media::event::QualityReport;
    use switchboard::event::LegRole;

    /// Answered, busy, unavailable, silent and given up calls; one that came in; one of long ago.
    #[test]
    fn figures_are_of_the_calls_of_late() {
        let trunk = TrunkId::new(&TenantId::default(), "carrier");
        let mut trunks = Trunks::new([trunk.clone()]);
        let status = |kind, status| Cause { kind, status, q850: 0, by: EndedBy::Peer };
        let old = record(2, &trunk, status(CauseKind::Failed, 503));
        trunks.leg_ended(&old);
        let later = WINDOW_MS + 1;
        let quality =
            QualityReport { received: 99, lost: 1, jitter_us: 2_000, ..QualityReport::default() };
        let table = [
            (4, Cause::normal(EndedBy::Us), Some(1), quality),
            (6, status(CauseKind::Busy, 486), None, QualityReport::default()),
            (8, status(CauseKind::Failed, 503), None, QualityReport::default()),
            (10, Cause::silent(), None, QualityReport::default()),
            (12, Cause::cancelled(), None, QualityReport::default()),
            (13, Cause::normal(EndedBy::Peer), Some(1), quality),
        ];
        trunks.rang(LegId(4), Duration::from_millis(1_500));
        for (leg, cause, answered_wall_ms, quality) in table {
            let ended = record(leg, &trunk, cause);
            let ended = LegRecord { ended_wall_ms: later, answered_wall_ms, quality, ..ended };
            trunks.leg_ended(&ended);
        }
        let expected = TrunkFigures {
            calls: 4,
            answered: 1,
            failed: 2,
            unavailable: 1,
            rung: 1,
            post_dial_delay_ms: 1_500,
            received: 198,
            lost: 2,
            heard: 2,
            jitter_us: 4_000,
        };
        assert_eq!(trunks.figures(&trunk, later), expected);
        assert_eq!(trunks.figures(&trunk, later + WINDOW_MS), TrunkFigures::default());
        for leg in 0..2 * CALLS_MAX as u64 {
            trunks.leg_ended(&record(leg * 2, &trunk, Cause::silent()));
        }
        assert_eq!(trunks.recent[&trunk].len(), CALLS_MAX);
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
