//! Who asks: a bearer key and its tenant.
//!
//! Every path under `/v1` but the description goes through [`require_key`]; handlers take the
//! tenant from [`Caller`] alone, so that no request can name another's.

use crate::problem::{Kind, Problem};
use crate::state::Shared;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::id::TenantId;
use std::time::{Duration, Instant};

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// For whom the key speaks.
    pub tenant: TenantId,
    /// The key's number.
    pub key: u64,
}

impl Caller {
    #[cfg(test)]
    pub(crate) fn for_tests(tenant: TenantId) -> Self {
        Self { tenant, key: 1 }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Only a route outside the layer could come here without; then nobody is let in.
        caller.ok_or_else(|| Problem::new(Kind::KeyMissing, "this path needs a key"))
    }
}

/// Lets a request through that has a valid key, at its rate.
pub async fn require_key(
    State(state): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&state, request.headers()).await {
        Ok(caller) => {
            let change = (!request.method().is_safe())
                .then(|| (request.method().clone(), request.uri().path().to_owned()));
            request.extensions_mut().insert(caller.clone());
            let response = next.run(request).await;
            if let Some((method, path)) = change {
                let (Caller { tenant, key }, status) = (caller, response.status().as_u16());
                tracing::info!(%tenant, key, %method, path, status, "asked for a change");
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admit(state: &Shared, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(token) = bearer(headers) else {
        return Err(stranger(state, Kind::KeyMissing, "the header Authorization has no key"));
    };
    // The ledger looks for the token's SHA-256, so no comparison ever sees the token itself and
    // its time tells nothing of use.
    let found = state.read(move |reader| reader.verify_api_key(&token)).await?;
    let Some(key) = found else {
        return Err(stranger(state, Kind::KeyUnknown, "there is no such key, or it was revoked"));
    };
    state.rates.take(key.id, Instant::now()).map_err(too_often)?;
    Ok(Caller { tenant: key.tenant, key: key.id })
}

/// The token of RFC 6750 §2.1; the scheme's name has no case (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer ") && !token.is_empty()).then(|| token.to_owned())
}

fn stranger(state: &Shared, kind: Kind, detail: &str) -> Problem {
    crate::metrics::auth_failure();
    match state.strangers.take(0, Instant::now()) {
        Ok(()) => Problem::new(kind, detail),
        Err(wait) => too_often(wait),
    }
}

fn too_often(wait: Duration) -> Problem {
    crate::metrics::overload_rejected("rate");
    // Rounded up: who comes back a moment early would be refused again.
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    Problem::new(Kind::TooManyRequests, "the limit of requests is reached").retry_after(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_taken_from_a_bearer_header_only() {
        for (value, expected) in [
            ("Bearer tk_1", Some("tk_1")),
            ("bearer  tk_1 ", Some("tk_1")),
            ("Basic tk_1", None),
            ("Bearer", None),
            ("Bearer ", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            assert_eq!(bearer(&headers), expected.map(str::to_owned), "{value}");
        }
    }
}
