//! What a trial of a trunk is made of: steps, what came of each, and the settings that follow.

use std::collections::BTreeMap;

/// One thing that is tried, in the order of the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Step {
    /// The certificate, and the handshake.
    Tls,
    /// REGISTER, and taking it back.
    Registration,
    /// OPTIONS to the trunk itself.
    Options,
    /// The same over TCP, after silence over UDP.
    OverTcp,
    /// A number as `+4930…`.
    NumberPlus,
    /// The same as `004930…`.
    NumberZeros,
    /// The same as `030…`.
    NumberNational,
    /// INVITE, 200, ACK.
    Answer,
    /// Sound before the answer.
    EarlyMedia,
    /// Provisional responses that are acknowledged.
    Reliable,
    /// The session interval.
    SessionTimer,
    /// Putting the other end on hold.
    Hold,
    /// Taking it back.
    Resume,
    /// The session as it is, again.
    Refresh,
    /// Keys towards the trunk.
    DigitsSent,
    /// Keys from it.
    DigitsHeard,
    /// Asking the other end to call somebody else.
    Refer,
    /// The end of the call.
    HangUp,
}

impl Step {
    /// Its name in the report and in JSON.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Registration => "registration",
            Self::Options => "options",
            Self::OverTcp => "options-over-tcp",
            Self::NumberPlus => "number-plus",
            Self::NumberZeros => "number-00",
            Self::NumberNational => "number-national",
            Self::Answer => "answer",
            Self::EarlyMedia => "early-media",
            Self::Reliable => "prack",
            Self::SessionTimer => "session-timer",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Refresh => "session-refresh",
            Self::DigitsSent => "digits-sent",
            Self::DigitsHeard => "digits-heard",
            Self::Refer => "refer",
            Self::HangUp => "hang-up",
        }
    }

    /// Where what is expected is written.
    pub fn source(self) -> &'static str {
        match self {
            Self::Tls => "RFC 5922 §7",
            Self::Registration => "RFC 3261 §10.2",
            Self::Options => "RFC 3261 §11",
            Self::OverTcp => "RFC 3261 §18.1.1",
            Self::NumberPlus | Self::NumberZeros | Self::NumberNational => "RFC 3261 §11.2",
            Self::Answer => "RFC 3261 §13",
            Self::EarlyMedia => "RFC 3960 §3",
            Self::Reliable => "RFC 3262 §3",
            Self::SessionTimer => "RFC 4028 §7",
            Self::Hold | Self::Resume => "RFC 3264 §8.4",
            Self::Refresh => "RFC 3261 §14",
            Self::DigitsSent | Self::DigitsHeard => "RFC 4733 §2",
            Self::Refer => "RFC 3515 §2.4",
            Self::HangUp => "RFC 3261 §15",
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// As the RFC has it.
    Passed,
    /// Not so.
    Failed,
    /// The trunk says, or shows, that it has no such thing.
    NotSupported,
    /// Nothing can be said.
    NotTried,
}

impl Outcome {
    /// Its words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotSupported => "not supported",
            Self::NotTried => "not tried",
        }
    }
}

/// A step with what came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Which.
    pub step: Step,
    /// How it went.
    pub outcome: Outcome,
    /// What was seen, in words.
    pub seen: String,
}

/// Settings for `[trunks.NAME]`: by key the value, as TOML has it, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings(pub BTreeMap<&'static str, (String, &'static str)>);

impl Settings {
    /// Suggests a setting.
    pub fn suggest(&mut self, key: &'static str, value: impl Into<String>, why: &'static str) {
        self.0.insert(key, (value.into(), why));
    }

    /// As a piece of `gateway.toml`.
    pub fn toml(&self, trunk: &str) -> String {
        let mut text = format!("[trunks.{trunk}]\n");
        for (key, (value, why)) in &self.0 {
            text += &format!("# {why}\n{key} = {value}\n");
        }
        text
    }
}
