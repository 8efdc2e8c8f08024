//! The classifiers: one for each set of intents, on a thread of their own, so that a long sentence
//! never delays signalling.

use crate::signalling::Inbox;
use domain::id::{CallId, OrderId};
use domain::prompt::Understanding;
use intent::classifier::Classifier;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use switchboard::event::Event;

/// Sentences that may wait; a further one is not understood, and its conversation asks again.
const QUEUE_MAX: usize = 1_024;

/// The way to the classifiers.
#[derive(Clone)]
pub struct Intents {
    sentences: SyncSender<Sentence>,
    inbox: Inbox,
}

struct Sentence {
    call: CallId,
    order: OrderId,
    intents: Arc<str>,
    text: Arc<str>,
}

impl Intents {
    /// Starts the thread. Results are told to `inbox`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        classifiers: BTreeMap<Arc<str>, Classifier>,
        inbox: Inbox,
    ) -> std::io::Result<Self> {
        let (sentences, receiver) = sync_channel::<Sentence>(QUEUE_MAX);
        let results = inbox.clone();
        std::thread::Builder::new().name("intents".into()).spawn(move || {
            for sentence in receiver {
                let understanding = match classifiers.get(&sentence.intents) {
                    Some(classifier) => classifier.classify(&sentence.text),
                    None => nothing(),
                };
                let (call, order) = (sentence.call, sentence.order);
                results.event(Event::Understood { call, order, understanding });
            }
        })?;
        Ok(Self { sentences, inbox })
    }

    /// Names the intent of `text`; its `Understood` follows, whatever happens.
    pub fn classify(&self, call: CallId, order: OrderId, intents: Arc<str>, text: Arc<str>) {
        let sentence = Sentence { call, order, intents, text };
        if self.sentences.try_send(sentence).is_err() {
            self.inbox.event(Event::Understood { call, order, understanding: nothing() });
        }
    }
}

fn nothing() -> Understanding {
    Understanding { intent: None, confidence: 0.0, runner_up: None, slots: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::Told;
    use intent::intent_set::IntentSet;

    #[test]
    fn every_sentence_is_answered_in_order() {
        let text = include_str!("../../config/intents/hotline.toml");
        let set = IntentSet::parse("hotline.toml", text).unwrap();
        let classifiers = BTreeMap::from([("hotline".into(), Classifier::train(&set))]);
        let (inbox, mut told) = Inbox::new();
        let intents = Intents::start(classifiers, inbox).unwrap();
        let sentences = [("hotline", "where is my parcel"), ("nobody", "where is my parcel")];
        for (order, (set, text)) in sentences.into_iter().enumerate() {
            intents.classify(CallId(1), OrderId(order as u64), set.into(), text.into());
        }
        let mut answered = || match told.blocking_recv() {
            Some(Told::Event(Event::Understood { order, understanding, .. })) => {
                (order, understanding)
            }
            other => panic!("{other:?}"),
        };
        let (order, understanding) = answered();
        assert_eq!(order, OrderId(0));
        assert!(understanding.intent.is_some() && understanding.confidence > 0.5);
        assert_eq!(answered(), (OrderId(1), nothing()));
    }

    #[test]
    fn a_sentence_too_many_is_not_understood_at_once() {
        let (inbox, mut told) = Inbox::new();
        let (sentences, _waiting) = sync_channel(1);
        let intents = Intents { sentences, inbox };
        for order in 0..2 {
            intents.classify(CallId(1), OrderId(order), "hotline".into(), "hello".into());
        }
        let Ok(Told::Event(Event::Understood { order, understanding, .. })) = told.try_recv()
        else {
            panic!("it is answered at once")
        };
        assert_eq!((order, understanding), (OrderId(1), nothing()));
        assert!(told.try_recv().is_err());
    }
}
