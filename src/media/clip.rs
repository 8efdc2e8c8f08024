//! Sound ready to be sent: encoded once, in both wire codecs, played many times.

use crate::codec::{g711, resample};
use crate::{FRAME_SAMPLES, SAMPLE_RATE};
use bytes::Bytes;
use domain::media_plan::Codec;
use std::time::Duration;

/// A piece of sound in both wire codecs, 8 kHz mono, one byte a sample.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clip {
    /// µ-law.
    pub pcmu: Bytes,
    /// A-law, of the same length.
    pub pcma: Bytes,
}

/// Why samples make no clip.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClipError {
    /// The rate is outside `codec::resample::RATES`.
    #[error("a sampling rate of {rate} Hz is not supported")]
    Rate {
        /// The rate given.
        rate: u32,
    },
    /// Longer than [`Clip::LENGTH_MAX`].
    #[error("{seconds} s of sound are more than the hour that a clip may last")]
    TooLong {
        /// How long it is.
        seconds: u64,
    },
}

impl Clip {
    /// The longest clip: one hour, 57.6 MB in both codecs.
    pub const LENGTH_MAX: Duration = Duration::from_secs(3_600);

    /// Encodes mono samples of `rate` hertz.
    ///
    /// # Errors
    ///
    /// `Rate` for a rate that cannot be converted, `TooLong` for more than an hour.
    pub fn encode(samples: &[i16], rate: u32) -> Result<Self, ClipError> {
        if !resample::RATES.contains(&rate) {
            return Err(ClipError::Rate { rate });
        }
        let seconds = samples.len() as u64 / u64::from(rate);
        if seconds >= Self::LENGTH_MAX.as_secs() {
            return Err(ClipError::TooLong { seconds });
        }
        let samples =
            resample::resample(samples, rate, SAMPLE_RATE).ok_or(ClipError::Rate { rate })?;
        let bytes =
            |codec| samples.iter().map(|sample| g711::encode(codec, *sample)).collect::<Bytes>();
        Ok(Self { pcmu: bytes(Codec::Pcmu), pcma: bytes(Codec::Pcma) })
    }

    /// Silence of `length`, in whole samples.
    pub fn silence(length: Duration) -> Self {
        let samples = (length.min(Self::LENGTH_MAX).as_millis() as usize) * FRAME_SAMPLES / 20;
        let bytes = |codec| Bytes::from(vec![g711::silence(codec); samples]);
        Self { pcmu: bytes(Codec::Pcmu), pcma: bytes(Codec::Pcma) }
    }

    /// The bytes in `codec`.
    pub fn bytes(&self, codec: Codec) -> &Bytes {
        match codec {
            Codec::Pcmu => &self.pcmu,
            Codec::Pcma => &self.pcma,
        }
    }

    /// How many samples it has: the fewer, should the two codecs differ.
    pub fn samples(&self) -> usize {
        self.pcmu.len().min(self.pcma.len())
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.samples() as u64 * 1_000_000 / u64::from(SAMPLE_RATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::synthesis::{level_db, sine};

    #[test]
    fn a_tone_of_any_rate_keeps_length_and_level_in_both_codecs() {
        for rate in [8_000, 16_000, 22_050, 24_000, 44_100, 48_000] {
            let tone = sine(1_000.0, 8_000.0, rate as usize / 2, rate);
            let clip = Clip::encode(&tone, rate).unwrap();
            assert_eq!((clip.samples(), clip.length().as_millis()), (4_000, 500), "{rate}");
            for codec in [Codec::Pcmu, Codec::Pcma] {
                let table = g711::decoder(codec);
                let decoded: Vec<i16> =
                    clip.bytes(codec).iter().map(|byte| table[usize::from(*byte)]).collect();
                let off = level_db(&decoded[300..3_700]) - level_db(&tone);
                assert!(off.abs() < 0.2, "{rate} {codec:?} {off}");
            }
        }
    }

    #[test]
    fn rates_and_lengths_out_of_range_are_refused() {
        assert_eq!(Clip::encode(&[0], 100), Err(ClipError::Rate { rate: 100 }));
        let long = vec![0; 4_000 * 3_601];
        assert_eq!(Clip::encode(&long, 4_000), Err(ClipError::TooLong { seconds: 3_601 }));
        assert_eq!(Clip::silence(Duration::from_millis(30)).samples(), 240);
    }
}
