//! WAV files in and out, always to and from 8 kHz mono.

use super::resample::Resampler;
use crate::engine::WIRE_HZ;
use crate::error::SpeechError;
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use std::io::{Cursor, Read, Seek};
use std::path::Path;

/// Longest recording taken, in seconds: 29 MB of samples.
const SECONDS_MAX: u32 = 1_800;

/// The samples of the file at `path` (PCM of 8 to 32 bits or floating point, any rate and number
/// of channels), mixed to one channel of 8 kHz.
///
/// # Errors
/// [`SpeechError::Recording`] when it cannot be read, is no such WAV file, or has more than half
/// an hour.
pub fn read(path: &Path) -> Result<Vec<i16>, SpeechError> {
    let fault = |reason: String| SpeechError::Recording { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    parse(Cursor::new(bytes)).map_err(fault)
}

/// As [`read`], from bytes; the error is a sentence.
pub fn parse(bytes: impl Read + Seek) -> Result<Vec<i16>, String> {
    let reader = WavReader::new(bytes).map_err(|error| error.to_string())?;
    let spec = reader.spec();
    if spec.channels == 0 || !(4_000..=192_000).contains(&spec.sample_rate) {
        return Err(format!("{} channels at {} Hz", spec.channels, spec.sample_rate));
    }
    if reader.duration() / spec.sample_rate > SECONDS_MAX {
        return Err(format!("longer than {SECONDS_MAX} s"));
    }
    let mono = mixed(reader, spec).map_err(|error| error.to_string())?;
    Ok(Resampler::new(spec.sample_rate, WIRE_HZ).resample(&mono))
}

fn mixed<R: Read>(mut reader: WavReader<R>, spec: WavSpec) -> Result<Vec<i16>, hound::Error> {
    let interleaved: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader
            .samples::<f32>()
            .map(|sample| sample.map(|sample| sample * 32_768.0))
            .collect::<Result<_, _>>()?,
        SampleFormat::Int => {
            let scale = 2f32.powi(16 - i32::from(spec.bits_per_sample));
            reader
                .samples::<i32>()
                .map(|sample| sample.map(|sample| sample as f32 * scale))
                .collect::<Result<_, _>>()?
        }
    };
    let channels = usize::from(spec.channels);
    Ok(interleaved
        .chunks(channels)
        .map(|frame| {
            (frame.iter().sum::<f32>() / channels as f32).clamp(-32_768.0, 32_767.0) as i16
        })
        .collect())
}

/// A WAV file of `samples`: 8 kHz, mono, 16 bits.
pub fn print(samples: &[i16]) -> Vec<u8> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: WIRE_HZ,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::with_capacity(44 + 2 * samples.len()));
    let written = WavWriter::new(&mut bytes, spec).and_then(|mut writer| {
        samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
        writer.finalize()
    });
    written.expect("writing to memory cannot fail, and prompts are far below 4 GB");
    bytes.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_survives_the_round_trip() {
        let samples: Vec<i16> = (0..800).map(|n| (n * 37 % 2_000) as i16 - 1_000).collect();
        assert_eq!(parse(Cursor::new(print(&samples))), Ok(samples));
    }

    #[test]
    fn stereo_of_24_bits_at_16_khz_becomes_mono_at_8_khz() {
        let spec = WavSpec {
            channels: 2,
            sample_rate: 16_000,
            bits_per_sample: 24,
            sample_format: SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        for _ in 0..1_600 {
            writer.write_sample(1_000 << 8).unwrap();
            writer.write_sample(3_000 << 8).unwrap();
        }
        writer.finalize().unwrap();
        let samples = parse(Cursor::new(bytes.into_inner())).unwrap();
        assert_eq!((samples.len(), samples[400]), (800, 2_000));
    }

    #[test]
    fn rubbish_is_refused_with_a_reason() {
        let whole = print(&[5; 100]);
        for length in [0, 10, 43, 60] {
            assert!(parse(Cursor::new(whole[..length].to_vec())).is_err(), "{length}");
        }
        assert!(read(Path::new("/nonexistent.wav")).is_err());
    }
}
