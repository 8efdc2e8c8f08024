//! A question answered by one key.

use crate::confirm::ground;
use crate::event::Event;
use crate::flow::node::Menu;
use crate::ladder::Ladder;
use crate::listen::{Keys, Listener, Question, Reply};
use crate::talk::{Step, Turn};
use domain::prompt::Prompt;
use std::time::Instant;

/// The machine of one menu.
#[derive(Clone, Debug)]
pub(crate) struct Choosing {
    ladder: Ladder,
    listener: Listener,
}

impl Choosing {
    pub fn enter(menu: &Menu, turn: &mut Turn<'_>) -> Self {
        let prompts = turn.prompts(&menu.say);
        let listener = Listener::ask(question(menu, prompts, turn), turn);
        Self { ladder: Ladder::default(), listener }
    }

    pub fn handle(&mut self, menu: &Menu, event: &Event, turn: &mut Turn<'_>) -> Step {
        match self.listener.handle(event, turn) {
            Some(reply) => self.take(menu, &reply, turn),
            None => Step::Stay,
        }
    }

    pub fn handle_deadline(&mut self, menu: &Menu, turn: &mut Turn<'_>) -> Step {
        match self.listener.handle_deadline(turn) {
            Some(reply) => self.take(menu, &reply, turn),
            None => Step::Stay,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.listener.deadline()
    }

    pub fn takes_keys(&self) -> bool {
        self.listener.takes_keys()
    }

    fn take(&mut self, menu: &Menu, reply: &Reply, turn: &mut Turn<'_>) -> Step {
        let next = match reply {
            Reply::Key(key) => menu.keys.get(key),
            Reply::Digits(_) | Reply::Heard(_) | Reply::Silence | Reply::Deaf => None,
        };
        if let Some(next) = next {
            turn.note("menu answered", ground(reply));
            return Step::Go(*next);
        }
        let words = match reply {
            Reply::Silence => self.ladder.after_silence(&menu.phrases_after),
            _ => self.ladder.after_miss(&menu.phrases_after),
        };
        let Some(words) = words else {
            turn.note("menu given up", ground(reply));
            return Step::Go(menu.phrases_after.give_up);
        };
        turn.note("menu not answered", ground(reply));
        turn.talk.forget_typed();
        let prompts = turn.prompts(words);
        self.listener = Listener::ask(question(menu, prompts, turn), turn);
        Step::Stay
    }
}

fn question(menu: &Menu, prompts: Vec<Prompt>, turn: &Turn<'_>) -> Question {
    Question {
        prompts,
        hearing: None,
        barge_in: menu.barge_in,
        keys: Keys::One,
        no_input: menu.no_input_after.unwrap_or(turn.talk.timing.no_input),
    }
}
