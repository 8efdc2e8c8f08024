//! The one match over everything the exchange wants done: every effect of the program is a line of
//! it. Nothing here waits; what takes time is handed on and comes back as an event.

use crate::config::Records;
use crate::fetch::Fetcher;
use crate::intents::Intents;
use crate::media_worker::MediaWorkers;
use crate::memory::Memory;
use crate::net::figures::Loss;
use crate::net::resolve::Resolver;
use crate::net::streams::Streams;
use crate::net::udp::Datagrams;
use crate::prompts::{ClipsReady, Prompts};
use crate::replies::Replies;
use crate::signalling::Inbox;
use crate::stir::Verifier;
use crate::telemetry::trunks;
use crate::telemetry::wire::Wire;
use crate::telemetry::{self, Sources};
use crate::trace::{Record, Trace};
use bytes::Bytes;
use domain::id::{AttemptId, CallId, CampaignId, LegId, OrderId, Token};
use domain::now::Now;
use domain::prompt::{Hearing, Prompt};
use media::event::{ListenRule, MediaCommand, MediaEvent};
use sip::event::{Flow, Transport};
use speech::recognizer::Recognizer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use store::claim::{Claim, Return};
use store::fact::StoreFacts;
use store::ledger::Ledger;
use store::permit::{Permit, PermitDecision};
use switchboard::event::{Action, Event, Fact, Live};
use switchboard::exchange::{Effect, Exchange, Input};
use tokio::sync::broadcast;

/// Everything effects need.
pub struct Performer {
    /// The SIP datagram sockets.
    pub datagrams: Arc<Datagrams>,
    /// SIP over streams.
    pub streams: Streams,
    /// RTP.
    pub media: MediaWorkers,
    /// Facts.
    pub ledger: Ledger,
    /// Messages and decisions.
    pub trace: Trace,
    /// What is written of each call.
    pub records: Records,
    /// What is said.
    pub prompts: Prompts,
    /// What is heard.
    pub recognizer: Arc<Recognizer>,
    /// What it means.
    pub intents: Intents,
    /// Self-service.
    pub fetcher: Fetcher,
    /// Whether callers' numbers are true.
    pub verifier: Verifier,
    /// DNS.
    pub resolver: Resolver,
    /// The API: views, events and figures.
    pub api: api::state::Shared,
    /// For whoever watches within the program (the demo).
    pub live: broadcast::Sender<Live>,
    /// API requests waiting for a reply.
    pub replies: Replies,
    /// Where results come back.
    pub inbox: Inbox,
    /// What failed at once.
    pub failed: VecDeque<Input>,
    /// The message that this turn received.
    pub received: Option<(Flow, Bytes)>,
    /// Memory given back.
    pub memory: Memory,
    /// What is (about to be) playing.
    pub playing: BTreeMap<LegId, OrderId>,
    /// Legs whose side-log entry could not be written: nothing of them is sent.
    pub withheld: BTreeSet<LegId>,
    /// Messages counted.
    pub wire: Wire,
    /// One span per call, for the log.
    pub spans: BTreeMap<CallId, tracing::Span>,
    /// Set once the loop is to end.
    pub done: bool,
}

impl Performer {
    /// Whether the loop is to end.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Ends the loop.
    pub fn stop(&mut self) {
        self.done = true;
    }

    /// Performs one effect.
    pub fn perform(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Transmit { flow, message, leg } => self.transmit(flow, message, leg, now),
            Effect::Received { leg } => {
                if let Some((flow, message)) = self.received.clone() {
                    self.wire.answered(leg, &message, now.instant);
                    let record = Record::Message { leg: Some(leg), sent: false, flow, message };
                    self.trace.record(now.wall_ms, record);
                }
            }
            Effect::Expect { flow, trunk, host } => self.streams.expect(flow.remote, trunk, host),
            Effect::Close { flow } => self.streams.close(&flow),
            Effect::Do(action) => self.act(action, now),
        }
    }

    fn act(&mut self, action: Action, now: Now) {
        match action {
            // The exchange gives these to its endpoint.
            Action::Leg(_) => (),
            Action::Media(command) => self.command_media(command),
            Action::Play { leg, order, prompts, repeat } => self.play(leg, order, prompts, repeat),
            Action::Listen { leg, order, rule, hearing } => self.listen(leg, order, rule, hearing),
            Action::Classify { call, order, intents, text } => {
                self.intents.classify(call, order, intents, text);
            }
            Action::Verify { leg, call } => self.verifier.verify(leg, call),
            Action::Fetch { call, order, request } => self.fetcher.fetch(call, order, request),
            Action::Store { token, facts, patient } => self.store(token, facts, patient),
            Action::Claim { campaign, count } => self.claim(campaign, count),
            Action::Permit { campaign, attempt, contact } => {
                self.permit(Permit { campaign, attempt, contact });
            }
            Action::Return { campaign, contacts } => {
                // If it is refused, the leases run out by themselves.
                let _ = self.ledger.submit(Return { campaign, contacts }, |_| ());
            }
            Action::MarkSent { attempt, leg } => self.mark_sent(attempt, leg),
            Action::TraceLeg { call, leg, who } => {
                self.trace.record(now.wall_ms, Record::Leg { call, leg, who });
            }
            Action::Note { call, what, why } => {
                // With what a caller said or keyed in: that is for the trace, which is bounded and
                // its owner's, and for the log only on demand.
                let decided = || tracing::debug!(what = &*what, why = &*why, "decided");
                match self.spans.get(&call) {
                    Some(span) => span.in_scope(decided),
                    None => tracing::debug_span!("call", %call).in_scope(decided),
                }
                self.trace.record(now.wall_ms, Record::Note { call, what, why });
            }
            Action::Publish(live) => self.publish(live, now),
            Action::Reply { request, reply } => self.replies.answer(request, reply),
            // The exchange gives these to its endpoint.
            Action::Trunk(_) => (),
            Action::Resolve(question) => self.resolver.resolve(question),
            Action::Drained => self.done = true,
        }
    }

    /// A message that no leg knows (REGISTER, OPTIONS, what was refused) was received: the collector
    /// gets a copy.
    pub fn received_of_no_leg(&mut self, flow: Flow, message: Bytes, now: Now) {
        self.received = None;
        if self.trace.exports() {
            let record = Record::Message { leg: None, sent: false, flow, message };
            self.trace.record(now.wall_ms, record);
        }
    }

    fn transmit(&mut self, flow: Flow, message: Bytes, leg: Option<LegId>, now: Now) {
        if leg.is_some_and(|leg| self.withheld.contains(&leg)) {
            return;
        }
        self.wire.sent(flow.transport, &message);
        if let Some(leg) = leg {
            self.wire.asked(leg, &message, now.instant);
        }
        if leg.is_some() || self.trace.exports() {
            let record = Record::Message { leg, sent: true, flow, message: message.clone() };
            self.trace.record(now.wall_ms, record);
        }
        let sent = match flow.transport {
            Transport::Udp => match self.datagrams.send(flow.local, flow.remote, &message) {
                Ok(()) => true,
                Err(error) => {
                    self.streams.figures().count(Loss::Datagram);
                    // A full buffer is a lost datagram: the transaction's timers repeat it.
                    error.kind() == std::io::ErrorKind::WouldBlock
                }
            },
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.streams.send(flow, message.clone())
            }
        };
        if !sent {
            self.failed.push_back(Input::Unsent { message });
        }
    }

    fn command_media(&mut self, command: MediaCommand) {
        match &command {
            MediaCommand::StopPlayback { leg } => self.forget_playing(*leg),
            MediaCommand::Close { leg } => {
                self.forget_playing(*leg);
                self.withheld.remove(leg);
                self.recognizer.forget(*leg);
                self.wire.forget(*leg);
            }
            MediaCommand::Bridge { a, b } => {
                self.forget_playing(*a);
                self.forget_playing(*b);
            }
            _ => (),
        }
        self.media.send(command);
    }

    fn play(&mut self, leg: LegId, order: OrderId, prompts: Vec<Prompt>, repeat: bool) {
        match self.prompts.cached(&prompts) {
            Some(clips) => {
                self.playing.remove(&leg);
                self.media.send(MediaCommand::Play { leg, order, clips, repeat });
            }
            None => {
                self.playing.insert(leg, order);
                self.prompts.prepare(leg, order, prompts, repeat);
            }
        }
    }

    /// The clips of an order are there: it is played, unless something else has taken its place.
    pub fn clips_ready(&mut self, ready: ClipsReady) -> Option<Event> {
        let ClipsReady { leg, order, clips, repeat } = ready;
        if self.playing.get(&leg) != Some(&order) {
            let ended = MediaEvent::PlaybackEnded { leg, order, stopped: true };
            return Some(Event::Media(ended));
        }
        self.playing.remove(&leg);
        if clips.is_empty() {
            // Nothing can be said; the conversation goes on as if it had been.
            let ended = MediaEvent::PlaybackEnded { leg, order, stopped: false };
            return Some(Event::Media(ended));
        }
        self.media.send(MediaCommand::Play { leg, order, clips, repeat });
        None
    }

    /// What waits for its clips on this leg will not be played; its end is told when they come.
    fn forget_playing(&mut self, leg: LegId) {
        self.playing.remove(&leg);
    }

    fn listen(&mut self, leg: LegId, order: OrderId, rule: ListenRule, hearing: Option<Hearing>) {
        if let Some(hearing) = hearing {
            self.recognizer.listen(leg, order, hearing);
        }
        self.media.send(MediaCommand::Listen { leg, order, rule });
    }

    fn store(&mut self, token: Option<Token>, mut facts: Vec<Fact>, patient: bool) {
        for fact in &facts {
            if let Fact::Leg(leg) = fact {
                api::metrics::leg_ended(leg);
            }
        }
        facts.retain(|fact| self.records.want(fact));
        if facts.is_empty() && token.is_none() {
            return;
        }
        let operation = match patient {
            true => StoreFacts::patient(facts),
            false => StoreFacts::new(facts),
        };
        let inbox = self.inbox.clone();
        let submitted = self.ledger.submit(operation, move |result| {
            if let (Err(error), None) = (&result, token) {
                tracing::error!(%error, "facts could not be written");
            }
            let Some(token) = token else { return };
            inbox.event(match result {
                Ok(_) => Event::Stored(token),
                Err(error) => Event::NotStored { token, reason: error.to_string().into() },
            });
        });
        if let Err(error) = submitted {
            tracing::error!(%error, "facts were not taken by the ledger");
            if let Some(token) = token {
                let reason = error.to_string().into();
                self.failed.push_back(Input::Event(Event::NotStored { token, reason }));
            }
        }
    }

    fn claim(&mut self, campaign: CampaignId, count: u32) {
        let inbox = self.inbox.clone();
        let submitted = self.ledger.submit(Claim { campaign, count }, move |result| {
            let (contacts, next_due_wall_ms) = match result {
                Ok(claimed) => (claimed.contacts, claimed.next_due_wall_ms),
                Err(error) => {
                    tracing::error!(%campaign, %error, "contacts could not be claimed");
                    (Vec::new(), Some(retry_after(crate::signalling::now())))
                }
            };
            inbox.event(Event::Claimed { campaign, contacts, next_due_wall_ms });
        });
        if submitted.is_err() {
            self.failed.push_back(Input::Event(Event::Claimed {
                campaign,
                contacts: Vec::new(),
                next_due_wall_ms: Some(retry_after(crate::signalling::now())),
            }));
        }
    }

    fn permit(&mut self, permit: Permit) {
        let (attempt, inbox) = (permit.attempt, self.inbox.clone());
        let submitted = self.ledger.submit(permit, move |result| {
            inbox.event(match result {
                Ok(PermitDecision::Granted { call_id }) => Event::Permitted { attempt, call_id },
                Ok(PermitDecision::Refused { reason }) => Event::PermitRefused { attempt, reason },
                Err(error) => {
                    tracing::error!(%attempt, %error, "a permit could not be decided");
                    Event::PermitFailed { attempt }
                }
            });
        });
        if let Err(error) = submitted {
            tracing::error!(%attempt, %error, "a permit was not taken by the ledger");
            self.inbox.event(Event::PermitFailed { attempt });
        }
    }

    fn mark_sent(&mut self, attempt: AttemptId, leg: LegId) {
        if let Err(error) = self.ledger.mark_sent(attempt) {
            tracing::error!(%attempt, %error, "not dialled: the side log cannot be written");
            self.withheld.insert(leg);
            self.failed.push_back(Input::Withheld { leg });
        }
    }

    fn publish(&mut self, live: Live, now: Now) {
        match &live {
            // One span per call: every line of the log that speaks of it bears its number.
            Live::CallStarted { call, tenant, role, .. } => {
                // Numbers stand in the records, not in the log.
                self.spans.insert(*call, tracing::info_span!("call", %call, %tenant, ?role));
            }
            Live::TrunkChanged { trunk, state, why, alarm: true } => {
                tracing::warn!(%trunk, state, %why, "trunk");
            }
            Live::TrunkChanged { trunk, state, why, alarm: false } => {
                tracing::info!(%trunk, state, %why, "trunk");
            }
            Live::CallEnded { call, cause, answered_ms, .. } => {
                if let Some(span) = self.spans.remove(call) {
                    span.in_scope(|| tracing::info!(%cause, answered_ms, "over"));
                }
            }
            _ => (),
        }
        self.api.publish(&live, now.wall_ms);
        // Nobody may be watching.
        let _ = self.live.send(live);
    }

    /// Once a second: figures for the metrics.
    pub fn sample(&mut self, exchange: &Exchange) {
        let endpoint = exchange.endpoint();
        let held = endpoint.legs() + endpoint.transactions();
        let api = self.api.clone();
        self.memory.held(held, crate::signalling::now().instant, move || api.pack());
        let (media, trace, recognizer) = (&self.media, &self.trace, &*self.recognizer);
        trunks::show(exchange.switchboard().trunks(), crate::signalling::now(), &self.api.views);
        telemetry::sample(
            &self.wire,
            &self.streams,
            &Sources { exchange, media, trace, recognizer },
        );
    }
}

/// When to ask the ledger again after it refused: in a second.
fn retry_after(now: Now) -> u64 {
    now.wall_ms + 1_000
}
