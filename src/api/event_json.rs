//! Live events as the websocket sends them.

use crate::time;
use domain::id::AgentId;
use queue::event::{AgentState, Promise};
use serde::Serialize;
use store::words;
use switchboard::event::Live;
use utoipa::ToSchema;

/// Texts heard or said are cut after so many letters: an event stays small.
const TEXT_LETTERS_MAX: usize = 1_000;

/// One event of the stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveEvent<'a> {
    /// Its number: give the last one seen as `after` to go on behind it.
    pub seq: u64,
    /// When it happened (RFC 3339).
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type")]
pub enum What<'a> {
    /// A call began. `role`: `caller`, `callback` or `contact`.
    #[serde(rename = "call.started")]
    CallStarted { call: u64, role: &'static str, from: &'a str, to: &'a str },
    /// The caller was heard.
    #[serde(rename = "call.heard")]
    CallHeard { call: u64, text: &'a str, confidence: f32, engine: &'static str },
    /// The caller pressed a key.
    #[serde(rename = "call.key")]
    CallKey { call: u64, digit: char },
    /// An intent was named; `intent` is null when nothing fits.
    #[serde(rename = "call.understood")]
    CallUnderstood { call: u64, intent: Option<&'a str>, confidence: f32 },
    /// The caller is told something.
    #[serde(rename = "call.said")]
    CallSaid { call: u64, text: &'a str },
    /// The caller waits; `position` is how many are before him.
    #[serde(rename = "call.queued")]
    CallQueued { call: u64, queue: &'a str, position: u32, estimate_s: Option<u32> },
    /// The queue did not take him.
    #[serde(rename = "call.queue_refused")]
    CallQueueRefused { call: u64, queue: &'a str, reason: &'a str },
    /// An agent is rung.
    #[serde(rename = "call.agent_rung")]
    CallAgentRung { call: u64, agent: &'a str },
    /// Two people hear each other.
    #[serde(rename = "call.bridged")]
    CallBridged { call: u64, agent: &'a str },
    /// A caller was led through to somebody outside the queues, and both hear each other.
    #[serde(rename = "call.through")]
    CallThrough { call: u64, to: &'a str, trunk: Option<&'a str> },
    /// A call is over.
    #[serde(rename = "call.ended")]
    CallEnded {
        call: u64,
        cause: &'static str,
        sip_status: u16,
        q850: u8,
        by: &'static str,
        answered_ms: u64,
    },
    /// An agent's state changed.
    #[serde(rename = "agent.changed")]
    AgentChanged { agent: &'a str, state: &'static str, reason: Option<&'a str> },
    /// A trunk, or our registration at it, changed.
    #[serde(rename = "trunk.changed")]
    TrunkChanged { trunk: &'a str, state: &'static str, why: &'a str, alarm: bool },
    /// A promised call changed.
    #[serde(rename = "callback.changed")]
    CallbackChanged {
        callback: u64,
        queue: &'a str,
        number: &'a str,
        state: &'static str,
        tries: u8,
    },
    /// A campaign changed.
    #[serde(rename = "campaign.changed")]
    CampaignChanged { campaign: u64, state: &'static str },
    /// An attempt is over and on disk.
    #[serde(rename = "attempt.closed")]
    AttemptClosed { attempt: u64, campaign: u64, number: &'a str, disposition: &'static str },
}

/// Prints an event with its number and time.
pub fn print(live: &Live, seq: u64, wall_ms: u64) -> String {
    let event = LiveEvent { seq, at: time::print(wall_ms), what: what(live) };
    serde_json::to_string(&event).expect("an event has only text and numbers")
}

/// How many bytes an event takes while it is kept, about.
pub fn length(live: &Live) -> usize {
    let text = match live {
        Live::Heard { transcript, .. } => transcript.text.len(),
        Live::Said { text, .. } => text.len(),
        _ => 0,
    };
    2 * size_of::<Live>() + text
}

/// The word for an agent's state, and the reason of a pause.
pub fn agent_word(state: &AgentState) -> (&'static str, Option<&str>) {
    match state {
        AgentState::LoggedOut => ("logged_out", None),
        AgentState::Available { .. } => ("available", None),
        AgentState::Reserved { .. } => ("reserved", None),
        AgentState::Ringing { .. } => ("ringing", None),
        AgentState::Talking { .. } => ("talking", None),
        AgentState::WrapUp => ("wrap_up", None),
        AgentState::Paused { reason } => ("paused", Some(reason)),
    }
}

fn what(live: &Live) -> What<'_> {
    match live {
        Live::CallStarted { call, role, from, to, .. } => {
            What::CallStarted { call: call.0, role: words::leg_role(*role), from, to }
        }
        Live::Heard { call, transcript } => What::CallHeard {
            call: call.0,
            text: cut(&transcript.text),
            confidence: transcript.confidence,
            engine: transcript.engine,
        },
        Live::Key { call, digit } => What::CallKey { call: call.0, digit: *digit },
        Live::Understood { call, understanding } => What::CallUnderstood {
            call: call.0,
            intent: understanding.intent.as_deref(),
            confidence: understanding.confidence,
        },
        Live::Said { call, text } => What::CallSaid { call: call.0, text: cut(text) },
        Live::Queued { call, queue, position, estimate_s } => What::CallQueued {
            call: call.0,
            queue: &queue.name,
            position: *position,
            estimate_s: *estimate_s,
        },
        Live::QueueRefused { call, queue, reason } => {
            What::CallQueueRefused { call: call.0, queue: &queue.name, reason }
        }
        Live::AgentRung { call, agent } => What::CallAgentRung { call: call.0, agent: &agent.name },
        Live::Bridged { call, agent } => What::CallBridged { call: call.0, agent: &agent.name },
        Live::Through { call, to, trunk } => {
            What::CallThrough { call: call.0, to, trunk: trunk.as_ref().map(|trunk| &*trunk.name) }
        }
        Live::CallEnded { call, cause, answered_ms, .. } => What::CallEnded {
            call: call.0,
            cause: words::cause_kind(cause.kind),
            sip_status: cause.status,
            q850: cause.q850,
            by: words::ended_by(cause.by),
            answered_ms: *answered_ms,
        },
        Live::TrunkChanged { trunk, state, why, alarm } => {
            What::TrunkChanged { trunk: &trunk.name, state, why, alarm: *alarm }
        }
        Live::AgentChanged { agent, state } => agent_changed(agent, state),
        Live::CallbackChanged(promise) => callback_changed(promise),
        Live::CampaignChanged { campaign, state, .. } => {
            What::CampaignChanged { campaign: campaign.0, state: words::campaign_state(*state) }
        }
        Live::AttemptClosed { attempt, campaign, number, disposition, .. } => What::AttemptClosed {
            attempt: attempt.0,
            campaign: campaign.0,
            number: number.as_str(),
            disposition: words::disposition(*disposition),
        },
    }
}

fn agent_changed<'a>(agent: &'a AgentId, state: &'a AgentState) -> What<'a> {
    let (state, reason) = agent_word(state);
    What::AgentChanged { agent: &agent.name, state, reason }
}

fn callback_changed(promise: &Promise) -> What<'_> {
    What::CallbackChanged {
        callback: promise.id.0,
        queue: &promise.queue.name,
        number: promise.number.as_str(),
        state: words::callback_state(promise.state),
        tries: promise.tries,
    }
}

fn cut(text: &str) -> &str {
    match text.char_indices().nth(TEXT_LETTERS_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::{CallId, QueueId, TenantId};

    #[test]
    fn an_event_is_flat_and_bears_its_type_number_and_time() {
        let queue = QueueId::new(&TenantId::default(), "support");
        let live = Live::Queued { call: CallId(7), queue, position: 2, estimate_s: None };
        let expected = r#"{"seq":5,"at":"2027-01-15T08:00:00.000Z","type":"call.queued","call":7,"queue":"support","position":2,"estimate_s":null}"#;
        assert_eq!(print(&live, 5, 1_800_000_000_000), expected);
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let said = Live::Said { call: CallId(1), text: "电".repeat(2_000).into() };
        let text = print(&said, 1, 0);
        assert_eq!(text.matches('电').count(), TEXT_LETTERS_MAX);
    }
}
