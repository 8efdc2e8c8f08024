//! Whole campaigns against a small store that keeps its own books: an independent witness of what
//! was dialled, when, and how often.

use super::*;
use crate::event::Disposition;
use crate::retry;
use std::collections::BTreeMap;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(97);
        (self.0 >> 33) % sides
    }
}

#[derive(Clone, Debug)]
enum Row {
    Due { at_wall_ms: u64 },
    Leased { until: Instant },
    Dialling,
    Final,
}

/// The store, the carrier and the witness in one.
struct World {
    bench: Bench,
    dice: Dice,
    rows: BTreeMap<u64, (Row, u8)>,
    fences: BTreeMap<u64, u64>,
    /// Answers on their way.
    answers: Vec<(Instant, Event)>,
    calls: BTreeMap<AttemptId, u64>,
    begun: Vec<Instant>,
    /// How late, at the worst, the loop takes its turn.
    late_ms_max: u64,
    /// Whether the trunk is full now and then.
    trunk_fills: bool,
}

impl World {
    fn new(rules: CampaignRules, contacts: u64, seed: u64) -> Self {
        let bench = Bench::new(rules, CampaignState::Draft);
        let at_wall_ms = bench.now.wall_ms;
        let rows = (0..contacts).map(|number| (number, (Row::Due { at_wall_ms }, 0))).collect();
        Self {
            bench,
            dice: Dice(seed),
            rows,
            fences: BTreeMap::new(),
            answers: vec![],
            calls: BTreeMap::new(),
            begun: vec![],
            late_ms_max: 200,
            trunk_fills: true,
        }
    }

    fn answer(&mut self, after_ms: u64, event: Event) {
        let at = self.bench.now.instant + Duration::from_millis(after_ms);
        self.answers.push((at, event));
    }

    /// Does what the campaign asks; answers come some milliseconds later.
    fn perform(&mut self) {
        for action in std::mem::take(&mut self.bench.out) {
            let delay_ms = 1 + self.dice.roll(20);
            match action {
                Action::Claim { count } => {
                    let event = self.lease(count);
                    self.answer(delay_ms, event);
                }
                // The trunk has no room.
                Action::Permit { attempt, .. } if self.trunk_fills && self.dice.roll(15) == 0 => {
                    self.begun.push(self.bench.now.instant);
                    self.answer(0, Event::HeldBack { attempt, wait: Duration::from_millis(100) });
                }
                Action::Permit { attempt, contact } => {
                    let event = self.permit(attempt, &contact);
                    self.answer(delay_ms, event);
                }
                Action::Originate { attempt, .. } => {
                    let lasts_ms = 500 + self.dice.roll(20_000);
                    self.answer(lasts_ms, Event::Closed { attempt });
                }
                Action::Return { contacts } => {
                    for contact in contacts {
                        let held = self.bench.now.wall_ms;
                        let row = self.rows.get_mut(&contact.contact.0).unwrap();
                        assert!(matches!(row.0, Row::Leased { .. }), "returned, but not leased");
                        row.0 = Row::Due { at_wall_ms: held };
                    }
                }
                Action::StateChanged { .. } => (),
            }
        }
    }

    fn lease(&mut self, count: u32) -> Event {
        let now = self.bench.now;
        let mut contacts = Vec::new();
        for (number, (row, attempts)) in &mut self.rows {
            let due = match row {
                Row::Due { at_wall_ms } => *at_wall_ms <= now.wall_ms,
                Row::Leased { until } => *until <= now.instant,
                Row::Dialling | Row::Final => false,
            };
            if due && contacts.len() < count as usize {
                *row = Row::Leased { until: now.instant + Duration::from_secs(60) };
                let fence = self.fences.entry(*number).or_insert(0);
                *fence += 1;
                contacts.push(LeasedContact {
                    attempt_number: *attempts + 1,
                    fence: *fence,
                    ..super::contacts(*number..*number + 1).remove(0)
                });
            }
        }
        let next_due_wall_ms = self
            .rows
            .values()
            .filter_map(|(row, _)| match row {
                Row::Due { at_wall_ms } => Some(*at_wall_ms),
                Row::Leased { .. } | Row::Dialling | Row::Final => None,
            })
            .min();
        Event::Claimed { contacts, next_due_wall_ms }
    }

    fn permit(&mut self, attempt: AttemptId, contact: &LeasedContact) -> Event {
        let number = contact.contact.0;
        let (row, attempts) = self.rows.get_mut(&number).unwrap();
        let held = matches!(row, Row::Leased { until } if *until > self.bench.now.instant);
        assert!(held, "{number} is dialled without a lease: {row:?}");
        assert_eq!(self.fences[&number], contact.fence);
        // The witness counts every start, permitted or not.
        self.begun.push(self.bench.now.instant);
        if self.dice.roll(10) == 0 {
            *row = Row::Final;
            return Event::Refused { attempt };
        }
        *row = Row::Dialling;
        *attempts += 1;
        assert!(!self.calls.values().any(|other| *other == number), "{number} called twice");
        self.calls.insert(attempt, number);
        Event::Permitted { attempt }
    }

    /// The outcome is on disk before the campaign hears of it.
    fn close(&mut self, attempt: AttemptId) {
        let number = self.calls.remove(&attempt).unwrap();
        let all = [Disposition::Answered, Disposition::Busy, Disposition::NoAnswer];
        let disposition = all[self.dice.roll(3) as usize];
        let (row, attempts) = self.rows.get_mut(&number).unwrap();
        let policy = &self.bench.campaign.rules().retry;
        *row = match retry::next(disposition, *attempts, policy, self.bench.now.wall_ms) {
            Some(at_wall_ms) => Row::Due { at_wall_ms },
            None => Row::Final,
        };
    }

    /// The next thing that happens: an answer or a deadline. `false` when nothing will.
    fn step(&mut self) -> bool {
        let first = (0..self.answers.len()).min_by_key(|index| self.answers[*index].0);
        let answer_at = first.map(|index| self.answers[index].0);
        let deadline = self.bench.campaign.deadline();
        let Some(at) = [answer_at, deadline].into_iter().flatten().min() else { return false };
        let now = self.bench.now;
        self.bench.now = now.after(at.saturating_duration_since(now.instant));
        // A loop is sometimes late.
        if self.dice.roll(50) == 0 {
            let late = Duration::from_millis(self.dice.roll(self.late_ms_max));
            self.bench.now = self.bench.now.after(late);
        }
        match first {
            Some(index) if answer_at == Some(at) => {
                let (_, event) = self.answers.swap_remove(index);
                if let Event::Closed { attempt } = event {
                    self.close(attempt);
                }
                self.bench.handle(event);
            }
            _ => {
                let Bench { campaign, now, ids, out, .. } = &mut self.bench;
                campaign.handle_deadline(*now, ids, out);
            }
        }
        self.perform();
        true
    }

    fn check(&self) {
        let campaign = &self.bench.campaign;
        assert!(campaign.in_flight() <= campaign.rules().channels_max as usize);
        assert!(self.calls.len() <= campaign.in_flight());
        assert!(campaign.leased() <= 2 * LEASED_MAX as usize);
        if campaign.state() == CampaignState::Finished {
            let open = self.rows.values().filter(|(row, _)| !matches!(row, Row::Final)).count();
            assert_eq!(open, 0, "finished with contacts left");
            assert!(self.calls.is_empty());
        }
    }

    /// No window holds more than the rate allows, whatever was late.
    fn check_rate(&self) {
        let rate = u64::from(self.bench.campaign.rules().rate_per_minute_max);
        for window_ms in [100, 1_000, 60_000] {
            let window = Duration::from_millis(window_ms);
            let most = rate * (window_ms + 50) / 60_000 + 1;
            let mut first = 0;
            for last in 0..self.begun.len() {
                while self.begun[last] - self.begun[first] >= window {
                    first += 1;
                }
                let count = (last - first + 1) as u64;
                assert!(count <= most, "{count} begun within {window_ms} ms, at most {most}");
            }
        }
    }
}

#[test]
fn every_campaign_ends_with_every_contact_final_and_never_too_fast() {
    for seed in 0..12 {
        let rules = CampaignRules {
            rate_per_minute_max: [30, 600, 6_000, 60_000][seed as usize % 4],
            channels_max: [3, 40, 1_000][seed as usize % 3],
            window_minutes: [(0, 1440), (480, 500), (1_380, 490)][seed as usize % 3],
            ..rules()
        };
        let mut world = World::new(rules, 300, seed);
        world.bench.handle(Event::Start);
        world.perform();
        let mut steps = 0;
        while world.bench.campaign.state() != CampaignState::Finished {
            // Somebody plays with the switch, and new contacts come in.
            match world.dice.roll(400) {
                0 => world.bench.handle(Event::Pause),
                1 => world.bench.handle(Event::StoreFailed),
                2 if steps < 5_000 => {
                    let at_wall_ms = world.bench.now.wall_ms;
                    world.rows.insert(1_000 + steps, (Row::Due { at_wall_ms }, 0));
                    world.bench.handle(Event::ContactsAdded);
                }
                _ => (),
            }
            world.perform();
            if world.dice.roll(20) == 0 {
                world.bench.handle(Event::Start);
                world.bench.handle(Event::StoreRecovered);
                world.perform();
            }
            if !world.step() {
                world.bench.handle(Event::Start);
                world.bench.handle(Event::StoreRecovered);
                world.perform();
            }
            world.check();
            steps += 1;
            assert!(steps < 300_000, "seed {seed}: it does not come to an end");
        }
        world.check_rate();
        assert!(world.rows.values().all(|(_, attempts)| *attempts <= 3), "seed {seed}");
    }
}

/// 6,000 a minute, calls of ten seconds on average, turns up to 40 ms late: the rate is reached,
/// not only kept.
#[test]
fn four_minutes_at_six_thousand_a_minute() {
    let mut world = World::new(CampaignRules { channels_max: 5_000, ..rules() }, 30_000, 1);
    world.late_ms_max = 40;
    world.trunk_fills = false;
    world.bench.handle(Event::Start);
    world.perform();
    let start = world.bench.now.instant;
    while world.begun.len() < 24_000 && world.step() {
        world.check();
    }
    let took = world.bench.now.instant - start;
    assert!(took >= Duration::from_millis(239_900), "too fast: {took:?}");
    assert!(took <= Duration::from_secs(241), "too slow: {took:?}");
    world.check_rate();
}
