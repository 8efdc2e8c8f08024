//! What a leg hears and says, side by side, in parts of a second for the shell to write.
//!
//! Calls nothing. Called by `leg`, one frame a tick.

use crate::FRAME_SAMPLES;
use domain::id::LegId;
use std::collections::VecDeque;
use std::sync::Arc;

/// Frames of one part: one second.
const PART_FRAMES: usize = 50;

/// Samples said and not yet recorded at most: 200 ms, so that a burst of relayed packets fits.
const SAID_MAX: usize = 10 * FRAME_SAMPLES;

/// A piece of a recording, to be appended to its file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordingPart {
    /// Whose sound.
    pub leg: LegId,
    /// The file's final name.
    pub path: Arc<str>,
    /// 8 kHz stereo, left (from the peer) and right (from us) in turn; at most a second.
    pub samples: Vec<i16>,
    /// Whether it is the last one: then the file gets its final name.
    pub last: bool,
}

/// A recording under way. Holds at most a second.
#[derive(Clone, Debug)]
pub struct Recording {
    path: Arc<str>,
    samples: Vec<i16>,
    said: VecDeque<i16>,
}

impl Recording {
    /// Begins one that is to end up in `path`.
    pub fn start(path: Arc<str>) -> Self {
        Self { path, samples: Vec::new(), said: VecDeque::new() }
    }

    /// Takes what was sent, decoding each byte. Beyond 200 ms the oldest is dropped.
    pub fn say(&mut self, payload: &[u8], decode: &[i16; 256]) {
        self.said.extend(payload.iter().map(|byte| decode[usize::from(*byte)]));
        let excess = self.said.len().saturating_sub(SAID_MAX);
        self.said.drain(..excess);
    }

    /// Takes what was heard in a tick, beside what was said. Returns a part when one is full.
    pub fn hear(&mut self, leg: LegId, heard: &[i16; FRAME_SAMPLES]) -> Option<RecordingPart> {
        let full = 2 * FRAME_SAMPLES * PART_FRAMES;
        if self.samples.capacity() == 0 {
            self.samples.reserve_exact(full);
        }
        for left in heard {
            self.samples.push(*left);
            self.samples.push(self.said.pop_front().unwrap_or(0));
        }
        (self.samples.len() >= full).then(|| self.part(leg, false))
    }

    /// Ends it: the rest, marked as the last part.
    pub fn finish(mut self, leg: LegId) -> RecordingPart {
        self.part(leg, true)
    }

    fn part(&mut self, leg: LegId, last: bool) -> RecordingPart {
        let samples = std::mem::take(&mut self.samples);
        RecordingPart { leg, path: self.path.clone(), samples, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711::PCMU_TO_LINEAR;

    #[test]
    fn both_sides_run_side_by_side_and_come_in_seconds() {
        let mut recording = Recording::start("a.wav".into());
        let loud = PCMU_TO_LINEAR[0x80];
        let parts: Vec<_> = (0..120)
            .filter_map(|tick| {
                if tick % 2 == 0 {
                    recording.say(&[0x80; 320], &PCMU_TO_LINEAR);
                }
                recording.hear(LegId(1), &[7; FRAME_SAMPLES])
            })
            .collect();
        let second: Vec<i16> = [7, loud].repeat(8_000);
        let part =
            |samples, last| RecordingPart { leg: LegId(1), path: "a.wav".into(), samples, last };
        assert_eq!(parts, vec![part(second.clone(), false); 2]);
        assert_eq!(recording.finish(LegId(1)), part(second[..6_400].to_vec(), true));
    }

    #[test]
    fn a_flood_of_sound_said_is_held_to_200_ms() {
        let mut recording = Recording::start("a.wav".into());
        for mark in [0xff, 0x80] {
            recording.say(&[mark; SAID_MAX], &PCMU_TO_LINEAR);
        }
        assert_eq!(recording.said.len(), SAID_MAX);
        recording.hear(LegId(1), &[0; FRAME_SAMPLES]);
        assert_eq!(recording.samples[1], PCMU_TO_LINEAR[0x80]);
    }
}
