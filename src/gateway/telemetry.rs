//! Logs and figures.

pub mod lines;
mod trunk_gauges;
pub mod trunks;
pub mod wire;

use crate::media_worker::MediaWorkers;
use crate::net::figures::LOSSES;
use crate::net::streams::Streams;
use crate::trace::Trace;
use lines::{LastLines, Lines};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use speech::recognizer::Recognizer;
use speech::recognizer::lane::EngineState;
use std::time::Duration;
use switchboard::exchange::Exchange;
use tracing_subscriber::EnvFilter;
use wire::Wire;

/// Starts structured logs on standard error: JSON lines, or text on a terminal. `TRUNKLINE_LOG`
/// sets what is logged, such as `info` (the default) or `warn,gateway=debug`. What it returns is to
/// be kept until the end of the program.
///
/// # Errors
/// The system's: no thread could be had.
pub fn start_logs() -> std::io::Result<LastLines> {
    let filter =
        EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let (lines, last) = Lines::start(std::io::stderr())?;
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    // A second start (tests, the demo) keeps the first one's.
    let _ = match is_terminal {
        true => logs.compact().try_init(),
        false => logs.json().try_init(),
    };
    Ok(last)
}

/// Starts logs of warnings only, for commands whose output is for people.
pub fn start_quiet_logs() {
    let filter =
        EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .compact()
        .try_init();
}

/// Figures that the loop hands on, and how often: each takes some microseconds then, and nothing in
/// between.
pub const SAMPLED_EVERY: Duration = Duration::from_secs(1);

/// Where the rest of what is sampled is found.
pub struct Sources<'a> {
    /// Endpoint and switchboard.
    pub exchange: &'a Exchange,
    /// Ports, packets and the tick.
    pub media: &'a MediaWorkers,
    /// Records dropped.
    pub trace: &'a Trace,
    /// Which engines are there.
    pub recognizer: &'a Recognizer,
}

/// Hands everything on.
pub fn sample(wire: &Wire, streams: &Streams, sources: &Sources<'_>) {
    wire.export();
    gauge!("gw_connections").set(streams.len() as f64);
    for (loss, what) in LOSSES {
        counter!("gw_transport_lost_total", "what" => what).absolute(streams.figures().of(loss));
    }
    trunk_gauges::export(sources.exchange.switchboard().trunks(), crate::signalling::now());
    let endpoint = sources.exchange.endpoint();
    let counters = endpoint.counters();
    api::metrics::sip_held(endpoint.transactions(), endpoint.legs());
    api::metrics::sip_retransmissions(counters.retransmissions);
    counter!("gw_sip_unreadable_total").absolute(counters.parse_errors);
    counter!("gw_sip_refused_total").absolute(counters.refused);
    defence(endpoint);
    gauge!("gw_agents_registered").set(endpoint.registered_agents() as f64);
    counter!("gw_trace_dropped_total").absolute(sources.trace.dropped());
    sound(sources.media);
    hearing(sources.recognizer);
}

fn defence(endpoint: &sip::endpoint::Endpoint) {
    let figures = endpoint.defence();
    for (why, count) in [
        ("over_budget", figures.guard.over_budget),
        ("banned", figures.guard.banned),
        ("unanswered", figures.guard.unanswered),
    ] {
        counter!("gw_guard_dropped_total", "why" => why).absolute(count);
    }
    counter!("gw_guard_bans_total").absolute(figures.guard.bans);
    counter!("gw_overload_refused_total").absolute(figures.shed);
    gauge!("gw_overload_loss_percent").set(f64::from(figures.loss_percent));
}

fn sound(media: &MediaWorkers) {
    let figures = media.figures();
    let used = usize::try_from(figures.legs).unwrap_or(usize::MAX);
    api::metrics::ports(used, media.port_pairs().saturating_sub(used));
    for (dropped, count) in [
        ("stranger", figures.refused),
        ("unsent", figures.unsent),
        ("utterance", figures.utterance_parts_dropped),
        ("recording", figures.recording_parts_dropped),
        ("order", figures.orders_refused),
    ] {
        counter!("gw_media_dropped_total", "what" => dropped).absolute(count);
    }
    counter!("gw_ports_not_rested_total").absolute(figures.ports_not_rested);
    counter!("gw_ticks_skipped_total").absolute(figures.ticks_skipped);
    let late = media.tick_lateness();
    for (word, quantile) in [("0.5", 0.5), ("0.99", 0.99), ("0.999", 0.999), ("1", 1.0)] {
        let micros = late.value_at_quantile(quantile);
        gauge!("gw_tick_late_seconds", "quantile" => word).set(micros as f64 / 1e6);
    }
}

fn hearing(recognizer: &Recognizer) {
    let (status, waiting) = (recognizer.status(), recognizer.waiting());
    let engines = [("grammar", status.grammar, waiting.0), ("open", status.open, waiting.1)];
    for (engine, state, waiting) in engines {
        let up = f64::from(u8::from(state == EngineState::Ready));
        gauge!("gw_recognizer_up", "engine" => engine).set(up);
        gauge!("gw_recognizer_waiting", "engine" => engine).set(waiting as f64);
    }
}

/// What the figures of this crate mean; the others are described where they are named.
pub fn describe() {
    describe_gauge!("gw_connections", "TCP, TLS and WebSocket connections open.");
    describe_counter!(
        "gw_transport_lost_total",
        "Connections refused or closed at a bound (total, source, handshake, unsent, idle, framing, \
         no_pong), not opened (unopened), and datagrams the system had no room for, going out \
         (datagram) or coming in (unread)."
    );
    describe_counter!("gw_sip_unreadable_total", "Messages that could not be read.");
    describe_counter!("gw_sip_refused_total", "Requests refused before they had any effect.");
    describe_counter!("gw_guard_dropped_total", "Messages that were not read or not answered.");
    describe_counter!("gw_guard_bans_total", "Bans of sources begun.");
    describe_counter!("gw_overload_refused_total", "New calls refused for overload.");
    describe_gauge!("gw_overload_loss_percent", "Share of new calls refused now.");
    describe_counter!("gw_stir_verdicts_total", "Verdicts on callers' numbers.");
    describe_counter!(
        "gw_stir_certificates_total",
        "Certificates needed, by where they came from."
    );
    describe_counter!("gw_stir_signed_total", "Calls signed, by attestation.");
    describe_gauge!("gw_agents_registered", "Agents with a telephone registered.");
    describe_counter!("gw_trace_dropped_total", "Trace records that the disk was too slow for.");
    describe_counter!("gw_media_dropped_total", "Packets, pieces and orders that were lost.");
    describe_counter!("gw_ports_not_rested_total", "Ports used again within five seconds.");
    describe_counter!("gw_ticks_skipped_total", "Ticks of 20 ms left out, each of one worker.");
    describe_gauge!("gw_tick_late_seconds", "Lateness of the ticks since the start, by quantile.");
    describe_gauge!("gw_recognizer_up", "1 when the engine is loaded, else 0.");
    describe_gauge!("gw_recognizer_waiting", "Utterances waiting for the engine.");
    describe_histogram!("gw_recognition_seconds", "From the end of speech to its text.");
    describe_counter!("gw_recognition_failed_total", "Utterances without a text, by reason.");
    describe_counter!("gw_webhooks_total", "Webhook deliveries tried, by result.");
}
