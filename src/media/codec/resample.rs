//! Any usual rate to the telephone's 8 kHz, with the low-pass that keeps what is above 4 kHz from
//! folding into the speech band.
//!
//! A windowed sinc (Kaiser, about 80 dB) evaluated at the exact place of each output sample. It
//! runs when a clip is made, never in a call, so clarity wins over speed.

use std::f64::consts::PI;

/// Half the length of the filter in output samples: 32 zero crossings on either side.
const HALF_WIDTH: f64 = 32.0;

/// The edge of the pass band as a part of the narrower Nyquist frequency: 3,760 Hz at 8 kHz.
const EDGE: f64 = 0.94;

/// The Kaiser window's shape: 80 dB of stop band.
const BETA: f64 = 7.86;

/// Lowest and highest rates taken, in hertz.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Converts mono samples of `rate` hertz to `to` hertz.
///
/// Returns `None` when either rate is outside [`RATES`]. Samples beyond the ends count as silence.
/// The result has `samples.len() * to / rate` samples, rounded up.
pub fn resample(samples: &[i16], rate: u32, to: u32) -> Option<Vec<i16>> {
    if !RATES.contains(&rate) || !RATES.contains(&to) {
        return None;
    }
    if rate == to {
        return Some(samples.to_vec());
    }
    let length = (samples.len() as u64 * u64::from(to)).div_ceil(u64::from(rate));
    let step = f64::from(rate) / f64::from(to);
    // Below 1 when the rate falls: then the filter, not the input, limits the band.
    let band = (f64::from(to) / f64::from(rate)).min(1.0) * EDGE;
    let reach = HALF_WIDTH * step.max(1.0);
    let output = (0..length).map(|number| {
        let centre = number as f64 * step;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = ((centre + reach).floor() as usize + 1).min(samples.len());
        let sum: f64 = samples
            .get(first..last)
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(offset, sample)| {
                let distance = (first + offset) as f64 - centre;
                f64::from(*sample) * kernel(distance, band, reach)
            })
            .sum();
        sum.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
    });
    Some(output.collect())
}

fn kernel(distance: f64, band: f64, reach: f64) -> f64 {
    let x = PI * distance * band;
    let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
    let edge = (1.0 - (distance / reach).powi(2)).max(0.0).sqrt();
    band * sinc * bessel(BETA * edge) / bessel(BETA)
}

/// The modified Bessel function of the first kind and order 0, by its series.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..24 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::synthesis::{level_db, sine};

    const RATES_IN_USE: [u32; 5] = [16_000, 22_050, 24_000, 44_100, 48_000];

    /// A second of tone, without the filter's run-in at both ends.
    fn level_of(frequency: f64, rate: u32) -> f64 {
        let tone = sine(frequency, 10_000.0, rate as usize, rate);
        let output = resample(&tone, rate, 8_000).unwrap();
        assert_eq!(output.len(), 8_000);
        level_db(&output[400..7_600])
    }

    #[test]
    fn the_speech_band_passes_and_the_rest_does_not_fold_into_it() {
        let expected = level_db(&sine(1_000.0, 10_000.0, 8_000, 8_000));
        for rate in RATES_IN_USE {
            for frequency in [100.0, 300.0, 1_000.0, 3_400.0] {
                let off = level_of(frequency, rate) - expected;
                assert!(off.abs() < 0.1, "{rate} {frequency}: {off} dB");
            }
            for frequency in [4_400.0, 5_000.0, 7_000.0] {
                let off = level_of(frequency, rate) - expected;
                assert!(off < -60.0, "{rate} {frequency}: {off} dB");
            }
        }
    }

    #[test]
    fn rates_out_of_range_are_refused_and_the_same_rate_is_left_alone() {
        assert_eq!(resample(&[1], 1, 8_000), None);
        assert_eq!(resample(&[1], 8_000, 4_000_000), None);
        assert_eq!(resample(&[5, -5], 8_000, 8_000), Some(vec![5, -5]));
        assert_eq!(resample(&[], 44_100, 8_000), Some(vec![]));
    }

    #[test]
    fn upsampling_for_a_recogniser_keeps_the_level() {
        let tone = sine(1_000.0, 10_000.0, 8_000, 8_000);
        let output = resample(&tone, 8_000, 16_000).unwrap();
        assert_eq!(output.len(), 16_000);
        assert!((level_db(&output[800..15_000]) - level_db(&tone)).abs() < 0.1);
    }
}
