//! INVITE server transaction (RFC 3261 §17.2.1, Accepted state of RFC 6026 §7.1).
//!
//! ```text
//!              2xx
//! Proceeding ───────► Accepted ─────────────L───────────► Terminated
//!    │ 300-699            ACK                                 ▲  ▲
//!    └─────────► Completed ────► Confirmed ──────────I────────┘  │
//!                   └── H: no ACK ───────────────────────────────┘
//! ```
//!
//! Knows no message: its owner, the transaction table, keeps the last response and sends it when
//! told. The repetition of a 2xx is the leg's work (RFC 6026 §8.1), not this machine's.

use crate::event::Transport;
use crate::transaction::{GIVE_UP_AFTER, T1, T2, T4};
use std::time::{Duration, Instant};

/// What happened to an INVITE of the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The INVITE again.
    Repeated,
    /// Our side answers it.
    Respond {
        /// With this status, 100–699.
        status: u16,
    },
    /// An ACK that matches this transaction (RFC 3261 §17.2.3).
    Ack,
}

/// What the transaction wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Send the last response given, for the first time or again.
    SendLast,
    /// Hand the ACK to the leg: it confirms a 2xx (RFC 6026 §7.1).
    PassUpAck,
    /// Tell the leg that the caller has a final response, and wants the call no more.
    PassUpEnd,
    /// Timer H: the refusal was never acknowledged. Nothing is left to do but to know it.
    NeverAcknowledged,
}

/// An INVITE of the peer, until it can no longer be repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InviteServer {
    state: State,
    transport: Transport,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Proceeding,
    /// L: repeated INVITEs are absorbed until `until`.
    Accepted {
        until: Instant,
    },
    /// G: the refusal again at `retransmit_at` (never on a stream). H: at `give_up_at` no ACK
    /// will come.
    Completed {
        retransmit_after: Duration,
        retransmit_at: Option<Instant>,
        give_up_at: Instant,
    },
    /// I: repeated ACKs are absorbed until `until`.
    Confirmed {
        until: Instant,
    },
    Terminated,
}

impl InviteServer {
    /// An INVITE came. RFC 3261 §17.2.1: a 100 must go out unless an answer does within 200 ms;
    /// its owner sends it at once, by [`Event::Respond`].
    pub fn start(transport: Transport) -> Self {
        Self { state: State::Proceeding, transport }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        match (self.state, event) {
            (Proceeding, Event::Respond { status }) => {
                out.push(Action::SendLast);
                match status {
                    ..=199 => (),
                    200..=299 => self.state = Accepted { until: now + GIVE_UP_AFTER },
                    300.. => self.enter_completed(now),
                }
            }
            // RFC 6026 §7.1: the 2xx that the leg repeats is sent; no other status can follow.
            (Accepted { .. }, Event::Respond { status: 200..=299 }) => out.push(Action::SendLast),
            // §17.2.1: a repeated INVITE is answered with the last response.
            (Proceeding | Completed { .. }, Event::Repeated) => out.push(Action::SendLast),
            (Completed { .. }, Event::Ack) => self.enter_confirmed(now),
            // RFC 6026 §7.1: an ACK found here belongs to the 2xx and is the leg's.
            (Accepted { .. }, Event::Ack) => out.push(Action::PassUpAck),
            // The only final response has been given; repetitions of what is done are absorbed.
            (Accepted { .. }, Event::Repeated | Event::Respond { .. }) => (),
            (Completed { .. }, Event::Respond { .. }) => (),
            // The caller acknowledges a refusal of which nothing was kept (§8.2.7): for him it is over,
            // though his repetition was taken.
            (Proceeding, Event::Ack) => out.push(Action::PassUpEnd),
            (Confirmed { .. } | Terminated, _) => (),
        }
    }

    /// Lets time pass.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Completed { give_up_at, .. } if give_up_at <= now => {
                self.state = State::Terminated;
                out.push(Action::NeverAcknowledged);
            }
            State::Completed { retransmit_after, retransmit_at: Some(at), give_up_at }
                if at <= now =>
            {
                out.push(Action::SendLast);
                let retransmit_after = (retransmit_after * 2).min(T2);
                let retransmit_at = Some(now + retransmit_after);
                self.state = State::Completed { retransmit_after, retransmit_at, give_up_at };
            }
            State::Accepted { until } | State::Confirmed { until } if until <= now => {
                self.state = State::Terminated;
            }
            State::Proceeding
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Terminated => (),
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Completed { retransmit_at, give_up_at, .. } => {
                Some(retransmit_at.map_or(give_up_at, |at| at.min(give_up_at)))
            }
            State::Accepted { until } | State::Confirmed { until } => Some(until),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// Whether no final response has been given: a CANCEL still has an effect
    /// (RFC 3261 §9.2).
    pub fn is_pending(&self) -> bool {
        self.state == State::Proceeding
    }

    /// Whether this machine will never ask for the last response again: a 2xx is kept by its
    /// leg, a refusal is acknowledged.
    pub fn needs_no_response(&self) -> bool {
        matches!(self.state, State::Accepted { .. } | State::Confirmed { .. } | State::Terminated)
    }

    /// Whether the transaction is over and may be forgotten.
    pub fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }

    fn enter_completed(&mut self, now: Instant) {
        self.state = State::Completed {
            retransmit_after: T1,
            retransmit_at: (!self.transport.is_reliable()).then_some(now + T1),
            give_up_at: now + GIVE_UP_AFTER,
        };
    }

    fn enter_confirmed(&mut self, now: Instant) {
        // §17.2.1: I is T4 on unreliable transports, zero on reliable ones.
        self.state = if self.transport.is_reliable() {
            State::Terminated
        } else {
            State::Confirmed { until: now + T4 }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    fn refused(transport: Transport) -> (InviteServer, Instant, Vec<Action>) {
        let (start, mut out) = (epoch().instant, Vec::new());
        let mut machine = InviteServer::start(transport);
        machine.handle(Event::Respond { status: 100 }, start, &mut out);
        machine.handle(Event::Respond { status: 486 }, start, &mut out);
        assert_eq!(out, [Action::SendLast, Action::SendLast]);
        out.clear();
        (machine, start, out)
    }

    /// Timer G doubles from T1 to T2; Timer H ends it at 64*T1 (RFC 3261 §17.2.1).
    #[test]
    fn a_refusal_is_repeated_until_timer_h() {
        for (transport, repeats) in [
            (
                Transport::Udp,
                &[500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500][..],
            ),
            (Transport::Tcp, &[]),
        ] {
            let (mut machine, start, mut out) = refused(transport);
            let mut trace = Vec::new();
            while let Some(at) = machine.deadline() {
                machine.handle_deadline(at, &mut out);
                trace.extend(out.drain(..).map(|action| ((at - start).as_millis(), action)));
            }
            let mut expected: Vec<_> =
                repeats.iter().map(|at_ms| (*at_ms, Action::SendLast)).collect();
            expected.push((32_000, Action::NeverAcknowledged));
            assert_eq!(trace, expected);
            assert!(machine.is_terminated());
        }
    }

    /// The ACK stops the repetition; Timer I (T4) absorbs its repetitions, zero on a stream.
    #[test]
    fn an_ack_confirms_and_timer_i_ends_it() {
        let (mut machine, start, mut out) = refused(Transport::Udp);
        machine.handle(Event::Ack, start, &mut out);
        machine.handle(Event::Ack, start, &mut out);
        machine.handle(Event::Repeated, start, &mut out);
        assert_eq!(out, []);
        assert_eq!(machine.deadline(), Some(start + T4));
        assert!(machine.needs_no_response());
        machine.handle_deadline(start + T4, &mut out);
        assert!(machine.is_terminated());

        let (mut machine, start, mut out) = refused(Transport::Tcp);
        machine.handle(Event::Ack, start, &mut out);
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_repeated_invite_gets_the_last_response() {
        let (start, mut out) = (epoch().instant, Vec::new());
        let mut machine = InviteServer::start(Transport::Udp);
        machine.handle(Event::Respond { status: 100 }, start, &mut out);
        machine.handle(Event::Ack, start, &mut out);
        machine.handle(Event::Repeated, start, &mut out);
        // An ACK before any final response is to a refusal that was kept nowhere.
        assert_eq!(out, [Action::SendLast, Action::PassUpEnd, Action::SendLast]);
        assert_eq!(machine.deadline(), None);
        let (mut machine, start, mut out) = refused(Transport::Udp);
        machine.handle(Event::Repeated, start, &mut out);
        machine.handle(Event::Respond { status: 200 }, start, &mut out);
        assert_eq!(out, [Action::SendLast]);
    }

    /// After a 2xx: INVITEs are absorbed, the leg's repetitions pass, ACKs go up, and Timer L
    /// (64*T1) ends it (RFC 6026 §7.1).
    #[test]
    fn an_accepted_invite_is_absorbed_until_timer_l() {
        let (start, mut out) = (epoch().instant, Vec::new());
        let mut machine = InviteServer::start(Transport::Udp);
        machine.handle(Event::Respond { status: 200 }, start, &mut out);
        for event in [
            Event::Repeated,
            Event::Respond { status: 200 },
            Event::Respond { status: 486 },
            Event::Ack,
        ] {
            machine.handle(event, start, &mut out);
        }
        assert_eq!(out, [Action::SendLast, Action::SendLast, Action::PassUpAck]);
        assert_eq!(machine.deadline(), Some(start + Duration::from_secs(32)));
        machine.handle_deadline(start + Duration::from_secs(32), &mut out);
        assert!(machine.is_terminated());
    }
}
