//! One agent: what he is doing, and what he will do after the present call.
//!
//! ```text
//!              log in              ready               assigned
//! LoggedOut ─────────► Paused ─────────────► Available ─────────► Reserved ─► Ringing ─► Talking
//!                        ▲                    ▲  ▲  ▲    caller gone│           │           │
//!                        │ rung too often     │  │  └───────────────┴───────────┤           │
//!                        │ without an answer  │  └──── did not answer ──────────┤           │
//!                        └────────────────────┼─────────────────────────────────┘           │
//!                                             └────── ready, or time over ─── WrapUp ◄──────┘
//! ```
//! A caller's ticket skips `Reserved`; only a callback's agent waits there while the caller is
//! rung. What the agent says during a call takes effect at its end.
//!
//! Calls nothing. Called by `roster`.

use crate::event::{AgentSays, AgentState};
use domain::id::TicketId;
use domain::now::Now;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One agent.
#[derive(Clone, Debug)]
pub struct Agent {
    state: AgentState,
    reachable: bool,
    /// In a call of his own, which no queue knows of.
    on_the_phone: bool,
    missed_in_a_row: u8,
    afterwards: Afterwards,
    /// When he last became free: restored when a caller leaves before the talk.
    idle_since_wall_ms: u64,
    wrap_up_ends: Option<Instant>,
}

/// What happened to an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// He said what he does.
    Says(AgentSays),
    /// Whether his telephone can be rung.
    Phone {
        /// It can.
        reachable: bool,
    },
    /// Whether he is in a call of his own.
    OnThePhone {
        /// He is.
        busy: bool,
    },
    /// He was chosen for a caller: his telephone rings.
    AssignedCaller(TicketId),
    /// He was chosen for a callback: he is held while its caller is rung.
    AssignedCallback(TicketId),
    /// The callback's caller answered: his telephone rings.
    Rings,
    /// He took the call.
    Answered,
    /// He did not; after `missed_rings_max` in a row (0 counts as 1) he is paused.
    Missed {
        /// The rule of the queue.
        missed_rings_max: u8,
    },
    /// The caller is gone before the talk: no fault of the agent.
    Released,
    /// The talk is over; zero skips the wrap-up.
    TalkEnded {
        /// The rule of the queue.
        wrap_up: Duration,
    },
    /// The time for writing up is over.
    WrapUpOver,
}

/// What comes after the present call.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Afterwards {
    WrapUp,
    WrapUpUntilReady,
    Paused(Arc<str>),
    LoggedOut,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            state: AgentState::LoggedOut,
            reachable: false,
            on_the_phone: false,
            missed_in_a_row: 0,
            afterwards: Afterwards::WrapUp,
            idle_since_wall_ms: 0,
            wrap_up_ends: None,
        }
    }
}

impl Agent {
    /// What he is doing.
    pub fn state(&self) -> &AgentState {
        &self.state
    }

    /// Whether he may be chosen now: free, and with a telephone that can be rung.
    pub fn is_idle(&self) -> bool {
        let can_ring = self.reachable && !self.on_the_phone;
        can_ring && matches!(self.state, AgentState::Available { .. })
    }

    /// When he last became free, Unix milliseconds.
    pub fn idle_since_wall_ms(&self) -> u64 {
        self.idle_since_wall_ms
    }

    /// Whether he is at work, paused or not.
    pub fn is_logged_in(&self) -> bool {
        self.state != AgentState::LoggedOut
    }

    /// Whether the line moves through him: at work, not paused, and reachable or in a call.
    pub fn is_serving(&self) -> bool {
        match self.state {
            AgentState::LoggedOut | AgentState::Paused { .. } => false,
            AgentState::Available { .. } | AgentState::WrapUp => self.reachable,
            AgentState::Reserved { .. }
            | AgentState::Ringing { .. }
            | AgentState::Talking { .. } => true,
        }
    }

    /// When the wrap-up ends by itself; `None` outside it, or when it lasts until he is ready.
    pub fn deadline(&self) -> Option<Instant> {
        self.wrap_up_ends
    }

    /// Takes one event. Those out of place are ignored.
    pub fn handle(&mut self, event: Event, now: Now) {
        use AgentState::{Available, LoggedOut, Paused, Reserved, Ringing, Talking, WrapUp};
        match (&self.state, event) {
            (_, Event::Says(says)) => self.listen(says, now),
            (_, Event::Phone { reachable }) => self.reachable = reachable,
            (_, Event::OnThePhone { busy }) => self.on_the_phone = busy,
            (Available { .. }, Event::AssignedCaller(ticket)) => {
                self.state = Ringing { ticket };
            }
            (Available { .. }, Event::AssignedCallback(ticket)) => {
                self.state = Reserved { ticket };
            }
            (Reserved { ticket }, Event::Rings) => self.state = Ringing { ticket: *ticket },
            (Reserved { ticket } | Ringing { ticket }, Event::Answered) => {
                self.missed_in_a_row = 0;
                self.state = Talking { ticket: *ticket };
            }
            (Reserved { .. } | Ringing { .. }, Event::Missed { missed_rings_max }) => {
                self.enter_after_missed_ring(missed_rings_max, now);
            }
            (Reserved { .. } | Ringing { .. }, Event::Released) => {
                let since_wall_ms = self.idle_since_wall_ms;
                self.enter_afterwards(Duration::ZERO, since_wall_ms, now);
            }
            (Talking { .. }, Event::TalkEnded { wrap_up }) => {
                self.enter_afterwards(wrap_up, now.wall_ms, now);
            }
            (WrapUp, Event::WrapUpOver) => self.enter_available(now.wall_ms),
            // Late, repeated or out of place: dropped on purpose.
            (LoggedOut | Paused { .. }, _)
            | (
                Available { .. },
                Event::Rings
                | Event::Answered
                | Event::Missed { .. }
                | Event::Released
                | Event::TalkEnded { .. }
                | Event::WrapUpOver,
            )
            | (
                Reserved { .. } | Ringing { .. } | Talking { .. } | WrapUp,
                Event::AssignedCaller(_) | Event::AssignedCallback(_) | Event::Rings,
            )
            | (Reserved { .. } | Ringing { .. } | WrapUp, Event::TalkEnded { .. })
            | (Reserved { .. } | Ringing { .. } | Talking { .. }, Event::WrapUpOver)
            | (Talking { .. } | WrapUp, Event::Answered | Event::Missed { .. } | Event::Released) =>
                {}
        }
    }

    /// What he says himself; during a call it is noted for its end.
    fn listen(&mut self, says: AgentSays, now: Now) {
        use AgentState::{Available, LoggedOut, Paused, Reserved, Ringing, Talking, WrapUp};
        match (&self.state, says) {
            (LoggedOut, AgentSays::LogIn) => self.enter_paused("logged in".into()),
            (LoggedOut | Paused { .. } | WrapUp, AgentSays::Ready) => {
                self.missed_in_a_row = 0;
                self.enter_available(now.wall_ms);
            }
            (Available { .. } | WrapUp | Paused { .. }, AgentSays::LogOut) => {
                self.enter_logged_out();
            }
            (Available { .. } | WrapUp | Paused { .. }, AgentSays::Pause { reason }) => {
                self.enter_paused(reason);
            }
            (WrapUp, AgentSays::ExtendWrapUp) => self.wrap_up_ends = None,
            (Reserved { .. } | Ringing { .. } | Talking { .. }, says) => {
                self.note_for_afterwards(says);
            }
            // Said twice, or where it means nothing.
            (LoggedOut, AgentSays::LogOut | AgentSays::Pause { .. } | AgentSays::ExtendWrapUp)
            | (Available { .. }, AgentSays::LogIn | AgentSays::Ready | AgentSays::ExtendWrapUp)
            | (Paused { .. }, AgentSays::LogIn | AgentSays::ExtendWrapUp)
            | (WrapUp, AgentSays::LogIn) => (),
        }
    }

    /// What is said in a call counts from its end; the last word wins.
    fn note_for_afterwards(&mut self, says: AgentSays) {
        match says {
            AgentSays::LogOut => self.afterwards = Afterwards::LoggedOut,
            AgentSays::Pause { reason } => self.afterwards = Afterwards::Paused(reason),
            AgentSays::LogIn | AgentSays::Ready => self.afterwards = Afterwards::WrapUp,
            AgentSays::ExtendWrapUp => {
                if self.afterwards == Afterwards::WrapUp {
                    self.afterwards = Afterwards::WrapUpUntilReady;
                }
            }
        }
    }

    fn enter_after_missed_ring(&mut self, missed_rings_max: u8, now: Now) {
        self.missed_in_a_row = self.missed_in_a_row.saturating_add(1);
        let own_wish = matches!(self.afterwards, Afterwards::LoggedOut | Afterwards::Paused(_));
        if self.missed_in_a_row >= missed_rings_max.max(1) && !own_wish {
            self.missed_in_a_row = 0;
            self.enter_paused("no answer".into());
        } else {
            self.enter_afterwards(Duration::ZERO, now.wall_ms, now);
        }
    }

    /// Does what was noted for the end of the call; without a note, `wrap_up`, then free.
    fn enter_afterwards(&mut self, wrap_up: Duration, since_wall_ms: u64, now: Now) {
        let talked = matches!(self.state, AgentState::Talking { .. });
        match std::mem::replace(&mut self.afterwards, Afterwards::WrapUp) {
            Afterwards::LoggedOut => self.enter_logged_out(),
            Afterwards::Paused(reason) => self.enter_paused(reason),
            Afterwards::WrapUpUntilReady if talked => {
                self.state = AgentState::WrapUp;
                self.wrap_up_ends = None;
            }
            Afterwards::WrapUp if talked && !wrap_up.is_zero() => {
                self.state = AgentState::WrapUp;
                self.wrap_up_ends = Some(now.instant + wrap_up);
            }
            Afterwards::WrapUp | Afterwards::WrapUpUntilReady => {
                self.enter_available(since_wall_ms);
            }
        }
    }

    fn enter_available(&mut self, since_wall_ms: u64) {
        self.wrap_up_ends = None;
        self.idle_since_wall_ms = since_wall_ms;
        self.state = AgentState::Available { since_wall_ms };
    }

    fn enter_paused(&mut self, reason: Arc<str>) {
        self.wrap_up_ends = None;
        self.afterwards = Afterwards::WrapUp;
        self.state = AgentState::Paused { reason };
    }

    fn enter_logged_out(&mut self) {
        self.wrap_up_ends = None;
        self.missed_in_a_row = 0;
        self.state = AgentState::LoggedOut;
    }
}

#[cfg(test)]
mod tests;
