//! Bodies that cannot be taken, and answers that would not be (RFC 3261 §8.2.3). Whether a session
//! description can be read is `leg`'s to say.

use super::Endpoint;
use crate::leg;
use crate::message::name::Name;
use crate::message::{Headers, Request, Response};

/// The longest body read, in octets. Descriptions of browsers have some ten thousand.
const BODY_MAX: usize = 32_768;

impl Endpoint {
    /// The refusal of an INVITE for what it brings, or for what it would take.
    pub(super) fn refuse_content(&self, request: &Request) -> Option<Response> {
        let kind = request.headers.content_type().unwrap_or("");
        let status = if request.body.len() > BODY_MAX {
            // §21.4.11.
            413
        } else if !request.body.is_empty() && is_enciphered(kind) {
            // §21.4.28, §23.2: we have no key that would open it.
            493
        } else if !accepts_sdp(&request.headers) {
            // §21.4.7: what we answer with is a session description.
            406
        } else {
            return None;
        };
        Some(self.refusal(request, status))
    }
}

fn is_enciphered(kind: &str) -> bool {
    ["application/pkcs7-mime", "application/x-pkcs7-mime"]
        .iter()
        .any(|enciphered| kind.eq_ignore_ascii_case(enciphered))
}

/// Whether an answer with a session description would be taken: without Accept it is (§20.1).
fn accepts_sdp(headers: &Headers) -> bool {
    let is_ours = |range: &str| {
        let range = range.split(';').next().unwrap_or(range).trim();
        [leg::SDP, "application/*", "*/*"].iter().any(|ours| range.eq_ignore_ascii_case(ours))
    };
    !headers.has(Name::Accept) || headers.list(Name::Accept).any(is_ours)
}
