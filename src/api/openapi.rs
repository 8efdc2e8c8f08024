//! The OpenAPI document, generated from the handlers, and a page that shows it.

use crate::event_json::LiveEvent;
use crate::problem::{Kind, MEDIA_TYPE, ProblemBody};
use std::collections::BTreeMap;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

/// What the document says besides the paths.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Trunkline",
        description = "Hotline and calling machine. Errors are problem details (RFC 9457) with a \
            stable `type` and `code`; each says the way out. Requests that create something need \
            the header Idempotency-Key: repeated with the same key and body, they get the reply of \
            the first, marked `Idempotency-Replayed: true`.",
    ),
    components(schemas(ProblemBody, LiveEvent)),
    security(("key" = [])),
    modifiers(&Key),
    tags(
        (name = "campaigns", description = "Calls by the list."),
        (name = "callbacks", description = "Calls that were promised."),
        (name = "agents", description = "People who take calls."),
        (name = "queues", description = "Callers who wait."),
        (name = "trunks", description = "Carriers and PBXs."),
        (name = "bans", description = "Who is left unread for a while."),
        (name = "calls", description = "Calls now and before."),
        (name = "do-not-call", description = "Numbers never to be called."),
        (name = "events", description = "What happens, as it happens."),
    )
)]
struct Head;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key, made with `trunkline key create`."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The document without paths.
pub(crate) fn head() -> OpenApi {
    Head::openapi()
}

/// Adds to each operation the problems that its form brings with it.
pub(crate) fn add_problems(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            describe(operation);
            // The handlers' names are unique within their resource only.
            let tag = operation.tags.as_deref().and_then(<[_]>::first);
            if let (Some(tag), Some(id)) = (tag, &operation.operation_id) {
                operation.operation_id = Some(format!("{}_{id}", tag.replace('-', "_")));
            }
        }
    }
}

fn describe(operation: &mut Operation) {
    let mut by_status: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for kind in kinds_of(operation) {
        by_status.entry(kind.status().as_str().to_owned()).or_default().push(kind);
    }
    for (status, kinds) in by_status {
        let description = kinds.iter().map(|kind| format!("{} ({})", kind.title(), kind.code()));
        let content = ContentBuilder::new()
            .schema(Some(RefOr::Ref(Ref::from_schema_name("Problem"))))
            .build();
        let response = ResponseBuilder::new()
            .description(description.collect::<Vec<_>>().join("; "))
            .content(MEDIA_TYPE, content)
            .build();
        operation.responses.responses.entry(status).or_insert(RefOr::T(response));
    }
}

fn kinds_of(operation: &Operation) -> Vec<Kind> {
    use Kind::{
        BodyTooLarge, BodyTooSlow, BodyUnreadable, Busy, Conflict, ExchangeSilent,
        IdempotencyInProgress, IdempotencyKeyInvalid, IdempotencyKeyMissing, IdempotencyMismatch,
        Internal, Invalid, JsonMalformed, KeyMissing, KeyUnknown, MediaTypeUnknown, NotFound,
        ParameterInvalid, Stopping, StoreFailed, TooManyRequests,
    };
    let mut kinds = vec![KeyMissing, KeyUnknown, TooManyRequests, Busy, StoreFailed, Stopping];
    kinds.push(Internal);
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    if parameters.iter().any(|parameter| parameter.parameter_in == ParameterIn::Path) {
        kinds.extend([NotFound, ParameterInvalid]);
    }
    if parameters.iter().any(|parameter| parameter.parameter_in == ParameterIn::Query) {
        kinds.push(ParameterInvalid);
    }
    if operation.request_body.is_some() {
        kinds.extend([JsonMalformed, BodyUnreadable, BodyTooSlow, BodyTooLarge]);
        kinds.extend([MediaTypeUnknown, Invalid]);
    }
    let creates = parameters.iter().any(|parameter| parameter.parameter_in == ParameterIn::Header);
    if creates {
        kinds.extend([IdempotencyKeyMissing, IdempotencyKeyInvalid, IdempotencyMismatch]);
        kinds.extend([IdempotencyInProgress, Conflict]);
    }
    // Orders to the exchange answer with an empty body or with a state after it.
    let orders = operation.responses.responses.contains_key("204") || is_campaign_order(operation);
    if orders {
        kinds.extend([Conflict, ExchangeSilent]);
    }
    if operation.operation_id.as_deref() == Some("ask") {
        kinds.push(ExchangeSilent);
    }
    kinds
}

fn is_campaign_order(operation: &Operation) -> bool {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    matches!(id, "start" | "pause" | "resume" | "cancel")
}

/// A page for people that lists all paths; it needs nothing from elsewhere.
pub(crate) fn page(document: &OpenApi) -> String {
    let mut rows = String::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in
            [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)]
        {
            let Some(operation) = operation else { continue };
            let text = operation.summary.as_deref().unwrap_or_default();
            // Paths and summaries are our own words: nothing in them needs escaping.
            rows.push_str(&format!("<tr><td>{method}<td><code>{path}</code><td>{text}\n"));
        }
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Trunkline API</title>\n\
         <style>body{{font:16px sans-serif;margin:2em}}td{{padding:.2em 1em .2em 0}}</style>\n\
         <h1>Trunkline API</h1><p>The whole description: \
         <a href=/v1/openapi.json>/v1/openapi.json</a>\n<table>\n{rows}</table></html>\n"
    )
}
