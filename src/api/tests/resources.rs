//! Callbacks, agents, queues, calls, suppressed numbers; health and figures.

use super::kit::{Kit, fresh_key, send};
use crate::exchange::Ban;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use domain::cause::{Cause, EndedBy};
use domain::id::{AgentId, CallId, CallbackId, LegId, QueueId, TenantId, TrunkId};
use queue::event::{AgentSays, AgentState};
use serde_json::json;
use sip::event::Source;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::fact::StoreFacts;
use switchboard::event::{Command, Decision, Fact, LegRecord, LegRole, Live, Rejected, Reply};
use switchboard::lead::WouldLead;

#[tokio::test]
async fn a_promise_is_made_once_shown_and_withdrawn() {
    let kit = Kit::new();
    let form = json!({"queue": "support", "number": "+49 30 1"});
    let made = kit.create("/v1/callbacks", "a", &form).await;
    assert_eq!((made.status, &made.body["state"]), (StatusCode::CREATED, &json!("promised")));
    assert_eq!(kit.create("/v1/callbacks", "a", &form).await.text, made.text);
    let twice = kit.create("/v1/callbacks", "b", &form).await;
    assert_eq!((twice.status.as_u16(), &twice.body["code"]), (409, &json!(4001)));
    let id = made.body["id"].as_u64().unwrap();
    let path = format!("/v1/callbacks/{id}");
    assert_eq!(kit.get(&path).await.body, made.body);
    assert_eq!(kit.get("/v1/callbacks").await.body["items"], json!([made.body]));
    assert_eq!(kit.order(Method::DELETE, &path).await.status, StatusCode::NO_CONTENT);
    let taken = kit.exchange.taken.lock().clone();
    assert!(matches!(&taken[0], Command::AdoptCallback(promise) if promise.id.0 == id));
    assert_eq!(taken[1..], [Command::CancelCallback(CallbackId(id))]);
}

#[tokio::test]
async fn agents_and_queues_are_shown_and_told() {
    let kit = Kit::new();
    let anna = AgentId::new(&TenantId::default(), "anna");
    let state = AgentState::Paused { reason: "lunch".into() };
    let changed = Live::AgentChanged { agent: anna.clone(), state };
    kit.state.publish(&changed, 1_800_000_000_000);
    let expected = json!({"name": "anna", "state": "paused", "reason": "lunch",
        "since": "2027-01-15T08:00:00.000Z", "queues": ["support"]});
    assert_eq!(kit.get("/v1/agents/anna").await.body, expected);
    assert_eq!(kit.get("/v1/agents").await.body, json!({"items": [expected]}));
    let said = kit.put("/v1/agents/anna/state", json!({"state": "ready"})).await;
    assert_eq!(said.status, StatusCode::NO_CONTENT);
    assert_eq!(kit.put("/v1/queues/support/open", json!({"open": false})).await.status, 204);
    let queue = QueueId::new(&TenantId::default(), "support");
    let expected = [
        Command::Agent { agent: anna, says: AgentSays::Ready },
        Command::Queue { queue, open: false },
    ];
    assert_eq!(*kit.exchange.taken.lock(), expected);
    let shown = kit.get("/v1/queues/support").await.body;
    assert_eq!((&shown["set_open"], &shown["waiting_max"]), (&json!(false), &json!(10)));
    assert_eq!(shown["agents_by_state"], json!({"paused": 1}));
    assert_eq!(kit.get("/v1/queues").await.body["items"], json!([shown]));
    for path in ["/v1/agents/anne/state", "/v1/queues/suport/open"] {
        let body =
            if path.contains("agents") { json!({"state": "ready"}) } else { json!({"open": true}) };
        assert_eq!(kit.put(path, body).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

/// The exchange decides; here only what is asked and how its answer is told.
#[tokio::test]
async fn what_a_call_would_do_is_asked_of_the_exchange() {
    let kit = Kit::new();
    let rejected = decision().rejected;
    let step = WouldLead { chosen: "route national".into(), rejected };
    kit.exchange.replies.lock().push_back(Ok(Reply::WouldLead(vec![step])));
    let asked = json!({"trunk": "carrier", "from": "+4930123", "to": "030 1234"});
    let got = kit.create("/v1/would-route", "none", &asked).await;
    let rejected = json!({"candidate": "trunk acme", "test": "channels", "why": "all are up"});
    let steps = json!([{"chosen": "route national", "rejected": [rejected]}]);
    assert_eq!((got.status, got.body), (StatusCode::OK, json!({"steps": steps})));
    let source = Source::Trunk(TrunkId::new(&TenantId::default(), "carrier"));
    let (from, dialled) = ("+4930123".into(), "030 1234".into());
    let question = Command::WouldRoute { source, from, dialled };
    assert_eq!(*kit.exchange.taken.lock(), [question]);
    for (asked, pointer) in [
        (json!({"trunk": "carier", "to": "1"}), "/trunk"),
        (json!({"agent": "nobody", "to": "1"}), "/agent"),
        (json!({"to": "1"}), ""),
        (json!({"trunk": "carrier", "agent": "anna", "to": "1"}), ""),
        (json!({"trunk": "carrier", "to": ""}), "/to"),
        (json!({"trunk": "carrier", "to": "1".repeat(129)}), "/to"),
    ] {
        let got = kit.create("/v1/would-route", "none", &asked).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{asked}");
        assert_eq!(got.body["errors"][0]["pointer"], json!(pointer), "{asked}");
    }
}

fn decision() -> Decision {
    let (candidate, test, why) = ("trunk acme".into(), "channels".into(), "all are up".into());
    Decision {
        id: 1,
        call: Some(CallId(7)),
        sip_call_id: "a@b".into(),
        tenant: TenantId::default(),
        at_wall_ms: 1_800_000_000_000,
        source: "trunk pbx".into(),
        from: "+491".into(),
        to: "+492".into(),
        chosen: "trunk backup".into(),
        status: 0,
        rejected: vec![Rejected { candidate, test, why }],
    }
}

#[tokio::test]
async fn a_call_is_shown_live_and_by_its_records_and_can_be_ended() {
    let kit = Kit::new();
    kit.call_started("default", 7);
    kit.call_started("default", 8);
    kit.call_started("other", 9);
    let queue = QueueId::new(&TenantId::default(), "support");
    let queued = Live::Queued { call: CallId(7), queue, position: 2, estimate_s: Some(30) };
    kit.state.publish(&queued, 1_800_000_001_000);
    let first = kit.get("/v1/calls?limit=1").await.body;
    let only = &first["items"][0];
    assert_eq!((&only["stage"], &only["position"]), (&json!("waiting"), &json!(2)));
    let second = kit.get(&format!("/v1/calls?after={}", first["next"])).await.body;
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&json!(8), &json!(null)));
    assert_eq!(kit.order(Method::DELETE, "/v1/calls/7").await.status, StatusCode::NO_CONTENT);
    assert_eq!(*kit.exchange.taken.lock(), [Command::HangUp(CallId(7))]);

    kit.ledger
        .perform(StoreFacts::new(vec![Fact::Leg(leg()), Fact::Decision(decision())]))
        .unwrap();
    let cause = Cause::normal(EndedBy::Peer);
    let ended =
        Live::CallEnded { call: CallId(7), tenant: TenantId::default(), cause, answered_ms: 5 };
    kit.state.publish(&ended, 1_800_000_009_000);
    let call = kit.get("/v1/calls/7").await.body;
    assert_eq!((&call["live"], &call["legs"][0]["cause"]), (&json!(null), &json!("normal")));
    assert_eq!(call["legs"][0]["ended_at"], "2027-01-15T08:00:09.000Z");
    let led = &call["decisions"][0];
    assert_eq!((&led["chosen"], &led["status"]), (&json!("trunk backup"), &json!(0)));
    let rejected = json!([{"candidate": "trunk acme", "test": "channels", "why": "all are up"}]);
    assert_eq!(led["rejected"], rejected);
    for (method, path) in [(Method::DELETE, "/v1/calls/7"), (Method::GET, "/v1/calls/10")] {
        assert_eq!(kit.order(method, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

fn leg() -> LegRecord {
    LegRecord {
        leg: LegId(1),
        call: CallId(7),
        tenant: TenantId::default(),
        role: LegRole::Caller,
        sip_call_id: "x".into(),
        trunk: None,
        from: "+4930123".into(),
        to: "100".into(),
        agent: None,
        queue: None,
        intent: None,
        started_wall_ms: 1_800_000_000_000,
        answered_wall_ms: Some(1_800_000_000_100),
        ended_wall_ms: 1_800_000_009_000,
        cause: Cause::normal(EndedBy::Peer),
        quality: media::event::QualityReport::default(),
        verstat: Some("TN-Validation-Passed".into()),
        attestation: Some("A".into()),
    }
}

#[tokio::test]
async fn a_number_is_put_on_the_list_found_and_taken_off() {
    let kit = Kit::new();
    let path = "/v1/do-not-call/+49301";
    assert_eq!(kit.get(path).await.body, json!({"number": "49301", "listed": false}));
    assert_eq!(kit.order(Method::PUT, path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(kit.put("/v1/do-not-call/49302", json!({"source": "letter"})).await.status, 204);
    assert_eq!(kit.get("/v1/do-not-call/49301").await.body["listed"], true);
    let page = kit.get("/v1/do-not-call?limit=1").await.body;
    assert_eq!((&page["items"][0]["source"], &page["next"]), (&json!("api"), &json!("49301")));
    let rest = kit.get("/v1/do-not-call?after=49301").await.body;
    assert_eq!(rest["items"][0]["source"], "letter");
    assert_eq!(kit.order(Method::DELETE, path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(kit.order(Method::DELETE, path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(kit.get("/v1/do-not-call/anna").await.body["code"], 1005);
}

#[tokio::test]
async fn health_and_figures_need_no_key() {
    let kit = Kit::new();
    kit.create("/v1/callbacks", &fresh_key(), &json!({})).await;
    let get = async |path: &str| {
        send(&kit.operations, Request::get(path).body(Body::empty()).unwrap()).await
    };
    assert_eq!(get("/healthz").await.status, StatusCode::OK);
    let ready = get("/readyz").await;
    assert_eq!((ready.status, &ready.body["ready"]), (StatusCode::OK, &json!(true)));
    kit.trunk_up.store(false, Ordering::Relaxed);
    let unready = get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    let trunk = json!({"name": "trunk", "ok": false, "reason": "no trunk is up"});
    assert_eq!(unready.body["checks"][2], trunk);
    let page = get("/metrics").await;
    let line = r#"gw_http_requests_total{method="POST",route="/v1/callbacks",status="422"} "#;
    assert!(page.text.contains(line), "{}", page.text);
    assert!(page.text.contains("gw_ledger_up 1\n"), "{}", page.text);
    assert_eq!(get("/v1/calls").await.body["code"], 3002);
}

/// A tenant's key shows his own trunks, whoever runs the program sees all.
#[tokio::test]
async fn trunks_are_shown_with_how_their_calls_have_gone() {
    use crate::views::LiveTrunk;
    use trunk::health::traffic::Figures;
    let kit = Kit::new();
    let figures = Figures {
        calls: 5,
        given_up: 1,
        answered: 1,
        failed: 2,
        unavailable: 1,
        rung: 2,
        post_dial_delay: std::time::Duration::from_secs(3),
        packets: 99,
        lost: 1,
        heard: 1,
        jitter_us: 2_500,
        ..Figures::default()
    };
    let trunk = LiveTrunk {
        state: "down",
        why: "no answer".into(),
        registration: Some("registered"),
        calls_per_second: 1,
        calls_per_second_max: 10,
        channels: 2,
        channels_max: 30,
        figures,
        ..LiveTrunk::default()
    };
    let id = domain::id::TrunkId::new(&domain::id::TenantId::default(), "carrier");
    kit.state.views.trunks.insert(id, trunk);
    let expected = json!({"items": [{
        "name": "carrier", "state": "down", "why": "no answer",
        "registration": "registered", "registration_why": null,
        "calls_per_second": 1, "calls_per_second_max": 10, "channels": 2, "channels_max": 30,
        "calls": 5, "answer_ratio": 0.25, "failure_ratio": 0.5, "unavailable_ratio": 0.25,
        "post_dial_delay_ms": 1_500, "loss_ratio": 0.01, "jitter_ms": 2.5,
    }]});
    assert_eq!(kit.get("/v1/trunks").await.body, expected);
}

/// The guard is the whole program's, so the keys of `default` alone see its bans; whoever runs the
/// program needs none.
#[tokio::test]
async fn a_ban_is_shown_and_ended() {
    let kit = Kit::new();
    let ban = |source: &str| Ban {
        source: source.parse().unwrap(),
        left: Duration::from_millis(590_900),
        dropped: 3,
    };
    *kit.exchange.bans.lock() = vec![ban("198.51.100.7"), ban("2001:db8::")];
    let shown = json!({"items": [
        {"source": "198.51.100.7", "left_s": 590, "dropped": 3},
        {"source": "2001:db8::", "left_s": 590, "dropped": 3},
    ]});
    assert_eq!(kit.get("/v1/bans").await.body, shown);
    let of_other = async |method: &str, path: &str| {
        let bearer = format!("Bearer {}", kit.keys[1]);
        let request = Request::builder().method(method).uri(path).header("authorization", bearer);
        kit.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(of_other("GET", "/v1/bans").await.body, json!({"items": []}));
    let refused = of_other("DELETE", "/v1/bans/198.51.100.7").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let path = "/v1/bans/198.51.100.7";
    assert_eq!(kit.order(Method::DELETE, path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(kit.order(Method::DELETE, path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(kit.order(Method::DELETE, "/v1/bans/anna").await.body["code"], 1005);
    let without_key = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        send(&kit.operations, request).await
    };
    assert_eq!(without_key("GET", "/bans").await.body["items"][0]["source"], "2001:db8::");
    let ended = without_key("DELETE", "/bans/2001:db8::").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(without_key("GET", "/bans").await.body, json!({"items": []}));
}
