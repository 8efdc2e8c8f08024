//! A campaign at full rate against SIPp: the ledger on disk, each call with a message of two seconds
//! and sound both ways. The gateway runs as it is shipped: trace, records and metrics on.
//!
//! `make bench-campaign ARGS="[--rate 6000] [--minutes 2] [--release 40]"`
//!
//! `--rate`: calls a minute. `--release`: seconds after the last call until the memory at the end is
//! read, since SIP keeps its transactions for 32 s (RFC 3261 §17). Ends with one line of JSON.

#[path = "campaign/figures.rs"]
mod figures;
#[path = "campaign/sipp.rs"]
mod sipp;

#[path = "common/mod.rs"]
mod common;

use common::installation::{Installation, free_port};
use common::{Failure, number};
use figures::{Calls, Process, metric};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sipp::Sipp;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Spoken in about two seconds.
const MESSAGE: &str = "Your parcel arrives tomorrow.";

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("campaign: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(number("--rate", 6_000), number("--minutes", 2))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("campaign: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `true` when no call failed.
async fn run(rate: u64, minutes: u64) -> Result<bool, Failure> {
    let count = rate * minutes;
    let people = free_port()?;
    let mut gateway = Installation::lay_out(&config(people, rate), &[])?;
    let sipp = Sipp::start(people, &gateway.path("sipp"))?;
    let start = gateway.start()?;
    println!(
        "{count} calls at {rate} a minute on {} core(s); the gateway started in {} ms; ledger, \
         trace, records and metrics on; no webhook is asked for, no recogniser is loaded",
        std::thread::available_parallelism().map_or(0, usize::from),
        start.as_millis(),
    );
    let numbers: Vec<String> = (0..count).map(|index| format!("+4930{index:08}")).collect();
    let campaign = gateway.api.campaign(&definition(rate), &numbers).await?;
    let before = Process::read(gateway.process())?;
    gateway.api.begin(campaign).await?;
    follow(&gateway, campaign, count, minutes).await?;
    let busy = Process::read(gateway.process())?;
    let commit = commit_ms(&gateway).await?;
    println!("the last call is over; memory is read in {} s", number("--release", 40));
    tokio::time::sleep(Duration::from_secs(number("--release", 40))).await;
    let after = Process::read(gateway.process())?;
    let calls = Calls::read(&gateway, campaign).await?;
    let people = sipp.finish();
    let failed = count.saturating_sub(calls.answered());
    let cpu_ms = (busy.cpu_ms - before.cpu_ms) as f64 / count as f64;
    tell(&calls, &people, commit, [before, busy, after]);
    if failed > 0 {
        println!("the gateway's log ends with\n{}", gateway.log_end());
    }
    println!(
        "{}",
        json!({
            "bench": "campaign",
            "calls_per_minute": per_minute(&calls).round(),
            "failed": failed,
            "setup_p50_ms": calls.setup_ms.value_at_quantile(0.5),
            "setup_p99_ms": calls.setup_ms.value_at_quantile(0.99),
            "cpu_ms_per_call": (cpu_ms * 1_000.0).round() / 1_000.0,
            "commit_p99_ms": commit.1,
            "rss_start_kib": before.rss_kib,
            "rss_end_kib": after.rss_kib,
        })
    );
    Ok(failed == 0)
}

fn config(people: std::net::SocketAddr, rate: u64) -> String {
    // A fifth more than the campaign's own rate, so that the campaign's is the one that counts.
    let per_second = rate / 50 + 10;
    // Three seconds a call, and as much again.
    let channels = (rate / 10).max(100);
    format!(
        r#"
        [media]
        port_first = 10000
        port_last = 17999
        [limits]
        calls_max = {channels}
        [trunks.carrier]
        address = "{people}"
        calls_per_second_max = {per_second}
        channels_max = {channels}
        caller_id = "+4930555000"
        "#
    )
}

fn definition(rate: u64) -> Value {
    json!({
        "name": "Bench", "trunk": "carrier", "caller_id": "+4930555000",
        "rate_per_minute_max": rate, "channels_max": (rate / 10).max(100), "ring_s": 30,
        "window": { "from": "00:00", "to": "24:00", "utc_offset_min": 0 },
        "retry": { "attempts_max": 1 },
        "message": { "language": "en", "text": MESSAGE, "wait_for_key_s": 0 },
    })
}

/// Waits until all are called, or until nothing has moved for half a minute.
async fn follow(
    gateway: &Installation,
    campaign: u64,
    count: u64,
    minutes: u64,
) -> Result<(), Failure> {
    let style = "{elapsed_precise}  [{bar:30}] {pos}/{len} called  {msg}";
    let bar = ProgressBar::new(count).with_style(ProgressStyle::with_template(style)?);
    let latest = Instant::now() + Duration::from_secs(minutes * 120 + 60);
    let (mut called, mut moved) = (0, Instant::now());
    while called < count && Instant::now() < latest && moved.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let progress = gateway.api.get(&format!("/v1/campaigns/{campaign}/progress")).await?;
        let finished = progress["finished"].as_u64().unwrap_or(0);
        if finished > called {
            (called, moved) = (finished, Instant::now());
        }
        bar.set_position(called);
        bar.set_message(format!("{} in progress", progress["dialling"]));
    }
    bar.finish();
    Ok(())
}

/// The commit's p50 and p99 in milliseconds.
async fn commit_ms(gateway: &Installation) -> Result<(f64, f64), Failure> {
    let mut quantiles = [0.0; 2];
    for (value, quantile) in quantiles.iter_mut().zip(["0.5", "0.99"]) {
        let line = format!("gw_ledger_commit_seconds{{quantile=\"{quantile}\"}}");
        *value = (metric(gateway, &line).await? * 1e5).round() / 100.0;
    }
    Ok((quantiles[0], quantiles[1]))
}

fn per_minute(calls: &Calls) -> f64 {
    calls.attempts() as f64 * 60.0 / calls.seconds
}

fn tell(calls: &Calls, people: &sipp::Count, commit: (f64, f64), process: [Process; 3]) {
    let [before, busy, after] = process;
    let quantiles = |times: &hdrhistogram::Histogram<u64>| {
        let at = |quantile| times.value_at_quantile(quantile);
        format!("p50 {} ms, p99 {} ms, longest {} ms", at(0.5), at(0.99), times.max())
    };
    let answered = calls.answered().max(1) as f64;
    println!("calls            {:.0} a minute; {:?}", per_minute(calls), calls.by_disposition);
    println!(
        "SIPp             {} calls as they should be, {} not; {} messages sent again",
        people.successful, people.failed, people.retransmissions
    );
    println!("set-up           {} (port, INVITE, 200)", quantiles(&calls.setup_ms));
    println!("with its commit  {}", quantiles(&calls.permit_to_answer_ms));
    println!(
        "sound            {:.1} s sent and {:.1} s received a call; {} answered legs heard nothing",
        calls.packets.0 as f64 / 50.0 / answered,
        calls.packets.1 as f64 / 50.0 / answered,
        calls.deaf,
    );
    println!("commit           p50 {} ms, p99 {} ms", commit.0, commit.1);
    println!("processor        {} ms in all", busy.cpu_ms - before.cpu_ms);
    println!(
        "memory           {} KiB at the start, {} KiB at the end, at most {} KiB",
        before.rss_kib, after.rss_kib, after.peak_kib
    );
}
