//! The loop of one media thread.
//!
//! ```text
//! wait until the next phase (each 5 ms) or an order ─► obey orders ─► in a phase: read all
//! sockets, then send what is due for a quarter of the legs
//! ```
//!
//! Sockets are read in the phases only, not packet by packet: a thousand packets cost some hundred
//! system calls less, at the price of at most 5 ms. So are orders, but for those that cannot wait.

use super::figures::{Counters, Shared};
use super::mailbox::{Mailbox, Weight};
use super::recorder::Recorder;
use super::seats::Seats;
use super::system::{Poller, raise_priority};
use super::ticker::Ticker;
use super::{OnEvent, OnUtterance};
use crate::net::rtp::{PortPair, PortRanges};
use domain::id::LegId;
use domain::ip_version::IpVersion;
use media::event::{MediaAction, MediaCommand, MediaEvent};
use media::leg::Leg;
use media::legs::Legs;
use media::recording::RecordingPart;
use media::rtp::packet;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Packets read from one socket in one phase at most: 1,600 a second, 32 times what a leg sends.
const READS_MAX: usize = 8;

/// Orders put off at most while a leg is on its way from another worker (some milliseconds).
const DEFERRED_MAX: usize = 16_384;

/// Last parts of recordings kept until the writing thread takes them; others are dropped.
const LAST_PARTS_MAX: usize = 4_096;

/// After this long without a leg a worker sleeps; to close unneeded ports, a look as often suffices.
const IDLE: Duration = Duration::from_secs(1);

/// What a worker is told.
pub(super) enum Order {
    /// To a leg.
    Command(MediaCommand),
    /// A leg that was told its port already: it is the one lent at this place.
    Seat { leg: LegId, place: usize },
    /// A leg will arrive from another worker; what concerns it comes after this.
    Expect(LegId),
    /// Hand a leg over to the worker of this box.
    HandOver { leg: LegId, to: Mailbox<Order> },
    /// The leg expected, unless it was closed, and orders for it that overtook it.
    Arrived { leg: LegId, moved: Option<Box<Moved>>, later: VecDeque<Order> },
    /// Close everything and end.
    Stop,
}

/// A leg between two workers.
pub(super) struct Moved {
    leg: Box<Leg>,
    pair: PortPair,
}

/// One media thread.
pub(super) struct Worker {
    pub(super) legs: Legs,
    pub(super) seats: Seats,
    pub(super) poller: Poller,
    pub(super) mailbox: Mailbox<Order>,
    pub(super) ranges: PortRanges,
    /// Seats found ahead, of each version of IP.
    pub(super) lent_max: usize,
    pub(super) recorder: Recorder,
    pub(super) shared: Arc<Shared>,
    pub(super) on_event: OnEvent,
    pub(super) on_utterance: OnUtterance,
    pub(super) work: Work,
}

/// What is in the hands of the thread; reused, so that a phase allocates nothing.
#[derive(Default)]
pub(super) struct Work {
    inbox: VecDeque<Order>,
    out: Vec<MediaAction>,
    tokens: Vec<u64>,
    expected: BTreeSet<LegId>,
    deferred: VecDeque<Order>,
    last_parts: VecDeque<RecordingPart>,
    stopping: bool,
}

impl Worker {
    /// Works until it is stopped.
    pub(super) fn run(mut self) {
        // Not within the macro, which evaluates nothing while nobody reads the log.
        let priority = raise_priority();
        tracing::info!(?priority, "media thread started");
        let mut ticker = Ticker::start(Instant::now());
        let mut busy_at = None;
        while !self.work.stopping {
            let now = Instant::now();
            if !self.legs.is_empty() {
                busy_at = Some(now);
            }
            // Short calls would find it asleep, one after the other, and each have to wake it.
            let is_idle = busy_at.is_none_or(|at| now >= at + IDLE);
            let timeout = match (is_idle, self.seats.is_empty()) {
                (false, _) => Some(ticker.deadline().saturating_duration_since(now)),
                (true, false) => Some(IDLE),
                (true, true) => None,
            };
            self.lend(now);
            if !is_idle {
                self.poller.wait(timeout);
            } else if self.mailbox.may_sleep() {
                self.poller.wait(timeout);
                self.mailbox.is_awake();
            }
            let now = Instant::now();
            if is_idle {
                ticker = Ticker::start(now);
            }
            self.obey_orders(now);
            if is_idle || now >= ticker.deadline() {
                self.handle_phases(&mut ticker, now);
            }
        }
        self.close_all(Instant::now());
    }

    fn handle_phases(&mut self, ticker: &mut Ticker, now: Instant) {
        let skipped = ticker.skip(now);
        if skipped > 0 {
            self.legs.skip_ticks(skipped);
            self.count(|counters| &counters.ticks_skipped, skipped.into());
        }
        self.receive(now);
        while let Some(due) = ticker.take(now) {
            self.shared.record_lateness(due.late);
            self.legs.handle_tick(due.phase, now, &mut self.work.out);
            self.perform(now);
        }
        self.seats.close_unneeded(now);
        while let Some(part) = self.work.last_parts.pop_front() {
            if let Err(part) = self.recorder.put(part) {
                self.work.last_parts.push_front(part);
                break;
            }
        }
    }

    fn count(&self, of: impl Fn(&Counters) -> &std::sync::atomic::AtomicU64, by: u64) {
        Shared::count(of(&self.shared.counters), by);
    }

    /// Reads what came, a packet of each socket in turn, so that no flood starves the others.
    fn receive(&mut self, now: Instant) {
        let mut buffer = [0; packet::PACKET_LENGTH_MAX + 1];
        let (mut taken, mut refused) = (0, 0);
        let mut tokens = std::mem::take(&mut self.work.tokens);
        for _ in 0..READS_MAX {
            tokens.clear();
            self.poller.ready(&mut tokens);
            if tokens.is_empty() {
                break;
            }
            for token in &tokens {
                let Some(arrival) = self.seats.at(*token) else { continue };
                let Ok((length, from)) = arrival.socket.recv_from(&mut buffer) else { continue };
                taken += 1;
                let bytes = &buffer[..length];
                match (arrival.leg, arrival.is_control) {
                    (Some(leg), false) => {
                        self.legs.handle_packet(leg, from, bytes, now, &mut self.work.out);
                        self.perform(now);
                    }
                    (Some(leg), true) => self.legs.handle_control(leg, from, bytes, now),
                    (None, _) => refused += 1,
                }
            }
        }
        self.work.tokens = tokens;
        self.count(|counters| &counters.packets_in, taken);
        self.count(|counters| &counters.refused, refused);
    }

    fn perform(&mut self, now: Instant) {
        if self.work.out.is_empty() {
            return;
        }
        let (mut sent, mut unsent) = (0, 0);
        let mut out = std::mem::take(&mut self.work.out);
        for action in out.drain(..) {
            match action {
                MediaAction::Transmit { leg, remote, packet } => {
                    let pair = self.seats.pair_of(leg);
                    let is_control = packet::is_control(&packet);
                    let socket = pair.map(|pair| if is_control { &pair.rtcp } else { &pair.rtp });
                    match socket.map(|socket| socket.send_to(&packet, remote)) {
                        Some(Ok(_)) => sent += 1,
                        Some(Err(_)) | None => unsent += 1,
                    }
                }
                MediaAction::Up(event) => self.tell(event, now),
                MediaAction::Utterance(part) => {
                    if !(self.on_utterance)(part) {
                        self.count(|counters| &counters.utterance_parts_dropped, 1);
                    }
                }
                MediaAction::Recorded(part) => self.record(part),
            }
        }
        self.work.out = out;
        self.count(|counters| &counters.packets_out, sent);
        if unsent > 0 {
            self.count(|counters| &counters.unsent, unsent);
        }
    }

    fn count_legs(&self) {
        self.shared.counters.legs.store(self.legs.len() as u64, Ordering::Relaxed);
    }

    fn tell(&mut self, event: MediaEvent, now: Instant) {
        if let MediaEvent::Closed { leg, report } = &event {
            self.seats.release(*leg, now);
            self.count(|counters| &counters.refused, report.refused);
            self.count_legs();
        }
        (self.on_event)(event);
    }

    fn record(&mut self, part: RecordingPart) {
        let Err(part) = self.recorder.put(part) else { return };
        // The last part gives the file its name, so it waits; a second in the middle may be lost.
        if part.last && self.work.last_parts.len() < LAST_PARTS_MAX {
            self.work.last_parts.push_back(part);
        } else {
            self.count(|counters| &counters.recording_parts_dropped, 1);
        }
    }

    fn obey_orders(&mut self, now: Instant) {
        let mut inbox = std::mem::take(&mut self.work.inbox);
        self.mailbox.take(&mut inbox);
        for order in inbox.drain(..) {
            self.take_order(order, now);
        }
        self.work.inbox = inbox;
    }

    /// While a leg is on its way to us, commands wait for it, all of them, so that they are obeyed
    /// in the order given.
    fn take_order(&mut self, order: Order, now: Instant) {
        match order {
            Order::Command(_) | Order::Seat { .. } if !self.work.expected.is_empty() => {
                self.defer(order);
            }
            Order::Command(command) => self.obey(command, now),
            Order::Seat { leg, place } => self.seat(leg, place, now),
            // The leg is to come, go and come again: one thing after the other.
            Order::Expect(leg) | Order::HandOver { leg, .. }
                if self.work.expected.contains(&leg) =>
            {
                self.defer(order);
            }
            Order::Expect(leg) => {
                self.work.expected.insert(leg);
            }
            // Obeyed at once though others wait: its new worker waits for it, and might be the one
            // that we wait for.
            Order::HandOver { leg, to } => self.hand_over(leg, &to, now),
            Order::Arrived { leg, moved, later } => self.take_in(leg, moved, later, now),
            Order::Stop => self.work.stopping = true,
        }
    }

    fn defer(&mut self, order: Order) {
        if self.work.deferred.len() < DEFERRED_MAX {
            self.work.deferred.push_back(order);
        } else {
            self.count(|counters| &counters.orders_refused, 1);
        }
    }

    fn obey(&mut self, command: MediaCommand, now: Instant) {
        if let MediaCommand::Open { leg, ip } = command {
            self.open(leg, ip, now);
        } else {
            self.legs.handle_command(command, now, &mut self.work.out);
        }
        self.perform(now);
    }

    fn open(&mut self, leg: LegId, ip: IpVersion, now: Instant) {
        if self.legs.contains(leg) {
            return;
        }
        let range = self.ranges.nearest(ip);
        let seated = range.and_then(|range| self.seats.open(leg, range, &self.poller, now));
        match seated {
            Some(seated) => {
                if !seated.rested {
                    self.count(|counters| &counters.ports_not_rested, 1);
                }
                self.legs.open(leg, seated.local, now, &mut self.work.out);
                self.count_legs();
            }
            None => (self.on_event)(MediaEvent::OpenFailed { leg }),
        }
    }

    /// Finds seats ahead, so that who opens a leg need not wait for this thread.
    fn lend(&mut self, now: Instant) {
        let mut not_rested = 0;
        let mut lent = self.shared.lent.lock();
        for range in self.ranges.iter() {
            let lent = lent.of(range.ip());
            while lent.len() < self.lent_max
                && let Some(found) = self.seats.lend(range, &self.poller, now)
            {
                not_rested += u64::from(!found.rested);
                lent.push((found.place, found.local));
            }
        }
        drop(lent);
        if not_rested > 0 {
            self.count(|counters| &counters.ports_not_rested, not_rested);
        }
    }

    fn seat(&mut self, leg: LegId, place: usize, now: Instant) {
        if self.legs.contains(leg) {
            return self.seats.take_back(place, now);
        }
        if self.seats.occupy(place, leg).is_some() {
            self.legs.add(leg, now);
            self.count_legs();
        }
    }

    fn hand_over(&mut self, leg: LegId, to: &Mailbox<Order>, now: Instant) {
        let moved = self.legs.take(leg).and_then(|taken| {
            let pair = self.seats.take(leg, &self.poller)?;
            Some(Box::new(Moved { leg: taken, pair }))
        });
        let is_for = |order: &Order| match order {
            Order::Command(command) => leg_of(command) == leg,
            Order::Seat { leg: seated, .. } => *seated == leg,
            Order::Expect(_) | Order::HandOver { .. } | Order::Arrived { .. } | Order::Stop => {
                false
            }
        };
        self.count_legs();
        let deferred = std::mem::take(&mut self.work.deferred);
        let (later, deferred) = deferred.into_iter().partition(is_for);
        self.work.deferred = deferred;
        let arrived = Order::Arrived { leg, moved, later };
        if let Err(Order::Arrived { moved: Some(moved), .. }) = to.put(arrived, Weight::Ending) {
            // The other worker is stuck; the leg ends here, properly.
            moved.leg.close(now, &mut self.work.out);
            self.perform(now);
        }
    }

    fn take_in(
        &mut self,
        leg: LegId,
        moved: Option<Box<Moved>>,
        later: VecDeque<Order>,
        now: Instant,
    ) {
        self.work.expected.remove(&leg);
        if let Some(moved) = moved {
            if self.seats.adopt(leg, moved.pair, &self.poller) {
                self.legs.adopt(moved.leg);
                self.count_legs();
            } else {
                moved.leg.close(now, &mut self.work.out);
                self.perform(now);
            }
        }
        let mut waiting = later;
        waiting.append(&mut self.work.deferred);
        // Those that must still wait defer themselves again, in the same order.
        for order in waiting {
            self.take_order(order, now);
        }
    }

    fn close_all(&mut self, now: Instant) {
        for leg in self.seats.legs() {
            self.obey(MediaCommand::Close { leg }, now);
        }
        // The tick no longer matters: now the writing thread is waited for.
        while let Some(part) = self.work.last_parts.pop_front() {
            let mut part = Some(part);
            while let Some(Err(again)) = part.take().map(|part| self.recorder.put(part)) {
                part = Some(again);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// The leg that a command is for; of a bridge, the one whose worker does it.
pub(super) fn leg_of(command: &MediaCommand) -> LegId {
    match command {
        MediaCommand::Open { leg, .. }
        | MediaCommand::Connect { leg, .. }
        | MediaCommand::Play { leg, .. }
        | MediaCommand::StopPlayback { leg }
        | MediaCommand::Listen { leg, .. }
        | MediaCommand::StopListening { leg }
        | MediaCommand::SendDigits { leg, .. }
        | MediaCommand::Bridge { a: leg, .. }
        | MediaCommand::Unbridge { leg }
        | MediaCommand::Record { leg, .. }
        | MediaCommand::Close { leg } => *leg,
    }
}
