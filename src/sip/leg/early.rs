//! An early dialog and its session (RFC 3261 §12.1, RFC 3311): a call that comes in has one, a call
//! that goes out one for each fork that has answered.
//!
//! Changes of the session pass by UPDATE, as soon as the first offer and answer have passed reliably
//! (RFC 3311 §5.1). Held by `inbound` and `fork`.

use crate::event::Flow;
use crate::leg::change::{Changes, Open};
use crate::leg::dialog::Dialog;
use crate::leg::reinvite::Session;
use crate::leg::session_timer::SessionTimer;
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{SDP, Turn};
use crate::message::method::Method;
use crate::message::{Request, Response};
use crate::sdp::negotiate::Negotiation;
use crate::transaction::servers::ServerId;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One early dialog.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    pub(crate) dialog: Dialog,
    pub(crate) negotiation: Negotiation,
    pub(crate) session_timer: Option<SessionTimer>,
    pub(crate) changes: Changes,
    /// Whether the first offer has its answer, and both ends know it.
    pub(crate) is_settled: bool,
    pub(crate) peer_takes_update: bool,
}

impl EarlyDialog {
    /// An UPDATE of theirs; the sound from now on, if it changed.
    pub(crate) fn handle_update(
        &mut self,
        (server, request, flow): (ServerId, &Request, Flow),
        local_media: SocketAddr,
        turn: &mut Turn<'_>,
    ) -> Option<MediaPlan> {
        let has_offer = !request.body.is_empty();
        if has_offer && (self.negotiation.is_offering() || self.changes.collides()) {
            // RFC 3311 §5.2: an offer of ours is out.
            turn.respond_status(server, request, 491);
            return None;
        }
        if has_offer && !self.is_settled {
            // RFC 3311 §5.2: the offer of the INVITE is not answered yet.
            turn.respond_busy(server, request);
            return None;
        }
        let mut session = Session {
            dialog: &mut self.dialog,
            negotiation: &mut self.negotiation,
            session_timer: &mut self.session_timer,
            local_media,
        };
        let response = session.change((server, request, flow), turn)?;
        turn.respond(server, response);
        self.negotiation.plan().filter(|_| has_offer).map(|plan| self.dialog.heard_by(plan.clone()))
    }

    fn may_ask(&self) -> bool {
        self.is_settled && self.peer_takes_update && !self.negotiation.is_offering()
    }

    /// When [`pursue`](Self::pursue) has something after a pause.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.changes.deadline().filter(|_| self.may_ask())
    }

    /// The UPDATE that asks for what is wanted, if it may be asked for by now. What cannot be is
    /// asked for when the call is answered.
    pub(crate) fn pursue(&mut self, local_media: SocketAddr, now: Instant) -> Option<Request> {
        if !self.may_ask() {
            return None;
        }
        let wish = self.changes.take_next(now)?;
        let mut update = self.dialog.request(Method::Update);
        let held = wish.held.unwrap_or(self.negotiation.is_held());
        let local_media = wish.local_media.unwrap_or(local_media);
        update.set_body(SDP, self.negotiation.offer_held(local_media, held));
        let cseq = self.dialog.local_cseq();
        self.changes.begin(Open { cseq, is_invite: false, offers: true, wish: Some(wish) });
        Some(update)
    }

    /// Sends a request of ours inside it, with credentials where they were asked for.
    pub(crate) fn send(
        &self,
        mut request: Request,
        login: &mut Option<TrunkLogin>,
        turn: &mut Turn<'_>,
    ) {
        let to = self.dialog.destination();
        if let Some(login) = login {
            login.sign_and_keep(&mut request, to.flow.remote.ip(), turn.rng);
        }
        turn.send(request, to);
    }

    /// The request that a final response answers, once more with the next CSeq: it was challenged,
    /// and we have what is asked for (RFC 3261 §22.2).
    pub(crate) fn answer_challenge(
        &mut self,
        response: &Response,
        login: &mut Option<TrunkLogin>,
    ) -> Option<Request> {
        let login = login.as_mut()?;
        let mut again = login.answered(response)?;
        let host = self.dialog.destination().flow.remote.ip();
        if !login.take_challenge(response, &again, host) {
            return None;
        }
        let (was, _) = response.headers.cseq().ok()?;
        self.dialog.renumber(&mut again);
        if self.changes.open(was).is_some() {
            self.changes.renumber(self.dialog.local_cseq());
        }
        Some(again)
    }

    /// A request of ours gets no answer: of an UPDATE, what was agreed on before stays.
    pub(crate) fn handle_failed(&mut self, request: &Request) {
        if request.headers.cseq().is_ok_and(|(cseq, _)| self.changes.open(cseq).is_some()) {
            self.changes.end();
            self.negotiation.withdraw_offer();
        }
    }

    /// The final response to an UPDATE of ours; our RTP address and what is agreed on by it.
    pub(crate) fn handle_updated(
        &mut self,
        response: &Response,
        local_media: SocketAddr,
        turn: &mut Turn<'_>,
    ) -> Option<(SocketAddr, MediaPlan)> {
        let (cseq, _) = response.headers.cseq().ok()?;
        let wish = self.changes.open(cseq)?.wish?;
        self.changes.end();
        if (200..300).contains(&response.status) {
            self.dialog.refresh_target(&response.headers);
            let local_media = wish.local_media.unwrap_or(local_media);
            let plan = self.negotiation.accept(&response.body, local_media.ip());
            self.negotiation.withdraw_offer();
            return Some((local_media, self.dialog.heard_by(plan.ok()?)));
        }
        self.negotiation.withdraw_offer();
        if let Some(pause) = self.changes.pause_after(response, turn.rng) {
            self.changes.retry(wish, pause, turn.now);
        }
        None
    }
}

impl Changes {
    /// How long to wait before a refused change is worth another try; `None` when it is not.
    pub(crate) fn pause_after(
        &self,
        response: &Response,
        rng: &mut dyn rand::RngCore,
    ) -> Option<Duration> {
        let told = || response.headers.retry_after().map(|s| Duration::from_secs(u64::from(s)));
        match response.status {
            491 => Some(self.glare_pause(rng)),
            // RFC 3261 §14.2: another negotiation of theirs was not finished.
            500 | 503 => told(),
            _ => None,
        }
    }
}
