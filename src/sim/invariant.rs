//! What must hold after every step, and what must be true when everything is over.

use crate::house::FAR;
use crate::ledger::{AttemptState, ContactState, Disk};
use crate::network::Datagram;
use bytes::Bytes;
use campaign::event::CampaignState;
use domain::id::{AgentId, AttemptId, CallId, ContactId, LegId, RequestId, TicketId};
use domain::now::Now;
use queue::dispatcher::Whereabouts;
use queue::event::{AgentState, CallbackState};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use switchboard::event::{Action, Fact, LegRole, Live, Reply};
use switchboard::exchange::{Effect, Exchange};
use switchboard::view::{Census, Stage};

/// How much happened in a run: a run in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Calls that began.
    pub calls: u64,
    /// Callers joined with agents.
    pub bridged: u64,
    /// Callers led through to somebody outside the queues.
    pub led_through: u64,
    /// INVITEs that reached a far carrier, repeated ones too.
    pub sent_onward: u64,
    /// Promises told to callers.
    pub promised: u64,
    /// Promises kept.
    pub kept: u64,
    /// Promises broken.
    pub broken: u64,
    /// INVITEs to contacts, each attempt once.
    pub dialled: u64,
    /// Agents rung.
    pub rung: u64,
    /// Attempts in doubt.
    pub in_doubt: u64,
    /// Crashes.
    pub crashes: u64,
    /// Orderly ends.
    pub drained: u64,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.bridged += other.bridged;
        self.led_through += other.led_through;
        self.sent_onward += other.sent_onward;
        self.promised += other.promised;
        self.kept += other.kept;
        self.broken += other.broken;
        self.dialled += other.dialled;
        self.rung += other.rung;
        self.in_doubt += other.in_doubt;
        self.crashes += other.crashes;
        self.drained += other.drained;
    }
}

/// Looks on.
#[derive(Default)]
pub struct Watch {
    violation: Option<String>,
    /// What is counted.
    pub counts: Counts,
    calls: BTreeMap<CallId, Arc<str>>,
    parties: BTreeMap<LegId, Arc<str>>,
    /// Numbers behind the far carriers that were reached, and at which of the two.
    reached: BTreeMap<String, SocketAddr>,
    /// Legs that began and are not yet on record.
    open_legs: BTreeSet<LegId>,
    /// All ever on record.
    recorded: BTreeSet<LegId>,
    requests: BTreeSet<RequestId>,
    /// Call-IDs under which a contact's attempt was dialled, as the carrier saw it.
    dialled: BTreeMap<(ContactId, u8), Arc<str>>,
    /// CSeq and branch of the INVITEs of a Call-ID.
    branches: BTreeMap<(Arc<str>, u32), String>,
    stalled: Option<(Instant, u32)>,
    /// Attempts noted in the side log.
    marked: BTreeSet<AttemptId>,
}

impl Watch {
    /// The first rule broken, if one was.
    pub fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    /// A rule is broken; the first one counts.
    pub fn broken(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// The number of the person at the other end of a call's first leg.
    pub fn party(&self, leg: LegId) -> Option<Arc<str>> {
        self.parties.get(&leg).cloned()
    }

    pub(crate) fn asked(&mut self, request: RequestId) {
        self.requests.insert(request);
    }

    pub(crate) fn replied(&mut self, request: RequestId, reply: &Reply) {
        if !self.requests.remove(&request) {
            self.broken(format!("request {request} was answered twice: {reply:?}"));
        }
    }

    /// The process is gone: what it had begun is nobody's any more.
    pub(crate) fn crash(&mut self) {
        self.counts.crashes += 1;
        self.calls.clear();
        self.parties.clear();
        self.open_legs.clear();
        self.requests.clear();
        self.stalled = None;
    }

    /// The process ends as it was told: with empty hands.
    pub(crate) fn drained(&mut self, census: Option<Census>) {
        self.counts.drained += 1;
        let left = census.filter(|it| it.calls + it.legs + it.tickets + it.permits > 0);
        if left.is_some() || !self.calls.is_empty() || !self.open_legs.is_empty() {
            self.broken(format!("drained with something in hand: {left:?}"));
        }
        self.requests.clear();
        self.stalled = None;
    }

    /// An effect is about to be performed.
    pub(crate) fn sees(&mut self, effect: &Effect, disk: &Disk, now: Now) {
        match effect {
            Effect::Transmit { message, .. } => self.sees_message(message, disk),
            Effect::Do(Action::Publish(live)) => self.sees_live(live, disk),
            Effect::Do(Action::Media(media::event::MediaCommand::Open { leg, .. })) => {
                if !self.open_legs.insert(*leg) || self.recorded.contains(leg) {
                    self.broken(format!("leg {leg} began twice"));
                }
            }
            Effect::Do(Action::TraceLeg { call, leg, who }) => {
                // The first leg of a call is its caller's; agents' come later.
                if !who.starts_with("agent")
                    && let Some(party) = self.calls.get(call)
                {
                    self.parties.insert(*leg, party.clone());
                }
            }
            Effect::Do(Action::Store { facts, .. }) => self.sees_facts(facts, now),
            Effect::Do(Action::MarkSent { attempt, .. }) => {
                self.marked.insert(*attempt);
            }
            Effect::Do(_)
            | Effect::Received { .. }
            | Effect::Expect { .. }
            | Effect::Close { .. } => (),
        }
    }

    fn sees_facts(&mut self, facts: &[Fact], now: Now) {
        for fact in facts {
            let Fact::Leg(record) = fact else { continue };
            let leg = record.leg;
            if !self.open_legs.remove(&leg) || !self.recorded.insert(leg) {
                self.broken(format!("leg {leg} is recorded twice, or never began"));
            }
            let answered = record.answered_wall_ms.unwrap_or(record.started_wall_ms);
            if !(record.started_wall_ms..=record.ended_wall_ms).contains(&answered)
                || record.ended_wall_ms > now.wall_ms
            {
                self.broken(format!("the times of leg {leg} are out of order: {record:?}"));
            }
        }
    }

    fn sees_live(&mut self, live: &Live, disk: &Disk) {
        match live {
            Live::CallStarted { call, role, from, to, .. } => {
                self.counts.calls += 1;
                let party = match role {
                    LegRole::Caller | LegRole::Agent => from,
                    LegRole::Callback | LegRole::Contact | LegRole::Callee => to,
                };
                let party = if party.is_empty() { "anonymous".into() } else { party.clone() };
                if self.calls.insert(*call, party).is_some() {
                    self.broken(format!("call {call} started twice"));
                }
            }
            Live::CallEnded { call, .. } => {
                let known = self.calls.remove(call).is_some();
                if !known {
                    self.broken(format!("call {call} ended twice, or never started"));
                }
            }
            Live::Said { text, .. } => self.hears_promise(text, disk),
            Live::AttemptClosed { attempt, .. } => {
                let row = disk.attempts.get(attempt);
                if !row.is_some_and(|row| matches!(row.state, AttemptState::Closed(_))) {
                    self.broken(format!("attempt {attempt} is told as closed and is {row:?}"));
                }
            }
            Live::Bridged { .. } => self.counts.bridged += 1,
            Live::Through { .. } => self.counts.led_through += 1,
            Live::AgentRung { .. } => self.counts.rung += 1,
            Live::CallbackChanged(promise) => match promise.state {
                CallbackState::Kept => self.counts.kept += 1,
                CallbackState::Broken => self.counts.broken += 1,
                _ => (),
            },
            _ => (),
        }
    }

    /// A promise is told: it must be on disk.
    fn hears_promise(&mut self, text: &str, disk: &Disk) {
        let Some((_, number)) = text.split_once("We will call you back at ") else { return };
        self.counts.promised += 1;
        let digits = spoken_digits(number);
        if !disk.promises.values().any(|promise| promise.number.digits() == digits) {
            self.broken(format!("a promise was told that is not on disk: {text}"));
        }
    }

    /// An INVITE of a campaign leaves: its attempt must be on disk as dialling.
    fn sees_message(&mut self, message: &Bytes, disk: &Disk) {
        let Some(invite) = Invite::read(message).filter(Invite::is_attempt) else { return };
        let on_disk = disk.attempts.iter().find(|(_, row)| *row.call_id == *invite.call_id);
        let Some((id, row)) = on_disk.filter(|(_, row)| row.state == AttemptState::Dialling) else {
            let what = format!("{} left without being on disk as dialling", invite.call_id);
            return self.broken(what);
        };
        if !self.marked.contains(id) {
            self.broken(format!("{} left before it was noted in the side log", invite.call_id));
        }
        let number = disk.contacts.get(&row.contact).map(|contact| &contact.number);
        if number.is_none_or(|number| disk.do_not_call.contains(number)) || row.number > 3 {
            self.broken(format!("{row:?} must not be called"));
        }
    }

    /// A far carrier says something: whoever was reached behind it is reached.
    pub(crate) fn far_says(&mut self, datagram: &Datagram) {
        if !FAR.contains(&datagram.from) || !datagram.message.starts_with(b"SIP/2.0 ") {
            return;
        }
        let Ok(text) = std::str::from_utf8(&datagram.message) else { return };
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let status = text.get(8..11).and_then(|status| status.parse::<u16>().ok());
        let invited = field("CSeq:").is_some_and(|cseq| cseq.ends_with("INVITE"));
        let reached = matches!(status, Some(180 | 200..=299 | 486 | 600 | 603 | 607 | 608));
        if let (true, true, Some(number)) = (invited, reached, field("To:").and_then(user)) {
            self.reached.insert(number.to_owned(), datagram.from);
        }
    }

    /// A datagram is about to reach a telephone other than the carrier: nobody whom one far carrier
    /// has reached is rung by the other. Each number there is called once only.
    pub(crate) fn far_sees(&mut self, datagram: &Datagram) {
        if !FAR.contains(&datagram.to) || Invite::read(&datagram.message).is_none() {
            return;
        }
        let Ok(text) = std::str::from_utf8(&datagram.message) else { return };
        let to = text.lines().find_map(|line| line.strip_prefix("To:"));
        let Some(number) = to.and_then(user) else { return };
        self.counts.sent_onward += 1;
        if let Some(other) = self.reached.get(number)
            && *other != datagram.to
        {
            self.broken(format!("{number} was reached at {other} and is rung at {}", datagram.to));
        }
    }

    /// A datagram reaches the carrier.
    pub(crate) fn carrier_sees(&mut self, message: &Bytes, disk: &Disk) {
        let Some(invite) = Invite::read(message) else { return };
        let key = (invite.call_id.clone(), invite.cseq);
        let branch = self.branches.entry(key).or_insert_with(|| invite.branch.clone());
        if *branch != invite.branch {
            self.broken(format!("{} was sent as two transactions", invite.call_id));
        }
        let Some(row) = disk.attempts.values().find(|row| *row.call_id == *invite.call_id) else {
            return;
        };
        let id = invite.call_id;
        let seen = self.dialled.entry((row.contact, row.number)).or_insert_with(|| {
            self.counts.dialled += 1;
            id.clone()
        });
        if *seen != id {
            let (contact, number) = (row.contact, row.number);
            self.broken(format!("attempt {number} at contact {contact} was dialled twice"));
        }
    }

    /// Whether no campaign will go on by itself.
    pub(crate) fn campaigns_rest(&self, disk: &Disk) -> bool {
        disk.campaigns.values().all(|campaign| campaign.state != CampaignState::Running)
    }

    pub(crate) fn after_step(&mut self, exchange: &Exchange, now: Now) {
        self.checks_deadline(exchange, now);
        self.checks_calls(exchange, now);
        self.checks_agents(exchange);
        let census = exchange.switchboard().census();
        if census.legs > 3 * census.calls.max(1) || census.calls > 100 || census.receipts > 200 {
            self.broken(format!("a list is out of bounds: {census:?}"));
        }
        if census.legs != self.open_legs.len() {
            self.broken(format!("{census:?}, but {} legs are open", self.open_legs.len()));
        }
    }

    /// Time must go on: no deadline is in the past, and none is handled again and again.
    fn checks_deadline(&mut self, exchange: &Exchange, now: Now) {
        let Some(at) = exchange.deadline().filter(|at| *at <= now.instant) else {
            self.stalled = None;
            return;
        };
        let times = match self.stalled {
            Some((since, times)) if since == at => times + 1,
            _ => 1,
        };
        self.stalled = Some((at, times));
        if times > 100 {
            self.broken(format!("a deadline stays in the past, by {:?}", now.instant - at));
        }
    }

    /// A ticket is in one place, and the queue and the call say the same place.
    fn checks_calls(&mut self, exchange: &Exchange, now: Now) {
        let switchboard = exchange.switchboard();
        let dispatcher = switchboard.dispatcher();
        let mut tickets: BTreeSet<TicketId> = BTreeSet::new();
        for view in switchboard.call_views() {
            let (ticket, expected) = match &view.stage {
                Stage::Setup { held: None }
                | Stage::Asking
                | Stage::Reaching
                | Stage::Through
                | Stage::Ending => continue,
                Stage::Setup { held: Some((ticket, agent)) }
                | Stage::RingingAgent { ticket, agent } => {
                    (*ticket, Whereabouts::Held(agent.clone()))
                }
                Stage::Waiting { ticket } => (*ticket, Whereabouts::Waiting),
                Stage::Bridged { ticket } => match dispatcher.whereabouts(*ticket) {
                    Some(talking @ Whereabouts::Talking(_)) => (*ticket, talking),
                    other => {
                        return self
                            .broken(format!("{view:?} talks, but the queue says {other:?}"));
                    }
                },
            };
            let place = dispatcher.whereabouts(ticket);
            if place.as_ref() != Some(&expected) {
                return self.broken(format!("{view:?}, but the queue says {place:?}"));
            }
            if !tickets.insert(ticket) {
                return self.broken(format!("ticket {ticket} belongs to two calls"));
            }
        }
        for rules in dispatcher.rules() {
            let idle = dispatcher.queue(&rules.id, now).is_some_and(|queue| queue.idle > 0);
            for ticket in dispatcher.waiting(&rules.id) {
                if idle && dispatcher.whereabouts(ticket.id) == Some(Whereabouts::Waiting) {
                    self.broken(format!("{ticket:?} waits beside a free agent"));
                }
                let promised = switchboard.callbacks().of_ticket(ticket.id).is_some();
                if !promised && !tickets.contains(&ticket.id) {
                    self.broken(format!("nobody holds {ticket:?}"));
                }
            }
        }
    }

    /// No agent has two calls, and each is where his ticket is.
    fn checks_agents(&mut self, exchange: &Exchange) {
        let switchboard = exchange.switchboard();
        let mut rung: BTreeSet<&AgentId> = BTreeSet::new();
        for (leg, agent) in switchboard.agent_legs() {
            if !rung.insert(agent) {
                self.broken(format!("agent {agent} has two calls; the second is leg {leg}"));
            }
        }
        let dispatcher = switchboard.dispatcher();
        for (agent, state) in dispatcher.agents() {
            let (ticket, expected) = match state {
                AgentState::Reserved { ticket } | AgentState::Ringing { ticket } => {
                    (*ticket, Whereabouts::Held(agent.clone()))
                }
                AgentState::Talking { ticket } => (*ticket, Whereabouts::Talking(agent.clone())),
                AgentState::LoggedOut
                | AgentState::Available { .. }
                | AgentState::WrapUp
                | AgentState::Paused { .. } => continue,
            };
            let place = dispatcher.whereabouts(ticket);
            if place != Some(expected) {
                self.broken(format!("agent {agent} is {state:?}, his ticket is {place:?}"));
            }
        }
    }

    /// Everything is over: nothing may be left, and nothing may be lost.
    pub(crate) fn at_end(&mut self, exchange: Option<&Exchange>, disk: &Disk, ports: usize) {
        let Some(exchange) = exchange else {
            return self.broken("the run ended without an exchange".to_owned());
        };
        let census = exchange.switchboard().census();
        let endpoint = exchange.endpoint();
        if census != Census::default() || ports != 0 {
            self.broken(format!("left over: {census:?}, {ports} ports"));
        }
        if endpoint.legs() != 0 || endpoint.transactions() != 0 {
            let (legs, transactions) = (endpoint.legs(), endpoint.transactions());
            self.broken(format!("left over in SIP: {legs} legs, {transactions} transactions"));
        }
        if !self.calls.is_empty() || !self.open_legs.is_empty() || !self.requests.is_empty() {
            let (calls, legs) = (&self.calls, &self.open_legs);
            let what = format!("never over: {calls:?}, {legs:?}, requests {:?}", self.requests);
            self.broken(what);
        }
        self.checks_disk(disk);
    }

    fn checks_disk(&mut self, disk: &Disk) {
        for promise in disk.promises.values() {
            let letter = format!("callback-{}-{:?}", promise.id, promise.state);
            let told = disk.letters.contains(&letter);
            if promise.tries > 3 {
                self.broken(format!("a promise was tried too often: {promise:?}"));
            }
            if !promise.state.is_final() || !(told || promise.state == CallbackState::Cancelled) {
                self.broken(format!("a promise is lost: {promise:?}"));
            }
        }
        for (id, contact) in &disk.contacts {
            let state = disk.campaigns.get(&contact.campaign).map(|campaign| campaign.state);
            let rests = matches!(state, Some(CampaignState::Cancelled | CampaignState::Paused));
            match contact.state {
                ContactState::Final => (),
                ContactState::Ready if rests => (),
                _ => self.broken(format!("contact {id} is lost: {contact:?} ({state:?})")),
            }
        }
        for (id, attempt) in &disk.attempts {
            if attempt.state == AttemptState::Dialling {
                self.broken(format!("attempt {id} was never closed: {attempt:?}"));
            }
            if attempt.state == AttemptState::Closed(campaign::event::Disposition::InDoubt) {
                self.counts.in_doubt += 1;
            }
        }
        for leg in &self.recorded {
            if !disk.legs.contains_key(leg) && self.counts.crashes == 0 {
                self.violation.get_or_insert(format!("the record of leg {leg} is not on disk"));
            }
        }
    }
}

/// The user part of the URI in a From or To.
fn user(value: &str) -> Option<&str> {
    value.split_once("sip:")?.1.split('@').next()
}

/// What of an INVITE matters here.
struct Invite {
    call_id: Arc<str>,
    cseq: u32,
    branch: String,
}

impl Invite {
    /// Reads a first INVITE (no tag in To).
    fn read(message: &Bytes) -> Option<Self> {
        if !message.starts_with(b"INVITE ") {
            return None;
        }
        let text = std::str::from_utf8(message).ok()?;
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line[name.len()..].trim())
        };
        if field("To:")?.contains(";tag=") {
            return None;
        }
        let branch = field("Via:")?.split("branch=").nth(1)?;
        Some(Self {
            call_id: field("Call-ID:")?.into(),
            cseq: field("CSeq:")?.split(' ').next()?.parse().ok()?,
            branch: branch.split(';').next()?.to_owned(),
        })
    }

    fn is_attempt(&self) -> bool {
        self.call_id.starts_with("attempt-")
    }
}

/// The digits in a text that writes them as figures or as words.
fn spoken_digits(text: &str) -> String {
    const WORDS: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let words = text.split(|it: char| !it.is_alphanumeric());
    let digits = words.map(|word| match WORDS.iter().position(|name| *name == word) {
        Some(digit) => digit.to_string(),
        None => word.chars().filter(char::is_ascii_digit).collect(),
    });
    digits.collect()
}
