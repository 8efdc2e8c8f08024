//! The OpenAPI document: whole, valid, and true of the router.

use super::kit::Kit;
use serde_json::Value;
use std::collections::BTreeSet;

fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{method} {path}"), operation.clone()));
        }
    }
    all
}

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref", Value::String(target)) => drop(found.insert(target.clone())),
                    _ => references(member, found),
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| references(member, found)),
        _ => (),
    }
}

#[tokio::test]
async fn the_document_is_served_and_holds_together() {
    let kit = Kit::new();
    let got = kit.get("/v1/openapi.json").await;
    assert_eq!(got.header("content-type"), "application/json");
    let document = got.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut targets = BTreeSet::new();
    references(&document, &mut targets);
    assert!(targets.len() > 15, "{targets:?}");
    for target in targets {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
    let operations = operations(&document);
    let names: BTreeSet<_> =
        operations.iter().map(|(_, operation)| operation["operationId"].to_string()).collect();
    assert_eq!(names.len(), operations.len(), "{names:?}");
    let page = kit.get("/docs").await;
    for (name, _) in operations {
        let path = name.split(' ').nth(1).unwrap();
        assert!(page.text.contains(path), "{path} is not on the page");
    }
}

#[tokio::test]
async fn each_operation_says_what_it_does_and_how_it_refuses() {
    let document = Kit::new().get("/v1/openapi.json").await.body;
    for (name, operation) in operations(&document) {
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| !status.starts_with(['4', '5'])), "{name}");
        let mut needed = vec!["401", "429", "500", "503"];
        if name.contains('{') {
            needed.extend(["400", "404"]);
        }
        if operation.get("requestBody").is_some() {
            needed.extend(["400", "408", "413", "415", "422"]);
        }
        // A question changes nothing, so nothing stands against it.
        if name.starts_with("post") && name != "post /v1/would-route" {
            needed.push("409");
        }
        for status in needed {
            let content = &responses.get(status).unwrap_or(&Value::Null)["content"];
            let schema = &content["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
        }
    }
}
