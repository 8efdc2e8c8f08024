//! Changes of a running session: re-INVITE (RFC 3261 §14), UPDATE (RFC 3311), hold (RFC 3264
//! §8.4) and the refreshes of session timers (RFC 4028).
//!
//! The part of `confirmed` that negotiates. We never change a session ourselves; we refresh it
//! where the timer is ours.

use crate::event::Flow;
use crate::leg::answering::Answering;
use crate::leg::confirmed::{Confirmed, State, Unacknowledged};
use crate::leg::session_timer::{INTERVAL_MIN_S, SessionTimer};
use crate::leg::{self, Action, SDP, Turn};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::transaction::servers::ServerId;
use domain::cause::Cause;
use std::time::Duration;

/// RFC 3261 §14.1 asks for up to 2 s, or 2.1 to 4 s where we chose the Call-ID, before a request
/// that met another is tried again. A refresh has time, so it always takes the longest.
const RETRY_REFRESH_AFTER: Duration = Duration::from_secs(4);

impl Confirmed {
    pub(super) fn handle_reinvite(
        &mut self,
        server: ServerId,
        request: &Request,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) {
        // §14.2: an INVITE before the last one is finished. Ours is finished by its ACK.
        if self.unacknowledged.is_some() {
            turn.respond_busy(server, request);
            return;
        }
        // §14.2: one of ours is under way.
        if self.refreshing.is_some() {
            turn.respond_status(server, request, 491);
            return;
        }
        let Some(mut response) = self.change(server, request, flow, turn) else { return };
        let answer_comes = request.body.is_empty();
        if answer_comes {
            // §14.2: without an offer in it, the 2xx carries ours.
            response.set_body(SDP, self.negotiation.offer(self.local_media));
        }
        turn.respond(server, response.clone());
        self.unacknowledged = Some(Unacknowledged {
            server,
            cseq: self.dialog.remote_cseq().unwrap_or(0),
            response,
            wait: Answering::start(turn.now),
            answer_comes,
            is_first: false,
        });
        if !answer_comes {
            self.tell(false, turn);
        }
    }

    pub(super) fn handle_update(
        &mut self,
        server: ServerId,
        request: &Request,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) {
        let has_offer = !request.body.is_empty();
        // RFC 3311 §5.2: an offer of ours is out.
        if has_offer && self.negotiation.is_offering() {
            turn.respond_status(server, request, 491);
            return;
        }
        let Some(response) = self.change(server, request, flow, turn) else { return };
        turn.respond(server, response);
        if has_offer {
            self.tell(false, turn);
        }
    }

    /// Reads offer, timer and Contact of a re-INVITE or UPDATE, and makes the 2xx; `None` when it
    /// was refused, and the session stays as it was (§14.2).
    fn change(
        &mut self,
        server: ServerId,
        request: &Request,
        flow: Flow,
        turn: &mut Turn<'_>,
    ) -> Option<Response> {
        let Ok(timer) = SessionTimer::of_request(&request.headers) else {
            let mut response = request.response(422, None);
            response.headers.push(Name::MinSe, &INTERVAL_MIN_S.to_string());
            turn.respond(server, response);
            return None;
        };
        let mut response = request.response(200, None);
        if !request.body.is_empty() {
            if let Err(refusal) = leg::check_body(request, None) {
                turn.respond(server, *refusal);
                return None;
            }
            match self.negotiation.answer(&request.body, self.local_media) {
                Ok((body, _)) => response.set_body(SDP, body),
                Err(error) => {
                    turn.respond_status(server, request, error.status());
                    return None;
                }
            }
        }
        self.dialog.refresh_target(&request.headers);
        self.dialog.refresh_flow(flow);
        response.headers.push(Name::Contact, &self.dialog.contact);
        leg::add_capabilities(&mut response.headers);
        self.set_session_timer(timer, turn);
        if let Some(timer) = &self.session_timer {
            timer.write(&mut response.headers);
        }
        Some(response)
    }

    /// Sends our refresh: UPDATE where they take it, else a re-INVITE with the session as it is
    /// (RFC 4028 §7.2).
    pub(super) fn refresh(&mut self, turn: &mut Turn<'_>) {
        let Some(timer) = &mut self.session_timer else { return };
        timer.pause();
        let timer = *timer;
        if self.unacknowledged.is_some() {
            self.retry_refresh(RETRY_REFRESH_AFTER, turn);
            return;
        }
        let method = if self.peer_takes_update { Method::Update } else { Method::Invite };
        let is_invite = method == Method::Invite;
        let mut request = self.dialog.request(method);
        timer.write_request(&mut request.headers);
        if is_invite {
            request.set_body(SDP, self.negotiation.offer_again(self.local_media));
        }
        self.refreshing = Some(self.dialog.local_cseq());
        self.send(request, turn);
    }

    /// The final response to our refresh.
    pub(super) fn handle_refreshed(
        &mut self,
        method: &Method,
        response: &Response,
        turn: &mut Turn<'_>,
    ) {
        let cseq = self.refreshing.take().unwrap_or(0);
        let is_invite = *method == Method::Invite;
        match response.status {
            200..=299 => {
                // RFC 3261 §12.2.1.2: before the ACK, which goes there already.
                self.dialog.refresh_target(&response.headers);
                if is_invite {
                    self.acknowledge(cseq, turn);
                }
                // The leg has ended meanwhile: the ACK was all that was owed.
                if self.state != State::Talking {
                    return;
                }
                if is_invite {
                    // An answer that cannot be read changes nothing.
                    let _ = self.negotiation.accept(&response.body, self.local_media.ip());
                    self.negotiation.withdraw_offer();
                    self.tell(false, turn);
                }
                self.set_session_timer(SessionTimer::of_response(&response.headers), turn);
            }
            _ if self.state != State::Talking => (),
            // RFC 3261 §12.2.1.2: the dialog is gone at the other end.
            408 | 481 => self.end(Cause::from_status(response.status), turn),
            422 if self.session_timer.as_mut().is_some_and(|t| t.raise(&response.headers)) => {
                self.negotiation.withdraw_offer();
                self.refresh(turn);
            }
            status => {
                self.negotiation.withdraw_offer();
                if matches!(status, 405 | 501) {
                    // Their Allow said otherwise; a re-INVITE everybody takes.
                    self.peer_takes_update = false;
                }
                let is_glare = status == 491;
                let pause = if is_glare { RETRY_REFRESH_AFTER } else { self.pause_after_refusal() };
                self.retry_refresh(pause, turn);
            }
        }
    }

    /// Puts another session timer in force; what was learnt of the path stays known.
    fn set_session_timer(&mut self, timer: Option<SessionTimer>, turn: &Turn<'_>) {
        let old = self.session_timer.take();
        self.session_timer = timer.map(|timer| timer.started_after(old.as_ref(), turn.now));
    }

    /// RFC 4028 §10: not over and over; a few times until the session runs out.
    fn pause_after_refusal(&self) -> Duration {
        self.session_timer.as_ref().map_or(RETRY_REFRESH_AFTER, SessionTimer::retry_pause)
    }

    /// Acknowledges a 2xx to a re-INVITE of ours.
    fn acknowledge(&self, cseq: u32, turn: &mut Turn<'_>) {
        let to_tag = (*self.dialog.remote_tag).into();
        let ack = self.dialog.ack(cseq);
        let flow = self.dialog.destination();
        turn.out.push(Action::Acknowledge { to_tag, ack, flow });
    }

    fn retry_refresh(&mut self, pause: Duration, turn: &mut Turn<'_>) {
        if let Some(timer) = &mut self.session_timer {
            timer.retry_after(pause, turn.now);
        }
    }
}
