//! How loud the line is when nobody speaks: the least level of the last seconds, which speech
//! reaches in its pauses and a steady noise all the time.
//!
//! Calls nothing. Called by `speech`.

/// Frames of one of the spans whose least levels are kept: 240 ms.
const SPAN_FRAMES: u8 = 12;

/// Spans kept: about 1.5 seconds.
const SPANS: usize = 6;

/// No line is taken to be quieter, in dBov: the steps of G.711 are about there.
const LEAST_DB: f32 = -70.0;

/// What an unknown line is taken to be at most, until 1.5 s of it were heard: the first thing
/// heard may be speech.
const UNKNOWN_MAX_DB: f32 = -40.0;

/// The floor of one line.
#[derive(Clone, Copy, Debug)]
pub struct NoiseFloor {
    spans: [f32; SPANS],
    next_span: usize,
    full: bool,
    least: f32,
    frames: u8,
    smooth: Option<f32>,
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self {
            spans: [f32::MAX; SPANS],
            next_span: 0,
            full: false,
            least: f32::MAX,
            frames: 0,
            smooth: None,
        }
    }
}

impl NoiseFloor {
    /// Takes the level of a frame in dBov.
    pub fn hear(&mut self, level_db: f32) {
        // A mean of about three frames, so that one quiet frame of a noise does not count.
        let smooth = self.smooth.map_or(level_db, |smooth| smooth + (level_db - smooth) / 3.0);
        self.smooth = Some(smooth);
        self.least = self.least.min(smooth);
        self.frames += 1;
        if self.frames == SPAN_FRAMES {
            self.spans[self.next_span] = self.least;
            self.next_span = (self.next_span + 1) % SPANS;
            self.full |= self.next_span == 0;
            self.frames = 0;
            self.least = f32::MAX;
        }
    }

    /// The floor in dBov.
    pub fn db(&self) -> f32 {
        let least = self.spans.iter().copied().fold(self.least, f32::min);
        let most = if self.full { 0.0 } else { UNKNOWN_MAX_DB };
        least.clamp(LEAST_DB, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor_after(levels: &[(usize, f32)]) -> f32 {
        let mut floor = NoiseFloor::default();
        for (frames, level) in levels {
            (0..*frames).for_each(|_| floor.hear(*level));
        }
        floor.db()
    }

    #[test]
    fn the_floor_follows_noise_up_in_two_seconds_and_down_at_once() {
        let cases: [(&[(usize, f32)], f32); 6] = [
            (&[], UNKNOWN_MAX_DB),
            (&[(1, -20.0)], UNKNOWN_MAX_DB),
            (&[(100, -50.0)], -50.0),
            (&[(100, -60.0), (40, -20.0)], -60.0),
            (&[(100, -60.0), (100, -30.0)], -30.0),
            (&[(100, -30.0), (20, -90.0)], LEAST_DB),
        ];
        for (levels, expected) in cases {
            let floor = floor_after(levels);
            assert!((floor - expected).abs() < 1.0, "{levels:?}: {floor}");
        }
    }
}
