//! One question and one reply: says the prompt, takes speech or keys, keeps the deadlines.
//!
//! ```text
//!            prompt ends            speech            utterance ends
//! Saying ───────────────► Waiting ──────────► Talking ─────────────► Hearing
//!    │ key, or speech         │ key              │ key                  │ Heard, NotHeard,
//!    │ (barge-in)             ▼                  ▼                      │ key or too late
//!    └──────────────────► Typing ◄───────────────┘                      ▼
//!                             └── max, terminator or inter-digit ──► Replied
//! ```
//!
//! Keys win over speech: a caller who presses one while the recogniser works is not made to wait.
//! The first-key deadline begins when the prompt ends, never before.

use crate::event::{Action, Event};
use crate::talk::{SAYING_MAX, Turn};
use domain::id::OrderId;
use domain::prompt::{Hearing, Prompt, Transcript};
use std::time::{Duration, Instant};

/// Longer than any utterance: media ends one by force after 8 s.
const TALKING_MAX: Duration = Duration::from_secs(12);

/// What is asked and what may answer it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Question {
    pub prompts: Vec<Prompt>,
    /// `None`: keys only.
    pub hearing: Option<Hearing>,
    /// Whether the caller may answer before the prompt ends.
    pub barge_in: bool,
    pub keys: Keys,
    /// From the end of the prompt to the first key or word.
    pub no_input: Duration,
}

/// How keys are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keys {
    /// The first key is the reply.
    One,
    /// Digits until `max`, the terminator, or a pause of `inter_digit`. `*` begins again, unless it
    /// is the terminator.
    Number { max: u8, terminator: char, inter_digit: Duration },
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Key(char),
    Digits(String),
    Heard(Transcript),
    /// Neither key nor word.
    Silence,
    /// The caller spoke and the recogniser has nothing: keys must do.
    Deaf,
}

/// The machine.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    hearing: Option<Hearing>,
    barge_in: bool,
    keys: Keys,
    no_input: Duration,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Saying { say: OrderId, listen: Option<OrderId>, until: Instant },
    Waiting { listen: OrderId, until: Instant },
    Typing { digits: String, until: Instant },
    Talking { listen: OrderId, until: Instant },
    Hearing { listen: OrderId, until: Instant },
    Replied,
}

impl Listener {
    /// Asks the question.
    pub fn ask(question: Question, turn: &mut Turn<'_>) -> Self {
        let Question { prompts, hearing, barge_in, keys, no_input } = question;
        let mut listener = Self { hearing, barge_in, keys, no_input, state: State::Replied };
        if prompts.is_empty() {
            let listen = listener.order_listening(turn);
            listener.enter_waiting(listen, turn);
            return listener;
        }
        let say = turn.say(prompts);
        let listen = barge_in.then(|| listener.order_listening(turn));
        listener.state = State::Saying { say, listen, until: turn.now + SAYING_MAX };
        listener
    }

    /// Takes an event; gives the reply once.
    pub fn handle(&mut self, event: &Event, turn: &mut Turn<'_>) -> Option<Reply> {
        use State::{Hearing, Replied, Saying, Talking, Typing, Waiting};
        match (&mut self.state, event) {
            (Saying { say, listen, .. }, Event::PlaybackEnded { order, .. }) if order == say => {
                let listen = *listen;
                let listen = listen.unwrap_or_else(|| self.order_listening(turn));
                self.enter_waiting(listen, turn);
                None
            }
            // The prompt must be heard to its end; the key is kept for then.
            (Saying { listen: None, .. }, Event::Digit(key)) => {
                turn.talk.type_ahead(*key);
                None
            }
            (
                Saying { .. } | Waiting { .. } | Talking { .. } | Hearing { .. },
                Event::Digit(key),
            ) => self.take_key(*key, String::new(), turn),
            (Typing { digits, .. }, Event::Digit(key)) => {
                let digits = std::mem::take(digits);
                self.take_key(*key, digits, turn)
            }
            (
                Saying { listen: Some(listen), .. } | Waiting { listen, .. },
                Event::SpeechStarted { order },
            ) if order == listen && self.hearing.is_some() => {
                self.stop_saying(turn);
                self.state = Talking { listen: *order, until: turn.now + TALKING_MAX };
                None
            }
            (Talking { listen, .. }, Event::SpeechEnded { order }) if order == listen => {
                self.enter_hearing(*order, turn);
                None
            }
            // The result may overtake the report of the utterance it is of.
            (
                Saying { listen: Some(listen), .. }
                | Waiting { listen, .. }
                | Talking { listen, .. }
                | Hearing { listen, .. },
                Event::Heard { order, transcript },
            ) if order == listen => self.reply(Reply::Heard(transcript.clone()), turn),
            (
                Saying { listen: Some(listen), .. }
                | Waiting { listen, .. }
                | Talking { listen, .. }
                | Hearing { listen, .. },
                Event::NotHeard { order },
            ) if order == listen => self.reply(Reply::Deaf, turn),
            // Late, of another order, or of no meaning while a reply is awaited.
            (
                Saying { .. }
                | Waiting { .. }
                | Typing { .. }
                | Talking { .. }
                | Hearing { .. }
                | Replied,
                _,
            ) => None,
        }
    }

    /// Acts on the deadline, if it has come; gives the reply once.
    pub fn handle_deadline(&mut self, turn: &mut Turn<'_>) -> Option<Reply> {
        if self.deadline().is_none_or(|until| until > turn.now) {
            return None;
        }
        match &mut self.state {
            // The report of the prompt's end was lost.
            State::Saying { listen, .. } => {
                let listen = *listen;
                let listen = listen.unwrap_or_else(|| self.order_listening(turn));
                self.enter_waiting(listen, turn);
                None
            }
            State::Waiting { .. } => self.reply(Reply::Silence, turn),
            State::Typing { digits, .. } => {
                let digits = std::mem::take(digits);
                self.reply(Reply::Digits(digits), turn)
            }
            State::Talking { listen, .. } => {
                let listen = *listen;
                self.enter_hearing(listen, turn);
                None
            }
            State::Hearing { .. } => self.reply(Reply::Deaf, turn),
            State::Replied => None,
        }
    }

    /// When `handle_deadline` must be called.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Saying { until, .. }
            | State::Waiting { until, .. }
            | State::Typing { until, .. }
            | State::Talking { until, .. }
            | State::Hearing { until, .. } => Some(*until),
            State::Replied => None,
        }
    }

    /// Whether a key would be taken now, not kept for later.
    pub fn takes_keys(&self) -> bool {
        !matches!(self.state, State::Saying { listen: None, .. } | State::Replied)
    }

    fn order_listening(&self, turn: &mut Turn<'_>) -> OrderId {
        let order = turn.order();
        let (hearing, barge_in) = (self.hearing.clone(), self.barge_in);
        turn.out.push(Action::Listen { order, hearing, barge_in });
        order
    }

    fn enter_waiting(&mut self, listen: OrderId, turn: &Turn<'_>) {
        self.state = State::Waiting { listen, until: turn.now + self.no_input };
    }

    fn enter_hearing(&mut self, listen: OrderId, turn: &Turn<'_>) {
        self.state = State::Hearing { listen, until: turn.now + turn.talk.timing.hearing };
    }

    fn take_key(&mut self, key: char, mut digits: String, turn: &mut Turn<'_>) -> Option<Reply> {
        let Keys::Number { max, terminator, inter_digit } = self.keys else {
            return self.reply(Reply::Key(key), turn);
        };
        if key == terminator {
            return self.reply(Reply::Digits(digits), turn);
        }
        match key {
            '0'..='9' => digits.push(key),
            '*' => digits.clear(),
            // `#` where `*` ends the number, and A to D, which no telephone of today has.
            _ => (),
        }
        if digits.len() >= usize::from(max) {
            turn.talk.swallow = Some(terminator);
            return self.reply(Reply::Digits(digits), turn);
        }
        self.stop_saying(turn);
        self.state = State::Typing { digits, until: turn.now + inter_digit };
        None
    }

    /// Media stops by itself on barge-in; said again here for what it has not yet begun.
    fn stop_saying(&self, turn: &mut Turn<'_>) {
        if matches!(self.state, State::Saying { .. }) {
            turn.out.push(Action::StopSaying);
        }
    }

    fn reply(&mut self, reply: Reply, turn: &mut Turn<'_>) -> Option<Reply> {
        self.stop_saying(turn);
        turn.out.push(Action::StopListening);
        self.state = State::Replied;
        Some(reply)
    }
}
