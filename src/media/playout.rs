//! Clips one after another, cut into frames of whatever length a packet has.
//!
//! Calls nothing. Called by `leg`, which asks for a frame when one is due and reports the end.

use crate::clip::Clip;
use crate::codec::g711;
use bytes::BytesMut;
use domain::id::OrderId;
use domain::media_plan::Codec;
use std::sync::Arc;

/// Clips of one order at most; more are left out. A prompt has tens of pieces, a list hundreds.
pub const CLIPS_MAX: usize = 1_024;

/// What is playing.
#[derive(Clone, Debug)]
pub struct Playout {
    order: OrderId,
    clips: Vec<Arc<Clip>>,
    repeat: bool,
    clip: usize,
    place: usize,
}

impl Playout {
    /// Plays `clips` from the beginning; with `repeat`, again and again. Empty clips are left out.
    pub fn start(order: OrderId, mut clips: Vec<Arc<Clip>>, repeat: bool) -> Self {
        clips.retain(|clip| clip.samples() > 0);
        clips.truncate(CLIPS_MAX);
        Self { order, clips, repeat, clip: 0, place: 0 }
    }

    /// Whose sound it is.
    pub fn order(&self) -> OrderId {
        self.order
    }

    /// Whether nothing is left to be played.
    pub fn is_over(&self) -> bool {
        self.clip >= self.clips.len()
    }

    /// Appends the next `length` samples, encoded with `codec`, to `frame`; silence after the end.
    pub fn fill(&mut self, length: usize, codec: Codec, frame: &mut BytesMut) {
        let mut missing = length;
        while missing > 0 {
            let Some(clip) = self.clips.get(self.clip) else {
                frame.resize(frame.len() + missing, g711::silence(codec));
                return;
            };
            let bytes = &clip.bytes(codec)[..clip.samples()];
            let end = bytes.len().min(self.place + missing);
            frame.extend_from_slice(&bytes[self.place..end]);
            missing -= end - self.place;
            self.place = end;
            if end == bytes.len() {
                self.enter_next_clip();
            }
        }
    }

    /// Passes over `length` samples that the peer does not get (it has put us on hold).
    pub fn skip(&mut self, length: usize) {
        let mut missing = length;
        while let Some(clip) = self.clips.get(self.clip).filter(|_| missing > 0) {
            let end = clip.samples().min(self.place + missing);
            missing -= end - self.place;
            self.place = end;
            if end == clip.samples() {
                self.enter_next_clip();
            }
        }
    }

    fn enter_next_clip(&mut self) {
        self.place = 0;
        self.clip += 1;
        if self.repeat && self.clip == self.clips.len() {
            self.clip = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn clip(length: usize, mark: u8) -> Arc<Clip> {
        let bytes = |mark| Bytes::from(vec![mark; length]);
        Arc::new(Clip { pcmu: bytes(mark), pcma: bytes(mark + 100) })
    }

    fn frames(playout: &mut Playout, lengths: &[usize], codec: Codec) -> Vec<Vec<u8>> {
        let frame = |length: &usize| {
            let mut frame = BytesMut::new();
            playout.fill(*length, codec, &mut frame);
            frame.to_vec()
        };
        lengths.iter().map(frame).collect()
    }

    #[test]
    fn clips_join_without_a_gap_and_the_last_frame_is_filled_up() {
        let clips = vec![clip(3, 1), clip(0, 9), clip(4, 2)];
        let mut playout = Playout::start(OrderId(7), clips.clone(), false);
        let heard = frames(&mut playout, &[2, 2, 2], Codec::Pcmu);
        assert_eq!(heard, [vec![1, 1], vec![1, 2], vec![2, 2]]);
        assert!(!playout.is_over());
        assert_eq!(frames(&mut playout, &[3], Codec::Pcma), [vec![102, 0xd5, 0xd5]]);
        assert!(playout.is_over());

        let mut skipped = Playout::start(OrderId(7), clips, false);
        skipped.skip(6);
        assert_eq!(frames(&mut skipped, &[2], Codec::Pcmu), [vec![2, 0xff]]);
        skipped.skip(100);
        assert!(skipped.is_over());
    }

    #[test]
    fn music_begins_again_and_nothing_at_all_is_over_at_once() {
        let mut playout = Playout::start(OrderId(1), vec![clip(3, 1), clip(1, 2)], true);
        assert_eq!(frames(&mut playout, &[9], Codec::Pcmu), [[1, 1, 1, 2, 1, 1, 1, 2, 1]]);
        playout.skip(1_000_003);
        assert_eq!(frames(&mut playout, &[4], Codec::Pcmu), [[1, 1, 1, 2]]);
        for repeat in [false, true] {
            let mut empty = Playout::start(OrderId(1), vec![clip(0, 1)], repeat);
            assert!(empty.is_over());
            empty.skip(10);
        }
    }
}
