//! Journey c: from a campaign's wish to a call, and from the call's end to a disposition on disk.

use crate::call::{Attempt, Purpose, Signalling};
use crate::decisions::Question;
use crate::dialling::{Found, Refused, WayOut, dialled_leg, rejected_of};
use crate::event::{
    Action, AttemptClosed, AttemptUnsent, CampaignDefinition, Fact, LegRole, Live, Rejected,
};
use crate::journal::Waiting;
use crate::switchboard::{Inner, RunningCampaign, Switchboard, Timer};
use campaign::event::{
    Action as CampaignAction, CampaignState, Disposition, Event as CampaignEvent, LeasedContact,
    Outcome,
};
use campaign::retry;
use domain::cause::{Cause, CauseKind};
use domain::id::{AttemptId, CallId, CampaignId};
use domain::now::Now;
use sip::event::{Caller, MAX_FORWARDS};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunk::route::{Asked, Decision, RouteRequest, RouteSource};

/// An attempt whose permit is on its way; its channel is taken.
pub(crate) struct Permit {
    campaign: CampaignId,
    /// The Call-ID that it is on disk under, once it is.
    call_id: Arc<str>,
    found: Box<Found>,
    /// What was decided, to be kept with the call.
    chosen: Arc<str>,
    rejected: Vec<Rejected>,
}

/// Why no trunk takes a campaign's attempts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Obstacle {
    status: u16,
    rejected: Vec<Rejected>,
    /// When it was kept.
    kept: Instant,
}

/// How long a campaign waits that our caps hold back, and one that has another reason to.
const CAPS_WAIT: Duration = Duration::from_millis(100);
const OBSTACLE_WAIT: Duration = Duration::from_secs(5);

/// How often the same obstacle is kept.
const OBSTACLE_KEPT_EVERY: Duration = Duration::from_secs(60);

/// How long after an attempt that was not sent its contact is due again.
const UNSENT_DUE_MS: u64 = 5_000;

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
        let Some(campaign) = self.campaigns.get(&id) else { return };
        let rules = &campaign.definition.rules;
        let request = RouteRequest {
            tenant: campaign.definition.tenant.clone(),
            from: RouteSource::Campaign,
            caller: rules.caller_id.as_str().into(),
            private: false,
            dialled: contact.number.as_str().into(),
            asked: Asked::Trunk(rules.trunk.clone()),
            // In silence a telephone may have rung: such an attempt is in doubt, never made again.
            second_ring: false,
            random: attempt.0,
        };
        let ring_for = rules.ring_for;
        let way = match self.is_draining() {
            true => None,
            false => Some(self.way(request, now)),
        };
        let mut wait = CAPS_WAIT;
        let way_out = match way {
            Some(Ok(mut way)) => Some(self.way_out(&mut way, None, &Caller::default(), now)),
            Some(Err(decision)) => {
                wait = self.held_back(id, &contact, &decision, now, out);
                None
            }
            None => None,
        };
        let Some(WayOut { to: Ok(mut found), chosen, rejected }) = way_out else {
            let event = CampaignEvent::HeldBack { attempt, wait };
            return self.inner.push_back(Inner::Campaign(id, event));
        };
        if let Some(campaign) = self.campaigns.get_mut(&id) {
            campaign.obstacle = None;
        }
        found.ring_for = ring_for;
        let (campaign, call_id) = (id, "".into());
        let permit = Permit { campaign, call_id, found: Box::new(found), chosen, rejected };
        self.permits.insert(attempt, permit);
        out.push(Action::Permit { campaign, attempt, contact });
    }

    /// Full caps are the pace of every campaign; whatever else stands in its way is kept once, and
    /// again while it lasts: it is one fact, however many contacts wait. How long to wait.
    fn held_back(
        &mut self,
        id: CampaignId,
        contact: &LeasedContact,
        decision: &Decision,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Duration {
        let Refused { status, retry_after_s } = Refused::by(decision);
        let Some(campaign) = self.campaigns.get_mut(&id) else { return OBSTACLE_WAIT };
        if retry_after_s.is_some() {
            return CAPS_WAIT;
        }
        let rejected = rejected_of(decision);
        let is_known = |last: &Obstacle| {
            let same = last.status == status && last.rejected == rejected;
            same && now.instant < last.kept + OBSTACLE_KEPT_EVERY
        };
        if !campaign.obstacle.as_ref().is_some_and(is_known) {
            let question = question_of(id, &campaign.definition, contact);
            let kept = now.instant;
            campaign.obstacle = Some(Obstacle { status, rejected: rejected.clone(), kept });
            self.keep_refusal(question, status, rejected, now, out);
        }
        OBSTACLE_WAIT
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
        let Some(permit) = self.permits.get_mut(&attempt) else { return };
        permit.call_id = call_id;
        let campaign = permit.campaign;
        self.inner.push_back(Inner::Campaign(campaign, CampaignEvent::Permitted { attempt }));
    }

    pub(crate) fn permit_refused(&mut self, attempt: AttemptId, now: Now, out: &mut Vec<Action>) {
        if let Some(id) = self.forget_permit(attempt, now, out) {
            self.inner.push_back(Inner::Campaign(id, CampaignEvent::Refused { attempt }));
        }
    }

    /// The contact is still leased to us, so it is tried again; were it looked for in the store, it
    /// would not be found there before its lease runs out.
    pub(crate) fn permit_failed(&mut self, attempt: AttemptId, now: Now, out: &mut Vec<Action>) {
        if let Some(id) = self.forget_permit(attempt, now, out) {
            let event = CampaignEvent::HeldBack { attempt, wait: CAPS_WAIT };
            self.inner.push_back(Inner::Campaign(id, event));
        }
    }

    /// Gives back the channel taken for an attempt that is not to be.
    fn forget_permit(
        &mut self,
        attempt: AttemptId,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Option<CampaignId> {
        let permit = self.permits.remove(&attempt)?;
        self.carriers(trunk::event::Event::Freed { leg: permit.found.leg }, now, out);
        Some(permit.campaign)
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
        let Some(definition) = self.campaigns.get(&id).map(|campaign| campaign.definition.clone())
        else {
            self.forget_permit(attempt, now, out);
            return;
        };
        let Some(permit) = self.permits.remove(&attempt) else { return };
        let question = question_of(id, &definition, &contact);
        let purpose =
            Purpose::Attempt(Attempt { attempt, campaign: id, contact, joined_agent: false });
        let call = self.new_call(definition.tenant.clone(), purpose, permit.found.leg, now);
        let mut leg = dialled_leg(&call, LegRole::Contact, *permit.found, MAX_FORWARDS, now);
        if let Signalling::NotBegun(dial) = &mut leg.signalling {
            (dial.call_id, dial.attempt) = (Some(permit.call_id.clone()), Some(attempt));
        }
        let (call_id, sip_call_id) = (Some(call.id), permit.call_id);
        let question = Question { call: call_id, sip_call_id, ..question };
        self.decided(question, permit.chosen, permit.rejected, now, out);
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
        let left_nothing =
            |cause: Cause| matches!(cause.kind, CauseKind::NotAdmitted | CauseKind::Unreachable);
        if call.ended.is_some_and(left_nothing) {
            return self.unsent(id, attempt.clone(), record, now, out);
        }
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
        let waiting = Waiting::Attempt { campaign, attempt, closed: Some(Box::new(live)) };
        self.journal.store(waiting, vec![record, Fact::AttemptClosed(closed)], out);
    }

    /// Nothing of a permitted attempt left: it does not count, and its contact is due again soon.
    fn unsent(
        &mut self,
        id: CallId,
        attempt: Attempt,
        record: Fact,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Attempt { attempt, campaign, contact, .. } = attempt;
        out.push(Action::Note {
            call: id,
            what: "attempt not sent".into(),
            why: "it was held back before anything left; it does not count".into(),
        });
        let (due_wall_ms, ended_wall_ms) = (now.wall_ms + UNSENT_DUE_MS, now.wall_ms);
        let unsent = AttemptUnsent { attempt, campaign, contact, due_wall_ms, ended_wall_ms };
        let waiting = Waiting::Attempt { campaign, attempt, closed: None };
        self.journal.store(waiting, vec![record, Fact::AttemptUnsent(unsent)], out);
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

fn question_of(
    id: CampaignId,
    definition: &CampaignDefinition,
    contact: &LeasedContact,
) -> Question {
    Question {
        call: None,
        sip_call_id: "".into(),
        tenant: definition.tenant.clone(),
        source: format!("campaign {id}").into(),
        from: definition.rules.caller_id.as_str().into(),
        to: contact.number.as_str().into(),
    }
}
