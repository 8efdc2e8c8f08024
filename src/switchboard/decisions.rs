//! Why a call was led where it was: told to its trace and kept in the ledger, so that nobody is
//! refused without a reason that can be found by SIP's Call-ID.

use crate::event::{Action, Decision, Fact, Rejected};
use crate::switchboard::Switchboard;
use domain::id::{CallId, TenantId, TrunkId};
use domain::now::Now;
use sip::event::IncomingCall;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

/// Refusals kept per second: a storm of them must not fill the disk. What is above is counted, and
/// the next one that is kept says how many are missing.
const REFUSALS_PER_SECOND_MAX: u32 = 50;

/// Of them those of calls from addresses that nobody knows: scanners never rest.
const STRANGERS_PER_SECOND_MAX: u32 = 1;

/// How many refusals were kept in the present second.
#[derive(Debug, Default)]
pub(crate) struct RefusalRate {
    second: u64,
    kept: u32,
    missing: u32,
    strangers: u32,
}

impl RefusalRate {
    /// Whether one more stranger's may be kept; those that are not are not counted.
    fn admit_stranger(&mut self, now: Now) -> bool {
        if now.wall_ms / 1_000 != self.second {
            self.begin(now);
        }
        self.strangers += 1;
        self.strangers <= STRANGERS_PER_SECOND_MAX
    }

    fn begin(&mut self, now: Now) {
        (self.second, self.kept, self.strangers) = (now.wall_ms / 1_000, 0, 0);
    }

    /// Whether one more may be kept, and how many were not since the last one.
    fn admit(&mut self, now: Now) -> Option<u32> {
        if now.wall_ms / 1_000 != self.second {
            self.begin(now);
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
        self.keep_refusal(question, status, rejected, now, out);
    }

    /// The same for a refusal that its own journey keeps rare.
    pub(crate) fn keep_refusal(
        &mut self,
        question: Question,
        status: u16,
        rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let chosen = format!("refused with {status}").into();
        self.keep(question, chosen, status, rejected, now, out);
    }

    /// Keeps what SIP refused before it was a call.
    pub(crate) fn refused_below(
        &mut self,
        (trunk, remote): (Option<TrunkId>, SocketAddr),
        call: &IncomingCall,
        (status, why): (u16, Arc<str>),
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if trunk.is_none() && !self.refusals.admit_stranger(now) {
            return;
        }
        let question = Question {
            call: None,
            sip_call_id: call.call_id.clone(),
            tenant: trunk.as_ref().map(|trunk| trunk.tenant.clone()).unwrap_or_default(),
            source: match &trunk {
                Some(trunk) => format!("trunk {} at {remote}", trunk.name).into(),
                None => format!("address {remote}").into(),
            },
            from: call.from_user.clone(),
            to: call.dialled.clone(),
        };
        let rejected = vec![Rejected { candidate: "the INVITE".into(), test: "SIP".into(), why }];
        self.refused_with(question, status, rejected, now, out);
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
        let strangers = (0..80).filter(|_| rate.admit_stranger(now)).count();
        assert_eq!(strangers, 1, "in a second that has one left");
        let later = Now { wall_ms: now.wall_ms + 1_000, ..now };
        assert_eq!((rate.admit(later), rate.admit(later)), (Some(30), Some(0)));
    }
}
