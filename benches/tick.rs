//! Does the 20 ms tick hold while the recognisers want the same processors? A hundred legs of one
//! media worker play prompts to a receiver on loopback; beside them callers answer questions on legs
//! of the same worker, and the real engines hear them on all cores. The gaps between the packets of
//! each stream are measured by the kernel's receive timestamps.
//!
//! ```text
//! make bench-tick ARGS="[--legs 100] [--seconds 15] [--callers 24] [--open-threads CORES]"
//!                      [--burners N] [--talk] [--bridge]
//! ```
//!
//! In one run: a bare sender (a loop that does nothing but send the same packets: the machine's own
//! figures), the legs without the engines, the legs beside the engines. `--open-threads`: threads of
//! the open engine; the gateway has one, the bench as many as there are cores, so that nothing is
//! left over. `--burners N`: beside N threads that only burn, instead of engines. `--talk`: the
//! other ends of the legs speak too. `--bridge`: legs are bridged in pairs, and what is measured was
//! relayed. Ends with one line of JSON; fails where less than 999 of 1,000 gaps are within 10 ms of
//! 20 ms beside the load, where nothing was recognised, and where models are missing.

#[path = "tick/callers.rs"]
mod callers;
#[path = "tick/ears.rs"]
mod ears;
#[path = "tick/processor.rs"]
mod processor;
#[path = "tick/stand.rs"]
mod stand;

use callers::{Callers, Results};
use ears::{Ears, Gaps};
use parking_lot::Mutex;
use processor::Spent;
use serde_json::{Value, json};
use stand::Stand;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the bare sender is listened to.
const BARE_SECONDS: u64 = 3;
/// What comes before all are at work is not measured: the callers' first sentences end in it.
const RUN_UP: Duration = Duration::from_secs(4);
/// The share of good gaps that is asked for.
const GOOD: f64 = 0.999;

/// How the bench is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    legs: u64,
    seconds: u64,
    callers: u64,
    open_threads: usize,
    burners: usize,
    talk: bool,
    bridge: bool,
}

fn main() -> ExitCode {
    match run(options()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(missing) => {
            eprintln!("tick: {missing}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1)?.parse().ok());
        value.unwrap_or(default)
    };
    let is_set = |name: &str| arguments.iter().any(|argument| argument == name);
    let cores = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    Options {
        legs: number("--legs", 100).max(2) & !1,
        seconds: number("--seconds", 15).max(1),
        callers: number("--callers", 24).max(1),
        open_threads: number("--open-threads", cores) as usize,
        burners: number("--burners", 0) as usize,
        talk: is_set("--talk") || is_set("--bridge"),
        bridge: is_set("--bridge"),
    }
}

/// Whether the gaps held.
fn run(options: Options) -> Result<bool, String> {
    let bare_ears = Ears::open();
    let bare_cpu = stand::bare_sender(options.legs, BARE_SECONDS, bare_ears.address);
    let bare = bare_ears.take();
    drop(bare_ears);
    let bare_cpu = bare_cpu.as_secs_f64() / BARE_SECONDS as f64;
    say("bare sender", &bare);

    let (alone, loaded, results) = match options.burners {
        0 => beside_engines(options)?,
        burners => beside_burners(options, burners),
    };
    let holds = loaded.gaps.good() >= GOOD && (options.burners > 0 || results.heard() > 0);
    let line = json!({
        "bench": "tick",
        "legs": options.legs,
        "load": if options.burners > 0 { "burners" } else { "recognisers" },
        "burners": options.burners,
        "callers": if options.burners > 0 { 0 } else { options.callers },
        "open_threads": options.open_threads,
        "talk": options.talk,
        "bridge": options.bridge,
        "seconds": options.seconds,
        "realtime": loaded.realtime,
        "bare_sender": bare.json(),
        "bare_sender_cores": (bare_cpu * 1e3).round() / 1e3,
        "alone": alone.json,
        "loaded": loaded.json,
        "recognised": results.json(),
        "holds": holds,
    });
    println!("{line}");
    Ok(holds)
}

/// One measurement.
struct Measured {
    gaps: Gaps,
    realtime: bool,
    json: Value,
}

fn beside_engines(options: Options) -> Result<(Measured, Measured, Results), String> {
    let results = Arc::new(Mutex::new(Results::default()));
    let engines = callers::engines(options.open_threads, &results)?;
    let hearing = engines.clone();
    let stand = Stand::build(options, move |part| hearing.take(part));
    let callers = Callers::start(options.callers, &stand.media, &stand.events, &engines)?;
    std::thread::sleep(Duration::from_millis(500));
    let alone = measure("without engines", &stand, options);
    callers.listen(&stand.media, &engines);
    std::thread::sleep(RUN_UP);
    *results.lock() = Results::default();
    let loaded = measure("beside engines", &stand, options);
    // What is given up when all is taken down is no result.
    let results = std::mem::take(&mut *results.lock());
    Ok((alone, loaded, results))
}

fn beside_burners(options: Options, burners: usize) -> (Measured, Measured, Results) {
    let stand = Stand::build(options, |_| true);
    std::thread::sleep(Duration::from_millis(500));
    let alone = measure("without burners", &stand, options);
    let stop = Arc::new(AtomicBool::new(false));
    let burners: Vec<JoinHandle<()>> = (0..burners).map(|_| processor::burner(&stop)).collect();
    let loaded = measure("beside burners", &stand, options);
    stop.store(true, Ordering::Relaxed);
    burners.into_iter().for_each(|burner| burner.join().expect("a burner does not fail"));
    (alone, loaded, Results::default())
}

fn measure(what: &str, stand: &Stand, options: Options) -> Measured {
    let (late_before, before) = (stand.media.tick_lateness(), stand.media.figures());
    let spent = Spent::now();
    let begun = Instant::now();
    stand.ears.take();
    std::thread::sleep(Duration::from_secs(options.seconds));
    let gaps = stand.ears.take();
    let cores = Spent::now().since(spent, begun.elapsed());
    let mut late = stand.media.tick_lateness();
    late.subtract(&late_before).expect("ticks are only added");
    let after = stand.media.figures();
    say(what, &gaps);
    let json = json!({
        "sound": gaps.json(),
        "tick_late_us": {
            "p50": late.value_at_quantile(0.5),
            "p99": late.value_at_quantile(0.99),
            "p999": late.value_at_quantile(0.999),
            "max": late.max(),
        },
        "cores": cores,
        "packets_in": after.packets_in - before.packets_in,
        "packets_out": after.packets_out - before.packets_out,
        "unsent": after.unsent - before.unsent,
        "ticks_skipped": after.ticks_skipped - before.ticks_skipped,
    });
    println!("{:>18}: cores {cores}, tick late by {}", "", json["tick_late_us"]);
    Measured { gaps, realtime: processor::media_is_realtime(), json }
}

fn say(what: &str, gaps: &Gaps) {
    println!("{what:>18}: {:.4} % of the gaps within 10 ms of 20 ms", gaps.good() * 100.0);
}
