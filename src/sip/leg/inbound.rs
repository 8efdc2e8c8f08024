//! A call that comes in, until it is answered or refused (RFC 3261 §13.3, §9.2), with its provisional
//! responses (RFC 3262 §3) and its early media (RFC 3960).
//!
//! ```text
//! INVITE ─► Waiting ── Progress: 18x, again until its PRACK ──┐
//!              ▲──────────────────────────────────────────────┘
//!              ├── Answer: 200, after the PRACK to our description ─► Confirmed
//!              ├── Refuse: 300–699; no PRACK: 504 ──────────────────► Over
//!              └── CANCEL, BYE, expiry: 487 ────────────────────────► Over
//! ```
//!
//! Made by `endpoint` when an INVITE has passed all checks; the offer in it is already read.

use crate::event::{Flow, IncomingCall, LegEvent, Source};
use crate::leg::change::Wish;
use crate::leg::confirmed::Confirmed;
use crate::leg::early::EarlyDialog;
use crate::leg::referring;
use crate::leg::reliable::{Due, Rack, Reliable};
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{self, Action, Event, Leg, SDP, Turn, refused_by_us, with_reason};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::transaction::servers::ServerId;
use bytes::Bytes;
use domain::cause::Cause;
use domain::id::LegId;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A call not yet answered.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) leg: LegId,
    pub(crate) server: ServerId,
    pub(crate) invite: Request,
    /// Our tag on To.
    pub(crate) local_tag: Box<str>,
    pub(crate) early: EarlyDialog,
    /// For a call from a trunk that may challenge our requests.
    pub(crate) login: Option<TrunkLogin>,
    /// What their offer came to; `None` when the offer is left to us.
    pub(crate) plan: Option<MediaPlan>,
    /// Our reliable provisional responses; `None` where they are not agreed on.
    pub(crate) reliable: Option<Reliable>,
    /// Whether no provisional response may be sent in any other way (RFC 3262 §3).
    pub(crate) must_be_reliable: bool,
    /// What our later requests say in `Supported`.
    pub(crate) supported: &'static str,
    pub(crate) sound: Sound,
    /// The provisional status given last.
    pub(crate) status: u16,
    /// The answer is ordered and waits for a PRACK.
    pub(crate) answer_at: Option<SocketAddr>,
    /// A provisional response again, so that proxies do not give up.
    pub(crate) ring_again_at: Option<Instant>,
    /// The INVITE's own expiry (RFC 3261 §13.3.1), or the latest we allow.
    pub(crate) expires_at: Instant,
}

/// How far our own description has come before the answer.
#[derive(Clone, Debug)]
pub(crate) enum Sound {
    /// None has left.
    Unsaid,
    /// It went out unreliably: the same goes into each further response until the 2xx (RFC 3261
    /// §13.2.1).
    Said {
        /// The answer.
        body: Bytes,
        /// Our RTP address in it.
        local_media: SocketAddr,
    },
    /// It went out reliably, as answer or as offer: once, and never again (RFC 3262 §5).
    Agreed {
        /// Our RTP address in it.
        local_media: SocketAddr,
    },
}

/// RFC 3261 §13.3.1.1: a provisional response at every minute keeps proxies from cancelling.
const RING_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// RFC 3262 §3: one that cannot be lost is sent every two and a half minutes.
const RING_AGAIN_RELIABLY_AFTER: Duration = Duration::from_secs(150);

impl Inbound {
    /// Takes one event; the leg that follows this one, if it ends here.
    pub(super) fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Option<Leg> {
        match event {
            Event::Progress { status, local_media } => self.progress(status, local_media, turn),
            Event::Answer { local_media } => self.answer(local_media, turn),
            Event::Refuse { status, retry_after_s, q850 } => {
                Some(self.refuse(status, retry_after_s, q850, turn))
            }
            // 480: nobody here will take the call (RFC 3261 §21.4.18).
            Event::HangUp { q850 } => Some(self.refuse(480, None, q850, turn)),
            Event::Cancel { request } => {
                let cause = with_reason(Cause::from_status(487), &request.headers);
                Some(self.terminate(cause, turn))
            }
            Event::Hold { on } => {
                self.want(Wish { held: Some(on), ..Wish::default() }, turn);
                None
            }
            Event::Offer { local_media } => {
                self.want(Wish { local_media: Some(local_media), ..Wish::default() }, turn);
                None
            }
            Event::Request { server, request, flow } => {
                self.handle_request(server, request, flow, turn)
            }
            Event::Response { response } => self.handle_response(response, turn),
            Event::Failed { request, .. } => {
                self.early.handle_failed(request?);
                self.go_on(None, turn)
            }
            // Of a call that we make alone.
            Event::Unsent { .. } => None,
            Event::Deadline => self.handle_deadline(turn),
            Event::Transfer { .. } => {
                turn.transfer_too_early(self.leg);
                None
            }
            // Nothing is acknowledged before our answer; a REFER was refused.
            Event::Ack { .. } | Event::ReferProgress { .. } | Event::RefuseRefer { .. } => None,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let reliable = self.reliable.as_ref().and_then(Reliable::deadline);
        let change = self.early.deadline().filter(|_| self.answer_at.is_none());
        let all = [self.ring_again_at, reliable, change];
        all.into_iter().flatten().chain([self.expires_at]).min()
    }

    fn handle_deadline(&mut self, turn: &mut Turn<'_>) -> Option<Leg> {
        if self.expires_at <= turn.now {
            // §13.3.1: the invitation expired before we answered.
            return Some(self.terminate(Cause::from_status(487), turn));
        }
        match self.reliable.as_mut().map(|reliable| reliable.handle_deadline(turn.now)) {
            Some(Due::SendAgain(response)) => turn.respond(self.server, response),
            // RFC 3262 §3: without PRACK in 64*T1 the INVITE is refused with a 5xx.
            Some(Due::GiveUp) => {
                let response = self.response(504);
                turn.respond(self.server, response);
                turn.ended(self.leg, Cause { status: 504, ..Cause::silent() });
                return Some(Leg::Over);
            }
            Some(Due::Nothing) | None => (),
        }
        self.pursue(turn);
        if self.ring_again_at.take_if(|at| *at <= turn.now).is_some() {
            return self.progress(self.status, None, turn);
        }
        None
    }

    fn handle_request(
        &mut self,
        server: ServerId,
        request: &Request,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) -> Option<Leg> {
        if self.early.dialog.admit(request).is_err() {
            turn.respond_status(server, request, 500);
            return None;
        }
        match request.method {
            // §15.1.2: a caller may end the early dialog by BYE.
            Method::Bye => {
                turn.respond_status(server, request, 200);
                let cause = with_reason(Cause::from_status(487), &request.headers);
                return Some(self.terminate(cause, turn));
            }
            // §14.2: the first INVITE is not finished yet.
            Method::Invite => turn.respond_busy(server, request),
            Method::Update => {
                let local_media = self.local_media();
                let parts = (server, request, flow);
                if let Some(plan) = self.early.handle_update(parts, local_media, turn) {
                    turn.up(LegEvent::Changed { leg: self.leg, plan });
                }
            }
            Method::Info => leg::handle_info(self.leg, server, request, turn),
            Method::Options => {
                let mut response = request.response(200, None);
                leg::add_capabilities(&mut response.headers);
                turn.respond(server, response);
            }
            Method::Prack => return self.handle_prack(server, request, turn),
            Method::Refer => referring::refuse_early(server, request, turn),
            // RFC 6665 §4.1.3: no REFER of ours is being notified of.
            Method::Notify => turn.respond_status(server, request, 481),
            _ => turn.respond(server, leg::method_refused(request)),
        }
        None
    }

    fn handle_response(&mut self, response: &Response, turn: &mut Turn<'_>) -> Option<Leg> {
        if response.status < 200 {
            return None;
        }
        if let Some(again) = self.early.answer_challenge(response, &mut self.login) {
            self.early.send(again, &mut self.login, turn);
            return None;
        }
        let local_media = self.local_media();
        if let Some((local_media, plan)) = self.early.handle_updated(response, local_media, turn) {
            self.sound = Sound::Agreed { local_media };
            turn.up(LegEvent::Changed { leg: self.leg, plan });
        }
        self.go_on(None, turn)
    }

    /// RFC 3262 §3, §5: the PRACK to a provisional response of ours, perhaps with the answer to the
    /// offer in it, or with an offer of its own.
    fn handle_prack(
        &mut self,
        server: ServerId,
        prack: &Request,
        turn: &mut Turn<'_>,
    ) -> Option<Leg> {
        let invite_cseq = self.invite.headers.cseq().map_or(0, |(cseq, _)| cseq);
        let matched = Rack::of(prack)
            .and_then(|rack| self.reliable.as_mut()?.acknowledge(rack, invite_cseq, turn.now));
        let Some(matched) = matched else {
            turn.respond_status(server, prack, 481);
            return None;
        };
        self.early.is_settled |= matched.had_description;
        let near = self.local_media();
        let mut response = prack.response(200, None);
        if matched.had_description && self.early.negotiation.is_offering() {
            let accepted = self.early.negotiation.accept(&prack.body, near.ip());
            turn.respond(server, response);
            let Ok(plan) = accepted else {
                // RFC 3262 §5 demands the answer here: the call cannot come about.
                return Some(self.refuse(488, None, None, turn));
            };
            self.tell(plan, turn);
        } else if prack.body.is_empty() {
            turn.respond(server, response);
        } else {
            let answered = match leg::check_body(prack, None) {
                Ok(()) => self.early.negotiation.answer(&prack.body, near),
                Err(refusal) => {
                    turn.respond(server, *refusal);
                    return self.go_on(matched.next, turn);
                }
            };
            match answered {
                Ok((body, plan)) => {
                    response.set_body(SDP, body);
                    turn.respond(server, response);
                    self.tell(plan, turn);
                }
                Err(error) => turn.respond_status(server, prack, error.status()),
            }
        }
        self.go_on(matched.next, turn)
    }

    /// What waited for a PRACK, or for the end of a change: the next provisional response, the answer,
    /// another change.
    fn go_on(&mut self, next: Option<Response>, turn: &mut Turn<'_>) -> Option<Leg> {
        if let Some(next) = next {
            turn.respond(self.server, next);
        }
        let next = self.answer_at.and_then(|local_media| self.answer(local_media, turn));
        if next.is_none() {
            self.pursue(turn);
        }
        next
    }

    fn tell(&mut self, plan: MediaPlan, turn: &mut Turn<'_>) {
        let plan = self.early.dialog.heard_by(plan);
        turn.up(LegEvent::Changed { leg: self.leg, plan });
    }

    /// Our RTP address, as far as it is known.
    fn local_media(&self) -> SocketAddr {
        match &self.sound {
            Sound::Said { local_media, .. } | Sound::Agreed { local_media } => *local_media,
            // Nothing is agreed on before an address is known.
            Sound::Unsaid => SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    fn want(&mut self, wish: Wish, turn: &mut Turn<'_>) {
        self.early.changes.want(wish);
        self.pursue(turn);
    }

    fn pursue(&mut self, turn: &mut Turn<'_>) {
        if self.answer_at.is_some() {
            // It would keep the answer waiting. Whoever is answered is asked by re-INVITE.
            return;
        }
        if let Some(update) = self.early.pursue(self.local_media(), turn.now) {
            self.early.send(update, &mut self.login, turn);
        }
    }

    fn progress(
        &mut self,
        status: u16,
        local_media: Option<SocketAddr>,
        turn: &mut Turn<'_>,
    ) -> Option<Leg> {
        if self.answer_at.is_some() {
            return None;
        }
        let status = if (180..=183).contains(&status) { status } else { 183 };
        self.status = status;
        let mut response = self.response(status);
        let is_first_word = matches!(self.sound, Sound::Unsaid);
        if let Some(local_media) = local_media.filter(|_| is_first_word) {
            match self.describe(local_media) {
                Ok(Some(body)) => response.set_body(SDP, body),
                Ok(None) => (),
                // Our port is of another address family than the one the offer was read for.
                Err(status) => return Some(self.refuse(status, None, None, turn)),
            }
        } else if let Sound::Said { body, .. } = &self.sound {
            response.set_body(SDP, body.clone());
        }
        self.send_provisional(response, turn);
        None
    }

    /// Our description for a provisional response; none where an offer of ours could get lost.
    ///
    /// # Errors
    /// The status to refuse the call with.
    fn describe(&mut self, local_media: SocketAddr) -> Result<Option<Bytes>, u16> {
        let negotiation = &mut self.early.negotiation;
        if self.plan.is_some() {
            let answered = negotiation.answer(&self.invite.body, local_media);
            let (body, plan) = answered.map_err(|error| error.status())?;
            self.plan = Some(plan);
            self.sound = match self.reliable {
                Some(_) => Sound::Agreed { local_media },
                None => Sound::Said { body: body.clone(), local_media },
            };
            return Ok(Some(body));
        }
        if self.reliable.is_none() {
            // RFC 3261 §13.2.1: an offer of ours goes into a response that cannot get lost.
            return Ok(None);
        }
        self.sound = Sound::Agreed { local_media };
        Ok(Some(negotiation.offer(local_media)))
    }

    fn send_provisional(&mut self, response: Response, turn: &mut Turn<'_>) {
        // RFC 3262 §5: the first reliable response to an INVITE without offer has ours; as long as
        // we have none, it can only be sent unreliably, or not at all.
        let lacks_offer = self.plan.is_none() && matches!(self.sound, Sound::Unsaid);
        let reliable = self.reliable.as_mut().filter(|_| !lacks_offer);
        let pause = match reliable {
            Some(reliable) => {
                if let Some(response) = reliable.send(response, turn.now) {
                    turn.respond(self.server, response);
                }
                RING_AGAIN_RELIABLY_AFTER
            }
            None if self.must_be_reliable => return,
            None => {
                turn.respond(self.server, response);
                RING_AGAIN_AFTER
            }
        };
        self.ring_again_at = Some(turn.now + pause);
    }

    fn answer(&mut self, local_media: SocketAddr, turn: &mut Turn<'_>) -> Option<Leg> {
        if self.reliable.as_ref().is_some_and(Reliable::awaits_description)
            || self.early.negotiation.is_offering()
        {
            // RFC 3262 §5: not before our description is acknowledged, and an offer answered.
            self.answer_at = Some(local_media);
            return None;
        }
        let (body, local_media) = match (&self.sound, &self.plan) {
            (Sound::Said { body, local_media }, _) => (Some(body.clone()), *local_media),
            // RFC 3311 §8: what was agreed on reliably is not said again.
            (Sound::Agreed { local_media }, _) => (None, *local_media),
            (Sound::Unsaid, Some(_)) => {
                match self.early.negotiation.answer(&self.invite.body, local_media) {
                    Ok((body, plan)) => {
                        self.plan = Some(plan);
                        (Some(body), local_media)
                    }
                    // Our port is of another address family than the one the offer was read for.
                    Err(error) => return Some(self.refuse(error.status(), None, None, turn)),
                }
            }
            // §13.2.1: the INVITE had no offer, so the 2xx carries ours.
            (Sound::Unsaid, None) => (Some(self.early.negotiation.offer(local_media)), local_media),
        };
        let mut response = self.response(200);
        if let Some(body) = body {
            response.set_body(SDP, body);
        }
        if let Some(timer) = &mut self.early.session_timer {
            timer.write(&mut response.headers);
            timer.restart(turn.now);
        }
        turn.respond(self.server, response.clone());
        let invite_cseq = self.invite.headers.cseq().map_or(0, |(cseq, _)| cseq);
        let overtaken = self.reliable.take().and_then(|reliable| reliable.finish(invite_cseq));
        let answer_comes = self.early.negotiation.is_offering();
        let sound = (local_media, answer_comes);
        let leg = Confirmed::of_inbound(self, sound, response, overtaken, turn.now);
        Some(Leg::Confirmed(Box::new(leg)))
    }

    fn refuse(
        &mut self,
        status: u16,
        retry_after_s: Option<u32>,
        q850: Option<u8>,
        turn: &mut Turn<'_>,
    ) -> Leg {
        let status = if (300..=699).contains(&status) { status } else { 500 };
        let mut response = self.response(status);
        if let Some(seconds) = retry_after_s {
            response.headers.push(Name::RetryAfter, &seconds.to_string());
        }
        let mut cause = refused_by_us(status);
        if let Some(q850) = q850 {
            response.headers.push(Name::Reason, &leg::reason(q850));
            cause.q850 = q850;
        }
        turn.respond(self.server, response);
        self.await_prack(turn);
        turn.ended(self.leg, cause);
        Leg::Over
    }

    /// 487: the caller gave up (RFC 3261 §9.2, §15.1.2).
    fn terminate(&mut self, cause: Cause, turn: &mut Turn<'_>) -> Leg {
        let response = self.response(487);
        turn.respond(self.server, response);
        self.await_prack(turn);
        turn.ended(self.leg, cause);
        Leg::Over
    }

    /// RFC 3262 §3: the final response has overtaken what is not acknowledged.
    fn await_prack(&mut self, turn: &mut Turn<'_>) {
        let invite_cseq = self.invite.headers.cseq().map_or(0, |(cseq, _)| cseq);
        let overtaken = self.reliable.take().and_then(|reliable| reliable.finish(invite_cseq));
        if let Some(rack) = overtaken {
            let dialog = &self.early.dialog;
            let (call_id, remote_tag) = (dialog.call_id.clone(), dialog.remote_tag.clone());
            turn.out.push(Action::AwaitPrack { rack, call_id, remote_tag });
        }
    }

    fn response(&self, status: u16) -> Response {
        let mut response = self.invite.response(status, Some(&self.local_tag));
        if status < 300 {
            response.headers.push(Name::Contact, &self.early.dialog.contact);
            leg::add_capabilities(&mut response.headers);
        }
        response
    }

    /// The event that tells of the call.
    pub(crate) fn incoming(&self, source: Source, call: IncomingCall) -> LegEvent {
        LegEvent::Incoming { leg: self.leg, source, call: Box::new(call), plan: self.plan.clone() }
    }
}
