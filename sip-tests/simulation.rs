//! Whole journeys in the simulated world: many seeds, golden ladders, and proof that broken rules
//! are noticed.
//!
//! `SIM_SEEDS=50000` runs more seeds of each theme than usual; `UPDATE_TRACES=1` writes the golden
//! ladders anew. A failure prints its ladder and its seed.

use sim::house::House;
use sim::invariant::Counts;
use sim::journeys;
use sim::scenario::{Theme, build};
use sim::world::{Failure, Sabotage, World};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

/// Read and trained once for all tests.
static HOUSE: LazyLock<Arc<House>> = LazyLock::new(|| Arc::new(House::build()));

/// Runs `count` seeds of a theme on all cores; the failure of the smallest seed, if any.
fn run_seeds(theme: Theme, count: u64, sabotage: Option<Sabotage>) -> Result<Counts, Box<Failure>> {
    let next = AtomicU64::new(1);
    let total = Mutex::new(Counts::default());
    let failure: Mutex<Option<Box<Failure>>> = Mutex::new(None);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed > count || failure.lock().unwrap().is_some() {
            return;
        }
        match build(HOUSE.clone(), theme, seed, sabotage).run() {
            Ok(report) => total.lock().unwrap().add(&report.counts),
            Err(found) => {
                let mut slot = failure.lock().unwrap();
                if slot.as_ref().is_none_or(|other| found.seed < other.seed) {
                    *slot = Some(found);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    match failure.into_inner().unwrap() {
        Some(failure) => Err(failure),
        None => Ok(total.into_inner().unwrap()),
    }
}

fn seeds() -> u64 {
    std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

fn holds(theme: Theme) -> Counts {
    let result = run_seeds(theme, seeds(), None);
    result.unwrap_or_else(|failure| panic!("{theme:?}\n{failure}"))
}

#[test]
fn callers_serve_themselves_whatever_they_say() {
    let counts = holds(Theme::SelfService);
    assert!(counts.calls > 2_000, "{counts:?}");
}

#[test]
fn callers_wait_and_meet_one_agent_each() {
    let counts = holds(Theme::Queue);
    assert!(counts.bridged > 1_000 && counts.rung > counts.bridged, "{counts:?}");
}

#[test]
fn promises_are_kept_or_reported_broken() {
    let counts = holds(Theme::Callback);
    assert!(counts.promised > 500 && counts.kept > 100 && counts.broken > 100, "{counts:?}");
}

#[test]
fn every_contact_comes_to_its_end() {
    let counts = holds(Theme::Campaign);
    assert!(counts.dialled > 5_000 && counts.bridged > 100, "{counts:?}");
}

#[test]
fn callers_are_led_through_and_nobody_who_was_reached_is_rung_again() {
    let counts = holds(Theme::Transit);
    assert!(counts.led_through > 2_000 && counts.sent_onward > 6_000, "{counts:?}");
}

#[test]
fn all_of_it_at_once_among_rude_people() {
    let counts = holds(Theme::Mixture);
    assert!(counts.bridged > 1_000 && counts.kept > 100 && counts.dialled > 5_000, "{counts:?}");
}

#[test]
fn crashes_and_broken_disks_lose_no_promise_and_no_contact() {
    let counts = holds(Theme::Crashes);
    assert!(counts.crashes > 500 && counts.drained > 100 && counts.in_doubt > 500, "{counts:?}");
}

/// A media thread that never says a word: calls that wait for their port end all the same.
#[test]
fn ports_that_never_come_leave_no_call_behind() {
    if let Err(failure) = run_seeds(Theme::SelfService, 200, Some(Sabotage::SwallowsPorts)) {
        panic!("{failure}");
    }
}

/// The rules are worth nothing if breaking them is not noticed.
#[test]
fn sabotage_is_caught_and_shown_with_seed_and_ladder() {
    let cases = [
        (Sabotage::ForgetsWhatWasSent, Theme::Crashes, "was dialled twice"),
        (Sabotage::LiesAboutPromises, Theme::Callback, "a promise was told that is not on disk"),
        (Sabotage::LosesRecords, Theme::SelfService, "is not on disk"),
    ];
    for (sabotage, theme, expected) in cases {
        let Err(failure) = run_seeds(theme, 500, Some(sabotage)) else {
            panic!("{sabotage:?} was not noticed");
        };
        let shown = failure.to_string();
        assert!(shown.contains(expected), "{sabotage:?} was taken for this:\n{shown}");
        assert!(shown.contains(&format!("seed {}: ", failure.seed)), "{shown}");
        assert!(shown.contains("gateway") && shown.contains("─INVITE 4000"), "{shown}");
    }
}

fn ladder_is_golden(name: &str, mut world: World) {
    if let Err(failure) = world.run() {
        panic!("{failure}");
    }
    let ladder = world.ladder();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests/traces").join(name);
    if std::env::var_os("UPDATE_TRACES").is_some() {
        std::fs::write(&path, &ladder).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == ladder,
        "the call flow differs from {}; if that is meant, run with UPDATE_TRACES=1\n{ladder}",
        path.display()
    );
}

#[test]
fn journey_a_is_as_recorded() {
    ladder_is_golden("a-inbound.txt", journeys::inbound(HOUSE.clone()));
}

#[test]
fn journey_b_is_as_recorded() {
    ladder_is_golden("b-callback.txt", journeys::callback(HOUSE.clone()));
}

#[test]
fn journey_c_is_as_recorded() {
    ladder_is_golden("c-campaign.txt", journeys::outbound(HOUSE.clone()));
}

#[test]
fn journey_d_is_as_recorded() {
    ladder_is_golden("d-transit.txt", journeys::transit(HOUSE.clone()));
}

#[test]
fn journey_e_is_as_recorded() {
    ladder_is_golden("e-transfer.txt", journeys::transfer(HOUSE.clone()));
}

#[test]
fn journey_f_is_as_recorded() {
    ladder_is_golden("f-attended-transfer.txt", journeys::attended_transfer(HOUSE.clone()));
}
