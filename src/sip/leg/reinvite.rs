//! Changes of a running session: re-INVITE (RFC 3261 §14), UPDATE (RFC 3311), hold (RFC 3264
//! §8.4) and the refreshes of session timers (RFC 4028).
//!
//! The part of `confirmed` that negotiates: theirs first, then ours. When ours may be asked for,
//! `change` says.

use crate::event::Flow;
use crate::leg::answering::Answering;
use crate::leg::change::{Open, Wish};
use crate::leg::confirmed::{Confirmed, State, Unacknowledged};
use crate::leg::dialog::Dialog;
use crate::leg::session_timer::{INTERVAL_MIN_S, SessionTimer};
use crate::leg::{self, Action, SDP, Turn};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::clients::Failure;
use crate::transaction::servers::ServerId;
use domain::cause::Cause;
use std::net::SocketAddr;
use std::time::Duration;

/// A refresh that met a change of theirs comes again in this time, as RFC 3261 §14.1 has it for
/// one's own changes at the latest.
const REFRESH_LATER: Duration = Duration::from_secs(4);

/// What a request of theirs may change, in an early dialog or in a confirmed one.
pub(super) struct Session<'a> {
    pub(super) dialog: &'a mut Dialog,
    pub(super) negotiation: &'a mut Negotiation,
    pub(super) session_timer: &'a mut Option<SessionTimer>,
    pub(super) local_media: SocketAddr,
}

impl Session<'_> {
    /// Reads offer, timer and Contact of a re-INVITE or UPDATE, and makes the 2xx; `None` when it
    /// was refused, and the session stays as it was (RFC 3261 §14.2).
    pub(super) fn change(
        &mut self,
        (server, request, flow): (ServerId, &Request, Flow),
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
        self.set_timer(timer, turn);
        if let Some(timer) = &self.session_timer {
            timer.write(&mut response.headers);
        }
        Some(response)
    }

    /// Puts another session timer in force; what was learnt of the path stays known.
    fn set_timer(&mut self, timer: Option<SessionTimer>, turn: &Turn<'_>) {
        let old = self.session_timer.take();
        *self.session_timer = timer.map(|timer| timer.started_after(old.as_ref(), turn.now));
    }
}

impl Confirmed {
    fn session(&mut self) -> Session<'_> {
        Session {
            dialog: &mut self.dialog,
            negotiation: &mut self.negotiation,
            session_timer: &mut self.session_timer,
            local_media: self.local_media,
        }
    }

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
        // §14.2, and RFC 3311 §5.2 for UPDATE: one of ours is under way.
        if self.changes.collides() {
            turn.respond_status(server, request, 491);
            return;
        }
        let Some(mut response) = self.session().change((server, request, flow), turn) else {
            return;
        };
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
        if has_offer && (self.negotiation.is_offering() || self.changes.collides()) {
            turn.respond_status(server, request, 491);
            return;
        }
        let Some(response) = self.session().change((server, request, flow), turn) else { return };
        turn.respond(server, response);
        if has_offer {
            self.tell(false, turn);
        }
    }

    /// Ordered: hold the other end, or take it back.
    pub(super) fn hold(&mut self, held: bool, turn: &mut Turn<'_>) {
        let is_held = self.negotiation.is_held();
        if is_held == held && !self.changes.is_open() {
            // What waited to be asked for is no longer wanted.
            self.changes.forget_hold();
        } else if self.changes.wanted().held.unwrap_or(is_held) != held {
            self.changes.want(Wish { held: Some(held), ..Wish::default() });
            self.pursue(turn);
        }
    }

    /// Ordered: offer our sound at this address.
    pub(super) fn offer(&mut self, local_media: SocketAddr, turn: &mut Turn<'_>) {
        self.changes.want(Wish { local_media: Some(local_media), ..Wish::default() });
        self.pursue(turn);
    }

    /// Asks for what is wanted, if it may be asked for by now: no INVITE of either end is under way
    /// (§14.1).
    pub(super) fn pursue(&mut self, turn: &mut Turn<'_>) {
        if self.state != State::Talking
            || self.unacknowledged.is_some()
            || self.negotiation.is_offering()
        {
            return;
        }
        let Some(wish) = self.changes.take_next(turn.now) else { return };
        let held = wish.held.unwrap_or(self.negotiation.is_held());
        let local_media = wish.local_media.unwrap_or(self.local_media);
        let offer = self.negotiation.offer_held(local_media, held);
        // RFC 3311 §5.1: in a confirmed dialog a re-INVITE is recommended, which a person may
        // be asked about.
        self.send_change(Method::Invite, Some(offer), Some(wish), turn);
    }

    /// Sends our refresh: UPDATE where they take it, else a re-INVITE with the session as it is
    /// (RFC 4028 §7.2).
    pub(super) fn refresh(&mut self, turn: &mut Turn<'_>) {
        if let Some(timer) = &mut self.session_timer {
            timer.pause();
        }
        if self.unacknowledged.is_some() || self.changes.is_open() {
            self.retry_refresh(REFRESH_LATER, turn);
        } else if self.peer_takes_update {
            self.send_change(Method::Update, None, None, turn);
        } else {
            let offer = self.negotiation.offer_again(self.local_media);
            self.send_change(Method::Invite, Some(offer), None, turn);
        }
    }

    /// Each re-INVITE and UPDATE of ours refreshes the session, too (RFC 4028 §7.4).
    fn send_change(
        &mut self,
        method: Method,
        offer: Option<bytes::Bytes>,
        wish: Option<Wish>,
        turn: &mut Turn<'_>,
    ) {
        let is_invite = method == Method::Invite;
        let mut request = self.dialog.request(method);
        if let Some(timer) = &mut self.session_timer {
            timer.write_request(&mut request.headers);
            timer.pause();
        }
        request.headers.push(Name::Supported, self.supported);
        let offers = offer.is_some();
        if let Some(offer) = offer {
            request.set_body(SDP, offer);
        }
        let cseq = self.dialog.local_cseq();
        self.changes.begin(Open { cseq, is_invite, offers, wish });
        self.last_rseq = None;
        self.send(request, turn);
    }

    /// The final response to a change or refresh of ours.
    pub(super) fn handle_changed(
        &mut self,
        open: Open,
        response: &Response,
        asked: Option<&Request>,
        turn: &mut Turn<'_>,
    ) {
        self.changes.end();
        match response.status {
            200..=299 => self.handle_agreed(open, response, asked, turn),
            _ if self.state != State::Talking => (),
            // RFC 3261 §12.2.1.2: the dialog is gone at the other end.
            408 | 481 => self.end(Cause::from_status(response.status), turn),
            422 if self.session_timer.as_mut().is_some_and(|t| t.raise(&response.headers)) => {
                self.negotiation.withdraw_offer();
                match open.wish {
                    Some(wish) => {
                        self.changes.retry(wish, Duration::ZERO, turn.now);
                        self.pursue(turn);
                    }
                    None => self.refresh(turn),
                }
            }
            status => {
                // §14.1: the session stays as it was before.
                self.negotiation.withdraw_offer();
                if matches!(status, 405 | 501) && !open.is_invite {
                    // Their Allow said otherwise; a re-INVITE everybody takes.
                    self.peer_takes_update = false;
                }
                let pause = self.changes.pause_after(response, turn.rng);
                if let (Some(wish), Some(pause)) = (open.wish, pause) {
                    self.changes.retry(wish, pause, turn.now);
                }
                // It was a refresh as well, and is still owed.
                let pause = pause.unwrap_or_else(|| self.pause_after_refusal());
                self.retry_refresh(pause, turn);
                self.pursue(turn);
            }
        }
    }

    /// A change or refresh of ours has no final response.
    pub(super) fn handle_change_failed(&mut self, failure: Failure, turn: &mut Turn<'_>) {
        match failure {
            // RFC 4028 §10: nobody answers the refresh; RFC 3261 §12.2.1.2 ends the dialog.
            Failure::NoResponse => self.end(Cause::silent(), turn),
            // §8.1.3.1: as good as a 503, after which the session stays as it was (§14.1).
            Failure::TransportFailed | Failure::Unsent => {
                let wish = self.changes.end().and_then(|open| open.wish);
                self.negotiation.withdraw_offer();
                let pause = self.pause_after_refusal();
                if let Some(wish) = wish {
                    self.changes.retry(wish, pause, turn.now);
                }
                self.retry_refresh(pause, turn);
            }
        }
    }

    fn handle_agreed(
        &mut self,
        open: Open,
        response: &Response,
        asked: Option<&Request>,
        turn: &mut Turn<'_>,
    ) {
        // RFC 3261 §12.2.1.2: before the ACK, which goes there already.
        self.dialog.refresh_target(&response.headers);
        if open.is_invite {
            self.acknowledge(open.cseq, asked, turn);
        }
        // The leg has ended meanwhile: the ACK was all that was owed.
        if self.state != State::Talking {
            return;
        }
        if open.offers {
            let wished = open.wish.and_then(|wish| wish.local_media);
            let local = wished.unwrap_or(self.local_media);
            // An answer that cannot be read changes nothing; one that came reliably before counts.
            let is_new = self.negotiation.is_offering();
            let accepted = self.negotiation.accept(&response.body, local.ip()).is_ok();
            if accepted || !is_new {
                self.local_media = local;
            }
            self.negotiation.withdraw_offer();
            self.tell(false, turn);
        }
        let timer = SessionTimer::of_response(&response.headers);
        self.session().set_timer(timer, turn);
        self.pursue(turn);
    }

    /// RFC 4028 §10: not over and over; a few times until the session runs out.
    fn pause_after_refusal(&self) -> Duration {
        self.session_timer.as_ref().map_or(REFRESH_LATER, SessionTimer::retry_pause)
    }

    /// Acknowledges a 2xx to a re-INVITE of ours, with its credentials (§13.2.2.4, §22.1).
    fn acknowledge(&self, cseq: u32, invite: Option<&Request>, turn: &mut Turn<'_>) {
        let to_tag = (*self.dialog.remote_tag).into();
        let mut ack = self.dialog.ack(cseq);
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            if let Some(invite) = invite {
                ack.headers.copy(&invite.headers, name);
            }
        }
        let to = self.dialog.destination();
        turn.out.push(Action::Acknowledge { to_tag, ack, to, others: None });
    }

    fn retry_refresh(&mut self, pause: Duration, turn: &mut Turn<'_>) {
        if let Some(timer) = &mut self.session_timer {
            timer.retry_after(pause, turn.now);
        }
    }
}
