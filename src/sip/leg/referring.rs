//! The part of `confirmed` that transfers: REFER, NOTIFY and SUBSCRIBE inside the dialog of a call
//! (RFC 3515, RFC 5589), on behalf of `referral` (theirs) and `transfer` (ours).
//!
//! At most one REFER of each side is under way; another is refused with 491 until the first has
//! come to its end.

use crate::event::{Flow, LegEvent};
use crate::leg::confirmed::{Confirmed, State};
use crate::leg::refer::{self, REFER_EVENT, SIPFRAG};
use crate::leg::referral::{self, Referral, Standing};
use crate::leg::transfer::{self, Transfer};
use crate::leg::{Action, Turn};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::transaction::servers::ServerId;
use std::time::Instant;

/// The REFERs of both sides.
#[derive(Debug, Default)]
pub(super) struct Referring {
    theirs: Option<Theirs>,
    ours: Option<Ours>,
    /// Whether a REFER of theirs was accepted before: NOTIFYs about the next ones bear an `id`
    /// (RFC 3515 §2.4.6).
    accepted_before: bool,
    /// The CSeq of our last NOTIFY, until it is answered.
    notify: Option<u32>,
}

#[derive(Debug)]
struct Theirs {
    referral: Referral,
    server: ServerId,
    refer: Request,
    cseq: u32,
    id: Option<u32>,
}

#[derive(Debug)]
struct Ours {
    transfer: Transfer,
    cseq: u32,
}

impl Referring {
    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let theirs = self.theirs.as_ref().and_then(|theirs| theirs.referral.deadline());
        let ours = self.ours.as_ref().and_then(|ours| ours.transfer.deadline());
        theirs.into_iter().chain(ours).min()
    }

    /// Whether they have still to be told something, though the call is over (RFC 5057 §4.1: the
    /// subscription is a usage of its own, and the dialog lives as long as one of its usages).
    pub(super) fn owes_word(&self) -> bool {
        self.theirs.is_some() || self.notify.is_some()
    }

    /// The call is over: nothing more is expected of our own REFER.
    pub(super) fn forget_ours(&mut self) {
        self.ours = None;
    }
}

impl Confirmed {
    pub(super) fn handle_refer(
        &mut self,
        server: ServerId,
        request: &Request,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) {
        if self.referring.theirs.is_some() || self.referring.ours.is_some() {
            // RFC 3261 §21.4.27: another one is under way.
            return turn.respond_status(server, request, 491);
        }
        let refer = match refer::read(&request.headers) {
            Ok(refer) => refer,
            Err(status) => return turn.respond_status(server, request, status),
        };
        self.dialog.refresh_target(&request.headers);
        self.dialog.refresh_flow(flow);
        let cseq = self.dialog.remote_cseq().unwrap_or(0);
        self.referring.theirs = Some(Theirs {
            referral: Referral::asked(refer.without_subscription, turn.now),
            server,
            refer: request.clone(),
            cseq,
            id: self.referring.accepted_before.then_some(cseq),
        });
        turn.out.push(Action::Referred(refer));
    }

    /// RFC 3515 §2.4.4: only a REFER makes such a subscription; a SUBSCRIBE refreshes or ends it.
    pub(super) fn handle_subscribe(
        &mut self,
        server: ServerId,
        request: &Request,
        turn: &mut Turn<'_>,
    ) {
        let id = match refer::event_id(&request.headers) {
            Ok(id) => id,
            Err(status) => {
                let mut response = request.response(status, None);
                if status == 489 {
                    // RFC 6665 §8.3.2: which events there are instead.
                    response.headers.push(Name::AllowEvents, REFER_EVENT);
                }
                return turn.respond(server, response);
            }
        };
        let is_same = |theirs: &Theirs| id == theirs.id || id == Some(theirs.cseq);
        let found = self.referring.theirs.as_mut().filter(|theirs| is_same(theirs));
        let Some(theirs) = found.filter(|theirs| theirs.referral.is_active()) else {
            return turn.respond_status(server, request, 403);
        };
        let Ok(expires_s) = request.headers.expires() else {
            return turn.respond_status(server, request, 400);
        };
        let mut actions = Vec::new();
        theirs.referral.handle(referral::Event::Subscribed { expires_s }, turn.now, &mut actions);
        self.perform_referral(actions, Some((server, request)), turn);
    }

    /// RFC 6665 §4.1.3: a NOTIFY that belongs to no REFER of ours is refused with 481, one of
    /// another event with 489.
    pub(super) fn handle_notify(
        &mut self,
        server: ServerId,
        request: &Request,
        turn: &mut Turn<'_>,
    ) {
        let id = match refer::event_id(&request.headers) {
            Ok(id) => id,
            Err(status) => return turn.respond_status(server, request, status),
        };
        let is_same = |ours: &&mut Ours| id.is_none_or(|id| id == ours.cseq);
        let Some(ours) = self.referring.ours.as_mut().filter(is_same) else {
            return turn.respond_status(server, request, 481);
        };
        let notice = match refer::read_notify(request) {
            Ok(notice) => notice,
            Err(status) => {
                let mut response = request.response(status, None);
                if status == 415 {
                    response.headers.push(Name::Accept, SIPFRAG);
                }
                return turn.respond(server, response);
            }
        };
        let refer::Notice { status, terminated, expires_s } = notice;
        let event = transfer::Event::Notified { status, terminated, expires_s };
        let told = ours.transfer.handle(event, turn.now);
        self.dialog.refresh_target(&request.headers);
        turn.respond_status(server, request, 200);
        self.tell_transfer(told, turn);
    }

    /// Sends our REFER (RFC 3515 §2.4.1).
    pub(super) fn transfer(&mut self, refer_to: &str, turn: &mut Turn<'_>) {
        let leg = self.leg;
        if self.state != State::Talking || self.referring.ours.is_some() {
            return turn.up(LegEvent::TransferProgress { leg, status: 491 });
        }
        if self.referring.theirs.is_some() {
            // They refer us at the same time; theirs came first.
            return turn.up(LegEvent::TransferProgress { leg, status: 491 });
        }
        let mut request = self.dialog.request(Method::Refer);
        request.headers.push(Name::ReferTo, refer_to);
        // RFC 3892 §2.1: who refers, for the one who will be called.
        request.headers.push(Name::ReferredBy, &self.dialog.local_address());
        let cseq = self.dialog.local_cseq();
        self.referring.ours = Some(Ours { transfer: Transfer::asked(), cseq });
        self.send(request, turn);
    }

    /// The layer above tells how the call goes that they asked for, or refuses it.
    pub(super) fn tell_referrer(&mut self, event: referral::Event, turn: &mut Turn<'_>) {
        let Some(theirs) = &mut self.referring.theirs else { return };
        let mut actions = Vec::new();
        theirs.referral.handle(event, turn.now, &mut actions);
        self.perform_referral(actions, None, turn);
    }

    /// A final response to our REFER or NOTIFY.
    pub(super) fn handle_referring_response(
        &mut self,
        method: &Method,
        response: &Response,
        turn: &mut Turn<'_>,
    ) {
        let Ok((cseq, _)) = response.headers.cseq() else { return };
        let status = response.status;
        match method {
            Method::Refer if self.referring.ours.as_ref().is_some_and(|o| o.cseq == cseq) => {
                let refer_sub = response.headers.get(Name::ReferSub).unwrap_or("");
                let without_subscription = refer_sub.eq_ignore_ascii_case("false");
                let event = transfer::Event::Answered { status, without_subscription };
                self.handle_transfer(event, turn);
            }
            Method::Notify if self.referring.notify == Some(cseq) => {
                self.referring.notify = None;
                self.tell_referrer(referral::Event::Answered { status }, turn);
            }
            _ => (),
        }
    }

    /// Our REFER or NOTIFY gets no answer.
    pub(super) fn handle_referring_failed(&mut self, method: &Method, turn: &mut Turn<'_>) {
        match method {
            Method::Refer => self.handle_transfer(transfer::Event::Failed, turn),
            Method::Notify => {
                self.referring.notify = None;
                self.tell_referrer(referral::Event::Failed, turn);
            }
            _ => (),
        }
    }

    /// A request of ours was sent once more under another CSeq, with credentials.
    pub(super) fn renumber_referring(&mut self, method: &Method, old: u32) {
        let new = self.dialog.local_cseq();
        match method {
            Method::Refer => {
                if let Some(ours) = self.referring.ours.as_mut().filter(|ours| ours.cseq == old) {
                    ours.cseq = new;
                }
            }
            Method::Notify if self.referring.notify == Some(old) => {
                self.referring.notify = Some(new);
            }
            _ => (),
        }
    }

    pub(super) fn referring_deadline(&mut self, turn: &mut Turn<'_>) {
        self.tell_referrer(referral::Event::Deadline, turn);
        self.handle_transfer(transfer::Event::Deadline, turn);
    }

    /// The call ends by our own wish: a REFER that nobody decided on is refused.
    pub(super) fn refuse_undecided(&mut self, turn: &mut Turn<'_>) {
        self.tell_referrer(referral::Event::Refuse(603), turn);
    }

    fn handle_transfer(&mut self, event: transfer::Event, turn: &mut Turn<'_>) {
        let Some(ours) = &mut self.referring.ours else { return };
        let told = ours.transfer.handle(event, turn.now);
        self.tell_transfer(told, turn);
    }

    fn tell_transfer(&mut self, told: Option<u16>, turn: &mut Turn<'_>) {
        self.referring.ours.take_if(|ours| ours.transfer.is_over());
        if let Some(status) = told {
            turn.up(LegEvent::TransferProgress { leg: self.leg, status });
        }
    }

    fn perform_referral(
        &mut self,
        actions: Vec<referral::Action>,
        subscribe: Option<(ServerId, &Request)>,
        turn: &mut Turn<'_>,
    ) {
        let Some(theirs) = self.referring.theirs.take() else { return };
        for action in actions {
            match action {
                referral::Action::Accept { without_subscription } => {
                    self.referring.accepted_before = true;
                    let mut response = theirs.refer.response(202, None);
                    response.headers.push(Name::Contact, &self.dialog.contact);
                    if without_subscription {
                        response.headers.push(Name::ReferSub, "false");
                    }
                    turn.respond(theirs.server, response);
                }
                referral::Action::Refuse(status) => {
                    turn.respond_status(theirs.server, &theirs.refer, status);
                }
                referral::Action::Confirm { expires_s } => {
                    let Some((server, request)) = subscribe else { continue };
                    let mut response = request.response(200, None);
                    response.headers.push(Name::Contact, &self.dialog.contact);
                    response.headers.push(Name::Expires, &expires_s.to_string());
                    turn.respond(server, response);
                }
                referral::Action::Notify { status, standing } => {
                    self.notify(status, standing, theirs.id, turn);
                }
            }
        }
        if !theirs.referral.is_over() {
            self.referring.theirs = Some(theirs);
        }
    }

    fn notify(&mut self, status: u16, standing: Standing, id: Option<u32>, turn: &mut Turn<'_>) {
        let mut request = self.dialog.request(Method::Notify);
        let event = match id {
            Some(id) => format!("{REFER_EVENT};id={id}"),
            None => REFER_EVENT.to_owned(),
        };
        let standing = match standing {
            Standing::Active { expires_s } => format!("active;expires={expires_s}"),
            Standing::NoResource => "terminated;reason=noresource".to_owned(),
            Standing::Timeout => "terminated;reason=timeout".to_owned(),
        };
        request.headers.push(Name::Event, &event);
        request.headers.push(Name::SubscriptionState, &standing);
        request.set_body(&format!("{SIPFRAG};version=2.0"), refer::sipfrag(status));
        self.referring.notify = Some(self.dialog.local_cseq());
        self.send(request, turn);
    }
}

/// A REFER in a dialog that is no more than early: who shall be transferred is not there yet.
pub(super) fn refuse_early(server: ServerId, request: &Request, turn: &mut Turn<'_>) {
    // RFC 3261 §21.4.27: an answer is awaited; after it, it may be asked again.
    turn.respond_status(server, request, 491);
}
