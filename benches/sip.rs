//! Signalling at its limit: calls answered, calls bridged, beside Kamailio as a proxy in the same run;
//! memory of calls held; what is left of the goodput under overload; calls that get through beside a
//! flood. What is measured has one processor, the load the other.
//!
//! `make bench-sip ARGS="[--seconds 5] [--held 2000] [--shipped-too 1]"`
//!
//! Fails when a bar is missed, and says which. `--seconds`: of each step. Lean means without trace and records, as the peers ran that the bar in
//! the README compares with; `--shipped-too 1` measures both. Ends with one line of JSON.

#[path = "sip/bars.rs"]
mod bars;
#[path = "sip/batch.rs"]
mod batch;
#[path = "common/mod.rs"]
mod common;
#[path = "sip/kamailio.rs"]
mod kamailio;
#[path = "sip/load.rs"]
mod load;
#[path = "sip/message.rs"]
mod message;
#[path = "sip/process.rs"]
mod process;

use bars::Bar;
use common::installation::Installation;
use common::{Failure, number};
use indicatif::{ProgressBar, ProgressStyle};
use kamailio::Kamailio;
use load::{Load, Order, Outcome};
use process::{LOAD, Usage, count, keep_to, measured};
use serde_json::{Value, json};
use std::net::{SocketAddr, SocketAddrV4};
use std::process::ExitCode;
use std::time::Duration;

/// Tried first; each next rate is half as much again, until one is not clean.
const FIRST_RATE: f64 = 400.0;
/// The load's own end.
const LAST_RATE: f64 = 40_000.0;
/// A rate is clean when every call completes and at most this share of requests is sent twice.
const RETRANSMISSIONS_MAX: f64 = 0.001;
/// After this the gateway is at rest.
const SETTLED: Duration = Duration::from_secs(2);
/// Transactions are kept for 32 s after their end (RFC 3261 §17): after this memory is read.
const RELEASE: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sip: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a party under test does with one call, and what that costs.
struct Capacity {
    clean_per_s: f64,
    cpu_ms_per_call: f64,
    setup_p99_ms: f64,
    retransmissions: u64,
}

/// What the gateway does under strain.
struct Strain {
    kib_per_call: f64,
    after_release_kib: i64,
    start_kib: u64,
    /// At 1, 1.5, 2, 5 and 10 times the clean rate.
    goodput: [f64; 5],
    recovered: f64,
    flood_success: f64,
}

impl Strain {
    fn add_to(&self, figures: &mut Value) {
        let [goodput_1x, goodput_1_5x, goodput_2x, goodput_5x, goodput_10x] =
            self.goodput.map(three);
        figures["kib_per_call"] = three(self.kib_per_call).into();
        figures["kib_after_release"] = self.after_release_kib.into();
        figures["rss_start_kib"] = self.start_kib.into();
        figures["goodput_1x"] = goodput_1x.into();
        figures["goodput_1_5x"] = goodput_1_5x.into();
        figures["goodput_2x"] = goodput_2x.into();
        figures["goodput_5x"] = goodput_5x.into();
        figures["goodput_10x"] = goodput_10x.into();
        figures["recovered"] = three(self.recovered).into();
        figures["flood_success"] = three(self.flood_success).into();
    }
}

fn run() -> Result<(), Failure> {
    if count() < 2 {
        println!("one processor only: what is measured and the load share it");
    }
    keep_to(LOAD)?;
    let mut load = Load::new()?;
    if let rate @ 1.. = number("--fixed", 0) {
        return fixed(&mut load, rate as f64);
    }
    if let clean @ 1.. = number("--stress", 0) {
        return stress(&mut load, clean as f64);
    }
    let own = load.callee();
    let limit = search(&mut load, own, "the load calling itself")?;
    println!("the load itself: {limit:.0} calls/s clean");
    let answered = Gateway::start(&load, true)?.capacity(&mut load, "4000", "answered")?;
    let strain = Gateway::start(&load, true)?.strain(&mut load, answered.clean_per_s)?;
    let bridged = Gateway::start(&load, true)?.capacity(&mut load, "5000", "bridged")?;
    let peer = peer(&mut load)?;
    let shipped = match number("--shipped-too", 1) {
        0 => None,
        _ => {
            Some(Gateway::start(&load, false)?.capacity(&mut load, "4000", "answered, shipped")?)
        }
    };
    let missed = bars::judge(&bars(&answered, &bridged, &strain, peer.as_ref(), shipped.as_ref()));
    let of_peer = |capacity: &Capacity| {
        peer.as_ref().map(|it| three(capacity.cpu_ms_per_call / it.cpu_ms_per_call))
    };
    let mut figures = json!({
        "bench": "sip",
        "answered_calls_per_s": answered.clean_per_s.round(),
        "answered_cpu_ms_per_call": three(answered.cpu_ms_per_call),
        "answered_setup_p99_ms": three(answered.setup_p99_ms),
        "bridged_calls_per_s": bridged.clean_per_s.round(),
        "bridged_cpu_ms_per_call": three(bridged.cpu_ms_per_call),
        "peer_calls_per_s": peer.as_ref().map(|it| it.clean_per_s.round()),
        "peer_cpu_ms_per_call": peer.as_ref().map(|it| three(it.cpu_ms_per_call)),
        "answered_to_peer": of_peer(&answered),
        "bridged_to_peer": of_peer(&bridged),
        "shipped_calls_per_s": shipped.as_ref().map(|it| it.clean_per_s.round()),
        "shipped_cpu_ms_per_call": shipped.as_ref().map(|it| three(it.cpu_ms_per_call)),
        "load_calls_per_s": limit.round(),
        "retransmissions": answered.retransmissions,
        "missed": missed,
    });
    strain.add_to(&mut figures);
    println!("{figures}");
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("bars missed: {}", missed.join("; ")).into()),
    }
}

/// What is to be reached.
fn bars(
    answered: &Capacity,
    bridged: &Capacity,
    strain: &Strain,
    peer: Option<&Capacity>,
    shipped: Option<&Capacity>,
) -> Vec<Bar> {
    let mut bars = Vec::new();
    if let Some(peer) = peer {
        let cost = |it: &Capacity| it.cpu_ms_per_call / peer.cpu_ms_per_call;
        let rate = |it: &Capacity| it.clean_per_s / peer.clean_per_s;
        bars.extend([
            Bar::at_most("answered: processor, of the peer's", cost(answered), 0.06 / 0.126),
            Bar::at_least("answered: clean rate, of the peer's", rate(answered), 2.0),
            Bar::at_most("bridged: processor, of the peer's", cost(bridged), 0.12 / 0.126),
            Bar::at_least("bridged: clean rate, of the peer's", rate(bridged), 1.0),
        ]);
    }
    if let Some(shipped) = shipped {
        let cost = shipped.cpu_ms_per_call / answered.cpu_ms_per_call;
        bars.push(Bar::at_most("as shipped: processor, of the lean", cost, 2.0));
    }
    let released = 1.0 + strain.after_release_kib as f64 / strain.start_kib.max(1) as f64;
    bars.extend([
        Bar::at_most("INVITE to 200 at half the rate, p99, ms", answered.setup_p99_ms, 20.0),
        Bar::at_most("KiB of a call held", strain.kib_per_call, 16.0),
        Bar::at_most("memory 40 s after release, of that at the start", released, 1.1),
        Bar::at_least("completed at twice the rate, of it", strain.goodput[2], 0.9),
        Bar::at_least("completed at ten times the rate, of it", strain.goodput[4], 0.7),
        Bar::at_least("completed at half the rate afterwards", strain.recovered, 0.99),
        Bar::at_least("completed beside a flood", strain.flood_success, 0.99),
    ]);
    bars
}

/// One rate only, for whoever looks for where the time goes.
fn fixed(load: &mut Load, rate: f64) -> Result<(), Failure> {
    let dialled = if number("--bridged", 0) == 1 { "5000" } else { "4000" };
    load.dial(dialled);
    let gateway = Gateway::start(load, number("--shipped", 0) == 0)?;
    // What a start leaves to be done in the background (music on hold is made) is none of a call's.
    std::thread::sleep(SETTLED);
    let before = Usage::read(&gateway.processes())?;
    let outcome = step(load, order(gateway.address, rate), "one rate")?;
    let after = Usage::read(&gateway.processes())?;
    let per_call = (after.cpu_ms - before.cpu_ms) / outcome.completed.max(1) as f64;
    println!("{}", json!({ "bench": "sip", "rate": rate, "cpu_ms_per_call": three(per_call) }));
    Ok(())
}

/// Memory, overload and flood only, for a clean rate that is known.
fn stress(load: &mut Load, clean: f64) -> Result<(), Failure> {
    let strain = Gateway::start(load, number("--shipped", 0) == 0)?.strain(load, clean)?;
    let mut figures = json!({ "bench": "sip", "clean": clean });
    strain.add_to(&mut figures);
    println!("{figures}");
    Ok(())
}

fn three(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn seconds() -> Duration {
    Duration::from_secs(number("--seconds", 5))
}

fn order(target: SocketAddrV4, rate: f64) -> Order {
    Order { target, rate, length: seconds(), talk: Duration::ZERO, flood: 0.0 }
}

/// One step with its live line.
fn step(load: &mut Load, order: Order, name: &str) -> Result<Outcome, Failure> {
    let whole = (order.rate * order.length.as_secs_f64()) as u64;
    let style = ProgressStyle::with_template("{msg}  [{bar:24}] {pos}/{len}")?;
    let bar = ProgressBar::new(whole).with_style(style);
    bar.set_message(format!("{name} at {:.0}/s", order.rate));
    let outcome = load.run(order, |begun, _| bar.set_position(begun))?;
    bar.finish_and_clear();
    let us = |quantile| outcome.setup_us.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{name:<20} {:>6.0}/s  {:>7} done {:>6} refused {:>5} silent {:>5} again  p50 {:.2} p99 {:.2} ms",
        outcome.begun as f64 / outcome.seconds,
        outcome.completed,
        outcome.refused,
        outcome.silent,
        outcome.retransmissions,
        us(0.5),
        us(0.99),
    );
    Ok(outcome)
}

fn is_clean(outcome: &Outcome) -> bool {
    let again = outcome.retransmissions as f64 / outcome.begun.max(1) as f64;
    outcome.completed == outcome.begun && again <= RETRANSMISSIONS_MAX
}

/// The highest clean rate: upwards by half, then between the last two.
fn search(load: &mut Load, target: SocketAddrV4, name: &str) -> Result<f64, Failure> {
    let (mut clean, mut rate) = (0.0, FIRST_RATE);
    while rate <= LAST_RATE && is_clean(&step(load, order(target, rate), name)?) {
        (clean, rate) = (rate, rate * 1.5);
    }
    for _ in 0..2 {
        let between = f64::midpoint(clean, rate);
        match is_clean(&step(load, order(target, between), name)?) {
            true => clean = between,
            false => rate = between,
        }
    }
    match clean > 0.0 {
        true => Ok(clean),
        false => Err(format!("{name}: no rate was clean").into()),
    }
}

/// What a call costs at half of the clean rate: the median of three runs.
fn cost(
    load: &mut Load,
    target: SocketAddrV4,
    name: &str,
    clean_per_s: f64,
    processes: &[u32],
) -> Result<Capacity, Failure> {
    let mut runs = Vec::new();
    for _ in 0..3 {
        let before = Usage::read(processes)?;
        let outcome = step(load, order(target, clean_per_s / 2.0), name)?;
        let after = Usage::read(processes)?;
        let per_call = (after.cpu_ms - before.cpu_ms) / outcome.completed.max(1) as f64;
        runs.push((per_call, outcome));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (cpu_ms_per_call, outcome) = runs.swap_remove(1);
    println!(
        "{name:<20} {clean_per_s:.0} calls/s clean, {cpu_ms_per_call:.3} ms of processor a call"
    );
    Ok(Capacity {
        clean_per_s,
        cpu_ms_per_call,
        setup_p99_ms: outcome.setup_us.value_at_quantile(0.99) as f64 / 1_000.0,
        retransmissions: outcome.retransmissions,
    })
}

fn peer(load: &mut Load) -> Result<Option<Capacity>, Failure> {
    let Some(kamailio) = Kamailio::start(load.callee())? else {
        println!("no peer: kamailio is not installed");
        return Ok(None);
    };
    let name = "kamailio, proxy";
    let clean = search(load, kamailio.address, name)?;
    std::thread::sleep(SETTLED);
    cost(load, kamailio.address, name, clean, &kamailio.processes()).map(Some)
}

/// The gateway under test.
struct Gateway {
    installation: Installation,
    address: SocketAddrV4,
}

impl Gateway {
    fn start(load: &Load, lean: bool) -> Result<Self, Failure> {
        let config = config(load.callee(), lean);
        let mut installation =
            Installation::lay_out(&config, &[("flows/hold.toml", FLOW.as_bytes())])?;
        installation.prepare = |command| {
            measured(command);
        };
        let start = installation.start()?;
        println!(
            "the gateway {} started in {} ms",
            if lean { "(lean)" } else { "(as shipped)" },
            start.as_millis()
        );
        let SocketAddr::V4(address) = installation.sip else { return Err("no IPv4".into()) };
        Ok(Self { installation, address })
    }

    fn processes(&self) -> [u32; 1] {
        [self.installation.process()]
    }

    fn capacity(
        &mut self,
        load: &mut Load,
        dialled: &'static str,
        name: &str,
    ) -> Result<Capacity, Failure> {
        load.dial(dialled);
        let clean = search(load, self.address, name)?;
        // The last rates were too high: what they left behind is none of the cost at half of it.
        self.restart()?;
        let capacity = cost(load, self.address, name, clean, &self.processes());
        load.dial("4000");
        capacity
    }

    /// Begins anew: what earlier steps have left (transactions, for 32 s) is none of the next.
    fn restart(&mut self) -> Result<(), Failure> {
        self.installation.kill()?;
        self.installation.start()?;
        std::thread::sleep(SETTLED);
        Ok(())
    }

    fn strain(&mut self, load: &mut Load, clean: f64) -> Result<Strain, Failure> {
        let (kib_per_call, after_release_kib, start_kib) = self.held(load)?;
        let (goodput, recovered) = self.overload(load, clean)?;
        self.restart()?;
        let flood_success = self.flood(load, clean)?;
        Ok(Strain { kib_per_call, after_release_kib, start_kib, goodput, recovered, flood_success })
    }

    /// KiB of each call held, KiB more than at the start after their release, KiB at the start.
    fn held(&mut self, load: &mut Load) -> Result<(f64, i64, u64), Failure> {
        let calls = number("--held", 2_000);
        std::thread::sleep(SETTLED);
        let start = Usage::read(&self.processes())?.rss_kib;
        let (length, talk) = (Duration::from_secs(4), Duration::from_secs(8));
        let order = Order { length, talk, ..order(self.address, calls as f64 / 4.0) };
        let process = self.processes();
        let mut most = (0, start);
        let outcome = load.run(order, |_, open| {
            if open > most.0
                && let Ok(usage) = Usage::read(&process)
            {
                most = (open, usage.rss_kib);
            }
        })?;
        let per_call = most.1.saturating_sub(start) as f64 / most.0.max(1) as f64;
        println!(
            "{} calls held, {} completed: {per_call:.1} KiB each; released in {} s",
            most.0,
            outcome.completed,
            RELEASE.as_secs()
        );
        std::thread::sleep(RELEASE);
        let after = Usage::read(&process)?.rss_kib;
        Ok((per_call, after.cast_signed() - start.cast_signed(), start))
    }

    /// Calls completed a second while the load lasts, as a share of the clean rate, at 1, 1.5, 2, 5 and 10 times that
    /// rate, and at half of it afterwards (as a share of what was asked).
    fn overload(&mut self, load: &mut Load, clean: f64) -> Result<([f64; 5], f64), Failure> {
        let mut shares = [0.0; 5];
        for (share, times) in shares.iter_mut().zip([1.0, 1.5, 2.0, 5.0, 10.0]) {
            let outcome = step(load, order(self.address, clean * times), &format!("{times} x"))?;
            *share = outcome.completed_meanwhile as f64 / outcome.seconds / clean;
        }
        let outcome = step(load, order(self.address, clean / 2.0), "afterwards")?;
        Ok((shares, outcome.completed as f64 / outcome.begun.max(1) as f64))
    }

    /// The share of calls that complete at a quarter of the clean rate beside 50,000 datagrams a
    /// second from an address that is no trunk's.
    fn flood(&mut self, load: &mut Load, clean: f64) -> Result<f64, Failure> {
        let order = Order { flood: 50_000.0, ..order(self.address, clean / 4.0) };
        let outcome = step(load, order, "beside a flood")?;
        println!("the flood: {:.0} datagrams/s left", outcome.flooded as f64 / outcome.seconds);
        Ok(outcome.completed as f64 / outcome.begun.max(1) as f64)
    }
}

/// Answers, and waits for a key.
const FLOW: &str = r#"
version = 1
languages = ["en"]
start = "wait"
[nodes.wait]
kind = "menu"
say = []
keys = { 1 = "end" }
no_input_ms = 60000
give_up = "end"
[nodes.end]
kind = "hangup"
"#;

fn config(callee: SocketAddrV4, lean: bool) -> String {
    let lean = match lean {
        true => "[trace]\nsize_mib = 0\n[records]\nlegs = false\ndecisions = false\n",
        false => "",
    };
    format!(
        r#"
        {lean}
        [media]
        port_first = 10000
        port_last = 59999
        [limits]
        calls_max = 10000
        [trunks.carrier]
        address = "{callee}"
        allow = ["127.0.0.1/32"]
        calls_per_second_max = 100000
        incoming_per_second_max = 100000
        channels_max = 100000
        [[numbers]]
        dialled = "4000"
        flow = "hold"
        [routes.out]
        trunks = ["carrier"]
        [[numbers]]
        dialled = "5000"
        route = "out"
        "#
    )
}
