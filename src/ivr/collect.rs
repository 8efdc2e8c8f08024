//! Digits into a variable, by keys or spoken, read back where the file says so.

use crate::confirm::{Confirm, Verdict, ground};
use crate::event::Event;
use crate::flow::node::Collect;
use crate::ladder::Ladder;
use crate::listen::{Keys, Listener, Question, Reply};
use crate::spoken;
use crate::talk::{Step, Turn};
use domain::prompt::{Expect, Hearing, Prompt};
use std::time::Instant;

/// The machine of one number.
#[derive(Clone, Debug)]
pub(crate) struct Collecting {
    ladder: Ladder,
    /// The recogniser failed once: keys only from then on.
    deaf: bool,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Asking(Listener),
    Confirming(Confirm),
    Done,
}

impl Collecting {
    pub fn enter(collect: &Collect, turn: &mut Turn<'_>) -> (Self, Step) {
        let mut machine = Self { ladder: Ladder::default(), deaf: false, phase: Phase::Done };
        let from_sentence = collect.take_slot && turn.talk.slots.remove(&collect.into);
        let value = turn.talk.variables.get(&collect.into).filter(|_| from_sentence).cloned();
        if let Some(value) = value.filter(|value| fits(collect, value)) {
            turn.note(format!("{} taken", collect.into), "it was in the caller's sentence");
            let step = machine.accept(collect, &value, turn);
            return (machine, step);
        }
        let prompts = turn.prompts(&collect.say);
        machine.ask(collect, prompts, turn);
        (machine, Step::Stay)
    }

    pub fn handle(&mut self, collect: &Collect, event: &Event, turn: &mut Turn<'_>) -> Step {
        match &mut self.phase {
            Phase::Asking(listener) => {
                let reply = listener.handle(event, turn);
                self.take(collect, reply, turn)
            }
            Phase::Confirming(confirm) => {
                let verdict = confirm.handle(event, turn);
                self.conclude(collect, verdict, turn)
            }
            Phase::Done => Step::Stay,
        }
    }

    pub fn handle_deadline(&mut self, collect: &Collect, turn: &mut Turn<'_>) -> Step {
        match &mut self.phase {
            Phase::Asking(listener) => {
                let reply = listener.handle_deadline(turn);
                self.take(collect, reply, turn)
            }
            Phase::Confirming(confirm) => {
                let verdict = confirm.handle_deadline(turn);
                self.conclude(collect, verdict, turn)
            }
            Phase::Done => Step::Stay,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Asking(listener) => listener.deadline(),
            Phase::Confirming(confirm) => confirm.deadline(),
            Phase::Done => None,
        }
    }

    pub fn takes_keys(&self) -> bool {
        matches!(&self.phase, Phase::Asking(listener) if listener.takes_keys())
    }

    fn ask(&mut self, collect: &Collect, prompts: Vec<Prompt>, turn: &mut Turn<'_>) {
        let hearing = Hearing { language: turn.talk.language, expect: Expect::Digits };
        let timing = turn.talk.timing;
        let question = Question {
            prompts,
            hearing: (collect.speech && !self.deaf).then_some(hearing),
            barge_in: collect.barge_in,
            keys: Keys::Number {
                max: collect.digits_max,
                terminator: collect.terminator,
                inter_digit: collect.inter_digit.unwrap_or(timing.inter_digit),
            },
            no_input: collect.first_digit.unwrap_or(timing.no_input),
        };
        self.phase = Phase::Asking(Listener::ask(question, turn));
    }

    fn take(&mut self, collect: &Collect, reply: Option<Reply>, turn: &mut Turn<'_>) -> Step {
        let Some(reply) = reply else { return Step::Stay };
        let digits = match &reply {
            Reply::Digits(digits) => Some(digits.clone()),
            Reply::Heard(heard) => spoken::digits(turn.talk.language, &heard.text),
            Reply::Silence => {
                turn.note(format!("no {}", collect.into), ground(&reply));
                let words = self.ladder.after_silence(&collect.phrases_after);
                return self.again_with(collect, words.map(|words| turn.prompts(words)), turn);
            }
            Reply::Deaf => {
                turn.note("keys take over", ground(&reply));
                self.deaf = true;
                let prompts = turn.prompts(&collect.say);
                return self.again_with(collect, Some(prompts), turn);
            }
            Reply::Key(_) => None,
        };
        match digits.filter(|digits| fits(collect, digits)) {
            Some(digits) => {
                turn.note(format!("{} taken", collect.into), ground(&reply));
                self.accept(collect, &digits, turn)
            }
            None => {
                turn.note(format!("{} does not fit", collect.into), ground(&reply));
                self.again_after_miss(collect, turn)
            }
        }
    }

    fn accept(&mut self, collect: &Collect, digits: &str, turn: &mut Turn<'_>) -> Step {
        turn.set(&collect.into, digits);
        match &collect.confirm {
            None => Step::Go(collect.next),
            Some(confirm) => {
                let prompts = turn.prompts(confirm);
                self.phase = Phase::Confirming(Confirm::ask(prompts, turn));
                Step::Stay
            }
        }
    }

    fn conclude(
        &mut self,
        collect: &Collect,
        verdict: Option<Verdict>,
        turn: &mut Turn<'_>,
    ) -> Step {
        match verdict {
            None => Step::Stay,
            Some(Verdict::Yes) => Step::Go(collect.next),
            Some(Verdict::No) => {
                turn.talk.variables.remove(&collect.into);
                self.again_after_miss(collect, turn)
            }
            Some(Verdict::Unclear) => {
                turn.talk.variables.remove(&collect.into);
                Step::Go(collect.phrases_after.give_up)
            }
        }
    }

    fn again_after_miss(&mut self, collect: &Collect, turn: &mut Turn<'_>) -> Step {
        let words = self.ladder.after_miss(&collect.phrases_after);
        self.again_with(collect, words.map(|words| turn.prompts(words)), turn)
    }

    fn again_with(
        &mut self,
        collect: &Collect,
        prompts: Option<Vec<Prompt>>,
        turn: &mut Turn<'_>,
    ) -> Step {
        let Some(prompts) = prompts else {
            turn.note(format!("{} given up", collect.into), "no phrase is left");
            return Step::Go(collect.phrases_after.give_up);
        };
        turn.talk.forget_typed();
        self.ask(collect, prompts, turn);
        Step::Stay
    }
}

fn fits(collect: &Collect, digits: &str) -> bool {
    let length = usize::from(collect.digits_min)..=usize::from(collect.digits_max);
    length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}
