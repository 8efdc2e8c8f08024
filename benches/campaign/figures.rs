//! Figures: of the process from the system, of the calls from their records, of the ledger from the
//! metrics.

use crate::common::Failure;
use crate::common::installation::Installation;
use hdrhistogram::Histogram;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the system says of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Processor time, user and system, in milliseconds.
    pub cpu_ms: u64,
    /// Memory in use, in KiB.
    pub rss_kib: u64,
    /// The most it ever was.
    pub peak_kib: u64,
}

impl Process {
    /// Reads `/proc`.
    pub fn read(process: u32) -> Result<Self, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in parentheses may hold blanks; behind it, fields 14 and 15 of proc(5) are user
        // and system time.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|it| it.parse::<u64>().ok());
        let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
        // SAFETY: no pointers.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.cast_unsigned();
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            number.unwrap_or(0)
        };
        Ok(Self {
            cpu_ms: ticks * 1_000 / per_second.max(1),
            rss_kib: kib("VmRSS:"),
            peak_kib: kib("VmHWM:"),
        })
    }
}

/// What the calls' records say.
#[derive(Debug)]
pub struct Calls {
    /// Attempts by their disposition.
    pub by_disposition: BTreeMap<String, u64>,
    /// Seconds from the first dialling to the last.
    pub seconds: f64,
    /// From the order to dial (the port is opened, then the INVITE leaves) to the 200, in ms.
    pub setup_ms: Histogram<u64>,
    /// The same with the commit before it: from the transaction that permits the attempt.
    pub permit_to_answer_ms: Histogram<u64>,
    /// RTP packets.
    pub packets: (u64, u64),
    /// Answered legs that did not hear anything.
    pub deaf: u64,
}

impl Calls {
    /// Reads all attempts of a campaign and the legs of their calls.
    pub async fn read(installation: &Installation, campaign: u64) -> Result<Self, Failure> {
        let mut calls = Self {
            by_disposition: BTreeMap::new(),
            seconds: 0.0,
            setup_ms: Histogram::new(3)?,
            permit_to_answer_ms: Histogram::new(3)?,
            packets: (0, 0),
            deaf: 0,
        };
        let results = format!("/v1/campaigns/{campaign}/results");
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for attempt in installation.api.all(&results, "after").await? {
            let word = attempt["disposition"].as_str().unwrap_or("").to_owned();
            *calls.by_disposition.entry(word).or_default() += 1;
            let Some(started) = time_ms(&attempt["started_at"]) else { continue };
            (first, last) = (first.min(started), last.max(started));
            if let Some(answered) = time_ms(&attempt["answered_at"]) {
                let took = (answered - started).max(0).cast_unsigned();
                calls.permit_to_answer_ms.record(took)?;
            }
            if let Some(call) = attempt["call"].as_u64() {
                let call = installation.api.get(&format!("/v1/calls/{call}")).await?;
                calls.add_legs(&call)?;
            }
        }
        calls.seconds = (last.saturating_sub(first)).max(1) as f64 / 1_000.0;
        Ok(calls)
    }

    fn add_legs(&mut self, call: &Value) -> Result<(), Failure> {
        for leg in call["legs"].as_array().into_iter().flatten() {
            let (sent, received) = (
                leg["packets_sent"].as_u64().unwrap_or(0),
                leg["packets_received"].as_u64().unwrap_or(0),
            );
            self.packets.0 += sent;
            self.packets.1 += received;
            let times = (time_ms(&leg["started_at"]), time_ms(&leg["answered_at"]));
            if let (Some(started), Some(answered)) = times {
                self.setup_ms.record((answered - started).max(0).cast_unsigned())?;
                self.deaf += u64::from(received == 0);
            }
        }
        Ok(())
    }

    /// How many attempts there were.
    pub fn attempts(&self) -> u64 {
        self.by_disposition.values().sum()
    }

    /// How many were answered and heard the message to its end.
    pub fn answered(&self) -> u64 {
        self.by_disposition.get("answered").copied().unwrap_or(0)
    }
}

fn time_ms(value: &Value) -> Option<i64> {
    let at: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(at.as_millisecond())
}

/// A line of `/metrics`, such as `gw_ledger_commit_seconds{quantile="0.99"}`.
pub async fn metric(installation: &Installation, line: &str) -> Result<f64, Failure> {
    let page = reqwest::get(format!("http://{}/metrics", installation.operations)).await?;
    let page = page.text().await?;
    let value = page.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
    value.ok_or_else(|| format!("/metrics has no line {line}").into())
}
