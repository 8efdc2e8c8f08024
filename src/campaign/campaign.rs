//! One campaign: leases contacts ahead, begins their diallings at its rate, knows when it is done.
//!
//! ```text
//!         start            pause
//! Draft ─────────► Running ─────► Paused
//!   │               │ │  ▲ start   │ │
//!   │        cancel │ │  └─────────┘ │ cancel
//!   └───────────────┼─┼──────► Cancelled ◄
//!                   │ nothing leased, in flight or due
//!                   └─────────────► Finished
//! ```
//! A contact's way while `Running`:
//!
//! ```text
//! Claim ─► Claimed ─► leased ─(slot, channel, hours)─► Permit ─► Permitted ─► Originate ─► Closed
//!                       │ paused, 30 s over              │ refused
//!                       ▼                                ▼
//!                     Return                           looked at again
//! ```
//! A million contacts never sit in memory: at most two seconds of the rate are leased ahead, and
//! never more than there are free channels. The store answers every `Permit`, in the end, with
//! `Permitted` or `Refused`, and every permitted attempt is `Closed`: only so are channels given
//! back, for only the store knows whether an attempt is on disk.
//!
//! Calls `pacer`, `calling_window`. Called by the switchboard.

use crate::calling_window;
use crate::event::{Action, CampaignRules, CampaignState, Event, LeasedContact};
use crate::pacer::Pacer;
use domain::id::{AttemptId, ContactId, IdSource};
use domain::now::Now;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How far ahead contacts are leased.
const LOOKAHEAD: Duration = Duration::from_secs(2);
/// The most that are leased at once.
const LEASED_MAX: u32 = 500;
/// How long a leased contact is held; the store's lease runs for 60 s.
const HELD_MAX: Duration = Duration::from_secs(30);
/// How long an answer to `Claim` is awaited before it is asked again.
const CLAIM_ANSWER_MAX: Duration = Duration::from_secs(30);
/// The least time between two claims of which the first brought fewer than asked.
const CLAIM_GAP: Duration = Duration::from_millis(100);
/// So many attempts one after the other that were not sent tell that the next one might not be either; a
/// neighbour that wants one in ten left out is no obstacle.
const UNSENT_MAX: u32 = 3;
/// How long nothing is begun then.
const UNSENT_FOR: Duration = Duration::from_secs(1);
/// The wall clock may be set: whatever waits for it looks again after this long.
const WALL_CLOCK_CHECK: Duration = Duration::from_secs(60);

/// One campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    rules: CampaignRules,
    state: CampaignState,
    store_works: bool,
    draining: bool,
    pacer: Pacer,
    leased: VecDeque<Leased>,
    in_flight: BTreeMap<AttemptId, InFlight>,
    /// The contacts leased or in flight.
    busy: BTreeSet<ContactId>,
    supply: Supply,
    claim: Option<Claim>,
    /// Nothing is begun before.
    held_back_until: Option<Instant>,
    /// Attempts that were not sent, since the last that was.
    unsent: u32,
    wake: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Leased {
    contact: LeasedContact,
    /// When it was asked for: its lease cannot have begun earlier.
    since: Instant,
}

#[derive(Clone, Debug)]
struct InFlight {
    leased: Leased,
    permitted: bool,
}

/// What the store has for us, as far as we know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Supply {
    /// Ask.
    Unknown,
    /// Nothing before this time of the wall clock; and not to be asked before that instant.
    DueAt { wall_ms: u64, ask_from: Instant },
    /// Nothing that is not final, leased or in flight.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    count: u32,
    asked_at: Instant,
    /// Something changed after the question: its answer may be old.
    outdated: bool,
}

impl Campaign {
    /// A campaign as the store knows it, at its creation or at a restart, when nothing of it is
    /// leased or in flight. One that is `Running` has work at once: `deadline` says `now`.
    pub fn new(rules: CampaignRules, state: CampaignState, now: Now) -> Self {
        Self {
            pacer: Pacer::new(rules.rate_per_minute_max),
            rules,
            state,
            store_works: true,
            draining: false,
            leased: VecDeque::new(),
            in_flight: BTreeMap::new(),
            busy: BTreeSet::new(),
            supply: Supply::Unknown,
            claim: None,
            held_back_until: None,
            unsent: 0,
            wake: (state == CampaignState::Running).then_some(now.instant),
        }
    }

    /// Takes one event. `ids` numbers new attempts.
    pub fn handle(&mut self, event: Event, now: Now, ids: &mut IdSource, out: &mut Vec<Action>) {
        use CampaignState::{Cancelled, Draft, Finished, Paused, Running};
        match (self.state, event) {
            (Draft | Paused, Event::Start) => self.enter(Running, out),
            (Running, Event::Pause) => self.enter(Paused, out),
            (Draft | Running | Paused, Event::Cancel) => self.enter(Cancelled, out),
            // Said twice, or too late.
            (Running | Cancelled | Finished, Event::Start)
            | (Draft | Paused | Cancelled | Finished, Event::Pause)
            | (Cancelled | Finished, Event::Cancel) => (),
            (_, Event::ContactsAdded) => self.look_again(),
            (_, Event::Claimed { contacts, next_due_wall_ms }) => {
                self.take_claimed(contacts, next_due_wall_ms, now, out);
            }
            (_, Event::Permitted { attempt }) => self.originate(attempt, out),
            (_, Event::Refused { attempt }) => self.forget(attempt),
            (_, Event::Closed { attempt }) => {
                self.forget(attempt);
                self.unsent = 0;
            }
            (_, Event::Unsent { attempt }) => {
                self.forget(attempt);
                self.unsent = self.unsent.saturating_add(1);
                if self.unsent >= UNSENT_MAX {
                    self.held_back_until = Some(now.instant + UNSENT_FOR);
                }
            }
            (_, Event::HeldBack { attempt, wait }) => self.hold_back(attempt, wait, now),
            (_, Event::StoreFailed) => {
                self.store_works = false;
                self.claim = None;
            }
            (_, Event::StoreRecovered) => {
                self.store_works = true;
                self.look_again();
            }
            (_, Event::Drain) => self.draining = true,
        }
        self.go_on(now, ids, out);
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Now, ids: &mut IdSource, out: &mut Vec<Action>) {
        self.go_on(now, ids, out);
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// What it was told to be.
    pub fn rules(&self) -> &CampaignRules {
        &self.rules
    }

    /// Where it stands.
    pub fn state(&self) -> CampaignState {
        self.state
    }

    /// How many contacts are leased and not yet being called.
    pub fn leased(&self) -> usize {
        self.leased.len()
    }

    /// How many attempts are in flight, from `Permit` to `Closed` or `Refused`.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Takes new rules; they count from the next dialling on.
    pub fn set_rules(&mut self, rules: CampaignRules, now: Now) {
        self.pacer.set_rate(rules.rate_per_minute_max);
        self.rules = rules;
        self.wake = Some(now.instant);
    }

    fn enter(&mut self, state: CampaignState, out: &mut Vec<Action>) {
        self.state = state;
        self.look_again();
        out.push(Action::StateChanged { state });
    }

    /// What is known of the supply is old.
    fn look_again(&mut self) {
        self.supply = Supply::Unknown;
        if let Some(claim) = &mut self.claim {
            claim.outdated = true;
        }
    }

    fn take_claimed(
        &mut self,
        contacts: Vec<LeasedContact>,
        next_due_wall_ms: Option<u64>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        // An answer awaited no longer (the store was slow or failed) is still a lease.
        let claim =
            self.claim.take().unwrap_or(Claim { count: 0, asked_at: now.instant, outdated: true });
        let came = u32::try_from(contacts.len()).unwrap_or(u32::MAX);
        let mut surplus = Vec::new();
        let leased_before = self.leased.len();
        for contact in contacts {
            let since = claim.asked_at;
            if self.busy.contains(&contact.contact) {
                // The newer lease of one not yet called is the one that counts. The store never
                // leases whom we are calling; if it did, he must not be called twice, and must not
                // be given back either: that lease may run out.
                let same = |other: &&mut Leased| other.contact.contact == contact.contact;
                if let Some(older) = self.leased.iter_mut().find(same) {
                    *older = Leased { contact, since };
                }
            } else if self.leased.len() < 2 * LEASED_MAX as usize {
                self.busy.insert(contact.contact);
                self.leased.push_back(Leased { contact, since });
            } else {
                surplus.push(contact);
            }
        }
        if !surplus.is_empty() {
            out.push(Action::Return { contacts: surplus });
        }
        let ask_from = now.instant + CLAIM_GAP;
        self.supply = match next_due_wall_ms {
            _ if came > 0 && self.leased.len() == leased_before => {
                Supply::DueAt { wall_ms: now.wall_ms, ask_from }
            }
            _ if came >= claim.count || claim.outdated => Supply::Unknown,
            Some(wall_ms) => Supply::DueAt { wall_ms, ask_from },
            None => Supply::Nothing,
        };
    }

    /// The attempt is on disk as dialling. It leaves even if the campaign was paused since: it is
    /// one of the present calls, and an attempt on disk that never rings would be in doubt.
    fn originate(&mut self, attempt: AttemptId, out: &mut Vec<Action>) {
        let Some(in_flight) = self.in_flight.get_mut(&attempt) else { return };
        if !in_flight.permitted {
            in_flight.permitted = true;
            let contact = in_flight.leased.contact.clone();
            out.push(Action::Originate { attempt, contact });
        }
    }

    fn forget(&mut self, attempt: AttemptId) {
        if let Some(gone) = self.in_flight.remove(&attempt) {
            self.busy.remove(&gone.leased.contact.contact);
            self.look_again();
        }
    }

    fn hold_back(&mut self, attempt: AttemptId, wait: Duration, now: Now) {
        if self.in_flight.get(&attempt).is_none_or(|it| it.permitted) {
            return;
        }
        if let Some(InFlight { leased, .. }) = self.in_flight.remove(&attempt) {
            self.leased.push_front(leased);
            self.held_back_until = Some(now.instant + wait);
        }
    }

    /// Begins what may begin, asks for what may be asked, and sets the next deadline.
    fn go_on(&mut self, now: Now, ids: &mut IdSource, out: &mut Vec<Action>) {
        self.wake = None;
        if self.state != CampaignState::Running || !self.store_works || self.draining {
            return self.return_held_since(now.instant, out);
        }
        let (window, offset) = (self.rules.window_minutes, self.rules.utc_offset_min);
        if !calling_window::is_open(window, offset, now.wall_ms) {
            self.return_held_since(now.instant, out);
            if let Some(opens) = calling_window::next_opening(window, offset, now.wall_ms) {
                self.wake_at(now.instant_of(opens).min(now.instant + WALL_CLOCK_CHECK));
            }
            return;
        }
        self.begin_diallings(now, ids, out);
        if let Some(long_ago) = now.instant.checked_sub(HELD_MAX) {
            self.return_held_since(long_ago, out);
        }
        if let Some(oldest) = self.leased.front() {
            let held_until = oldest.since + HELD_MAX;
            self.wake_at(held_until);
            if self.free_channels() > 0 {
                let next = self.pacer.next(now.instant);
                self.wake_at(self.held_back_until.map_or(next, |until| until.max(next)));
            }
        }
        self.claim_more(now, out);
        self.finish_if_nothing_is_left(out);
    }

    fn begin_diallings(&mut self, now: Now, ids: &mut IdSource, out: &mut Vec<Action>) {
        if self.held_back_until.is_some_and(|until| now.instant < until) {
            return;
        }
        self.held_back_until = None;
        while self.free_channels() > 0 && !self.leased.is_empty() && self.pacer.take(now.instant) {
            let Some(leased) = self.leased.pop_front() else { return };
            let (attempt, contact) = (AttemptId(ids.next_number()), leased.contact.clone());
            self.in_flight.insert(attempt, InFlight { leased, permitted: false });
            out.push(Action::Permit { attempt, contact });
        }
    }

    /// Leases are asked for two seconds ahead of their slots, as many as there are channels for,
    /// half of that at a time, so that a question is asked once a second and not for each call.
    fn claim_more(&mut self, now: Now, out: &mut Vec<Action>) {
        if let Some(Claim { asked_at, .. }) = self.claim {
            let give_up_at = asked_at + CLAIM_ANSWER_MAX;
            if now.instant < give_up_at {
                return self.wake_at(give_up_at);
            }
            self.claim = None;
        }
        match self.supply {
            Supply::Nothing => return,
            Supply::DueAt { wall_ms, ask_from } => {
                if now.wall_ms < wall_ms || now.instant < ask_from {
                    let due = now.instant_of(wall_ms).min(now.instant + WALL_CLOCK_CHECK);
                    return self.wake_at(due.max(ask_from));
                }
            }
            Supply::Unknown => (),
        }
        let free = self.free_channels();
        if free == 0 {
            return;
        }
        let slots = self.pacer.slots_until(now.instant + LOOKAHEAD, now.instant);
        let wanted = slots.min(LEASED_MAX).min(free);
        let leased = u32::try_from(self.leased.len()).unwrap_or(u32::MAX);
        if wanted == 0 {
            // The next slot is more than the lookahead away.
            self.wake_at(
                self.pacer.next(now.instant).checked_sub(LOOKAHEAD).unwrap_or(now.instant),
            );
        } else if leased <= wanted / 2 {
            let count = wanted - leased;
            self.claim = Some(Claim { count, asked_at: now.instant, outdated: false });
            self.wake_at(now.instant + CLAIM_ANSWER_MAX);
            out.push(Action::Claim { count });
        }
    }

    fn finish_if_nothing_is_left(&mut self, out: &mut Vec<Action>) {
        if self.supply == Supply::Nothing
            && self.claim.is_none()
            && self.leased.is_empty()
            && self.in_flight.is_empty()
        {
            self.enter(CampaignState::Finished, out);
            self.wake = None;
        }
    }

    /// Gives back those held since `instant` or longer.
    fn return_held_since(&mut self, instant: Instant, out: &mut Vec<Action>) {
        let mut contacts = Vec::new();
        while self.leased.front().is_some_and(|oldest| oldest.since <= instant) {
            let Some(Leased { contact, .. }) = self.leased.pop_front() else { break };
            self.busy.remove(&contact.contact);
            contacts.push(contact);
        }
        if !contacts.is_empty() {
            self.look_again();
            out.push(Action::Return { contacts });
        }
    }

    fn free_channels(&self) -> u32 {
        let used = u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX);
        self.rules.channels_max.saturating_sub(used)
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |other| other.min(at)));
    }
}

#[cfg(test)]
mod tests;
