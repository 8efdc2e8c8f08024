//! Sounds to play and how to find them again: tones, silence, spoken sentences.

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::Command;

/// Samples per second.
const RATE: u32 = 8_000;

/// Writes a tone of `hertz` (0: silence) that lasts `seconds`, 12 dB below full scale.
pub fn write_tone(path: &Path, hertz: f64, seconds: u32) {
    let sample = |index: u32| {
        let phase = TAU * hertz * f64::from(index) / f64::from(RATE);
        (phase.sin() * f64::from(i16::MAX) / 4.0) as i16
    };
    write(path, (0..seconds * RATE).map(sample));
}

/// Writes `text` as flite's voice `voice` speaks it, brought to 8 kHz by sox, with a minute of
/// silence behind it: baresip begins anew at the end of a file.
pub fn write_speech(path: &Path, text: &str, voice: &str) {
    let spoken = path.with_extension("spoken.wav");
    let narrow = path.with_extension("narrow.wav");
    let flite = Command::new("flite")
        .args(["-voice", voice, "-t", text, "-o"])
        .arg(&spoken)
        .status()
        .expect("flite is installed");
    assert!(flite.success());
    let sox = Command::new("sox")
        .arg(&spoken)
        .args(["-r", "8000", "-c", "1", "-b", "16"])
        .arg(&narrow)
        .status()
        .expect("sox is installed");
    assert!(sox.success());
    let silence = std::iter::repeat_n(0, 60 * RATE as usize);
    write(path, read(&narrow).into_iter().chain(silence));
}

fn write(path: &Path, samples: impl Iterator<Item = i16>) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

/// Reads 16-bit samples of a WAV whose head may not know its length yet, since its writer is
/// still at it.
pub fn read(path: &Path) -> Vec<i16> {
    let mut bytes = Vec::new();
    BufReader::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let data = bytes.windows(4).position(|four| four == b"data").map_or(bytes.len(), |at| at + 8);
    let samples = bytes.get(data..).unwrap_or_default().chunks_exact(2);
    samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The share of the power of `samples` that is at `hertz`, 0 to 1 (Goertzel).
pub fn share(samples: &[i16], hertz: f64) -> f64 {
    let step = 2.0 * (TAU * hertz / f64::from(RATE)).cos();
    let (mut last, mut before, mut power) = (0.0, 0.0, 0.0);
    for sample in samples {
        let sample = f64::from(*sample);
        (last, before) = (sample + step * last - before, last);
        power += sample * sample;
    }
    let found = last * last + before * before - step * last * before;
    let length = samples.len() as f64;
    // Of a pure tone the Goertzel power is (length / 2) times that of the samples.
    if power < length { 0.0 } else { found / (power * length / 2.0) }
}

/// Seconds in which the tone is most of what is heard, counted in fifths.
pub fn seconds_of(samples: &[i16], hertz: f64) -> f64 {
    let fifths = samples.chunks_exact(RATE as usize / 5);
    fifths.filter(|fifth| share(fifth, hertz) > 0.5).count() as f64 / 5.0
}

#[test]
fn a_tone_is_found_among_others() {
    let tone = |hertz: f64| -> Vec<i16> {
        let sample = |index| (TAU * hertz * f64::from(index) / 8_000.0).sin() * 8_000.0;
        (0..8_000).map(|index| sample(index) as i16).collect()
    };
    let both: Vec<i16> = tone(650.0).iter().zip(tone(1_000.0)).map(|(a, b)| a + b).collect();
    for (samples, hertz, least, most) in [
        (tone(1_000.0), 1_000.0, 0.95, 1.05),
        (tone(650.0), 1_000.0, 0.0, 0.05),
        (both, 1_000.0, 0.45, 0.55),
        (vec![0; 8_000], 1_000.0, 0.0, 0.0),
    ] {
        let found = share(&samples, hertz);
        assert!((least..=most).contains(&found), "{found} at {hertz}");
    }
}
