//! The load: one thread that calls, open loop, at a given rate, and one side that is called. Calls
//! that come at random moments (a Poisson stream) do not wait for those before them.

use super::batch::Batched;
use super::message::{Caller, Heard, Peer, answer};
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// After this nobody waits for an answer any more: T1 eight times doubled would be 64 s.
const GIVE_UP_AFTER: Duration = Duration::from_secs(8);
/// Calls begun, and requests repeated, before the next look at what was answered.
const BEGUN_AT_ONCE: usize = 32;
/// Batches read before the next calls are begun.
const READ_AT_ONCE: usize = 16;
/// The same stream of calls in every run.
const SEED: u64 = 7;

/// What is asked of the load.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Whom to call.
    pub target: SocketAddrV4,
    /// Calls begun a second, on average.
    pub rate: f64,
    /// How long calls are begun.
    pub length: Duration,
    /// How long each call lasts after its ACK.
    pub talk: Duration,
    /// Datagrams a second of a flood beside it, from another address.
    pub flood: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Calls begun.
    pub begun: u64,
    /// Calls answered, acknowledged, ended, and the end confirmed.
    pub completed: u64,
    /// Of them, while others were still begun.
    pub completed_meanwhile: u64,
    /// Calls refused with a final response.
    pub refused: u64,
    /// Calls that heard nothing final in time.
    pub silent: u64,
    /// Requests sent again.
    pub retransmissions: u64,
    /// From the first INVITE to its 200, in microseconds.
    pub setup_us: Histogram<u64>,
    /// Seconds over which calls were begun.
    pub seconds: f64,
    /// Datagrams of the flood that left.
    pub flooded: u64,
    /// The highest number of calls at once.
    pub at_once: u64,
}

#[derive(Clone, Debug)]
enum Call {
    Inviting { first: Instant, wait: Duration },
    Talking { peer: Box<Peer>, until: Instant },
    Ending { peer: Box<Peer>, first: Instant, wait: Duration },
    Over,
}

/// What is due.
type Due = Reverse<(Instant, u32)>;

/// The calling and the called side.
pub struct Load {
    caller: Batched,
    local: SocketAddrV4,
    callee: Batched,
    callee_local: SocketAddrV4,
    flood: Batched,
    rng: StdRng,
    run: u32,
    dialled: &'static str,
}

struct Run<'a> {
    load: &'a mut Load,
    order: Order,
    calls: Vec<Call>,
    due: BinaryHeap<Due>,
    open: u64,
    outcome: Outcome,
}

impl Load {
    /// Binds its sockets: calls come from 127.0.0.1, a flood from 127.0.0.66.
    pub fn new() -> io::Result<Self> {
        let (caller, callee) =
            (Batched::bind(Ipv4Addr::LOCALHOST)?, Batched::bind(Ipv4Addr::LOCALHOST)?);
        let flood = Batched::bind(Ipv4Addr::new(127, 0, 0, 66))?;
        let (local, callee_local) = (caller.local()?, callee.local()?);
        let rng = StdRng::seed_from_u64(SEED);
        Ok(Self { caller, local, callee, callee_local, flood, rng, run: 0, dialled: "4000" })
    }

    /// What is dialled from now on.
    pub fn dial(&mut self, dialled: &'static str) {
        self.dialled = dialled;
    }

    /// Where calls are answered.
    pub fn callee(&self) -> SocketAddrV4 {
        self.callee_local
    }

    /// Calls as ordered, and waits for the end of what was begun. `watch` is told now and then how
    /// many calls have been begun and how many are open.
    pub fn run(
        &mut self,
        order: Order,
        mut watch: impl FnMut(u64, u64),
    ) -> Result<Outcome, hdrhistogram::CreationError> {
        self.run += 1;
        let outcome = Outcome {
            begun: 0,
            completed: 0,
            completed_meanwhile: 0,
            refused: 0,
            silent: 0,
            retransmissions: 0,
            setup_us: Histogram::new(3)?,
            seconds: 0.0,
            flooded: 0,
            at_once: 0,
        };
        let (calls, due) = (Vec::new(), BinaryHeap::new());
        let mut run = Run { load: self, order, calls, due, open: 0, outcome };
        let begun = Instant::now();
        let (mut next, mut shown) = (begun, begun);
        loop {
            let now = Instant::now();
            let is_over = now >= begun + order.length;
            // At most a batch in one go: who only calls and does not listen loses what he is answered.
            for _ in 0..BEGUN_AT_ONCE {
                if !is_over && next <= now {
                    run.begin(now);
                    next += Duration::from_secs_f64(run.gap());
                }
            }
            if !is_over {
                run.flood(now - begun);
            }
            run.expire(now);
            let before = run.outcome.completed;
            let moved = run.hear();
            if !is_over {
                run.outcome.completed_meanwhile += run.outcome.completed - before;
            }
            run.load.caller.flush();
            run.load.callee.flush();
            run.load.flood.flush();
            if now >= shown + Duration::from_millis(200) {
                shown = now;
                watch(run.outcome.begun, run.open);
            }
            if is_over && run.open == 0 {
                break;
            }
            if !moved && next > now + Duration::from_micros(100) {
                std::thread::yield_now();
            }
        }
        run.outcome.seconds = order.length.as_secs_f64();
        Ok(run.outcome)
    }
}

impl Run<'_> {
    /// To the next call: exponentially distributed.
    fn gap(&mut self) -> f64 {
        -(1.0 - self.load.rng.random::<f64>()).ln() / self.order.rate
    }

    fn caller(&self, call: u32) -> Caller {
        Caller { local: self.load.local, run: self.load.run, call, dialled: self.load.dialled }
    }

    fn begin(&mut self, now: Instant) {
        let call = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push(Call::Inviting { first: now, wait: T1 });
        self.outcome.begun += 1;
        self.open += 1;
        self.outcome.at_once = self.outcome.at_once.max(self.open);
        self.due.push(Reverse((now + T1, call)));
        let (caller, target) = (self.caller(call), self.order.target);
        caller.invite(target, self.load.caller.write(target));
    }

    /// As much of the flood as is due by now: requests that look like a scanner's.
    fn flood(&mut self, elapsed: Duration) {
        let due = (elapsed.as_secs_f64() * self.order.flood) as u64;
        // At most a few batches in one go, so that the calls are not held up by their own enemy.
        for _ in 0..(due.saturating_sub(self.outcome.flooded)).min(256) {
            let caller = Caller {
                local: self.load.local,
                run: u32::MAX,
                call: u32::try_from(self.outcome.flooded).unwrap_or(u32::MAX),
                dialled: self.load.dialled,
            };
            caller.invite(self.order.target, self.load.flood.write(self.order.target));
            self.outcome.flooded += 1;
        }
    }

    fn expire(&mut self, now: Instant) {
        for _ in 0..BEGUN_AT_ONCE {
            let Some(Reverse((at, call))) = self.due.peek().copied() else { return };
            if at > now {
                return;
            }
            self.due.pop();
            self.late(call, now);
        }
    }

    /// Something of a call is due: the end of its talk, or a request once more.
    fn late(&mut self, call: u32, now: Instant) {
        let (caller, target) = (self.caller(call), self.order.target);
        let Some(state) = self.calls.get_mut(call as usize) else { return };
        let (first, wait) = match state {
            // What is due may also be the repetition of an INVITE that was answered.
            Call::Talking { until, .. } if *until > now => return,
            Call::Talking { .. } => return self.end(call, now),
            Call::Inviting { first, wait } | Call::Ending { first, wait, .. } => (*first, wait),
            Call::Over => return,
        };
        if now >= first + GIVE_UP_AFTER {
            *state = Call::Over;
            self.open -= 1;
            self.outcome.silent += 1;
            return;
        }
        *wait *= 2;
        self.due.push(Reverse((now + *wait, call)));
        self.outcome.retransmissions += 1;
        let out = self.load.caller.write(target);
        match state {
            Call::Inviting { .. } => caller.invite(target, out),
            Call::Ending { peer, .. } => caller.bye(peer, out),
            Call::Talking { .. } | Call::Over => (),
        }
    }

    fn end(&mut self, call: u32, now: Instant) {
        let (caller, target) = (self.caller(call), self.order.target);
        let Some(state) = self.calls.get_mut(call as usize) else { return };
        let Call::Talking { peer, .. } = state else { return };
        let peer = std::mem::take(peer);
        caller.bye(&peer, self.load.caller.write(target));
        *state = Call::Ending { peer, first: now, wait: T1 };
        self.due.push(Reverse((now + T1, call)));
    }

    /// Reads what both sides were sent. `false`: nothing.
    fn hear(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..READ_AT_ONCE {
            let mut heard = Vec::new();
            let count = self.load.caller.receive(|text, _| heard.push(text.to_vec()));
            for text in &heard {
                if let Some(response) = Heard::read(text) {
                    self.response(&response);
                }
            }
            let asked = self.answer_calls();
            // What the flood is told is not for us; it is read so that it does not pile up.
            self.load.flood.receive(|_, _| ());
            if count + asked == 0 {
                break;
            }
            moved = true;
        }
        moved
    }

    /// The side that is called: how many requests it was sent.
    fn answer_calls(&mut self) -> usize {
        let mut requests = Vec::new();
        let asked = self.load.callee.receive(|text, from| requests.push((text.to_vec(), from)));
        let local = self.load.callee_local;
        let mut response = Vec::new();
        for (request, from) in &requests {
            response.clear();
            if answer(request, local, &mut response) {
                self.load.callee.write(*from).extend_from_slice(&response);
            }
        }
        asked
    }

    fn response(&mut self, heard: &Heard<'_>) {
        let (run, call) = heard.call;
        if run != self.load.run || heard.status < 200 {
            return;
        }
        let (caller, target, now) = (self.caller(call), self.order.target, Instant::now());
        let Some(state) = self.calls.get_mut(call as usize) else { return };
        match (heard.to_invite, heard.status < 300, &mut *state) {
            (true, true, Call::Inviting { first, .. }) => {
                let Some(peer) = heard.peer() else { return };
                let micros = u64::try_from((now - *first).as_micros()).unwrap_or(u64::MAX);
                // An hour is the longest that its kind of histogram grows to; a call gives up before.
                let _ = self.outcome.setup_us.record(micros);
                caller.ack(&peer, self.load.caller.write(target));
                *state = Call::Talking { peer: Box::new(peer), until: now + self.order.talk };
                if self.order.talk.is_zero() {
                    self.end(call, now);
                } else {
                    self.due.push(Reverse((now + self.order.talk, call)));
                }
            }
            // The 200 once more: its ACK was lost.
            (true, true, Call::Talking { peer, .. } | Call::Ending { peer, .. }) => {
                caller.ack(peer, self.load.caller.write(target));
            }
            (true, false, Call::Inviting { .. }) => {
                caller.ack_refusal(heard, target, self.load.caller.write(target));
                *state = Call::Over;
                self.open -= 1;
                self.outcome.refused += 1;
            }
            (true, false, _) => {
                caller.ack_refusal(heard, target, self.load.caller.write(target));
            }
            (false, _, Call::Ending { .. }) => {
                *state = Call::Over;
                self.open -= 1;
                self.outcome.completed += 1;
            }
            _ => (),
        }
    }
}
