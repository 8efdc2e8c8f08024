//! One turn of the program: SIP endpoint and switchboard around one first-in-first-out worklist.
//!
//! The gateway drives it with real sockets, the simulator with a made-up world; neither decides
//! anything. What fails at once (a dial to a telephone that is not there) is simply the next event
//! of the same turn.

use crate::event::{Action, Event, Restored};
use crate::switchboard::Switchboard;
use bytes::Bytes;
use domain::id::{LegId, TrunkId};
use domain::now::Now;
use sip::endpoint::Endpoint;
use sip::endpoint::defence::{Newcomer, Sorted};
use sip::error::ParseError;
use sip::event::{Action as SipAction, Flow, LegCommand};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::attest::Attestation;
use stir::time::print_sip_date;

/// What enters a turn.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message cut out of a stream.
    Framed {
        /// Between which addresses.
        flow: Flow,
        /// The message.
        message: Bytes,
    },
    /// A stream's framing is lost: it is answered where possible and closed.
    FramingLost {
        /// Between which addresses.
        flow: Flow,
        /// Why.
        error: ParseError,
    },
    /// A datagram.
    Message {
        /// Between which addresses.
        flow: Flow,
        /// The message.
        message: Bytes,
    },
    /// This message could not be sent.
    Unsent {
        /// The whole.
        message: Bytes,
    },
    /// The connection that messages need could not be opened.
    TransportFailed {
        /// Between which addresses.
        flow: Flow,
    },
    /// What a leg sends is held back, as its attempt could not be marked as sent.
    Withheld {
        /// Which.
        leg: LegId,
    },
    /// A stream is open, whoever opened it.
    Connected {
        /// Between which addresses.
        flow: Flow,
        /// The SIP domains of the certificate that its peer showed; `None`: it showed none.
        names: Option<Vec<Arc<str>>>,
    },
    /// A stream was closed by its peer.
    ConnectionClosed {
        /// Between which addresses.
        flow: Flow,
    },
    /// Anything else.
    Event(Event),
}

impl From<Newcomer> for Input {
    fn from(call: Newcomer) -> Self {
        let Newcomer { flow, message, framed } = call;
        match framed {
            true => Self::Framed { flow, message },
            false => Self::Message { flow, message },
        }
    }
}

/// What leaves a turn, in order.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a box for each action costs more than the room")]
pub enum Effect {
    /// Put these bytes on the wire.
    Transmit {
        /// Between which addresses.
        flow: Flow,
        /// One whole message.
        message: Bytes,
        /// The leg it belongs to, for the trace.
        leg: Option<LegId>,
    },
    /// The message that this turn received belongs to this leg, for the trace.
    Received {
        /// Which.
        leg: LegId,
    },
    /// A connection that is opened for this flow must lead to this trunk.
    Expect {
        /// Between which addresses.
        flow: Flow,
        /// Whose it must be.
        trunk: TrunkId,
        /// The name it was located by.
        host: Option<Arc<str>>,
    },
    /// Close this stream.
    Close {
        /// Which.
        flow: Flow,
    },
    /// Everything the switchboard wants done; never `Action::Leg`.
    Do(Action),
}

enum Work {
    Up(Event),
    Down(Action),
}

/// Somebody who holds the tenant's key.
pub trait SignCalls: Send {
    /// The value of `Identity` for a call; `None` when it cannot be signed now, and goes out without.
    fn sign(&mut self, call: &Vouched) -> Option<Arc<str>>;
}

/// How far an outgoing call is vouched for; see `stir::sign::ToSign`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vouched {
    /// A, B or C.
    pub attestation: Attestation,
    /// The caller's canonical number.
    pub origin: String,
    /// The callee's.
    pub destination: String,
    /// Unix seconds.
    pub issued_at_s: u64,
}

/// Endpoint and switchboard, turning together.
pub struct Exchange {
    endpoint: Endpoint,
    switchboard: Switchboard,
    work: VecDeque<Work>,
    sip_out: Vec<SipAction>,
    actions: Vec<Action>,
    /// The last call has ended; its BYE may still have to be repeated.
    drained: bool,
    signer: Option<Box<dyn SignCalls>>,
}

impl Exchange {
    /// Joins the two.
    pub fn new(endpoint: Endpoint, switchboard: Switchboard) -> Self {
        Self {
            endpoint,
            switchboard,
            work: VecDeque::new(),
            sip_out: Vec::new(),
            actions: Vec::new(),
            drained: false,
            signer: None,
        }
    }

    /// From now on, calls are signed where their trunk wants it.
    pub fn sign_with(&mut self, signer: Box<dyn SignCalls>) {
        self.signer = Some(signer);
    }

    /// Takes up what the store handed back, before the first turn.
    pub fn restore(&mut self, restored: Restored, now: Now, out: &mut Vec<Effect>) {
        self.switchboard.restore(restored, now, &mut self.actions);
        self.run(now, out);
    }

    /// One turn: takes `input` and everything that follows from it at once.
    pub fn handle(&mut self, input: Input, now: Now, out: &mut Vec<Effect>) {
        match input {
            Input::Message { flow, message } => {
                self.endpoint.receive(flow, message, now, &mut self.sip_out);
            }
            Input::Framed { flow, message } => {
                self.endpoint.receive_framed(flow, message, now, &mut self.sip_out);
            }
            Input::FramingLost { flow, error } => {
                self.endpoint.framing_lost(flow, error, now, &mut self.sip_out);
            }
            Input::TransportFailed { flow } => {
                self.endpoint.transport_failed(flow, now, &mut self.sip_out);
            }
            Input::Unsent { message } => {
                self.endpoint.unsent(message, now, &mut self.sip_out);
            }
            Input::Withheld { leg } => self.endpoint.withheld(leg, now, &mut self.sip_out),
            Input::Connected { flow, names } => self.endpoint.connected(flow, names),
            Input::ConnectionClosed { flow } => {
                self.endpoint.connection_closed(flow, now, &mut self.sip_out);
            }
            Input::Event(event) => self.work.push_back(Work::Up(event)),
        }
        self.run(now, out);
    }

    /// Whether a connection from `source` is taken, before anything is said on it.
    pub fn admits_connection(&mut self, source: IpAddr, now: Now) -> bool {
        self.endpoint.admits_connection(source, now)
    }

    /// Ends a ban; whether there was one.
    pub fn unban(&mut self, source: IpAddr, now: Now) -> bool {
        self.endpoint.unban(source, now.instant)
    }

    /// What becomes of a message that comes, before anything of it is read (see `sip::overload`).
    pub fn sort(&mut self, flow: Flow, message: &[u8], now: Now) -> Sorted {
        self.endpoint.sort(flow, message, now)
    }

    /// Refuses a message that was sorted so; whether it did, or it is to be handled now after all.
    pub fn refuse(&mut self, flow: Flow, message: &[u8], out: &mut Vec<Effect>) -> bool {
        let refused = self.endpoint.refuse(flow, message, &mut self.sip_out);
        self.collect(out);
        refused
    }

    /// A message waits that was sorted so; it is given back if it is to be handled now after all.
    /// `waited`: how long it has already.
    pub fn wait(&mut self, message: Newcomer, waited: Duration, now: Now) -> Option<Input> {
        self.endpoint.wait(message, waited, now).map(Input::from)
    }

    /// Whether new calls wait.
    pub fn has_newcomers(&self) -> bool {
        self.endpoint.has_newcomers()
    }

    /// The message whose turn it is, to be handled now.
    pub fn next_newcomer(&mut self, now: Now) -> Option<Input> {
        self.endpoint.next_newcomer(now).map(Input::from)
    }

    /// One turn of everything whose deadline has come.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.endpoint.handle_deadline(now, &mut self.sip_out);
        self.run(now, out);
        self.switchboard.handle_deadline(now, &mut self.actions);
        self.run(now, out);
    }

    /// When `handle_deadline` is wanted next.
    pub fn deadline(&self) -> Option<Instant> {
        [self.endpoint.deadline(), self.switchboard.deadline()].into_iter().flatten().min()
    }

    /// The switchboard, to be looked at.
    pub fn switchboard(&self) -> &Switchboard {
        &self.switchboard
    }

    /// The endpoint, to be looked at.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn run(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.collect(out);
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Up(event) => self.switchboard.handle(event, now, &mut self.actions),
                Work::Down(Action::Leg(mut command)) => {
                    self.sign(&mut command, now);
                    self.endpoint.handle(command, now, &mut self.sip_out);
                }
                Work::Down(Action::Trunk(command)) => {
                    self.endpoint.handle_trunk(command, now, &mut self.sip_out);
                }
                Work::Down(Action::Drained) => self.drained = true,
                Work::Down(action) => out.push(Effect::Do(action)),
            }
            self.collect(out);
        }
        // Whoever stops here before a lost BYE was repeated leaves a telephone in a dead call.
        if self.drained && self.endpoint.legs() == 0 {
            self.drained = false;
            out.push(Effect::Do(Action::Drained));
        }
    }

    /// Puts our signature to a call that leaves (RFC 8224 §6.1).
    fn sign(&mut self, command: &mut LegCommand, now: Now) {
        let Some(signer) = &mut self.signer else { return };
        let Some(vouched) = self.switchboard.vouched(command, now) else { return };
        if let LegCommand::Dial { caller, .. } = command {
            caller.identity = signer.sign(&vouched);
            // Step 3: a signed call has a date, which is the one signed.
            let date = print_sip_date(vouched.issued_at_s).into();
            caller.date = caller.identity.is_some().then_some(date);
        }
    }

    /// Sorts what the machines just said into effects and further work, keeping its order: what a
    /// turn marks before it dials is an effect before the INVITE is one.
    fn collect(&mut self, out: &mut Vec<Effect>) {
        for action in self.sip_out.drain(..) {
            match action {
                SipAction::Transmit { flow, message, leg } => {
                    out.push(Effect::Transmit { flow, message, leg });
                }
                SipAction::Matched { leg } => out.push(Effect::Received { leg }),
                SipAction::Up(event) => self.work.push_back(Work::Up(Event::Leg(event))),
                SipAction::Trunk(event) => self.work.push_back(Work::Up(Event::Trunk(event))),
                SipAction::Expect { flow, trunk, host } => {
                    out.push(Effect::Expect { flow, trunk, host });
                }
                SipAction::Close { flow } => out.push(Effect::Close { flow }),
            }
        }
        self.work.extend(self.actions.drain(..).map(Work::Down));
    }
}
