//! What is going on now: calls, agents, queues and campaigns, as the events tell it.
//!
//! Written by one task (the signalling loop, through [`LiveViews::apply`]), read by many; a read
//! never enters the signalling loop. No reference into a map is held over an `.await`.

use campaign::event::CampaignState;
use dashmap::DashMap;
use domain::id::{AgentId, CallId, CampaignId, QueueId, TenantId, TrunkId};
use queue::event::{AgentState, QueueRules};
use std::sync::Arc;
use switchboard::event::{LegRole, Live};
use trunk::health::traffic::Figures;

/// Calls shown at once; the exchange admits fewer. Beyond it a call is missing from the view only.
const CALLS_MAX: usize = 100_000;

/// What a call is at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// In a conversation with the program.
    Conversing,
    /// Waiting in a queue.
    Waiting {
        /// Which.
        queue: QueueId,
        /// Since when (Unix milliseconds).
        since_wall_ms: u64,
        /// How many were before it when last told.
        position: u32,
        /// Estimated wait when last told, in seconds.
        estimate_s: Option<u32>,
        /// Who is being rung for it.
        ringing: Option<AgentId>,
    },
    /// Talking with an agent.
    Talking {
        /// Who.
        agent: AgentId,
        /// Since when (Unix milliseconds).
        since_wall_ms: u64,
    },
    /// Led through to somebody outside the queues.
    Through {
        /// Since when (Unix milliseconds).
        since_wall_ms: u64,
    },
}

/// A call that is up or being set up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveCall {
    /// Whose.
    pub tenant: TenantId,
    /// How it began.
    pub role: LegRole,
    /// Who called.
    pub from: Arc<str>,
    /// Who was called.
    pub to: Arc<str>,
    /// When (Unix milliseconds).
    pub started_wall_ms: u64,
    /// The intent last understood.
    pub intent: Option<Arc<str>>,
    /// What it is at.
    pub stage: Stage,
}

/// An agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveAgent {
    /// What he does.
    pub state: AgentState,
    /// Since when (Unix milliseconds).
    pub since_wall_ms: u64,
    /// The queues he serves.
    pub queues: Vec<Arc<str>>,
}

/// A queue and what it has done since the start of the program.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveQueue {
    /// How many callers may wait.
    pub length_max: u32,
    /// Its agents.
    pub agents: Vec<Arc<str>>,
    /// What was last said through the API; `None`: by its hours.
    pub set_open: Option<bool>,
    /// Callers who were let in.
    pub admitted: u64,
    /// Callers who were refused.
    pub refused: u64,
    /// Callers who were joined with an agent.
    pub answered: u64,
    /// Of them those who waited 20 s or less.
    pub answered_in_20_s: u64,
    /// Callers who left before.
    pub abandoned: u64,
    /// All waits that ended with an agent, in milliseconds.
    pub waited_ms: u64,
}

/// A campaign that has changed since the start of the program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveCampaign {
    /// Whose.
    pub tenant: TenantId,
    /// Where it stands.
    pub state: CampaignState,
    /// Attempts closed since the start of the program.
    pub attempts_closed: u64,
}

/// How a trunk stands; told once a second.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveTrunk {
    /// `up`, `degraded` or `down`.
    pub state: &'static str,
    /// Why; empty when it is up.
    pub why: Arc<str>,
    /// `registered` or `not registered`; `None`: it wants no registration.
    pub registration: Option<&'static str>,
    /// Why it is not registered; empty when it is, or need not be.
    pub registration_why: Arc<str>,
    /// Calls that we began within the last second, and how many there may be.
    pub calls_per_second: u32,
    /// See `calls_per_second`.
    pub calls_per_second_max: u32,
    /// Calls now, both ways, and how many there may be.
    pub channels: u32,
    /// See `channels`.
    pub channels_max: u32,
    /// How its calls have gone of late.
    pub figures: Figures,
}

/// Who waits in a queue now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Waiting {
    /// How many.
    pub callers: u32,
    /// Since when the first of them (Unix milliseconds).
    pub oldest_since_wall_ms: Option<u64>,
}

/// All live views.
#[derive(Debug, Default)]
pub struct LiveViews {
    /// By id.
    pub calls: DashMap<CallId, LiveCall>,
    /// By name; only configured ones.
    pub agents: DashMap<AgentId, LiveAgent>,
    /// By name; only configured ones.
    pub queues: DashMap<QueueId, LiveQueue>,
    /// By name; only configured ones.
    pub trunks: DashMap<TrunkId, LiveTrunk>,
    /// By id.
    pub campaigns: DashMap<CampaignId, LiveCampaign>,
}

impl LiveViews {
    /// Views of the configured queues and their agents; every agent is logged out at first.
    pub fn configured<'a>(queues: impl IntoIterator<Item = &'a QueueRules>) -> Self {
        let views = Self::default();
        for rules in queues {
            let agents = rules.agents.iter().map(|agent| agent.name.clone()).collect();
            let queue = LiveQueue { length_max: rules.length_max, agents, ..LiveQueue::default() };
            views.queues.insert(rules.id.clone(), queue);
            for agent in &rules.agents {
                let mut agent = views.agents.entry(agent.clone()).or_insert_with(|| LiveAgent {
                    state: AgentState::LoggedOut,
                    since_wall_ms: 0,
                    queues: Vec::new(),
                });
                agent.queues.push(rules.id.name.clone());
            }
        }
        views
    }

    /// Whose event it is; `None` when its call is not known (it has ended, or never began).
    pub fn tenant_of(&self, live: &Live) -> Option<TenantId> {
        match live {
            Live::CallStarted { tenant, .. }
            | Live::CallEnded { tenant, .. }
            | Live::CampaignChanged { tenant, .. }
            | Live::AttemptClosed { tenant, .. } => Some(tenant.clone()),
            Live::AgentChanged { agent, .. } => Some(agent.tenant.clone()),
            Live::TrunkChanged { trunk, .. } => Some(trunk.tenant.clone()),
            Live::CallbackChanged(promise) => Some(promise.queue.tenant.clone()),
            Live::Heard { call, .. }
            | Live::Key { call, .. }
            | Live::Understood { call, .. }
            | Live::Said { call, .. }
            | Live::Queued { call, .. }
            | Live::QueueRefused { call, .. }
            | Live::AgentRung { call, .. }
            | Live::Bridged { call, .. }
            | Live::Through { call, .. } => self.calls.get(call).map(|found| found.tenant.clone()),
        }
    }

    /// Brings the views to what the event says; `wall_ms` is the turn's time.
    pub fn apply(&self, live: &Live, wall_ms: u64) {
        match live {
            Live::CallStarted { call, tenant, role, from, to } => {
                if self.calls.len() < CALLS_MAX {
                    let call_now = LiveCall {
                        tenant: tenant.clone(),
                        role: *role,
                        from: from.clone(),
                        to: to.clone(),
                        started_wall_ms: wall_ms,
                        intent: None,
                        stage: Stage::Conversing,
                    };
                    self.calls.insert(*call, call_now);
                }
            }
            Live::Understood { call, understanding } => {
                if let Some(mut call) = self.calls.get_mut(call) {
                    call.intent = understanding.intent.clone();
                }
            }
            Live::Queued { call, queue, position, estimate_s } => {
                self.queued(*call, queue, *position, *estimate_s, wall_ms);
            }
            Live::QueueRefused { call, queue, .. } => self.refused(*call, queue),
            Live::AgentRung { call, agent } => {
                if let Some(mut call) = self.calls.get_mut(call)
                    && let Stage::Waiting { ringing, .. } = &mut call.stage
                {
                    *ringing = Some(agent.clone());
                }
            }
            Live::Bridged { call, agent } => self.bridged(*call, agent, wall_ms),
            Live::Through { call, .. } => {
                if let Some(mut call) = self.calls.get_mut(call) {
                    call.stage = Stage::Through { since_wall_ms: wall_ms };
                }
            }
            Live::CallEnded { call, .. } => self.ended(*call),
            Live::AgentChanged { agent, state } => {
                if let Some(mut known) = self.agents.get_mut(agent) {
                    known.state = state.clone();
                    known.since_wall_ms = wall_ms;
                }
            }
            Live::CampaignChanged { campaign, tenant, state } => {
                self.campaign(*campaign, tenant, |known| known.state = *state);
            }
            Live::AttemptClosed { campaign, tenant, .. } => {
                self.campaign(*campaign, tenant, |known| known.attempts_closed += 1);
            }
            // They change no figure here.
            Live::Heard { .. } | Live::Key { .. } | Live::Said { .. } => (),
            Live::CallbackChanged(_) | Live::TrunkChanged { .. } => (),
        }
    }

    /// Who waits in which queue; one pass over the calls.
    pub fn waiting(&self, queue: &QueueId) -> Waiting {
        let mut waiting = Waiting::default();
        for call in &self.calls {
            if let Stage::Waiting { queue: other, since_wall_ms, .. } = &call.stage
                && other == queue
            {
                waiting.callers += 1;
                let oldest = waiting.oldest_since_wall_ms.get_or_insert(*since_wall_ms);
                *oldest = (*oldest).min(*since_wall_ms);
            }
        }
        waiting
    }

    fn queued(&self, id: CallId, queue: &QueueId, position: u32, estimate_s: Option<u32>, at: u64) {
        let Some(mut call) = self.calls.get_mut(&id) else { return };
        // The place is announced again and again; only the first time is an arrival.
        let (since_wall_ms, ringing) = match &call.stage {
            Stage::Waiting { queue: same, since_wall_ms, ringing, .. } if same == queue => {
                (*since_wall_ms, ringing.clone())
            }
            Stage::Waiting { .. }
            | Stage::Conversing
            | Stage::Talking { .. }
            | Stage::Through { .. } => {
                self.count(queue, |queue| queue.admitted += 1);
                (at, None)
            }
        };
        let queue = queue.clone();
        call.stage = Stage::Waiting { queue, since_wall_ms, position, estimate_s, ringing };
    }

    fn refused(&self, call: CallId, queue: &QueueId) {
        self.count(queue, |queue| queue.refused += 1);
        if let Some(mut call) = self.calls.get_mut(&call) {
            call.stage = Stage::Conversing;
        }
    }

    fn bridged(&self, call: CallId, agent: &AgentId, at: u64) {
        let Some(mut call) = self.calls.get_mut(&call) else { return };
        if let Stage::Waiting { queue, since_wall_ms, .. } = &call.stage {
            let waited_ms = at.saturating_sub(*since_wall_ms);
            self.count(queue, |queue| {
                queue.answered += 1;
                queue.answered_in_20_s += u64::from(waited_ms <= 20_000);
                queue.waited_ms += waited_ms;
            });
        }
        call.stage = Stage::Talking { agent: agent.clone(), since_wall_ms: at };
    }

    fn ended(&self, call: CallId) {
        if let Some((_, call)) = self.calls.remove(&call)
            && let Stage::Waiting { queue, .. } = &call.stage
        {
            self.count(queue, |queue| queue.abandoned += 1);
        }
    }

    fn count(&self, queue: &QueueId, change: impl FnOnce(&mut LiveQueue)) {
        if let Some(mut queue) = self.queues.get_mut(queue) {
            change(&mut queue);
        }
    }

    fn campaign(&self, id: CampaignId, tenant: &TenantId, change: impl FnOnce(&mut LiveCampaign)) {
        let mut known = self.campaigns.entry(id).or_insert_with(|| LiveCampaign {
            tenant: tenant.clone(),
            // An attempt closes only in a campaign that has been started.
            state: CampaignState::Running,
            attempts_closed: 0,
        });
        change(&mut known);
    }
}

#[cfg(test)]
mod tests;
