//! Logs and figures.

use switchboard::exchange::Exchange;
use tracing_subscriber::EnvFilter;

/// Starts structured logs on standard error: JSON lines, or text on a terminal. `TRUNKLINE_LOG`
/// sets what is logged, such as `info` (the default) or `warn,gateway=debug`.
pub fn start_logs() {
    let filter =
        EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (tests, the demo) keeps the first one's.
    let _ = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => logs.compact().try_init(),
        false => logs.json().try_init(),
    };
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

/// Figures of the signalling loop, read by `/metrics`.
pub fn gauges(exchange: &Exchange) {
    metrics::gauge!("gw_calls").set(exchange.switchboard().calls() as f64);
    api::metrics::sip_held(exchange.endpoint().transactions(), exchange.endpoint().legs());
}
