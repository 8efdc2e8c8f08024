//! The media threads: each owns legs (`media::legs`), their sockets and their 20 ms tick, outside of
//! the async runtime.
//!
//! ```text
//! MediaCommand ─► router ─► mailbox of the leg's worker ─► worker ─► packets
//!                                                            ├─► MediaEvent     (on_event)
//!                                                            ├─► UtterancePart  (on_utterance)
//!                                                            └─► recordings     (writing thread)
//! ```
//!
//! One worker serves some thousand legs, and is the default. With more, a leg opens on the one with
//! the fewest, and when legs of two workers are bridged, the second moves to the first one's: then
//! relaying a packet crosses no thread, which is what bridging spends its time on. (Refused: a queue
//! between workers, which costs a wake-up a packet; and choosing a worker by call, which `Open` does
//! not name and which a transfer would break.)

mod figures;
mod mailbox;
mod recorder;
mod seats;
mod system;
#[cfg(test)]
mod tests;
mod ticker;
mod worker;

pub use figures::Figures;

use crate::config::{Config, MediaConfig};
use crate::engines::Engines;
use crate::net::rtp::PortRanges;
use crate::run::StartError;
use crate::signalling::Inbox;
use domain::id::LegId;
use domain::ip_version::{IpVersion, IpVersions};
use figures::Shared;
use hdrhistogram::Histogram;
use mailbox::{Mailbox, Weight, weight};
use media::event::{MediaCommand, MediaEvent, UtterancePart};
use media::legs::Legs;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use recorder::Recorder;
use seats::Seats;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use switchboard::event::Event;
use system::{Poller, raise_descriptor_limit};
use worker::{Order, Work, Worker, leg_of};

/// Seats that a worker finds ahead: as many as calls come within a phase of 5 ms at three times the
/// rate we are made for. Of few ports only an eighth.
const LENT_MAX: usize = 128;
/// Descriptors kept for others at most: connections, the ledger, the trace.
const FOR_OTHERS_MAX: u64 = 4_096;

/// Takes events. Called from the media threads: it must not wait.
type OnEvent = Arc<dyn Fn(MediaEvent) + Send + Sync>;

/// Takes pieces of utterances; `false` when there was no room. Called from the media threads: it
/// must not wait.
type OnUtterance = Arc<dyn Fn(UtterancePart) -> bool + Send + Sync>;

/// Starts the gateway's media threads: events go to `inbox`, utterances to `engines`.
///
/// # Errors
///
/// `System` when no thread or no descriptor could be had.
pub fn start(
    config: &Config,
    inbox: &Inbox,
    engines: &Engines,
) -> Result<MediaWorkers, StartError> {
    let (inbox, engines) = (inbox.clone(), engines.clone());
    let on_event = move |event| inbox.event(Event::Media(event));
    MediaWorkers::start(&config.media, on_event, move |part| engines.take(part))
        .map_err(|error| StartError::System { what: "the media threads", error })
}

/// Starts one media thread for a telephone, which listens to keys but to no speech.
///
/// # Errors
///
/// The system's: no thread or no descriptor could be had.
pub fn for_telephone(
    address: IpAddr,
    ports: (u16, u16),
    on_event: impl Fn(MediaEvent) + Send + Sync + 'static,
) -> io::Result<MediaWorkers> {
    MediaWorkers::start(
        &MediaConfig { addresses: vec![address], ports, workers: 1 },
        on_event,
        |_| false,
    )
}

/// One media thread, seen from outside.
struct Handle {
    mailbox: Mailbox<Order>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Which worker has which leg. With one worker nothing is kept.
#[derive(Debug, Default)]
struct Router {
    workers: HashMap<LegId, usize>,
    legs: Vec<usize>,
}

impl Router {
    fn place(&mut self, leg: LegId) -> usize {
        let fewest = (0..self.legs.len()).min_by_key(|worker| self.legs[*worker]).unwrap_or(0);
        self.put(leg, fewest);
        fewest
    }

    fn put(&mut self, leg: LegId, worker: usize) {
        self.forget(leg);
        self.workers.insert(leg, worker);
        self.legs[worker] += 1;
    }

    fn forget(&mut self, leg: LegId) {
        if let Some(worker) = self.workers.remove(&leg) {
            self.legs[worker] -= 1;
        }
    }
}

/// The media threads. Dropping it closes all legs, finishes their recordings, and waits for that.
pub struct MediaWorkers {
    handles: Vec<Handle>,
    router: Arc<Mutex<Router>>,
    on_event: OnEvent,
    recorder: Option<(Recorder, JoinHandle<()>)>,
    port_pairs: usize,
    /// Of the ports.
    ip: IpVersions,
}

impl MediaWorkers {
    /// Starts the threads.
    ///
    /// `on_event` and `on_utterance` are called from them and must not wait; `on_utterance` returns
    /// `false` when it has no room, and the piece is dropped and counted.
    ///
    /// # Errors
    ///
    /// The system's: no thread or no descriptor could be had.
    pub fn start(
        config: &MediaConfig,
        on_event: impl Fn(MediaEvent) + Send + Sync + 'static,
        on_utterance: impl Fn(UtterancePart) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let count = config.workers.max(1);
        let descriptors = raise_descriptor_limit();
        tracing::info!(descriptors, workers = count, "media starts");
        let router = Arc::new(Mutex::new(Router { legs: vec![0; count], ..Router::default() }));
        let on_event = forgetting(on_event, (count > 1).then(|| router.clone()));
        let on_utterance: OnUtterance = Arc::new(on_utterance);
        // Two descriptors a pair. Without some for others the ledger could open no file, and took no
        // calls any more.
        let for_others = (descriptors / 4).min(FOR_OTHERS_MAX);
        let bound_max = usize::try_from((descriptors - for_others) / 2).unwrap_or(usize::MAX);
        let ranges = PortRanges::new(&config.addresses, config.ports, bound_max);
        let (recorder, recording) = Recorder::start()?;
        let mut workers = Self {
            handles: Vec::new(),
            router,
            on_event,
            recorder: Some((recorder.clone(), recording)),
            port_pairs: ranges.pairs(),
            ip: IpVersions::of(config.addresses.iter().copied()),
        };
        for number in 0..count {
            let poller = Poller::new()?;
            let worker = Worker {
                legs: Legs::new(Box::new(StdRng::from_os_rng())),
                seats: Seats::default(),
                mailbox: Mailbox::new(poller.waker()),
                poller,
                lent_max: LENT_MAX.min(ranges.pairs() / (8 * count)),
                ranges: ranges.clone(),
                recorder: recorder.clone(),
                shared: Arc::default(),
                on_event: workers.on_event.clone(),
                on_utterance: on_utterance.clone(),
                work: Work::default(),
            };
            let (mailbox, shared) = (worker.mailbox.clone(), worker.shared.clone());
            let name = format!("media-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(move || worker.run())?;
            workers.handles.push(Handle { mailbox, shared, thread: Some(thread) });
        }
        Ok(workers)
    }

    /// Sends a command to the worker of its leg. Never waits.
    ///
    /// Should that worker be stuck with thousands of orders before this one, it is refused: an
    /// `Open` by `OpenFailed`, a `Play` by `PlaybackEnded`, others are counted and lost. Orders that
    /// end something are still taken.
    ///
    /// An `Open` is answered before this returns, as long as a seat was found ahead for it.
    pub fn send(&self, command: MediaCommand) {
        let command = match command {
            MediaCommand::Open { leg, ip } => match self.seat(leg, ip) {
                Some(local) => return (self.on_event)(MediaEvent::Opened { leg, local }),
                None => command,
            },
            other => other,
        };
        let refused = if self.handles.len() == 1 {
            self.put(0, command).err()
        } else {
            // Held until the order is in its box, so that no two threads change their order.
            let mut router = self.router.lock();
            match command {
                MediaCommand::Open { leg, .. } if !router.workers.contains_key(&leg) => {
                    router.place(leg);
                }
                MediaCommand::Bridge { a, b } => self.bring_together(&mut router, a, b),
                _ => (),
            }
            let worker = router.workers.get(&leg_of(&command)).copied();
            worker.and_then(|worker| self.put(worker, command).err())
        };
        // The router is free again: telling takes it.
        match refused {
            Some(MediaCommand::Open { leg, .. }) => (self.on_event)(MediaEvent::OpenFailed { leg }),
            Some(MediaCommand::Play { leg, order, .. }) => {
                (self.on_event)(MediaEvent::PlaybackEnded { leg, order, stopped: true });
            }
            _ => (),
        }
    }

    /// Gives a new leg a seat found ahead; its RTP address. `None`: there is none, or the leg is
    /// known already.
    fn seat(&self, leg: LegId, ip: IpVersion) -> Option<SocketAddr> {
        let worker = match self.handles.len() {
            1 => 0,
            _ => {
                let mut router = self.router.lock();
                if router.workers.contains_key(&leg) {
                    return None;
                }
                router.place(leg)
            }
        };
        let handle = &self.handles[worker];
        let (place, local) = handle.shared.lent.lock().of(self.ip.nearest(ip)).pop()?;
        match handle.mailbox.leave(Order::Seat { leg, place }, Weight::Ordinary) {
            Ok(()) => Some(local),
            Err(_) => {
                handle.shared.lent.lock().of(self.ip.nearest(ip)).push((place, local));
                None
            }
        }
    }

    /// Moves `b` to the worker of `a`.
    fn bring_together(&self, router: &mut Router, a: LegId, b: LegId) {
        let workers = (router.workers.get(&a).copied(), router.workers.get(&b).copied());
        let (Some(to), Some(from)) = workers else { return };
        if to == from {
            return;
        }
        let target = &self.handles[to].mailbox;
        let hand_over = Order::HandOver { leg: b, to: target.clone() };
        let expected = target.put(Order::Expect(b), Weight::Ending).is_ok();
        if expected && self.handles[from].mailbox.put(hand_over, Weight::Ending).is_err() {
            // Nobody will send it: the expectation is met with nothing.
            let nothing = Order::Arrived { leg: b, moved: None, later: VecDeque::new() };
            let _ = target.put(nothing, Weight::Ending);
        } else if expected {
            router.put(b, to);
        }
    }

    /// Puts a command into a worker's box, or gives it back.
    fn put(&self, worker: usize, command: MediaCommand) -> Result<(), MediaCommand> {
        let handle = &self.handles[worker];
        let weight = weight(&command);
        // Who opens a leg waits for its port; nobody else waits.
        let put = match &command {
            MediaCommand::Open { .. } => Mailbox::put,
            _ => Mailbox::leave,
        };
        match put(&handle.mailbox, Order::Command(command), weight) {
            Err(Order::Command(command)) => {
                Shared::count(&handle.shared.counters.orders_refused, 1);
                Err(command)
            }
            _ => Ok(()),
        }
    }

    /// The sums of all workers.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        self.handles.iter().for_each(|handle| figures.add(&handle.shared.counters));
        figures
    }

    /// How many legs the configured ports suffice for.
    pub fn port_pairs(&self) -> usize {
        self.port_pairs
    }

    /// How late the phases of the tick were, in microseconds, over all workers since the start.
    pub fn tick_lateness(&self) -> Histogram<u64> {
        figures::merged(self.handles.iter().map(|handle| &*handle.shared))
    }
}

impl Drop for MediaWorkers {
    fn drop(&mut self) {
        for handle in &self.handles {
            let _ = handle.mailbox.put(Order::Stop, Weight::Ending);
        }
        for handle in &mut self.handles {
            if let Some(thread) = handle.thread.take() {
                let _ = thread.join();
            }
        }
        if let Some((recorder, thread)) = self.recorder.take() {
            drop(recorder);
            let _ = thread.join();
        }
    }
}

/// Passes events on, and lets the router forget the legs that have ended.
fn forgetting(
    on_event: impl Fn(MediaEvent) + Send + Sync + 'static,
    router: Option<Arc<Mutex<Router>>>,
) -> OnEvent {
    let Some(router) = router else { return Arc::new(on_event) };
    Arc::new(move |event| {
        if let MediaEvent::Closed { leg, .. } | MediaEvent::OpenFailed { leg } = &event {
            router.lock().forget(*leg);
        }
        on_event(event);
    })
}
