//! Whisper's view of sound: the logarithm of 80 mel bands, every 10 ms.
//!
//! Windows of 25 ms (400 samples at 16 kHz, periodic Hann) every 160 samples; power spectrum;
//! triangular bands on the mel scale that is linear below 1 kHz and logarithmic above (Slaney's,
//! each band of unit area); decimal logarithm, no lower than 8 (80 dB) below the loudest value of
//! the whole recording, moved to about −1…1. As in OpenAI's `log_mel_spectrogram`, with which
//! the weights were trained. The binding's own extractor sets that floor frame by frame, so
//! that silence looks as loud as speech to the model; hence this one.

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f32::consts::PI;
use std::sync::Arc;

/// Samples a second that the model takes.
pub const RATE_HZ: u32 = 16_000;
/// Samples from one column to the next.
pub const HOP: usize = 160;
const WINDOW: usize = 400;
const BINS: usize = WINDOW / 2 + 1;

/// Turns sound into the model's features.
pub struct MelSpectrum {
    bands: usize,
    /// `bands` rows of [`BINS`] weights.
    filters: Vec<f32>,
    window: Vec<f32>,
    fft: Arc<dyn Fft<f32>>,
}

impl MelSpectrum {
    /// For a model with `bands` mel bands (80, or 128 for the newest large models).
    pub fn new(bands: usize) -> Self {
        let window =
            (0..WINDOW).map(|n| 0.5 - 0.5 * (2.0 * PI * n as f32 / WINDOW as f32).cos()).collect();
        let fft = FftPlanner::new().plan_fft_forward(WINDOW);
        Self { bands, filters: mel_filters(bands), window, fft }
    }

    /// The features of `samples` (16 kHz, −1 to 1), followed by silence up to `columns` columns:
    /// `bands` rows of `columns` values.
    pub fn features(&self, samples: &[f32], columns: usize) -> Vec<f32> {
        let mut features = vec![0.0; self.bands * columns];
        let mut spectrum = vec![Complex::default(); WINDOW];
        let mut scratch = vec![Complex::default(); self.fft.get_inplace_scratch_len()];
        let mut loudest = f32::MIN;
        for column in 0..columns {
            // The window is centred on its column; the recording is mirrored at its beginning.
            let begin = column as isize * HOP as isize - (WINDOW / 2) as isize;
            for (offset, slot) in spectrum.iter_mut().enumerate() {
                let at = (begin + offset as isize).unsigned_abs();
                let sample = samples.get(at).copied().unwrap_or(0.0);
                *slot = Complex::new(sample * self.window[offset], 0.0);
            }
            self.fft.process_with_scratch(&mut spectrum, &mut scratch);
            let power: Vec<f32> = spectrum[..BINS].iter().map(Complex::norm_sqr).collect();
            for band in 0..self.bands {
                let filter = &self.filters[band * BINS..][..BINS];
                let energy: f32 = filter.iter().zip(&power).map(|(a, b)| a * b).sum();
                let value = energy.max(1e-10).log10();
                loudest = loudest.max(value);
                features[band * columns + column] = value;
            }
        }
        for value in &mut features {
            *value = (value.max(loudest - 8.0) + 4.0) / 4.0;
        }
        features
    }
}

/// Triangles between neighbouring mel points, of unit area.
fn mel_filters(bands: usize) -> Vec<f32> {
    let top = hertz_to_mel(RATE_HZ as f32 / 2.0);
    let points: Vec<f32> =
        (0..bands + 2).map(|n| mel_to_hertz(top * n as f32 / (bands + 1) as f32)).collect();
    let mut filters = vec![0.0; bands * BINS];
    for band in 0..bands {
        let (low, middle, high) = (points[band], points[band + 1], points[band + 2]);
        for bin in 0..BINS {
            let hertz = bin as f32 * RATE_HZ as f32 / WINDOW as f32;
            let rising = (hertz - low) / (middle - low);
            let falling = (high - hertz) / (high - middle);
            filters[band * BINS + bin] = rising.min(falling).max(0.0) * 2.0 / (high - low);
        }
    }
    filters
}

/// Slaney's scale: 3 mel per 200 Hz up to 1 kHz (15 mel), then 27 mel for each factor of 6.4.
fn hertz_to_mel(hertz: f32) -> f32 {
    if hertz < 1_000.0 {
        hertz * 3.0 / 200.0
    } else {
        15.0 + 27.0 * (hertz / 1_000.0).ln() / 6.4f32.ln()
    }
}

fn mel_to_hertz(mel: f32) -> f32 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1_000.0 * 6.4f32.powf((mel - 15.0) / 27.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_lights_its_own_band_and_silence_lies_at_the_floor() {
        let tone: Vec<f32> = (0..16_000)
            .map(|n| (2.0 * PI * 1_000.0 * n as f32 / RATE_HZ as f32).sin() * 0.5)
            .collect();
        let spectrum = MelSpectrum::new(80);
        let features = spectrum.features(&tone, 200);
        let column: Vec<f32> = (0..80).map(|band| features[band * 200 + 50]).collect();
        let brightest = (0..80).max_by(|a, b| column[*a].total_cmp(&column[*b]));
        // 1 kHz is mel 15 of 45.2: band 15 / 45.2 * 81 - 1 = 25.8.
        assert!(matches!(brightest, Some(25 | 26)), "{brightest:?}");
        let floor = features.iter().copied().fold(f32::MAX, f32::min);
        assert_eq!(features[40 * 200 + 199], floor);
        let loudest = features.iter().copied().fold(f32::MIN, f32::max);
        assert!((loudest - floor - 2.0).abs() < 1e-5, "80 dB are two units");
    }

    #[test]
    fn mel_scale_turns_back_into_hertz() {
        for hertz in [0.0, 200.0, 999.0, 1_000.0, 6_400.0, 8_000.0] {
            assert!((mel_to_hertz(hertz_to_mel(hertz)) - hertz).abs() < 0.5);
        }
    }

    #[test]
    fn empty_sound_gives_a_flat_picture() {
        let features = MelSpectrum::new(80).features(&[], 100);
        assert!(features.iter().all(|value| *value == -1.5));
    }
}
