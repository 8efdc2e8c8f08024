//! What is on disk, and the operations on it, with the meaning that the store gives them: leases
//! with fences, permits decided where they are stored, ends that stay ends, and what a start
//! settles after a crash.

use campaign::calling_window;
use campaign::event::{CampaignRules, CampaignState, Disposition, LeasedContact};
use campaign::permit::{Consequence, PermitFacts, PermitRefusal, decide};
use domain::id::{AgentId, AttemptId, CallbackId, CampaignId, ContactId, LegId};
use domain::phone_number::PhoneNumber;
use queue::event::{AgentState, CallbackState, Promise};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use switchboard::event::{
    AttemptClosed, AttemptUnsent, CampaignDefinition, Decision, Fact, LegRecord, Restored,
};

/// How long a lease lasts, in milliseconds.
const LEASE_MS: u64 = 60_000;

/// What is on disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// All promises ever stored.
    pub promises: BTreeMap<CallbackId, Promise>,
    /// All campaigns.
    pub campaigns: BTreeMap<CampaignId, CampaignDefinition>,
    /// All contacts.
    pub contacts: BTreeMap<ContactId, Contact>,
    /// All attempts.
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// All records (CDRs).
    pub legs: BTreeMap<LegId, LegRecord>,
    /// Why calls went where they did, by number.
    pub decisions: BTreeMap<u64, Decision>,
    /// What agents last said.
    pub agents: BTreeMap<AgentId, AgentState>,
    /// Numbers that must not be called.
    pub do_not_call: BTreeSet<PhoneNumber>,
    /// What merchants were told, each once.
    pub letters: BTreeSet<String>,
}

/// A contact's row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contact {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Whom to call.
    pub number: PhoneNumber,
    /// Where it stands.
    pub state: ContactState,
    /// Attempts so far.
    pub attempts: u8,
    /// Turned by each lease.
    pub fence: u64,
    /// Due from (Unix milliseconds).
    pub next_wall_ms: u64,
    /// The last word on it, if any.
    pub disposition: Option<Disposition>,
}

/// Where a contact stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContactState {
    /// Waits for its time.
    Ready,
    /// Leased until (Unix milliseconds).
    Leased(u64),
    /// Being called.
    Dialling,
    /// Had its final word.
    Final,
}

/// An attempt's row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// At whom.
    pub contact: ContactId,
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Which try at him, from 1.
    pub number: u8,
    /// The fence it was leased under.
    pub fence: u64,
    /// Where it stands.
    pub state: AttemptState,
    /// The Call-ID of its INVITE.
    pub call_id: Arc<str>,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttemptState {
    /// Its INVITE may leave.
    Dialling,
    /// Over.
    Closed(Disposition),
    /// It provably never left.
    NotSent,
}

impl Disk {
    /// Puts a fact on disk; once more does no harm.
    pub fn put(&mut self, fact: Fact) {
        match fact {
            Fact::Promise(promise) => self.put_promise(promise),
            Fact::CampaignState { campaign, state } => {
                if let Some(row) = self.campaigns.get_mut(&campaign)
                    && !row.state.is_final()
                {
                    row.state = state;
                }
            }
            Fact::AttemptClosed(closed) => self.close(&closed),
            Fact::AttemptUnsent(unsent) => self.take_back(&unsent),
            Fact::Leg(record) => {
                self.legs.insert(record.leg, record);
            }
            Fact::Decision(decision) => {
                self.decisions.insert(decision.id, decision);
            }
            Fact::Agent { agent, state } => {
                self.agents.insert(agent, state);
            }
        }
    }

    fn put_promise(&mut self, promise: Promise) {
        if matches!(promise.state, CallbackState::Kept | CallbackState::Broken) {
            self.letters.insert(format!("callback-{}-{:?}", promise.id, promise.state));
        }
        let ended = self.promises.get(&promise.id).is_some_and(|old| old.state.is_final());
        if !ended {
            self.promises.insert(promise.id, promise);
        }
    }

    fn close(&mut self, closed: &AttemptClosed) {
        let fence = closed.contact.fence;
        let Some(attempt) = self.attempts.get_mut(&closed.attempt) else { return };
        let Some(contact) = self.contacts.get_mut(&closed.contact.contact) else { return };
        let ours = attempt.fence == fence && contact.fence == fence;
        if attempt.state != AttemptState::Dialling || !ours {
            return;
        }
        attempt.state = AttemptState::Closed(closed.disposition);
        contact.state = match closed.retry_wall_ms {
            Some(_) => ContactState::Ready,
            None => ContactState::Final,
        };
        contact.next_wall_ms = closed.retry_wall_ms.unwrap_or(0);
        contact.disposition = Some(closed.disposition);
        self.letters.insert(format!("attempt-{}-closed", closed.attempt));
    }

    fn take_back(&mut self, unsent: &AttemptUnsent) {
        let Some(attempt) = self.attempts.get_mut(&unsent.attempt) else { return };
        let Some(contact) = self.contacts.get_mut(&unsent.contact.contact) else { return };
        let fence = unsent.contact.fence;
        let ours = attempt.fence == fence && contact.fence == fence;
        if attempt.state == AttemptState::Dialling && ours {
            attempt.state = AttemptState::NotSent;
            contact.state = ContactState::Ready;
            contact.attempts = attempt.number - 1;
            contact.next_wall_ms = unsent.due_wall_ms;
        }
    }

    /// Leases up to `count` due contacts, and says when the next comes due.
    pub fn claim(
        &mut self,
        campaign: CampaignId,
        count: u32,
        now_ms: u64,
    ) -> (Vec<LeasedContact>, Option<u64>) {
        for contact in self.contacts.values_mut().filter(|row| row.campaign == campaign) {
            if matches!(contact.state, ContactState::Leased(until) if until <= now_ms) {
                contact.state = ContactState::Ready;
            }
        }
        let ready = |row: &Contact| row.campaign == campaign && row.state == ContactState::Ready;
        let due = self.contacts.iter().filter(|(_, row)| ready(row) && row.next_wall_ms <= now_ms);
        let mut due: Vec<_> = due.map(|(id, row)| (row.next_wall_ms, *id)).collect();
        due.sort_unstable();
        let mut leased = Vec::new();
        for (_, id) in due.into_iter().take(count as usize) {
            let Some(row) = self.contacts.get_mut(&id) else { continue };
            row.state = ContactState::Leased(now_ms + LEASE_MS);
            row.fence += 1;
            leased.push(LeasedContact {
                contact: id,
                number: row.number.clone(),
                attempt_number: row.attempts + 1,
                fence: row.fence,
            });
        }
        // A lease that is lost on the way back comes due again when it runs out.
        let due_at = |row: &Contact| match row.state {
            ContactState::Ready => Some(row.next_wall_ms),
            ContactState::Leased(until) => Some(until),
            ContactState::Dialling | ContactState::Final => None,
        };
        let left = self.contacts.values().filter(|row| row.campaign == campaign);
        (leased, left.filter_map(due_at).min())
    }

    /// Gives leased contacts back.
    pub fn give_back(&mut self, campaign: CampaignId, contacts: &[LeasedContact]) {
        for leased in contacts {
            if let Some(row) = self.contacts.get_mut(&leased.contact)
                && row.campaign == campaign
                && row.fence == leased.fence
                && matches!(row.state, ContactState::Leased(_))
            {
                row.state = ContactState::Ready;
            }
        }
    }

    /// Decides whether a contact may be dialled, and stores what was decided: its Call-ID, or why
    /// not.
    pub fn permit(
        &mut self,
        campaign: CampaignId,
        attempt: AttemptId,
        leased: &LeasedContact,
        now_ms: u64,
    ) -> Result<Arc<str>, Arc<str>> {
        let Some(facts) = self.permit_facts(campaign, leased, now_ms) else {
            return Err(PermitRefusal::LeaseLost.as_str().into());
        };
        if let Err(refusal) = decide(facts) {
            match refusal.consequence() {
                Consequence::Untouched => (),
                Consequence::DueAgain => {
                    self.give_back(campaign, std::slice::from_ref(leased));
                }
                Consequence::Final => {
                    if let Some(row) = self.contacts.get_mut(&leased.contact) {
                        row.state = ContactState::Final;
                    }
                }
            }
            return Err(refusal.as_str().into());
        }
        if self.attempts.contains_key(&attempt) {
            self.give_back(campaign, std::slice::from_ref(leased));
            return Err("attempt_number_used".into());
        }
        let call_id: Arc<str> = format!("attempt-{attempt}@trunkline").into();
        let row = Attempt {
            contact: leased.contact,
            campaign,
            number: leased.attempt_number,
            fence: leased.fence,
            state: AttemptState::Dialling,
            call_id: call_id.clone(),
        };
        self.attempts.insert(attempt, row);
        if let Some(row) = self.contacts.get_mut(&leased.contact) {
            row.state = ContactState::Dialling;
            row.attempts = leased.attempt_number;
        }
        Ok(call_id)
    }

    fn permit_facts(
        &self,
        campaign: CampaignId,
        leased: &LeasedContact,
        now_ms: u64,
    ) -> Option<PermitFacts> {
        let row = self.contacts.get(&leased.contact).filter(|row| row.campaign == campaign)?;
        let definition = self.campaigns.get(&campaign)?;
        let CampaignRules { window_minutes, utc_offset_min, retry, .. } = &definition.rules;
        Some(PermitFacts {
            running: definition.state == CampaignState::Running,
            lease_held: row.fence == leased.fence && row.state != ContactState::Ready,
            contact_final: row.state == ContactState::Final,
            already_dialling: row.state == ContactState::Dialling,
            attempts_so_far: row.attempts,
            attempts_max: retry.attempts_max,
            do_not_call: self.do_not_call.contains(&leased.number),
            window_open: calling_window::is_open(*window_minutes, *utc_offset_min, now_ms),
        })
    }

    /// What a start settles after the process has died; `sent` is what the side log proves, `None`
    /// when it proves nothing.
    pub fn recover(&mut self, sent: Option<&BTreeSet<AttemptId>>, now_ms: u64) -> Restored {
        for row in self.contacts.values_mut() {
            if matches!(row.state, ContactState::Leased(_)) {
                row.state = ContactState::Ready;
                row.fence += 1;
            }
        }
        let open = |row: &&mut Attempt| row.state == AttemptState::Dialling;
        let mut letters = Vec::new();
        for (id, attempt) in self.attempts.iter_mut().filter(|(_, row)| open(row)) {
            let Some(contact) = self.contacts.get_mut(&attempt.contact) else { continue };
            let Some(campaign) = self.campaigns.get(&attempt.campaign) else { continue };
            contact.fence += 1;
            if sent.is_some_and(|sent| !sent.contains(id)) {
                attempt.state = AttemptState::NotSent;
                contact.state = ContactState::Ready;
                contact.attempts = attempt.number - 1;
                continue;
            }
            let retry = campaign.rules.retry;
            let again = attempt.number < retry.attempts_max;
            attempt.state = AttemptState::Closed(Disposition::InDoubt);
            contact.disposition = Some(Disposition::InDoubt);
            contact.state = if again { ContactState::Ready } else { ContactState::Final };
            contact.next_wall_ms = now_ms + retry.in_doubt_after.as_millis() as u64;
            letters.push(format!("attempt-{id}-closed"));
        }
        self.letters.extend(letters);
        self.resume_promises();
        self.restored()
    }

    fn resume_promises(&mut self) {
        for promise in self.promises.values_mut() {
            match promise.state {
                CallbackState::Reserved => promise.tries += 1,
                CallbackState::Dialling => (),
                CallbackState::Promised
                | CallbackState::Kept
                | CallbackState::Broken
                | CallbackState::Cancelled => continue,
            }
            promise.state = CallbackState::Promised;
        }
    }

    fn restored(&self) -> Restored {
        let open = self.promises.values().filter(|promise| !promise.state.is_final());
        let mut promises: Vec<_> = open.cloned().collect();
        promises.sort_by_key(|promise| (promise.arrived_wall_ms, promise.id));
        let campaigns = self.campaigns.values().filter(|row| !row.state.is_final());
        Restored {
            promises,
            campaigns: campaigns.cloned().map(Arc::new).collect(),
            agents: self.agents.iter().map(|(id, state)| (id.clone(), state.clone())).collect(),
        }
    }
}
