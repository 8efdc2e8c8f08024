//! No key, no entry; and no key opens another tenant's door. Both are asked of every operation in
//! the description, so that a new one cannot be forgotten.

use super::kit::{Got, Kit, fresh_key};
use crate::exchange::Ban;
use crate::router::described;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// Method and path of every operation.
fn operations() -> Vec<(Method, String)> {
    let (_, document) = described();
    let mut all = Vec::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::DELETE, &item.delete),
        ] {
            if operation.is_some() {
                all.push((method, path.clone()));
            }
        }
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

async fn ask(kit: &Kit, key: &str, method: &Method, path: &str, body: &Value) -> Got {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("idempotency-key", fresh_key());
    kit.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_reached() {
    let kit = Kit::new();
    for (method, path) in operations() {
        let path = path.replace("{id}", "1").replace("{name}", "anna").replace("{number}", "110");
        let path = path.replace("{address}", "198.51.100.7");
        let bare = Request::builder().method(&method).uri(&path).body(Body::empty()).unwrap();
        let got = kit.send(bare).await;
        assert_eq!(
            (got.status.as_u16(), &got.body["code"]),
            (401, &json!(2001)),
            "{method} {path}"
        );
        assert_eq!(got.header("www-authenticate"), "Bearer");
        let got = ask(&kit, "tk_forged", &method, &path, &json!({})).await;
        assert_eq!(
            (got.status.as_u16(), &got.body["code"]),
            (401, &json!(2002)),
            "{method} {path}"
        );
    }
    assert_eq!(*kit.exchange.taken.lock(), []);
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_the_next_request_on() {
    let kit = Kit::new();
    assert_eq!(kit.get("/v1/agents").await.status, StatusCode::OK);
    let tenant = domain::id::TenantId::default();
    kit.ledger.perform(store::api_key::RevokeApiKey { tenant, id: 1 }).unwrap();
    assert_eq!(kit.get("/v1/agents").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn another_tenants_key_sees_nothing_and_changes_nothing() {
    let kit = Kit::new();
    let campaign = kit.campaign().await;
    let form = json!({"queue": "support", "number": "+49 30 1"});
    let callback = kit.create("/v1/callbacks", &fresh_key(), &form).await.body["id"].clone();
    kit.call_started("default", 7);
    kit.order(Method::PUT, "/v1/do-not-call/110").await;
    kit.exchange.taken.lock().clear();
    let source = "198.51.100.7".parse().unwrap();
    *kit.exchange.bans.lock() = vec![Ban { source, left: Duration::from_secs(9), dropped: 0 }];

    for (method, template) in operations() {
        let id = match template.split('/').nth(2) {
            Some("campaigns") => campaign.to_string(),
            Some("callbacks") => callback.to_string(),
            _ => "7".to_owned(),
        };
        let name = if template.contains("queues") { "support" } else { "anna" };
        let path = template.replace("{id}", &id).replace("{name}", name).replace("{number}", "110");
        let path = path.replace("{address}", "198.51.100.7");
        let body = match &*template {
            "/v1/agents/{name}/state" => json!({"state": "ready"}),
            "/v1/queues/{name}/open" => json!({"open": true}),
            "/v1/campaigns/{id}/contacts" => json!([{"number": "110"}]),
            "/v1/do-not-call/{number}" => json!({"source": "x"}),
            "/v1/would-route" => json!({"trunk": "carrier", "to": "110"}),
            _ => form.clone(),
        };
        let got = ask(&kit, &kit.keys[1], &method, &path, &body).await;
        let expected: &[u16] = match (&method, &*template) {
            // Their own lists, which are empty.
            (_, "/v1/do-not-call/{number}") => &[200, 204],
            (&Method::GET, "/v1/events") => &[426],
            (&Method::GET, list) if !list.contains('{') => {
                assert_eq!(got.body["items"], json!([]), "{path}");
                &[200]
            }
            // They name a trunk, or a queue, that the other tenant does not have.
            (&Method::POST, "/v1/campaigns" | "/v1/callbacks" | "/v1/would-route") => &[422],
            _ => &[404],
        };
        let status = got.status.as_u16();
        assert!(expected.contains(&status), "{method} {path}: {status} {}", got.text);
        assert!(!got.text.contains("renewals") && !got.text.contains("+49301"), "{}", got.text);
    }
    assert_eq!(*kit.exchange.taken.lock(), []);
    assert_eq!(kit.exchange.bans.lock().len(), 1);
    assert_eq!(kit.get("/v1/do-not-call/110").await.body["listed"], true);
    assert_eq!(kit.get(&format!("/v1/campaigns/{campaign}")).await.body["state"], "draft");
}
