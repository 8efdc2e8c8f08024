//! A call written as lines: what happens, and what the conversation wants then.

use crate::conversation::{CallerFacts, Conversation};
use crate::event::{Action, Event, QueueRefusal};
use crate::flow::Flow;
use crate::flow::tests::parse;
use crate::message::{KeyAnswer, Message};
use domain::id::{OrderId, TenantId};
use domain::now::{Now, epoch};
use domain::phone_number::PhoneNumber;
use domain::prompt::{Expect, Hearing, Language, Prompt, Transcript, Understanding};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Call {
    pub conversation: Conversation,
    now: Now,
    say: OrderId,
    listen: OrderId,
    classify: OrderId,
    fetch: OrderId,
}

impl Call {
    pub fn new(flow: &str, number: Option<&str>) -> Self {
        Self::of(parse(flow), number)
    }

    pub fn message(wait_for_key_ms: u32) -> Self {
        let keys = vec![
            ('1', KeyAnswer::Queue("sales".into())),
            ('2', KeyAnswer::Say("Thank you.".into())),
            ('9', KeyAnswer::Repeat),
        ];
        let text = "Your car {is} ready.".into();
        let message = Message { language: Language::English, text, keys, wait_for_key_ms };
        Self::of(Flow::message(&message), None)
    }

    fn of(flow: Flow, number: Option<&str>) -> Self {
        let number = number.map(|number| PhoneNumber::parse(number).unwrap());
        let caller = CallerFacts {
            tenant: TenantId::default(),
            number,
            dialled: "100".into(),
            verstat: "TN-Validation-Passed".into(),
            attestation: "A".into(),
        };
        let variables = [("service".into(), "http://svc".into())].into();
        let conversation = Conversation::new(Arc::new(flow), caller, &variables);
        let none = OrderId(0);
        Self { conversation, now: epoch(), say: none, listen: none, classify: none, fetch: none }
    }

    /// Each line: what happens, and the actions after it, notes left out.
    #[track_caller]
    pub fn table(&mut self, lines: &[(&str, &str)]) {
        for (happens, expected) in lines {
            assert_eq!(self.step(happens), *expected, "after: {happens}");
        }
    }

    /// What happens, its actions tested elsewhere.
    pub fn quietly(&mut self, lines: &[&str]) {
        for happens in lines {
            self.step(happens);
        }
    }

    pub fn step(&mut self, happens: &str) -> String {
        let mut out = Vec::new();
        let (word, rest) = happens.split_once(' ').unwrap_or((happens, ""));
        if word == "wait" {
            self.wait(rest, &mut out);
        } else {
            let event = self.event(word, rest);
            self.conversation.handle(event, self.now, &mut out);
        }
        let told: Vec<String> = out.iter().filter_map(|action| self.tell(action)).collect();
        told.join(" | ")
    }

    /// Goes to the deadline, which must be as far away as said.
    fn wait(&mut self, expected: &str, out: &mut Vec<Action>) {
        let deadline = self.conversation.deadline();
        let away = deadline.map(|at| (at - self.now.instant).as_millis().to_string());
        assert_eq!(away.as_deref().unwrap_or("none"), expected);
        if let Some(at) = deadline.filter(|at| *at > self.now.instant) {
            self.now = self.now.after(at - self.now.instant - Duration::from_millis(1));
            self.conversation.handle_deadline(self.now, out);
            assert!(out.is_empty(), "a deadline that has not come did something");
            self.now = self.now.after(Duration::from_millis(1));
        }
        self.conversation.handle_deadline(self.now, out);
    }

    fn event(&self, word: &str, rest: &str) -> Event {
        let heard = |order, text: &str, confidence| Event::Heard {
            order,
            transcript: Transcript { text: text.into(), confidence, engine: "open" },
        };
        let id = |text: &str| OrderId(text.parse().unwrap());
        match word {
            "start" => Event::Started,
            "end" => Event::PlaybackEnded { order: self.say, stopped: false },
            "ended" => Event::PlaybackEnded { order: id(rest), stopped: true },
            "key" => Event::Digit(rest.chars().next().unwrap()),
            "speech" => Event::SpeechStarted { order: self.listen },
            "silence" => Event::SpeechEnded { order: self.listen },
            "heard" => heard(self.listen, rest, 0.9),
            "heard-badly" => heard(self.listen, rest, 0.1),
            "heard-of" => {
                let (order, text) = rest.split_once(' ').unwrap();
                heard(id(order), text, 0.9)
            }
            "not" => Event::NotHeard { order: self.listen },
            "understood" => {
                Event::Understood { order: self.classify, understanding: understanding(rest) }
            }
            "understood-of" => {
                let (order, intent) = rest.split_once(' ').unwrap();
                let understanding = understanding(&format!("{intent} 0.9"));
                Event::Understood { order: id(order), understanding }
            }
            "fetched" => Event::Fetched { order: self.fetch, values: pairs(rest) },
            "fetch" => Event::FetchFailed { order: self.fetch, reason: "503".into() },
            "queued" => Event::Queued,
            "refused" => Event::QueueRefused(match rest {
                "full" => QueueRefusal::Full,
                "nobody" => QueueRefusal::NobodyThere,
                "too_long" => QueueRefusal::TooLong,
                other => panic!("{other}"),
            }),
            "stored" => Event::PromiseStored,
            "unstored" => Event::PromiseRefused { reason: "disk full".into() },
            other => panic!("{other}"),
        }
    }

    fn tell(&mut self, action: &Action) -> Option<String> {
        Some(match action {
            Action::Say { order, prompts } => {
                self.say = *order;
                let texts = prompts.iter().map(|prompt| match prompt {
                    Prompt::Text { text, .. } => &**text,
                    Prompt::Recorded { file } => file,
                    Prompt::Music => "music",
                });
                format!("say {order} {}", texts.collect::<Vec<_>>().join(" + "))
            }
            Action::StopSaying => "stop saying".to_owned(),
            Action::Listen { order, hearing, .. } => {
                self.listen = *order;
                format!("listen {order} {}", tell_hearing(hearing.as_ref()))
            }
            Action::StopListening => "stop listening".to_owned(),
            Action::Classify { order, text, .. } => {
                self.classify = *order;
                format!("classify {order} {text}")
            }
            Action::Fetch { order, request } => {
                self.fetch = *order;
                format!("fetch {order} {}", request.url)
            }
            Action::Enqueue { queue, priority } => format!("enqueue {queue} {priority}"),
            Action::Promise { queue, number } => format!("promise {queue} {number}"),
            Action::Finish => "finish".to_owned(),
            Action::Note { .. } => return None,
        })
    }
}

fn tell_hearing(hearing: Option<&Hearing>) -> String {
    let Some(hearing) = hearing else { return "keys".to_owned() };
    let expect = match hearing.expect {
        Expect::Open { .. } => "open",
        Expect::YesNo => "yes-no",
        Expect::Digits => "digits",
    };
    match hearing.language {
        Language::English => expect.to_owned(),
        Language::Mandarin => format!("{expect} zh"),
    }
}

/// `refund 0.9`, then slots as `name=value` and `runner-up=name:0.4`.
fn understanding(text: &str) -> Understanding {
    let mut words = text.splitn(3, ' ');
    let intent = words.next().filter(|intent| *intent != "none").map(Arc::from);
    let confidence = words.next().unwrap().parse().unwrap();
    let mut slots = pairs(words.next().unwrap_or_default());
    let runner_up = slots.iter().position(|(name, _)| &**name == "runner-up").map(|at| {
        let (_, value) = slots.remove(at);
        let (name, confidence) = value.split_once(':').unwrap();
        (Arc::from(name), confidence.parse().unwrap())
    });
    Understanding { intent, confidence, runner_up, slots }
}

/// `name=value name=value with words`.
fn pairs(text: &str) -> Vec<(Arc<str>, Arc<str>)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match (word.split_once('='), pairs.last_mut()) {
            (Some((name, value)), _) => pairs.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => *value = format!("{value} {word}"),
            (None, None) => panic!("{text}"),
        }
    }
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}
