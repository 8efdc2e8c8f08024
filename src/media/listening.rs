//! One `Listen`: waits for speech, and hands the frames of an utterance to the recogniser.
//!
//! ```text
//! Waiting ── speech ──► Talking (Started, 300 ms from before, then each frame)
//!    ▲                     │
//!    └──── silence ────────┘ (Ended)        stopped while Talking: Dropped
//! ```
//!
//! Calls `detect::speech`. Called by `leg`, one frame a tick.

use crate::FRAME_SAMPLES;
use crate::detect::speech::{SpeechChange, SpeechDetector};
use crate::event::{ListenRule, MediaAction, UtterancePart};
use domain::id::{LegId, OrderId};
use std::collections::VecDeque;

/// Frames kept from before speech is noticed: 300 ms, beside those it took to notice it.
const PRE_ROLL_FRAMES: usize = 15 + SpeechDetector::FRAMES_TO_START;

/// A `Listen` in force.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The id echoed.
    pub order: OrderId,
    /// How.
    pub rule: ListenRule,
    before: VecDeque<[i16; FRAME_SAMPLES]>,
    talking: bool,
}

impl Listening {
    /// Listens by `rule` from now on.
    pub fn start(order: OrderId, rule: ListenRule) -> Self {
        Self { order, rule, before: VecDeque::new(), talking: false }
    }

    /// Takes what was heard in a tick, already judged by the detector, and puts out the pieces of
    /// the utterance.
    pub fn hear(
        &mut self,
        leg: LegId,
        frame: &[i16; FRAME_SAMPLES],
        change: Option<SpeechChange>,
        out: &mut Vec<MediaAction>,
    ) {
        let order = self.order;
        let mut put = |part| out.push(MediaAction::Utterance(part));
        match change {
            Some(SpeechChange::Started) => {
                self.talking = true;
                put(UtterancePart::Started { leg, order });
                for before in self.before.drain(..) {
                    put(UtterancePart::Frame { leg, order, samples: before.to_vec() });
                }
                put(UtterancePart::Frame { leg, order, samples: frame.to_vec() });
            }
            Some(SpeechChange::Ended) => {
                self.talking = false;
                put(UtterancePart::Ended { leg, order });
            }
            None if self.talking => {
                put(UtterancePart::Frame { leg, order, samples: frame.to_vec() });
            }
            None => {
                if self.before.len() == PRE_ROLL_FRAMES {
                    self.before.pop_front();
                }
                self.before.push_back(*frame);
            }
        }
    }

    /// Ends the listening; an utterance under way is dropped.
    pub fn stop(self, leg: LegId, out: &mut Vec<MediaAction>) {
        if self.talking {
            out.push(MediaAction::Utterance(UtterancePart::Dropped { leg, order: self.order }));
        }
    }
}
