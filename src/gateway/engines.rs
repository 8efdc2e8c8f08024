//! The speech engines of the gateway, by its configuration.

use crate::config::Config;
use crate::signalling::Inbox;
use media::event::UtterancePart;
use speech::error::SpeechError;
use speech::recognizer::{NotHeardReason, Recognizer, RecognizerEvent, SpeechConfig};
use speech::synthesizer::program::Voice;
use speech::synthesizer::{Synthesizer, SynthesizerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchboard::event::Event;

/// Where `scripts/fetch-models` puts models, unless `TRUNKLINE_MODELS` says otherwise.
const MODELS: &str = ".cache/models";

/// Recogniser and synthesiser.
#[derive(Clone)]
pub struct Engines {
    /// Hears.
    pub recognizer: Arc<Recognizer>,
    /// Speaks.
    pub synthesizer: Arc<Synthesizer>,
}

impl Engines {
    /// Starts both; models load in the background. Results are told to `inbox`.
    ///
    /// # Errors
    /// When the prompt cache cannot be made.
    pub fn start(config: &Config, inbox: &Inbox) -> Result<Self, SpeechError> {
        let speech = SpeechConfig {
            models: config.speech.models.clone().unwrap_or_else(models),
            open: config.speech.open,
            grammar_threads: 1,
            open_threads: 1,
        };
        let inbox = inbox.clone();
        let recognizer = Recognizer::start(speech, Box::new(move |event| inbox.event(told(event))));
        let voices = synthesizer_config(
            &config.data.join("prompts"),
            config.speech.prompts.as_deref(),
            &config.speech.voice,
        );
        Ok(Self {
            recognizer: Arc::new(recognizer),
            synthesizer: Arc::new(Synthesizer::start(voices)?),
        })
    }

    /// Takes a piece of an utterance from a media thread; never waits.
    pub fn take(&self, part: UtterancePart) -> bool {
        match part {
            UtterancePart::Started { leg, order } => self.recognizer.started(leg, order),
            UtterancePart::Frame { leg, order, samples } => {
                self.recognizer.frame(leg, order, &samples);
            }
            UtterancePart::Ended { leg, order } => self.recognizer.ended(leg, order),
            UtterancePart::Dropped { leg, order } => self.recognizer.dropped(leg, order),
        }
        true
    }
}

fn told(event: RecognizerEvent) -> Event {
    match event {
        RecognizerEvent::Heard { leg, order, transcript, delay } => {
            metrics::histogram!("gw_recognition_seconds").record(delay.as_secs_f64());
            Event::Heard { leg, order, transcript }
        }
        RecognizerEvent::NotHeard { leg, order, reason } => {
            tracing::debug!(%leg, ?reason, "an utterance was not recognised");
            metrics::counter!("gw_recognition_failed_total", "reason" => word(reason)).increment(1);
            Event::NotHeard { leg, order }
        }
    }
}

fn word(reason: NotHeardReason) -> &'static str {
    match reason {
        NotHeardReason::Overloaded => "overloaded",
        NotHeardReason::NoEngine => "no_engine",
        NotHeardReason::EngineFailed => "engine_failed",
        NotHeardReason::NotListening => "not_listening",
        NotHeardReason::Dropped => "dropped",
        NotHeardReason::Stopping => "stopping",
    }
}

/// The folder of models.
pub fn models() -> PathBuf {
    std::env::var_os("TRUNKLINE_MODELS").map_or_else(|| PathBuf::from(MODELS), PathBuf::from)
}

fn synthesizer_config(cache: &Path, prompts: Option<&Path>, voice: &str) -> SynthesizerConfig {
    let music = prompts.map(|prompts| prompts.join("music")).filter(|music| music.is_dir());
    SynthesizerConfig {
        english: Some(Voice::Flite { voice: voice.to_owned() }),
        mandarin: Some(Voice::Espeak { voice: "cmn".to_owned() }),
        prompts: prompts.map_or_else(|| cache.to_path_buf(), Path::to_path_buf),
        music,
        cache: cache.to_path_buf(),
        cache_bytes_max: 1 << 30,
        memory_bytes_max: 64 << 20,
        programs_max: 2,
    }
}

/// A synthesiser for a telephone, with its cache in the system's folder for such.
///
/// # Errors
/// When the cache cannot be made.
pub fn synthesizer(voice: &str) -> Result<Synthesizer, SpeechError> {
    let cache = std::env::temp_dir().join("trunkline-telephone");
    Synthesizer::start(synthesizer_config(&cache, None, voice))
}
