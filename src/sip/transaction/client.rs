//! Client transaction of any method but INVITE and ACK (RFC 3261 §17.1.2).
//!
//! ```text
//!          1xx              200-699
//! Trying ──────► Proceeding ────────► Completed ──K──► Terminated
//!    │ 200-699       │                     ▲               ▲
//!    ├───────────────┼─────────────────────┘               │
//!    └───────────────┴── F: no answer ─────────────────────┘
//! ```
//!
//! Knows no message: its owner, the transaction table, keeps the bytes and sends them when told.

use crate::event::Transport;
use crate::transaction::{GIVE_UP_AFTER, T1, T2, T4};
use std::time::{Duration, Instant};

/// What happened to a request of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A response that matches the transaction (RFC 3261 §17.1.3).
    Response {
        /// Its status, 100–699.
        status: u16,
    },
    /// The request could not be sent (RFC 3261 §17.1.4).
    TransportFailed,
}

/// What the transaction wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Send the request, for the first time or again.
    SendRequest,
    /// Hand the response just given to the owner of the transaction.
    PassUp {
        /// Its status.
        status: u16,
    },
    /// There will be no final response.
    Ended(Outcome),
}

/// Why there will be no final response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Timer F.
    NoResponse,
    /// The transport said so.
    TransportFailed,
}

/// A request of ours, from its sending until nothing can come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    state: State,
    transport: Transport,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// E: again at `at`, the pause doubling to T2 (never on a stream). F: at `give_up_at` nobody
    /// is there.
    Trying {
        retransmit_after: Duration,
        retransmit_at: Option<Instant>,
        give_up_at: Instant,
    },
    /// E: again every T2. F as before.
    Proceeding {
        retransmit_at: Option<Instant>,
        give_up_at: Instant,
    },
    /// K: repeated responses are absorbed until `until`.
    Completed {
        until: Instant,
    },
    Terminated,
}

impl Client {
    /// Sends the request and waits.
    pub fn start(transport: Transport, now: Instant, out: &mut Vec<Action>) -> Self {
        out.push(Action::SendRequest);
        let state = State::Trying {
            retransmit_after: T1,
            // RFC 3261 §17.1.2.2: Timer E is set on unreliable transports only.
            retransmit_at: (!transport.is_reliable()).then_some(now + T1),
            give_up_at: now + GIVE_UP_AFTER,
        };
        Self { state, transport }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        use State::{Completed, Proceeding, Terminated, Trying};
        match (self.state, event) {
            (
                Trying { retransmit_at, give_up_at, .. },
                Event::Response { status: status @ ..=199 },
            )
            | (
                Proceeding { retransmit_at, give_up_at },
                Event::Response { status: status @ ..=199 },
            ) => {
                // §17.1.2.2: the running Timer E is kept; when it fires it is set to T2.
                self.state = Proceeding { retransmit_at, give_up_at };
                out.push(Action::PassUp { status });
            }
            (Trying { .. } | Proceeding { .. }, Event::Response { status }) => {
                self.enter_completed(now);
                out.push(Action::PassUp { status });
            }
            (Trying { .. } | Proceeding { .. }, Event::TransportFailed) => {
                self.terminate(Outcome::TransportFailed, out);
            }
            // Late or repeated: absorbed.
            (Completed { .. } | Terminated, Event::Response { .. } | Event::TransportFailed) => (),
        }
    }

    /// Lets time pass.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Trying { give_up_at, .. } | State::Proceeding { give_up_at, .. }
                if give_up_at <= now =>
            {
                self.terminate(Outcome::NoResponse, out);
            }
            State::Trying { retransmit_after, retransmit_at: Some(at), give_up_at }
                if at <= now =>
            {
                out.push(Action::SendRequest);
                let retransmit_after = (retransmit_after * 2).min(T2);
                let retransmit_at = Some(now + retransmit_after);
                self.state = State::Trying { retransmit_after, retransmit_at, give_up_at };
            }
            State::Proceeding { retransmit_at: Some(at), give_up_at } if at <= now => {
                out.push(Action::SendRequest);
                self.state = State::Proceeding { retransmit_at: Some(now + T2), give_up_at };
            }
            State::Completed { until } if until <= now => self.state = State::Terminated,
            State::Trying { .. }
            | State::Proceeding { .. }
            | State::Completed { .. }
            | State::Terminated => (),
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Trying { retransmit_at, give_up_at, .. }
            | State::Proceeding { retransmit_at, give_up_at } => {
                Some(retransmit_at.map_or(give_up_at, |at| at.min(give_up_at)))
            }
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether a final response is still to come.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }

    fn enter_completed(&mut self, now: Instant) {
        // §17.1.2.2: K is T4 on unreliable transports, zero on reliable ones.
        self.state = if self.transport.is_reliable() {
            State::Terminated
        } else {
            State::Completed { until: now + T4 }
        };
    }

    fn terminate(&mut self, outcome: Outcome, out: &mut Vec<Action>) {
        self.state = State::Terminated;
        out.push(Action::Ended(outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    fn run(machine: &mut Client, start: Instant, out: &mut Vec<Action>) -> Vec<(u128, Action)> {
        let mut trace = Vec::new();
        while let Some(at) = machine.deadline() {
            machine.handle_deadline(at, out);
            trace.extend(out.drain(..).map(|action| ((at - start).as_millis(), action)));
        }
        trace
    }

    fn started(transport: Transport) -> (Client, Instant, Vec<Action>) {
        let (start, mut out) = (epoch().instant, Vec::new());
        let machine = Client::start(transport, start, &mut out);
        assert_eq!(out, [Action::SendRequest]);
        out.clear();
        (machine, start, out)
    }

    fn repeats(at_ms: &[u128]) -> Vec<(u128, Action)> {
        let mut expected: Vec<_> = at_ms.iter().map(|ms| (*ms, Action::SendRequest)).collect();
        expected.push((32_000, Action::Ended(Outcome::NoResponse)));
        expected
    }

    /// Timer E doubles from T1 to T2, Timer F ends it at 64*T1 (RFC 3261 §17.1.2.2).
    #[test]
    fn silence_repeats_the_request_eleven_times_in_all() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        let at = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(run(&mut machine, start, &mut out), repeats(&at));
        let (mut machine, start, mut out) = started(Transport::Tcp);
        assert_eq!(run(&mut machine, start, &mut out), repeats(&[]));
    }

    /// A provisional response slows Timer E to T2 but does not stop Timer F.
    #[test]
    fn a_provisional_response_slows_repetition_to_t2() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        let status = 100;
        machine.handle(Event::Response { status }, start, &mut out);
        machine.handle(Event::Response { status }, start, &mut out);
        assert_eq!(out, [Action::PassUp { status }, Action::PassUp { status }]);
        out.clear();
        let at = [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500];
        assert_eq!(run(&mut machine, start, &mut out), repeats(&at));
    }

    /// One final response goes up; repetitions are absorbed for T4 (Timer K), zero on a stream.
    #[test]
    fn a_final_response_goes_up_once() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        for status in [200, 200, 404] {
            machine.handle(Event::Response { status }, start, &mut out);
        }
        machine.handle(Event::TransportFailed, start, &mut out);
        assert_eq!(out, [Action::PassUp { status: 200 }]);
        assert_eq!(machine.deadline(), Some(start + T4));
        out.clear();
        assert_eq!(run(&mut machine, start, &mut out), []);
        assert!(machine.is_terminated());

        let (mut machine, start, mut out) = started(Transport::Tcp);
        machine.handle(Event::Response { status: 404 }, start, &mut out);
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_failed_transport_ends_it_at_once() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        machine.handle(Event::TransportFailed, start, &mut out);
        assert_eq!(out, [Action::Ended(Outcome::TransportFailed)]);
        assert!(machine.is_terminated() && !machine.is_pending());
    }

    /// RFC 3261 §17.1.2.2: from Proceeding as from Trying; the repetition stops.
    #[test]
    fn a_final_response_ends_proceeding_too() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        for status in [180, 404, 404] {
            machine.handle(Event::Response { status }, start, &mut out);
        }
        assert_eq!(out, [Action::PassUp { status: 180 }, Action::PassUp { status: 404 }]);
        out.clear();
        assert_eq!(run(&mut machine, start, &mut out), []);
        assert!(machine.is_terminated());
    }
}
