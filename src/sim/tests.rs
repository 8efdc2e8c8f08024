//! The simulator itself: the same seed is the same run, and its network and disk do what they say.

use crate::disk::{AttemptState, Contact, ContactState, Disk};
use crate::house::{CARRIER, GATEWAY, House, campaign};
use crate::journeys;
use crate::network::{Datagram, Network, Weather};
use crate::scenario::{Theme, build};
use crate::world::{Order, World};
use campaign::event::{CampaignState, Disposition};
use domain::id::{AttemptId, CampaignId, ContactId};
use domain::now::epoch;
use domain::phone_number::PhoneNumber;
use queue::event::CallbackState;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_same_seed_is_the_same_run_to_the_byte() {
    let house = Arc::new(House::build());
    let ladder = |seed| {
        let mut world = build(house.clone(), Theme::Crashes, seed, None);
        world.run().unwrap_or_else(|failure| panic!("{failure}"));
        world.ladder()
    };
    for seed in [3, 7, 12] {
        assert!(ladder(seed) == ladder(seed), "seed {seed} gave two different runs");
    }
    assert!(ladder(3) != ladder(7));
}

#[test]
fn the_network_loses_repeats_and_reorders_as_told() {
    let start = epoch().instant;
    let arrivals = |weather| {
        let mut network = Network::new(weather, 5);
        for index in 0..1_000u32 {
            let message = index.to_be_bytes().to_vec().into();
            network.send(Datagram { from: CARRIER, to: GATEWAY, message }, start);
        }
        let late = start + Duration::from_secs(1);
        let next = || network.arrive(late).map(|datagram| datagram.message);
        std::iter::from_fn(next).collect::<Vec<_>>()
    };
    let fair = arrivals(Weather::FAIR);
    assert_eq!(fair.len(), 1_000);
    assert!(fair.is_sorted());
    let storm = arrivals(Weather { lost: 20, twice: 10, delay_ms: 5, jitter_ms: 100 });
    // 1,000 less a fifth, and a tenth of the rest twice: 880, give or take.
    assert!((820..940).contains(&storm.len()), "{}", storm.len());
    assert!(!storm.is_sorted());
    assert!(storm.iter().collect::<BTreeSet<_>>().len() < storm.len());
}

fn disk_with_one_contact() -> Disk {
    let mut disk = Disk::default();
    let mut definition = campaign(1);
    definition.state = CampaignState::Running;
    disk.campaigns.insert(CampaignId(1), definition);
    let contact = Contact {
        campaign: CampaignId(1),
        number: PhoneNumber::parse("+49701").unwrap(),
        state: ContactState::Ready,
        attempts: 0,
        fence: 0,
        next_wall_ms: 0,
        disposition: None,
    };
    disk.contacts.insert(ContactId(1), contact);
    disk
}

/// As `store/recovery.rs` has it: what provably never left is due again as the same attempt number,
/// what may have rung is in doubt and due much later as the next one.
#[test]
fn a_crash_rearms_what_never_left_and_doubts_the_rest() {
    for (sent, proven, expected) in [
        (false, true, (ContactState::Ready, 0, AttemptState::NotSent)),
        (true, true, (ContactState::Ready, 1, AttemptState::Closed(Disposition::InDoubt))),
        (false, false, (ContactState::Ready, 1, AttemptState::Closed(Disposition::InDoubt))),
    ] {
        let mut disk = disk_with_one_contact();
        let (leased, next) = disk.claim(CampaignId(1), 5, 1_000);
        assert_eq!((leased.len(), next), (1, Some(61_000)));
        let granted = disk.permit(CampaignId(1), AttemptId(7), &leased[0], 1_000);
        assert_eq!(granted.as_deref(), Ok("attempt-7@trunkline"));
        let again = disk.permit(CampaignId(1), AttemptId(8), &leased[0], 1_000);
        assert_eq!(again.unwrap_err().as_ref(), "already_dialling");
        let log = if sent { BTreeSet::from([AttemptId(7)]) } else { BTreeSet::new() };
        disk.recover(proven.then_some(&log), 2_000);
        let contact = &disk.contacts[&ContactId(1)];
        let attempt = &disk.attempts[&AttemptId(7)];
        assert_eq!((contact.state, contact.attempts, attempt.state), expected);
        // In doubt, it may have rung a moment ago: not again for a quarter of an hour.
        let due_at_once = !disk.claim(CampaignId(1), 5, 2_000).0.is_empty();
        assert_eq!(due_at_once, proven && !sent);
    }
}

#[test]
fn a_lease_ends_by_itself_and_turns_the_fence() {
    let mut disk = disk_with_one_contact();
    let (first, _) = disk.claim(CampaignId(1), 1, 0);
    assert!(disk.claim(CampaignId(1), 1, 59_999).0.is_empty());
    let (second, _) = disk.claim(CampaignId(1), 1, 60_000);
    assert_eq!(second[0].fence, first[0].fence + 1);
    let late = disk.permit(CampaignId(1), AttemptId(1), &first[0], 60_000);
    assert_eq!(late.unwrap_err().as_ref(), "lease_lost");
}

fn disk_fails(world: &mut World, from_ms: u64, to_ms: u64) {
    world.plan(Duration::from_millis(from_ms), Order::DiskFault(true));
    world.plan(Duration::from_millis(to_ms), Order::DiskFault(false));
}

/// The second contact's permit, at 15.0 s, meets a disk that takes no writes.
#[test]
fn a_permit_that_cannot_be_decided_keeps_its_contact() {
    let mut world = journeys::outbound(Arc::new(House::build()));
    disk_fails(&mut world, 14_900, 16_000);
    let report = world.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.counts.dialled, 5, "{}", world.ladder());
    let disk = &world.ledger().disk;
    assert_eq!(disk.campaigns[&CampaignId(1)].state, CampaignState::Finished);
    assert!(disk.contacts.values().all(|row| row.state == ContactState::Final));
}

/// The promise of 39 s is withdrawn at 50 s, while nothing can be written: disk and exchange agree
/// in the end.
#[test]
fn a_promise_withdrawn_while_the_disk_fails_stays_withdrawn() {
    let mut world = journeys::callback(Arc::new(House::build()));
    disk_fails(&mut world, 47_000, 58_000);
    world.plan(Duration::from_secs(50), Order::Meddle);
    let report = world.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((report.counts.promised, report.counts.kept), (1, 0), "{}", world.ladder());
    let states: Vec<_> = world.ledger().disk.promises.values().map(|it| it.state).collect();
    assert_eq!(states, [CallbackState::Cancelled]);
}

/// Reliable provisional responses, early sound, holds that meet, session timers and late offers, in all
/// kinds of calls: nothing that must hold is broken by them.
#[test]
fn runs_with_all_extensions_hold_what_must_hold() {
    let house = Arc::new(House::build());
    let mut pracks = 0;
    let mut reinvites = 0;
    for theme in Theme::ALL {
        for seed in 0..8 {
            let mut world = build(house.clone(), theme, seed, None);
            world.run().unwrap_or_else(|failure| panic!("{theme:?} {seed}: {failure}"));
            let ladder = world.ladder();
            pracks += ladder.matches("PRACK").count();
            reinvites += ladder.matches("UPDATE").count();
        }
    }
    assert!(pracks > 50 && reinvites > 5, "{pracks} PRACKs, {reinvites} UPDATEs");
}

/// A blind transfer on the wire: accepted, told how far it is, joined, and the referrer let go.
#[test]
fn a_caller_is_sent_on_and_nobody_drops_but_the_referrer() {
    let mut world = journeys::transfer(Arc::new(House::build()));
    world.run().unwrap_or_else(|failure| panic!("{failure}"));
    let ladder = world.ladder();
    let mut rest = ladder.as_str();
    for word in ["REFER", "202", "NOTIFY", "INVITE", "NOTIFY", "ACK", "BYE"] {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word} in its place:\n{ladder}"));
        rest = &rest[at + word.len()..];
    }
}

/// An attended transfer on the wire: held, a second call, REFER with Replaces, and two who are joined
/// until one of them hangs up.
#[test]
fn two_calls_of_one_telephone_are_joined() {
    let mut world = journeys::attended_transfer(Arc::new(House::build()));
    world.run().unwrap_or_else(|failure| panic!("{failure}"));
    let ladder = world.ladder();
    let mut rest = ladder.as_str();
    for word in ["INVITE ben", "REFER", "202", "NOTIFY", "BYE"] {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word} in its place:\n{ladder}"));
        rest = &rest[at + word.len()..];
    }
    let joined = &ladder[ladder.find("REFER").unwrap_or_default()..];
    assert!(!joined.contains("─INVITE"), "nobody is rung for it:\n{ladder}");
}
