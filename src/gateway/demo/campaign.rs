//! Journey c: a campaign by the API, with a progress bar and signed webhooks.

use super::journeys::{CONTACTS, Failure, Outcome, Scene, wait_s};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::time::Duration;

impl Scene {
    pub(super) async fn campaign(&mut self) -> Result<Outcome, Failure> {
        self.stage.set_quiet(true);
        let outcome = self.run_campaign().await;
        self.stage.set_quiet(false);
        outcome
    }

    async fn run_campaign(&mut self) -> Result<Outcome, Failure> {
        let created = self.post("/v1/campaigns", &self.definition()).await?;
        let Some(id) = created["id"].as_u64() else {
            return Ok(Err(format!("the API said {created}")));
        };
        let contacts: Vec<Value> = (0..CONTACTS)
            .map(|index| json!({ "number": format!("+49302220{index:04}") }))
            .collect();
        let added = self.post(&format!("/v1/campaigns/{id}/contacts"), &json!(contacts)).await?;
        self.stage.tell(&format!("campaign {id}: {} contacts added", added["added"]));
        self.post(&format!("/v1/campaigns/{id}/start"), &json!({})).await?;
        let style = "{elapsed_precise}  [{bar:30}] {pos}/{len} called  {msg}";
        let bar = ProgressBar::new(CONTACTS).with_style(ProgressStyle::with_template(style)?);
        let mut called = 0;
        for _ in 0..240 {
            let progress = self.get(&format!("/v1/campaigns/{id}/progress")).await?;
            called = count(&progress["finished_by_disposition"])
                + count(&progress["waiting_by_disposition"]);
            bar.set_position(called);
            bar.set_message(format!("{} in progress", progress["dialling"]));
            if called >= CONTACTS {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bar.finish();
        let progress = self.get(&format!("/v1/campaigns/{id}/progress")).await?;
        let words = dispositions(&progress);
        self.stage.tell(&words);
        let webhooks = self.webhooks(CONTACTS).await;
        self.stage.tell(&format!("{webhooks} signed webhooks received"));
        self.post(&format!("/v1/campaigns/{id}/cancel"), &json!({})).await?;
        Ok(match (called >= CONTACTS, words.contains("transferred"), webhooks >= CONTACTS) {
            (true, true, true) => Ok(words),
            (false, ..) => Err(format!("only {called} of {CONTACTS} were called")),
            (_, false, _) => Err("nobody was joined with an agent".into()),
            (.., false) => Err(format!("only {webhooks} webhooks came")),
        })
    }

    fn definition(&self) -> Value {
        json!({
            "name": "Demo", "trunk": "carrier", "caller_id": "+4930555000",
            "rate_per_minute_max": 600, "channels_max": 40, "ring_s": 5,
            "window": { "from": "00:00", "to": "24:00", "utc_offset_min": 0 },
            "message": {
                "language": "en",
                "text": "Hello. Your parcel arrives tomorrow. To speak to somebody, press 1.",
                "keys": [{ "key": "1", "queue": "support" }],
                "wait_for_key_s": 3,
            },
            "webhook_url": format!("http://{}/webhook", self.service.address),
        })
    }

    async fn webhooks(&self, wanted: u64) -> u64 {
        for _ in 0..40 {
            if self.service.webhooks() >= wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        self.service.webhooks()
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let key = format!("demo-{:032x}", rand::random::<u128>());
        let request = self
            .http
            .post(format!("http://{}{path}", self.gateway.api))
            .bearer_auth(&self.key)
            .header("idempotency-key", key)
            .timeout(wait_s(20))
            .json(body);
        let text = request.send().await?.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self
            .http
            .get(format!("http://{}{path}", self.gateway.api))
            .bearer_auth(&self.key)
            .timeout(wait_s(20));
        Ok(request.send().await?.json().await?)
    }
}

fn count(by_word: &Value) -> u64 {
    by_word.as_object().map_or(0, |words| words.values().filter_map(Value::as_u64).sum())
}

fn dispositions(progress: &Value) -> String {
    let mut words = Vec::new();
    for list in ["finished_by_disposition", "waiting_by_disposition"] {
        for (word, number) in progress[list].as_object().into_iter().flatten() {
            words.push(format!("{word} {number}"));
        }
    }
    words.join(", ")
}
