//! A campaign as a client writes it, and its way into a checked definition.

use crate::nearest::nearest;
use crate::problem::{Fault, Problem};
use campaign::event::{CampaignRules, CampaignState, RetryPolicy};
use domain::id::{CampaignId, QueueId, TenantId, TrunkId};
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use switchboard::event::{CampaignDefinition, KeyAnswer, Message};
use trunk::rules::TenantRules;
use utoipa::ToSchema;

/// A campaign: whom it calls is added afterwards as contacts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    /// A name for people, 1 to 200 letters.
    pub name: String,
    /// The trunk that its calls leave through.
    pub trunk: String,
    /// The number shown to the people called.
    pub caller_id: String,
    /// At most this many diallings begin per minute, 1 to 600,000.
    pub rate_per_minute_max: u32,
    /// At most this many of its calls exist at once, 1 to 100,000.
    pub channels_max: u32,
    /// How long a telephone rings, 5 to 120 seconds; absent: 30.
    #[serde(default = "ring_s")]
    pub ring_s: u32,
    /// When and how often an unanswered contact is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// The hours in which people may be called.
    pub window: Window,
    /// What is said.
    pub message: MessageForm,
    /// Where its webhooks go; absent: nowhere.
    #[serde(default)]
    pub webhook_url: Option<String>,
}

/// What is tried again. A person who declined and a number that does not exist never are.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// All attempts at a contact, the first included, 1 to 20.
    pub attempts_max: u8,
    /// Minutes after a busy line, 1 to 10,080.
    pub busy_after_min: u32,
    /// Minutes after no answer, 1 to 10,080.
    pub no_answer_after_min: u32,
    /// Minutes after a network failure, 1 to 10,080.
    pub failed_after_min: u32,
    /// Minutes after an attempt of which nobody knows whether it rang, 60 to 10,080.
    pub in_doubt_after_min: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            busy_after_min: 15,
            no_answer_after_min: 120,
            failed_after_min: 15,
            in_doubt_after_min: 60,
        }
    }
}

/// Hours of the day, the same on each.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// From this time, `HH:MM`.
    #[schema(example = "08:00")]
    pub from: String,
    /// To this time, `HH:MM`, up to `24:00`; later than `from`.
    #[schema(example = "21:00")]
    pub to: String,
    /// Minutes east of UTC of the clock meant, -840 to 840.
    pub utc_offset_min: i16,
}

/// A message with key answers.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageForm {
    /// `en` or `zh`.
    pub language: String,
    /// What is said, 1 to 2,000 letters.
    pub text: String,
    /// What keys do.
    #[serde(default)]
    pub keys: Vec<KeyForm>,
    /// Seconds to wait for a key after the message, 0 to 60; absent: 5 when there are keys, else 0.
    #[serde(default)]
    pub wait_for_key_s: Option<u32>,
}

/// What a key does: exactly one of `queue`, `say` and `repeat`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyForm {
    /// The key: `0` to `9`, `*` or `#`.
    pub key: String,
    /// Leads to an agent of this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Says this and ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// Says the message again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
}

fn ring_s() -> u32 {
    30
}

/// The names and numbers a campaign may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// What the tenant may show; `None`: any number.
    pub numbers: Option<&'a TenantRules>,
    /// The tenant's trunks.
    pub trunks: &'a [String],
    /// The tenant's queues.
    pub queues: &'a [String],
}

/// Collects what is wrong, so that all of it is told at once.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(Fault::at(pointer, detail));
    }

    fn range(&mut self, pointer: &str, value: u32, range: std::ops::RangeInclusive<u32>) {
        if !range.contains(&value) {
            self.add(pointer, format!("{value} is not in {} to {}", range.start(), range.end()));
        }
    }

    fn letters(&mut self, pointer: &str, text: &str, max: usize) {
        if text.trim().is_empty() || text.chars().nth(max).is_some() {
            self.add(pointer, format!("it has 1 to {max} letters"));
        }
    }

    fn known(&mut self, pointer: &str, what: &str, name: &str, known: &[String]) {
        if known.iter().all(|other| other != name) {
            self.add(pointer, unknown_name(what, name, known));
        }
    }
}

/// Says that there is no `what` called `name`, with the nearest of `known`.
pub fn unknown_name(what: &str, name: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("there is no {what} {name:?}; did you mean {near:?}?"),
        None if known.is_empty() => format!("there is no {what} {name:?}, nor any other"),
        None => format!("there is no {what} {name:?}; known are {}", known.join(", ")),
    }
}

impl NewCampaign {
    /// Checks everything and makes the definition of a draft; its number is given by the ledger.
    ///
    /// # Errors
    /// 422 with all places that are wrong.
    pub fn check(self, tenant: &TenantId, names: Names<'_>) -> Result<CampaignDefinition, Problem> {
        let mut faults = Faults::default();
        faults.letters("/name", &self.name, 200);
        faults.known("/trunk", "trunk", &self.trunk, names.trunks);
        faults.range("/rate_per_minute_max", self.rate_per_minute_max, 1..=600_000);
        faults.range("/channels_max", self.channels_max, 1..=100_000);
        faults.range("/ring_s", self.ring_s, 5..=120);
        let caller_id = PhoneNumber::parse(&self.caller_id);
        match (&caller_id, names.numbers) {
            (Err(error), _) => faults.add("/caller_id", error.to_string()),
            // Every attempt would be held back, for ever.
            (Ok(number), Some(rules)) => {
                let why = rules.caller_ids.refusal_of(&rules.plan.read(number.as_str()));
                why.into_iter().for_each(|why| faults.add("/caller_id", why));
            }
            (Ok(_), None) => (),
        }
        let retry = self.retry.check(&mut faults);
        let window_minutes = self.window.check(&mut faults);
        let message = self.message.check(tenant, names, &mut faults);
        if let Some(url) = &self.webhook_url {
            check_url(url, &mut faults);
        }
        let (Ok(caller_id), Some(window_minutes), Some(message), true) =
            (caller_id, window_minutes, message, faults.0.is_empty())
        else {
            return Err(Problem::invalid(faults.0));
        };
        let rules = CampaignRules {
            id: CampaignId(0),
            trunk: TrunkId::new(tenant, &self.trunk),
            caller_id,
            rate_per_minute_max: self.rate_per_minute_max,
            channels_max: self.channels_max,
            ring_for: Duration::from_secs(self.ring_s.into()),
            retry,
            window_minutes,
            utc_offset_min: self.window.utc_offset_min,
        };
        Ok(CampaignDefinition {
            tenant: tenant.clone(),
            name: self.name.trim().into(),
            rules,
            message,
            webhook_url: self.webhook_url.map(Into::into),
            state: CampaignState::Draft,
        })
    }
}

impl Retry {
    /// A week: who waits longer wants another campaign.
    const GAP_MAX_MIN: u32 = 7 * 24 * 60;

    fn check(&self, faults: &mut Faults) -> RetryPolicy {
        faults.range("/retry/attempts_max", self.attempts_max.into(), 1..=20);
        faults.range("/retry/busy_after_min", self.busy_after_min, 1..=Self::GAP_MAX_MIN);
        faults.range("/retry/no_answer_after_min", self.no_answer_after_min, 1..=Self::GAP_MAX_MIN);
        faults.range("/retry/failed_after_min", self.failed_after_min, 1..=Self::GAP_MAX_MIN);
        faults.range("/retry/in_doubt_after_min", self.in_doubt_after_min, 60..=Self::GAP_MAX_MIN);
        let minutes = |minutes: u32| Duration::from_secs(u64::from(minutes) * 60);
        RetryPolicy {
            attempts_max: self.attempts_max,
            busy_after: minutes(self.busy_after_min),
            no_answer_after: minutes(self.no_answer_after_min),
            failed_after: minutes(self.failed_after_min),
            in_doubt_after: minutes(self.in_doubt_after_min),
        }
    }
}

impl Window {
    fn check(&self, faults: &mut Faults) -> Option<(u16, u16)> {
        let (from, to) = (minute_of_day(&self.from), minute_of_day(&self.to));
        for (pointer, text, read) in
            [("/window/from", &self.from, from), ("/window/to", &self.to, to)]
        {
            if read.is_none() {
                faults.add(pointer, format!("{text:?} is no time such as \"08:00\""));
            }
        }
        // UTC-12:00 to UTC+14:00 exist; two hours of leave on the west.
        if !(-840..=840).contains(&self.utc_offset_min) {
            faults.add("/window/utc_offset_min", "it is -840 to 840 minutes");
        }
        let (from, to) = (from?, to?);
        if from >= to {
            faults.add("/window/to", "it is not later than `from`; a night is two campaigns");
            return None;
        }
        Some((from, to))
    }
}

/// Reads `HH:MM` from `00:00` to `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day <= 1440).then_some(of_day)
}

impl MessageForm {
    fn check(&self, tenant: &TenantId, names: Names<'_>, faults: &mut Faults) -> Option<Message> {
        let language = Language::from_code(&self.language);
        if language.is_none() {
            faults.add("/message/language", "it is \"en\" or \"zh\"");
        }
        faults.letters("/message/text", &self.text, 2_000);
        let wait_s = self.wait_for_key_s.unwrap_or(if self.keys.is_empty() { 0 } else { 5 });
        faults.range("/message/wait_for_key_s", wait_s, 0..=60);
        let mut keys: Vec<(char, KeyAnswer)> = Vec::new();
        for (index, form) in self.keys.iter().enumerate().take(12) {
            let pointer = format!("/message/keys/{index}");
            let Some((key, answer)) = form.check(&pointer, tenant, names, faults) else { continue };
            if keys.iter().any(|(other, _)| *other == key) {
                faults.add(&format!("{pointer}/key"), format!("the key {key} is there twice"));
            }
            keys.push((key, answer));
        }
        if self.keys.len() > 12 {
            faults.add("/message/keys", "a telephone has 12 keys");
        }
        let wait_for_key_ms = wait_s.saturating_mul(1000);
        Some(Message { language: language?, text: self.text.trim().into(), keys, wait_for_key_ms })
    }
}

impl KeyForm {
    fn check(
        &self,
        pointer: &str,
        tenant: &TenantId,
        names: Names<'_>,
        faults: &mut Faults,
    ) -> Option<(char, KeyAnswer)> {
        let mut letters = self.key.chars();
        let key = match (letters.next(), letters.next()) {
            (Some(key @ ('0'..='9' | '*' | '#')), None) => Some(key),
            _ => None,
        };
        if key.is_none() {
            faults.add(&format!("{pointer}/key"), "it is one of 0 to 9, * and #");
        }
        let answer = match (&self.queue, &self.say, self.repeat) {
            (Some(queue), None, false) => {
                faults.known(&format!("{pointer}/queue"), "queue", queue, names.queues);
                KeyAnswer::Queue(QueueId::new(tenant, queue))
            }
            (None, Some(say), false) => {
                faults.letters(&format!("{pointer}/say"), say, 2_000);
                KeyAnswer::Say(say.trim().into())
            }
            (None, None, true) => KeyAnswer::Repeat,
            _ => {
                faults.add(pointer, "a key has exactly one of `queue`, `say` and `repeat`");
                return None;
            }
        };
        Some((key?, answer))
    }
}

/// What the webhook sender can use at all; which addresses it may reach is decided there, at each
/// sending.
fn check_url(url: &str, faults: &mut Faults) {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || host.contains('@') || !plain || url.len() > 2_000 {
        faults.add("/webhook_url", "it is an http or https URL of at most 2,000 characters");
    }
}

#[cfg(test)]
mod tests;
