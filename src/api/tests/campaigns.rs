//! A campaign from its making to its cancelling, and what repetition and loss do to it.

use super::kit::{Kit, campaign_form, fresh_key};
use crate::exchange::Busy;
use crate::state::Limits;
use axum::http::{Method, StatusCode};
use campaign::event::{Disposition, Outcome};
use domain::cause::Cause;
use domain::id::{AttemptId, CampaignId};
use serde_json::json;
use store::claim::Claim;
use store::fact::StoreFacts;
use store::permit::{Permit, PermitDecision};
use switchboard::event::{AttemptClosed, CampaignOrder, Command, Fact, Reply};

#[tokio::test]
async fn a_creation_repeated_with_its_key_gets_the_first_reply() {
    let kit = Kit::new();
    let first = kit.create("/v1/campaigns", "abc", &campaign_form()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = kit.create("/v1/campaigns", "\"abc\"", &campaign_form()).await;
    assert_eq!((again.status, &again.text), (StatusCode::CREATED, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let mut other = campaign_form();
    other["name"] = json!("another");
    let reused = kit.create("/v1/campaigns", "abc", &other).await;
    assert_eq!((reused.status.as_u16(), &reused.body["code"]), (422, &json!(4003)));
    let held = kit.state.in_flight.enter(&store::idempotency::IdempotencyKey {
        tenant: domain::id::TenantId::default(),
        key: "busy".into(),
        request_hash: [0; 32],
    });
    let concurrent = kit.create("/v1/campaigns", "busy", &campaign_form()).await;
    assert_eq!((concurrent.status.as_u16(), &concurrent.body["code"]), (409, &json!(4002)));
    drop(held);
    // Only the first made anything.
    let list = kit.get("/v1/campaigns").await.body;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(kit.exchange.taken.lock().len(), 1);
}

/// Every attempt of it would be held back for ever.
#[tokio::test]
async fn a_campaign_shows_a_number_that_may_be_shown() {
    let kit = Kit::new();
    let mut form = campaign_form();
    form["caller_id"] = json!("+4940123456");
    let told = kit.create("/v1/campaigns", "abc", &form).await;
    let detail = "+4940123456 may not be shown; those of [tenant] are +4930*";
    assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", told.text);
    let fault = &told.body["errors"][0];
    assert_eq!((&fault["pointer"], &fault["detail"]), (&json!("/caller_id"), &json!(detail)));
}

#[tokio::test]
async fn a_campaign_is_filled_started_paused_resumed_and_cancelled() {
    let kit = Kit::new();
    let id = kit.campaign().await;
    let path = |end: &str| format!("/v1/campaigns/{id}{end}");
    let text = "number;name\n+49301;Anna\n+49302;Bert\nnobody;Carl\n+49 30 1;Dora\n";
    let report = kit.post(&path("/contacts"), "list", "text/csv", text).await;
    let expected = json!({
        "added": 2, "duplicates": 1, "refused": 1, "errors_not_named": 0,
        "errors": [
            {"line": 4, "detail": "column \"number\": a telephone number has no 'n'"},
            {"line": 5, "detail": "this number is in the campaign already"},
        ],
    });
    assert_eq!((report.status, report.body), (StatusCode::OK, expected.clone()));
    let again = kit.post(&path("/contacts"), "list", "text/csv; charset=utf-8", text).await;
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &expected));
    let more = json!([{"number": "+49303", "key": "c3", "payload": {"a": 1}}, {"number": 7}]);
    let report = kit.create(&path("/contacts"), &fresh_key(), &more).await.body;
    assert_eq!((&report["added"], &report["refused"]), (&json!(1), &json!(1)));
    assert_eq!(report["errors"][0]["pointer"], "/1/number");

    for (order, state) in
        [("start", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")]
    {
        let done = kit.order(Method::POST, &path(&format!("/{order}"))).await;
        assert_eq!((done.status, done.body), (StatusCode::OK, json!({"id": id, "state": state})));
        assert_eq!(kit.get(&path("")).await.body["state"], state);
    }
    let progress = kit.get(&path("/progress")).await.body;
    assert_eq!((&progress["contacts"], &progress["ready"]), (&json!(3), &json!(3)));
    let contacts = kit.get(&path("/contacts?limit=2")).await.body;
    assert_eq!(contacts["items"][0]["payload"], json!({"name": "Anna"}));
    let rest = kit.get(&path(&format!("/contacts?after={}", contacts["next"]))).await.body;
    assert_eq!((&rest["items"][0]["key"], &rest["next"]), (&json!("c3"), &json!(null)));
    assert_eq!(kit.get(&path("/results")).await.body, json!({"items": [], "next": null}));
    let late = kit.post(&path("/contacts"), &fresh_key(), "text/csv", text).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);

    let campaign = CampaignId(id);
    let order = |order| Command::Campaign { campaign, order };
    let taken = kit.exchange.taken.lock().clone();
    assert!(matches!(&taken[0], Command::AdoptCampaign(made) if made.rules.id == campaign));
    let expected = [
        Command::ContactsAdded { campaign },
        Command::ContactsAdded { campaign },
        order(CampaignOrder::Start),
        order(CampaignOrder::Pause),
        order(CampaignOrder::Start),
        order(CampaignOrder::Cancel),
    ];
    assert_eq!(taken[1..], expected);
}

#[tokio::test]
async fn a_campaign_that_the_exchange_never_heard_of_is_told_before_it_is_ordered() {
    let kit = Kit::new();
    let id = kit.campaign().await;
    kit.exchange.taken.lock().clear();
    kit.exchange.replies.lock().push_back(Ok(Reply::NotFound));
    let started = kit.order(Method::POST, &format!("/v1/campaigns/{id}/start")).await;
    assert_eq!(started.status, StatusCode::OK, "{}", started.text);
    let taken = kit.exchange.taken.lock();
    assert!(matches!(taken[1], Command::AdoptCampaign(_)), "{taken:?}");
    assert_eq!(taken.len(), 3);
}

#[tokio::test]
async fn a_refused_order_says_why_and_when_to_come_back() {
    let kit = Kit::new();
    let id = kit.campaign().await;
    let path = format!("/v1/campaigns/{id}/start");
    for (reply, status, retry_after) in [
        (Err(Busy::Full), 503, "1"),
        (Err(Busy::Stopping), 503, "10"),
        (Ok(Reply::Conflict { reason: "it is cancelled".into() }), 409, ""),
        (Ok(Reply::StoreFailed { reason: "the disk is full".into() }), 503, "5"),
    ] {
        kit.exchange.replies.lock().push_back(reply.clone());
        let got = kit.order(Method::POST, &path).await;
        assert_eq!((got.status.as_u16(), got.header("retry-after")), (status, retry_after));
        assert_eq!(got.header("content-type"), "application/problem+json", "{reply:?}");
    }
    let resumed = kit.order(Method::POST, &format!("/v1/campaigns/{id}/resume")).await;
    assert_eq!(resumed.body["detail"], "it has not been started; start it");
}

#[tokio::test]
async fn a_list_that_is_too_long_or_malformed_leaves_nothing_behind() {
    let kit = Kit::with(Limits { list_rows: 3, csv_list_bytes: 1_000, ..Limits::default() }, 10);
    let id = kit.campaign().await;
    let path = format!("/v1/campaigns/{id}/contacts");
    let long = "number\n".to_owned() + &"+4930\n".repeat(4);
    let large = "number\n".to_owned() + &"+4930\n".repeat(400);
    for (media_type, text, status, code) in [
        ("text/csv", &*long, 413, 5002),
        ("text/csv", &*large, 413, 5001),
        ("text/csv", "name\nAnna\n", 422, 1002),
        ("application/json", r#"[{"number":"110"},{"number":"112"}"#, 400, 1001),
        ("application/xml", "<a/>", 415, 5003),
    ] {
        let got = kit.post(&path, &fresh_key(), media_type, text).await;
        assert_eq!((got.status.as_u16(), &got.body["code"]), (status, &json!(code)), "{text}");
    }
    assert_eq!(kit.get(&path).await.body["items"], json!([]));
    // Each of these keys may be used again, and each place among the readers is free again.
    let good = kit.post(&path, "k", "text/csv", "number\n110\n").await;
    assert_eq!(good.body["added"], 1);
}

#[tokio::test]
async fn a_campaign_calls_no_emergency_service() {
    let kit = Kit::new();
    let path = format!("/v1/campaigns/{}/contacts", kit.campaign().await);
    let got = kit.post(&path, &fresh_key(), "text/csv", "number\n112\n+49301\n").await;
    let report = (&got.body["added"], &got.body["refused"], &got.body["errors"][0]["line"]);
    assert_eq!(report, (&json!(1), &json!(1), &json!(2)), "{}", got.text);
}

#[tokio::test]
async fn an_attempt_that_is_over_is_in_the_results() {
    let kit = Kit::new();
    let mut form = campaign_form();
    form["window"] = json!({"from": "00:00", "to": "24:00", "utc_offset_min": 0});
    let made = kit.create("/v1/campaigns", &fresh_key(), &form).await;
    let id = made.body["id"].as_u64().unwrap();
    let path = |end: &str| format!("/v1/campaigns/{id}{end}");
    kit.post(&path("/contacts"), &fresh_key(), "text/csv", "number,key\n+49301,a\n").await;
    kit.order(Method::POST, &path("/start")).await;
    close_one(&kit, CampaignId(id));
    let results = kit.get(&path("/results")).await.body;
    let only = &results["items"][0];
    assert_eq!((&only["key"], &only["disposition"]), (&json!("a"), &json!("busy")));
    assert_eq!((&only["sip_status"], &results["next"]), (&json!(486), &json!(77)));
    let csv = kit.get(&path("/results?format=csv")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("trunkline-next"), "77");
    assert!(csv.text.lines().nth(1).unwrap().starts_with("77,"), "{}", csv.text);
    let behind = kit.get(&path("/results?after=77")).await.body;
    assert_eq!(behind, json!({"items": [], "next": null}));
    let progress = kit.get(&path("/progress")).await.body;
    assert_eq!(progress["waiting_by_disposition"], json!({"busy": 1}));
    let strange = kit.get(&path("/results?format=xml")).await;
    assert_eq!(strange.body["code"], 1005);
}

/// Plays the exchange: leases the contact, dials it, finds it busy.
fn close_one(kit: &Kit, campaign: CampaignId) {
    let contact = kit.ledger.perform(Claim { campaign, count: 1 }).unwrap().contacts.remove(0);
    let attempt = AttemptId(77);
    let permit = Permit { campaign, attempt, contact: contact.clone() };
    let granted = kit.ledger.perform(permit).unwrap();
    assert!(matches!(granted, PermitDecision::Granted { .. }), "{granted:?}");
    let cause = Cause::from_status(486);
    let outcome = Outcome {
        cause,
        answered: false,
        message_heard: false,
        key: None,
        asked_for_agent: false,
        joined_agent: false,
    };
    let closed = Fact::AttemptClosed(AttemptClosed {
        attempt,
        campaign,
        contact,
        call: None,
        disposition: Disposition::Busy,
        outcome,
        retry_wall_ms: Some(crate::time::now_ms() + 60_000),
        answered_wall_ms: None,
        ended_wall_ms: crate::time::now_ms(),
    });
    kit.ledger.perform(StoreFacts::new(vec![closed])).unwrap();
}
