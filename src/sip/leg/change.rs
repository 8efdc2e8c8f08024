//! What we want changed in a session, and when we may ask for it (RFC 3261 §14.1, RFC 3311 §5.1,
//! §5.3): one request at a time, and after a collision again in a while.
//!
//! ```text
//! wish ──► next ──► open ── 2xx, refusal ──► (nothing)
//!            ▲        └── 491: 0–2 s, or 2.1–4 s where the Call-ID is ours; Retry-After ──┐
//!            └───────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Calls nothing. Held by `confirmed` and by early dialogs.

use rand::{Rng, RngCore};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How our side of the session is to be; `None` where it is to stay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wish {
    /// Our RTP address.
    pub(crate) local_media: Option<SocketAddr>,
    /// Whether the other end is held.
    pub(crate) held: Option<bool>,
}

impl Wish {
    /// This, and where it says nothing the other.
    fn over(self, other: Self) -> Self {
        Self { local_media: self.local_media.or(other.local_media), held: self.held.or(other.held) }
    }
}

/// The request of ours that is under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Open {
    pub(crate) cseq: u32,
    pub(crate) is_invite: bool,
    /// Whether it carries an offer.
    pub(crate) offers: bool,
    /// What it asks for; `None`: that all stays as it is.
    pub(crate) wish: Option<Wish>,
}

/// Our changes of one dialog's session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes {
    /// Whether we chose the Call-ID.
    owns_call_id: bool,
    wish: Option<Wish>,
    retry_at: Option<Instant>,
    open: Option<Open>,
    tries_left: u8,
}

/// A change that meets another one this often is given up.
const TRIES_MAX: u8 = 10;

/// No `Retry-After` is waited for longer: who changed his mind meanwhile would be forgotten.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

impl Changes {
    pub(crate) fn new(owns_call_id: bool) -> Self {
        Self { owns_call_id, wish: None, retry_at: None, open: None, tries_left: TRIES_MAX }
    }

    /// What is wanted last counts.
    pub(crate) fn want(&mut self, wish: Wish) {
        self.wish = Some(wish.over(self.wish.unwrap_or_default()));
        self.tries_left = TRIES_MAX;
    }

    /// That which waits is not to hold or take back any more.
    pub(crate) fn forget_hold(&mut self) {
        let rest = self.wish.map(|wish| Wish { held: None, ..wish });
        self.wish = rest.filter(|rest| *rest != Wish::default());
    }

    /// What is wanted and not yet agreed on, asked for or not.
    pub(crate) fn wanted(&self) -> Wish {
        let asked = self.open.and_then(|open| open.wish).unwrap_or_default();
        self.wish.unwrap_or_default().over(asked)
    }

    /// What may be asked for now; it is no longer waiting then.
    pub(crate) fn take_next(&mut self, now: Instant) -> Option<Wish> {
        let waits = self.open.is_some() || self.retry_at.is_some_and(|at| at > now);
        if waits {
            return None;
        }
        self.retry_at = None;
        self.wish.take()
    }

    /// A request is on its way.
    pub(crate) fn begin(&mut self, open: Open) {
        self.open = Some(open);
    }

    /// The request with this CSeq, if it is the one under way.
    pub(crate) fn open(&self, cseq: u32) -> Option<Open> {
        self.open.filter(|open| open.cseq == cseq)
    }

    /// Whether any is under way.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a request of theirs that offers, or an INVITE, would meet ours (RFC 3261 §14.2,
    /// RFC 3311 §5.2).
    pub(crate) fn collides(&self) -> bool {
        self.open.is_some_and(|open| open.is_invite || open.offers)
    }

    /// The request under way goes again under another CSeq: it was challenged.
    pub(crate) fn renumber(&mut self, cseq: u32) {
        if let Some(open) = &mut self.open {
            open.cseq = cseq;
        }
    }

    /// It has its final response.
    pub(crate) fn end(&mut self) -> Option<Open> {
        self.open.take()
    }

    /// How long to wait after a 491 (RFC 3261 §14.1, RFC 3311 §5.3): in units of 10 ms.
    pub(crate) fn glare_pause(&self, rng: &mut dyn RngCore) -> Duration {
        let units =
            if self.owns_call_id { rng.random_range(210..=400) } else { rng.random_range(0..=200) };
        Duration::from_millis(units * 10)
    }

    /// What was refused is asked for again after `pause`, unless something else is wanted now.
    pub(crate) fn retry(&mut self, refused: Wish, pause: Duration, now: Instant) {
        let Some(left) = self.tries_left.checked_sub(1) else { return };
        self.tries_left = left;
        self.wish = Some(self.wish.unwrap_or_default().over(refused));
        self.retry_at = Some(now + pause.min(RETRY_AFTER_MAX));
    }

    /// When [`take_next`](Self::take_next) has something after a pause.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.open.is_none() && self.wish.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn wish(held: bool) -> Wish {
        Wish { local_media: None, held: Some(held) }
    }

    /// RFC 3261 §14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, in units of
    /// 10 ms.
    #[test]
    fn rfc_3261_s14_1_glare_waits_by_who_owns_the_call_id() {
        let mut rng = StdRng::seed_from_u64(1);
        for (owns, least, most) in [(true, 2_100, 4_000), (false, 0, 2_000)] {
            let changes = Changes::new(owns);
            let mut pauses: Vec<_> =
                (0..20_000).map(|_| changes.glare_pause(&mut rng).as_millis()).collect();
            pauses.sort_unstable();
            assert_eq!((pauses[0], pauses[pauses.len() - 1]), (least, most));
            assert!(pauses.iter().all(|pause| pause % 10 == 0));
        }
    }

    #[test]
    fn one_change_at_a_time_and_the_last_wish_counts() {
        let now = epoch().instant;
        let mut changes = Changes::new(true);
        assert_eq!(changes.take_next(now), None);
        changes.want(wish(true));
        let next = changes.take_next(now);
        assert_eq!(next, Some(wish(true)));
        let open = Open { cseq: 2, is_invite: true, offers: true, wish: next };
        changes.begin(open);
        assert_eq!(changes.wanted(), wish(true));
        let moved = Wish { local_media: Some(([192, 0, 2, 1], 4000).into()), held: None };
        changes.want(moved);
        assert_eq!(changes.wanted(), Wish { held: Some(true), ..moved });
        changes.want(wish(false));
        assert_eq!((changes.take_next(now), changes.deadline()), (None, None));
        assert_eq!((changes.open(1), changes.open(2)), (None, Some(open)));
        assert_eq!(changes.end(), Some(open));
        // Refused for a while: what is wanted now is asked for then.
        changes.retry(wish(true), Duration::from_secs(3), now);
        let later = now + Duration::from_secs(3);
        assert_eq!((changes.take_next(now), changes.deadline()), (None, Some(later)));
        let both = Wish { held: Some(false), ..moved };
        assert_eq!(changes.take_next(later), Some(both));
    }

    #[test]
    fn a_change_that_never_succeeds_is_given_up() {
        let now = epoch().instant;
        let mut changes = Changes::new(false);
        changes.want(wish(true));
        let mut tries = 0;
        let mut at = now;
        while let Some(wish) = changes.take_next(at) {
            tries += 1;
            changes.retry(wish, Duration::from_secs(3_600), at);
            at += RETRY_AFTER_MAX;
        }
        assert_eq!(tries, 1 + u32::from(TRIES_MAX));
    }
}
