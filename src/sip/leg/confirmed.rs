//! A leg that is answered: both ends have a dialog (RFC 3261 §12–§15).
//!
//! ```text
//!            BYE, or our HangUp: BYE
//! Talking ───────────────────────────► Closing ── BYE answered ─► Over
//!    │ HangUp before their ACK                        ▲            ▲
//!    ├──────────► HangingUp ── ACK, or none: BYE ─────┘            │ they know how it went
//!    └── their BYE while their REFER is under way ─► Referred ─────┘
//! ```
//!
//! `referring` transfers, `reinvite` answers what changes the session and asks for changes of ours,
//! `answering` repeats a 2xx until its ACK. Calls nothing else. Called by `endpoint`.

use crate::event::{Flow, LegEvent};
use crate::leg::answering::{Answering, Due};
use crate::leg::change::Changes;
use crate::leg::dialog::Dialog;
use crate::leg::inbound::Inbound;
use crate::leg::referral;
use crate::leg::referring::Referring;
use crate::leg::reliable::{Rack, rseq_of};
use crate::leg::session_timer::{self, SessionTimer};
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{self, Event, Leg, Turn, with_reason};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Headers, Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::clients::{Failure, OtherFork};
use crate::transaction::servers::ServerId;
use domain::cause::{Cause, EndedBy};
use domain::id::LegId;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// An answered leg.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(super) leg: LegId,
    pub(crate) dialog: Dialog,
    pub(super) negotiation: Negotiation,
    pub(super) local_media: SocketAddr,
    /// What the layer above was told last.
    pub(super) told: Option<MediaPlan>,
    pub(super) state: State,
    pub(super) unacknowledged: Option<Unacknowledged>,
    pub(super) session_timer: Option<SessionTimer>,
    /// What we change, and what of it waits for its answer.
    pub(super) changes: Changes,
    /// The last reliable provisional response to a re-INVITE of ours.
    pub(super) last_rseq: Option<u32>,
    /// A reliable provisional response of ours that our 2xx overtook (RFC 3262 §3).
    pub(super) overtaken: Option<Rack>,
    /// What our requests say in `Supported`.
    pub(super) supported: &'static str,
    /// Why we hang up, for `Reason`.
    pub(super) q850: u8,
    pub(super) peer_takes_update: bool,
    pub(super) login: Option<TrunkLogin>,
    /// The forks that did not take the call: what they still answer is their own.
    pub(super) other_forks: Arc<[OtherFork]>,
    /// The REFERs of both sides.
    pub(super) referring: Referring,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Talking,
    /// Hung up by us while their ACK is out: RFC 3261 §15 forbids the BYE until it comes.
    HangingUp,
    /// Our BYE is on its way; the layer above knows of the end.
    Closing,
    /// They hung up, and still want to know what becomes of their REFER (RFC 5057 §4.1).
    Referred,
}

/// Our 2xx to an INVITE of theirs, before its ACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) server: ServerId,
    pub(super) cseq: u32,
    pub(super) response: Response,
    pub(super) wait: Answering,
    /// Whether the 2xx carried our offer, so that the ACK brings their answer.
    pub(super) answer_comes: bool,
    /// Whether it answers the INVITE that made the leg.
    pub(super) is_first: bool,
}

impl Confirmed {
    /// The leg after our first 2xx.
    pub(super) fn of_inbound(
        inbound: &mut Inbound,
        (local_media, answer_comes): (SocketAddr, bool),
        response: Response,
        overtaken: Option<Rack>,
        now: Instant,
    ) -> Self {
        let headers = &inbound.invite.headers;
        let early = &inbound.early;
        let unacknowledged = Unacknowledged {
            server: inbound.server,
            cseq: headers.cseq().map_or(0, |(cseq, _)| cseq),
            response,
            wait: Answering::start(now),
            answer_comes,
            is_first: true,
        };
        Self {
            leg: inbound.leg,
            dialog: early.dialog.clone(),
            negotiation: early.negotiation.clone(),
            local_media,
            told: None,
            state: State::Talking,
            unacknowledged: Some(unacknowledged),
            session_timer: early.session_timer,
            changes: early.changes,
            last_rseq: None,
            overtaken,
            supported: inbound.supported,
            q850: 16,
            peer_takes_update: headers.allows(&Method::Update) == Some(true),
            login: inbound.login.take(),
            other_forks: Arc::default(),
            referring: Referring::default(),
        }
    }

    /// Takes one event; the leg that follows this one, if it ends here.
    pub(super) fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Option<Leg> {
        let next = self.handle_event(event, turn);
        let is_done = self.state == State::Referred && !self.referring.owes_word();
        next.or_else(|| is_done.then_some(Leg::Over))
    }

    fn handle_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Option<Leg> {
        match event {
            Event::HangUp { q850 } => {
                self.hang_up(q850, turn);
                None
            }
            Event::Hold { on } => {
                self.hold(on, turn);
                None
            }
            Event::Offer { local_media } => {
                self.offer(local_media, turn);
                None
            }
            Event::Transfer { refer_to } => {
                self.transfer(refer_to, turn);
                None
            }
            Event::ReferProgress { status } => {
                self.tell_referrer(referral::Event::Progress(status), turn);
                None
            }
            Event::RefuseRefer { status } => {
                self.tell_referrer(referral::Event::Refuse(status), turn);
                None
            }
            Event::Request { server, request, flow } => {
                self.handle_request(server, request, flow, turn)
            }
            Event::Ack { request } => {
                self.handle_ack(request, turn);
                None
            }
            Event::Response { response } => self.handle_response(response, turn),
            Event::Failed { method, request, failure } => {
                self.handle_failed(method, request, failure, turn)
            }
            // What has been answered was sent.
            Event::Unsent { .. } => None,
            Event::Deadline => {
                self.handle_deadline(turn);
                None
            }
            // Too late: the leg is answered.
            Event::Progress { .. }
            | Event::Answer { .. }
            | Event::Refuse { .. }
            | Event::Cancel { .. } => None,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let answering = self.unacknowledged.as_ref().map(|open| open.wait.deadline());
        let timer = match self.state {
            State::Talking => self.session_timer.as_ref().and_then(SessionTimer::deadline),
            State::HangingUp | State::Closing | State::Referred => None,
        };
        let referring = match self.state {
            State::Talking | State::Referred => self.referring.deadline(),
            State::HangingUp | State::Closing => None,
        };
        let change = match self.state {
            // While an INVITE of theirs is unfinished, its end is what counts.
            State::Talking if answering.is_none() => self.changes.deadline(),
            State::Talking | State::HangingUp | State::Closing | State::Referred => None,
        };
        answering.into_iter().chain(timer).chain(change).chain(referring).min()
    }

    /// Whether the call is over, and only the dialog has still something to do.
    pub(crate) fn is_ended(&self) -> bool {
        self.state != State::Talking
    }

    /// Whether a 2xx answers a re-INVITE of ours.
    pub(crate) fn awaits_answer(&self, response: &Response) -> bool {
        response.headers.cseq().is_ok_and(|(cseq, _)| self.changes.open(cseq).is_some())
    }

    fn handle_request(
        &mut self,
        server: ServerId,
        request: &Request,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) -> Option<Leg> {
        if self.dialog.admit(request).is_err() {
            // RFC 3261 §12.2.2: out of order.
            turn.respond_status(server, request, 500);
            return None;
        }
        match (&request.method, self.state) {
            // Theirs and ours may cross; both are answered.
            (Method::Bye, state) => {
                turn.respond_status(server, request, 200);
                if state == State::Talking {
                    let cause = with_reason(Cause::normal(EndedBy::Peer), &request.headers);
                    turn.ended(self.leg, cause);
                    return self.enter_referred();
                }
                // Once more: what they asked before still gets its answer.
                return (state != State::Referred).then_some(Leg::Over);
            }
            (Method::Subscribe, State::Talking | State::Referred) => {
                self.handle_subscribe(server, request, turn);
            }
            // For all else the dialog is over once somebody has hung up.
            (_, State::HangingUp | State::Closing | State::Referred) => {
                turn.respond_status(server, request, 481);
            }
            (Method::Invite, State::Talking) => self.handle_reinvite(server, request, flow, turn),
            (Method::Update, State::Talking) => self.handle_update(server, request, flow, turn),
            (Method::Info, State::Talking) => leg::handle_info(self.leg, server, request, turn),
            (Method::Options, State::Talking) => {
                let mut response = request.response(200, None);
                leg::add_capabilities(&mut response.headers);
                turn.respond(server, response);
            }
            // RFC 3262 §3: for a response that our 2xx overtook.
            (Method::Prack, State::Talking)
                if self.overtaken.is_some() && Rack::of(request) == self.overtaken =>
            {
                self.overtaken = None;
                turn.respond_status(server, request, 200);
            }
            (Method::Refer, State::Talking) => self.handle_refer(server, request, flow, turn),
            (Method::Notify, State::Talking) => self.handle_notify(server, request, turn),
            // RFC 3262 §3: nothing of ours is being acknowledged.
            (Method::Prack, State::Talking) => turn.respond_status(server, request, 481),
            (_, State::Talking) => turn.respond(server, leg::method_refused(request)),
        }
        None
    }

    fn handle_ack(&mut self, ack: &Request, turn: &mut Turn<'_>) {
        let cseq = ack.headers.cseq().map_or(0, |(cseq, _)| cseq);
        let Some(open) = self.unacknowledged.take_if(|open| open.cseq == cseq) else { return };
        if self.state == State::HangingUp {
            self.send_bye(turn);
            return;
        }
        if open.answer_comes {
            // RFC 3261 §13.2.2.4: the answer to our offer comes with the ACK.
            let accepted = self.negotiation.accept(&ack.body, self.local_media.ip());
            if accepted.is_err() && open.is_first {
                self.end(leg::refused_by_us(488), turn);
                return;
            }
            self.negotiation.withdraw_offer();
        }
        self.tell(open.is_first, turn);
        self.pursue(turn);
    }

    /// Tells the layer above of the sound, if it is new.
    pub(super) fn tell(&mut self, is_first: bool, turn: &mut Turn<'_>) {
        let Some(plan) = self.negotiation.plan() else { return };
        let plan = self.dialog.heard_by(plan.clone());
        let leg = self.leg;
        if !is_first && self.told.is_none() {
            // Changed before the ACK: it is told when the call is established.
            return;
        }
        if is_first {
            turn.up(LegEvent::Established { leg, plan: plan.clone() });
        } else if self.told.as_ref() != Some(&plan) {
            turn.up(LegEvent::Changed { leg, plan: plan.clone() });
        }
        self.told = Some(plan);
    }

    fn handle_response(&mut self, response: &Response, turn: &mut Turn<'_>) -> Option<Leg> {
        let Ok((cseq, method)) = response.headers.cseq() else { return None };
        if self.is_of_another_fork(&response.headers) {
            return None;
        }
        if response.status < 200 {
            self.handle_provisional(cseq, response, turn);
            return None;
        }
        let asked = self.login.as_mut().and_then(|login| login.answered(response));
        if let Some(again) = asked.as_ref().and_then(|asked| self.answer_challenge(response, asked))
        {
            if self.changes.open(cseq).is_some() {
                self.changes.renumber(self.dialog.local_cseq());
            }
            self.renumber_referring(&method, cseq);
            self.send(again, turn);
            return None;
        }
        match method {
            Method::Bye if self.state == State::Closing => Some(Leg::Over),
            Method::Invite | Method::Update => {
                if let Some(open) = self.changes.open(cseq) {
                    self.handle_changed(open, response, asked.as_ref(), turn);
                }
                None
            }
            Method::Refer | Method::Notify => {
                self.handle_referring_response(&method, response, turn);
                None
            }
            // An answer to what we no longer ask.
            _ => None,
        }
    }

    /// A reliable provisional response to a re-INVITE of ours is acknowledged (RFC 3262 §4), and a
    /// description in it is the answer.
    fn handle_provisional(&mut self, cseq: u32, response: &Response, turn: &mut Turn<'_>) {
        let Some(open) = self.changes.open(cseq).filter(|open| open.is_invite) else { return };
        let Some(rseq) = rseq_of(response).filter(|_| leg::offers_reliability(self.supported))
        else {
            return;
        };
        if self.last_rseq.is_some_and(|last| last.checked_add(1) != Some(rseq)) {
            return;
        }
        self.last_rseq = Some(rseq);
        if !response.body.is_empty() && self.negotiation.is_offering() {
            let wished = open.wish.and_then(|wish| wish.local_media);
            let local = wished.unwrap_or(self.local_media);
            // A bad one is left to the final response.
            let _ = self.negotiation.accept(&response.body, local.ip());
        }
        let mut prack = self.dialog.request(Method::Prack);
        prack.headers.push(Name::RAck, &format!("{rseq} {cseq} INVITE"));
        self.send(prack, turn);
    }

    /// A request once more, with the next CSeq (RFC 3261 §22.2), if its challenge can be answered.
    fn answer_challenge(&mut self, response: &Response, asked: &Request) -> Option<Request> {
        let host = self.dialog.destination().flow.remote.ip();
        if !self.login.as_mut()?.take_challenge(response, asked, host) {
            return None;
        }
        let mut again = asked.clone();
        self.dialog.renumber(&mut again);
        Some(again)
    }

    /// Whether a request of ours, or its response, belongs to a fork that did not take the call.
    fn is_of_another_fork(&self, headers: &Headers) -> bool {
        let to = headers.to().ok();
        let tag = to.as_ref().and_then(|to| to.tag());
        tag.is_some_and(|tag| self.other_forks.iter().any(|other| *other.tag == *tag))
    }

    fn handle_failed(
        &mut self,
        method: &Method,
        request: Option<&Request>,
        failure: Failure,
        turn: &mut Turn<'_>,
    ) -> Option<Leg> {
        if request.is_some_and(|request| self.is_of_another_fork(&request.headers)) {
            return None;
        }
        let is_change = match request.and_then(|request| request.headers.cseq().ok()) {
            Some((cseq, _)) => self.changes.open(cseq).is_some(),
            None => self.changes.is_open(),
        };
        match method {
            Method::Bye if self.state == State::Closing => Some(Leg::Over),
            Method::Invite | Method::Update if is_change => {
                self.handle_change_failed(failure, turn);
                None
            }
            _ => {
                self.handle_referring_failed(method, turn);
                None
            }
        }
    }

    /// Their BYE ends the call; a REFER of theirs goes on, and they are told of it.
    fn enter_referred(&mut self) -> Option<Leg> {
        self.unacknowledged = None;
        self.session_timer = None;
        self.referring.forget_ours();
        self.state = State::Referred;
        None
    }

    fn handle_deadline(&mut self, turn: &mut Turn<'_>) {
        if let Some(open) = &mut self.unacknowledged {
            match open.wait.handle_deadline(turn.now) {
                Due::Nothing => (),
                Due::SendAgain => turn.respond(open.server, open.response.clone()),
                // §13.3.1.4, §14.2: no ACK in 64*T1 ends the dialog.
                Due::GiveUp => {
                    self.unacknowledged = None;
                    self.end(Cause::silent(), turn);
                    return;
                }
            }
        }
        if matches!(self.state, State::Talking | State::Referred) {
            self.referring_deadline(turn);
        }
        if self.state != State::Talking {
            return;
        }
        match self.session_timer.as_ref().map(|timer| timer.due(turn.now)) {
            Some(session_timer::Due::Refresh) => self.refresh(turn),
            // RFC 4028 §10: no refresh came, or ours was not taken.
            Some(session_timer::Due::End) => self.end(Cause::silent(), turn),
            Some(session_timer::Due::Nothing) | None => (),
        }
        self.pursue(turn);
    }

    fn hang_up(&mut self, q850: Option<u8>, turn: &mut Turn<'_>) {
        if self.state == State::Talking {
            let normal = Cause::normal(EndedBy::Us);
            self.end(Cause { q850: q850.unwrap_or(normal.q850), ..normal }, turn);
        }
    }

    /// Ends the leg for the layer above, if it has not ended yet, and the dialog by BYE as soon
    /// as that is allowed.
    pub(super) fn end(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        let waits_for_ack = self.unacknowledged.as_ref().is_some_and(|open| open.is_first);
        match self.state {
            State::Talking => {
                turn.ended(self.leg, cause);
                self.refuse_undecided(turn);
                self.q850 = cause.q850;
                if waits_for_ack {
                    self.state = State::HangingUp;
                } else {
                    self.send_bye(turn);
                }
            }
            State::HangingUp => self.send_bye(turn),
            State::Closing | State::Referred => (),
        }
    }

    pub(super) fn send_bye(&mut self, turn: &mut Turn<'_>) {
        self.state = State::Closing;
        self.unacknowledged = None;
        self.session_timer = None;
        let mut bye = self.dialog.request(Method::Bye);
        bye.headers.push(Name::Reason, &leg::reason(self.q850));
        self.send(bye, turn);
    }

    /// Sends a request inside the dialog, with credentials where they were asked for.
    pub(super) fn send(&mut self, mut request: Request, turn: &mut Turn<'_>) {
        let to = self.dialog.destination();
        if let Some(login) = &mut self.login {
            login.sign_and_keep(&mut request, to.flow.remote.ip(), turn.rng);
        }
        turn.send(request, to);
    }
}
