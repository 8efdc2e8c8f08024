//! One try at one letter: signed, sent, and what its receiver's answer means.
//!
//! The form is that of Standard Webhooks: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature: v1,` with the base64 of HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Response, Url};
use sha2::Sha256;
use std::time::Duration;
use store::outbox::{DueLetter, LetterFate};

/// How long a try may take, from the connection to the end of the answer.
pub const TRY_FOR: Duration = Duration::from_secs(5);
/// The gaps after the first, second … failed try; after the last one the letter is dead.
const GAPS_S: [u64; 7] = [5, 30, 120, 600, 3_600, 21_600, 43_200];
/// The most of an answer that is read (and thrown away, so that the connection can be used again).
const ANSWER_MAX: usize = 64 * 1024;

/// What came of a try.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    /// The letter's row.
    pub id: u64,
    /// Its fate.
    pub fate: LetterFate,
    /// Whether the receiver is in order.
    pub answered: bool,
}

/// Sends a letter once.
pub async fn send(client: &Client, letter: &DueLetter, url: Url, now_ms: u64) -> Tried {
    let timestamp = now_ms / 1_000;
    let request = client
        .post(url)
        .timeout(TRY_FOR)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "trunkline-webhooks/1")
        .header("webhook-id", &*letter.event_id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature(letter, timestamp))
        .body(letter.payload.to_string());
    match request.send().await {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            discard(response).await;
            judge(letter, status, &headers, now_ms)
        }
        Err(error) => {
            let error = in_words(&error);
            Tried { id: letter.id, fate: again(letter, 0, error, 0, now_ms), answered: false }
        }
    }
}

/// `v1,` and the signature. The secret's bytes are the key, not its base64.
fn signature(letter: &DueLetter, timestamp: u64) -> String {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&letter.secret)
        .expect("HMAC takes a key of any length (RFC 2104 §2)");
    mac.update(format!("{}.{timestamp}.", letter.event_id).as_bytes());
    mac.update(letter.payload.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Reads the answer's body to its end or to the bound.
async fn discard(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > ANSWER_MAX {
            // Dropping the response closes the connection.
            return;
        }
    }
}

fn judge(letter: &DueLetter, status: u16, headers: &HeaderMap, now_ms: u64) -> Tried {
    let error = format!("answered with status {status}");
    let fate = match status {
        200..=299 => LetterFate::Delivered { status },
        // RFC 9110 §15.5.11: gone for good. Asking again would be rude.
        410 => LetterFate::Dead { status, error },
        _ => again(letter, status, error, retry_after_s(headers), now_ms),
    };
    // 429 and 5xx speak of the receiver, other refusals of this one letter.
    Tried { id: letter.id, fate, answered: status < 500 && status != 429 }
}

/// The next try, or the end of them.
fn again(letter: &DueLetter, status: u16, error: String, wait_s: u64, now_ms: u64) -> LetterFate {
    match GAPS_S.get(letter.tries as usize) {
        Some(gap_s) => {
            let at_wall_ms = now_ms + gap_s.max(&wait_s) * 1_000;
            LetterFate::Retry { status, error, at_wall_ms }
        }
        None => LetterFate::Dead { status, error },
    }
}

/// How long the receiver asks to be left alone, in seconds; at most an hour is granted
/// (RFC 9110 §10.2.3; the form with a date is not read).
fn retry_after_s(headers: &HeaderMap) -> u64 {
    let value = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0).min(3_600)
}

/// What went wrong, without the URL (which may hold a secret) and with the cause behind it.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", TRY_FOR.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;

    const NOW_MS: u64 = 1_674_087_231_000;

    fn letter(tries: u32) -> DueLetter {
        DueLetter {
            id: 1,
            tenant: TenantId::default(),
            topic: "x".into(),
            event_id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            url: "https://example.com".into(),
            payload: r#"{"test": 2432232314}"#.into(),
            tries,
            created_wall_ms: 0,
            secret: STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().into(),
        }
    }

    /// The example that the Standard Webhooks libraries are tested with.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        assert_eq!(
            signature(&letter(0), 1_614_265_330),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn tries_are_spaced_out_and_end() {
        let mut gaps = Vec::new();
        for tries in 0.. {
            match judge(&letter(tries), 500, &HeaderMap::new(), NOW_MS).fate {
                LetterFate::Retry { at_wall_ms, .. } => gaps.push((at_wall_ms - NOW_MS) / 1_000),
                LetterFate::Dead { status, .. } => {
                    assert_eq!(status, 500);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(gaps, GAPS_S);
    }

    #[test]
    fn each_answer_means_something() {
        let fate = |status, headers: &HeaderMap| judge(&letter(0), status, headers, NOW_MS);
        let none = HeaderMap::new();
        assert_eq!(fate(204, &none).fate, LetterFate::Delivered { status: 204 });
        assert!(matches!(fate(302, &none).fate, LetterFate::Retry { status: 302, .. }));
        assert!(matches!(fate(410, &none).fate, LetterFate::Dead { .. }));
        assert!(fate(404, &none).answered && !fate(429, &none).answered);
        let mut wait = HeaderMap::new();
        wait.insert(RETRY_AFTER, "120".parse().unwrap());
        let LetterFate::Retry { at_wall_ms, .. } = fate(503, &wait).fate else { panic!() };
        assert_eq!(at_wall_ms, NOW_MS + 120_000);
        wait.insert(RETRY_AFTER, "999999999".parse().unwrap());
        let LetterFate::Retry { at_wall_ms, .. } = fate(503, &wait).fate else { panic!() };
        assert_eq!(at_wall_ms, NOW_MS + 3_600_000);
    }
}
