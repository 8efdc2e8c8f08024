//! INVITE client transaction (RFC 3261 §17.1.1, Accepted state of RFC 6026 §7.2).
//!
//! ```text
//!            1xx           2xx
//! Calling ─────► Proceeding ─────► Accepted ──M──► Terminated
//!    │ 300-699        │ 300-699                        ▲
//!    ├────────────────┴──────────► Completed ──D───────┤
//!    └── B: no answer ─────────────────────────────────┘
//! ```
//!
//! Knows no message: its owner, the transaction table, keeps the bytes and sends them when told.

use crate::event::Transport;
use crate::transaction::{GIVE_UP_AFTER, T1};
use std::time::{Duration, Instant};

/// What happened to an INVITE of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A response that matches the transaction (RFC 3261 §17.1.3).
    Response {
        /// Its status, 100–699.
        status: u16,
    },
    /// The INVITE or its ACK could not be sent (RFC 3261 §17.1.4).
    TransportFailed,
    /// No longer wanted: cancelled, and no final response came (RFC 3261 §9.1).
    Abandoned,
    /// The leg is over, and with it what would have bounded the wait for a final response.
    Orphaned,
}

/// What the transaction wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Send the INVITE, for the first time or again.
    SendInvite,
    /// Send the ACK to a refusal (RFC 3261 §17.1.1.3).
    SendAck,
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
    /// Timer B.
    NoResponse,
    /// The transport said so.
    TransportFailed,
}

/// An INVITE of ours, from its sending until nothing can come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InviteClient {
    state: State,
    transport: Transport,
    /// Orphaned: how long a final response may still come, to be acknowledged.
    orphan_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A: again at `retransmit_at` (never on a stream). B: at `give_up_at` nobody is there.
    Calling {
        retransmit_after: Duration,
        retransmit_at: Option<Instant>,
        give_up_at: Instant,
    },
    /// No timer of its own: how long it may ring is for the leg to say, as long as it lives.
    Proceeding,
    /// M: more 2xx may come, repeated or from other forks, until `until`.
    Accepted {
        until: Instant,
    },
    /// D: repeated refusals may come until `until`.
    Completed {
        until: Instant,
    },
    Terminated,
}

/// D: at least 32 s on unreliable transports (RFC 3261 §17.1.1.2).
const ABSORB_REFUSALS: Duration = Duration::from_secs(32);

impl InviteClient {
    /// Sends the INVITE and waits.
    pub fn start(transport: Transport, now: Instant, out: &mut Vec<Action>) -> Self {
        out.push(Action::SendInvite);
        let state = State::Calling {
            retransmit_after: T1,
            // RFC 3261 §17.1.1.2: Timer A is not started on a reliable transport.
            retransmit_at: (!transport.is_reliable()).then_some(now + T1),
            give_up_at: now + GIVE_UP_AFTER,
        };
        Self { state, transport, orphan_until: None }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        match (self.state, event) {
            (Calling { .. } | Proceeding, Event::Response { status }) => {
                match status {
                    ..=199 => self.state = Proceeding,
                    200..=299 => self.state = Accepted { until: now + GIVE_UP_AFTER },
                    300.. => self.enter_completed(now, out),
                }
                out.push(Action::PassUp { status });
            }
            // RFC 6026 §7.2: each 2xx goes up, because the ACK to it is not ours to send.
            (Accepted { .. }, Event::Response { status: status @ 200..=299 }) => {
                out.push(Action::PassUp { status });
            }
            // §17.1.1.2: a repeated refusal means that our ACK was lost.
            (Completed { .. }, Event::Response { status: 300.. }) => out.push(Action::SendAck),
            (Calling { .. }, Event::TransportFailed) => {
                self.terminate(Outcome::TransportFailed, out);
            }
            // It has arrived, and nothing more is sent (§17.1.1.2, figure 5): the final response may
            // still come, over whatever connection (§18.1.1).
            (Proceeding, Event::TransportFailed) => (),
            (Calling { .. } | Proceeding, Event::Abandoned) => {
                self.terminate(Outcome::NoResponse, out);
            }
            // In Calling Timer B bounds it, unless a provisional response stops that.
            (Calling { .. } | Proceeding, Event::Orphaned) => {
                self.orphan_until = Some(now + GIVE_UP_AFTER);
            }
            // The refusal went up already; without a transport nothing can be repeated.
            (Completed { .. }, Event::TransportFailed) => self.state = Terminated,
            // Late, repeated or out of place: dropped on purpose.
            (Accepted { .. } | Completed { .. } | Terminated, _) => (),
        }
    }

    /// Lets time pass.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Calling { give_up_at, .. } if give_up_at <= now => {
                self.terminate(Outcome::NoResponse, out);
            }
            State::Calling { retransmit_after, retransmit_at: Some(at), give_up_at }
                if at <= now =>
            {
                out.push(Action::SendInvite);
                let retransmit_after = retransmit_after * 2;
                let retransmit_at = Some(at.max(now) + retransmit_after);
                self.state = State::Calling { retransmit_after, retransmit_at, give_up_at };
            }
            State::Proceeding if self.orphan_until.is_some_and(|until| until <= now) => {
                self.terminate(Outcome::NoResponse, out);
            }
            State::Accepted { until } | State::Completed { until } if until <= now => {
                self.state = State::Terminated;
            }
            State::Calling { .. }
            | State::Proceeding
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => (),
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Calling { retransmit_at, give_up_at, .. } => {
                Some(retransmit_at.map_or(give_up_at, |at| at.min(give_up_at)))
            }
            State::Accepted { until } | State::Completed { until } => Some(until),
            State::Proceeding => self.orphan_until,
            State::Terminated => None,
        }
    }

    /// Whether a CANCEL may be sent: something has come back, and nothing final
    /// (RFC 3261 §9.1).
    pub fn is_proceeding(&self) -> bool {
        self.state == State::Proceeding
    }

    /// Whether a final response is still to come.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding)
    }

    /// Whether a 2xx has come: only more of them are of interest.
    pub fn is_accepted(&self) -> bool {
        matches!(self.state, State::Accepted { .. })
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }

    fn enter_completed(&mut self, now: Instant, out: &mut Vec<Action>) {
        out.push(Action::SendAck);
        // §17.1.1.2: D is zero on reliable transports.
        self.state = if self.transport.is_reliable() {
            State::Terminated
        } else {
            State::Completed { until: now + ABSORB_REFUSALS }
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

    /// Runs until nothing is due; each action with its time in milliseconds since `start`.
    fn run(
        machine: &mut InviteClient,
        start: Instant,
        out: &mut Vec<Action>,
    ) -> Vec<(u128, Action)> {
        let mut trace: Vec<_> = out.drain(..).map(|action| (0, action)).collect();
        while let Some(at) = machine.deadline() {
            machine.handle_deadline(at, out);
            trace.extend(out.drain(..).map(|action| ((at - start).as_millis(), action)));
        }
        trace
    }

    fn started(transport: Transport) -> (InviteClient, Instant, Vec<Action>) {
        let (start, mut out) = (epoch().instant, Vec::new());
        (InviteClient::start(transport, start, &mut out), start, out)
    }

    /// Nobody answers: seven INVITEs, then Timer B at 32 s (RFC 3261 §17.1.1.2).
    #[test]
    fn silence_sends_seven_invites_then_gives_up() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        let invites = [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500];
        let mut expected: Vec<_> = invites.map(|at_ms| (at_ms, Action::SendInvite)).into();
        expected.push((32_000, Action::Ended(Outcome::NoResponse)));
        assert_eq!(run(&mut machine, start, &mut out), expected);
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_stream_carries_the_invite_once() {
        let (mut machine, start, mut out) = started(Transport::Tcp);
        let expected = [(0, Action::SendInvite), (32_000, Action::Ended(Outcome::NoResponse))];
        assert_eq!(run(&mut machine, start, &mut out), expected);
    }

    #[test]
    fn a_provisional_response_stops_retransmission_and_timer_b() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        machine.handle(Event::Response { status: 180 }, start, &mut out);
        machine.handle(Event::Response { status: 183 }, start, &mut out);
        let passed = [180, 183].map(|status| Action::PassUp { status });
        assert_eq!(out, [Action::SendInvite, passed[0], passed[1]]);
        assert_eq!(machine.deadline(), None);
        assert!(machine.is_proceeding());
    }

    /// Each 2xx goes up until Timer M, 64*T1 (RFC 6026 §7.2); a refusal in between does not.
    #[test]
    fn two_hundreds_go_up_until_timer_m() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (mut machine, start, mut out) = started(transport);
            for status in [200, 200, 180, 486, 202] {
                machine.handle(Event::Response { status }, start, &mut out);
            }
            machine.handle(Event::TransportFailed, start, &mut out);
            let passed = [200, 200, 202].map(|status| Action::PassUp { status });
            assert_eq!(out, [Action::SendInvite, passed[0], passed[1], passed[2]]);
            assert_eq!(machine.deadline(), Some(start + Duration::from_secs(32)));
            machine.handle_deadline(start + Duration::from_secs(32), &mut out);
            assert!(machine.is_terminated());
        }
    }

    /// A refusal is acknowledged each time it comes until Timer D (RFC 3261 §17.1.1.2).
    #[test]
    fn refusals_are_acknowledged_again_until_timer_d() {
        let (mut machine, start, mut out) = started(Transport::Udp);
        for status in [486, 486, 200, 100] {
            machine.handle(Event::Response { status }, start, &mut out);
        }
        let passed = Action::PassUp { status: 486 };
        assert_eq!(out, [Action::SendInvite, Action::SendAck, passed, Action::SendAck]);
        assert_eq!(machine.deadline(), Some(start + Duration::from_secs(32)));
        machine.handle_deadline(start + Duration::from_secs(32), &mut out);
        assert!(machine.is_terminated());

        let (mut machine, start, mut out) = started(Transport::Tcp);
        machine.handle(Event::Response { status: 486 }, start, &mut out);
        assert_eq!(out, [Action::SendInvite, Action::SendAck, passed]);
        assert!(machine.is_terminated(), "timer D is zero on a stream");
    }

    /// RFC 3261 §17.1.1.2, figure 5: nothing more is sent, so that a transport error says nothing.
    #[test]
    fn what_rings_survives_its_transport() {
        let (mut machine, start, mut out) = started(Transport::Tcp);
        machine.handle(Event::Response { status: 180 }, start, &mut out);
        out.clear();
        machine.handle(Event::TransportFailed, start, &mut out);
        assert!(out.is_empty() && machine.is_proceeding());
    }

    #[test]
    fn a_failed_transport_and_an_abandoned_ring_end_it() {
        for (event, outcome) in [
            (Event::TransportFailed, Outcome::TransportFailed),
            (Event::Abandoned, Outcome::NoResponse),
        ] {
            let (mut machine, start, mut out) = started(Transport::Udp);
            machine.handle(event, start, &mut out);
            machine.handle(event, start, &mut out);
            assert_eq!(out, [Action::SendInvite, Action::Ended(outcome)]);
            assert!(machine.is_terminated());
        }
    }

    /// Whichever comes first, the provisional response or the end of the leg: it does not last.
    #[test]
    fn an_orphan_waits_for_64_t1() {
        for order in [[true, false], [false, true]] {
            let (mut machine, start, mut out) = started(Transport::Udp);
            for is_response in order {
                let response = Event::Response { status: 100 };
                let event = if is_response { response } else { Event::Orphaned };
                machine.handle(event, start, &mut out);
            }
            assert_eq!(machine.deadline(), Some(start + GIVE_UP_AFTER));
            out.clear();
            machine.handle_deadline(start + GIVE_UP_AFTER, &mut out);
            assert_eq!(out, [Action::Ended(Outcome::NoResponse)]);
            assert!(machine.is_terminated());
        }
    }
}
