//! Journey c: from a campaign's wish to a call, and from the call's end to a disposition on disk.

use crate::call::{Attempt, Dial, Leg, Purpose, Signalling, Sound};
use crate::event::{Action, AttemptClosed, Fact, LegRole, Live};
use crate::journal::Waiting;
use crate::switchboard::{Inner, RunningCampaign, Switchboard, Timer};
use campaign::event::{
    Action as CampaignAction, CampaignState, Disposition, Event as CampaignEvent, LeasedContact,
    Outcome,
};
use campaign::retry;
use domain::cause::Cause;
use domain::hop::{Hop, Transport};
use domain::id::{AttemptId, CallId, CampaignId};
use domain::now::Now;
use sip::event::{Caller, MAX_FORWARDS, Target};
use std::sync::Arc;

impl Switchboard {
    pub(crate) fn campaign(
        &mut self,
        id: CampaignId,
        event: CampaignEvent,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(campaign) = self.campaigns.get_mut(&id) else { return };
        let mut actions = Vec::new();
        campaign.machine.handle(event, now, &mut self.ids, &mut actions);
        self.campaign_actions(id, actions, now, out);
    }

    pub(crate) fn campaign_deadline(&mut self, id: CampaignId, now: Now, out: &mut Vec<Action>) {
        let Some(campaign) = self.campaigns.get_mut(&id) else { return };
        let mut actions = Vec::new();
        campaign.machine.handle_deadline(now, &mut self.ids, &mut actions);
        self.campaign_actions(id, actions, now, out);
    }

    fn campaign_actions(
        &mut self,
        id: CampaignId,
        actions: Vec<CampaignAction>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        for action in actions {
            match action {
                CampaignAction::Claim { count } => out.push(Action::Claim { campaign: id, count }),
                CampaignAction::Permit { attempt, contact } => {
                    self.ask_permit(id, attempt, contact, now, out);
                }
                CampaignAction::Originate { attempt, contact } => {
                    self.inner.push_back(Inner::Originate(id, attempt, contact));
                }
                CampaignAction::Return { contacts } => {
                    out.push(Action::Return { campaign: id, contacts });
                }
                CampaignAction::StateChanged { state } => self.campaign_changed(id, state, out),
            }
        }
        if self.campaigns.get(&id).is_some_and(RunningCampaign::is_over) {
            self.campaigns.remove(&id);
        }
        let deadline = self.campaigns.get(&id).and_then(|campaign| campaign.machine.deadline());
        self.timers.update(&Timer::Campaign(id), deadline);
    }

    /// The trunk's caps come before the permit: what they hold back never counts as an attempt.
    fn ask_permit(
        &mut self,
        id: CampaignId,
        attempt: AttemptId,
        contact: LeasedContact,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let draining = self.is_draining();
        let Some(campaign) = self.campaigns.get(&id) else { return };
        let trunk = campaign.definition.rules.trunk.clone();
        let located = self.hop_of(&trunk, now).is_some();
        let cap = self.trunks.get_mut(&trunk);
        let admitted = !draining && located && cap.is_some_and(|cap| cap.take(now.instant));
        match admitted {
            true => {
                self.permits.insert(attempt, (id, "".into()));
                out.push(Action::Permit { campaign: id, attempt, contact });
            }
            false => {
                self.inner.push_back(Inner::Campaign(id, CampaignEvent::HeldBack { attempt }));
            }
        }
    }

    pub(crate) fn claimed(
        &mut self,
        id: CampaignId,
        contacts: Vec<LeasedContact>,
        next_due_wall_ms: Option<u64>,
        out: &mut Vec<Action>,
    ) {
        match self.campaigns.contains_key(&id) {
            true => self.inner.push_back(Inner::Campaign(
                id,
                CampaignEvent::Claimed { contacts, next_due_wall_ms },
            )),
            // The campaign has ended meanwhile: nothing may stay leased.
            false if contacts.is_empty() => (),
            false => out.push(Action::Return { campaign: id, contacts }),
        }
    }

    pub(crate) fn permitted(&mut self, attempt: AttemptId, call_id: Arc<str>) {
        let Some((campaign, slot)) = self.permits.get_mut(&attempt) else { return };
        *slot = call_id;
        self.inner.push_back(Inner::Campaign(*campaign, CampaignEvent::Permitted { attempt }));
    }

    pub(crate) fn permit_refused(&mut self, attempt: AttemptId) {
        if let Some(id) = self.forget_permit(attempt) {
            self.inner.push_back(Inner::Campaign(id, CampaignEvent::Refused { attempt }));
        }
    }

    /// The contact is still leased to us, so it is tried again; were it looked for in the store, it
    /// would not be found there before its lease runs out.
    pub(crate) fn permit_failed(&mut self, attempt: AttemptId) {
        if let Some(id) = self.forget_permit(attempt) {
            self.inner.push_back(Inner::Campaign(id, CampaignEvent::HeldBack { attempt }));
        }
    }

    /// Gives back the channel taken for an attempt that is not to be.
    fn forget_permit(&mut self, attempt: AttemptId) -> Option<CampaignId> {
        let (id, _) = self.permits.remove(&attempt)?;
        if let Some(campaign) = self.campaigns.get(&id)
            && let Some(cap) = self.trunks.get_mut(&campaign.definition.rules.trunk)
        {
            cap.release();
        }
        Some(id)
    }

    /// Places the call of a permitted attempt.
    pub(crate) fn originate(
        &mut self,
        id: CampaignId,
        attempt: AttemptId,
        contact: LeasedContact,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some((_, call_id)) = self.permits.remove(&attempt) else { return };
        let Some(definition) = self.campaigns.get(&id).map(|campaign| campaign.definition.clone())
        else {
            return;
        };
        let rules = &definition.rules;
        // Its place was known when the permit was asked for; if it has been lost since, the leg ends
        // unsent like any other that the endpoint cannot take.
        let hop = self.hop_of(&rules.trunk, now).unwrap_or_else(nowhere);
        let user: Arc<str> = contact.number.as_str().into();
        let target = Target::Trunk { trunk: rules.trunk.clone(), hop, user: user.clone() };
        let from: Arc<str> = rules.caller_id.as_str().into();
        let dial = Dial {
            target,
            caller: Caller::shown(from.clone()),
            ring_for: rules.ring_for,
            heard_within: None,
            max_forwards: MAX_FORWARDS,
            call_id: Some(call_id),
            attempt: Some(attempt),
        };
        let leg_id = self.new_leg_id();
        let purpose =
            Purpose::Attempt(Attempt { attempt, campaign: id, contact, joined_agent: false });
        let call = self.new_call(definition.tenant.clone(), purpose, leg_id, now);
        let leg = Leg {
            id: leg_id,
            call: call.id,
            role: LegRole::Contact,
            signalling: Signalling::NotBegun(Box::new(dial)),
            sound: Sound::Opening,
            sip_call_id: "".into(),
            trunk: Some(rules.trunk.clone()),
            holds_channel: true,
            from,
            to: user,
            agent: None,
            replaces: None,
            holds: false,
            started_wall_ms: now.wall_ms,
            answered_wall_ms: None,
            ended_wall_ms: now.wall_ms,
        };
        out.push(Action::Note {
            call: call.id,
            what: format!("dial for campaign {id}").into(),
            why: format!("attempt {attempt} is permitted and on disk").into(),
        });
        self.begin_call(call, leg, now, out);
    }

    /// The contact's leg is over: its disposition, its next time and its record go to disk together.
    pub(crate) fn close_attempt(
        &mut self,
        id: CallId,
        record: Fact,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let Purpose::Attempt(attempt) = &call.purpose else { return };
        let progress = call.conversation.as_ref().map(|talk| talk.progress().clone());
        let progress = progress.unwrap_or_default();
        let outcome = Outcome {
            cause: call.ended.unwrap_or(Cause::cancelled()),
            answered: call.answered_wall_ms.is_some(),
            message_heard: progress.message_heard,
            key: progress.first_key,
            asked_for_agent: progress.asked_for_queue.is_some(),
            joined_agent: attempt.joined_agent,
        };
        let disposition = Disposition::of(&outcome);
        let (campaign, number) = (attempt.campaign, attempt.contact.number.clone());
        let retry_wall_ms = self.campaigns.get(&campaign).and_then(|campaign| {
            let policy = &campaign.definition.rules.retry;
            retry::next(disposition, attempt.contact.attempt_number, policy, now.wall_ms)
        });
        let closed = AttemptClosed {
            attempt: attempt.attempt,
            campaign,
            contact: attempt.contact.clone(),
            call: Some(id),
            disposition,
            outcome,
            retry_wall_ms,
            answered_wall_ms: call.answered_wall_ms,
            ended_wall_ms: now.wall_ms,
        };
        out.push(Action::Note {
            call: id,
            what: format!("attempt closed as {disposition:?}").into(),
            why: outcome.cause.to_string().into(),
        });
        let attempt = closed.attempt;
        let tenant = call.tenant.clone();
        let live = Live::AttemptClosed { tenant, attempt, campaign, number, disposition };
        let waiting = Waiting::Attempt { campaign, attempt, closed: Box::new(live) };
        self.journal.store(waiting, vec![record, Fact::AttemptClosed(closed)], out);
    }

    fn campaign_changed(&mut self, id: CampaignId, state: CampaignState, out: &mut Vec<Action>) {
        let Some(campaign) = self.campaigns.get_mut(&id) else { return };
        let tenant = campaign.definition.tenant.clone();
        let facts = vec![Fact::CampaignState { campaign: id, state }];
        match campaign.request.take() {
            Some(request) => self.journal.store(Waiting::Request(request), facts, out),
            None => self.journal.note(facts, out),
        }
        out.push(Action::Publish(Live::CampaignChanged { campaign: id, tenant, state }));
        if state == CampaignState::Finished {
            self.campaigns.remove(&id);
        }
    }
}

/// Where nothing is sent: a transport whose peers cannot be connected to (RFC 7118 §5).
fn nowhere() -> Hop {
    Hop::at(Transport::Ws, ([0, 0, 0, 0], 0).into())
}
