//! The gateway's API, as a client uses it.

use super::Failure;
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// Rows asked for at once.
const PAGE: usize = 1_000;

/// The API of one gateway.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    address: SocketAddr,
    key: String,
}

impl Api {
    /// The API there.
    pub fn at(address: SocketAddr) -> Self {
        // No connection is kept: the gateway at its other end may be killed.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build();
        Self { http: http.unwrap_or_default(), address, key: String::new() }
    }

    /// The key used from now on.
    pub fn set_key(&mut self, key: &str) {
        self.key = key.to_owned();
    }

    /// Reads a resource.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.http.get(self.url(path))).await
    }

    /// Makes something. Tried again under the same key until there is an answer: the gateway may
    /// have been killed in between.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let key = format!("{:032x}", rand::random::<u128>());
        let mut failure = None;
        for _ in 0..40 {
            let request = self.http.post(self.url(path)).header("idempotency-key", &key).json(body);
            match self.send(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failure = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(failure.unwrap_or_else(|| "never sent".into()))
    }

    /// Sets something.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(self.http.put(self.url(path)).json(body)).await
    }

    /// All rows of a list; `cursor` is the name of the parameter that goes on where a page ended.
    pub async fn all(&self, path: &str, cursor: &str) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        let mut from = String::new();
        loop {
            let page = self.get(&format!("{path}?limit={PAGE}{from}")).await?;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            rows.extend(items);
            match page["next"].as_u64() {
                Some(next) => from = format!("&{cursor}={next}"),
                None => return Ok(rows),
            }
        }
    }

    /// Makes a campaign and fills it; gives its number.
    pub async fn campaign(&self, definition: &Value, numbers: &[String]) -> Result<u64, Failure> {
        let made = self.post("/v1/campaigns", definition).await?;
        let id = made["id"].as_u64().ok_or_else(|| format!("the API said {made}"))?;
        let contacts: Vec<Value> =
            numbers.iter().map(|number| json!({ "number": number })).collect();
        let added = self.post(&format!("/v1/campaigns/{id}/contacts"), &json!(contacts)).await?;
        if added["added"].as_u64() != Some(numbers.len() as u64) {
            return Err(format!("of {} contacts the API said {added}", numbers.len()).into());
        }
        Ok(id)
    }

    /// Lets a campaign begin.
    pub async fn begin(&self, campaign: u64) -> Result<Value, Failure> {
        self.post(&format!("/v1/campaigns/{campaign}/start"), &json!({})).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let sent = request.bearer_auth(&self.key).timeout(PATIENCE).send().await;
        let response = sent.map_err(|error| format!("{error}: {:?}", error.source()))?;
        let status = response.status();
        let text = response.text().await?;
        match status.is_success() {
            true => Ok(serde_json::from_str(&text).unwrap_or(Value::Null)),
            false => Err(format!("{status}: {text}").into()),
        }
    }
}
