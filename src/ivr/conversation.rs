//! The talk with one caller: walks the flow from node to node.
//!
//! ```text
//! Fresh ─ Started ─► node ─► node ─► …  ─► Resting (a queue has the caller)
//!                     │ each is one of:         │ QueueRefused: back to a node
//!                     │ Saying, Asking,         ▼
//!                     │ Choosing, Collecting, Over (Finish was said)
//!                     │ Fetching, Queueing, Offering
//! ```
//!
//! Calls the machine of the node it is at. Called by the exchange, which carries its actions out.
//! A caller who hangs up simply ends it: the exchange drops the conversation.

#[cfg(test)]
mod tests;

use crate::ask::Asking;
use crate::callback::Offering;
use crate::collect::Collecting;
use crate::event::{Action, Event, FetchRequest, QueueRefusal};
use crate::flow::Flow;
use crate::flow::node::{self, Node, NodeIndex};
use crate::flow::words::Words;
use crate::menu::Choosing;
use crate::talk::{ANSWER_MAX, SAYING_MAX, Step, Talk, Turn};
use domain::id::{OrderId, QueueId, TenantId};
use domain::now::Now;
use domain::phone_number::PhoneNumber;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A conversation that entered so many nodes is ended: no caller needs them.
const NODES_ENTERED_MAX: u32 = 500;

/// What is known of the caller when the conversation begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallerFacts {
    /// Whose number was dialled.
    pub tenant: TenantId,
    /// The caller's number; `None` when hidden or no telephone number.
    pub number: Option<PhoneNumber>,
    /// The number dialled, as text; empty if it does not matter.
    pub dialled: Arc<str>,
    /// What is known of the number's truth: `TN-Validation-Passed`, `TN-Validation-Failed` or
    /// `No-TN-Validation`.
    pub verstat: Arc<str>,
    /// How far the caller's carrier vouches for it: `A`, `B`, `C`; empty if nothing was verified.
    pub attestation: Arc<str>,
}

/// What a conversation can report of itself at any time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// What the first node says was played to its end at least once.
    pub message_heard: bool,
    /// The first key pressed.
    pub first_key: Option<char>,
    /// The queue last asked for.
    pub asked_for_queue: Option<QueueId>,
    /// Whether a callback was promised and is on disk.
    pub promised: bool,
}

/// The machine of one conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    flow: Arc<Flow>,
    talk: Talk,
    at: NodeIndex,
    entered: u32,
    /// The orders under which the first node speaks, the latest.
    first_say: Option<OrderId>,
    progress: Progress,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Fresh,
    Saying { say: OrderId, until: Instant, then: Then },
    Asking(Box<Asking>),
    Choosing(Box<Choosing>),
    Collecting(Box<Collecting>),
    Offering(Box<Offering>),
    Fetching { order: OrderId, until: Instant, saying: Option<OrderId>, outcome: Option<NodeIndex> },
    Queueing { until: Instant },
    Resting,
    Over,
}

/// What follows something said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    Go(NodeIndex),
    Enqueue,
    Finish,
}

impl Conversation {
    /// A conversation by `flow`, which begins with `Started`.
    ///
    /// `variables` override the defaults of the flow's `[variables]`; names that the flow does not
    /// have are ignored.
    pub fn new(
        flow: Arc<Flow>,
        caller: CallerFacts,
        variables: &BTreeMap<Arc<str>, Arc<str>>,
    ) -> Self {
        let CallerFacts { tenant, number, dialled, verstat, attestation } = caller;
        let language = flow.languages.first().copied().unwrap_or_default();
        let mut talk = Talk::new(tenant, number, language);
        talk.timing = flow.timing;
        talk.variables.clone_from(&flow.variables);
        for (name, value) in variables {
            if let Some(default) = talk.variables.get_mut(name) {
                *default = value.clone();
            }
        }
        let shown = if talk.caller.is_some() { "shown" } else { "hidden" };
        talk.variables.insert("caller".into(), shown.into());
        let digits = talk.caller.as_ref().map_or("", PhoneNumber::digits);
        talk.variables.insert("caller_number".into(), digits.into());
        talk.variables.insert("dialled_number".into(), dialled);
        talk.variables.insert("caller_verstat".into(), verstat);
        talk.variables.insert("caller_attestation".into(), attestation);
        let at = flow.start;
        let progress = Progress::default();
        Self { flow, talk, at, entered: 0, first_say: None, progress, state: State::Fresh }
    }

    /// Takes an event. Late, stale and unexpected ones are ignored.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        self.watch(&event);
        if let Event::Digit(key) = event {
            // The terminator of a number that was complete without it.
            if self.talk.swallow.take() == Some(key) {
                return;
            }
        }
        let step = self.step(&event, now.instant, out);
        self.follow(step, now.instant, out);
        self.give_typed(now.instant, out);
    }

    /// Acts on the deadline, if it has come.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.deadline().is_none_or(|deadline| deadline > now.instant) {
            return;
        }
        let step = self.step_deadline(now.instant, out);
        self.follow(step, now.instant, out);
        self.give_typed(now.instant, out);
    }

    /// When `handle_deadline` must be called; `None` while only an event can move it.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Saying { until, .. }
            | State::Fetching { until, .. }
            | State::Queueing { until } => Some(*until),
            State::Asking(machine) => machine.deadline(),
            State::Choosing(machine) => machine.deadline(),
            State::Collecting(machine) => machine.deadline(),
            State::Offering(machine) => machine.deadline(),
            State::Fresh | State::Resting | State::Over => None,
        }
    }

    /// What happened so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The last intent accepted.
    pub fn intent(&self) -> Option<&Arc<str>> {
        self.talk.intent.as_ref()
    }

    /// The name of the node it is at.
    pub fn node(&self) -> &Arc<str> {
        self.flow.node_name(self.at)
    }

    /// The flow it follows, the version it began with.
    pub fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether its caller has said yes to a promise and was told nothing yet.
    pub fn awaits_promise(&self) -> bool {
        matches!(&self.state, State::Offering(machine) if machine.awaits_promise())
    }

    fn watch(&mut self, event: &Event) {
        match event {
            _ if self.is_over() => (),
            Event::PlaybackEnded { order, stopped: false } if Some(*order) == self.first_say => {
                self.progress.message_heard = true;
            }
            Event::Digit(key) => {
                self.progress.first_key.get_or_insert(*key);
            }
            Event::PromiseStored if self.awaits_promise() => {
                self.progress.promised = true;
            }
            _ => (),
        }
    }

    fn step(&mut self, event: &Event, now: Instant, out: &mut Vec<Action>) -> Step {
        let flow = self.flow.clone();
        let mut turn = Turn { talk: &mut self.talk, now, out };
        match (&mut self.state, flow.node(self.at), event) {
            (State::Fresh, _, Event::Started) => Step::Go(flow.start),
            (State::Saying { say, then, .. }, _, Event::PlaybackEnded { order, .. })
                if order == say =>
            {
                let then = *then;
                self.after_saying(then, now, out)
            }
            (State::Saying { .. } | State::Fetching { .. }, _, Event::Digit(key)) => {
                turn.talk.type_ahead(*key);
                Step::Stay
            }
            (State::Asking(machine), Node::Ask(ask), event) => {
                machine.handle(ask, event, &mut turn)
            }
            (State::Choosing(machine), Node::Menu(menu), event) => {
                machine.handle(menu, event, &mut turn)
            }
            (State::Collecting(machine), Node::Collect(collect), event) => {
                machine.handle(collect, event, &mut turn)
            }
            (State::Offering(machine), Node::Callback(callback), event) => {
                machine.handle(callback, event, &mut turn)
            }
            (State::Fetching { .. }, Node::Fetch(fetch), event) => {
                self.step_fetching(fetch, event, now, out)
            }
            (State::Queueing { .. }, _, Event::Queued) => {
                turn.note("queued", "the queue took the caller");
                self.state = State::Resting;
                Step::Stay
            }
            (
                State::Queueing { .. } | State::Resting,
                Node::Queue(queue),
                Event::QueueRefused(refusal),
            ) => refused(queue, *refusal, &mut turn),
            // Late, stale or out of place: dropped on purpose. A machine whose node is of another
            // kind cannot be: both are set together.
            (
                State::Fresh
                | State::Saying { .. }
                | State::Asking(_)
                | State::Choosing(_)
                | State::Collecting(_)
                | State::Offering(_)
                | State::Fetching { .. }
                | State::Queueing { .. }
                | State::Resting
                | State::Over,
                _,
                _,
            ) => Step::Stay,
        }
    }

    fn step_fetching(
        &mut self,
        fetch: &node::Fetch,
        event: &Event,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Step {
        let mut turn = Turn { talk: &mut self.talk, now, out };
        let State::Fetching { order: awaited, saying, outcome, until } = &mut self.state else {
            return Step::Stay;
        };
        match event {
            Event::Fetched { order, values } if order == awaited && outcome.is_none() => {
                for (name, value) in values.iter().filter(|(name, _)| takes(fetch, name)) {
                    turn.talk.variables.insert(name.clone(), value.clone());
                }
                *until = now + SAYING_MAX;
                let missing =
                    fetch.take.iter().find(|(name, _)| !values.iter().any(|v| v.0 == *name));
                *outcome = Some(match missing {
                    None => fetch.next,
                    Some(_) => fetch.on_failure,
                });
                match missing {
                    None => turn.note("fetched", format!("{} values", values.len())),
                    Some((name, _)) => turn.note("fetch failed", format!("no value for {name}")),
                }
            }
            Event::FetchFailed { order, reason } if order == awaited && outcome.is_none() => {
                turn.note("fetch failed", reason.clone());
                *until = now + SAYING_MAX;
                *outcome = Some(fetch.on_failure);
            }
            Event::PlaybackEnded { order, .. } if *saying == Some(*order) => *saying = None,
            _ => return Step::Stay,
        }
        // What is being said meanwhile is said to its end.
        match (saying, outcome) {
            (None, Some(next)) => Step::Go(*next),
            (Some(_), _) | (_, None) => Step::Stay,
        }
    }

    fn step_deadline(&mut self, now: Instant, out: &mut Vec<Action>) -> Step {
        let flow = self.flow.clone();
        let mut turn = Turn { talk: &mut self.talk, now, out };
        match (&mut self.state, flow.node(self.at)) {
            // The report of the end was lost.
            (State::Saying { then, .. }, _) => {
                let then = *then;
                self.after_saying(then, now, out)
            }
            (State::Asking(machine), Node::Ask(ask)) => machine.handle_deadline(ask, &mut turn),
            (State::Choosing(machine), Node::Menu(menu)) => {
                machine.handle_deadline(menu, &mut turn)
            }
            (State::Collecting(machine), Node::Collect(collect)) => {
                machine.handle_deadline(collect, &mut turn)
            }
            (State::Offering(machine), Node::Callback(callback)) => {
                machine.handle_deadline(callback, &mut turn)
            }
            (State::Fetching { saying, outcome, until, .. }, Node::Fetch(fetch)) => {
                match (*outcome, *saying) {
                    // The report of the end of what is said meanwhile was lost.
                    (Some(next), _) => return Step::Go(next),
                    (None, None) => {
                        turn.note("fetch failed", "no answer in time");
                        return Step::Go(fetch.on_failure);
                    }
                    (None, Some(_)) => {
                        turn.note("fetch failed", "no answer in time");
                        *outcome = Some(fetch.on_failure);
                        *until = now + SAYING_MAX;
                    }
                }
                Step::Stay
            }
            (State::Queueing { .. }, Node::Queue(queue)) => {
                refused(queue, QueueRefusal::Unknown, &mut turn)
            }
            (
                State::Fresh
                | State::Asking(_)
                | State::Choosing(_)
                | State::Collecting(_)
                | State::Offering(_)
                | State::Fetching { .. }
                | State::Queueing { .. }
                | State::Resting
                | State::Over,
                _,
            ) => Step::Stay,
        }
    }

    fn after_saying(&mut self, then: Then, now: Instant, out: &mut Vec<Action>) -> Step {
        match then {
            Then::Go(next) => return Step::Go(next),
            Then::Enqueue => self.enqueue(now, out),
            Then::Finish => self.finish("the flow ends here", now, out),
        }
        Step::Stay
    }

    fn follow(&mut self, mut step: Step, now: Instant, out: &mut Vec<Action>) {
        while let Step::Go(next) = step {
            self.entered += 1;
            if self.entered > NODES_ENTERED_MAX {
                return self.finish("too many nodes were entered", now, out);
            }
            self.at = next;
            let before = self.talk.last_order();
            step = self.enter(now, out);
            if next == self.flow.start {
                let said = |action: &Action| match action {
                    Action::Say { order, .. } if *order > before => Some(*order),
                    _ => None,
                };
                self.first_say = out.iter().rev().find_map(said).or(self.first_say);
            }
        }
    }

    fn enter(&mut self, now: Instant, out: &mut Vec<Action>) -> Step {
        let flow = self.flow.clone();
        let mut turn = Turn { talk: &mut self.talk, now, out };
        match flow.node(self.at) {
            Node::Say(say) => self.say_then(&say.say, Then::Go(say.next), now, out),
            Node::Ask(ask) => {
                self.state = State::Asking(Box::new(Asking::enter(ask, &mut turn)));
                Step::Stay
            }
            Node::Menu(menu) => {
                self.state = State::Choosing(Box::new(Choosing::enter(menu, &mut turn)));
                Step::Stay
            }
            Node::Collect(collect) => {
                let (machine, step) = Collecting::enter(collect, &mut turn);
                self.state = State::Collecting(Box::new(machine));
                step
            }
            Node::Callback(callback) => {
                self.state = State::Offering(Box::new(Offering::enter(callback, &mut turn)));
                Step::Stay
            }
            Node::Fetch(fetch) => {
                self.state = enter_fetching(fetch, &mut turn);
                Step::Stay
            }
            Node::Branch(branch) => {
                let value = turn.talk.variables.get(&branch.variable).cloned().unwrap_or_default();
                turn.note("branch", format!("{} is \"{value}\"", branch.variable));
                Step::Go(branch.cases.get(&value).copied().unwrap_or(branch.otherwise))
            }
            Node::Queue(queue) => match &queue.say {
                Some(say) => self.say_then(say, Then::Enqueue, now, out),
                None => self.after_saying(Then::Enqueue, now, out),
            },
            Node::Language(language) => {
                turn.talk.language = language.to;
                Step::Go(language.next)
            }
            Node::Hangup(hangup) => self.say_then(&hangup.say, Then::Finish, now, out),
        }
    }

    fn say_then(&mut self, words: &Words, then: Then, now: Instant, out: &mut Vec<Action>) -> Step {
        let mut turn = Turn { talk: &mut self.talk, now, out };
        let prompts = turn.prompts(words);
        if prompts.is_empty() {
            return self.after_saying(then, now, out);
        }
        let say = turn.say(prompts);
        self.state = State::Saying { say, until: now + SAYING_MAX, then };
        Step::Stay
    }

    fn enqueue(&mut self, now: Instant, out: &mut Vec<Action>) {
        let flow = self.flow.clone();
        let Node::Queue(node) = flow.node(self.at) else { return };
        let queue = QueueId::new(&self.talk.tenant, &node.queue);
        self.progress.asked_for_queue = Some(queue.clone());
        self.talk.forget_typed();
        out.push(Action::Enqueue { queue, priority: node.priority });
        self.state = State::Queueing { until: now + ANSWER_MAX };
    }

    fn finish(&mut self, why: &str, now: Instant, out: &mut Vec<Action>) {
        let mut turn = Turn { talk: &mut self.talk, now, out };
        turn.note("conversation over", why);
        turn.out.push(Action::Finish);
        self.state = State::Over;
    }

    /// Gives keys pressed ahead to the question now asked.
    fn give_typed(&mut self, now: Instant, out: &mut Vec<Action>) {
        while self.takes_keys() {
            let Some(key) = self.talk.take_typed() else { return };
            let step = self.step(&Event::Digit(key), now, out);
            self.follow(step, now, out);
        }
    }

    fn takes_keys(&self) -> bool {
        match &self.state {
            State::Asking(machine) => machine.takes_keys(),
            State::Choosing(machine) => machine.takes_keys(),
            State::Collecting(machine) => machine.takes_keys(),
            State::Offering(machine) => machine.takes_keys(),
            State::Fresh
            | State::Saying { .. }
            | State::Fetching { .. }
            | State::Queueing { .. }
            | State::Resting
            | State::Over => false,
        }
    }
}

fn enter_fetching(fetch: &node::Fetch, turn: &mut Turn<'_>) -> State {
    /// The service's time-out is kept where it is asked; this one only catches a lost answer.
    const GRACE: Duration = Duration::from_secs(2);
    let words = fetch.say.as_ref().map(|say| turn.prompts(say)).unwrap_or_default();
    let saying = (!words.is_empty()).then(|| turn.say(words));
    let order = turn.order();
    let url: Arc<str> = fetch.url.url(&turn.talk.variables).into();
    let timeout_ms = u32::try_from(fetch.timeout.as_millis()).unwrap_or(u32::MAX);
    turn.note("fetch", url.clone());
    let request = FetchRequest { url, take: fetch.take.clone(), timeout_ms };
    turn.out.push(Action::Fetch { order, request });
    let until = turn.now + fetch.timeout + GRACE;
    State::Fetching { order, until, saying, outcome: None }
}

fn takes(fetch: &node::Fetch, name: &str) -> bool {
    fetch.take.iter().any(|(taken, _)| **taken == *name)
}

fn refused(queue: &node::Queue, refusal: QueueRefusal, turn: &mut Turn<'_>) -> Step {
    turn.note("queue refused", format!("{refusal:?}"));
    Step::Go(queue.refused.get(&refusal).copied().unwrap_or(queue.otherwise))
}
