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
//! Made by `endpoint` on `Dial`, which sends the first INVITE.

use crate::event::{Flow, LegEvent};
use crate::leg::confirmed::{Confirmed, State as ConfirmedState};
use crate::leg::dialog::{Dialog, heard_from};
use crate::leg::session_timer::SessionTimer;
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{Action, Event, Leg, Turn, refused_by_us, with_reason};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::GIVE_UP_AFTER;
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::id::LegId;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

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
    /// The fork that agreed on early media last, by its tag.
    pub(crate) early: Option<Box<str>>,
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
            Event::HangUp { q850: _ } => {
                // We gave up before an answer.
                let cause = Cause { kind: CauseKind::Cancelled, q850: 16, ..refused_by_us(487) };
                self.withdraw(cause, turn);
                None
            }
            Event::Response { response } => self.handle_response(response, turn),
            Event::Failed { method: Method::Invite } => {
                let cause = match self.state {
                    State::Calling { .. } => Cause::silent(),
                    State::Unwanted { cause } | State::Cancelling { cause, .. } => cause,
                };
                turn.ended(self.leg, cause);
                Some(Leg::Over)
            }
            // A CANCEL that nobody answers changes nothing: the INVITE's own end counts.
            Event::Failed { .. } => None,
            Event::Deadline => self.handle_deadline(turn),
            Event::Request { server, request, .. } => {
                match request.method {
                    // RFC 3261 §14.2, RFC 3311 §5.2: our offer has no answer yet.
                    Method::Invite | Method::Update => {
                        turn.respond_status(server, request, 491);
                    }
                    // No dialog is confirmed yet; of early ones none is kept.
                    _ => turn.respond_status(server, request, 481),
                }
                None
            }
            // Not for a call that we make.
            Event::Progress { .. }
            | Event::Hold { .. }
            | Event::Offer { .. }
            | Event::Answer { .. }
            | Event::Refuse { .. }
            | Event::Ack { .. }
            | Event::Cancel { .. } => None,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Calling { ring_until, .. } => Some(ring_until),
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
                turn.ended(self.leg, cause);
                Some(Leg::Over)
            }
            State::Calling { .. } | State::Cancelling { .. } | State::Unwanted { .. } => None,
        }
    }

    /// The call is no longer wanted.
    fn withdraw(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        match self.state {
            State::Calling { provisional: true, .. } => self.cancel(cause, turn),
            // A dead peer has not rung: Timer B will tell, and then it was silence.
            State::Calling { provisional: false, .. } if cause == Cause::rang_out() => {
                self.state = State::Unwanted { cause: Cause::silent() };
            }
            State::Calling { provisional: false, .. } => self.state = State::Unwanted { cause },
            State::Unwanted { .. } | State::Cancelling { .. } => (),
        }
    }

    fn cancel(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        turn.out.push(Action::Cancel);
        self.state = State::Cancelling { cause, until: turn.now + GIVE_UP_AFTER };
    }

    fn handle_response(&mut self, response: &Response, turn: &mut Turn<'_>) -> Option<Leg> {
        match response.headers.cseq() {
            Ok((_, Method::Invite)) => (),
            // The response to our CANCEL says nothing about the INVITE (§9.1).
            _ => return None,
        }
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
        let plan = self.early_plan(response);
        turn.up(LegEvent::Ringing { leg: self.leg, status: response.status, plan });
    }

    /// Early media: the SDP of a provisional response is the answer as far as that fork goes
    /// (RFC 3261 §13.2.1, RFC 3960 §3.1).
    fn early_plan(&mut self, response: &Response) -> Option<MediaPlan> {
        if response.body.is_empty() {
            return None;
        }
        let local = self.local_media.ip();
        let plan = self.negotiation.accept_again(&response.body, local).ok()?;
        self.early = response.headers.to().ok()?.tag().map(Into::into);
        Some(heard_from(self.flow, plan))
    }

    /// 2xx: acknowledged in any case (§13.2.2.4); ended at once when unwanted or of no use.
    fn handle_answer(&mut self, response: &Response, turn: &mut Turn<'_>) -> Leg {
        let headers = &response.headers;
        let contact = self.contact.clone();
        let made =
            Dialog::of_answer(response, &self.invite.uri, contact, self.flow, self.keeps_flow);
        let Some(dialog) = made else {
            // The parser has checked all that a dialog is made of.
            turn.ended(self.leg, Cause::silent());
            return Leg::Over;
        };
        let agreed = self.accept(response, &dialog);
        let cseq = dialog.local_cseq();
        self.acknowledge(&dialog, cseq, turn);
        let mut timer = SessionTimer::of_response(headers);
        if let Some(timer) = &mut timer {
            timer.restart(turn.now);
        }
        let mut leg = Confirmed {
            leg: self.leg,
            dialog,
            negotiation: self.negotiation.clone(),
            local_media: self.local_media,
            told: None,
            state: ConfirmedState::Talking,
            unacknowledged: None,
            session_timer: timer,
            refreshing: None,
            peer_takes_update: headers.allows(&Method::Update) == Some(true),
            login: self.login.take(),
            last_request: None,
        };
        match (self.state, agreed) {
            (State::Calling { .. }, true) => leg.tell(true, turn),
            (State::Calling { .. }, false) => leg.end(refused_by_us(488), turn),
            // §9.1: the 2xx has crossed our CANCEL, or came before we could send it.
            (State::Unwanted { .. } | State::Cancelling { .. }, _) => {
                leg.end(Cause::answered_late(), turn);
            }
        }
        Leg::Confirmed(Box::new(leg))
    }

    /// Whether the 2xx brings a usable answer, or its own fork did before.
    fn accept(&mut self, response: &Response, dialog: &Dialog) -> bool {
        let agreed = if response.body.is_empty() {
            // §13.2.1 asks for the answer in the 2xx; many leave it at that of the 183.
            self.early.as_deref() == Some(&*dialog.remote_tag)
        } else {
            self.negotiation.accept_again(&response.body, self.local_media.ip()).is_ok()
        };
        self.negotiation.withdraw_offer();
        agreed
    }

    /// §13.2.2.4: the ACK bears the CSeq number and the credentials of the INVITE.
    fn acknowledge(&self, dialog: &Dialog, cseq: u32, turn: &mut Turn<'_>) {
        let mut ack = dialog.ack(cseq);
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            ack.headers.copy(&self.invite.headers, name);
        }
        let to_tag = (*dialog.remote_tag).into();
        turn.out.push(Action::Acknowledge { to_tag, ack, flow: dialog.destination() });
    }

    fn handle_refusal(&mut self, response: &Response, turn: &mut Turn<'_>) -> Option<Leg> {
        let State::Calling { ring_until, .. } = self.state else {
            let (State::Unwanted { cause } | State::Cancelling { cause, .. }) = self.state else {
                return None;
            };
            turn.ended(self.leg, cause);
            return Some(Leg::Over);
        };
        if matches!(response.status, 401 | 407) && self.answer_challenge(response, turn) {
            self.state = State::Calling { provisional: false, ring_until };
            return None;
        }
        let cause = with_reason(Cause::from_status(response.status), &response.headers);
        turn.ended(self.leg, Cause { by: EndedBy::Peer, ..cause });
        Some(Leg::Over)
    }

    /// The INVITE once more inside the same dialling: same Call-ID and From, the next CSeq
    /// (RFC 3261 §8.1.3.5, §22.2). False when there is nothing to answer with.
    fn answer_challenge(&mut self, response: &Response, turn: &mut Turn<'_>) -> bool {
        let Some(login) = &mut self.login else { return false };
        let Some((name, value)) = login.answer(response, &self.invite, turn.rng) else {
            return false;
        };
        let cseq = self.invite.headers.cseq().map_or(1, |(cseq, _)| cseq + 1);
        self.invite.headers.set(Name::CSeq, &format!("{cseq} INVITE"));
        self.invite.headers.set(name, &value);
        turn.send(self.invite.clone(), self.flow);
        true
    }
}
