//! What a trunk's calls say of it, over a sliding window: answer ratio, effectiveness (ITU-T E.425),
//! post-dial delay, failures, loss and jitter.

use super::HealthRules;
use crate::event::Sound;
use crate::failover::{End, Outcome};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window is cut in so many pieces; the oldest is dropped as a whole.
const PIECES: u32 = 10;

/// The calls of a trunk over the window.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The oldest first; [`PIECES`] and one that is being filled, at most.
    pieces: VecDeque<(Instant, Figures)>,
}

/// What was counted. Only calls that we began count as calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// Calls that ended, those never sent included.
    pub calls: u32,
    /// Of them answered.
    pub answered: u32,
    /// Of them carried by the network to the called side's own answer: answered, busy, ringing
    /// unanswered, declined (ITU-T E.425 §5.4, network effectiveness).
    pub carried: u32,
    /// Of them ended by 5xx, silence, or not sent at all.
    pub failed: u32,
    /// Of them refused with 503.
    pub unavailable: u32,
    /// Of them given up by our side before anything was known: they count in no ratio.
    pub given_up: u32,
    /// Calls whose ringing was heard.
    pub rung: u32,
    /// From INVITE to ringing, of them all together.
    pub post_dial_delay: Duration,
    /// Packets received, and lost on the way to us.
    pub packets: u64,
    /// See `packets`.
    pub lost: u64,
    /// Calls whose jitter is known, and the sum of theirs in microseconds.
    pub heard: u32,
    /// See `heard`.
    pub jitter_us: u64,
}

/// What the figures say of the trunk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// Nothing against it, or too few calls.
    Good,
    /// A threshold is missed.
    Degraded(String),
    /// Too many of its calls fail.
    Failing(String),
}

impl Traffic {
    /// A call's ringing was first heard, so long after its INVITE.
    pub fn ringing(&mut self, delay: Duration, rules: &HealthRules, now: Instant) {
        let piece = self.piece(rules, now);
        piece.rung = piece.rung.saturating_add(1);
        piece.post_dial_delay = piece.post_dial_delay.saturating_add(delay);
    }

    /// A call of ours is over: `None`, it had been answered.
    pub fn over(&mut self, outcome: Option<&Outcome>, rules: &HealthRules, now: Instant) {
        let piece = self.piece(rules, now);
        let of = |counter: &mut u32, yes: bool| *counter = counter.saturating_add(u32::from(yes));
        of(&mut piece.calls, true);
        of(&mut piece.answered, outcome.is_none());
        let Some(outcome) = outcome else { return of(&mut piece.carried, true) };
        let failed = match outcome.end {
            End::Status(status) => {
                (500..=599).contains(&status) || (status == 408 && !outcome.rang)
            }
            End::NotSent => true,
            End::Silent | End::EarlyFailover => !outcome.rang,
            End::GivenUp | End::Answered => false,
        };
        let reached = outcome.rang
            || matches!(outcome.end, End::Answered | End::Status(480 | 486 | 600..=699));
        of(&mut piece.failed, failed);
        of(&mut piece.unavailable, outcome.end == End::Status(503));
        of(&mut piece.carried, reached && !failed);
        of(&mut piece.given_up, outcome.end == End::GivenUp && !outcome.rang);
    }

    /// How a call sounded, of either direction.
    pub fn sounded(&mut self, sound: &Sound, rules: &HealthRules, now: Instant) {
        let piece = self.piece(rules, now);
        piece.packets = piece.packets.saturating_add(sound.received);
        piece.lost = piece.lost.saturating_add(sound.lost);
        piece.heard = piece.heard.saturating_add(1);
        piece.jitter_us = piece.jitter_us.saturating_add(sound.jitter_us.into());
    }

    /// Forgets all: a trial call has shown that what was, is over.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }

    /// The figures of the window.
    pub fn figures(&self, rules: &HealthRules, now: Instant) -> Figures {
        let in_window = |(begun, _): &&(Instant, Figures)| *begun + rules.window > now;
        self.pieces.iter().filter(in_window).fold(Figures::default(), |sum, (_, it)| sum.plus(it))
    }

    /// What they say.
    pub fn judge(&self, rules: &HealthRules, now: Instant) -> Judgement {
        let figures = self.figures(rules, now);
        let told = figures.calls.saturating_sub(figures.given_up);
        if told < rules.calls_min.max(1) {
            return Judgement::Good;
        }
        let pct = |count: u32| u64::from(count) * 100 / u64::from(told);
        let failed = pct(figures.failed);
        if rules.failures_max_pct < 100 && failed > u64::from(rules.failures_max_pct) {
            return Judgement::Failing(format!(
                "{failed} % of its last {told} calls failed, over {} %",
                rules.failures_max_pct
            ));
        }
        let below = |what, share, least: u8| {
            let missed = share < u64::from(least);
            missed.then(|| {
                let why = format!("{what} {share} % of {told} calls, below {least} %");
                Judgement::Degraded(why)
            })
        };
        let ratio = below("answered", pct(figures.answered), rules.answer_ratio_min_pct);
        let network = below("carried", pct(figures.carried), rules.effectiveness_min_pct);
        let delay = figures.mean_post_dial_delay().filter(|delay| {
            rules.post_dial_delay_max > Duration::ZERO && *delay > rules.post_dial_delay_max
        });
        let slow = delay.map(|delay| {
            let (delay, most) = (delay.as_millis(), rules.post_dial_delay_max.as_millis());
            Judgement::Degraded(format!("rings after {delay} ms, over {most} ms"))
        });
        network.or(ratio).or(slow).unwrap_or(Judgement::Good)
    }

    /// When the oldest piece leaves the window, which may change the judgement.
    pub fn deadline(&self, rules: &HealthRules) -> Option<Instant> {
        self.pieces.front().map(|(begun, _)| *begun + rules.window)
    }

    /// The piece that `now` belongs to.
    fn piece(&mut self, rules: &HealthRules, now: Instant) -> &mut Figures {
        let length = rules.window / PIECES;
        while self.pieces.front().is_some_and(|(begun, _)| *begun + rules.window <= now)
            || self.pieces.len() > PIECES as usize + 1
        {
            self.pieces.pop_front();
        }
        let is_current = self.pieces.back().is_some_and(|(begun, _)| *begun + length > now);
        if !is_current {
            self.pieces.push_back((now, Figures::default()));
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last].1
    }

    /// Drops what has left the window.
    pub fn expire(&mut self, rules: &HealthRules, now: Instant) {
        while self.pieces.front().is_some_and(|(begun, _)| *begun + rules.window <= now) {
            self.pieces.pop_front();
        }
    }
}

impl Figures {
    fn plus(self, other: &Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            answered: self.answered.saturating_add(other.answered),
            carried: self.carried.saturating_add(other.carried),
            failed: self.failed.saturating_add(other.failed),
            unavailable: self.unavailable.saturating_add(other.unavailable),
            given_up: self.given_up.saturating_add(other.given_up),
            rung: self.rung.saturating_add(other.rung),
            post_dial_delay: self.post_dial_delay.saturating_add(other.post_dial_delay),
            packets: self.packets.saturating_add(other.packets),
            lost: self.lost.saturating_add(other.lost),
            heard: self.heard.saturating_add(other.heard),
            jitter_us: self.jitter_us.saturating_add(other.jitter_us),
        }
    }

    /// From INVITE to ringing, on average; `None` while none rang.
    pub fn mean_post_dial_delay(&self) -> Option<Duration> {
        self.post_dial_delay.checked_div(self.rung)
    }

    /// Answered share of the calls that tell, 0–1; `None` while there are none.
    pub fn answer_ratio(&self) -> Option<f64> {
        self.share(self.answered)
    }

    /// Share of calls that the network carried, 0–1.
    pub fn effectiveness(&self) -> Option<f64> {
        self.share(self.carried)
    }

    /// Share of calls that failed, 0–1.
    pub fn failure_ratio(&self) -> Option<f64> {
        self.share(self.failed)
    }

    /// Share of calls that were refused with 503, 0–1.
    pub fn unavailable_ratio(&self) -> Option<f64> {
        self.share(self.unavailable)
    }

    /// Share of packets lost on the way to us, 0–1; `None` while none were expected.
    pub fn loss(&self) -> Option<f64> {
        let expected = self.packets.saturating_add(self.lost);
        (expected > 0).then(|| self.lost as f64 / expected as f64)
    }

    /// Mean jitter; `None` while no call was heard.
    pub fn mean_jitter(&self) -> Option<Duration> {
        self.jitter_us.checked_div(u64::from(self.heard)).map(Duration::from_micros)
    }

    fn share(&self, count: u32) -> Option<f64> {
        let told = self.calls.saturating_sub(self.given_up);
        (told > 0).then(|| f64::from(count) / f64::from(told))
    }
}
