//! Why a call was led where it was: told to its trace and kept in the ledger, so that nobody is
//! refused without a reason that can be found by SIP's Call-ID.

use crate::event::{Action, Decision, Fact, Rejected};
use crate::switchboard::Switchboard;
use domain::id::{CallId, TenantId};
use domain::now::Now;
use std::fmt::Write;
use std::sync::Arc;

/// Refusals kept per second: a storm of them must not fill the disk. What is above is counted, and
/// the next one that is kept says how many are missing.
const REFUSALS_PER_SECOND_MAX: u32 = 50;

/// How many refusals were kept in the present second.
#[derive(Debug, Default)]
pub(crate) struct RefusalRate {
    second: u64,
    kept: u32,
    missing: u32,
}

impl RefusalRate {
    /// Whether one more may be kept, and how many were not since the last one.
    fn admit(&mut self, now: Now) -> Option<u32> {
        let second = now.wall_ms / 1_000;
        if second != self.second {
            (self.second, self.kept) = (second, 0);
        }
        if self.kept >= REFUSALS_PER_SECOND_MAX {
            self.missing = self.missing.saturating_add(1);
            return None;
        }
        self.kept += 1;
        Some(std::mem::take(&mut self.missing))
    }
}

/// What is decided on.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) call: Option<CallId>,
    pub(crate) sip_call_id: Arc<str>,
    pub(crate) tenant: TenantId,
    pub(crate) source: Arc<str>,
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
}

impl Switchboard {
    /// Tells and keeps what was chosen.
    pub(crate) fn decided(
        &mut self,
        question: Question,
        chosen: Arc<str>,
        rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        self.keep(question, chosen, 0, rejected, now, out);
    }

    /// Tells and keeps a refusal with `status`, 300–699.
    pub(crate) fn refused_with(
        &mut self,
        question: Question,
        status: u16,
        mut rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(missing) = self.refusals.admit(now) else { return };
        if missing > 0 {
            rejected.push(Rejected {
                candidate: "record".into(),
                test: "refusals per second".into(),
                why: format!("{missing} refusals before this one are not on record").into(),
            });
        }
        let chosen = format!("refused with {status}").into();
        self.keep(question, chosen, status, rejected, now, out);
    }

    fn keep(
        &mut self,
        question: Question,
        chosen: Arc<str>,
        status: u16,
        rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if let Some(call) = question.call {
            let why = reasons(&question, &rejected).into();
            out.push(Action::Note { call, what: chosen.clone(), why });
        }
        let decision = Decision {
            id: self.ids.next_number(),
            call: question.call,
            sip_call_id: question.sip_call_id,
            tenant: question.tenant,
            at_wall_ms: now.wall_ms,
            source: question.source,
            from: question.from,
            to: question.to,
            chosen,
            status,
            rejected,
        };
        self.journal.note(vec![Fact::Decision(decision)], out);
    }
}

/// The ground of a decision in one line.
fn reasons(question: &Question, rejected: &[Rejected]) -> String {
    let mut text = format!("{} asked for {}", question.source, question.to);
    for Rejected { candidate, test, why } in rejected {
        let _ = write!(text, "; not {candidate}: {test}: {why}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    #[test]
    fn a_storm_of_refusals_is_counted_and_not_kept() {
        let mut rate = RefusalRate::default();
        let now = epoch();
        let kept = (0..80).filter(|_| rate.admit(now).is_some()).count();
        assert_eq!(kept, 50);
        let later = Now { wall_ms: now.wall_ms + 1_000, ..now };
        assert_eq!((rate.admit(later), rate.admit(later)), (Some(30), Some(0)));
    }
}
