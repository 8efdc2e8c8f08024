//! Which legs are listened to, and what was said on them so far. Pure: the recogniser's threads
//! and the media threads share it behind a lock that is held for a copy of 160 samples at most.

use super::NotHeardReason;
use domain::id::{LegId, OrderId};
use domain::prompt::Hearing;
use std::collections::{BTreeMap, VecDeque};

/// Longest utterance kept: 10 s at 8 kHz. What follows is not heard.
pub const SAMPLES_MAX: usize = 80_000;
/// Utterances gathered at once; at 160 kB each they take 80 MB at most. Of one more, nothing is
/// gathered, and its end reports `Overloaded`.
pub const GATHERING_MAX: usize = 500;
/// Legs with an order to listen; beyond it the one that was ordered first is forgotten.
pub const LEGS_MAX: usize = 10_000;

/// An utterance, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Whose.
    pub leg: LegId,
    /// The order listening.
    pub order: OrderId,
    /// What was expected.
    pub hearing: Hearing,
    /// What was said: 8 kHz mono.
    pub samples: Vec<i16>,
}

/// What the legs are saying.
#[derive(Debug, Default)]
pub struct Gather {
    legs: BTreeMap<LegId, Listening>,
    /// In the order of their orders; may name legs that are gone or were ordered anew.
    ordered: VecDeque<(LegId, OrderId)>,
    gathering: usize,
}

#[derive(Debug)]
struct Listening {
    order: OrderId,
    hearing: Hearing,
    speech: Speech,
}

#[derive(Debug)]
enum Speech {
    Silence,
    Gathering(Vec<i16>),
    /// Too many speak at once.
    Refused,
}

impl Gather {
    /// Expects `hearing` on `leg` from now on, under `order`. Replaces an earlier order; what
    /// was being said under it is forgotten.
    pub fn listen(&mut self, leg: LegId, order: OrderId, hearing: Hearing) {
        self.forget(leg);
        self.legs.insert(leg, Listening { order, hearing, speech: Speech::Silence });
        self.ordered.push_back((leg, order));
        while self.legs.len() > LEGS_MAX || self.ordered.len() > 2 * LEGS_MAX {
            let Some((oldest, order)) = self.ordered.pop_front() else { break };
            if self.legs.get(&oldest).is_some_and(|listening| listening.order == order) {
                self.forget(oldest);
            }
        }
    }

    /// Speech began. Nothing happens if the order is not the leg's present one.
    pub fn started(&mut self, leg: LegId, order: OrderId) {
        let room = self.gathering < GATHERING_MAX;
        let Some(listening) = self.present(leg, order) else { return };
        match (&mut listening.speech, room) {
            // Began anew without an end: media lost patience with the first try.
            (Speech::Gathering(samples), _) => samples.clear(),
            (Speech::Silence | Speech::Refused, true) => {
                listening.speech = Speech::Gathering(Vec::with_capacity(SAMPLES_MAX / 5));
                self.gathering += 1;
            }
            (Speech::Silence | Speech::Refused, false) => listening.speech = Speech::Refused,
        }
    }

    /// More of it: 8 kHz mono. What exceeds 10 s is dropped.
    pub fn frame(&mut self, leg: LegId, order: OrderId, samples: &[i16]) {
        let Some(listening) = self.present(leg, order) else { return };
        if let Speech::Gathering(gathered) = &mut listening.speech {
            let room = SAMPLES_MAX - gathered.len();
            gathered.extend_from_slice(&samples[..samples.len().min(room)]);
        }
    }

    /// Speech ended: the utterance. The leg listens on.
    ///
    /// # Errors
    /// `NotListening` when the order is not the leg's present one or no speech had begun,
    /// `Overloaded` when too many spoke at once.
    pub fn ended(&mut self, leg: LegId, order: OrderId) -> Result<Utterance, NotHeardReason> {
        let Some(listening) = self.present(leg, order) else {
            return Err(NotHeardReason::NotListening);
        };
        let hearing = listening.hearing.clone();
        match std::mem::replace(&mut listening.speech, Speech::Silence) {
            Speech::Silence => Err(NotHeardReason::NotListening),
            Speech::Refused => Err(NotHeardReason::Overloaded),
            Speech::Gathering(samples) => {
                self.gathering -= 1;
                Ok(Utterance { leg, order, hearing, samples })
            }
        }
    }

    /// Listening under this order is over.
    pub fn dropped(&mut self, leg: LegId, order: OrderId) {
        if self.present(leg, order).is_some() {
            self.forget(leg);
        }
    }

    /// The leg is gone.
    pub fn forget(&mut self, leg: LegId) {
        if let Some(Listening { speech: Speech::Gathering(_), .. }) = self.legs.remove(&leg) {
            self.gathering -= 1;
        }
    }

    fn present(&mut self, leg: LegId, order: OrderId) -> Option<&mut Listening> {
        self.legs.get_mut(&leg).filter(|listening| listening.order == order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::prompt::{Expect, Language};

    const ORDER: OrderId = OrderId(7);

    fn hearing() -> Hearing {
        Hearing { language: Language::English, expect: Expect::YesNo }
    }

    fn speaking(leg: u64) -> Gather {
        let mut gather = Gather::default();
        gather.listen(LegId(leg), ORDER, hearing());
        gather.started(LegId(leg), ORDER);
        gather
    }

    #[test]
    fn an_utterance_is_its_frames_and_the_leg_listens_on() {
        let mut gather = speaking(1);
        gather.frame(LegId(1), ORDER, &[1; 160]);
        gather.frame(LegId(1), OrderId(6), &[9; 160]);
        gather.frame(LegId(2), ORDER, &[9; 160]);
        gather.frame(LegId(1), ORDER, &[2; 160]);
        let samples = [[1; 160], [2; 160]].concat();
        let whole = Utterance { leg: LegId(1), order: ORDER, hearing: hearing(), samples };
        assert_eq!(gather.ended(LegId(1), ORDER), Ok(whole));
        assert_eq!(gather.ended(LegId(1), ORDER), Err(NotHeardReason::NotListening));
        gather.started(LegId(1), ORDER);
        assert!(gather.ended(LegId(1), ORDER).is_ok());
        assert_eq!(gather.gathering, 0);
    }

    #[test]
    fn stale_orders_and_dropped_ones_give_nothing() {
        let mut gather = speaking(1);
        assert_eq!(gather.ended(LegId(1), OrderId(6)), Err(NotHeardReason::NotListening));
        gather.dropped(LegId(1), OrderId(6));
        gather.dropped(LegId(1), ORDER);
        assert_eq!(gather.ended(LegId(1), ORDER), Err(NotHeardReason::NotListening));
        let mut gather = speaking(1);
        gather.listen(LegId(1), OrderId(8), hearing());
        assert_eq!(gather.ended(LegId(1), ORDER), Err(NotHeardReason::NotListening));
        assert_eq!((gather.gathering, gather.legs.len()), (0, 1));
    }

    #[test]
    fn an_endless_talker_is_cut_at_ten_seconds() {
        let mut gather = speaking(1);
        for _ in 0..1_000 {
            gather.frame(LegId(1), ORDER, &[1; 161]);
        }
        assert_eq!(gather.ended(LegId(1), ORDER).map(|u| u.samples.len()), Ok(SAMPLES_MAX));
    }

    #[test]
    fn one_speaker_too_many_is_told_so_and_room_comes_back() {
        let mut gather = Gather::default();
        for leg in 0..=GATHERING_MAX as u64 {
            gather.listen(LegId(leg), ORDER, hearing());
            gather.started(LegId(leg), ORDER);
        }
        let last = LegId(GATHERING_MAX as u64);
        gather.frame(last, ORDER, &[1; 160]);
        assert_eq!(gather.ended(last, ORDER), Err(NotHeardReason::Overloaded));
        gather.forget(LegId(0));
        gather.started(last, ORDER);
        assert!(gather.ended(last, ORDER).is_ok());
    }

    #[test]
    fn forgotten_legs_do_not_pile_up() {
        let mut gather = Gather::default();
        for leg in 0..3 * LEGS_MAX as u64 {
            gather.listen(LegId(leg), ORDER, hearing());
        }
        for order in 0..5 * LEGS_MAX as u64 {
            gather.listen(LegId(1), OrderId(order), hearing());
        }
        assert!(gather.legs.len() <= LEGS_MAX && gather.ordered.len() <= 2 * LEGS_MAX);
        assert!(gather.legs.contains_key(&LegId(1)));
    }
}
