//! An INVITE that takes the place of a leg (RFC 3891): the same person goes on talking from another
//! telephone, or from another call of his.
//!
//! ```text
//! INVITE, Replaces ─► allowed? ─► port ─► 200 ─► ACK: in the old leg's place, whose BYE or CANCEL goes out
//!                        └── 403, 603
//! ```
//!
//! Whoever cannot be accepted leaves the old leg as it was.

use crate::call::{Signalling, Treatment};
use crate::event::Action;
use crate::inbound::{incoming_leg, refuse};
use crate::switchboard::Switchboard;
use crate::transit::Incoming;
use domain::id::{CallId, LegId};
use domain::now::Now;
use media::event::MediaCommand;
use sip::event::{LegCommand, Source};

impl Switchboard {
    /// Takes up a leg that shall take the place of `old`, or refuses it.
    pub(crate) fn replace(
        &mut self,
        incoming: Incoming,
        old: LegId,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Incoming { leg, source, call: offered, question, .. } = incoming;
        // RFC 3891 §3: only who is authenticated as the very user that is replaced may do so.
        let agent = match source {
            Source::Agent(agent) => Some(agent),
            Source::Trunk(_) => None,
        };
        let replaced = self.legs.get(&old).filter(|old| agent.is_some() && old.agent == agent);
        let Some((id, role)) = replaced.map(|old| (old.call, old.role)) else {
            self.refused_with(question, 403, Vec::new(), now, out);
            return refuse(leg, 403, None, out);
        };
        if !self.is_replaceable(id, old) {
            self.refused_with(question, 603, Vec::new(), now, out);
            return refuse(leg, 603, None, out);
        }
        let Some(mut call) = self.calls.remove(&id) else { return };
        let mut new = incoming_leg(leg, id, role, offered, now);
        new.agent = agent;
        new.replaces = Some(old);
        out.push(Action::Note {
            call: id,
            what: format!("leg {leg} takes the place of leg {old}").into(),
            why: "the same agent asks for it".into(),
        });
        self.open_leg(new, &mut call, now, out);
        self.calls.insert(id, call);
    }

    /// Whether a leg is one that talks, or one of ours that rings.
    fn is_replaceable(&self, id: CallId, old: LegId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        match &call.treatment {
            Treatment::Bridged { .. } | Treatment::Through { .. } => self.partner_of(old).is_some(),
            Treatment::RingingAgent { leg, .. } => *leg == old,
            Treatment::Setup { .. }
            | Treatment::Asking
            | Treatment::Waiting { .. }
            | Treatment::Reaching { .. }
            | Treatment::Transferring(_)
            | Treatment::Ending => false,
        }
    }

    /// The replacing leg is up: it stands where the old one stood, which ends. False: it replaces
    /// nothing.
    pub(crate) fn replacement_established(
        &mut self,
        id: CallId,
        leg: LegId,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(old) = self.legs.get_mut(&leg).and_then(|leg| leg.replaces.take()) else {
            return false;
        };
        // What was to be replaced may be gone meanwhile.
        if !self.is_replaceable(id, old) {
            self.end_leg(leg, out);
            return true;
        }
        let partner = self.partner_of(old);
        let Some(call) = self.calls.get_mut(&id) else { return true };
        if call.first == old {
            call.first = leg;
        }
        match &mut call.treatment {
            Treatment::RingingAgent { leg: place, .. } => {
                *place = leg;
                self.agent_answered(id, leg, out);
            }
            Treatment::Bridged { leg: place, .. } | Treatment::Through { leg: place } => {
                if *place == old {
                    *place = leg;
                }
                if let Some(partner) = partner {
                    out.push(Action::Media(MediaCommand::Bridge { a: partner, b: leg }));
                }
            }
            Treatment::Setup { .. }
            | Treatment::Asking
            | Treatment::Waiting { .. }
            | Treatment::Reaching { .. }
            | Treatment::Transferring(_)
            | Treatment::Ending => (),
        }
        self.end_leg(old, out);
        true
    }

    /// The port of a replacing leg is there: it is answered whatever the call is for.
    pub(crate) fn answers_replacement(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| leg.replaces.is_some())
    }

    /// Answers a leg.
    pub(crate) fn answer_leg(
        &mut self,
        leg: LegId,
        local_media: std::net::SocketAddr,
        out: &mut Vec<Action>,
    ) {
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.signalling = Signalling::Begun;
        }
        out.push(Action::Leg(LegCommand::Answer { leg, local_media }));
    }
}
