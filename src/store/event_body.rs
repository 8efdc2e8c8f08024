//! The bodies of webhooks, in the form of Standard Webhooks: `type`, `timestamp`, `data`.
//!
//! They are made when the fact is applied, so that a merchant reads what was true then, however
//! late the delivery.

use crate::reader::progress::Progress;
use crate::words;
use jiff::Timestamp;
use queue::event::Promise;
use serde::Serialize;
use std::collections::BTreeMap;
use switchboard::event::{AttemptClosed, CampaignDefinition};

#[derive(Serialize)]
struct Body<'a, D> {
    r#type: &'a str,
    timestamp: String,
    data: D,
}

#[derive(Serialize)]
struct AttemptBody<'a> {
    attempt_id: u64,
    campaign_id: u64,
    contact_id: u64,
    contact_key: &'a str,
    number: &'a str,
    attempt_number: u8,
    disposition: &'static str,
    answered: bool,
    message_heard: bool,
    key: Option<char>,
    asked_for_agent: bool,
    joined_agent: bool,
    cause: &'static str,
    sip_status: u16,
    q850: u8,
    call_id: Option<u64>,
    sip_call_id: &'a str,
    answered_at: Option<String>,
    ended_at: String,
    /// Absent of a further attempt: the contact is final.
    retry_at: Option<String>,
}

#[derive(Serialize)]
struct CampaignBody<'a> {
    campaign_id: u64,
    name: &'a str,
    contacts: u64,
    dispositions: &'a BTreeMap<String, u64>,
    not_called: u64,
}

#[derive(Serialize)]
struct CallbackBody<'a> {
    callback_id: u64,
    queue: &'a str,
    number: &'a str,
    tries: u8,
    state: &'static str,
    arrived_at: String,
}

/// `attempt.closed`.
pub(crate) fn attempt_closed(
    topic: &str,
    closed: &AttemptClosed,
    key: &str,
    sip_call_id: &str,
) -> String {
    let outcome = &closed.outcome;
    let data = AttemptBody {
        attempt_id: closed.attempt.0,
        campaign_id: closed.campaign.0,
        contact_id: closed.contact.contact.0,
        contact_key: key,
        number: closed.contact.number.as_str(),
        attempt_number: closed.contact.attempt_number,
        disposition: words::disposition(closed.disposition),
        answered: outcome.answered,
        message_heard: outcome.message_heard,
        key: outcome.key,
        asked_for_agent: outcome.asked_for_agent,
        joined_agent: outcome.joined_agent,
        cause: words::cause_kind(outcome.cause.kind),
        sip_status: outcome.cause.status,
        q850: outcome.cause.q850,
        call_id: closed.call.map(|call| call.0),
        sip_call_id,
        answered_at: closed.answered_wall_ms.map(rfc3339),
        ended_at: rfc3339(closed.ended_wall_ms),
        retry_at: closed.retry_wall_ms.map(rfc3339),
    };
    print(topic, closed.ended_wall_ms, data)
}

/// `campaign.finished` and `campaign.cancelled`.
pub(crate) fn campaign_ended(
    topic: &str,
    definition: &CampaignDefinition,
    progress: &Progress,
    now_ms: u64,
) -> String {
    let data = CampaignBody {
        campaign_id: definition.rules.id.0,
        name: &definition.name,
        contacts: progress.contacts,
        dispositions: &progress.final_by_disposition,
        not_called: progress.ready,
    };
    print(topic, now_ms, data)
}

/// `callback.kept` and `callback.broken`.
pub(crate) fn callback_ended(topic: &str, promise: &Promise, now_ms: u64) -> String {
    let data = CallbackBody {
        callback_id: promise.id.0,
        queue: &promise.queue.name,
        number: promise.number.as_str(),
        tries: promise.tries,
        state: words::callback_state(promise.state),
        arrived_at: rfc3339(promise.arrived_wall_ms),
    };
    print(topic, now_ms, data)
}

fn print(topic: &str, wall_ms: u64, data: impl Serialize) -> String {
    let body = Body { r#type: topic, timestamp: rfc3339(wall_ms), data };
    serde_json::to_string(&body).expect("these bodies have text keys and no failing serialiser")
}

/// Unix milliseconds as `2027-01-15T08:00:00Z`; the far future is clipped.
fn rfc3339(wall_ms: u64) -> String {
    let ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::START_MS;
    use domain::id::{CallbackId, QueueId, TenantId};
    use queue::event::CallbackState;

    #[test]
    fn a_body_has_type_timestamp_and_data() {
        let promise = Promise {
            id: CallbackId(7),
            queue: QueueId::new(&TenantId::default(), "sales"),
            number: crate::test_kit::number("+4930123"),
            arrived_wall_ms: START_MS,
            not_before_wall_ms: START_MS,
            expires_wall_ms: START_MS,
            tries: 1,
            state: CallbackState::Kept,
        };
        assert_eq!(
            callback_ended("callback.kept", &promise, START_MS + 1500),
            r#"{"type":"callback.kept","timestamp":"2027-01-15T08:00:01.5Z","data":{"callback_id":7,"queue":"sales","number":"+4930123","tries":1,"state":"kept","arrived_at":"2027-01-15T08:00:00Z"}}"#
        );
        assert!(rfc3339(u64::MAX).starts_with("9999-12-30"));
    }
}
