//! A call that comes in, until it is answered or refused (RFC 3261 §13.3, §9.2).
//!
//! ```text
//! INVITE ─► Waiting ── Progress: 18x ┐
//!              ▲───────────────────┘
//!              ├── Answer: 200 ─────────────► Confirmed
//!              ├── Refuse: 300–699 ─────────► Over
//!              └── CANCEL, BYE, expiry: 487 ► Over
//! ```
//!
//! Made by `endpoint` when an INVITE has passed all checks; the offer in it is already read.

use crate::event::{IncomingCall, LegEvent, Source};
use crate::leg::confirmed::Confirmed;
use crate::leg::dialog::Dialog;
use crate::leg::session_timer::SessionTimer;
use crate::leg::{self, Event, Leg, SDP, Turn, refused_by_us, with_reason};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::servers::ServerId;
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
    pub(crate) dialog: Dialog,
    pub(crate) negotiation: Negotiation,
    /// What their offer came to; `None` when the offer is left to us.
    pub(crate) plan: Option<MediaPlan>,
    pub(crate) session_timer: Option<SessionTimer>,
    /// 180 again, so that proxies do not give up.
    pub(crate) ring_again_at: Option<Instant>,
    /// The INVITE's own expiry (RFC 3261 §13.3.1), or the latest we allow.
    pub(crate) expires_at: Instant,
}

/// RFC 3261 §13.3.1.1: a provisional response at every minute keeps proxies from cancelling.
const RING_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Inbound {
    /// Takes one event; the leg that follows this one, if it ends here.
    pub(super) fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Option<Leg> {
        match event {
            Event::Progress { .. } => {
                self.ring(turn);
                None
            }
            Event::Hold { .. } | Event::Offer { .. } => None,
            Event::Answer { local_media } => Some(self.answer(local_media, turn)),
            Event::Refuse { status, retry_after_s } => {
                Some(self.refuse(status, retry_after_s, turn))
            }
            // 480: nobody here will take the call (RFC 3261 §21.4.18).
            Event::HangUp { .. } => Some(self.refuse(480, None, turn)),
            Event::Cancel { request } => {
                let cause = with_reason(Cause::from_status(487), &request.headers);
                Some(self.terminate(cause, turn))
            }
            Event::Request { server, request, .. } => self.handle_request(server, request, turn),
            Event::Deadline => self.handle_deadline(turn),
            // Nothing is acknowledged and nothing of ours is answered before our answer.
            Event::Ack { .. } | Event::Response { .. } | Event::Failed { .. } => None,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.ring_again_at.map_or(self.expires_at, |at| at.min(self.expires_at)))
    }

    fn handle_deadline(&mut self, turn: &mut Turn<'_>) -> Option<Leg> {
        if self.expires_at <= turn.now {
            // §13.3.1: the invitation expired before we answered.
            return Some(self.terminate(Cause::from_status(487), turn));
        }
        if self.ring_again_at.is_some_and(|at| at <= turn.now) {
            self.ring(turn);
        }
        None
    }

    fn handle_request(
        &mut self,
        server: ServerId,
        request: &Request,
        turn: &mut Turn<'_>,
    ) -> Option<Leg> {
        if self.dialog.admit(request).is_err() {
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
            // §14.2 and RFC 3311 §5.2: the offer of the INVITE is not answered yet.
            Method::Invite | Method::Update => turn.respond_busy(server, request),
            Method::Info => leg::handle_info(self.leg, server, request, turn),
            Method::Options => {
                let mut response = request.response(200, None);
                leg::add_capabilities(&mut response.headers);
                turn.respond(server, response);
            }
            // RFC 3262 §3: we sent nothing reliably.
            Method::Prack => turn.respond_status(server, request, 481),
            _ => turn.respond(server, leg::method_refused(request)),
        }
        None
    }

    fn ring(&mut self, turn: &mut Turn<'_>) {
        let response = self.response(180);
        turn.respond(self.server, response);
        self.ring_again_at = Some(turn.now + RING_AGAIN_AFTER);
    }

    fn answer(&mut self, local_media: SocketAddr, turn: &mut Turn<'_>) -> Leg {
        let body = match self.plan {
            Some(_) => match self.negotiation.answer(&self.invite.body, local_media) {
                Ok((body, plan)) => {
                    self.plan = Some(plan);
                    body
                }
                // Our port is of another address family than the one the offer was read for.
                Err(error) => return self.refuse(error.status(), None, turn),
            },
            // §13.2.1: the INVITE had no offer, so the 2xx carries ours.
            None => self.negotiation.offer(local_media),
        };
        let mut response = self.response(200);
        response.set_body(SDP, body);
        if let Some(timer) = &mut self.session_timer {
            timer.write(&mut response.headers);
            timer.restart(turn.now);
        }
        turn.respond(self.server, response.clone());
        Leg::Confirmed(Box::new(Confirmed::of_inbound(self, local_media, response, turn.now)))
    }

    fn refuse(&mut self, status: u16, retry_after_s: Option<u32>, turn: &mut Turn<'_>) -> Leg {
        let status = if (300..=699).contains(&status) { status } else { 500 };
        let mut response = self.response(status);
        if let Some(seconds) = retry_after_s {
            response.headers.push(Name::RetryAfter, &seconds.to_string());
        }
        turn.respond(self.server, response);
        turn.ended(self.leg, refused_by_us(status));
        Leg::Over
    }

    /// 487: the caller gave up (RFC 3261 §9.2, §15.1.2).
    fn terminate(&mut self, cause: Cause, turn: &mut Turn<'_>) -> Leg {
        let response = self.response(487);
        turn.respond(self.server, response);
        turn.ended(self.leg, cause);
        Leg::Over
    }

    fn response(&self, status: u16) -> Response {
        let mut response = self.invite.response(status, Some(&self.local_tag));
        if status < 300 {
            response.headers.push(Name::Contact, &self.dialog.contact);
            leg::add_capabilities(&mut response.headers);
        }
        response
    }

    /// The event that tells of the call.
    pub(crate) fn incoming(&self, source: Source, call: IncomingCall) -> LegEvent {
        LegEvent::Incoming { leg: self.leg, source, call: Box::new(call), plan: self.plan.clone() }
    }
}
