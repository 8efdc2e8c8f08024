//! The open engine: Whisper through CTranslate2. Any sentence, English or Mandarin; a third of a
//! second of one core for each.

pub mod hallucination;

use crate::engine::{Engine, Recognised, WIRE_HZ};
use crate::error::SpeechError;
use crate::mel::{HOP, MelSpectrum, RATE_HZ};
use crate::sound::resample::Resampler;
use crate::text;
use ct2rs::Tokenizer as _;
use ct2rs::sys;
use ct2rs::tokenizers::hf::Tokenizer;
use domain::prompt::{Hearing, Language, Transcript};
use std::path::Path;

/// The window given to the encoder, in columns of 10 ms. The cost grows with it whatever was
/// said; below about 6 s the model, trained on 30 s, begins to repeat itself.
const WINDOW_COLUMNS: usize = 800;
/// Silence that must follow the speech in the window, for the same reason.
const TAIL_COLUMNS: usize = 100;
/// The longest window the weights have positions for: 30 s.
const WINDOW_COLUMNS_MAX: usize = 3_000;
/// Measured on 40 telephone sentences: 4.4 % of words wrong against 4.9 % with 1, for an eighth
/// more time.
const BEAM: usize = 5;
/// Whisper with its weights.
pub struct Whisper {
    model: sys::Whisper,
    tokenizer: Tokenizer,
    spectrum: MelSpectrum,
    upsampler: Resampler,
}

/// What the decoder gave for one utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The text as written by the model, with figures and punctuation.
    pub text: String,
    /// Mean natural logarithm of the tokens' probabilities: 0 is certain.
    pub score: f32,
    /// Probability that nobody spoke, 0–1.
    pub no_speech: f32,
}

impl Whisper {
    /// Loads the weights in `whisper` under `models`, as 8-bit integers. `parallel` utterances
    /// (1 or more) can be recognised at once, each by one thread of the engine's own with its own
    /// copy of the weights; those threads have the priority of the calling one.
    ///
    /// # Errors
    /// [`SpeechError::ModelMissing`], [`SpeechError::ModelBroken`].
    pub fn load(models: &Path, parallel: usize) -> Result<Self, SpeechError> {
        let folder = models.join("whisper");
        for name in ["model.bin", "config.json", "tokenizer.json"] {
            let path = folder.join(name);
            if !path.exists() {
                return Err(SpeechError::ModelMissing { path });
            }
        }
        let broken = |fault: &dyn std::fmt::Display| SpeechError::ModelBroken {
            path: folder.clone(),
            reason: fault.to_string(),
        };
        let config = sys::Config {
            compute_type: sys::ComputeType::INT8,
            num_threads_per_replica: 1,
            device_indices: vec![0; parallel.max(1)],
            ..Default::default()
        };
        let model = sys::Whisper::new(&folder, config).map_err(|fault| broken(&fault))?;
        if !model.is_multilingual() {
            return Err(broken(&"the weights know English only; multilingual ones are needed"));
        }
        let mut tokenizer = Tokenizer::new(&folder).map_err(|fault| broken(&fault))?;
        tokenizer.disable_spacial_token();
        let spectrum = MelSpectrum::new(model.n_mels());
        Ok(Self { model, tokenizer, spectrum, upsampler: Resampler::new(WIRE_HZ, RATE_HZ) })
    }

    /// The model's text for `samples` (8 kHz) in `language`.
    ///
    /// No text is given as having come before, although the model would take one: measured, a
    /// hint of digits made it write digits nobody said, and in silence it repeats the hint.
    ///
    /// # Errors
    /// [`SpeechError::EngineFailed`].
    pub fn decode(&self, samples: &[i16], language: Language) -> Result<Decoded, SpeechError> {
        self.generate(samples, language).map_err(|fault| SpeechError::EngineFailed {
            engine: "open",
            reason: fault.to_string(),
        })
    }

    fn generate(
        &self,
        samples: &[i16],
        language: Language,
    ) -> Result<Decoded, Box<dyn std::error::Error + Send + Sync>> {
        let samples: Vec<f32> = self
            .upsampler
            .resample(samples)
            .into_iter()
            .map(|sample| f32::from(sample) / 32_768.0)
            .collect();
        let spoken = samples.len() / HOP + TAIL_COLUMNS;
        let columns = spoken.clamp(WINDOW_COLUMNS, WINDOW_COLUMNS_MAX);
        let mut features = self.spectrum.features(&samples, columns);
        let shape = [1, self.model.n_mels(), columns];
        let features = sys::StorageView::new(&shape, &mut features, sys::Device::CPU)?;
        let language = format!("<|{}|>", language.code());
        // Language, task and form are told, not guessed.
        let prompt = vec!["<|startoftranscript|>", &language, "<|transcribe|>", "<|notimestamps|>"];
        // Nobody speaks more than 8 tokens a second; a runaway repetition ends here. The binding
        // halves the number given.
        let tokens_max = 16 + 8 * samples.len() / RATE_HZ as usize;
        let options = sys::WhisperOptions {
            beam_size: BEAM,
            return_scores: true,
            return_no_speech_prob: true,
            max_length: 2 * (tokens_max + prompt.len()),
            ..Default::default()
        };
        let mut results = self.model.generate(&features, &[prompt], &options)?;
        let result = results.pop().ok_or("no result")?;
        let tokens = result.sequences.into_iter().next().ok_or("no sequence")?;
        let tokens = tokens.into_iter().filter(|token| !token.starts_with("<|")).collect();
        Ok(Decoded {
            text: self.tokenizer.decode(tokens)?.trim().to_owned(),
            score: result.scores.first().copied().unwrap_or(f32::MIN),
            no_speech: result.no_speech_prob,
        })
    }
}

impl Engine for Whisper {
    fn recognise(&self, samples: &[i16], hearing: &Hearing) -> Result<Recognised, SpeechError> {
        if is_quiet(samples) {
            return Ok(Recognised::nothing("open"));
        }
        let decoded = self.decode(samples, hearing.language)?;
        if hallucination::is_likely(&decoded) {
            return Ok(Recognised::nothing("open"));
        }
        let text = text::tidied(&decoded.text);
        if text.is_empty() {
            return Ok(Recognised::nothing("open"));
        }
        // The mean probability of a token. The probability of no speech is not in it: with a
        // window this short it was above 0.9 for clear digits.
        let confidence = decoded.score.exp().clamp(0.0, 1.0);
        let transcript = Transcript { text: text.into(), confidence, engine: "open" };
        Ok(Recognised { transcript, certain: true })
    }
}

/// Whether no tenth of a second reaches an effective value of 60 (55 dB below full scale): not
/// worth half a second of a core, and in silence the model invents.
fn is_quiet(samples: &[i16]) -> bool {
    const QUIET: f64 = 60.0;
    samples.chunks(WIRE_HZ as usize / 10).all(|tenth| {
        let power: f64 = tenth.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        power < QUIET * QUIET * tenth.len() as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_what_nobody_would_hear() {
        assert!(is_quiet(&[]) && is_quiet(&[0; 8_000]) && is_quiet(&[59; 8_000]));
        assert!(!is_quiet(&[&[0; 4_000][..], &[90; 800]].concat()));
    }

    #[test]
    fn missing_weights_are_named() {
        let fault = Whisper::load(Path::new("/nonexistent"), 1).err().unwrap();
        let path = "/nonexistent/whisper/model.bin".into();
        assert_eq!(fault, SpeechError::ModelMissing { path });
    }
}
