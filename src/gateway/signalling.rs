//! THE loop: one task owns the SIP endpoint and the switchboard; datagrams, streams, media events,
//! receipts, engines' results, API commands and deadlines come in, effects go out to `perform`.
//!
//! It never waits for another task: what it sends goes into bounded queues by `try_send`, and what
//! comes back is one more event.

use crate::net::batch::{BATCH, Batch};
use crate::net::figures::Loss;
use crate::net::streams::StreamEvent;
use crate::net::udp::{Datagrams, Taken};
use crate::perform::Performer;
use crate::telemetry::SAMPLED_EVERY;
use bytes::Bytes;
use domain::id::RequestId;
use domain::now::Now;
use sip::endpoint::defence::{Newcomer, Sorted};
use sip::event::{Flow, Transport};
use sip::guard::Ban;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use switchboard::event::{Command, Event, Reply, Restored};
use switchboard::exchange::{Effect, Exchange, Input};
use tokio::runtime::{EnterGuard, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// Batches of datagrams taken in one go before the other sources are looked at.
const BATCHES_PER_TURN: usize = 4;
/// New calls taken in one go: what else comes meanwhile waits for no more than these.
const NEWCOMERS_PER_TURN: usize = 8;
/// How long none is taken while the sockets are not empty.
const NEWCOMERS_EVERY: Duration = Duration::from_millis(4);
/// Events taken in one go.
const EVENTS_PER_TURN: usize = 256;
/// How long the loop may keep its thread while there is something to do.
const YIELD_EVERY: Duration = Duration::from_millis(2);
/// How long calls that are ended may take over it: a BYE is repeated after 0.5, 1.5 and 3.5 s.
const GOODBYE_MAX: Duration = Duration::from_secs(4);

/// What other tasks and threads tell the loop.
#[derive(Debug)]
pub enum Told {
    /// Something happened to the exchange.
    Event(Event),
    /// Clips for an order to play are ready.
    ClipsReady(crate::prompts::ClipsReady),
    /// Somebody asks who is banned.
    Bans(oneshot::Sender<Vec<Ban>>),
    /// Somebody asks that a source be read again.
    Unban(RequestId, IpAddr),
    /// End all calls and stop.
    Stop,
}

/// The way into the loop for everything that is not a socket. Its queue has no bound of its own: what
/// enters it are answers to orders of the exchange, whose number the call limit bounds, and API
/// commands, which the API bounds.
#[derive(Clone)]
pub struct Inbox(mpsc::UnboundedSender<Told>);

impl Inbox {
    /// A way in and its other end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Told>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells the exchange of an event. After the end of the loop, nobody listens.
    pub fn event(&self, event: Event) {
        self.tell(Told::Event(event));
    }

    /// Tells the loop.
    pub fn tell(&self, told: Told) {
        let _ = self.0.send(told);
    }
}

/// The runtime of the loop: one thread with nothing else on it. On the runtime of the API, a wake-up
/// is two threads handing the loop to and fro, which costs more than a turn of it, and what an API
/// request or a TCP peer does could hold up a call.
///
/// # Errors
/// The system's: no descriptor could be had.
pub fn runtime() -> io::Result<LoopRuntime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LoopRuntime(Some(runtime)))
}

/// See [`runtime`]. When something else keeps the gateway from starting it is dropped on another
/// runtime, where a bare one would panic instead of letting the reason be told.
#[derive(Debug)]
pub struct LoopRuntime(Option<Runtime>);

impl LoopRuntime {
    /// Sockets made while the guard lives belong to this runtime.
    pub fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }

    fn block_on(&self, work: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(work);
        }
    }
}

impl Drop for LoopRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Reads both clocks.
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
}

/// The loop's own parts.
pub struct Signalling {
    /// Endpoint and switchboard.
    pub exchange: Exchange,
    /// Effects.
    pub performer: Performer,
    /// The SIP datagram sockets.
    pub datagrams: Arc<Datagrams>,
    /// The socket last looked at had no more.
    is_read: bool,
    /// When new calls were taken.
    newcomers_at: Instant,
    /// From streams.
    pub streams: mpsc::Receiver<StreamEvent>,
    /// From everything else.
    pub inbox: mpsc::UnboundedReceiver<Told>,
    /// Once told to stop: when it stops though calls have not ended.
    pub stop_at: Option<Instant>,
}

impl Signalling {
    /// The loop around these, with what comes in by sockets and by the inbox.
    pub fn new(
        exchange: Exchange,
        performer: Performer,
        (datagrams, streams): (Arc<Datagrams>, mpsc::Receiver<StreamEvent>),
        inbox: mpsc::UnboundedReceiver<Told>,
    ) -> Self {
        Self {
            exchange,
            performer,
            datagrams,
            is_read: true,
            newcomers_at: Instant::now(),
            streams,
            inbox,
            stop_at: None,
        }
    }

    /// Runs on a thread of its own until draining is done or it is told to stop. What is given back
    /// gets a word then, or an error when it ended by a panic.
    ///
    /// # Errors
    /// The system's: no thread could be had.
    pub fn start(
        self,
        runtime: LoopRuntime,
        restored: Restored,
    ) -> io::Result<oneshot::Receiver<()>> {
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name("signalling".into()).spawn(move || {
            runtime.block_on(self.run(restored));
            // Whoever started it may have gone.
            let _ = ended.send(());
        })?;
        Ok(end)
    }

    async fn run(mut self, restored: Restored) {
        self.datagrams.writable().await;
        self.restore(restored);
        let mut batch = Batch::default();
        let mut effects = Vec::new();
        let mut samples = tokio::time::interval(SAMPLED_EVERY);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut yielded = Instant::now();
        while !self.performer.is_done() {
            // Under a flood there is always a datagram more, and a task that never waits keeps its
            // thread from looking at the clock and at streams: no deadline would come.
            if yielded.elapsed() >= YIELD_EVERY {
                tokio::task::yield_now().await;
                yielded = Instant::now();
            }
            if self.stop_at.is_some_and(|at| at <= Instant::now()) {
                tracing::warn!("calls have not ended in time; their other ends may not know");
                self.performer.stop();
                continue;
            }
            let deadline = [self.exchange.deadline(), self.stop_at].into_iter().flatten().min();
            let sleep = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => tokio::time::sleep(Duration::from_secs(3_600)).await,
                }
            };
            tokio::select! {
                socket = self.datagrams.readable() => {
                    self.take_datagrams(socket, &mut batch, &mut effects);
                }
                Some(told) = self.inbox.recv() => self.take_told(told, &mut effects),
                Some(event) = self.streams.recv() => {
                    self.take_stream(event, &mut effects);
                    for _ in 1..EVENTS_PER_TURN {
                        let Ok(event) = self.streams.try_recv() else { break };
                        self.take_stream(event, &mut effects);
                    }
                }
                () = sleep => {
                    let now = now();
                    self.exchange.handle_deadline(now, &mut effects);
                    self.perform(now, &mut effects);
                }
                _ = samples.tick() => self.performer.sample(&self.exchange),
                () = std::future::ready(()), if self.exchange.has_newcomers() => (),
            }
            self.take_newcomers(&mut effects);
        }
    }

    /// Takes up what the ledger handed back, before anything else.
    fn restore(&mut self, restored: Restored) {
        let (now, mut effects) = (now(), Vec::new());
        self.exchange.restore(restored, now, &mut effects);
        self.perform(now, &mut effects);
    }

    fn take_datagrams(&mut self, socket: usize, batch: &mut Batch, effects: &mut Vec<Effect>) {
        self.is_read = false;
        for _ in 0..BATCHES_PER_TURN {
            let Taken { count, local, lost } = match self.datagrams.receive(socket, batch) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_read = true;
                    return;
                }
                // An ICMP answer to something sent earlier: the transaction's timers see to it.
                Err(_) => continue,
            };
            if lost > 0 {
                self.performer.streams.figures().count_all(Loss::Unread, lost);
            }
            // For all of them: what is dropped costs little more than a look at the clock.
            let taken = now();
            for datagram in (0..count).filter_map(|at| batch.get(at)) {
                let flow = Flow { transport: Transport::Udp, local, remote: datagram.remote };
                let sorted = self.exchange.sort(flow, datagram.octets, taken);
                if !self.is_done_with(flow, datagram.octets, sorted, effects) {
                    let message = Bytes::copy_from_slice(datagram.octets);
                    let message = Newcomer { flow, message, framed: false };
                    self.take_message(message, sorted, datagram.waited(), effects);
                }
            }
            if count < BATCH {
                self.is_read = true;
                return;
            }
        }
    }

    /// Whether nobody has to read a message: it is dropped, or was refused at once.
    fn is_done_with(
        &mut self,
        flow: Flow,
        message: &[u8],
        sorted: Sorted,
        effects: &mut Vec<Effect>,
    ) -> bool {
        match sorted {
            Sorted::Now | Sorted::Waits => false,
            Sorted::Dropped => true,
            Sorted::Refused => {
                self.exchange.refuse(flow, message, effects) && {
                    let now = now();
                    self.performer.wire.received(flow.transport, message);
                    if self.performer.trace.exports() {
                        let message = Bytes::copy_from_slice(message);
                        self.performer.received_of_no_leg(flow, message, now);
                    }
                    self.perform(now, effects);
                    true
                }
            }
        }
    }

    fn take_message(
        &mut self,
        message: Newcomer,
        sorted: Sorted,
        waited: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let input = match sorted {
            Sorted::Now | Sorted::Refused => Some(message.into()),
            Sorted::Waits => self.exchange.wait(message, waited, now()),
            Sorted::Dropped => None,
        };
        if let Some(input) = input {
            self.turn(input, effects);
        }
    }

    /// New calls come last: a few when the sockets are empty, or else now and then.
    fn take_newcomers(&mut self, effects: &mut Vec<Effect>) {
        let is_read = self.is_read && self.streams.is_empty();
        if !is_read && self.newcomers_at.elapsed() < NEWCOMERS_EVERY {
            return;
        }
        self.newcomers_at = Instant::now();
        for _ in 0..NEWCOMERS_PER_TURN {
            let Some(input) = self.exchange.next_newcomer(now()) else { return };
            self.turn(input, effects);
        }
    }

    fn take_told(&mut self, first: Told, effects: &mut Vec<Effect>) {
        self.take_one(first, effects);
        for _ in 1..EVENTS_PER_TURN {
            match self.inbox.try_recv() {
                Ok(told) => self.take_one(told, effects),
                Err(_) => return,
            }
        }
    }

    fn take_one(&mut self, told: Told, effects: &mut Vec<Effect>) {
        match told {
            Told::Event(event) => {
                let drains = event == Event::Drain;
                self.turn(Input::Event(event), effects);
                if drains {
                    // Not before new calls are refused: whoever looks believes it.
                    self.performer.replies.drain();
                }
            }
            Told::ClipsReady(ready) => {
                if let Some(event) = self.performer.clips_ready(ready) {
                    self.turn(Input::Event(event), effects);
                }
            }
            Told::Bans(asker) => {
                // Whoever asked may have gone.
                let _ = asker.send(self.exchange.endpoint().bans(now().instant));
            }
            Told::Unban(request, source) => {
                let reply = match self.exchange.unban(source, now()) {
                    true => Reply::Done,
                    false => Reply::NotFound,
                };
                self.performer.replies.answer(request, reply);
            }
            Told::Stop => self.end_calls(effects),
        }
    }

    /// Ends every call as if somebody had asked for it: the other ends hear of it, and the records
    /// are written. The loop stops when all are over, or after [`GOODBYE_MAX`].
    fn end_calls(&mut self, effects: &mut Vec<Effect>) {
        self.stop_at = Some(Instant::now() + GOODBYE_MAX);
        self.turn(Input::Event(Event::Drain), effects);
        let calls: Vec<_> = self.exchange.switchboard().call_views().map(|it| it.call).collect();
        for call in calls {
            // Requests of the API count from 1: nobody waits for this one's reply.
            let (request, command) = (RequestId(0), Command::HangUp(call));
            self.turn(Input::Event(Event::Command { request, command }), effects);
        }
    }

    fn take_stream(&mut self, event: StreamEvent, effects: &mut Vec<Effect>) {
        match event {
            StreamEvent::Knocks(source, word) => {
                if self.exchange.admits_connection(source, now()) {
                    // Whoever knocked may have gone.
                    let _ = word.send(());
                }
            }
            StreamEvent::Accepted(flow, messages, names) => {
                self.performer.streams.accepted(flow, messages);
                self.turn(Input::Connected { flow, names }, effects);
            }
            StreamEvent::Gone(flow, way) => self.performer.streams.gone(&flow, &way),
            StreamEvent::Input(input) => {
                let (flow, message, framed) = match input {
                    Input::Message { flow, message } => (flow, message, false),
                    Input::Framed { flow, message } => (flow, message, true),
                    other => return self.turn(other, effects),
                };
                let sorted = self.exchange.sort(flow, &message, now());
                if !self.is_done_with(flow, &message, sorted, effects) {
                    let message = Newcomer { flow, message, framed };
                    self.take_message(message, sorted, Duration::ZERO, effects);
                }
            }
        }
    }

    fn turn(&mut self, input: Input, effects: &mut Vec<Effect>) {
        let now = now();
        let received = match &input {
            Input::Message { flow, message } | Input::Framed { flow, message } => {
                Some((*flow, message.clone()))
            }
            Input::FramingLost { .. }
            | Input::Unsent { .. }
            | Input::TransportFailed { .. }
            | Input::Withheld { .. }
            | Input::Connected { .. }
            | Input::ConnectionClosed { .. }
            | Input::Event(_) => None,
        };
        if let Some((flow, message)) = &received {
            self.performer.wire.received(flow.transport, message);
        }
        self.exchange.handle(input, now, effects);
        let of_no_leg = !effects.iter().any(|effect| matches!(effect, Effect::Received { .. }));
        match received {
            Some((flow, message)) if of_no_leg => {
                self.performer.received_of_no_leg(flow, message, now);
            }
            received => self.performer.received = received,
        }
        self.perform(now, effects);
    }

    /// Performs; what fails at once is one more turn.
    fn perform(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.performer.perform(effect, now);
        }
        while let Some(failed) = self.performer.failed.pop_front() {
            self.exchange.handle(failed, now, effects);
            for effect in effects.drain(..) {
                self.performer.perform(effect, now);
            }
        }
    }
}
