//! Changes the sampling rate by a windowed sinc filter, one set of taps per phase.
//!
//! Upwards it removes the image above the old band (recognisers want 16 kHz, the wire has 8);
//! downwards it removes what the new rate cannot hold before it would fold back (synthesisers
//! speak at 16 or 22.05 kHz, the wire takes 8).

use std::f64::consts::PI;

/// Zero crossings of the sinc on each side of its middle: with the Blackman window the passband
/// is flat to 0.85 of the cut-off and aliases are more than 60 dB down.
const CROSSINGS: usize = 24;

/// Converts whole recordings between two rates.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// Output rate divided by the common divisor: how many phases there are.
    up: usize,
    /// Input rate divided by the common divisor.
    down: usize,
    /// Taps on each side of the middle.
    reach: usize,
    /// `up` rows of `2 * reach` taps.
    taps: Vec<f32>,
}

impl Resampler {
    /// A converter from `from_hz` to `to_hz`; both 1 to 192,000.
    ///
    /// # Panics
    /// When a rate is 0 or beyond 192,000.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        assert!((1..=192_000).contains(&from_hz) && (1..=192_000).contains(&to_hz));
        let divisor = greatest_common_divisor(from_hz, to_hz);
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        // Cut-off as a share of the input's half rate, 8 % below the lower of the two.
        let cutoff = 0.92 * (f64::from(to_hz) / f64::from(from_hz)).min(1.0);
        let reach = (CROSSINGS as f64 / cutoff).ceil() as usize;
        let mut taps = Vec::with_capacity(up * 2 * reach);
        for phase in 0..up {
            let middle = phase as f64 / up as f64;
            let row: Vec<f64> = (0..2 * reach)
                .map(|index| {
                    let distance = index as f64 + 1.0 - reach as f64 - middle;
                    cutoff * sinc(cutoff * distance) * blackman(distance / reach as f64)
                })
                .collect();
            // Each phase passes a constant unchanged: no hum at the phase rate.
            let sum: f64 = row.iter().sum();
            taps.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        Self { up, down, reach, taps }
    }

    /// The recording at the new rate; as long as the old one, rounded up to a whole sample.
    pub fn resample(&self, samples: &[i16]) -> Vec<i16> {
        if self.up == self.down {
            return samples.to_vec();
        }
        let length = (samples.len() * self.up).div_ceil(self.down);
        (0..length)
            .map(|index| {
                let (whole, phase) = (index * self.down / self.up, index * self.down % self.up);
                self.at(samples, whole, phase).round().clamp(-32_768.0, 32_767.0) as i16
            })
            .collect()
    }

    /// The value `phase / up` after input sample `whole`; silence surrounds the recording.
    fn at(&self, samples: &[i16], whole: usize, phase: usize) -> f32 {
        let width = 2 * self.reach;
        let row = &self.taps[phase * width..][..width];
        // The first tap belongs to input sample `whole + 1 - reach`.
        let skipped = (self.reach - 1).saturating_sub(whole);
        let first = (whole + 1 + skipped) - self.reach;
        let covered = &samples[first.min(samples.len())..];
        row[skipped..].iter().zip(covered).map(|(tap, &sample)| tap * f32::from(sample)).sum()
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The Blackman window at `x` from −1 to 1.
fn blackman(x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { 0.42 + 0.5 * (PI * x).cos() + 0.08 * (2.0 * PI * x).cos() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, seconds: f64) -> Vec<i16> {
        (0..(f64::from(rate) * seconds) as usize)
            .map(|n| ((2.0 * PI * hz * n as f64 / f64::from(rate)).sin() * 10_000.0) as i16)
            .collect()
    }

    /// Power of `samples` at `hz`, against a full tone of amplitude 10,000, in dB.
    fn level_at(samples: &[i16], hz: f64, rate: u32) -> f64 {
        let inner = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &sample) in inner.iter().enumerate() {
            let angle = 2.0 * PI * hz * n as f64 / f64::from(rate);
            re += f64::from(sample) * angle.cos();
            im += f64::from(sample) * angle.sin();
        }
        20.0 * ((re.hypot(im) * 2.0 / inner.len() as f64) / 10_000.0).max(1e-6).log10()
    }

    #[test]
    fn tones_in_the_band_pass_and_tones_beyond_it_do_not_fold_back() {
        // (from, to, tone, where it is looked for, least dB, most dB)
        let table = [
            (16_000, 8_000, 1_000.0, 1_000.0, -0.1, 0.1),
            (16_000, 8_000, 3_200.0, 3_200.0, -0.5, 0.1),
            (16_000, 8_000, 5_000.0, 3_000.0, -200.0, -60.0),
            (22_050, 8_000, 1_000.0, 1_000.0, -0.1, 0.1),
            (22_050, 8_000, 4_600.0, 3_400.0, -200.0, -60.0),
            (8_000, 16_000, 1_000.0, 1_000.0, -0.1, 0.1),
            (8_000, 16_000, 3_000.0, 5_000.0, -200.0, -60.0),
        ];
        for (from, to, hz, at, least, most) in table {
            let out = Resampler::new(from, to).resample(&tone(hz, from, 0.5));
            let level = level_at(&out, at, to);
            assert!(level >= least && level <= most, "{from}->{to} {hz} Hz: {level:.1} dB at {at}");
        }
    }

    #[test]
    fn length_follows_the_rate_and_extremes_neither_wrap_nor_panic() {
        let table =
            [(8_000, 16_000, 160, 320), (16_000, 8_000, 161, 81), (22_050, 8_000, 441, 160)];
        for (from, to, before, after) in table {
            let resampler = Resampler::new(from, to);
            assert_eq!(resampler.resample(&vec![i16::MAX; before]).len(), after);
            assert!(resampler.resample(&vec![i16::MAX; 400])[100] > 32_000);
            assert!(resampler.resample(&vec![i16::MIN; 400])[100] < -32_000);
            for short in 0..3 {
                resampler.resample(&vec![1000; short]);
            }
        }
        assert_eq!(Resampler::new(8_000, 8_000).resample(&[1, 2, 3]), [1, 2, 3]);
    }
}
