//! A transfer that is handed to the party's own trunk by REFER (RFC 5589 §6): the carrier makes the
//! new call, and we are out of both.
//!
//! ```text
//! agent       exchange        party's trunk
//!   │──REFER─────►│──REFER──────────►│
//!   │◄─NOTIFY 180─│◄─NOTIFY 180──────│
//!   │◄─NOTIFY 200─│◄─NOTIFY 200──────│  both legs end
//!   │             │◄─603, 503 …──────│  or: it does not do it, so we make the call ourselves
//! ```

use crate::call::{Call, Onward, Treatment};
use crate::event::{Action, Rejected};
use crate::rules::TransferPolicy;
use crate::switchboard::Switchboard;
use crate::transfer::{Attempt, Transferring, part, progress};
use domain::cause::Cause;
use domain::id::{CallId, LegId, TrunkId};
use domain::now::Now;
use sip::event::{LegCommand, TransferTo};
use std::sync::Arc;
use trunk::failover::{FailoverRules, Outcome, Verdict};

impl Switchboard {
    /// The trunk that does this transfer itself, and the number it is asked to call. Only agents hand
    /// over: what a trunk asks for is not asked of another.
    pub(crate) fn trunk_to_hand_to(&self, transfer: &Transferring) -> Option<(TrunkId, Arc<str>)> {
        let Onward::Number(way) = &transfer.onward else { return None };
        let trunk = self.legs.get(&transfer.party)?.trunk.as_ref()?;
        let hands_over = self.rules.trunks.get(trunk)?.transfer == TransferPolicy::Refer;
        let is_wanted = hands_over && !way.decision.emergency && self.is_agents(transfer.referrer);
        let rules = self.carriers.rules().trunks.get(trunk)?;
        is_wanted.then(|| (trunk.clone(), rules.dialled.write(&way.decision.dialled, &rules.plan)))
    }

    /// Asks the party's trunk.
    pub(crate) fn hand_over(
        &mut self,
        mut call: Call,
        mut transfer: Transferring,
        trunk: &TrunkId,
        number: Arc<str>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        part(&mut call, &mut transfer, out);
        transfer.attempt = Attempt::Referred { heard: false };
        let (leg, to) = (transfer.party, TransferTo::User(number));
        let question = transfer.question.clone();
        call.treatment = Treatment::Transferring(Box::new(transfer));
        self.calls.insert(call.id, call);
        let chosen = format!("REFER to trunk {}", trunk.name).into();
        self.decided(question, chosen, Vec::new(), now, out);
        out.push(Action::Leg(LegCommand::Transfer { leg, to }));
    }

    /// What came of our REFER.
    pub(crate) fn handing_told(
        &mut self,
        leg: LegId,
        status: u16,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.legs.get(&leg).map(|leg| leg.call) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Treatment::Transferring(transfer) = &mut call.treatment else { return };
        let (Attempt::Referred { heard }, true) = (&mut transfer.attempt, transfer.party == leg)
        else {
            return;
        };
        match status {
            ..200 => {
                *heard = true;
                transfer.rang |= status == 180;
                // It knows of the 100 already.
                if status > 100 {
                    progress(transfer.referrer, status, out);
                }
            }
            200..300 => self.handed_over(id, out),
            300.. => self.not_handed_over(id, status, now, out),
        }
    }

    fn handed_over(&mut self, id: CallId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ending = std::mem::replace(&mut call.treatment, Treatment::Ending);
        let Treatment::Transferring(transfer) = ending else { return };
        out.push(Action::Note {
            call: id,
            what: "the transfer is done by the trunk".into(),
            why: "it says that its new call was answered".into(),
        });
        progress(transfer.referrer, 200, out);
        self.end_ticket(transfer.ticket);
        if transfer.referrer_waits {
            self.end_leg(transfer.referrer, out);
        }
        // RFC 5589 §6.1: the transferor ends the dialog once it knows.
        self.end_leg(transfer.party, out);
    }

    /// The trunk does not do it. We make the call ourselves, unless somebody was reached: he would
    /// be rung twice.
    fn not_handed_over(&mut self, id: CallId, status: u16, now: Now, out: &mut Vec<Action>) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        let treatment = std::mem::replace(&mut call.treatment, Treatment::Ending);
        let Treatment::Transferring(mut transfer) = treatment else {
            self.calls.insert(id, call);
            return;
        };
        let cause = Cause::from_status(status);
        // Until something was heard of its call, the status is the REFER's own.
        let heard = matches!(transfer.attempt, Attempt::Referred { heard: true });
        transfer.tried.push(Rejected {
            candidate: "REFER".into(),
            test: "answer".into(),
            why: cause.to_string().into(),
        });
        transfer.attempt = Attempt::None;
        // RFC 3515 §2.4.5: of a REFER that was taken and is not heard of again, anything may have come.
        let is_in_doubt = status == 408;
        let outcome = Outcome::of(&cause, transfer.rang, None);
        let goes_on = FailoverRules::default().judge(&outcome, true) == Verdict::TryNext;
        match transfer.rang || is_in_doubt || (heard && !goes_on) {
            true => self.transfer_failed(call, *transfer, cause, now, out),
            false => self.transfer_reach(call, *transfer, None, now, out),
        }
    }
}
