//! Every refusal is a problem document that says what is wrong and what to do.

use super::kit::{Got, Kit, campaign_form, fresh_key};
use crate::rate_limit::Rate;
use crate::state::Limits;
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

#[track_caller]
fn expect(got: &Got, status: u16, code: u16) {
    assert_eq!((got.status.as_u16(), &got.body["code"]), (status, &json!(code)), "{}", got.text);
    assert_eq!(got.header("content-type"), "application/problem+json");
    assert_eq!(got.body["status"], status);
    for member in ["type", "title", "detail", "way_out"] {
        let text = got.body[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{member} in {}", got.text);
    }
}

#[tokio::test]
async fn paths_methods_and_parameters_are_refused_as_problems() {
    let kit = Kit::new();
    expect(&kit.get("/v1/campaign").await, 404, 3002);
    expect(&kit.get("/v1/campaigns/seven").await, 400, 1005);
    expect(&kit.get("/v1/campaigns/%FF").await, 400, 1005);
    expect(&kit.get("/v1/campaigns/7").await, 404, 3001);
    let wrong = kit.order(Method::DELETE, "/v1/campaigns/7").await;
    expect(&wrong, 405, 3003);
    assert!(wrong.header("allow").contains("GET"), "{}", wrong.header("allow"));
    let unknown = kit.get("/v1/campaigns?befor=7").await;
    expect(&unknown, 400, 1005);
    let detail = "there is no parameter \"befor\"; did you mean \"before\"?";
    assert_eq!(unknown.body["detail"], detail);
    expect(&kit.get("/v1/campaigns?before=-1").await, 400, 1005);
    expect(&kit.get("/v1/events").await, 426, 5004);
}

#[tokio::test]
async fn bodies_are_refused_as_problems() {
    let kit = Kit::new();
    let path = "/v1/campaigns";
    let json_type = "application/json";
    expect(&kit.post(path, &fresh_key(), "text/plain", "{}").await, 415, 5003);
    let malformed = kit.post(path, &fresh_key(), json_type, "{\n  \"name\": }").await;
    expect(&malformed, 400, 1001);
    assert_eq!(malformed.body["detail"], "line 2, column 11: expected value");
    let mut form = campaign_form();
    form["chanels_max"] = json!(1);
    let unknown = kit.create(path, &fresh_key(), &form).await;
    expect(&unknown, 422, 1002);
    let expected = json!([{"pointer": "/chanels_max", "line": 1,
        "detail": "there is no field \"chanels_max\"; did you mean \"channels_max\"?"}]);
    assert_eq!(unknown.body["errors"], expected);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
    expect(&kit.post(path, &fresh_key(), json_type, &large).await, 413, 5001);
    let without = kit.request(Method::POST, path).header("content-type", json_type);
    let without = without.body(Body::from(campaign_form().to_string())).unwrap();
    expect(&kit.send(without).await, 400, 1003);
    expect(&kit.create(path, "a b", &campaign_form()).await, 400, 1004);
    expect(&kit.order(Method::PUT, "/v1/agents/anna/state").await, 415, 5003);
}

/// Ten megabytes are refused by their announcement, and when unannounced after the limit.
#[tokio::test]
async fn a_huge_list_is_refused_without_being_taken_in() {
    let kit = Kit::new();
    let id = kit.campaign().await;
    let path = format!("/v1/campaigns/{id}/contacts");
    let announced = kit
        .request(Method::POST, &path)
        .header("content-type", "text/csv")
        .header("content-length", (10 << 20) + 1)
        .body(Body::empty())
        .unwrap();
    expect(&kit.send(announced).await, 413, 5001);
    let text = "number\n".to_owned() + &"+4930\n".repeat(2_000_000);
    expect(&kit.post(&path, &fresh_key(), "text/csv", &text).await, 413, 5001);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let rate = Rate { per_second: 1, burst: 2 };
    let kit = Kit::with(Limits { rate, strangers: rate, ..Limits::default() }, 10);
    let stranger = || Request::get("/v1/agents").body(Body::empty()).unwrap();
    for _ in 0..2 {
        expect(&kit.send(stranger()).await, 401, 2001);
        assert_eq!(kit.get("/v1/agents").await.status, 200);
    }
    let refused = kit.get("/v1/agents").await;
    expect(&refused, 429, 6001);
    assert_eq!(refused.header("retry-after"), "1");
    expect(&kit.send(stranger()).await, 429, 6001);
    // Another key, and strangers among themselves, have their own buckets.
    let other = Request::get("/v1/agents")
        .header("authorization", format!("Bearer {}", kit.keys[1]))
        .body(Body::empty())
        .unwrap();
    assert_eq!(kit.send(other).await.status, 200);
}

#[tokio::test]
async fn a_ledger_that_is_closed_is_told_as_such() {
    let kit = Kit::new();
    kit.ledger.close();
    let refused = kit.create("/v1/campaigns", &fresh_key(), &campaign_form()).await;
    expect(&refused, 503, 6004);
    assert_ne!(refused.body["detail"], Value::Null);
}
