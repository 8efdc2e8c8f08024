//! Who may speak how often: a budget for each source, asked before a message is read, and bans for
//! those who send rubbish or guess passwords.
//!
//! ```text
//!            within its budget           strikes ≥ most within a minute
//! datagram ──► Pass            Unknown ────────────────────────────────► Banned ──► twice as long
//!          └─► Drop, unseen       │ logged in, or we called it             │          next time
//!                                 ▼                                        ▼ time over, or unban
//!                               Known (never banned)                     Unknown
//! ```
//!
//! Memory is fixed: sources have a place in a table by a keyed hash, and who comes when a row is full
//! takes the place of the one longest silent. Sources that nobody can hold to account (forged ones)
//! share one budget besides. A source is an IPv4 address, or an IPv6 network of 64 bits. Calls nothing.
//! Called by `endpoint`.

mod table;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};
use table::{Slot, Table};

/// Budgets and bans.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuardRules {
    /// Of a source we do not know.
    pub unknown: Budget,
    /// Of all sources together that we do not know.
    pub unknown_together: Budget,
    /// Of a source we know: it logged in, or we called it. Trunks have no budget.
    pub known: Budget,
    /// Strikes within a minute that ban a source; 0: none is banned.
    pub strikes_max: u16,
    /// How long the first ban of a source lasts.
    pub ban: Duration,
    /// Whether what cannot be read is left unanswered where the source is not known, so that nobody
    /// learns that something is here.
    pub silent: bool,
}

/// So many pieces of up to 1,500 octets a second, and so many at once after a pause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Each second.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// Whether a message is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It is.
    Pass,
    /// Its source has used up its budget.
    OverBudget,
    /// Its source is banned.
    Banned,
}

/// What a source may do wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offence {
    /// It sent what cannot be read.
    Unreadable,
    /// It was asked for a password: its telephone's answer makes it good.
    Challenged,
    /// It wanted what it may not have.
    Forbidden,
    /// It gave a wrong password.
    WrongPassword,
}

impl Offence {
    /// How many strikes it counts.
    fn strikes(self) -> u16 {
        match self {
            Self::Unreadable | Self::Challenged => 1,
            Self::Forbidden => 2,
            Self::WrongPassword => 5,
        }
    }
}

/// A source that is banned now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ban {
    /// The address, for IPv6 the network's first.
    pub source: IpAddr,
    /// How long it still lasts.
    pub left: Duration,
    /// How many messages it has swallowed.
    pub dropped: u64,
}

/// How much was kept out since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Messages over budget.
    pub over_budget: u64,
    /// Messages of banned sources.
    pub banned: u64,
    /// Bans begun.
    pub bans: u64,
    /// Unreadable messages left unanswered.
    pub unanswered: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Guard {
    rules: GuardRules,
    table: Table,
    together: Bucket,
    counters: Counters,
}

/// How long a source stays known after its telephone logged in or we called it: longer than
/// telephones wait with their next REGISTER.
const KNOWN_FOR: Duration = Duration::from_secs(2 * 3_600);
/// Strikes older than this do not count.
const STRIKES_WITHIN: Duration = Duration::from_secs(60);
/// The longest ban, however often a source comes back.
const BAN_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Octets that cost one piece of a budget.
const PIECE: usize = 1_500;

impl Guard {
    /// Nobody is known yet. `secret` keys the table, so that nobody can choose addresses that share
    /// a row.
    pub fn new(rules: GuardRules, secret: u64, now: Instant) -> Self {
        let together = Bucket::full(rules.unknown_together, now);
        Self { rules, table: Table::new(secret), together, counters: Counters::default() }
    }

    /// Whether a message of `length` octets is read.
    pub fn admit(&mut self, source: IpAddr, length: usize, now: Instant) -> Admission {
        let rules = self.rules;
        let slot = self.table.slot(key(source), now, || Bucket::full(rules.unknown, now));
        if slot.is_banned(now) {
            slot.dropped += 1;
            self.counters.banned += 1;
            return Admission::Banned;
        }
        let pieces = u32::try_from(length.div_ceil(PIECE).max(1)).unwrap_or(u32::MAX);
        let is_known = slot.is_known(now);
        let budget = if is_known { rules.known } else { rules.unknown };
        let has_room = slot.bucket.take(budget, pieces, now)
            && (is_known || self.together.take(rules.unknown_together, pieces, now));
        if has_room {
            return Admission::Pass;
        }
        self.counters.over_budget += 1;
        Admission::OverBudget
    }

    /// A source did something wrong. One that is known is not banned: whoever forges its address
    /// could else silence it.
    pub fn offended(&mut self, source: IpAddr, offence: Offence, now: Instant) {
        let rules = self.rules;
        let slot = self.table.slot(key(source), now, || Bucket::full(rules.unknown, now));
        if rules.strikes_max == 0 || slot.is_known(now) || slot.is_banned(now) {
            return;
        }
        if now.saturating_duration_since(slot.first_strike) > STRIKES_WITHIN {
            (slot.strikes, slot.first_strike) = (0, now);
        }
        slot.strikes = slot.strikes.saturating_add(offence.strikes());
        if slot.strikes >= rules.strikes_max {
            let ban = rules.ban.saturating_mul(1 << slot.bans.min(16)).min(BAN_MAX);
            slot.banned_until = Some(now + ban);
            slot.bans = slot.bans.saturating_add(1);
            slot.strikes = 0;
            self.counters.bans += 1;
        }
    }

    /// A source is as good as we are told: its telephone logged in, or we send it a request.
    pub fn trusts(&mut self, source: IpAddr, now: Instant) {
        let rules = self.rules;
        let slot = self.table.slot(key(source), now, || Bucket::full(rules.known, now));
        if !slot.is_known(now) {
            slot.bucket = Bucket::full(rules.known, now);
        }
        (slot.known_until, slot.strikes) = (Some(now + KNOWN_FOR), 0);
        (slot.banned_until, slot.bans) = (None, 0);
    }

    /// Whether what cannot be read is answered; what is not is counted.
    pub fn answers_rubbish(&mut self, source: IpAddr, now: Instant) -> bool {
        let known = self.table.find(key(source)).is_some_and(|slot| slot.is_known(now));
        let answers = known || !self.rules.silent;
        self.counters.unanswered += u64::from(!answers);
        answers
    }

    /// Ends a ban; whether there was one.
    pub fn unban(&mut self, source: IpAddr, now: Instant) -> bool {
        match self.table.find_mut(key(source)) {
            Some(slot) if slot.is_banned(now) => {
                (slot.banned_until, slot.bans, slot.strikes) = (None, 0, 0);
                true
            }
            _ => false,
        }
    }

    /// Who is banned now, by address.
    pub fn bans(&self, now: Instant) -> Vec<Ban> {
        let banned = self.table.slots().filter_map(|slot| {
            let left = slot.banned_until?.checked_duration_since(now)?;
            let source = address(slot.key);
            (!left.is_zero()).then_some(Ban { source, left, dropped: slot.dropped })
        });
        let mut bans: Vec<Ban> = banned.collect();
        bans.sort_by_key(|ban| ban.source);
        bans
    }

    /// How much was kept out.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

impl Slot {
    fn is_known(&self, now: Instant) -> bool {
        self.known_until.is_some_and(|until| now < until)
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }
}

/// What may still be spent, in thousandths of a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Bucket {
    left: u64,
    at: Instant,
}

impl Bucket {
    fn full(budget: Budget, now: Instant) -> Self {
        Self { left: u64::from(budget.burst) * 1_000, at: now }
    }

    /// Takes `pieces` if there are so many; a message larger than the whole burst never passes.
    fn take(&mut self, budget: Budget, pieces: u32, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        // A microsecond brings a thousandth of `per_second` thousandths.
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let gained = micros.saturating_mul(u64::from(budget.per_second)) / 1_000;
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(u64::from(budget.burst) * 1_000);
            self.at = now;
        }
        let price = u64::from(pieces) * 1_000;
        let enough = self.left >= price;
        if enough {
            self.left -= price;
        }
        enough
    }
}

/// A source as a number: an IPv4 address as IPv6 maps it (RFC 4291 §2.5.5.2), else the upper 64 bits,
/// since a household has them all to itself.
fn key(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

fn address(key: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(key)).to_canonical()
}
