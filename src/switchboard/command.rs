//! What the API asks. A command that changes something lasting is answered after the disk has it.

use crate::event::{Action, CampaignDefinition, CampaignOrder, Command, KeyAnswer, Reply};
use crate::switchboard::{Inner, RunningCampaign, Switchboard};
use campaign::campaign::Campaign;
use campaign::event::{CampaignState, Event as CampaignEvent};
use domain::id::{CampaignId, RequestId};
use domain::now::Now;
use ivr::flow::Flow;
use ivr::message::{KeyAnswer as Key, Message};
use queue::event::Event as QueueEvent;
use sip::event::Source;
use std::sync::Arc;

impl Switchboard {
    /// Does what a command asks; `None`: the reply comes with the receipt of the disk.
    pub(crate) fn obey(
        &mut self,
        request: RequestId,
        command: Command,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Option<Reply> {
        match command {
            Command::Agent { agent, says } => match self.rules.agents.contains(&agent) {
                true => {
                    self.inner.push_back(Inner::Queue(QueueEvent::AgentSays { agent, says }));
                    Some(Reply::Done)
                }
                false => Some(Reply::NotFound),
            },
            Command::Queue { queue, open } => {
                match self.rules.queues.iter().any(|rules| rules.id == queue) {
                    true => {
                        self.inner.push_back(Inner::Queue(QueueEvent::SetOpen { queue, open }));
                        Some(Reply::Done)
                    }
                    false => Some(Reply::NotFound),
                }
            }
            Command::AdoptCampaign(definition) => {
                self.adopt_campaign(definition, now);
                Some(Reply::Done)
            }
            Command::ContactsAdded { campaign } => {
                self.inner.push_back(Inner::Campaign(campaign, CampaignEvent::ContactsAdded));
                Some(Reply::Done)
            }
            Command::Campaign { .. } | Command::CancelCallback(_) if !self.journal.works() => {
                Some(Reply::StoreFailed { reason: "the disk takes no writes".into() })
            }
            Command::Campaign { campaign, order } => self.order_campaign(request, campaign, order),
            Command::AdoptCallback(promise) => {
                self.adopt_promise(promise, now, out);
                Some(Reply::Done)
            }
            Command::CancelCallback(callback) => self.cancel_callback(request, callback, now, out),
            Command::WouldRoute { source, from, dialled } => {
                let is_known = match &source {
                    Source::Trunk(trunk) => self.rules.trunks.contains_key(trunk),
                    Source::Agent(agent) => self.rules.agents.contains(agent),
                };
                Some(match is_known {
                    true => Reply::WouldLead(self.would_lead(&source, &from, &dialled, now)),
                    false => Reply::NotFound,
                })
            }
            Command::HangUp(call) => match self.calls.contains_key(&call) {
                true => {
                    self.end_call(call, out);
                    Some(Reply::Done)
                }
                false => Some(Reply::NotFound),
            },
        }
    }

    fn order_campaign(
        &mut self,
        request: RequestId,
        id: CampaignId,
        order: CampaignOrder,
    ) -> Option<Reply> {
        let Some(campaign) = self.campaigns.get_mut(&id) else { return Some(Reply::NotFound) };
        use CampaignState::{Cancelled, Draft, Finished, Paused, Running};
        let event = match (campaign.machine.state(), order) {
            (Draft | Paused, CampaignOrder::Start) => CampaignEvent::Start,
            (Running, CampaignOrder::Pause) => CampaignEvent::Pause,
            (Draft | Paused | Running, CampaignOrder::Cancel) => CampaignEvent::Cancel,
            // Said again: already so.
            (Running, CampaignOrder::Start)
            | (Paused, CampaignOrder::Pause)
            | (Cancelled, CampaignOrder::Cancel) => return Some(Reply::Done),
            (Draft, CampaignOrder::Pause) => {
                return Some(conflict("the campaign has not been started"));
            }
            (Cancelled, CampaignOrder::Start | CampaignOrder::Pause) => {
                return Some(conflict("the campaign was cancelled"));
            }
            (Finished, _) => return Some(conflict("the campaign has finished")),
        };
        campaign.request = Some(request);
        self.inner.push_back(Inner::Campaign(id, event));
        None
    }

    /// Takes up a campaign that is on disk.
    pub(crate) fn adopt_campaign(&mut self, definition: Arc<CampaignDefinition>, now: Now) {
        let id = definition.rules.id;
        if self.campaigns.contains_key(&id) {
            return;
        }
        let machine = Campaign::new(definition.rules.clone(), definition.state, now);
        let flow = Arc::new(message_flow(&definition));
        self.campaigns.insert(
            id,
            RunningCampaign { machine, definition, flow, request: None, obstacle: None },
        );
        // One that was running goes on by its own deadline.
        self.inner.push_back(Inner::Campaign(id, CampaignEvent::ContactsAdded));
    }
}

fn conflict(reason: &str) -> Reply {
    Reply::Conflict { reason: reason.into() }
}

/// A campaign's message as a flow.
fn message_flow(definition: &CampaignDefinition) -> Flow {
    let message = &definition.message;
    let answer = |answer: &KeyAnswer| match answer {
        KeyAnswer::Queue(queue) => Key::Queue(queue.name.clone()),
        KeyAnswer::Say(text) => Key::Say(text.clone()),
        KeyAnswer::Repeat => Key::Repeat,
    };
    Flow::message(&Message {
        language: message.language,
        text: message.text.clone(),
        keys: message.keys.iter().map(|(key, what)| (*key, answer(what))).collect(),
        wait_for_key_ms: message.wait_for_key_ms,
    })
}
