//! Server transaction of any method but INVITE and ACK (RFC 3261 §17.2.2).
//!
//! ```text
//!         200-699
//! Trying ─────────► Completed ──J──► Terminated
//! ```
//!
//! There is no Proceeding state: RFC 4320 §4.1 forbids provisional responses but 100, and ours
//! are answered within one turn, so that none is ever due. Nor is a 408 ever sent (§4.2).
//!
//! Knows no message: its owner, the transaction table, keeps the response and sends it when told.

use crate::event::Transport;
use crate::transaction::GIVE_UP_AFTER;
use std::time::Instant;

/// What happened to a request of the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The request again.
    Repeated,
    /// Our side gives its final response.
    Respond,
}

/// What the transaction wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Send the response, for the first time or again.
    SendLast,
}

/// A request of the peer, until it can no longer be repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    state: State,
    transport: Transport,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Trying,
    /// J: repeated requests get the response again until `until`.
    Completed {
        until: Instant,
    },
    Terminated,
}

impl Server {
    /// A request came.
    pub fn start(transport: Transport) -> Self {
        Self { state: State::Trying, transport }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        match (self.state, event) {
            (State::Trying, Event::Respond) => {
                out.push(Action::SendLast);
                // §17.2.2: J is 64*T1 on unreliable transports, zero on reliable ones.
                self.state = if self.transport.is_reliable() {
                    State::Terminated
                } else {
                    State::Completed { until: now + GIVE_UP_AFTER }
                };
            }
            (State::Completed { .. }, Event::Repeated) => out.push(Action::SendLast),
            // Repeated before the response is known: discarded (§17.2.2).
            (State::Trying, Event::Repeated) => (),
            // A second final response is discarded (§17.2.2).
            (State::Completed { .. }, Event::Respond) => (),
            (State::Terminated, Event::Repeated | Event::Respond) => (),
        }
    }

    /// Lets time pass.
    pub fn handle_deadline(&mut self, now: Instant) {
        match self.state {
            State::Completed { until } if until <= now => self.state = State::Terminated,
            State::Trying | State::Completed { .. } | State::Terminated => (),
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Completed { until } => Some(until),
            State::Trying | State::Terminated => None,
        }
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    #[test]
    fn a_repeated_request_gets_the_same_response_until_timer_j() {
        let (start, mut out) = (epoch().instant, Vec::new());
        let mut machine = Server::start(Transport::Udp);
        machine.handle(Event::Repeated, start, &mut out);
        assert_eq!(out, []);
        machine.handle(Event::Respond, start, &mut out);
        machine.handle(Event::Repeated, start, &mut out);
        machine.handle(Event::Respond, start, &mut out);
        assert_eq!(out, [Action::SendLast, Action::SendLast]);
        assert_eq!(machine.deadline(), Some(start + GIVE_UP_AFTER));
        machine.handle_deadline(start + GIVE_UP_AFTER / 2);
        assert!(!machine.is_terminated());
        machine.handle_deadline(start + GIVE_UP_AFTER);
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_stream_repeats_nothing_so_nothing_is_kept() {
        let (start, mut out) = (epoch().instant, Vec::new());
        let mut machine = Server::start(Transport::Tcp);
        machine.handle(Event::Respond, start, &mut out);
        assert_eq!(out, [Action::SendLast]);
        assert!(machine.is_terminated());
    }
}
