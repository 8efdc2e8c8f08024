//! Offers to call back, learns the number, and confirms aloud only what is on disk.
//!
//! ```text
//! Offering ── yes, number shown ──────────────────────────► Promising ── stored ──► Telling ──► next
//!    │  └──── yes, number hidden ─► Number ─► Confirming ──►    │ refused, too late
//!    │                                ▲           │ no         ▼
//!    └── no ─► declined               └───────────┘          refused
//! ```

use crate::confirm::{Confirm, Verdict, ground};
use crate::event::{Action, Event};
use crate::flow::node::Callback;
use crate::ladder::Ladder;
use crate::listen::{Keys, Listener, Question, Reply};
use crate::talk::{ANSWER_MAX, SAYING_MAX, Step, Turn};
use domain::id::{OrderId, QueueId};
use domain::phone_number::PhoneNumber;
use domain::prompt::Prompt;
use std::time::Instant;

/// The machine of one offer.
#[derive(Clone, Debug)]
pub(crate) struct Offering {
    ladder: Ladder,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Offering(Confirm),
    Number(Listener),
    Confirming { confirm: Confirm, number: PhoneNumber },
    Promising { until: Instant },
    Telling { say: OrderId, until: Instant },
}

impl Offering {
    pub fn enter(callback: &Callback, turn: &mut Turn<'_>) -> Self {
        if let Some(number) = turn.talk.caller.clone() {
            turn.set("callback_number", number.digits());
        }
        let prompts = turn.prompts(&callback.offer);
        Self { ladder: Ladder::default(), phase: Phase::Offering(Confirm::ask(prompts, turn)) }
    }

    pub fn handle(&mut self, callback: &Callback, event: &Event, turn: &mut Turn<'_>) -> Step {
        match (&mut self.phase, event) {
            (Phase::Offering(confirm), event) => {
                let verdict = confirm.handle(event, turn);
                self.take_offer(callback, verdict, turn)
            }
            (Phase::Number(listener), event) => {
                let reply = listener.handle(event, turn);
                self.take_number(callback, reply, turn)
            }
            (Phase::Confirming { confirm, .. }, event) => {
                let verdict = confirm.handle(event, turn);
                self.conclude(callback, verdict, turn)
            }
            (Phase::Promising { .. }, Event::PromiseStored) => {
                turn.note("callback promised", "the promise is on disk");
                self.tell(callback, turn)
            }
            (Phase::Promising { .. }, Event::PromiseRefused { reason }) => {
                turn.note("callback not promised", reason.clone());
                Step::Go(callback.refused)
            }
            (Phase::Telling { say, .. }, Event::PlaybackEnded { order, .. }) if order == say => {
                Step::Go(callback.next)
            }
            // Keys and words mean nothing here; other events are late.
            (Phase::Promising { .. } | Phase::Telling { .. }, _) => Step::Stay,
        }
    }

    pub fn handle_deadline(&mut self, callback: &Callback, turn: &mut Turn<'_>) -> Step {
        match &mut self.phase {
            Phase::Offering(confirm) => {
                let verdict = confirm.handle_deadline(turn);
                self.take_offer(callback, verdict, turn)
            }
            Phase::Number(listener) => {
                let reply = listener.handle_deadline(turn);
                self.take_number(callback, reply, turn)
            }
            Phase::Confirming { confirm, .. } => {
                let verdict = confirm.handle_deadline(turn);
                self.conclude(callback, verdict, turn)
            }
            Phase::Promising { until } if *until <= turn.now => {
                turn.note("callback not promised", "no receipt in time");
                Step::Go(callback.refused)
            }
            Phase::Telling { until, .. } if *until <= turn.now => Step::Go(callback.next),
            Phase::Promising { .. } | Phase::Telling { .. } => Step::Stay,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Offering(confirm) | Phase::Confirming { confirm, .. } => confirm.deadline(),
            Phase::Number(listener) => listener.deadline(),
            Phase::Promising { until } | Phase::Telling { until, .. } => Some(*until),
        }
    }

    pub fn awaits_promise(&self) -> bool {
        matches!(self.phase, Phase::Promising { .. })
    }

    pub fn takes_keys(&self) -> bool {
        matches!(&self.phase, Phase::Number(listener) if listener.takes_keys())
    }

    fn take_offer(
        &mut self,
        callback: &Callback,
        verdict: Option<Verdict>,
        turn: &mut Turn<'_>,
    ) -> Step {
        match (verdict, turn.talk.caller.clone()) {
            (None, _) => Step::Stay,
            (Some(Verdict::Yes), Some(number)) => self.promise(callback, number, turn),
            (Some(Verdict::Yes), None) => {
                turn.note("number asked for", "the caller's number is hidden");
                let prompts = turn.prompts(&callback.ask_number);
                self.ask_number(prompts, turn);
                Step::Stay
            }
            (Some(Verdict::No), _) => {
                turn.note("callback declined", "by the caller");
                Step::Go(callback.declined)
            }
            (Some(Verdict::Unclear), _) => Step::Go(callback.phrases_after.give_up),
        }
    }

    fn ask_number(&mut self, prompts: Vec<Prompt>, turn: &mut Turn<'_>) {
        let timing = turn.talk.timing;
        /// E.164 §6.1 allows 15 digits; a prefix to dial out or abroad may come before.
        const DIGITS_MAX: u8 = 18;
        let inter_digit = timing.inter_digit;
        let question = Question {
            prompts,
            hearing: None,
            barge_in: true,
            keys: Keys::Number { max: DIGITS_MAX, terminator: '#', inter_digit },
            no_input: timing.no_input,
        };
        self.phase = Phase::Number(Listener::ask(question, turn));
    }

    fn take_number(
        &mut self,
        callback: &Callback,
        reply: Option<Reply>,
        turn: &mut Turn<'_>,
    ) -> Step {
        /// Shorter numbers are those of services and extensions: nobody waits there for a call.
        const DIGITS_MIN: usize = 5;
        let Some(reply) = reply else { return Step::Stay };
        let number = match &reply {
            Reply::Digits(digits) if digits.len() >= DIGITS_MIN => PhoneNumber::parse(digits).ok(),
            _ => None,
        };
        if let Some(number) = number {
            turn.set("callback_number", number.digits());
            let prompts = turn.prompts(&callback.confirm_number);
            let confirm = Confirm::ask(prompts, turn);
            self.phase = Phase::Confirming { confirm, number };
            return Step::Stay;
        }
        turn.note("no number to call back", ground(&reply));
        let words = match reply {
            Reply::Silence => self.ladder.after_silence(&callback.phrases_after),
            _ => self.ladder.after_miss(&callback.phrases_after),
        };
        let prompts = words.map(|words| turn.prompts(words));
        self.number_again(callback, prompts, turn)
    }

    fn number_again(
        &mut self,
        callback: &Callback,
        prompts: Option<Vec<Prompt>>,
        turn: &mut Turn<'_>,
    ) -> Step {
        match prompts {
            Some(prompts) => {
                turn.talk.forget_typed();
                self.ask_number(prompts, turn);
                Step::Stay
            }
            None => Step::Go(callback.phrases_after.give_up),
        }
    }

    fn conclude(
        &mut self,
        callback: &Callback,
        verdict: Option<Verdict>,
        turn: &mut Turn<'_>,
    ) -> Step {
        let Phase::Confirming { number, .. } = &self.phase else { return Step::Stay };
        match verdict {
            None => Step::Stay,
            Some(Verdict::Yes) => {
                let number = number.clone();
                self.promise(callback, number, turn)
            }
            Some(Verdict::No) => {
                let words = self.ladder.after_miss(&callback.phrases_after);
                let prompts = words.map(|words| turn.prompts(words));
                self.number_again(callback, prompts, turn)
            }
            Some(Verdict::Unclear) => Step::Go(callback.phrases_after.give_up),
        }
    }

    fn promise(&mut self, callback: &Callback, number: PhoneNumber, turn: &mut Turn<'_>) -> Step {
        turn.note("callback accepted", format!("number {}", number.masked()));
        let queue = QueueId::new(&turn.talk.tenant, &callback.queue);
        turn.out.push(Action::Promise { queue, number });
        self.phase = Phase::Promising { until: turn.now + ANSWER_MAX };
        Step::Stay
    }

    fn tell(&mut self, callback: &Callback, turn: &mut Turn<'_>) -> Step {
        let prompts = turn.prompts(&callback.promised);
        if prompts.is_empty() {
            return Step::Go(callback.next);
        }
        let say = turn.say(prompts);
        self.phase = Phase::Telling { say, until: turn.now + SAYING_MAX };
        Step::Stay
    }
}
