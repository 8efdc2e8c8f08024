//! Responses to our requests: to the transaction, then to the leg (RFC 3261 §17.1.3, §13.2.2).

use super::Endpoint;
use crate::event::{Action, Flow};
use crate::leg::dialog::Dialog;
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{self, SDP};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::params::find_outside;
use crate::message::via::Via;
use crate::message::{self, Message, Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::clients::{ClientId, Up};
use crate::transaction::{derived, key};
use bytes::Bytes;
use domain::id::LegId;
use rand::RngCore;
use std::time::Instant;

/// The BYE to a fork that nobody wanted, until it is answered.
pub(super) struct Surplus {
    bye: Request,
    dialog: Dialog,
    login: Option<TrunkLogin>,
}

impl Endpoint {
    pub(super) fn handle_response(
        &mut self,
        response: &Response,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.is_for_us(response) {
            return;
        }
        // A stray (RFC 6026 §7.2) is dropped: it matches nothing.
        let Some(key) = key::of_response(response) else { return };
        if let Some(leg) = self.clients.leg_of(&key) {
            out.push(Action::Matched { leg });
        }
        if let Some(flow) = self.clients.flow_by_key(&key) {
            self.heard(response, flow.remote, now);
        }
        let headers = &response.headers;
        let to = headers.get(Name::To).unwrap_or("");
        let tag = headers.to_tag().unwrap_or("");
        let ack = |invite: &Bytes| derived::ack_to_refusal(invite, to).unwrap_or_default();
        let Some(up) = self.clients.respond(&key, (response.status, tag), ack, now, out) else {
            return;
        };
        let (id, leg) = match up {
            Up::Response { id, leg: Some(leg) } => (id, leg),
            Up::Response { id, leg: None } => {
                return self.errand_answered(id, response, now, out);
            }
            Up::Failed { .. } => return,
        };
        if self.surplus.contains_key(&id) {
            self.handle_surplus(id, leg, response, now, out);
            return;
        }
        let answers_invite = headers.cseq().is_ok_and(|(_, method)| method == Method::Invite);
        let is_taken = self.legs.get(&leg).is_some_and(|entry| entry.leg.takes_answer(response));
        if answers_invite && (200..300).contains(&response.status) && !is_taken {
            self.decline_fork(id, leg, response, now, out);
        } else {
            self.deliver(leg, leg::Event::Response { response }, now, out);
        }
    }

    /// Whether a response is one to a request of ours: with our Via and no other (RFC 3261 §8.1.3.3,
    /// §18.1.2); else it went astray.
    fn is_for_us(&self, response: &Response) -> bool {
        let headers = &response.headers;
        let is_alone = headers.count(Name::Via) == 1
            && headers.get(Name::Via).is_some_and(|text| find_outside(text, b',', true).is_none());
        is_alone && headers.via().is_ok_and(|via: Via<'_>| self.config.is_our_sent_by(&via))
    }

    /// A 2xx of a fork that comes too late: acknowledged, and its dialog ended at once
    /// (RFC 3261 §13.2.2.4). Its 2xx has all that is needed, whether or not the leg still lives.
    fn decline_fork(
        &mut self,
        id: ClientId,
        leg: LegId,
        response: &Response,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(flow) = self.clients.flow_of(id) else { return };
        if !self.clients.has_room_for_fork(id) {
            return;
        }
        let to = response.headers.to().ok().and_then(|to| to.uri().ok());
        let made = to.and_then(|to| Dialog::of_answer(response, &to, "".into(), flow, false));
        let Some(mut dialog) = made else { return };
        let mut ack = dialog.ack(dialog.local_cseq());
        let tag = dialog.remote_tag.clone();
        self.complete_ack(id, &mut ack, response);
        if let Some(cseq) = self.last_number(id, &tag) {
            dialog.resume(cseq);
        }
        let to = dialog.destination();
        self.acknowledge(id, ((*tag).into(), None), ack, (leg, to), out);
        let bye = dialog.request(Method::Bye);
        let sent = self.send(Some(leg), bye.clone(), to, now, out);
        let login = self.login_of(leg, to.flow);
        self.surplus.insert(sent, Surplus { bye, dialog, login });
    }

    /// RFC 3261 §13.2.2.4: the ACK has the credentials of the INVITE, which that to the first 2xx has,
    /// too; and where the 2xx makes the offer, an answer, which takes nothing of it.
    fn complete_ack(&mut self, id: ClientId, ack: &mut Request, response: &Response) {
        let Some(first) = self.clients.first_acknowledged(id) else { return };
        let answers = first.others.as_ref().is_some_and(|others| others.offer);
        let near = self.config.advertised(first.flow).ip();
        let Ok(Message::Request(first)) = message::parse(first.ack.clone()) else { return };
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            ack.headers.copy(&first.headers, name);
        }
        if answers {
            let mut negotiation = Negotiation::new(self.rng.next_u64(), &self.config.codecs);
            if let Some(answer) = negotiation.reject(&response.body, near) {
                ack.set_body(SDP, answer);
            }
        }
    }

    /// The number of our last request to a fork before another took the call.
    fn last_number(&self, id: ClientId, tag: &str) -> Option<u32> {
        let others = self.clients.first_acknowledged(id)?.others.as_ref()?;
        others.forks.iter().find(|fork| *fork.tag == *tag).map(|fork| fork.cseq)
    }

    /// What answers the challenge to a surplus fork's BYE: the credentials of the trunk dialled, known
    /// as long as the leg lives, then of the trunk that the fork is at.
    fn login_of(&self, leg: LegId, flow: Flow) -> Option<TrunkLogin> {
        let trunk = match self.legs.get(&leg) {
            Some(entry) => entry.far_end.trunk(),
            None => self.trunk_of(flow).map(|access| &access.trunk),
        };
        self.config.credentials_of(trunk?).as_ref().map(TrunkLogin::new)
    }

    /// The response to a surplus fork's BYE: a challenge is answered (RFC 3261 §22.2), all else is the
    /// end of it.
    fn handle_surplus(
        &mut self,
        id: ClientId,
        leg: LegId,
        response: &Response,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if response.status < 200 {
            return;
        }
        let Some(mut surplus) = self.surplus.remove(&id) else { return };
        let Some(login) = &mut surplus.login else { return };
        let to = surplus.dialog.destination();
        let host = to.flow.remote.ip();
        if !login.take_challenge(response, &surplus.bye, host) {
            return;
        }
        surplus.dialog.renumber(&mut surplus.bye);
        login.sign(&mut surplus.bye, host, &mut *self.rng);
        let sent = self.send(Some(leg), surplus.bye.clone(), to, now, out);
        self.surplus.insert(sent, surplus);
    }
}
