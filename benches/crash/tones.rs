//! The recorded prompts of the trial, and whether a recording holds the confirmation.

use crate::common::Failure;
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use std::f64::consts::TAU;
use std::io::Cursor;
use std::path::Path;

const SAMPLE_RATE: u32 = 8_000;
/// 50 ms.
const TONE_SAMPLES: usize = 400;
/// How much of the confirmation a recording must hold: its first 400 ms.
const HELD_SAMPLES: usize = 8 * TONE_SAMPLES;
/// From this likeness on, sound is the confirmation. Noise and the other prompt stay below 0.2;
/// G.711 leaves 0.99 of it.
const LIKENESS_MIN: f64 = 0.7;
/// Hertz; a melody that nothing else in the call resembles.
const CONFIRMATION: [u32; 16] =
    [440, 910, 530, 1090, 620, 470, 1010, 700, 560, 830, 490, 970, 650, 1130, 590, 770];
const OFFER: [u32; 6] = [350; 6];

/// The confirmation as a WAV file, 0.8 s.
pub fn confirmation() -> Result<Vec<u8>, Failure> {
    wav(&melody(&CONFIRMATION))
}

/// What is heard before the key is pressed, 0.3 s.
pub fn offer() -> Result<Vec<u8>, Failure> {
    wav(&melody(&OFFER))
}

fn melody(tones: &[u32]) -> Vec<i16> {
    let samples = tones.iter().flat_map(|hertz| {
        let per_sample = TAU * f64::from(*hertz) / f64::from(SAMPLE_RATE);
        (0..TONE_SAMPLES).map(move |at| ((at as f64 * per_sample).sin() * 9_000.0) as i16)
    });
    samples.collect()
}

fn wav(samples: &[i16]) -> Result<Vec<u8>, Failure> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec)?;
    for sample in samples {
        writer.write_sample(*sample)?;
    }
    writer.finalize()?;
    Ok(file.into_inner())
}

/// Whether the left side of a recording (what the caller heard) holds the confirmation.
pub fn hold_confirmation(recording: &Path) -> Result<bool, Failure> {
    let samples: Vec<i16> =
        WavReader::open(recording)?.into_samples::<i16>().step_by(2).collect::<Result<_, _>>()?;
    let heard: Vec<f32> = samples.iter().map(|sample| f32::from(*sample)).collect();
    let pattern: Vec<f32> =
        melody(&CONFIRMATION)[..HELD_SAMPLES].iter().map(|sample| f32::from(*sample)).collect();
    let pattern_power = power(&pattern);
    Ok(heard.windows(HELD_SAMPLES).any(|window| {
        // Most of a call is silence or another tone: its power at either end says so at once.
        let loud =
            power(&window[..TONE_SAMPLES]).min(power(&window[HELD_SAMPLES - TONE_SAMPLES..]));
        if loud < pattern_power / 100.0 {
            return false;
        }
        let product: f64 =
            window.iter().zip(&pattern).map(|(one, other)| f64::from(one * other)).sum();
        product / (power(window) * pattern_power).sqrt() > LIKENESS_MIN
    }))
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|sample| f64::from(sample * sample)).sum()
}
