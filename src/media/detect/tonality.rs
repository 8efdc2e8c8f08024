//! How much of a frame is a few pure tones: keys, ringing, dial and fax tones are little else,
//! speech and noise are not.
//!
//! A sum of k sines is foretold exactly by a linear predictor of order 2k. The gain of a predictor
//! of order 6 (three tones) is therefore the measure: 23 dB and more for tones that went through
//! G.711, less than 21 for nearly all of speech.
//!
//! Calls nothing. Called by `speech`.

use crate::FRAME_SAMPLES;

/// The predictor's order: three tones.
const ORDER: usize = 6;

/// The gain of linear prediction in decibels over one frame; 0 for silence.
///
/// By autocorrelation under a Hann window and Levinson's recursion.
pub fn prediction_gain_db(frame: &[f32; FRAME_SAMPLES]) -> f32 {
    let mut windowed = [0.0_f32; FRAME_SAMPLES];
    for (number, sample) in windowed.iter_mut().enumerate() {
        *sample = frame[number] * WINDOW[number];
    }
    let mut correlation = [0.0_f64; ORDER + 1];
    for (lag, sum) in correlation.iter_mut().enumerate() {
        let products = windowed.iter().zip(&windowed[lag..]).map(|(early, late)| early * late);
        *sum = f64::from(products.sum::<f32>());
    }
    if correlation[0] <= 0.0 {
        return 0.0;
    }
    (10.0 * (correlation[0] / residual_energy(&correlation)).log10()) as f32
}

/// Levinson's recursion: what the best predictor leaves of the energy.
fn residual_energy(correlation: &[f64; ORDER + 1]) -> f64 {
    // White noise 60 dB down keeps the recursion stable for pure tones.
    let floor = correlation[0] * 1e-6;
    let mut residual = correlation[0] + floor;
    let mut predictor = [0.0_f64; ORDER + 1];
    for order in 1..=ORDER {
        let past: f64 = (1..order).map(|lag| predictor[lag] * correlation[order - lag]).sum();
        let reflection = (correlation[order] - past) / residual;
        let before = predictor;
        predictor[order] = reflection;
        for lag in 1..order {
            predictor[lag] = before[lag] - reflection * before[order - lag];
        }
        residual = (residual * (1.0 - reflection * reflection)).max(floor);
    }
    residual
}

/// The Hann window, from a rotation so that it is made at compile time.
static WINDOW: [f32; FRAME_SAMPLES] = hann();

const fn hann() -> [f32; FRAME_SAMPLES] {
    // cos and sin of 2π/160.
    const STEP: (f64, f64) = (0.999_229_036_240_723_3, 0.039_259_815_759_068_6);
    let mut window = [0.0; FRAME_SAMPLES];
    let (mut cos, mut sin) = (1.0_f64, 0.0_f64);
    let mut number = 0;
    while number < FRAME_SAMPLES {
        window[number] = (0.5 - 0.5 * cos) as f32;
        (cos, sin) = (cos * STEP.0 - sin * STEP.1, sin * STEP.0 + cos * STEP.1);
        number += 1;
    }
    window
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711;
    use crate::tone::synthesis::{key_frequencies, noise, tones};
    use domain::media_plan::Codec;

    fn gain(samples: &[i16]) -> f32 {
        let coded = |sample: &i16| {
            f32::from(g711::PCMU_TO_LINEAR[usize::from(g711::encode(Codec::Pcmu, *sample))])
        };
        let frame: Vec<f32> = samples.iter().map(coded).collect();
        prediction_gain_db(frame[..].first_chunk().unwrap())
    }

    #[test]
    fn tones_are_foretold_and_noise_is_not() {
        for key in "0123456789*#ABCD".chars() {
            let (low, high) = key_frequencies(key).unwrap();
            for amplitude in [500.0, 12_000.0] {
                let gain = gain(&tones(&[low, high], amplitude, 160, 8_000, 77));
                assert!(gain > 23.0, "{key} {amplitude}: {gain} dB");
            }
        }
        for frequencies in [&[425.0][..], &[440.0, 480.0], &[1_004.0], &[350.0, 440.0]] {
            let gain = gain(&tones(frequencies, 4_000.0, 160, 8_000, 0));
            assert!(gain > 23.0, "{frequencies:?}: {gain} dB");
        }
        assert!(gain(&noise(4_000.0, 160, 5)) < 2.0);
        assert_eq!(prediction_gain_db(&[0.0; FRAME_SAMPLES]), 0.0);
    }
}
