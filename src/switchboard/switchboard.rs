//! The machine that holds the whole state of the exchange: it is what the simulator drives and what
//! a restart rebuilds. Each event is handed to its owner; what the owners want of one another goes
//! through one first-in-first-out list, so that none calls another.
//!
//! ```text
//!   Event ─► handle ─► legs · talk · queueing · callback · outbound · transit · command ─► Action
//!                          ▲                                                  │
//!                          └────────────────────── Inner ◄────────────────────┘
//! ```

use crate::call::{Call, Leg, Ring};
use crate::decisions::RefusalRate;
use crate::event::{Action, Command, Event, Live, Reply, Restored};
use crate::journal::{Journal, Waiting};
use crate::outbound::{Obstacle, Permit};
use crate::rules::Rules;
use crate::verification::Held;
use campaign::campaign::Campaign;
use domain::cause::Cause;
use domain::id::{
    AgentId, AttemptId, CallId, CallbackId, CampaignId, IdSource, LegId, RequestId, TicketId,
};
use domain::ip_version::IpVersion;
use domain::now::Now;
use domain::timers::TimerQueue;
use queue::callback::Callbacks;
use queue::dispatcher::Dispatcher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use trunk::trunks::Trunks;

use crate::event::CampaignDefinition;
use campaign::event::{CampaignState, LeasedContact};

/// The exchange.
pub struct Switchboard {
    pub(crate) rules: Rules,
    pub(crate) ids: IdSource,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) legs: BTreeMap<LegId, Leg>,
    /// Tickets of callers on the line, and of promises once their call exists.
    pub(crate) tickets: BTreeMap<TicketId, CallId>,
    /// Tickets of promises.
    pub(crate) callback_tickets: BTreeMap<TicketId, CallbackId>,
    /// Agents held for promises whose dialling has not begun.
    pub(crate) reserved: BTreeMap<TicketId, Ring>,
    pub(crate) dispatcher: Dispatcher,
    /// Agents whose telephone is registered, and which version of IP it speaks.
    pub(crate) phones: BTreeMap<AgentId, IpVersion>,
    pub(crate) callbacks: Callbacks,
    pub(crate) campaigns: BTreeMap<CampaignId, RunningCampaign>,
    /// Attempts whose permit is on its way.
    pub(crate) permits: BTreeMap<AttemptId, Permit>,
    /// Calls that wait for the verdict on their caller's number.
    pub(crate) unverified: BTreeMap<LegId, Held>,
    /// Where the trunks are, and how they do.
    pub(crate) carriers: Trunks,
    pub(crate) journal: Journal,
    /// Legs of calls led through that have not answered, by whom they call: what comes in again
    /// while it is here is a loop.
    pub(crate) reaching: BTreeMap<Arc<str>, BTreeSet<LegId>>,
    pub(crate) refusals: RefusalRate,
    pub(crate) timers: TimerQueue<Timer>,
    pub(crate) inner: VecDeque<Inner>,
    draining: bool,
    drained: bool,
}

/// A campaign with what its maker said of it.
pub(crate) struct RunningCampaign {
    pub(crate) machine: Campaign,
    pub(crate) definition: Arc<CampaignDefinition>,
    /// The message as a flow, built once.
    pub(crate) flow: Arc<ivr::flow::Flow>,
    /// Who waits for the state to be on disk.
    pub(crate) request: Option<RequestId>,
    /// Why no trunk took its last attempt, as it was last kept.
    pub(crate) obstacle: Option<Obstacle>,
}

impl RunningCampaign {
    /// Whether nothing of it is left: cancelled, and its last call is over.
    pub(crate) fn is_over(&self) -> bool {
        let machine = &self.machine;
        machine.state() == CampaignState::Cancelled
            && machine.leased() == 0
            && machine.in_flight() == 0
    }
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) enum Timer {
    Queues,
    Callbacks,
    Campaign(CampaignId),
    Conversation(CallId),
    CallTooLong(CallId),
    Port(LegId),
    Verdict(LegId),
    Carriers,
}

/// What one owner wants of another.
#[derive(Debug)]
pub(crate) enum Inner {
    Talk(CallId, ivr::event::Event),
    Queue(queue::event::Event),
    Callback(queue::callback::Event),
    Campaign(CampaignId, campaign::event::Event),
    Originate(CampaignId, AttemptId, LeasedContact),
    /// A leg ended before anything of it was sent.
    LegOver(LegId, Cause),
}

impl Switchboard {
    /// An exchange with nothing going on. `ids` must give numbers never used before.
    pub fn new(rules: Rules, mut ids: IdSource) -> Self {
        // Nothing secret hangs on it: jitter, and the choice among equal targets.
        let carriers = Trunks::new(rules.carriers.clone(), ids.next_number());
        Self {
            dispatcher: Dispatcher::new(rules.queues.clone()),
            phones: BTreeMap::new(),
            callbacks: Callbacks::new(rules.callbacks.clone()),
            journal: Journal::new(),
            carriers,
            rules,
            ids,
            calls: BTreeMap::new(),
            legs: BTreeMap::new(),
            tickets: BTreeMap::new(),
            callback_tickets: BTreeMap::new(),
            reserved: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            permits: BTreeMap::new(),
            reaching: BTreeMap::new(),
            refusals: RefusalRate::default(),
            unverified: BTreeMap::new(),
            timers: TimerQueue::default(),
            inner: VecDeque::new(),
            draining: false,
            drained: false,
        }
    }

    /// Takes up what the store handed back at the start.
    pub fn restore(&mut self, restored: Restored, now: Now, out: &mut Vec<Action>) {
        self.carriers(trunk::event::Event::Start, now, out);
        self.take_up(restored, now, out);
        self.turn(now, out);
    }

    /// Takes one event and everything that follows from it at once.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        match event {
            Event::Leg(event) => {
                self.watch(&event, now, out);
                self.handle_leg(event, now, out);
            }
            Event::Media(event) => self.handle_media(event, now, out),
            Event::Heard { leg, order, transcript } => {
                self.heard(leg, order, transcript, out);
            }
            Event::NotHeard { leg, order } => {
                if let Some(call) = self.legs.get(&leg).map(|leg| leg.call) {
                    self.inner.push_back(Inner::Talk(call, ivr::event::Event::NotHeard { order }));
                }
            }
            Event::Understood { call, order, understanding } => {
                self.understood(call, order, understanding, out);
            }
            Event::Verified { leg, verdict } => self.verified(leg, verdict, now, out),
            Event::Fetched { call, order, result } => self.fetched(call, order, result),
            Event::Stored(token) => {
                if let Some(waiting) = self.journal.settled(token) {
                    self.stored(waiting, now, out);
                }
            }
            Event::NotStored { token, reason } => {
                if let Some(waiting) = self.journal.settled(token) {
                    self.not_stored(waiting, reason, out);
                }
            }
            Event::Claimed { campaign, contacts, next_due_wall_ms } => {
                self.claimed(campaign, contacts, next_due_wall_ms, out);
            }
            Event::Permitted { attempt, call_id } => self.permitted(attempt, call_id),
            Event::PermitRefused { attempt, .. } => self.permit_refused(attempt, now, out),
            Event::PermitFailed { attempt } => self.permit_failed(attempt, now, out),
            Event::StoreHealth { works } => self.store_health(works),
            Event::Command { request, command } => self.command(request, command, now, out),
            Event::Trunk(event) => self.trunk_event(event, now, out),
            Event::Located { question, answer } => {
                self.carriers(trunk::event::Event::Located { question, answer }, now, out);
            }
            Event::Drain => {
                self.drain();
                self.carriers(trunk::event::Event::Drain, now, out);
            }
        }
        self.turn(now, out);
    }

    /// Takes every deadline that has come.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some(timer) = self.timers.expire(now.instant) {
            match timer {
                Timer::Queues => self.queues_deadline(now, out),
                Timer::Callbacks => self.callbacks_deadline(now, out),
                Timer::Campaign(campaign) => self.campaign_deadline(campaign, now, out),
                Timer::Conversation(call) => self.conversation_deadline(call, now, out),
                Timer::CallTooLong(call) => self.call_too_long(call, out),
                Timer::Carriers => self.carriers_deadline(now, out),
                Timer::Port(leg) => self.sound_failed(leg, now, out),
                Timer::Verdict(leg) => self.verdict_overdue(leg, now, out),
            }
            self.turn(now, out);
        }
    }

    /// When `handle_deadline` is wanted next.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// How many calls there are.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// The queues and agents, to be looked at.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// The promises, to be looked at.
    pub fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Runs the list of what the owners want of one another until it is empty. It is bounded: each
    /// entry moves a machine forward, and none of them moves in circles within one instant.
    fn turn(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some(inner) = self.inner.pop_front() {
            match inner {
                Inner::Talk(call, event) => self.talk(call, event, now, out),
                Inner::Queue(event) => self.queue(event, now, out),
                Inner::Callback(event) => self.callback(event, now, out),
                Inner::Campaign(campaign, event) => self.campaign(campaign, event, now, out),
                Inner::Originate(campaign, attempt, contact) => {
                    self.originate(campaign, attempt, contact, now, out);
                }
                Inner::LegOver(leg, cause) => self.signalling_over(leg, cause, now, out),
            }
        }
        let idle = self.calls.is_empty() && self.permits.is_empty() && self.unverified.is_empty();
        if self.draining && !self.drained && idle {
            self.drained = true;
            out.push(Action::Drained);
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        for campaign in self.campaigns.keys() {
            self.inner.push_back(Inner::Campaign(*campaign, campaign::event::Event::Drain));
        }
    }

    fn command(&mut self, request: RequestId, command: Command, now: Now, out: &mut Vec<Action>) {
        // Without one, the reply follows once the disk has what was asked.
        if let Some(reply) = self.obey(request, command, now, out) {
            out.push(Action::Reply { request, reply });
        }
    }

    fn stored(&mut self, waiting: Waiting, now: Now, out: &mut Vec<Action>) {
        match waiting {
            Waiting::Promise { call, promise } => self.promise_stored(call, *promise, now, out),
            Waiting::Request(request) => out.push(Action::Reply { request, reply: Reply::Done }),
            Waiting::Attempt { campaign, attempt, closed } => {
                let event = match closed {
                    Some(live) => {
                        out.push(Action::Publish(*live));
                        campaign::event::Event::Closed { attempt }
                    }
                    None => campaign::event::Event::Unsent { attempt },
                };
                self.inner.push_back(Inner::Campaign(campaign, event));
            }
        }
    }

    fn not_stored(&mut self, waiting: Waiting, reason: Arc<str>, out: &mut Vec<Action>) {
        match waiting {
            Waiting::Promise { call, promise } => {
                self.promise_not_stored(call, promise.id, reason);
            }
            Waiting::Request(request) => {
                out.push(Action::Reply { request, reply: Reply::StoreFailed { reason } });
            }
            // Stored patiently: only a closed store refuses it, and a restart settles it as in doubt.
            Waiting::Attempt { .. } => (),
        }
    }

    fn store_health(&mut self, works: bool) {
        self.journal.set_works(works);
        for campaign in self.campaigns.keys() {
            let event = match works {
                true => campaign::event::Event::StoreRecovered,
                false => campaign::event::Event::StoreFailed,
            };
            self.inner.push_back(Inner::Campaign(*campaign, event));
        }
    }

    pub(crate) fn publish_started(&self, call: &Call, leg: &Leg, out: &mut Vec<Action>) {
        out.push(Action::Publish(Live::CallStarted {
            call: call.id,
            tenant: call.tenant.clone(),
            role: call.first_role(),
            from: leg.from.clone(),
            to: leg.to.clone(),
        }));
    }
}

#[cfg(test)]
mod tests;
