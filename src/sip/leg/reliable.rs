//! Our provisional responses to an INVITE, sent again until they are acknowledged (RFC 3262 §3).
//!
//! ```text
//! send ──► open ──T1, doubling──► again … ── PRACK: acknowledged; the next one that waits is sent
//!                                        └── 64*T1 ─► no PRACK: the INVITE is refused
//! ```
//!
//! One at a time: a second one waits until the first is acknowledged (§3 demands it of the first and
//! recommends it of all). Calls nothing; held by `inbound`.

use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Headers, Request, Response};
use crate::transaction::{GIVE_UP_AFTER, T1};
use std::time::{Duration, Instant};

/// The reliable provisional responses of one INVITE.
#[derive(Debug)]
pub(crate) struct Reliable {
    /// The number of the next one.
    rseq: u32,
    open: Option<Open>,
    /// Sent when the open one is acknowledged; a later one takes its place.
    waiting: Option<Response>,
}

/// The one that waits for its PRACK.
#[derive(Debug)]
struct Open {
    rseq: u32,
    response: Response,
    retransmit_after: Duration,
    retransmit_at: Instant,
    give_up_at: Instant,
}

/// What is due.
#[derive(Debug, PartialEq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send this one again.
    SendAgain(Response),
    /// The PRACK will not come; refuse the INVITE.
    GiveUp,
}

/// What a PRACK has acknowledged.
#[derive(Debug, PartialEq)]
pub(crate) struct Acknowledged {
    /// Whether there was a description in it.
    pub(crate) had_description: bool,
    /// The one to be sent now.
    pub(crate) next: Option<Response>,
}

/// What a PRACK names: RSeq, and the CSeq of the INVITE (RFC 3262 §7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rack {
    rseq: u32,
    cseq: u32,
}

impl Rack {
    /// Reads it from a PRACK; `None` when it cannot be read or names another method than INVITE.
    pub(crate) fn of(prack: &Request) -> Option<Self> {
        let text = prack.headers.single(Name::RAck).ok()?;
        let mut parts = text.split_ascii_whitespace();
        let (rseq, cseq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let is_invite = parts.next() == Some(Method::Invite.as_str()) && parts.next().is_none();
        is_invite.then_some(Self { rseq, cseq })
    }
}

/// The number of a reliable provisional response; `None` for one that is not (RFC 3262 §4: a 100
/// never is, whatever it says).
pub(crate) fn rseq_of(response: &Response) -> Option<u32> {
    let headers: &Headers = &response.headers;
    let is_required = headers.require().any(|option| option.eq_ignore_ascii_case("100rel"));
    if !is_required || !(101..=199).contains(&response.status) {
        return None;
    }
    headers.single(Name::RSeq).ok()?.trim().parse().ok().filter(|rseq| *rseq > 0)
}

impl Reliable {
    /// `first` is at random, from 1 to 2³¹ − 1 (RFC 3262 §3).
    pub(crate) fn new(first: u32) -> Self {
        Self { rseq: first, open: None, waiting: None }
    }

    /// Takes a provisional response to be sent; what is to be sent now, if anything is.
    pub(crate) fn send(&mut self, mut response: Response, now: Instant) -> Option<Response> {
        if self.open.is_some() {
            if let Some(waiting) = self.waiting.take().filter(|_| response.body.is_empty()) {
                // A description that waits is not lost to a later response without one.
                if let Some(kind) = waiting.headers.get(Name::ContentType) {
                    response.set_body(kind, waiting.body.clone());
                }
            }
            self.waiting = Some(response);
            return None;
        }
        response.headers.push(Name::Require, "100rel");
        response.headers.push(Name::RSeq, &self.rseq.to_string());
        self.open = Some(Open {
            rseq: self.rseq,
            response: response.clone(),
            retransmit_after: T1,
            retransmit_at: now + T1,
            give_up_at: now + GIVE_UP_AFTER,
        });
        // §3: greater by exactly one; begun below 2³¹ it never comes round.
        self.rseq = self.rseq.saturating_add(1);
        Some(response)
    }

    /// Takes a PRACK for the INVITE with this CSeq. `None` when it matches nothing: answer 481.
    pub(crate) fn acknowledge(
        &mut self,
        rack: Rack,
        invite_cseq: u32,
        now: Instant,
    ) -> Option<Acknowledged> {
        let matches = |open: &mut Open| Rack { rseq: open.rseq, cseq: invite_cseq } == rack;
        let open = self.open.take_if(matches)?;
        let next = self.waiting.take().and_then(|next| self.send(next, now));
        Some(Acknowledged { had_description: !open.response.body.is_empty(), next })
    }

    /// Whether a description of ours is out whose PRACK has not come: no 2xx may be sent (§5).
    pub(crate) fn awaits_description(&self) -> bool {
        let has_body = |response: &Response| !response.body.is_empty();
        self.open.as_ref().is_some_and(|open| has_body(&open.response))
            || self.waiting.as_ref().is_some_and(has_body)
    }

    /// A final response goes out: nothing is repeated any more, but the PRACK may still come (§3).
    pub(crate) fn finish(self, invite_cseq: u32) -> Option<Rack> {
        self.open.map(|open| Rack { rseq: open.rseq, cseq: invite_cseq })
    }

    /// Lets time pass.
    pub(crate) fn handle_deadline(&mut self, now: Instant) -> Due {
        let Some(open) = &mut self.open else { return Due::Nothing };
        if open.give_up_at <= now {
            return Due::GiveUp;
        }
        if open.retransmit_at > now {
            return Due::Nothing;
        }
        // §3: unlike those of a 2xx, the intervals are not capped at T2.
        open.retransmit_after *= 2;
        open.retransmit_at = now + open.retransmit_after;
        Due::SendAgain(open.response.clone())
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.retransmit_at.min(open.give_up_at))
    }
}

#[cfg(test)]
mod tests;
