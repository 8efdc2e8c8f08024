//! What can go wrong with engines and prompts.

use std::path::PathBuf;

/// Why an engine cannot be used or a prompt cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpeechError {
    /// A file of an engine or its model is not there; `scripts/fetch-models` fetches all of them.
    #[error("{} is missing: run scripts/fetch-models, or see docs/speech.md", path.display())]
    ModelMissing {
        /// Which file.
        path: PathBuf,
    },
    /// The configuration says that this engine is not to be loaded.
    #[error("the {engine} engine is switched off in the configuration")]
    SwitchedOff {
        /// `grammar` or `open`.
        engine: &'static str,
    },
    /// An engine or its model is there and cannot be loaded.
    #[error("{} cannot be loaded: {reason}", path.display())]
    ModelBroken {
        /// Which file or folder.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The engine failed on an utterance.
    #[error("the {engine} engine failed: {reason}")]
    EngineFailed {
        /// `grammar` or `open`.
        engine: &'static str,
        /// What it said.
        reason: String,
    },
    /// The synthesiser's program is not installed.
    #[error("{program} is not installed (Debian and Ubuntu: apt install {package})")]
    SynthesizerMissing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The synthesiser's program failed or took too long.
    #[error("{program} failed: {reason}")]
    SynthesizerFailed {
        /// The program.
        program: &'static str,
        /// How.
        reason: String,
    },
    /// No synthesiser is configured for the language.
    #[error("no synthesiser is configured for the language {language}")]
    NoVoice {
        /// The language's code.
        language: &'static str,
    },
    /// The text has more characters than allowed, or none that can be spoken.
    #[error("a text of {characters} characters cannot be spoken (1 to {most} can)")]
    TextLength {
        /// How many it has.
        characters: usize,
        /// How many it may have.
        most: usize,
    },
    /// The name of a recording leaves its folder, or is no plain relative path.
    #[error("{file:?} is no file name inside the folder of prompts")]
    FileName {
        /// The name.
        file: String,
    },
    /// A recording cannot be read or is not a usable WAV file.
    #[error("{}: {reason}", path.display())]
    Recording {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// More work waits than may; try later.
    #[error("too much work is waiting for the speech engines")]
    Overloaded,
}
