//! A day's events in a few lines, and the figures they leave.

use super::*;
use domain::cause::{Cause, EndedBy};
use domain::prompt::Understanding;
use std::time::Duration;

fn tenant() -> TenantId {
    TenantId::default()
}

fn rules(name: &str, agents: &[&str]) -> QueueRules {
    QueueRules {
        id: QueueId::new(&tenant(), name),
        agents: agents.iter().map(|name| AgentId::new(&tenant(), name)).collect(),
        length_max: 10,
        estimate_max: Duration::from_secs(600),
        wait_max: Duration::from_secs(600),
        ring_for: Duration::from_secs(20),
        wrap_up: Duration::from_secs(10),
        missed_rings_max: 3,
        announce_every: Duration::from_secs(30),
        wait_without_agents: true,
        open_minutes: Vec::new(),
        utc_offset_min: 0,
    }
}

fn started(call: u64) -> Live {
    let (from, to) = ("+4930123".into(), "100".into());
    Live::CallStarted { call: CallId(call), tenant: tenant(), role: LegRole::Caller, from, to }
}

fn queued(call: u64, queue: &QueueId, position: u32) -> Live {
    Live::Queued { call: CallId(call), queue: queue.clone(), position, estimate_s: Some(40) }
}

fn ended(call: u64) -> Live {
    let cause = Cause::normal(EndedBy::Peer);
    Live::CallEnded { call: CallId(call), tenant: tenant(), cause, answered_ms: 1 }
}

#[test]
fn waits_are_counted_once_and_end_as_answered_or_abandoned() {
    let views = LiveViews::configured(&[rules("support", &["anna", "bert"])]);
    let support = QueueId::new(&tenant(), "support");
    let anna = AgentId::new(&tenant(), "anna");
    for (at, live) in [
        (1_000, started(1)),
        (1_000, started(2)),
        (2_000, queued(1, &support, 0)),
        (3_000, queued(2, &support, 1)),
        (9_000, queued(1, &support, 0)),
        (9_500, Live::AgentRung { call: CallId(1), agent: anna.clone() }),
    ] {
        views.apply(&live, at);
    }
    let oldest = Waiting { callers: 2, oldest_since_wall_ms: Some(2_000) };
    assert_eq!(views.waiting(&support), oldest);
    views.apply(&Live::Bridged { call: CallId(1), agent: anna.clone() }, 12_000);
    views.apply(&ended(2), 13_000);
    views.apply(&ended(1), 50_000);
    let refusal =
        Live::QueueRefused { call: CallId(3), queue: support.clone(), reason: "full".into() };
    views.apply(&refusal, 51_000);
    let expected = LiveQueue {
        length_max: 10,
        agents: vec!["anna".into(), "bert".into()],
        set_open: None,
        admitted: 2,
        refused: 1,
        answered: 1,
        answered_in_20_s: 1,
        abandoned: 1,
        waited_ms: 10_000,
    };
    assert_eq!(*views.queues.get(&support).unwrap(), expected);
    assert_eq!((views.calls.len(), views.waiting(&support)), (0, Waiting::default()));
}

#[test]
fn an_events_tenant_is_its_calls_and_strangers_leave_no_trace() {
    let views = LiveViews::configured(&[rules("support", &["anna"])]);
    let heard = Live::Key { call: CallId(1), digit: '5' };
    assert_eq!(views.tenant_of(&heard), None);
    views.apply(&started(1), 1);
    assert_eq!(views.tenant_of(&heard), Some(tenant()));
    let stranger = AgentId::new(&TenantId("other".into()), "anna");
    views.apply(&Live::AgentChanged { agent: stranger, state: AgentState::WrapUp }, 5);
    assert_eq!(views.agents.len(), 1);
    let understanding = Understanding {
        intent: Some("billing".into()),
        confidence: 0.9,
        runner_up: None,
        slots: Vec::new(),
    };
    views.apply(&Live::Understood { call: CallId(1), understanding }, 6);
    assert_eq!(views.calls.get(&CallId(1)).unwrap().intent.as_deref(), Some("billing"));
}

#[test]
fn a_campaign_is_followed_from_its_first_event() {
    let views = LiveViews::default();
    let state = CampaignState::Paused;
    let changed = Live::CampaignChanged { campaign: CampaignId(4), tenant: tenant(), state };
    views.apply(&changed, 1);
    let expected = LiveCampaign { tenant: tenant(), state, attempts_closed: 0 };
    assert_eq!(*views.campaigns.get(&CampaignId(4)).unwrap(), expected);
}
