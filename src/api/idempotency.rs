//! `Idempotency-Key`: a creation asked for twice happens once (draft-ietf-httpapi-idempotency-key-header).
//!
//! The reply is stored in the transaction of the creation and given again, with the header
//! `Idempotency-Replayed: true`, for a day. Refusals create nothing and are not stored: the same
//! key may be used again with a corrected body.

use crate::auth::Caller;
use crate::body;
use crate::problem::{Kind, Problem};
use crate::state::ApiState;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::id::TenantId;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::Arc;
use store::idempotency::{Answer, IdempotencyKey, Once, StoredReply};
use store::operation::Operation;

/// The request header.
pub const HEADER: &str = "idempotency-key";
/// The reply header of a reply given again.
pub const REPLAYED: &str = "idempotency-replayed";

/// Reads a JSON form that creates something, and the key.
///
/// # Errors
/// Those of the body and of the key.
pub async fn form<T: DeserializeOwned>(
    caller: &Caller,
    request: Request,
) -> Result<(IdempotencyKey, T), Problem> {
    body::require_json(request.headers())?;
    let (key, text) = self::body(caller, request, body::FORM_BYTES_MAX).await?;
    Ok((key, body::json(&text)?))
}

/// Reads a body of at most `bytes_max` bytes that creates something, and the key.
///
/// # Errors
/// Those of the body and of the key.
pub async fn body(
    caller: &Caller,
    request: Request,
    bytes_max: usize,
) -> Result<(IdempotencyKey, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let text = body::read(Request::from_parts(parts.clone(), body), bytes_max).await?;
    let key = key_of(caller, &parts.headers, &parts.method, parts.uri.path(), &text)?;
    Ok((key, text))
}

/// Takes the key from the headers and binds it to this very request.
fn key_of(
    caller: &Caller,
    headers: &HeaderMap,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<IdempotencyKey, Problem> {
    let missing = || Problem::new(Kind::IdempotencyKeyMissing, "this request creates something");
    let value = headers.get(HEADER).ok_or_else(missing)?;
    let text = value.to_str().unwrap_or_default().trim();
    // The draft writes it as a string of RFC 9651 §3.3.3; many clients leave the quotation marks out.
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let visible = bare.bytes().all(|byte| byte.is_ascii_graphic());
    if bare.is_empty() || bare.len() > 255 || !visible {
        let detail = format!("it has {} characters, not all of them visible ASCII", bare.len());
        return Err(Problem::new(Kind::IdempotencyKeyInvalid, detail));
    }
    let mut hash = Sha256::new();
    let media_type = body::media_type(headers);
    for part in [method.as_str().as_bytes(), path.as_bytes(), media_type.as_bytes(), body] {
        // With its length before it, no part can run into the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let (tenant, request_hash) = (caller.tenant.clone(), hash.finalize().into());
    Ok(IdempotencyKey { tenant, key: bare.into(), request_hash })
}

/// Requests being worked on, by tenant and key.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashSet<Entry>>>);

/// A key is the tenant's own: two tenants may use the same.
type Entry = (TenantId, Arc<str>);

/// Holds a key until it is dropped.
#[derive(Debug)]
pub struct Held {
    all: InFlight,
    entry: Entry,
}

impl InFlight {
    /// Takes the key.
    ///
    /// # Errors
    /// 409 while another request with the key is being worked on.
    pub fn enter(&self, key: &IdempotencyKey) -> Result<Held, Problem> {
        let entry = (key.tenant.clone(), key.key.clone());
        if !self.0.lock().insert(entry.clone()) {
            let detail = "the first request with this key has no reply yet";
            return Err(Problem::new(Kind::IdempotencyInProgress, detail).retry_after(1));
        }
        Ok(Held { all: self.clone(), entry })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.entry);
    }
}

/// Does the operation once for the key. `Ok((reply, Some(receipt)))` when it was done now, with
/// `None` when the reply is the one of an earlier request.
///
/// # Errors
/// 409 and 422 of the key, and the operation's own.
pub async fn once<O: Operation>(
    state: &ApiState,
    key: IdempotencyKey,
    operation: O,
    reply: fn(&O::Receipt) -> StoredReply,
) -> Result<(StoredReply, Option<O::Receipt>), Problem> {
    let held = state.in_flight.enter(&key)?;
    let answer = state.write(Once { key: Some(key), operation, reply: Box::new(reply) }).await;
    drop(held);
    Ok(match answer? {
        Answer::Fresh { receipt, reply } => (reply, Some(receipt)),
        Answer::Replayed(reply) => (reply, None),
    })
}

/// A reply to be stored.
pub fn reply(status: StatusCode, body: &impl Serialize) -> StoredReply {
    let body = serde_json::to_string(body).expect("a reply has only text and numbers");
    StoredReply { status: status.as_u16(), body: body.into() }
}

/// Sends a stored reply, marked if it is given again.
pub fn send(reply: &StoredReply, replayed: bool) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = (status, reply.body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: Option<&str>, path: &str, body: &str) -> Result<IdempotencyKey, Kind> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(HEADER, value.parse().unwrap());
        }
        let caller = Caller::for_tests(TenantId::default());
        key_of(&caller, &headers, &Method::POST, path, body.as_bytes())
            .map_err(|problem| problem.kind)
    }

    #[test]
    fn a_key_is_bound_to_its_request() {
        let first = key(Some("\"abc\""), "/v1/a", "{}").unwrap();
        assert_eq!(&*first.key, "abc");
        assert_eq!(key(Some("abc"), "/v1/a", "{}"), Ok(first.clone()));
        assert_ne!(key(Some("abc"), "/v1/a", "{ }").unwrap().request_hash, first.request_hash);
        assert_ne!(key(Some("abc"), "/v1/a{", "}").unwrap().request_hash, first.request_hash);
        assert_eq!(key(None, "/", ""), Err(Kind::IdempotencyKeyMissing));
        for bad in ["", "\"\"", "a b", &"x".repeat(256)] {
            assert_eq!(key(Some(bad), "/", ""), Err(Kind::IdempotencyKeyInvalid), "{bad}");
        }
    }

    #[test]
    fn a_key_is_held_until_its_request_is_done() {
        let all = InFlight::default();
        let key = key(Some("abc"), "/", "").unwrap();
        let held = all.enter(&key).unwrap();
        assert_eq!(all.enter(&key).unwrap_err().kind, Kind::IdempotencyInProgress);
        drop(held);
        assert!(all.enter(&key).is_ok());
    }
}
