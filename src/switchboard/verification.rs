//! Is the caller's number true? Asked of calls from trunks that want it, before anything else is
//! done with the call, and answered within a bound (RFC 8224 §6.2).
//!
//! ```text
//! Incoming ─► Verify ─► held ─── Verified, or no verdict in time ──► taken up, with the verdict
//!                        │ hung up: forgotten               └─────► refused (policy `require`)
//! ```
//!
//! And how far our own callers are vouched for, when their calls leave (RFC 8588 §4).

use crate::call::Purpose;
use crate::event::{Action, Rejected, ToVerify};
use crate::exchange::Vouched;
use crate::inbound::refuse;
use crate::rules::VerifyPolicy;
use crate::switchboard::{Switchboard, Timer};
use crate::transit::Incoming;
use domain::id::{CallId, LegId};
use domain::now::Now;
use sip::event::{LegCommand, Source, Target};
use stir::attest::{Beginner, attestation};
use stir::number::canonical;
use stir::verdict::{Fault, InfoFault, Verdict};
use stir::verify::attestation_letter;

/// A call whose verdict is awaited.
pub(crate) struct Held {
    policy: VerifyPolicy,
    incoming: Incoming,
}

impl Switchboard {
    /// Verifies a call of a trunk that wants it, or takes it up at once.
    pub(crate) fn verify_caller(&mut self, incoming: Incoming, now: Now, out: &mut Vec<Action>) {
        let rule = match &incoming.source {
            Source::Trunk(trunk) => self.rules.trunks.get(trunk),
            Source::Agent(_) => None,
        };
        let policy = rule.map(|rule| rule.verify).unwrap_or_default();
        if policy == VerifyPolicy::Off {
            return self.take_up_call(incoming, now, out);
        }
        let held = Held { policy, incoming };
        let (leg, offered) = (held.incoming.leg, &held.incoming.call);
        if offered.identity.is_empty() {
            return self.settle(held, Verdict::Failed(Fault::NoIdentity), now, out);
        }
        let call = ToVerify {
            identities: offered.identity.clone(),
            caller: offered.asserted.clone().unwrap_or_else(|| offered.from_user.clone()),
            called: vec![offered.to_user.clone(), offered.dialled.clone()],
            date: offered.date.clone(),
        };
        out.push(Action::Verify { leg, call });
        self.timers.update(&Timer::Verdict(leg), Some(now.instant + self.rules.stir.wait));
        self.unverified.insert(leg, held);
    }

    /// A verdict came; one that comes late, or for a call that is gone, is nobody's.
    pub(crate) fn verified(
        &mut self,
        leg: LegId,
        verdict: Verdict,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        self.timers.update(&Timer::Verdict(leg), None);
        if let Some(held) = self.unverified.remove(&leg) {
            self.settle(held, verdict, now, out);
        }
    }

    /// The certificate did not come in time: the call goes on without a verdict.
    pub(crate) fn verdict_overdue(&mut self, leg: LegId, now: Now, out: &mut Vec<Action>) {
        self.verified(leg, Verdict::Failed(Fault::BadInfo(InfoFault::TimedOut)), now, out);
    }

    /// The caller hung up before the verdict.
    pub(crate) fn forget_unverified(&mut self, leg: LegId) {
        if self.unverified.remove(&leg).is_some() {
            self.timers.update(&Timer::Verdict(leg), None);
        }
    }

    fn settle(&mut self, held: Held, verdict: Verdict, now: Now, out: &mut Vec<Action>) {
        let Held { policy, mut incoming } = held;
        match (&verdict, policy) {
            (Verdict::Failed(fault), VerifyPolicy::Require) => {
                let rejected = vec![Rejected {
                    candidate: "any call".into(),
                    test: "verify".into(),
                    why: fault.to_string().into(),
                }];
                let status = fault.status();
                self.refused_with(incoming.question, status, rejected, now, out);
                refuse(incoming.leg, status, None, out);
            }
            _ => {
                incoming.verdict = Some(verdict);
                self.take_up_call(incoming, now, out);
            }
        }
    }

    /// How far we vouch for an outgoing call; `None` when it is not signed: its trunk does not want
    /// it, the caller shows no number, or it bears somebody else's signature already.
    pub(crate) fn vouched(&self, command: &LegCommand, now: Now) -> Option<Vouched> {
        let LegCommand::Dial { leg, target: Target::Trunk { trunk, user, .. }, caller, .. } =
            command
        else {
            return None;
        };
        let signs = self.rules.trunks.get(trunk).is_some_and(|rule| rule.sign);
        if !signs || caller.identity.is_some() {
            return None;
        }
        let numbering = &self.rules.stir.numbering;
        // RFC 8224 §6.1 step 1: the number that is shown is the one that is signed.
        let shown = caller.asserted.as_ref().unwrap_or(&caller.user);
        let origin = canonical(shown, numbering)?;
        let destination = canonical(user, numbering)?;
        let call = self.legs.get(leg).and_then(|leg| self.calls.get(&leg.call))?;
        let beginner = match call.purpose {
            Purpose::Inbound { .. } => Beginner::PassedOn,
            // An agent known by digest is our own; who came in by a trunk is not.
            Purpose::Transit(_) => match self.legs.get(&call.first)?.agent {
                Some(_) => Beginner::Customer,
                None => Beginner::PassedOn,
            },
            Purpose::FeatureCode { .. } | Purpose::Callback { .. } | Purpose::Attempt(_) => {
                Beginner::Customer
            }
        };
        let verified = self.rules.stir.verified_numbers.get(&call.tenant);
        let verified = verified.map(Vec::as_slice).unwrap_or_default();
        let attestation = attestation(beginner, &origin, verified);
        Some(Vouched { attestation, origin, destination, issued_at_s: now.wall_ms / 1_000 })
    }
}

/// The verdict as the trace has it.
pub(crate) fn note(call: CallId, verdict: &Verdict) -> Action {
    let why = match verdict {
        Verdict::Passed { attestation, origin_id, provider, certificate_url } => format!(
            "attestation {:?}, origid {:?}, provider {:?}, certificate {certificate_url}",
            attestation_letter(*attestation),
            origin_id.as_deref().unwrap_or_default(),
            provider.as_deref().unwrap_or_default(),
        ),
        Verdict::Failed(fault) => fault.to_string(),
    };
    Action::Note { call, what: verdict.verstat().word().into(), why: why.into() }
}
