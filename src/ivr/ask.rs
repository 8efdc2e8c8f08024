//! An open question: what the caller says is named, accepted, confirmed or asked again.
//!
//! ```text
//! Listening ── Heard ──► Classifying ── sure ─────────────────► the intent's node
//!   ▲  │ key ──────────────────────────────────────────────────►    ▲ yes
//!   │  │                      ├── in between ───► Confirming ───────┤
//!   │  │                      ├── two are near ─► Choosing ─────────┘ 1, 2, or said
//!   │  ▼                      ▼                     │ no
//!   └── ladder: next phrase ◄─┴─────────────────────┘      no phrase left ──► give_up
//! ```

use crate::confirm::{Confirm, Verdict, ground};
use crate::event::{Action, Event};
use crate::flow::node::{Ask, AskReply};
use crate::ladder::Ladder;
use crate::listen::{Keys, Listener, Question, Reply};
use crate::spoken;
use crate::talk::{Step, Turn};
use domain::id::OrderId;
use domain::prompt::{Expect, Hearing, Prompt, Transcript, Understanding};
use std::sync::Arc;
use std::time::Instant;

/// The machine of one open question.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    ladder: Ladder,
    /// The recogniser or the classifier failed once: keys only from then on.
    deaf: bool,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Listening(Listener),
    /// `among`: the two replies chosen between, by their places in the file.
    Classifying {
        order: OrderId,
        until: Instant,
        clear: bool,
        among: Option<(usize, usize)>,
    },
    Confirming {
        confirm: Confirm,
        reply: usize,
    },
    Choosing {
        listener: Listener,
        first: usize,
        second: usize,
    },
    Done,
}

impl Asking {
    pub fn enter(ask: &Ask, turn: &mut Turn<'_>) -> Self {
        let mut machine = Self { ladder: Ladder::default(), deaf: false, phase: Phase::Done };
        let prompts = turn.prompts(&ask.say);
        machine.listen(ask, prompts, turn);
        machine
    }

    pub fn handle(&mut self, ask: &Ask, event: &Event, turn: &mut Turn<'_>) -> Step {
        match (&mut self.phase, event) {
            (Phase::Listening(listener), event) => {
                let reply = listener.handle(event, turn);
                self.take(ask, reply, turn)
            }
            (Phase::Choosing { listener, first, second }, event) => {
                let among = (*first, *second);
                let reply = listener.handle(event, turn);
                self.take_choice(ask, reply, among, turn)
            }
            (Phase::Confirming { confirm, .. }, event) => {
                let verdict = confirm.handle(event, turn);
                self.conclude(ask, verdict, turn)
            }
            (
                Phase::Classifying { order, clear, among, .. },
                Event::Understood { order: of, understanding },
            ) if order == of => {
                let (clear, among) = (*clear, *among);
                self.understand(ask, understanding, clear, among, turn)
            }
            // A caller who presses a key does not wait for the classifier.
            (Phase::Classifying { among, .. }, Event::Digit(key)) => {
                let among = *among;
                match among {
                    None => self.take(ask, Some(Reply::Key(*key)), turn),
                    Some(among) => self.take_choice(ask, Some(Reply::Key(*key)), among, turn),
                }
            }
            // Late or of another order.
            (Phase::Classifying { .. } | Phase::Done, _) => Step::Stay,
        }
    }

    pub fn handle_deadline(&mut self, ask: &Ask, turn: &mut Turn<'_>) -> Step {
        match &mut self.phase {
            Phase::Listening(listener) => {
                let reply = listener.handle_deadline(turn);
                self.take(ask, reply, turn)
            }
            Phase::Choosing { listener, first, second } => {
                let among = (*first, *second);
                let reply = listener.handle_deadline(turn);
                self.take_choice(ask, reply, among, turn)
            }
            Phase::Confirming { confirm, .. } => {
                let verdict = confirm.handle_deadline(turn);
                self.conclude(ask, verdict, turn)
            }
            Phase::Classifying { until, .. } if *until <= turn.now => {
                self.fall_back_to_keys(ask, "the classifier had nothing in time", turn)
            }
            Phase::Classifying { .. } | Phase::Done => Step::Stay,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Listening(listener) | Phase::Choosing { listener, .. } => listener.deadline(),
            Phase::Confirming { confirm, .. } => confirm.deadline(),
            Phase::Classifying { until, .. } => Some(*until),
            Phase::Done => None,
        }
    }

    pub fn takes_keys(&self) -> bool {
        matches!(&self.phase, Phase::Listening(listener) if listener.takes_keys())
    }

    fn listen(&mut self, ask: &Ask, prompts: Vec<Prompt>, turn: &mut Turn<'_>) {
        let question = question(ask, prompts, !self.deaf, turn);
        self.phase = Phase::Listening(Listener::ask(question, turn));
    }

    fn take(&mut self, ask: &Ask, reply: Option<Reply>, turn: &mut Turn<'_>) -> Step {
        match reply {
            None => Step::Stay,
            Some(Reply::Key(key)) => self.take_key(ask, key, turn),
            Some(Reply::Heard(heard)) => match spoken_key(ask, &heard, turn) {
                Some(key) => self.take_key(ask, key, turn),
                None => self.classify(ask, &heard, None, turn),
            },
            Some(Reply::Silence) => {
                turn.note("no reply", format!("silence, try {}", self.ladder.tries()));
                let words = self.ladder.after_silence(&ask.phrases_after);
                self.again(ask, words.map(|words| turn.prompts(words)), turn)
            }
            Some(deaf @ (Reply::Deaf | Reply::Digits(_))) => {
                self.fall_back_to_keys(ask, &ground(&deaf), turn)
            }
        }
    }

    fn take_key(&mut self, ask: &Ask, key: char, turn: &mut Turn<'_>) -> Step {
        let reply = ask.replies.iter().find(|reply| reply.key == Some(key));
        if let Some(reply) = reply {
            turn.note(format!("intent {}", reply.intent), format!("key {key}"));
            turn.talk.intent = Some(reply.intent.clone());
            return Step::Go(reply.next);
        }
        if let Some(next) = ask.keys.get(&key) {
            turn.note(format!("key {key}"), "the file leads it on");
            return Step::Go(*next);
        }
        turn.note("no match", format!("key {key} means nothing here"));
        self.again_after_miss(ask, turn)
    }

    fn classify(
        &mut self,
        ask: &Ask,
        heard: &Transcript,
        among: Option<(usize, usize)>,
        turn: &mut Turn<'_>,
    ) -> Step {
        let ground = format!("{} recogniser, confidence {:.2}", heard.engine, heard.confidence);
        turn.note(format!("heard “{}”", heard.text), ground);
        if heard.text.trim().is_empty() {
            return self.again_after_miss(ask, turn);
        }
        let order = turn.order();
        let (intents, text) = (ask.intents.clone(), heard.text.clone());
        turn.out.push(Action::Classify { order, intents, text });
        let until = turn.now + turn.talk.timing.classify;
        let clear = heard.confidence >= ask.clear_above;
        self.phase = Phase::Classifying { order, until, clear, among };
        Step::Stay
    }

    fn understand(
        &mut self,
        ask: &Ask,
        understanding: &Understanding,
        clear: bool,
        among: Option<(usize, usize)>,
        turn: &mut Turn<'_>,
    ) -> Step {
        let why = evidence(understanding);
        let place = |intent: &Arc<str>| ask.replies.iter().position(|r| r.intent == *intent);
        let Some((intent, best)) = understanding.intent.as_ref().and_then(|i| Some((i, place(i)?)))
        else {
            turn.note("out of scope", why);
            return self.again_out_of_scope(ask, turn);
        };
        let confidence = understanding.confidence;
        if among.is_some_and(|(first, second)| best == first || best == second) {
            return accept(&ask.replies[best], &understanding.slots, &why, turn);
        }
        if confidence < ask.confirm_above {
            turn.note("no match", why);
            return self.again_after_miss(ask, turn);
        }
        if confidence >= ask.accept_above && clear {
            return accept(&ask.replies[best], &understanding.slots, &why, turn);
        }
        set_slots(&understanding.slots, turn);
        let near = understanding.runner_up.as_ref().and_then(|(runner_up, its_confidence)| {
            (confidence - its_confidence < ask.near).then(|| place(runner_up)).flatten()
        });
        match near.filter(|second| among.is_none() && ask.either.is_some() && *second != best) {
            Some(second) => self.ask_which(ask, best, second, why, turn),
            None => {
                turn.note(format!("confirm {intent}"), why);
                let means = ask.replies[best].means.text(turn.talk.language, &turn.talk.variables);
                turn.set("means", &means);
                let prompts = turn.prompts(&ask.confirm);
                let confirm = Confirm::ask(prompts, turn);
                self.phase = Phase::Confirming { confirm, reply: best };
            }
        }
        Step::Stay
    }

    fn ask_which(
        &mut self,
        ask: &Ask,
        first: usize,
        second: usize,
        why: String,
        turn: &mut Turn<'_>,
    ) {
        let (one, other) = (&ask.replies[first], &ask.replies[second]);
        turn.note(format!("{} or {}?", one.intent, other.intent), why);
        let language = turn.talk.language;
        let meanings = [one, other].map(|r| r.means.text(language, &turn.talk.variables));
        turn.set("first", &meanings[0]);
        turn.set("second", &meanings[1]);
        turn.talk.forget_typed();
        let prompts = ask.either.as_ref().map(|words| turn.prompts(words)).unwrap_or_default();
        let listener = Listener::ask(question(ask, prompts, !self.deaf, turn), turn);
        self.phase = Phase::Choosing { listener, first, second };
    }

    fn take_choice(
        &mut self,
        ask: &Ask,
        reply: Option<Reply>,
        (first, second): (usize, usize),
        turn: &mut Turn<'_>,
    ) -> Step {
        let Some(reply) = reply else { return Step::Stay };
        let chosen = match &reply {
            Reply::Key('1') => first,
            Reply::Key('2') => second,
            Reply::Heard(heard) => {
                let digit = spoken::digits(turn.talk.language, &heard.text);
                match digit.as_deref() {
                    Some("1") => first,
                    Some("2") => second,
                    _ => return self.classify(ask, heard, Some((first, second)), turn),
                }
            }
            Reply::Deaf => return self.fall_back_to_keys(ask, &ground(&reply), turn),
            Reply::Key(_) | Reply::Digits(_) | Reply::Silence => {
                turn.note("neither of the two", ground(&reply));
                return self.again_after_miss(ask, turn);
            }
        };
        accept(&ask.replies[chosen], &[], &ground(&reply), turn)
    }

    fn conclude(&mut self, ask: &Ask, verdict: Option<Verdict>, turn: &mut Turn<'_>) -> Step {
        let Phase::Confirming { reply, .. } = &self.phase else { return Step::Stay };
        let reply = &ask.replies[*reply];
        match verdict {
            None => Step::Stay,
            Some(Verdict::Yes) => accept(reply, &[], "the caller confirmed it", turn),
            Some(Verdict::No | Verdict::Unclear) => {
                forget_slots(turn);
                self.again_after_miss(ask, turn)
            }
        }
    }

    fn fall_back_to_keys(&mut self, ask: &Ask, why: &str, turn: &mut Turn<'_>) -> Step {
        turn.note("keys take over", why);
        self.deaf = true;
        let prompts = turn.prompts(&ask.say_keys);
        self.again(ask, Some(prompts), turn)
    }

    fn again_after_miss(&mut self, ask: &Ask, turn: &mut Turn<'_>) -> Step {
        let words = self.ladder.after_miss(&ask.phrases_after);
        self.again(ask, words.map(|words| turn.prompts(words)), turn)
    }

    fn again_out_of_scope(&mut self, ask: &Ask, turn: &mut Turn<'_>) -> Step {
        let words = self.ladder.after_out_of_scope(&ask.phrases_after, &ask.out_of_scope);
        self.again(ask, words.map(|words| turn.prompts(words)), turn)
    }

    fn again(&mut self, ask: &Ask, prompts: Option<Vec<Prompt>>, turn: &mut Turn<'_>) -> Step {
        let Some(prompts) = prompts else {
            turn.note("question given up", format!("after {} tries", self.ladder.tries() - 1));
            self.phase = Phase::Done;
            return Step::Go(ask.phrases_after.give_up);
        };
        turn.talk.forget_typed();
        // A phrase that asks for speech would mislead who can only press keys.
        let prompts = if self.deaf { turn.prompts(&ask.say_keys) } else { prompts };
        self.listen(ask, prompts, turn);
        Step::Stay
    }
}

fn question(ask: &Ask, prompts: Vec<Prompt>, speech: bool, turn: &Turn<'_>) -> Question {
    let language = turn.talk.language;
    let phrases = ask.phrases.get(&language).cloned().unwrap_or_else(|| Arc::from([]));
    Question {
        prompts,
        hearing: speech.then_some(Hearing { language, expect: Expect::Open { phrases } }),
        barge_in: ask.barge_in,
        keys: Keys::One,
        no_input: ask.no_input_after.unwrap_or(turn.talk.timing.no_input),
    }
}

/// "Two", said where key 2 was offered, is that key.
fn spoken_key(ask: &Ask, heard: &Transcript, turn: &Turn<'_>) -> Option<char> {
    let digits = spoken::digits(turn.talk.language, &heard.text)?;
    let mut characters = digits.chars();
    let key = characters.next().filter(|_| characters.next().is_none())?;
    let offered =
        ask.replies.iter().any(|reply| reply.key == Some(key)) || ask.keys.contains_key(&key);
    offered.then_some(key)
}

fn accept(
    reply: &AskReply,
    slots: &[(Arc<str>, Arc<str>)],
    why: &str,
    turn: &mut Turn<'_>,
) -> Step {
    set_slots(slots, turn);
    turn.note(format!("intent {}", reply.intent), why);
    turn.talk.intent = Some(reply.intent.clone());
    Step::Go(reply.next)
}

fn set_slots(slots: &[(Arc<str>, Arc<str>)], turn: &mut Turn<'_>) {
    /// More values than any sentence holds.
    const SLOTS_MAX: usize = 16;
    for (name, value) in slots.iter().take(SLOTS_MAX) {
        turn.set(name, value);
        turn.talk.slots.insert(name.clone());
    }
}

/// What was understood wrong is not to be used.
fn forget_slots(turn: &mut Turn<'_>) {
    for name in std::mem::take(&mut turn.talk.slots) {
        turn.talk.variables.remove(&name);
    }
}

fn evidence(understanding: &Understanding) -> String {
    let best = understanding.intent.as_deref().unwrap_or("none of them");
    let mut why = format!("{best} {:.2}", understanding.confidence);
    if let Some((runner_up, confidence)) = &understanding.runner_up {
        why.push_str(&format!(", runner-up {runner_up} {confidence:.2}"));
    }
    why
}
