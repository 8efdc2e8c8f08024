//! Session timers (RFC 4028): a call whose other end has vanished is noticed by the refresh that
//! does not come.
//!
//! A call of ours asks for one, where its trunk says so, and raises it as the path wants; what we are
//! asked for we keep, in either role.

use crate::message::Headers;
use crate::message::name::Name;
use crate::message::params::Params;
use std::time::{Duration, Instant};

/// Who sends the refreshes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refresher {
    /// We do, at half the interval.
    Us,
    /// They do; without one the call ends.
    Peer,
}

/// What a session timer asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send a refresh.
    Refresh,
    /// The session has run out.
    End,
}

/// The timer of one session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SessionTimer {
    interval: Duration,
    pub(crate) refresher: Refresher,
    /// Whether the peer understands `timer`.
    peer_supports: bool,
    /// The shortest interval that the path takes, where it said so (RFC 4028 §7.4).
    least_s: Option<u32>,
    /// `None` where the peer refreshes, or while a refresh of ours waits for its answer.
    refresh_at: Option<Instant>,
    ends_at: Option<Instant>,
}

/// The interval asked for is below [`INTERVAL_MIN_S`]; answer 422 with `Min-SE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooSmall;

/// RFC 4028 §5: no smaller interval is asked for or accepted.
pub(crate) const INTERVAL_MIN_S: u32 = 90;

/// What our INVITE asks for (RFC 4028 §7.1). Who refreshes is left to the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asking {
    interval_s: u32,
    least_s: u32,
    raises_left: u8,
}

/// A path on which each hop wants another interval is not followed further.
const RAISES_MAX: u8 = 4;

impl Asking {
    /// `None` for an interval of 0: nothing is asked for.
    pub(crate) fn new(interval_s: u32) -> Option<Self> {
        let least_s = INTERVAL_MIN_S;
        let asking = Self { interval_s: interval_s.max(least_s), least_s, raises_left: RAISES_MAX };
        (interval_s > 0).then_some(asking)
    }

    /// Writes it into the INVITE, in place of what stood there.
    pub(crate) fn write(&self, headers: &mut Headers) {
        headers.set(Name::SessionExpires, &self.interval_s.to_string());
        headers.set(Name::MinSe, &self.least_s.to_string());
    }

    /// Takes the Min-SE of a 422 (RFC 4028 §7.3); whether the INVITE is worth another try.
    pub(crate) fn raise(&mut self, headers: &Headers) -> bool {
        let Some(told) = least(headers).filter(|told| *told > self.interval_s) else {
            return false;
        };
        let Some(left) = self.raises_left.checked_sub(1) else { return false };
        (self.interval_s, self.least_s, self.raises_left) = (told, told, left);
        true
    }
}

impl SessionTimer {
    /// What an INVITE or UPDATE of theirs asks for; `None` when it asks for no timer.
    ///
    /// # Errors
    /// [`TooSmall`] when the interval is below 90 s.
    pub(crate) fn of_request(headers: &Headers) -> Result<Option<Self>, TooSmall> {
        let Some((seconds, refresher)) = read(headers) else { return Ok(None) };
        let peer_supports = headers.supports("timer");
        if seconds < INTERVAL_MIN_S {
            // RFC 4028 §9: a 422 is for those who understand it. For the others such an interval
            // is no valid one, and we need not refresh by it.
            return if peer_supports { Err(TooSmall) } else { Ok(None) };
        }
        // RFC 4028 table 2: the caller refreshes if it can and does not ask otherwise; a
        // Session-Expires that a proxy put in is ours to keep.
        let refresher = match refresher {
            Some("uac") if peer_supports => Refresher::Peer,
            Some("uas") => Refresher::Us,
            _ if peer_supports => Refresher::Peer,
            _ => Refresher::Us,
        };
        let least_s = least(headers);
        Ok(Some(Self { least_s, ..Self::new(seconds, refresher, peer_supports) }))
    }

    /// What we ask of a caller who asked for none but could keep one (RFC 4028 §9); `None` when he
    /// cannot, or the interval is 0.
    pub(crate) fn proposed(interval_s: u32, headers: &Headers) -> Option<Self> {
        if interval_s == 0 || !headers.supports("timer") || headers.has(Name::SessionExpires) {
            return None;
        }
        let seconds = interval_s.max(INTERVAL_MIN_S).max(least(headers).unwrap_or(0));
        Some(Self { least_s: least(headers), ..Self::new(seconds, Refresher::Peer, true) })
    }

    /// What a 2xx to our INVITE or UPDATE tells us; `None` when there is no timer.
    pub(crate) fn of_response(headers: &Headers) -> Option<Self> {
        let (seconds, refresher) = read(headers)?;
        // RFC 4028 §7.2: without the parameter, or with uac, it is ours.
        let refresher = if refresher == Some("uas") { Refresher::Peer } else { Refresher::Us };
        Some(Self::new(seconds.max(INTERVAL_MIN_S), refresher, true))
    }

    fn new(seconds: u32, refresher: Refresher, peer_supports: bool) -> Self {
        let interval = Duration::from_secs(seconds.into());
        Self { interval, refresher, peer_supports, least_s: None, refresh_at: None, ends_at: None }
    }

    /// The same, counted from now on, and with what `old` knew of the path.
    pub(crate) fn started_after(mut self, old: Option<&Self>, now: Instant) -> Self {
        self.least_s = self.least_s.max(old.and_then(|old| old.least_s));
        self.restart(now);
        self
    }

    /// Takes the Min-SE of a 422; whether it is news, so that the refresh is worth another try.
    pub(crate) fn raise(&mut self, headers: &Headers) -> bool {
        let told = least(headers);
        let is_news = told > self.least_s;
        if let Some(seconds) = told.filter(|_| is_news) {
            self.least_s = told;
            // RFC 4028 §10: the session itself lasts no longer for that.
            self.interval = self.interval.max(Duration::from_secs(seconds.into()));
        }
        is_news
    }

    /// Writes it into our 2xx (RFC 4028 §9).
    pub(crate) fn write(&self, headers: &mut Headers) {
        let refresher = match self.refresher {
            Refresher::Us => "uas",
            Refresher::Peer => "uac",
        };
        let seconds = self.interval.as_secs();
        headers.push(Name::SessionExpires, &format!("{seconds};refresher={refresher}"));
        if self.peer_supports {
            headers.push(Name::Require, "timer");
        }
    }

    /// Writes it into a refresh or change of ours: whoever refreshes goes on to (RFC 4028 §7.4).
    pub(crate) fn write_request(&self, headers: &mut Headers) {
        let refresher = match self.refresher {
            Refresher::Us => "uac",
            Refresher::Peer => "uas",
        };
        let seconds = self.interval.as_secs();
        headers.push(Name::SessionExpires, &format!("{seconds};refresher={refresher}"));
        if let Some(least) = self.least_s {
            headers.push(Name::MinSe, &least.to_string());
        }
    }

    /// A refresh, or the first 2xx, has just passed.
    pub(crate) fn restart(&mut self, now: Instant) {
        (self.refresh_at, self.ends_at) = match self.refresher {
            // RFC 4028 §7.2: refresh at half the interval.
            Refresher::Us => (Some(now + self.interval / 2), Some(now + self.interval)),
            // RFC 4028 §10: end it this much before the expiry.
            Refresher::Peer => {
                let early = (self.interval / 3).min(Duration::from_secs(32));
                (None, Some(now + self.interval - early))
            }
        };
    }

    /// A refresh has been sent, and its answer will restart the timer: before, only the end of
    /// the session is due.
    pub(crate) fn pause(&mut self) {
        self.refresh_at = None;
    }

    /// How long to wait after a refusal: an eighth of the interval makes four tries in all.
    pub(crate) fn retry_pause(&self) -> Duration {
        self.interval / 8
    }

    /// A refresh of ours, where we owe any, is to be tried again in a moment: it met another
    /// negotiation, or was not taken.
    pub(crate) fn retry_after(&mut self, pause: Duration, now: Instant) {
        self.refresh_at = (self.refresher == Refresher::Us).then(|| now + pause);
    }

    /// When the refresh is to be sent, or the call to be ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.refresh_at.into_iter().chain(self.ends_at).min()
    }

    /// What is to be done by now.
    pub(crate) fn due(&self, now: Instant) -> Due {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match (is_past(self.ends_at), is_past(self.refresh_at)) {
            (true, _) => Due::End,
            (false, true) => Due::Refresh,
            (false, false) => Due::Nothing,
        }
    }
}

/// The seconds of `Min-SE`, which are never fewer than 90 (RFC 4028 §5).
fn least(headers: &Headers) -> Option<u32> {
    let text = headers.single(Name::MinSe).ok()?;
    let seconds: u32 = text.split(';').next().unwrap_or(text).trim().parse().ok()?;
    Some(seconds.max(INTERVAL_MIN_S))
}

/// The seconds of `Session-Expires` and its refresher. An unreadable one counts as none.
fn read(headers: &Headers) -> Option<(u32, Option<&str>)> {
    let text = headers.single(Name::SessionExpires).ok()?;
    let (seconds, params) = text.split_at(text.find(';').unwrap_or(text.len()));
    Some((seconds.trim().parse().ok()?, Params::new(params).get("refresher")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    fn headers(expires: &str, supported: &str) -> Headers {
        let mut headers = Headers::new();
        headers.push(Name::SessionExpires, expires);
        headers.push(Name::Supported, supported);
        headers
    }

    /// RFC 4028 table 2, and what our 2xx says then.
    #[test]
    fn who_refreshes_is_settled_by_table_2() {
        for (expires, supported, refresher, said, required) in [
            ("1800", "timer", Refresher::Peer, "1800;refresher=uac", true),
            ("1800;refresher=uac", "timer", Refresher::Peer, "1800;refresher=uac", true),
            ("1800;refresher=uas", "timer", Refresher::Us, "1800;refresher=uas", true),
            ("90", "100rel", Refresher::Us, "90;refresher=uas", false),
        ] {
            let timer = SessionTimer::of_request(&headers(expires, supported)).unwrap().unwrap();
            assert_eq!(timer.refresher, refresher, "{expires} {supported}");
            let mut answer = Headers::new();
            timer.write(&mut answer);
            assert_eq!(answer.get(Name::SessionExpires), Some(said));
            assert_eq!(answer.has(Name::Require), required);
        }
        assert_eq!(SessionTimer::of_request(&headers("89", "timer")), Err(TooSmall));
        assert_eq!(SessionTimer::of_request(&headers("89", "100rel")), Ok(None), "§9");
        assert_eq!(SessionTimer::of_request(&headers("soon", "timer")), Ok(None));
        assert_eq!(SessionTimer::of_request(&Headers::new()), Ok(None));
    }

    #[test]
    fn refreshes_come_at_half_and_the_end_before_expiry() {
        let now = epoch().instant;
        let due = |expires: &str| {
            let mut timer = SessionTimer::of_response(&headers(expires, "timer")).unwrap();
            timer.restart(now);
            timer.deadline().unwrap().duration_since(now).as_secs()
        };
        assert_eq!(due("1800"), 900);
        assert_eq!(due("1800;refresher=uas"), 1768);
        assert_eq!(due("90;refresher=uas"), 60);
    }
}
