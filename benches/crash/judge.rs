//! The verdict: what the carrier saw against what the API says afterwards.

use super::carrier::{Book, PROMISED};
use crate::common::Failure;
use crate::common::api::Api;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What was found wrong, each case in words, and what was counted.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Contacts of which the gateway does not know what became, or knows it wrongly.
    pub lost: Vec<String>,
    /// Diallings that must not have been.
    pub twice: Vec<String>,
    /// Promises that were heard and are not in the book of promises.
    pub promises_lost: Vec<String>,
    /// Attempts in doubt.
    pub in_doubt: u64,
    /// Attempts by their disposition.
    pub dispositions: BTreeMap<String, u64>,
    /// Promises heard, by the state they are in.
    pub promises: BTreeMap<String, u64>,
}

impl Verdict {
    /// Judges a campaign: `numbers` are its contacts.
    pub async fn campaign(
        &mut self,
        api: &Api,
        id: u64,
        numbers: &[String],
        book: &Book,
    ) -> Result<(), Failure> {
        let contacts = api.all(&format!("/v1/campaigns/{id}/contacts"), "after").await?;
        let attempts = api.all(&format!("/v1/campaigns/{id}/results"), "after").await?;
        self.contacts(&contacts, numbers);
        self.attempts(&attempts, numbers, book);
        Ok(())
    }

    /// Every contact is there, and is final or waits with the word on its last attempt.
    pub fn contacts(&mut self, contacts: &[Value], numbers: &[String]) {
        let mut missing: BTreeSet<&str> = numbers.iter().map(String::as_str).collect();
        for contact in contacts {
            let number = contact["number"].as_str().unwrap_or("");
            missing.remove(number);
            let state = contact["state"].as_str().unwrap_or("");
            let called = contact["disposition"].is_string() && contact["attempts"] != 0;
            let waits = state == "ready" && contact["due_at"].is_string();
            if !called || !(state == "final" || waits) {
                self.lost.push(format!("{number} was left behind: {contact}"));
            }
        }
        self.lost.extend(missing.iter().map(|number| format!("{number} is in no list any more")));
    }

    /// Every dialling that the carrier saw is one attempt of its own, no attempt has two, nobody
    /// who answered is called again, and no outcome is told that the carrier knows nothing of.
    pub fn attempts(&mut self, attempts: &[Value], numbers: &[String], book: &Book) {
        let numbers: BTreeSet<&str> = numbers.iter().map(String::as_str).collect();
        let mut known = BTreeMap::new();
        let mut diallings: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for attempt in attempts {
            let word = attempt["disposition"].as_str().unwrap_or("").to_owned();
            let call_id = attempt["sip_call_id"].as_str().unwrap_or("");
            let in_doubt = word == "in_doubt";
            self.in_doubt += u64::from(in_doubt);
            let unanswered = ["busy", "no_answer", "failed"].contains(&word.as_str());
            *self.dispositions.entry(word).or_default() += 1;
            known.insert(call_id, (attempt["number"].as_str().unwrap_or(""), unanswered));
            if book.contains_key(call_id) {
                let contact = attempt["contact"].as_u64().unwrap_or(0);
                let number = attempt["attempt_number"].as_u64().unwrap_or(0);
                *diallings.entry((contact, number)).or_default() += 1;
            } else if !in_doubt {
                self.lost.push(format!("the carrier saw nothing of {attempt}"));
            }
        }
        for ((contact, number), count) in diallings.iter().filter(|(_, count)| **count > 1) {
            self.twice.push(format!("contact {contact}, attempt {number}: {count} diallings"));
        }
        let mut spoken_to: BTreeMap<&str, (Instant, &str)> = BTreeMap::new();
        let of_campaign = book.iter().filter(|(_, seen)| numbers.contains(seen.number.as_str()));
        for (call_id, dialling) in of_campaign.clone() {
            let attempt = known.get(call_id.as_str()).filter(|it| it.0 == dialling.number);
            let Some((_, may_be_tried_again)) = attempt else {
                self.twice.push(format!("no attempt knows {call_id}: {dialling:?}"));
                continue;
            };
            // An answer that crosses our giving up is no answer to us: he may be tried again.
            if dialling.final_status == Some(200) && !may_be_tried_again {
                spoken_to.insert(&dialling.number, (dialling.first_seen, call_id));
            }
        }
        for (call_id, dialling) in of_campaign {
            if let Some((at, other)) = spoken_to.get(dialling.number.as_str())
                && *at < dialling.first_seen
            {
                self.twice.push(format!("{} answered in {other}: {call_id}", dialling.number));
            }
        }
    }

    /// Every promise that was heard is open or kept.
    pub async fn promises(&mut self, api: &Api, confirmed: &[String]) -> Result<(), Failure> {
        let rows = api.all("/v1/callbacks", "before").await?;
        let states: BTreeMap<&str, &str> = rows
            .iter()
            .filter_map(|row| Some((row["number"].as_str()?, row["state"].as_str()?)))
            .collect();
        for number in confirmed.iter().filter(|number| number.starts_with(PROMISED)) {
            let state = states.get(number.as_str()).copied().unwrap_or("unknown");
            *self.promises.entry(state.to_owned()).or_default() += 1;
            if !["promised", "reserved", "dialling", "kept"].contains(&state) {
                self.promises_lost.push(format!("the promise to {number} is {state}"));
            }
        }
        Ok(())
    }
}
