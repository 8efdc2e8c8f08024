//! What is said to a caller and what is expected back, in words that flow, engines and media share.

use std::fmt;
use std::sync::Arc;

/// A language the program speaks and understands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Language {
    /// English (`en`).
    #[default]
    English,
    /// Mandarin Chinese (`zh`).
    Mandarin,
}

impl Language {
    /// The code used in files and API: `en`, `zh`.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Mandarin => "zh",
        }
    }

    /// Reads the code; `None` for a language we do not have.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Self::English),
            "zh" => Some(Self::Mandarin),
            _ => None,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One piece of sound for a caller. A turn of speaking is a list of them, played without a gap.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Prompt {
    /// Text to be spoken by the synthesiser; cached by language and text.
    Text {
        /// The language of the text.
        language: Language,
        /// What is said; numbers and dates are already written as words.
        text: Arc<str>,
    },
    /// A recording: a WAV file named relative to `config/prompts`.
    Recorded {
        /// The file's name, without a leading slash or `..`.
        file: Arc<str>,
    },
    /// The music of a waiting caller.
    Music,
}

impl Prompt {
    /// A spoken text.
    pub fn text(language: Language, text: &str) -> Self {
        Self::Text { language, text: text.into() }
    }
}

/// What a listener should expect to hear; the engines pick grammar or open recognition by it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expect {
    /// Anything: the open recogniser, with these phrases as a fast first guess.
    Open {
        /// Typical sentences, for the grammar that runs beside the open engine.
        phrases: Arc<[Arc<str>]>,
    },
    /// Yes or no.
    YesNo,
    /// Digits, one by one.
    Digits,
}

/// How to hear a reply: given to the recogniser with each order to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hearing {
    /// The language expected.
    pub language: Language,
    /// What is expected.
    pub expect: Expect,
}

/// What a classifier made of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Understanding {
    /// The best intent; `None` when nothing fits (out of scope).
    pub intent: Option<Arc<str>>,
    /// Probability of the best intent, 0–1; of out-of-scope when `intent` is `None`.
    pub confidence: f32,
    /// The second best and its probability.
    pub runner_up: Option<(Arc<str>, f32)>,
    /// Named values found in the text, such as an order number (`order_number` → `4711`).
    pub slots: Vec<(Arc<str>, Arc<str>)>,
}

/// What a recogniser heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// The words; empty when nothing was understood.
    pub text: Arc<str>,
    /// How sure the engine is, 0–1.
    pub confidence: f32,
    /// Which engine: `grammar`, `open`.
    pub engine: &'static str,
}
