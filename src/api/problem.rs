//! Errors as problem details (RFC 9457): the one table of all that the API can refuse with.
//!
//! `type` and `code` never change their meaning; `title` may be reworded. Each row says the way
//! out, because an error that only names the fault leaves its reader alone with it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of RFC 9457 §3.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! kinds {
    ($($name:ident = $code:literal, $status:literal, $slug:literal, $title:literal, $way_out:literal;)*) => {
        /// What kind of refusal it is.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All of them, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable number.
            pub fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(status).expect("the table has real statuses")
            }

            /// The stable name, RFC 9457 §3.1.1.
            pub fn urn(self) -> &'static str {
                match self { $(Self::$name => concat!("urn:trunkline:problem:", $slug),)* }
            }

            /// The kind in words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            fn way_out(self) -> &'static str {
                match self { $(Self::$name => $way_out,)* }
            }
        }
    };
}

kinds! {
    JsonMalformed = 1001, 400, "json-malformed", "The body is not JSON",
        "Correct the body at the line and column named and send it again.";
    Invalid = 1002, 422, "invalid", "The body breaks a rule",
        "Correct each place in `errors` and send it again.";
    IdempotencyKeyMissing = 1003, 400, "idempotency-key-missing", "Idempotency-Key is missing",
        "Send a header Idempotency-Key with a fresh random value, such as a UUID, and the same value when you repeat the request.";
    IdempotencyKeyInvalid = 1004, 400, "idempotency-key-invalid", "Idempotency-Key is unusable",
        "Use 1 to 255 visible ASCII characters, with or without quotation marks.";
    ParameterInvalid = 1005, 400, "parameter-invalid", "A parameter is unusable",
        "Correct the parameter named; the document at /v1/openapi.json lists them all.";
    BodyUnreadable = 1006, 400, "body-unreadable", "The body could not be read",
        "Send the request again over a sound connection.";
    BodyTooSlow = 1007, 408, "body-too-slow", "The body took too long",
        "Send the body without long gaps, or in smaller pieces.";
    KeyMissing = 2001, 401, "key-missing", "A key is required",
        "Send a header `Authorization: Bearer KEY`; a key is made with `trunkline key create`.";
    KeyUnknown = 2002, 401, "key-unknown", "The key is not valid",
        "Use a key that has not been revoked; a new one is made with `trunkline key create`.";
    NotFound = 3001, 404, "not-found", "There is no such thing",
        "Look for it in the list above it; a key sees only what belongs to its tenant.";
    NoSuchPath = 3002, 404, "no-such-path", "There is no such path",
        "The document at /v1/openapi.json lists all paths.";
    MethodNotAllowed = 3003, 405, "method-not-allowed", "The path does not know this method",
        "Use a method from the header Allow.";
    Conflict = 4001, 409, "conflict", "Its present state does not allow this",
        "Read its state first, then decide anew.";
    IdempotencyInProgress = 4002, 409, "idempotency-in-progress", "The same request is being worked on",
        "Wait a second and send the request again with the same key: it then gets the reply of the first.";
    IdempotencyMismatch = 4003, 422, "idempotency-mismatch", "The Idempotency-Key was used for another request",
        "Use a fresh key for a new request, or repeat the first request unchanged.";
    BodyTooLarge = 5001, 413, "body-too-large", "The body is too large",
        "Send it in several requests, each within the limit named.";
    TooManyRows = 5002, 413, "too-many-rows", "The list is too long",
        "Send the rest of the list in further requests.";
    MediaTypeUnknown = 5003, 415, "media-type-unknown", "The body's type is not understood",
        "Set Content-Type to one of the types named.";
    UpgradeRequired = 5004, 426, "upgrade-required", "This path speaks the websocket protocol",
        "Open it with a websocket client.";
    TooManyRequests = 6001, 429, "too-many-requests", "The key asks too often",
        "Wait as many seconds as the header Retry-After says.";
    TooManyStreams = 6002, 429, "too-many-streams", "Too many event streams are open",
        "Close a stream before you open another.";
    Busy = 6003, 503, "busy", "The exchange takes no orders at this moment",
        "Wait as many seconds as the header Retry-After says and send the request again with the same Idempotency-Key.";
    Stopping = 6004, 503, "stopping", "The program is being shut down",
        "Send the request again when it has been started anew.";
    StoreFailed = 7001, 503, "store-failed", "The ledger does not take facts",
        "Nothing was changed. Look for a full or failing disk, then send the request again.";
    Internal = 7002, 500, "internal", "A fault of the program",
        "Report it with the time of the request; the log has the reason.";
    ExchangeSilent = 7003, 504, "exchange-silent", "The exchange did not answer in time",
        "The order may still take effect: read the state before you repeat it.";
}

/// One fault in a body or a list.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct Fault {
    /// The place as a JSON pointer (RFC 6901); absent for CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The line, from 1; absent where the pointer says it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong and what is right.
    pub detail: String,
}

impl Fault {
    /// A fault at a JSON pointer.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), line: None, detail: detail.into() }
    }
}

/// A refusal on its way to the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Which.
    pub kind: Kind,
    /// What happened this time.
    pub detail: String,
    /// The places, where there are several or one with a place.
    pub faults: Vec<Fault>,
    /// When to come back, in seconds (RFC 9110 §10.2.3).
    pub retry_after_s: Option<u32>,
}

/// The document as it is sent (RFC 9457 §3).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable name of the kind of refusal.
    #[serde(rename = "type")]
    kind: &'static str,
    /// A stable number of the same.
    code: u16,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status, repeated.
    status: u16,
    /// What happened this time.
    detail: String,
    /// What to do about it.
    way_out: &'static str,
    /// The places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

impl Problem {
    /// A refusal of this kind, with what happened.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), faults: Vec::new(), retry_after_s: None }
    }

    /// A body with these faults; there is at least one.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [only] => only.detail.clone(),
            all => format!("{} places are wrong", all.len()),
        };
        Self { faults, ..Self::new(Kind::Invalid, detail) }
    }

    /// There is no `what` called `name`.
    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name}"))
    }

    /// The same with the time to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = ProblemBody {
            kind: self.kind.urn(),
            code: self.kind.code(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: self.detail,
            way_out: self.kind.way_out(),
            errors: self.faults,
        };
        let text = serde_json::to_string(&body).expect("a problem has only text and numbers");
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1: a 401 names the scheme.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_and_names_are_unique_and_each_kind_says_the_way_out() {
        let codes: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.urn()).collect();
        assert_eq!((codes.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        for kind in Kind::ALL {
            assert!(kind.status().as_u16() >= 400, "{kind:?}");
            assert!(kind.way_out().ends_with('.') && kind.way_out().len() > 20, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_problem_is_sent_as_rfc_9457_asks() {
        let response = Problem {
            faults: vec![Fault::at("/name", "a name is required")],
            ..Problem::invalid(vec![Fault::at("/name", "a name is required")])
        }
        .retry_after(3)
        .into_response();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
        assert_eq!(response.headers()["retry-after"], "3");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "urn:trunkline:problem:invalid");
        assert_eq!(body["code"], 1002);
        assert_eq!(body["status"], 422);
        assert_eq!(body["errors"][0]["pointer"], "/name");
    }
}
