//! HTTP calls of flows: bounded in number, in time and in what is read of the answer.

use crate::signalling::Inbox;
use domain::id::{CallId, OrderId};
use ivr::event::FetchRequest;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::Event;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Calls under way at once; a further one fails at once, and its flow takes its fallback.
const FETCHES_MAX: usize = 512;
/// Bytes of an answer; a longer one is a failure.
const ANSWER_MAX: usize = 256 * 1024;
/// Characters of a value that is to be spoken; the rest is cut.
const VALUE_MAX: usize = 400;

/// Makes the calls.
#[derive(Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    room: Arc<Semaphore>,
    inbox: Inbox,
    runtime: Handle,
}

impl Fetcher {
    /// Answers are told to `inbox`; the present runtime does the work.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up (no TLS roots, no resolver).
    pub fn new(inbox: Inbox) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::limited(2))
            .connect_timeout(Duration::from_secs(2))
            .build()?;
        let (room, runtime) = (Arc::new(Semaphore::new(FETCHES_MAX)), Handle::current());
        Ok(Self { client, room, inbox, runtime })
    }

    /// Starts a call; its `Fetched` follows, whatever happens.
    pub fn fetch(&self, call: CallId, order: OrderId, request: FetchRequest) {
        let inbox = self.inbox.clone();
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            let result = Err("too many HTTP calls are under way".into());
            return inbox.event(Event::Fetched { call, order, result });
        };
        let client = self.client.clone();
        self.runtime.spawn(async move {
            let timeout = Duration::from_millis(u64::from(request.timeout_ms));
            let result = match tokio::time::timeout(timeout, get(&client, &request)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {} ms", request.timeout_ms)),
            };
            drop(place);
            let result = result.map_err(Arc::from);
            inbox.event(Event::Fetched { call, order, result });
        });
    }
}

type Values = Vec<(Arc<str>, Arc<str>)>;

async fn get(client: &reqwest::Client, request: &FetchRequest) -> Result<Values, String> {
    let failed = |error: reqwest::Error| error.without_url().to_string();
    let mut response = client
        .get(&*request.url)
        .header("accept", "application/json")
        .send()
        .await
        .map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("answered with status {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(format!("the answer is longer than {ANSWER_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let answer: Value =
        serde_json::from_slice(&body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    request.take.iter().map(|(name, path)| Ok((name.clone(), value_at(&answer, path)?))).collect()
}

/// The text at a dot-separated path; a number in it is an index into a list.
fn value_at(answer: &Value, path: &str) -> Result<Arc<str>, String> {
    let mut value = answer;
    for key in path.split('.') {
        let inner = match value {
            Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => value.get(key),
        };
        value = inner.ok_or_else(|| format!("the answer has no value at `{path}`"))?;
    }
    match value {
        Value::String(text) => Ok(text.chars().take(VALUE_MAX).collect::<String>().into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(truth) => Ok(truth.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("the value at `{path}` is neither text nor number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_path_or_said_to_be_missing() {
        let answer = serde_json::json!({"order": {"status": "sent", "parts": [{"n": 3}]}});
        assert_eq!(value_at(&answer, "order.status").as_deref(), Ok("sent"));
        assert_eq!(value_at(&answer, "order.parts.0.n").as_deref(), Ok("3"));
        assert!(value_at(&answer, "order.parts").is_err());
        assert!(value_at(&answer, "order.none").is_err());
    }
}
