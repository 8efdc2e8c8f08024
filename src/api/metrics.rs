//! The figures for Prometheus, all with the prefix `gw_`.
//!
//! Counters and histograms are fed where the thing happens (the gateway calls the functions here);
//! gauges of the live views and of the ledger are set when the page is asked for, by [`scrape`].
//! Labels: tenant and queue or trunk for at most 200 of them, never a number or a Call-ID.

use crate::event_json::agent_word;
use crate::views::{LiveViews, Stage};
use campaign::event::Disposition;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use store::gauge::StoreStats;
use store::words;
use switchboard::event::{LegRecord, Live};

/// Series of one name with a tenant's thing as label.
const SERIES_MAX: usize = 200;

/// Where a histogram's buckets end: seconds from a millisecond to a minute.
const SECONDS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Milliseconds of jitter.
const JITTER_MS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0];
/// Opinion scores, 1 to 4.5.
const SCORES: [f64; 8] = [1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 4.0, 4.3];

/// Makes this process count, once; later calls give the same handle.
///
/// # Panics
/// When another recorder was installed before, which only our own start could do.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            use metrics_exporter_prometheus::Matcher::{Full, Suffix};
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Suffix("_seconds".into()), &SECONDS)
                .and_then(|builder| {
                    builder.set_buckets_for_metric(Full("gw_jitter_ms".into()), &JITTER_MS)
                })
                .and_then(|builder| {
                    builder.set_buckets_for_metric(Full("gw_mos_lq".into()), &SCORES)
                })
                .and_then(PrometheusBuilder::install_recorder)
                .expect("the lists of buckets are not empty and no other recorder is installed");
            describe();
            handle
        })
        .clone()
}

fn describe() {
    describe_counter!("gw_sip_requests_total", "SIP requests by method, direction, transport.");
    describe_counter!("gw_sip_responses_total", "SIP final responses by class and direction.");
    describe_counter!("gw_sip_retransmissions_total", "SIP messages sent again.");
    describe_gauge!("gw_transactions", "SIP transactions held.");
    describe_gauge!("gw_dialogs", "SIP dialogs held.");
    describe_gauge!("gw_calls", "Calls up, by what they are at.");
    describe_counter!("gw_calls_started_total", "Calls begun, by role of their first leg.");
    describe_counter!("gw_calls_ended_total", "Calls ended, by cause.");
    describe_histogram!("gw_call_setup_seconds", "From INVITE to answer of each leg.");
    describe_histogram!("gw_post_dial_delay_seconds", "From INVITE sent to the first ringing.");
    describe_gauge!("gw_trunk_registered", "Whether we are registered at it, if it wants that.");
    describe_gauge!("gw_trunk_targets", "Targets that DNS or the configuration gives it.");
    describe_gauge!("gw_trunk_targets_down", "Of them down.");
    describe_gauge!("gw_trunk_calls", "Calls of ours that ended in its window.");
    describe_gauge!("gw_trunk_answer_ratio", "Of them answered, 0 to 1.");
    describe_gauge!("gw_trunk_effectiveness_ratio", "Of them carried by the network, 0 to 1.");
    describe_gauge!("gw_trunk_failure_ratio", "Of them ended by 5xx or silence, 0 to 1.");
    describe_gauge!("gw_trunk_post_dial_delay_seconds", "Mean time from INVITE to ringing.");
    describe_gauge!(
        "gw_trunk_up",
        "0 while it takes no calls, as probes and calls showed; else 1."
    );
    describe_counter!("gw_rtp_packets_total", "RTP packets of ended legs by direction.");
    describe_counter!("gw_rtp_lost_total", "RTP packets expected and not seen, of ended legs.");
    describe_histogram!("gw_jitter_ms", "Interarrival jitter of ended legs.");
    describe_histogram!("gw_mos_lq", "Opinion score of ended legs, 1 to 4.5.");
    describe_counter!("gw_one_way_total", "Answered legs that sent and never received.");
    describe_gauge!("gw_ports_used", "Pairs of RTP ports in use, one a leg.");
    describe_gauge!("gw_ports_free", "Pairs of RTP ports free.");
    describe_gauge!("gw_queue_waiting", "Callers waiting in the queue.");
    describe_gauge!("gw_queue_longest_wait_seconds", "How long the first of them has waited.");
    describe_gauge!(
        "gw_queue_service_level_ratio",
        "Callers answered within 20 s, of all let in that were answered or left."
    );
    describe_counter!("gw_queue_abandoned_total", "Callers who left while waiting.");
    describe_counter!("gw_queue_refused_total", "Callers whom the queue refused.");
    describe_gauge!("gw_agents", "Agents by state.");
    describe_counter!("gw_callbacks_total", "Promised calls by the state they came to.");
    describe_counter!("gw_campaign_dialled_total", "Attempts closed, by disposition.");
    describe_counter!("gw_campaign_live_answers_total", "Attempts that a person answered.");
    describe_counter!("gw_campaign_abandoned_total", "Attempts whose person waited in vain.");
    describe_gauge!("gw_ledger_commit_seconds", "Time of a commit since the start, by quantile.");
    describe_gauge!("gw_ledger_batch_size", "Operations in one commit, by quantile.");
    describe_gauge!("gw_ledger_queue", "Operations waiting for a commit.");
    describe_gauge!("gw_ledger_up", "1 when the ledger takes facts, else 0.");
    describe_counter!("gw_ledger_operations_total", "Operations committed.");
    describe_counter!("gw_ledger_faults_total", "Commits lost to a fault of the disk.");
    describe_gauge!("gw_outbox_lag_seconds", "Age of the oldest webhook not delivered.");
    describe_counter!("gw_overload_rejected_total", "Work refused, by reason.");
    describe_counter!("gw_auth_failures_total", "Requests with a missing or unknown key.");
    describe_counter!("gw_http_requests_total", "API requests by method, route, status.");
    describe_histogram!("gw_http_request_seconds", "Time to the answer's head, by route.");
}

/// SIP requests since the start; `direction` is `in` or `out`. The method is one of ours, never the
/// peer's text.
pub fn sip_requests(
    method: &'static str,
    direction: &'static str,
    transport: &'static str,
    total: u64,
) {
    counter!("gw_sip_requests_total", "method" => method, "dir" => direction,
        "transport" => transport)
    .absolute(total);
}

/// SIP final responses since the start; `class` such as `2xx`.
pub fn sip_responses(class: &'static str, direction: &'static str, total: u64) {
    counter!("gw_sip_responses_total", "class" => class, "dir" => direction).absolute(total);
}

/// SIP messages sent again since the start.
pub fn sip_retransmissions(total: u64) {
    counter!("gw_sip_retransmissions_total").absolute(total);
}

/// What the SIP endpoint holds.
pub fn sip_held(transactions: usize, dialogs: usize) {
    gauge!("gw_transactions").set(transactions as f64);
    gauge!("gw_dialogs").set(dialogs as f64);
}

/// How long it took from our INVITE to the first ringing.
pub fn post_dial_delay(delay: Duration) {
    histogram!("gw_post_dial_delay_seconds").record(delay);
}

/// A trunk came up or went down.
pub fn trunk_up(tenant: &str, trunk: &str, up: bool) {
    let (tenant, trunk) = (tenant.to_owned(), trunk.to_owned());
    gauge!("gw_trunk_up", "tenant" => tenant, "trunk" => trunk).set(f64::from(u8::from(up)));
}

/// Pairs of RTP ports, for RTP and RTCP of one leg each.
pub fn ports(used: usize, free: usize) {
    gauge!("gw_ports_used").set(used as f64);
    gauge!("gw_ports_free").set(free as f64);
}

/// The age of the oldest webhook not delivered; zero when none waits.
pub fn outbox_lag(age: Duration) {
    gauge!("gw_outbox_lag_seconds").set(age.as_secs_f64());
}

/// Work was refused; `reason` such as `commands`, `calls`, `rate`.
pub fn overload_rejected(reason: &'static str) {
    counter!("gw_overload_rejected_total", "reason" => reason).increment(1);
}

/// A request without a valid key.
pub(crate) fn auth_failure() {
    counter!("gw_auth_failures_total").increment(1);
}

/// A request of the API was answered.
pub(crate) fn http_request(method: &'static str, route: String, status: u16, took: Duration) {
    let status = status.to_string();
    counter!("gw_http_requests_total", "method" => method, "route" => route.clone(),
        "status" => status)
    .increment(1);
    histogram!("gw_http_request_seconds", "route" => route).record(took);
}

/// A leg has ended: its sound and its set-up time.
pub fn leg_ended(leg: &LegRecord) {
    let quality = &leg.quality;
    counter!("gw_rtp_packets_total", "dir" => "out").increment(quality.sent);
    counter!("gw_rtp_packets_total", "dir" => "in").increment(quality.received);
    counter!("gw_rtp_lost_total").increment(quality.lost);
    if let Some(answered) = leg.answered_wall_ms {
        let took = answered.saturating_sub(leg.started_wall_ms);
        histogram!("gw_call_setup_seconds").record(Duration::from_millis(took));
        match (quality.sent, quality.received) {
            // 50 packets are a second of sound: a leg ended at once proves nothing.
            (50.., 0) => counter!("gw_one_way_total").increment(1),
            (_, 0) => (),
            _ => {
                histogram!("gw_jitter_ms").record(f64::from(quality.jitter_us) / 1000.0);
                histogram!("gw_mos_lq").record(f64::from(quality.mos));
            }
        }
    }
}

/// An event of the exchange.
pub(crate) fn live(live: &Live) {
    match live {
        Live::CallStarted { role, .. } => {
            counter!("gw_calls_started_total", "role" => words::leg_role(*role)).increment(1);
        }
        Live::CallEnded { cause, .. } => {
            counter!("gw_calls_ended_total", "cause" => words::cause_kind(cause.kind)).increment(1);
        }
        Live::CallbackChanged(promise) => {
            let state = words::callback_state(promise.state);
            counter!("gw_callbacks_total", "state" => state).increment(1);
        }
        Live::AttemptClosed { disposition, .. } => attempt_closed(*disposition),
        // They move gauges, which are read from the views.
        Live::Queued { .. } | Live::QueueRefused { .. } | Live::AgentRung { .. } => (),
        Live::Through { .. } => (),
        Live::Bridged { .. }
        | Live::AgentChanged { .. }
        | Live::TrunkChanged { .. }
        | Live::CampaignChanged { .. } => (),
        // No figure hangs on what is said.
        Live::Heard { .. } | Live::Key { .. } | Live::Understood { .. } | Live::Said { .. } => (),
    }
}

fn attempt_closed(disposition: Disposition) {
    let word = words::disposition(disposition);
    counter!("gw_campaign_dialled_total", "disposition" => word).increment(1);
    match disposition {
        Disposition::Answered | Disposition::AnsweredBriefly | Disposition::Transferred => {
            counter!("gw_campaign_live_answers_total").increment(1);
        }
        Disposition::Abandoned => {
            counter!("gw_campaign_live_answers_total").increment(1);
            counter!("gw_campaign_abandoned_total").increment(1);
        }
        Disposition::Busy | Disposition::NoAnswer | Disposition::Declined => (),
        Disposition::InvalidNumber | Disposition::Failed | Disposition::InDoubt => (),
    }
}

/// Sets the gauges and prints the page.
pub fn scrape(
    handle: &PrometheusHandle,
    views: &LiveViews,
    ledger: &StoreStats,
    now_ms: u64,
) -> String {
    calls_and_agents(views);
    for queue in views.queues.iter().take(SERIES_MAX) {
        let labels =
            [("tenant", queue.key().tenant.to_string()), ("queue", queue.key().name.to_string())];
        let waiting = views.waiting(queue.key());
        let oldest_ms = waiting.oldest_since_wall_ms.map_or(0, |at| now_ms.saturating_sub(at));
        gauge!("gw_queue_waiting", &labels).set(waiting.callers);
        gauge!("gw_queue_longest_wait_seconds", &labels).set(oldest_ms as f64 / 1000.0);
        let settled = queue.answered + queue.abandoned;
        if settled > 0 {
            let ratio = queue.answered_in_20_s as f64 / settled as f64;
            gauge!("gw_queue_service_level_ratio", &labels).set(ratio);
        }
        counter!("gw_queue_abandoned_total", &labels).absolute(queue.abandoned);
        counter!("gw_queue_refused_total", &labels).absolute(queue.refused);
    }
    ledger_figures(ledger);
    handle.render()
}

fn calls_and_agents(views: &LiveViews) {
    let stages = ["conversing", "waiting", "talking", "through"];
    let mut calls = BTreeMap::from(stages.map(|stage| (stage, 0_u32)));
    for call in &views.calls {
        let stage = match call.stage {
            Stage::Conversing => "conversing",
            Stage::Waiting { .. } => "waiting",
            Stage::Talking { .. } => "talking",
            Stage::Through { .. } => "through",
        };
        *calls.entry(stage).or_default() += 1;
    }
    for (stage, count) in calls {
        gauge!("gw_calls", "state" => stage).set(count);
    }
    let states = ["logged_out", "available", "reserved", "ringing", "talking", "wrap_up", "paused"];
    let mut agents = BTreeMap::from(states.map(|state| (state, 0_u32)));
    for agent in &views.agents {
        *agents.entry(agent_word(&agent.state).0).or_default() += 1;
    }
    for (state, count) in agents {
        gauge!("gw_agents", "state" => state).set(count);
    }
}

fn ledger_figures(ledger: &StoreStats) {
    let (commit, batch) = (&ledger.commit_us, &ledger.batch);
    for (quantile, commit_us, size) in [
        ("0.5", commit.p50, batch.p50),
        ("0.99", commit.p99, batch.p99),
        ("0.999", commit.p999, batch.p999),
        ("1", commit.max, batch.max),
    ] {
        gauge!("gw_ledger_commit_seconds", "quantile" => quantile).set(commit_us as f64 / 1e6);
        gauge!("gw_ledger_batch_size", "quantile" => quantile).set(size as f64);
    }
    gauge!("gw_ledger_queue").set(ledger.queue_depth as f64);
    gauge!("gw_ledger_up").set(f64::from(u8::from(ledger.works)));
    counter!("gw_ledger_operations_total").absolute(ledger.operations);
    counter!("gw_ledger_faults_total").absolute(ledger.faults);
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cause::{Cause, EndedBy};
    use domain::id::{CallId, TenantId};

    #[test]
    fn the_page_has_what_was_fed_and_what_the_views_say() {
        let handle = install();
        let ended = Live::CallEnded {
            call: CallId(1),
            tenant: TenantId::default(),
            cause: Cause::normal(EndedBy::Peer),
            answered_ms: 5,
        };
        live(&ended);
        sip_responses("4xx", "in", 1);
        attempt_closed(Disposition::Abandoned);
        let stats = StoreStats { works: true, operations: 12, ..StoreStats::default() };
        let page = scrape(&handle, &LiveViews::default(), &stats, 0);
        for line in [
            "gw_calls_ended_total{cause=\"normal\"} ",
            "gw_sip_responses_total{class=\"4xx\",dir=\"in\"} 1\n",
            "gw_campaign_abandoned_total 1\n",
            "gw_ledger_up 1\n",
            "gw_ledger_operations_total 12\n",
            "gw_agents{state=\"wrap_up\"} ",
            "# TYPE gw_calls gauge\n",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
    }
}
