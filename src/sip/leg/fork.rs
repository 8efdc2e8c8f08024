//! One fork of a call that we make: the early dialog that a provisional response with a tag of its
//! own has made (RFC 3261 §12.1.2, §13.2.2.1), its early answer, and its reliable responses in their
//! order (RFC 3262 §4).
//!
//! ```text
//! 18x ──► new ── 18x with RSeq ──► PRACK, RSeq + 1 ──► … ──► 2xx: the call is his
//! ```
//!
//! Calls nothing but `early`. Held by `outbound`, at most [`FORKS_MAX`] of them.

use crate::leg::SDP;
use crate::leg::early::EarlyDialog;
use crate::leg::reliable::rseq_of;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::transaction::clients::OtherFork;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;

/// An early dialog of a call of ours.
#[derive(Debug)]
pub(crate) struct Fork {
    pub(crate) early: EarlyDialog,
    /// The last reliable response taken in order.
    last_rseq: Option<u32>,
    /// Whether a description of theirs has answered our offer, reliably or not.
    pub(crate) is_answered: bool,
    /// The status it gave last.
    pub(crate) status: u16,
}

/// How many forks of one call are followed; at the next one the oldest is forgotten, but for its tag and
/// number.
pub(crate) const FORKS_MAX: usize = 8;

/// How many forgotten forks are known by tag and number; at the next one the oldest is not.
pub(crate) const FORGOTTEN_MAX: usize = 64;

/// What a provisional response came to.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The PRACK to be sent.
    pub(crate) prack: Option<Request>,
    /// Early media.
    pub(crate) plan: Option<MediaPlan>,
    /// Whether their description cannot be answered, or does not answer ours, and both ends know
    /// that it should: the call cannot come about.
    pub(crate) is_hopeless: bool,
}

impl Fork {
    pub(crate) fn new(early: EarlyDialog) -> Self {
        Self { early, last_rseq: None, is_answered: false, status: 0 }
    }

    /// What must be known of it when it is followed no more.
    pub(crate) fn rest(&self) -> OtherFork {
        let dialog = &self.early.dialog;
        OtherFork { tag: dialog.remote_tag.clone(), cseq: dialog.local_cseq() }
    }

    /// Takes a provisional response (101–199) to the INVITE with this CSeq. `None` for one that is
    /// repeated or out of order. `reliably` says whether we have offered to acknowledge any.
    pub(crate) fn take(
        &mut self,
        response: &Response,
        invite_cseq: u32,
        local_media: SocketAddr,
        reliably: bool,
    ) -> Option<Taken> {
        let rseq = rseq_of(response).filter(|_| reliably);
        if let Some(rseq) = rseq {
            // RFC 3262 §4: one higher than the last, or it is dropped: a repetition, or a gap that
            // their own repetition will fill.
            if self.last_rseq.is_some_and(|last| last.checked_add(1) != Some(rseq)) {
                return None;
            }
            self.last_rseq = Some(rseq);
        }
        self.status = response.status;
        let mut taken = Taken { prack: None, plan: None, is_hopeless: false };
        let answer = self.take_description(response, local_media, rseq.is_some(), &mut taken);
        if let Some(rseq) = rseq {
            let mut prack = self.early.dialog.request(Method::Prack);
            prack.headers.push(Name::RAck, &format!("{rseq} {invite_cseq} INVITE"));
            if let Some(answer) = answer {
                prack.set_body(SDP, answer);
            }
            taken.prack = Some(prack);
        }
        Some(taken)
    }

    /// Early media: the description is the answer as far as that fork goes (RFC 3261 §13.2.1,
    /// RFC 3960 §3.1), or its offer, where ours was left to them. Our answer to that.
    fn take_description(
        &mut self,
        response: &Response,
        local_media: SocketAddr,
        is_reliable: bool,
        taken: &mut Taken,
    ) -> Option<bytes::Bytes> {
        // §13.2.1: behind the answer that came reliably, descriptions are ignored.
        if response.body.is_empty() || self.early.is_settled {
            return None;
        }
        if self.early.negotiation.is_offering() {
            let accepted = self.early.negotiation.accept_again(&response.body, local_media.ip());
            taken.is_hopeless = is_reliable && accepted.is_err();
            let plan = accepted.ok()?;
            self.is_answered = true;
            self.early.is_settled = is_reliable;
            if is_reliable {
                self.early.negotiation.withdraw_offer();
            }
            taken.plan = Some(self.early.dialog.heard_by(plan));
            return None;
        }
        if !is_reliable {
            // §13.2.1: an offer comes reliably, or not at all.
            return None;
        }
        match self.early.negotiation.answer(&response.body, local_media) {
            Ok((answer, plan)) => {
                self.is_answered = true;
                self.early.is_settled = true;
                taken.plan = Some(self.early.dialog.heard_by(plan));
                Some(answer)
            }
            Err(_) => {
                taken.is_hopeless = true;
                self.early.negotiation.reject(&response.body, local_media.ip())
            }
        }
    }
}
