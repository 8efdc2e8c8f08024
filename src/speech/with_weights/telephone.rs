//! Speech as it arrives by telephone.

use crate::prompt_cache::tests::Scratch;
use crate::sound::wav;
use crate::synthesizer::program::Voice;
use std::path::Path;

/// `text` spoken by a voice of flite, through the telephone, with a little silence around it as
/// end-pointing leaves it.
pub fn said_by(voice: &str, text: &str) -> Vec<i16> {
    let scratch = Scratch::new(&format!("said-{voice}-{}", text.len()));
    let voice = Voice::Flite { voice: voice.to_owned() };
    let spoken = voice.speak(text, &scratch.0.join("said.wav")).unwrap();
    line(&[&[0; 1_600][..], &spoken, &[0; 4_000]].concat())
}

/// A file through the telephone; `.raw` is 16 kHz, 16 bits, little-endian.
pub fn file(path: &Path) -> Vec<i16> {
    if path.extension().is_some_and(|kind| kind == "raw") {
        let bytes = std::fs::read(path).unwrap();
        let samples: Vec<i16> =
            bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        return line(&crate::sound::resample::Resampler::new(16_000, 8_000).resample(&samples));
    }
    line(&wav::read(path).unwrap())
}

/// What µ-law leaves of the samples (ITU-T G.711 table 2a, 14 bits).
fn line(samples: &[i16]) -> Vec<i16> {
    samples.iter().map(|&sample| through_mu_law(sample)).collect()
}

fn through_mu_law(sample: i16) -> i16 {
    const BIAS: i32 = 33;
    let magnitude = (i32::from(sample).abs() / 4 + BIAS).min(8_191);
    // The segment's number counts from bit 5, the lowest that the bias sets.
    let step = (31 - magnitude.leading_zeros()) - 4;
    let kept = ((magnitude >> step) << step) + (1 << step) / 2 - BIAS;
    (kept * 4 * i32::from(sample.signum())).clamp(-32_768, 32_767) as i16
}

#[test]
fn mu_law_keeps_its_relative_precision() {
    for sample in [0, 3, -40, 500, -5_000, 32_000, i16::MIN, i16::MAX] {
        let error = (i32::from(through_mu_law(sample)) - i32::from(sample)).abs();
        assert!(error <= i32::from(sample).abs() / 16 + 16, "{sample}: {error}");
    }
}
