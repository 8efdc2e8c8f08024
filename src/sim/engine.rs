//! Stands for the classifiers and for the merchant's HTTP services: both answer later, or too late,
//! or not at all.

use domain::id::{CallId, LegId, OrderId};
use intent::classifier::Classifier;
use ivr::event::FetchRequest;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::verdict::{Fault, InfoFault, Verdict};
use switchboard::event::Event;

/// Of a hundred questions, how many are never answered and how many are answered with a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineRules {
    pub(crate) lost: u32,
    pub(crate) failed: u32,
}

/// Both engines.
pub(crate) struct Engines {
    rules: EngineRules,
    classifier: Arc<Classifier>,
    luck: StdRng,
    due: BTreeMap<(Instant, u64), Event>,
    serial: u64,
}

impl Engines {
    pub(crate) fn new(rules: EngineRules, classifier: Arc<Classifier>, seed: u64) -> Self {
        let luck = StdRng::seed_from_u64(seed);
        Self { rules, classifier, luck, due: BTreeMap::new(), serial: 0 }
    }

    pub(crate) fn classify(&mut self, call: CallId, order: OrderId, text: &str, now: Instant) {
        let understanding = self.classifier.classify(text);
        if self.luck.random_range(0..100) >= self.rules.lost {
            let delay = Duration::from_millis(self.luck.random_range(1..60));
            self.later(now + delay, Event::Understood { call, order, understanding });
        }
    }

    pub(crate) fn fetch(
        &mut self,
        call: CallId,
        order: OrderId,
        request: &FetchRequest,
        now: Instant,
    ) {
        let luck = self.luck.random_range(0..100);
        if luck < self.rules.lost {
            return;
        }
        let result = if luck < self.rules.lost + self.rules.failed {
            Err("the service answered 500".into())
        } else {
            let values = request.take.iter().map(|(name, _)| {
                let value = if **name == *"status" { "shipped" } else { "Monday" };
                (name.clone(), Arc::from(value))
            });
            Ok(values.collect())
        };
        let delay = Duration::from_millis(self.luck.random_range(5..3_500));
        self.later(now + delay, Event::Fetched { call, order, result });
    }

    /// Signatures are never checked here: a verdict is that their certificate could not be had.
    pub(crate) fn verify(&mut self, leg: LegId, now: Instant) {
        if self.luck.random_range(0..100) >= self.rules.lost {
            let delay = Duration::from_millis(self.luck.random_range(1..2_000));
            let verdict = Verdict::Failed(Fault::BadInfo(InfoFault::Unreachable));
            self.later(now + delay, Event::Verified { leg, verdict });
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn handle_deadline(&mut self, now: Instant) -> Option<Event> {
        self.deadline().filter(|at| *at <= now)?;
        self.due.pop_first().map(|(_, event)| event)
    }

    /// The process is gone; nobody waits for the answers.
    pub(crate) fn crash(&mut self) {
        self.due.clear();
    }

    fn later(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.due.insert((at, self.serial), event);
    }
}
