//! A call that we make, until it is answered or over (RFC 3261 §13.2, §9.1).
//!
//! ```text
//!          1xx: Ringing            2xx: ACK
//! Calling ────────────► Calling ──────────────────► Confirmed
//!    │                     │ rung out, HangUp: CANCEL
//!    │ rung out, HangUp    ▼                2xx: ACK, BYE
//!    ├──────► Unwanted ─► Cancelling ─────────────► Confirmed, closing
//!    │          1xx        │ 487, or silence
//!    └── refused, silent ──┴──► Over
//! ```
//!
//! Each fork that rings has an early dialog of its own (`fork`); the first 2xx picks one, with all that
//! was agreed on in it. Made by `endpoint` on `Dial`, which sends the first INVITE.

use crate::event::{Flow, LegEvent};
use crate::leg::change::{Changes, Wish};
use crate::leg::confirmed::{Confirmed, State as ConfirmedState};
use crate::leg::dialog::{Destination, Dialog};
use crate::leg::early::EarlyDialog;
use crate::leg::fork::{FORGOTTEN_MAX, FORKS_MAX, Fork};
use crate::leg::referring::{self, Referring};
use crate::leg::session_timer::{Asking, SessionTimer};
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{self, Action, Event, Leg, SDP, Turn, refused_by_us, with_reason};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::GIVE_UP_AFTER;
use crate::transaction::clients::{Failure, OtherFork, Others};
use crate::transaction::servers::ServerId;
use bytes::Bytes;
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::id::LegId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A call not yet answered.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) leg: LegId,
    /// The INVITE last sent, without its Via.
    pub(crate) invite: Request,
    pub(crate) flow: Flow,
    /// Whether the peer is reached only over `flow`.
    pub(crate) keeps_flow: bool,
    pub(crate) contact: Arc<str>,
    pub(crate) negotiation: Negotiation,
    pub(crate) local_media: SocketAddr,
    pub(crate) login: Option<TrunkLogin>,
    pub(crate) state: State,
    /// Until when anything at all must have been heard, while nothing has been.
    pub(crate) heard_until: Option<Instant>,
    /// Whether the layer above was told of the end: another way is being tried meanwhile.
    pub(crate) told: bool,
    /// The early dialogs, in the order in which they rang.
    pub(crate) forks: Vec<Fork>,
    /// Those that are followed no more.
    pub(crate) forgotten: Vec<OtherFork>,
    /// What is wanted of a session that no fork has begun yet.
    pub(crate) changes: Changes,
    /// The session interval that the INVITE asks for, if any.
    pub(crate) asking: Option<Asking>,
    /// What our requests say in `Supported`.
    pub(crate) supported: &'static str,
}

/// How far the call has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// Out, until `ring_until`.
    Calling {
        /// Whether anything has come back: only then may a CANCEL be sent (§9.1).
        provisional: bool,
        /// When it has rung for long enough.
        ring_until: Instant,
    },
    /// No longer wanted, but nothing has come back yet.
    Unwanted {
        /// What its end will mean.
        cause: Cause,
    },
    /// Cancelled. §9.1: without a final response by `until` it is forgotten.
    Cancelling {
        /// What its end will mean.
        cause: Cause,
        /// 64*T1 after the CANCEL.
        until: Instant,
    },
}

impl Outbound {
    /// Takes one event; the leg that follows this one, if it ends here.
    pub(super) fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Option<Leg> {
        match event {
            Event::HangUp { q850 } => {
                // We gave up before an answer.
                let q850 = q850.unwrap_or(16);
                let cause = Cause { kind: CauseKind::Cancelled, q850, ..refused_by_us(487) };
                self.withdraw(cause, turn);
                None
            }
            Event::Response { response } => self.handle_response(response, turn),
            Event::Failed { method: Method::Invite, failure, .. } => {
                let cause = match self.state {
                    State::Calling { .. } if failure == Failure::Unsent => Cause::unreachable(),
                    State::Calling { .. } => Cause::silent(),
                    State::Unwanted { cause } | State::Cancelling { cause, .. } => cause,
                };
                self.tell_end(cause, turn);
                Some(Leg::Over)
            }
            Event::Unsent { cause } => {
                turn.out.push(Action::Abandon);
                let cause = match self.state {
                    State::Calling { .. } => cause,
                    State::Unwanted { cause } | State::Cancelling { cause, .. } => cause,
                };
                self.tell_end(cause, turn);
                Some(Leg::Over)
            }
            // A CANCEL or PRACK that nobody answers changes nothing: the INVITE's own end counts. For
            // an UPDATE that does, what was agreed on stays.
            Event::Failed { request, .. } => {
                let request = request?;
                let to = request.headers.to().ok();
                let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or("");
                let known = |fork: &&mut Fork| *fork.early.dialog.remote_tag == *tag;
                if let Some(fork) = self.forks.iter_mut().find(known) {
                    fork.early.handle_failed(request);
                    self.pursue(turn);
                }
                None
            }
            Event::Hold { on } => {
                self.want(Wish { held: Some(on), ..Wish::default() }, turn);
                None
            }
            Event::Offer { local_media } => {
                self.want(Wish { local_media: Some(local_media), ..Wish::default() }, turn);
                None
            }
            Event::Deadline => self.handle_deadline(turn),
            Event::Request { server, request, flow } => {
                self.handle_request((server, request, flow), turn);
                None
            }
            Event::Transfer { .. } => {
                turn.transfer_too_early(self.leg);
                None
            }
            // Not for a call that we make, or not before its answer.
            Event::Progress { .. }
            | Event::Answer { .. }
            | Event::Refuse { .. }
            | Event::ReferProgress { .. }
            | Event::RefuseRefer { .. }
            | Event::Ack { .. }
            | Event::Cancel { .. } => None,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Calling { ring_until, .. } => {
                let changes = self.forks.iter().filter_map(|fork| fork.early.deadline());
                changes.chain([ring_until]).chain(self.heard_until).min()
            }
            State::Cancelling { until, .. } => Some(until),
            // Timer B ends it, or a response comes.
            State::Unwanted { .. } => None,
        }
    }

    pub(super) fn call_id(&self) -> Option<&str> {
        self.invite.headers.get(Name::CallId)
    }

    fn handle_deadline(&mut self, turn: &mut Turn<'_>) -> Option<Leg> {
        match self.state {
            State::Calling { ring_until, .. } if ring_until <= turn.now => {
                self.withdraw(Cause::rang_out(), turn);
                None
            }
            State::Cancelling { cause, until } if until <= turn.now => {
                turn.out.push(Action::Abandon);
                self.tell_end(cause, turn);
                Some(Leg::Over)
            }
            State::Calling { .. } if self.heard_until.is_some_and(|at| at <= turn.now) => {
                self.unheard(turn);
                None
            }
            State::Calling { .. } => {
                self.pursue(turn);
                None
            }
            State::Cancelling { .. } | State::Unwanted { .. } => None,
        }
    }

    /// Tells the layer above of the end, once.
    fn tell_end(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        if !std::mem::replace(&mut self.told, true) {
            turn.ended(self.leg, cause);
        }
    }

    /// Nothing was heard for as long as the call allows: told at once, so that another way can be
    /// tried. RFC 3261 §9.1 forbids a CANCEL before a response, so that one follows the first.
    fn unheard(&mut self, turn: &mut Turn<'_>) {
        let cause = Cause::silent();
        self.tell_end(cause, turn);
        self.forgo(cause, turn);
    }

    /// The call is no longer wanted.
    fn withdraw(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        match self.state {
            State::Calling { provisional: true, .. } => self.cancel(cause, turn),
            // A dead peer has not rung: Timer B will tell, and then it was silence.
            State::Calling { provisional: false, .. } if cause == Cause::rang_out() => {
                self.forgo(Cause::silent(), turn);
            }
            State::Calling { provisional: false, .. } => self.forgo(cause, turn),
            State::Unwanted { .. } | State::Cancelling { .. } => (),
        }
    }

    /// No CANCEL may be sent yet (§9.1), but nobody shall be rung anew.
    fn forgo(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        turn.out.push(Action::AskNoMore);
        self.state = State::Unwanted { cause };
    }

    fn cancel(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        turn.out.push(Action::Cancel { q850: cause.q850 });
        self.state = State::Cancelling { cause, until: turn.now + GIVE_UP_AFTER };
    }

    fn handle_response(&mut self, response: &Response, turn: &mut Turn<'_>) -> Option<Leg> {
        match response.headers.cseq() {
            Ok((_, Method::Invite)) => (),
            // The response to our CANCEL says nothing about the INVITE (§9.1).
            Ok((_, Method::Cancel)) | Err(_) => return None,
            Ok(_) => {
                self.handle_early_response(response, turn);
                return None;
            }
        }
        self.heard_until = None;
        match response.status {
            ..=199 => {
                self.handle_provisional(response, turn);
                None
            }
            200..=299 => Some(self.handle_answer(response, turn)),
            300.. => self.handle_refusal(response, turn),
        }
    }

    fn handle_provisional(&mut self, response: &Response, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Calling { provisional, .. } => *provisional = true,
            State::Unwanted { cause } => {
                let cause = *cause;
                self.cancel(cause, turn);
                return;
            }
            State::Cancelling { .. } => return,
        }
        if response.status == 100 {
            return;
        }
        let Some(at) = self.fork_of(response) else {
            // It makes no dialog: heard to ring, and no more.
            turn.up(LegEvent::Ringing { leg: self.leg, status: response.status, plan: None });
            return;
        };
        let invite_cseq = self.invite.headers.cseq().map_or(0, |(cseq, _)| cseq);
        let reliably = leg::offers_reliability(self.supported);
        let fork = &mut self.forks[at];
        let Some(taken) = fork.take(response, invite_cseq, self.local_media, reliably) else {
            return;
        };
        if let Some(prack) = taken.prack {
            fork.early.send(prack, &mut self.login, turn);
        }
        if taken.is_hopeless {
            // RFC 3261 §13.2.2.4, as for a 2xx: what they describe cannot be met.
            self.withdraw(refused_by_us(488), turn);
            return;
        }
        turn.up(LegEvent::Ringing { leg: self.leg, status: response.status, plan: taken.plan });
        if response.status == 199 {
            // RFC 6228 §4: this early dialog is over, the others go on.
            self.forget(at);
        }
        self.pursue(turn);
    }

    /// Follows a fork no more.
    fn forget(&mut self, at: usize) {
        let rest = self.forks.remove(at).rest();
        self.forgotten.retain(|known| known.tag != rest.tag);
        if self.forgotten.len() >= FORGOTTEN_MAX {
            self.forgotten.remove(0);
        }
        self.forgotten.push(rest);
    }

    /// The early dialog of a response, made if it is new (§12.1.2); `None` when it makes none.
    fn fork_of(&mut self, response: &Response) -> Option<usize> {
        let tag = response.headers.to_tag().unwrap_or("");
        let known = |fork: &Fork| *fork.early.dialog.remote_tag == *tag;
        if let Some(at) = self.forks.iter().position(known) {
            return Some(at);
        }
        let early = self.early_dialog(response)?;
        if self.forks.len() >= FORKS_MAX {
            self.forget(0);
        }
        self.forks.push(Fork::new(early));
        Some(self.forks.len() - 1)
    }

    fn early_dialog(&self, response: &Response) -> Option<EarlyDialog> {
        let contact = self.contact.clone();
        let mut dialog =
            Dialog::of_answer(response, &self.invite.uri, contact, self.flow, self.keeps_flow)?;
        if let Some(known) = self.forgotten.iter().find(|it| it.tag == dialog.remote_tag) {
            dialog.resume(known.cseq);
        }
        Some(EarlyDialog {
            dialog,
            negotiation: self.negotiation.clone(),
            session_timer: None,
            changes: self.changes,
            is_settled: false,
            peer_takes_update: response.headers.allows(&Method::Update) == Some(true),
        })
    }

    /// A request of theirs inside one of the early dialogs.
    fn handle_request(
        &mut self,
        (server, request, flow): (ServerId, &Request, Flow),
        turn: &mut Turn<'_>,
    ) {
        let from = request.headers.from().ok();
        let tag = from.as_ref().and_then(|from| from.tag()).unwrap_or("");
        let known = |fork: &Fork| *fork.early.dialog.remote_tag == *tag;
        let Some(at) = self.forks.iter().position(known) else {
            turn.respond_status(server, request, 481);
            return;
        };
        let fork = &mut self.forks[at];
        if fork.early.dialog.admit(request).is_err() {
            turn.respond_status(server, request, 500);
            return;
        }
        match request.method {
            Method::Update => {
                let local = self.local_media;
                let parts = (server, request, flow);
                if let Some(plan) = fork.early.handle_update(parts, local, turn) {
                    let (leg, status) = (self.leg, fork.status);
                    turn.up(LegEvent::Ringing { leg, status, plan: Some(plan) });
                }
            }
            // RFC 3261 §14.2: our own INVITE is under way.
            Method::Invite => turn.respond_status(server, request, 491),
            Method::Info => leg::handle_info(self.leg, server, request, turn),
            Method::Options => {
                let mut response = request.response(200, None);
                leg::add_capabilities(&mut response.headers);
                turn.respond(server, response);
            }
            // §15 forbids it to the callee; who does it all the same has left this fork (§15.1.2).
            Method::Bye => {
                turn.respond_status(server, request, 200);
                self.forget(at);
            }
            Method::Prack | Method::Notify => turn.respond_status(server, request, 481),
            Method::Refer => referring::refuse_early(server, request, turn),
            _ => turn.respond(server, leg::method_refused(request)),
        }
    }

    /// The response to a PRACK or UPDATE of ours.
    fn handle_early_response(&mut self, response: &Response, turn: &mut Turn<'_>) {
        if response.status < 200 {
            return;
        }
        let to = response.headers.to().ok();
        let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or("");
        let known = |fork: &&mut Fork| *fork.early.dialog.remote_tag == *tag;
        let Some(fork) = self.forks.iter_mut().find(known) else { return };
        if let Some(again) = fork.early.answer_challenge(response, &mut self.login) {
            return fork.early.send(again, &mut self.login, turn);
        }
        let local = self.local_media;
        if let Some((local, plan)) = fork.early.handle_updated(response, local, turn) {
            self.local_media = local;
            let (leg, status) = (self.leg, fork.status);
            turn.up(LegEvent::Ringing { leg, status, plan: Some(plan) });
        }
        self.pursue(turn);
    }

    /// What is wanted of the session: asked for in each early dialog that can be asked.
    fn want(&mut self, wish: Wish, turn: &mut Turn<'_>) {
        self.changes.want(wish);
        for fork in &mut self.forks {
            fork.early.changes.want(wish);
        }
        self.pursue(turn);
    }

    fn pursue(&mut self, turn: &mut Turn<'_>) {
        for fork in &mut self.forks {
            if let Some(update) = fork.early.pursue(self.local_media, turn.now) {
                fork.early.send(update, &mut self.login, turn);
            }
        }
    }

    /// 2xx: acknowledged in any case (§13.2.2.4); ended at once when unwanted or of no use.
    fn handle_answer(&mut self, response: &Response, turn: &mut Turn<'_>) -> Leg {
        let headers = &response.headers;
        let tag = headers.to_tag().unwrap_or("");
        let known = |fork: &Fork| *fork.early.dialog.remote_tag == *tag;
        let fork = match self.forks.iter().position(known) {
            Some(at) => {
                let mut fork = self.forks.swap_remove(at);
                fork.early.dialog.confirm(response);
                Some(fork)
            }
            None => self.early_dialog(response).map(Fork::new),
        };
        let Some(mut fork) = fork else {
            // The parser has checked all that a dialog is made of.
            self.tell_end(Cause::silent(), turn);
            return Leg::Over;
        };
        let (agreed, answer) = self.agree(&mut fork, response);
        let EarlyDialog { dialog, mut negotiation, changes, peer_takes_update, .. } = fork.early;
        let cseq = headers.cseq().map_or(0, |(cseq, _)| cseq);
        let forgotten = self.forgotten.drain(..).filter(|it| it.tag != dialog.remote_tag);
        let other_forks: Arc<[OtherFork]> =
            self.forks.iter().map(Fork::rest).chain(forgotten).collect();
        self.acknowledge(&dialog, (cseq, answer), other_forks.clone(), turn);
        if !changes.is_open() {
            negotiation.withdraw_offer();
        }
        let mut timer = SessionTimer::of_response(headers);
        if let Some(timer) = &mut timer {
            timer.restart(turn.now);
        }
        let takes_update = headers.allows(&Method::Update);
        let mut leg = Confirmed {
            leg: self.leg,
            dialog,
            negotiation,
            local_media: self.local_media,
            told: None,
            state: ConfirmedState::Talking,
            unacknowledged: None,
            session_timer: timer,
            changes,
            last_rseq: None,
            overtaken: None,
            supported: self.supported,
            q850: 16,
            peer_takes_update: takes_update.unwrap_or(peer_takes_update),
            login: self.login.take(),
            other_forks,
            referring: Referring::default(),
        };
        match (self.state, agreed) {
            (State::Calling { .. }, true) => {
                leg.tell(true, turn);
                leg.pursue(turn);
            }
            (State::Calling { .. }, false) => leg.end(refused_by_us(488), turn),
            // §9.1: the 2xx has crossed our CANCEL, or came before we could send it.
            (State::Unwanted { .. } | State::Cancelling { .. }, _) if !self.told => {
                leg.end(Cause::answered_late(), turn);
            }
            (State::Unwanted { .. } | State::Cancelling { .. }, _) => leg.send_bye(turn),
        }
        Leg::Confirmed(Box::new(leg))
    }

    /// Whether the 2xx brings a usable answer, or its own fork did before; where it brings the offer,
    /// our answer for the ACK.
    fn agree(&self, fork: &mut Fork, response: &Response) -> (bool, Option<Bytes>) {
        let (local_media, early) = (self.local_media, &mut fork.early);
        if early.is_settled {
            // §13.2.1: behind the answer that came reliably, descriptions are ignored.
            return (true, None);
        }
        if self.negotiation.is_offering() {
            if response.body.is_empty() {
                // §13.2.1 asks for the answer in the 2xx; many leave it at that of the 183.
                return (fork.is_answered, None);
            }
            let near = local_media.ip();
            return (early.negotiation.accept_again(&response.body, near).is_ok(), None);
        }
        match early.negotiation.answer(&response.body, local_media) {
            Ok((answer, _)) => (true, Some(answer)),
            // §13.2.2.4: an offer that cannot be met is answered in the ACK all the same.
            Err(_) => (false, early.negotiation.reject(&response.body, local_media.ip())),
        }
    }

    /// §13.2.2.4: the ACK bears the CSeq number and the credentials of the INVITE, and our answer
    /// where the 2xx made the offer.
    fn acknowledge(
        &self,
        dialog: &Dialog,
        (cseq, answer): (u32, Option<Bytes>),
        forks: Arc<[OtherFork]>,
        turn: &mut Turn<'_>,
    ) {
        let mut ack = dialog.ack(cseq);
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            ack.headers.copy(&self.invite.headers, name);
        }
        if let Some(answer) = answer {
            ack.set_body(SDP, answer);
        }
        let to_tag = (*dialog.remote_tag).into();
        let others = Some(Others { forks, offer: self.invite.body.is_empty() });
        turn.out.push(Action::Acknowledge { to_tag, ack, to: dialog.destination(), others });
    }

    fn handle_refusal(&mut self, response: &Response, turn: &mut Turn<'_>) -> Option<Leg> {
        let State::Calling { ring_until, .. } = self.state else {
            let (State::Unwanted { cause } | State::Cancelling { cause, .. }) = self.state else {
                return None;
            };
            self.tell_end(cause, turn);
            return Some(Leg::Over);
        };
        let is_asked_anew = match response.status {
            401 | 407 => self.answer_challenge(response, turn),
            422 => self.raise_interval(response, turn),
            _ => false,
        };
        if is_asked_anew {
            self.state = State::Calling { provisional: false, ring_until };
            // §12.3: a refusal ends all early dialogs.
            self.forks.clear();
            self.forgotten.clear();
            return None;
        }
        if let Some(seconds) = response.headers.retry_after() {
            let after = Duration::from_secs(seconds.into());
            turn.up(LegEvent::RetryAfter { leg: self.leg, after });
        }
        let cause = with_reason(Cause::from_status(response.status), &response.headers);
        self.tell_end(Cause { by: EndedBy::Peer, ..cause }, turn);
        Some(Leg::Over)
    }

    /// The INVITE once more inside the same dialling: same Call-ID and From, the next CSeq
    /// (RFC 3261 §8.1.3.5, §22.2). False when there is nothing to answer with.
    fn answer_challenge(&mut self, response: &Response, turn: &mut Turn<'_>) -> bool {
        let Some(login) = &mut self.login else { return false };
        let is_taken = login.take_challenge(response, &self.invite, self.flow.remote.ip());
        if is_taken {
            self.invite_again(turn);
        }
        is_taken
    }

    /// RFC 4028 §7.3: the interval is too small for somebody on the way; once more with his.
    fn raise_interval(&mut self, response: &Response, turn: &mut Turn<'_>) -> bool {
        let Some(asking) = &mut self.asking else { return false };
        if !asking.raise(&response.headers) {
            return false;
        }
        asking.write(&mut self.invite.headers);
        self.invite_again(turn);
        true
    }

    fn invite_again(&mut self, turn: &mut Turn<'_>) {
        let cseq = self.invite.headers.cseq().map_or(1, |(cseq, _)| cseq + 1);
        self.invite.headers.set(Name::CSeq, &format!("{cseq} INVITE"));
        if let Some(login) = &mut self.login {
            login.sign(&mut self.invite, self.flow.remote.ip(), turn.rng);
        }
        turn.send(self.invite.clone(), Destination::at(self.flow));
    }
}
