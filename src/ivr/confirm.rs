//! A question whose answer is yes or no, by speech or by key 1 or 2; asked three times at most.

use crate::event::Event;
use crate::listen::{Keys, Listener, Question, Reply};
use crate::spoken;
use crate::talk::Turn;
use domain::prompt::{Expect, Hearing, Prompt};
use std::time::Instant;

/// How often the question is put.
const TRIES_MAX: u8 = 3;

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// Silence or other words, each time.
    Unclear,
}

/// The machine.
#[derive(Clone, Debug)]
pub(crate) struct Confirm {
    prompts: Vec<Prompt>,
    tries: u8,
    deaf: bool,
    listener: Listener,
}

impl Confirm {
    /// Asks. Keys pressed before do not count as an answer: nobody knew this question.
    pub fn ask(prompts: Vec<Prompt>, turn: &mut Turn<'_>) -> Self {
        turn.talk.forget_typed();
        let listener = Listener::ask(question(prompts.clone(), false, turn), turn);
        Self { prompts, tries: 1, deaf: false, listener }
    }

    pub fn handle(&mut self, event: &Event, turn: &mut Turn<'_>) -> Option<Verdict> {
        let reply = self.listener.handle(event, turn)?;
        self.judge(&reply, turn)
    }

    pub fn handle_deadline(&mut self, turn: &mut Turn<'_>) -> Option<Verdict> {
        let reply = self.listener.handle_deadline(turn)?;
        self.judge(&reply, turn)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.listener.deadline()
    }

    fn judge(&mut self, reply: &Reply, turn: &mut Turn<'_>) -> Option<Verdict> {
        let yes = match reply {
            Reply::Key('1') => Some(true),
            Reply::Key('2') => Some(false),
            Reply::Heard(transcript) => spoken::yes_or_no(turn.talk.language, &transcript.text),
            Reply::Key(_) | Reply::Digits(_) | Reply::Silence | Reply::Deaf => None,
        };
        self.deaf |= *reply == Reply::Deaf;
        match yes {
            Some(true) => turn.note("confirmed", ground(reply)),
            Some(false) => turn.note("denied", ground(reply)),
            None => turn.note("neither yes nor no", ground(reply)),
        }
        match yes {
            Some(true) => Some(Verdict::Yes),
            Some(false) => Some(Verdict::No),
            None if self.tries >= TRIES_MAX => Some(Verdict::Unclear),
            None => {
                self.tries += 1;
                let again = question(self.prompts.clone(), self.deaf, turn);
                self.listener = Listener::ask(again, turn);
                None
            }
        }
    }
}

fn question(prompts: Vec<Prompt>, deaf: bool, turn: &Turn<'_>) -> Question {
    let hearing = Hearing { language: turn.talk.language, expect: Expect::YesNo };
    Question {
        prompts,
        hearing: (!deaf).then_some(hearing),
        barge_in: true,
        keys: Keys::One,
        no_input: turn.talk.timing.no_input,
    }
}

/// What was answered, for the record.
pub(crate) fn ground(reply: &Reply) -> String {
    match reply {
        Reply::Key(key) => format!("key {key}"),
        Reply::Digits(digits) => format!("{} digits by key", digits.len()),
        Reply::Heard(heard) => format!("heard \"{}\" ({:.2})", heard.text, heard.confidence),
        Reply::Silence => "silence".to_owned(),
        Reply::Deaf => "the recogniser had nothing in time".to_owned(),
    }
}
