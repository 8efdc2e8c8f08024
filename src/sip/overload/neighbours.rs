//! What our neighbours ask of us when they are overloaded: to leave out a share of the calls
//! (RFC 7339 §5.4, §7), or to wait (`Retry-After` of a 503, RFC 3261 §21.5.4).

use super::Advice;
use crate::message::params::unquote;
use crate::message::via::Via;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// All neighbours that have asked for something, by address and port (RFC 7339 §5.4).
#[derive(Debug, Default)]
pub struct Neighbours {
    known: BTreeMap<SocketAddr, Neighbour>,
}

#[derive(Debug)]
struct Neighbour {
    loss_percent: u32,
    until: Instant,
    sequence: u64,
    waits_until: Option<Instant>,
    /// Requests sent since `counted_from`: new calls, and others.
    calls: u32,
    others: u32,
    counted_from: Instant,
    /// New calls in a hundred requests, of the last count.
    calls_percent: u32,
}

/// Neighbours remembered; beyond it the one whose word has run out longest ago is forgotten.
const NEIGHBOURS_MAX: usize = 1_024;
/// The longest that a neighbour's word counts: nobody can silence us for good by one message.
const WORD_MAX: Duration = Duration::from_secs(300);
/// How often the mix of requests is counted anew (RFC 7339 §7.2: every 5 to 10 seconds).
const COUNTED_EVERY: Duration = Duration::from_secs(5);
/// New calls in a hundred requests before anything was counted (RFC 7339 §7.2).
const CALLS_PERCENT: u32 = 80;

impl Neighbours {
    /// Reads the parameters that a neighbour filled into our Via; other values, and those older than
    /// what is known, change nothing.
    pub fn heard(&mut self, from: SocketAddr, via: &Via<'_>, now: Instant) {
        let Some(advice) = read(via) else { return };
        let known = self.known.get(&from).filter(|known| known.until > now);
        // §5.4: only a later word counts. One that is much older comes from a server begun anew.
        let is_late = known.is_some_and(|known| {
            advice.sequence <= known.sequence && known.sequence - advice.sequence < RESTARTED
        });
        if is_late {
            return;
        }
        let waits_until = self.known.get(&from).and_then(|known| known.waits_until);
        if advice.validity_ms == 0 && waits_until.is_none_or(|until| until <= now) {
            // §5.7: it is over.
            self.known.remove(&from);
            return;
        }
        let validity = Duration::from_millis(advice.validity_ms.into()).min(WORD_MAX);
        let neighbour = self.neighbour(from, now);
        neighbour.loss_percent = u32::from(advice.loss_percent);
        (neighbour.until, neighbour.sequence) = (now + validity, advice.sequence);
    }

    /// A neighbour refused a call with 503 and named a time to come back.
    pub fn told_to_wait(&mut self, from: SocketAddr, seconds: u32, now: Instant) {
        let until = now + Duration::from_secs(seconds.into()).min(WORD_MAX);
        self.neighbour(from, now).waits_until = Some(until);
    }

    /// A request other than a new call goes to a neighbour: these are never left out, but they count
    /// in the mix.
    pub fn sends_other(&mut self, to: SocketAddr, now: Instant) {
        if let Some(neighbour) = self.known.get_mut(&to) {
            neighbour.count(false, now);
        }
    }

    /// Whether a new call may go to a neighbour now. `random` is anything.
    pub fn takes_call(&mut self, to: SocketAddr, random: u32, now: Instant) -> bool {
        let Some(neighbour) = self.known.get_mut(&to) else { return true };
        neighbour.count(true, now);
        if neighbour.waits_until.is_some_and(|until| now < until) {
            return false;
        }
        if neighbour.until <= now {
            return true;
        }
        // §7.2: the share of all requests, taken from the new calls alone.
        let leave_out = neighbour.loss_percent * 100 / neighbour.calls_percent.max(1);
        random % 100 >= leave_out.min(100)
    }

    fn neighbour(&mut self, address: SocketAddr, now: Instant) -> &mut Neighbour {
        if self.known.len() >= NEIGHBOURS_MAX && !self.known.contains_key(&address) {
            let word = |neighbour: &Neighbour| neighbour.waits_until.max(Some(neighbour.until));
            let oldest = self.known.iter().min_by_key(|(_, neighbour)| word(neighbour));
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.known.remove(&oldest);
            }
        }
        self.known.entry(address).or_insert(Neighbour {
            loss_percent: 0,
            until: now,
            sequence: 0,
            waits_until: None,
            calls: 0,
            others: 0,
            counted_from: now,
            calls_percent: CALLS_PERCENT,
        })
    }
}

impl Neighbour {
    fn count(&mut self, is_call: bool, now: Instant) {
        if now.saturating_duration_since(self.counted_from) >= COUNTED_EVERY {
            if let Some(percent) = (self.calls * 100).checked_div(self.calls + self.others) {
                self.calls_percent = percent;
            }
            (self.calls, self.others, self.counted_from) = (0, 0, now);
        }
        match is_call {
            true => self.calls = self.calls.saturating_add(1).min(COUNT_MAX),
            false => self.others = self.others.saturating_add(1).min(COUNT_MAX),
        }
    }
}

/// Keeps a hundred times a count within 32 bits.
const COUNT_MAX: u32 = 10_000_000;
/// A sequence number so much smaller is a restart's (RFC 7339 §4.4), not a late packet's.
const RESTARTED: u64 = 60_000_000;

/// What a neighbour advises; `None` without a value of `oc` or with an algorithm other than `loss`.
fn read(via: &Via<'_>) -> Option<Advice> {
    let loss_percent: u8 = via.params.get("oc")?.parse().ok().filter(|percent| *percent <= 100)?;
    if let Some(algorithm) = via.params.get("oc-algo")
        && unquote(algorithm) != "loss"
    {
        return None;
    }
    let validity_ms = match via.params.get("oc-validity") {
        // §4.3.
        None => 500,
        Some(text) => text.parse().ok()?,
    };
    let sequence = via.params.get("oc-seq").and_then(read_sequence).unwrap_or(0);
    Some(Advice { loss_percent, validity_ms, sequence })
}

/// §9: `1*12DIGIT "." 1*5DIGIT`, a decimal number (§4.4: it increases), as hundred-thousandths.
fn read_sequence(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    if !(1..=12).contains(&whole.len()) || !(1..=5).contains(&part.len()) {
        return None;
    }
    let part = format!("{part:0<5}");
    Some(whole.parse::<u64>().ok()? * 100_000 + part.parse::<u64>().ok()?)
}

impl Advice {
    /// The parameters of Via, with a semicolon before each.
    pub fn print(&self) -> String {
        let (whole, part) = (self.sequence / 100_000, self.sequence % 100_000);
        format!(
            ";oc={};oc-algo=\"loss\";oc-validity={};oc-seq={whole}.{part:05}",
            self.loss_percent, self.validity_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7339 §4.4: each sequence number is higher than the last as a decimal number, like the
    /// 1282321615.782 of its example.
    #[test]
    fn rfc_7339_s4_4_a_later_word_has_a_higher_number_however_it_is_written() {
        let told = |sequence| Advice { loss_percent: 1, validity_ms: 1, sequence }.print();
        let numbers = [9, 10, 99_999, 100_000, 100_001, 128_232_161_578_200].map(|sequence| {
            let text = told(sequence).split("oc-seq=").nth(1).unwrap().to_owned();
            assert_eq!(read_sequence(&text), Some(sequence), "{text}");
            text.parse::<f64>().unwrap()
        });
        assert!(numbers.is_sorted_by(|earlier, later| earlier < later), "{numbers:?}");
        for texts in [["1.9", "1.91"], ["1.09", "1.1"], ["1.99999", "2.0"], ["1.5", "1.782"]] {
            assert!(read_sequence(texts[0]) < read_sequence(texts[1]), "{texts:?}");
        }
        assert_eq!(read_sequence("1282321615.782"), Some(128_232_161_578_200));
    }
}
