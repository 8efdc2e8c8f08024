//! Tables in virtual time, and whole campaigns against a small store.

mod whole_campaigns;

use super::*;
use crate::event::RetryPolicy;
use domain::id::{CampaignId, TenantId, TrunkId};
use domain::now::epoch;
use domain::phone_number::PhoneNumber;

fn rules() -> CampaignRules {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    CampaignRules {
        id: CampaignId(1),
        trunk: TrunkId::new(&TenantId::default(), "carrier"),
        caller_id: PhoneNumber::parse("+4930000").unwrap(),
        rate_per_minute_max: 6_000,
        channels_max: 1_000,
        ring_for: Duration::from_secs(30),
        retry: RetryPolicy {
            attempts_max: 3,
            busy_after: minutes(10),
            no_answer_after: minutes(60),
            failed_after: minutes(1),
            in_doubt_after: minutes(60),
        },
        window_minutes: (0, 1440),
        utc_offset_min: 0,
    }
}

fn contacts(numbers: std::ops::Range<u64>) -> Vec<LeasedContact> {
    let contact = |number: u64| LeasedContact {
        contact: ContactId(number),
        number: PhoneNumber::parse(&format!("+49{number:06}")).unwrap(),
        attempt_number: 1,
        fence: 1,
    };
    numbers.map(contact).collect()
}

/// A campaign with its clock.
struct Bench {
    campaign: Campaign,
    now: Now,
    ids: IdSource,
    out: Vec<Action>,
    attempts: Vec<AttemptId>,
}

impl Bench {
    fn new(rules: CampaignRules, state: CampaignState) -> Self {
        let now = epoch();
        let campaign = Campaign::new(rules, state, now);
        let ids = IdSource::starting_at(now.wall_ms);
        Self { campaign, now, ids, out: vec![], attempts: vec![] }
    }

    /// Running, with its first claim asked.
    fn running(rules: CampaignRules) -> Self {
        let mut bench = Self::new(rules, CampaignState::Running);
        bench.wait_ms(0);
        bench
    }

    fn handle(&mut self, event: Event) {
        self.campaign.handle(event, self.now, &mut self.ids, &mut self.out);
    }

    fn claimed(&mut self, numbers: std::ops::Range<u64>, next_due_wall_ms: Option<u64>) {
        self.handle(Event::Claimed { contacts: contacts(numbers), next_due_wall_ms });
    }

    fn closed(&mut self, index: usize) {
        let attempt = self.attempts[index];
        self.handle(Event::Closed { attempt });
    }

    fn wait_ms(&mut self, ms: u64) {
        let end = self.now.after(Duration::from_millis(ms));
        while let Some(at) = self.campaign.deadline().filter(|at| *at <= end.instant) {
            self.now = self.now.after(at.saturating_duration_since(self.now.instant));
            self.campaign.handle_deadline(self.now, &mut self.ids, &mut self.out);
        }
        self.now = end;
    }

    /// What was told since the last time; attempts are numbered a0, a1 … as they come.
    fn told(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for action in std::mem::take(&mut self.out) {
            lines.push(match action {
                Action::Claim { count } => format!("claim {count}"),
                Action::Permit { attempt, contact } => {
                    self.attempts.push(attempt);
                    format!("permit a{} for {}", self.attempts.len() - 1, contact.contact)
                }
                Action::Originate { attempt, contact } => {
                    let index = self.attempts.iter().position(|other| *other == attempt).unwrap();
                    format!("originate a{index} to {}", contact.number)
                }
                Action::Return { contacts } => {
                    let numbers = contacts.iter().map(|contact| contact.contact.to_string());
                    format!("return {}", numbers.collect::<Vec<_>>().join(" "))
                }
                Action::StateChanged { state } => format!("now {}", state.as_str()),
            });
        }
        lines
    }
}

#[test]
fn one_contact_from_start_to_finish() {
    let mut bench = Bench::new(rules(), CampaignState::Draft);
    assert_eq!(bench.campaign.deadline(), None);
    bench.handle(Event::Start);
    // Two seconds of the rate, and the slot of this very moment.
    assert_eq!(bench.told(), ["now running", "claim 201"]);
    bench.claimed(7..8, None);
    assert_eq!(bench.told(), ["permit a0 for 7"]);
    let attempt = bench.attempts[0];
    bench.handle(Event::Permitted { attempt });
    bench.handle(Event::Permitted { attempt });
    assert_eq!(bench.told(), ["originate a0 to +49000007"]);
    bench.wait_ms(20_000);
    assert_eq!(bench.told(), [""; 0]);
    // It may be due again: asked once more, and then it is known.
    bench.closed(0);
    assert_eq!(bench.told(), ["claim 206"]);
    bench.claimed(0..0, None);
    assert_eq!(bench.told(), ["now finished"]);
    assert_eq!((bench.campaign.in_flight(), bench.campaign.deadline()), (0, None));
    bench.handle(Event::Start);
    bench.handle(Event::Cancel);
    assert_eq!(bench.told(), [""; 0]);
}

#[test]
fn diallings_begin_one_by_one_and_leases_are_asked_for_in_time() {
    let mut bench = Bench::running(CampaignRules { rate_per_minute_max: 60, ..rules() });
    assert_eq!(bench.told(), ["claim 3"]);
    bench.claimed(0..3, None);
    assert_eq!(bench.told(), ["permit a0 for 0"]);
    bench.wait_ms(999);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    assert_eq!(bench.told(), ["permit a1 for 1", "claim 1"]);
    bench.wait_ms(1_000);
    assert_eq!(bench.told(), ["permit a2 for 2"]);
}

/// At one call a minute a contact is leased two seconds before its slot, not a minute.
#[test]
fn a_slow_campaign_leases_late() {
    let mut bench = Bench::running(CampaignRules { rate_per_minute_max: 1, ..rules() });
    assert_eq!(bench.told(), ["claim 1"]);
    bench.claimed(0..1, None);
    bench.handle(Event::ContactsAdded);
    assert_eq!(bench.told(), ["permit a0 for 0"]);
    bench.wait_ms(57_999);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    assert_eq!(bench.told(), ["claim 1"]);
    bench.claimed(1..2, None);
    bench.wait_ms(2_000);
    assert_eq!(bench.told(), ["permit a1 for 1"]);
}

#[test]
fn channels_are_held_from_permit_to_closed() {
    let mut bench = Bench::running(CampaignRules { channels_max: 2, ..rules() });
    assert_eq!(bench.told(), ["claim 2"]);
    bench.claimed(0..2, None);
    bench.wait_ms(10);
    assert_eq!(bench.told(), ["permit a0 for 0", "permit a1 for 1"]);
    bench.handle(Event::ContactsAdded);
    bench.wait_ms(60_000);
    assert_eq!(bench.told(), [""; 0]);
    // A refused permit frees its channel as a closed call does.
    let attempt = bench.attempts[1];
    bench.handle(Event::Refused { attempt });
    assert_eq!(bench.told(), ["claim 1"]);
    bench.claimed(2..3, None);
    assert_eq!(bench.told(), ["permit a2 for 2"]);
    bench.closed(0);
    bench.closed(0);
    assert_eq!(bench.told(), ["claim 1"]);
    assert_eq!(bench.campaign.in_flight(), 1);
}

/// The trunk is full: the contact keeps its lease and its turn, and the store is left in peace.
#[test]
fn what_the_trunk_has_no_room_for_is_tried_again_a_moment_later() {
    let mut bench = Bench::running(rules());
    bench.claimed(0..2, None);
    bench.told();
    let attempt = bench.attempts[0];
    bench.handle(Event::HeldBack { attempt, wait: Duration::from_millis(100) });
    bench.handle(Event::HeldBack { attempt, wait: Duration::from_millis(100) });
    assert_eq!((bench.campaign.in_flight(), bench.campaign.leased()), (0, 2));
    bench.wait_ms(99);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    // The slots of the last 50 ms are free: both at once.
    assert_eq!(bench.told(), ["permit a1 for 0", "permit a2 for 1"]);
    // Once permitted it is on disk: only the store's word ends it.
    let attempt = bench.attempts[1];
    bench.handle(Event::Permitted { attempt });
    bench.handle(Event::HeldBack { attempt, wait: Duration::from_millis(100) });
    assert_eq!(bench.campaign.in_flight(), 2);
    // For ever without room: given back before the lease runs out.
    let attempt = bench.attempts[2];
    bench.handle(Event::HeldBack { attempt, wait: Duration::from_millis(100) });
    for _ in 0..400 {
        bench.wait_ms(100);
        bench.told();
        if let Some(attempt) = bench.attempts.last().copied() {
            bench.handle(Event::HeldBack { attempt, wait: Duration::from_millis(100) });
        }
        if bench.out.iter().any(|action| matches!(action, Action::Return { .. })) {
            break;
        }
    }
    assert_eq!(bench.told()[0], "return 1");
}

/// A permitted attempt that was not sent leaves its contact to the store; after a few the next one waits,
/// unless one was sent in between.
#[test]
fn what_was_not_sent_is_claimed_again_and_after_a_few_nothing_begun_for_a_second() {
    for (sent, waits) in [(None, true), (Some(1), false)] {
        let mut bench = Bench::running(rules());
        bench.claimed(0..5, None);
        bench.wait_ms(3_000);
        bench.told();
        let begun = bench.attempts.clone();
        for (place, attempt) in begun.iter().copied().enumerate().take(3) {
            bench.handle(Event::Permitted { attempt });
            bench.handle(match sent == Some(place) {
                true => Event::Closed { attempt },
                false => Event::Unsent { attempt },
            });
        }
        bench.claimed(10..11, None);
        bench.wait_ms(999);
        let began = bench.told().iter().any(|told| told.starts_with("permit"));
        assert_eq!(began, !waits, "sent: {sent:?}");
    }
}

#[test]
fn a_pause_gives_leases_back_and_lets_present_calls_go_on() {
    for (order, word, back) in [
        (Event::Pause, "now paused", "return 1 2"),
        (Event::Cancel, "now cancelled", "return 1 2"),
        (Event::StoreFailed, "", "return 1 2"),
        (Event::Drain, "", "return 1 2"),
    ] {
        let mut bench = Bench::running(rules());
        bench.claimed(0..3, None);
        bench.told();
        bench.handle(order.clone());
        let told = bench.told();
        assert_eq!(told.last().map(String::as_str), Some(back));
        assert_eq!(told.len(), if word.is_empty() { 1 } else { 2 });
        // The permit was granted before the order reached the store: its INVITE leaves.
        let attempt = bench.attempts[0];
        bench.handle(Event::Permitted { attempt });
        assert_eq!(bench.told(), ["originate a0 to +49000000"]);
        bench.wait_ms(600_000);
        bench.closed(0);
        assert_eq!((bench.told(), bench.campaign.in_flight()), (vec![], 0));
        // A claim answered late is given back at once.
        bench.claimed(5..6, None);
        assert_eq!(bench.told(), ["return 5"]);
        match order {
            Event::Pause => bench.handle(Event::Start),
            Event::StoreFailed => bench.handle(Event::StoreRecovered),
            _ => continue,
        }
        assert_eq!(bench.told().last().map(String::as_str), Some("claim 206"));
    }
}

#[test]
fn leases_are_not_held_longer_than_half_a_minute() {
    let mut bench = Bench::running(CampaignRules { channels_max: 3, ..rules() });
    bench.claimed(0..2, None);
    bench.wait_ms(10);
    let attempts = bench.told();
    assert_eq!(attempts.len(), 3);
    // An old claim's answer brings more than there are channels.
    bench.claimed(10..13, None);
    bench.wait_ms(10);
    assert_eq!(bench.told(), ["permit a2 for 10"]);
    bench.wait_ms(29_989);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    assert_eq!(bench.told(), ["return 11 12"]);
}

#[test]
fn outside_its_hours_it_holds_nothing_and_wakes_at_the_opening() {
    // 2027-01-15 08:00 UTC; open until 08:01 and again from 08:00 of the next day.
    let mut bench = Bench::running(CampaignRules {
        window_minutes: (480, 481),
        rate_per_minute_max: 60,
        ..rules()
    });
    bench.wait_ms(59_000);
    bench.told();
    bench.claimed(0..3, Some(0));
    assert_eq!(bench.told(), ["permit a0 for 0"]);
    bench.wait_ms(1_000);
    assert_eq!(bench.told(), ["return 1 2"]);
    bench.wait_ms(24 * 3_600_000 - 60_001);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    assert_eq!(bench.told(), ["claim 3"]);
}

#[test]
fn it_waits_for_the_next_contact_to_come_due() {
    let mut bench = Bench::running(rules());
    bench.told();
    bench.claimed(0..0, Some(bench.now.wall_ms + 600_000));
    bench.wait_ms(599_999);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    assert_eq!(bench.told(), ["claim 201"]);
    // A store that says "due" and gives nothing is not asked in a circle.
    bench.claimed(0..0, Some(bench.now.wall_ms));
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(100);
    assert_eq!(bench.told(), ["claim 201"]);
}

/// The answer was on its way when a contact was added: it does not finish the campaign.
#[test]
fn an_outdated_answer_does_not_finish_it() {
    let mut bench = Bench::running(rules());
    bench.told();
    bench.handle(Event::ContactsAdded);
    bench.claimed(0..0, None);
    assert_eq!(bench.told(), ["claim 201"]);
    bench.claimed(0..0, None);
    assert_eq!(bench.told(), ["now finished"]);
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut bench = Bench::running(rules());
    bench.told();
    bench.wait_ms(29_999);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait_ms(1);
    assert_eq!(bench.told(), ["claim 201"]);
}

#[test]
fn nobody_is_called_twice_even_if_the_store_leases_him_twice() {
    let mut bench = Bench::running(rules());
    bench.claimed(0..2, None);
    bench.told();
    // 0 is being called, 1 is leased: its newer lease counts.
    let mut again = contacts(0..2);
    again.iter_mut().for_each(|contact| contact.fence = 2);
    bench.handle(Event::Claimed { contacts: again, next_due_wall_ms: None });
    assert_eq!((bench.campaign.leased(), bench.campaign.in_flight()), (1, 1));
    bench.wait_ms(10);
    let permit = bench.out.iter().find_map(|action| match action {
        Action::Permit { contact, .. } => Some((contact.contact, contact.fence)),
        _ => None,
    });
    assert_eq!(permit, Some((ContactId(1), 2)));
}

#[test]
fn new_rules_count_from_the_next_dialling() {
    let mut bench = Bench::running(CampaignRules { rate_per_minute_max: 1, ..rules() });
    bench.claimed(0..1, Some(0));
    bench.told();
    bench.campaign.set_rules(rules(), bench.now);
    bench.wait_ms(100);
    assert_eq!(bench.told(), ["claim 200"]);
}
