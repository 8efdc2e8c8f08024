//! Calls over a wire that loses, repeats and reorders, with both ends doing what they like: each
//! leg ends exactly once, and of nothing is anything kept.

use super::pair::{A, B, Pair, Weather, media};
use crate::event::{LegCommand, LegEvent, Transport};
use domain::id::LegId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::Duration;

/// How the legs of one side fared: whether established, how often ended.
fn fates(pair: &Pair, side: usize) -> BTreeMap<LegId, (bool, u32)> {
    let mut fates: BTreeMap<LegId, (bool, u32)> = BTreeMap::new();
    for event in &pair.sides[side].events {
        match event {
            LegEvent::Incoming { leg, .. } | LegEvent::Dialled { leg, .. } => {
                assert_eq!(fates.insert(*leg, (false, 0)), None, "a leg begins once");
            }
            LegEvent::Established { leg, .. } => {
                let fate = fates.get_mut(leg).unwrap();
                assert_eq!(*fate, (false, 0), "established once, and before the end");
                fate.0 = true;
            }
            LegEvent::Ended { leg, .. } => fates.get_mut(leg).unwrap().1 += 1,
            LegEvent::Ringing { leg, .. }
            | LegEvent::Changed { leg, .. }
            | LegEvent::RetryAfter { leg, .. } => {
                assert_eq!(fates[leg].1, 0, "nothing is told of a leg after its end");
            }
            // It never was a leg.
            LegEvent::Refused { .. } => (),
            LegEvent::InfoDigit { .. }
            | LegEvent::Referred { .. }
            | LegEvent::TransferProgress { .. }
            | LegEvent::Registered { .. }
            | LegEvent::Unregistered { .. } => panic!("{event:?}"),
        }
    }
    fates
}

/// One of the things that either side may do to one of the calls.
fn meddle(pair: &mut Pair, luck: &mut StdRng, calls: u64) {
    let call = luck.random_range(0..calls);
    let (ours, theirs) = (LegId(2 + 2 * call), LegId(1 + 2 * call));
    match luck.random_range(0..8) {
        0 | 1 => {
            pair.handle(B, LegCommand::Progress { leg: theirs, status: 180, local_media: None })
        }
        2..=4 => pair.handle(B, LegCommand::Answer { leg: theirs, local_media: media(B) }),
        5 => {
            let status = luck.random_range(0..700);
            pair.handle(
                B,
                LegCommand::Refuse { leg: theirs, status, retry_after_s: None, q850: None },
            );
        }
        6 => pair.handle(A, LegCommand::HangUp { leg: ours, q850: None }),
        _ => pair.handle(B, LegCommand::HangUp { leg: theirs, q850: None }),
    }
}

/// Returns how many calls were established on both sides.
fn storm(seed: u64) -> usize {
    let mut luck = StdRng::seed_from_u64(seed);
    let mut pair = Pair::new(seed);
    pair.weather = Weather {
        lost: luck.random_range(0..40),
        twice: luck.random_range(0..30),
        delay_ms: luck.random_range(1..1500),
    };
    let calls = luck.random_range(1..6);
    for call in 0..calls {
        let transport = if luck.random_range(0..5) == 0 { Transport::Tcp } else { Transport::Udp };
        let ring_for = Duration::from_secs(luck.random_range(0..30));
        pair.dial_as(LegId(2 + 2 * call), &format!("call-{call}"), transport, ring_for);
        pair.run_for(Duration::from_millis(luck.random_range(0..3000)));
    }
    for _ in 0..luck.random_range(0..25) {
        meddle(&mut pair, &mut luck, calls);
        pair.run_for(Duration::from_millis(luck.random_range(0..4000)));
    }
    for call in 0..calls {
        pair.handle(A, LegCommand::HangUp { leg: LegId(2 + 2 * call), q850: None });
        pair.handle(B, LegCommand::HangUp { leg: LegId(1 + 2 * call), q850: None });
    }
    let took = pair.run_out();
    // An INVITE that is still on its way makes a leg that nobody at B wants: 300 s; then 64*T1
    // for each of INVITE, 2xx or CANCEL, and BYE, and Timers D, J or L after them.
    assert!(took <= Duration::from_secs(300 + 4 * 32 + 8), "{took:?}");
    pair.assert_clean();
    for side in [A, B] {
        let fates = fates(&pair, side);
        assert!(fates.values().all(|(_, ends)| *ends == 1), "seed {seed}: {fates:?}");
    }
    let established = |side| fates(&pair, side).values().filter(|(talked, _)| *talked).count();
    established(A).min(established(B))
}

#[test]
fn each_leg_ends_once_in_any_weather() {
    let talked: usize = (0..600).map(storm).sum();
    assert!(talked > 300, "most of the test is about calls that are answered: {talked}");
}

/// Same seed, same run, to the byte.
#[test]
fn a_seed_tells_the_whole_run() {
    let run = |seed| {
        let mut pair = Pair::new(seed);
        pair.weather = Weather { lost: 20, twice: 20, delay_ms: 700 };
        pair.talk(Transport::Udp);
        pair.handle(A, LegCommand::HangUp { leg: LegId(2), q850: None });
        pair.run_out();
        (pair.take_ladder(), pair.sides[A].endpoint.counters())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}
