//! Whatever happens in whatever order: no panic, finite lists, and never stuck.

use super::FLOW;
use crate::conversation::{CallerFacts, Conversation};
use crate::event::{Action, Event, QueueRefusal};
use crate::flow::Flow;
use crate::flow::tests::{known, parse};
use domain::id::{OrderId, TenantId};
use domain::now::{Now, epoch};
use domain::phone_number::PhoneNumber;
use domain::prompt::{Transcript, Understanding};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// What happens next; `Order`s count back from the last one given.
#[derive(Clone, Debug)]
enum Happening {
    Event(Event, u64),
    Wait(u64),
    Deadline,
}

fn happening() -> impl Strategy<Value = Happening> {
    let order = OrderId(0);
    let transcript = |text: &str| Transcript { text: text.into(), confidence: 0.8, engine: "open" };
    let texts = ["", "yes", "no", "where is my order", "four seven one one", "不是", "一二三四"];
    let heard = proptest::sample::select(texts.to_vec())
        .prop_map(move |text| Event::Heard { order, transcript: transcript(text) });
    let intents = [None, Some("order_status"), Some("refund"), Some("nonsense")];
    let understood = (proptest::sample::select(intents.to_vec()), 0.0..1.0_f32).prop_map(
        move |(intent, confidence)| {
            let runner_up = Some(("refund".into(), confidence / 2.0));
            let slots = vec![("order_number".into(), "4711".into())];
            let intent = intent.map(Arc::from);
            let understanding = Understanding { intent, confidence, runner_up, slots };
            Event::Understood { order, understanding }
        },
    );
    let values = vec![("status".into(), "shipped".into()), ("expected".into(), "5 May".into())];
    let fixed = vec![
        Event::Started,
        Event::PlaybackEnded { order, stopped: false },
        Event::PlaybackEnded { order, stopped: true },
        Event::SpeechStarted { order },
        Event::SpeechEnded { order },
        Event::NotHeard { order },
        Event::Fetched { order, values },
        Event::Fetched { order, values: Vec::new() },
        Event::FetchFailed { order, reason: "no".into() },
        Event::Queued,
        Event::QueueRefused(QueueRefusal::Full),
        Event::QueueRefused(QueueRefusal::Unknown),
        Event::PromiseStored,
        Event::PromiseRefused { reason: "no".into() },
    ];
    let key = proptest::sample::select("0123456789*#AD".chars().collect::<Vec<_>>());
    let event = prop_oneof![
        6 => proptest::sample::select(fixed),
        3 => key.prop_map(Event::Digit),
        1 => heard,
        1 => understood,
    ];
    prop_oneof![
        6 => (event, 0..3_u64).prop_map(|(event, back)| Happening::Event(event, back)),
        1 => (0..8_000_u64).prop_map(Happening::Wait),
        2 => Just(Happening::Deadline),
    ]
}

/// The event as of the order `back` before the last given.
fn of_order(mut event: Event, last: u64, back: u64) -> Event {
    match &mut event {
        Event::PlaybackEnded { order, .. }
        | Event::SpeechStarted { order }
        | Event::SpeechEnded { order }
        | Event::Heard { order, .. }
        | Event::NotHeard { order }
        | Event::Understood { order, .. }
        | Event::Fetched { order, .. }
        | Event::FetchFailed { order, .. } => *order = OrderId(last.saturating_sub(back)),
        Event::Started
        | Event::Digit(_)
        | Event::Queued
        | Event::QueueRefused(_)
        | Event::PromiseStored
        | Event::PromiseRefused { .. } => (),
    }
    event
}

struct World {
    conversation: Conversation,
    now: Now,
    last_order: u64,
    finished: u32,
}

impl World {
    fn new(flow: Flow, number: bool) -> Self {
        let number = number.then(|| PhoneNumber::parse("+4930123456").unwrap());
        let caller = CallerFacts {
            tenant: TenantId::default(),
            number,
            dialled: "".into(),
            verstat: "TN-Validation-Passed".into(),
            attestation: "A".into(),
        };
        let conversation = Conversation::new(Arc::new(flow), caller, &Default::default());
        Self { conversation, now: epoch(), last_order: 0, finished: 0 }
    }

    fn happen(&mut self, happening: Happening) {
        let mut out = Vec::new();
        match happening {
            Happening::Event(event, back) => {
                let event = of_order(event, self.last_order, back);
                self.conversation.handle(event, self.now, &mut out);
            }
            Happening::Wait(ms) => {
                self.now = self.now.after(Duration::from_millis(ms));
                self.conversation.handle_deadline(self.now, &mut out);
            }
            Happening::Deadline => {
                if let Some(at) = self.conversation.deadline() {
                    let wait = at.saturating_duration_since(self.now.instant);
                    self.now = self.now.after(wait);
                }
                self.conversation.handle_deadline(self.now, &mut out);
            }
        }
        self.check(&out);
    }

    fn check(&mut self, out: &[Action]) {
        assert!(out.len() < 100, "{} actions at once", out.len());
        for action in out {
            assert_eq!(self.finished, 0, "an action after the end: {action:?}");
            let order = match action {
                Action::Say { order, prompts } => {
                    assert!(!prompts.is_empty(), "says nothing");
                    *order
                }
                Action::Listen { order, .. }
                | Action::Classify { order, .. }
                | Action::Fetch { order, .. } => *order,
                Action::Finish => {
                    self.finished += 1;
                    continue;
                }
                _ => continue,
            };
            assert_eq!(order, OrderId(self.last_order + 1), "orders count from 1 by 1");
            self.last_order += 1;
        }
        if let Some(at) = self.conversation.deadline() {
            assert!(at >= self.now.instant, "a deadline in the past was left behind");
        }
        let over = self.conversation.is_over();
        assert_eq!(over, self.finished == 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Random events, then silence: the conversation ends by itself or rests in a queue.
    #[test]
    fn nothing_that_happens_breaks_or_holds_a_conversation(
        number in any::<bool>(),
        sample in any::<bool>(),
        happenings in proptest::collection::vec(happening(), 0..120),
    ) {
        let hotline = include_str!("../../../../config/flows/hotline.toml");
        let flow = parse(if sample { hotline } else { FLOW });
        let mut world = World::new(flow, number);
        world.happen(Happening::Event(Event::Started, 0));
        for happening in happenings {
            world.happen(happening);
        }
        for _ in 0..200 {
            if world.conversation.deadline().is_none() {
                break;
            }
            world.happen(Happening::Deadline);
        }
        prop_assert!(world.conversation.deadline().is_none(), "it never comes to rest");
        if !world.conversation.is_over() {
            let at = world.conversation.node().clone();
            let in_queue = ["support", "refund", "to_support", "to_support_soon", "to_sales"];
            prop_assert!(in_queue.contains(&&*at), "it waits for nothing at {}", at);
        }
    }

    /// Any text is a flow or has faults with places; reading never panics.
    #[test]
    fn damaged_files_are_refused_with_places(at in 0..12_000_usize, junk in "[a-z\"={}\\[\\].\n]{0,4}") {
        let text = include_str!("../../../../config/flows/hotline.toml");
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let damaged = format!("{}{junk}{}", &text[..at], &text[at..]);
        if let Err(faults) = Flow::parse("test.toml", &damaged, &known()) {
            prop_assert!(!faults.is_empty());
            let lines = u32::try_from(damaged.lines().count() + 1).unwrap();
            prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line)));
        }
    }
}
