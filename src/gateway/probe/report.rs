//! The report of a trial, for people within 80 columns and as JSON.

use super::finding::{Finding, Settings};
use crate::trace::ladder::wrap;
use serde_json::{Value, json};
use std::fmt::Write;

const WIDTH: usize = 80;
/// Columns of step, outcome and RFC before what was seen.
const INDENT: usize = 51;

/// One step, as a line or more.
pub fn line(finding: &Finding) -> String {
    let mut text = String::new();
    let (step, outcome) = (finding.step, finding.outcome);
    for (index, seen) in wrap(&finding.seen, WIDTH - INDENT).into_iter().enumerate() {
        let head = match index {
            0 => format!("{:<17}{:<15}{}", step.title(), outcome.words(), step.source()),
            _ => String::new(),
        };
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{head:INDENT$}{seen}");
    }
    text
}

/// What follows the lines.
pub fn end(trunk: &str, findings: &[Finding], settings: &Settings, sound: bool) -> String {
    let count = |words| findings.iter().filter(|it| it.outcome.words() == words).count();
    let mut text = format!(
        "\n{} passed, {} failed, {} not supported, {} not tried.\n",
        count("passed"),
        count("failed"),
        count("not supported"),
        count("not tried"),
    );
    if !sound {
        text += "Calls through this trunk will not work as it is.\n";
    }
    match settings.0.is_empty() {
        true => text += "The settings as they are suit it.\n",
        false => {
            text += "\nThese settings suit it better:\n\n";
            text += &settings.toml(trunk);
        }
    }
    text
}

/// One step as JSON.
pub fn json_line(finding: &Finding) -> Value {
    json!({
        "step": finding.step.title(),
        "outcome": finding.outcome.words(),
        "source": finding.step.source(),
        "seen": finding.seen,
    })
}

/// What follows the steps, as JSON.
pub fn json_end(trunk: &str, settings: &Settings, sound: bool) -> Value {
    let toml = settings.toml(trunk);
    let settings: serde_json::Map<String, Value> = settings
        .0
        .iter()
        .map(|(key, (value, _))| ((*key).to_owned(), value.as_str().into()))
        .collect();
    json!({ "trunk": trunk, "sound": sound, "settings": settings, "toml": toml })
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Outcome, Step};
    use super::*;

    #[test]
    fn a_report_fits_80_columns() {
        let seen = "200 OK; it allows INVITE ACK BYE CANCEL OPTIONS PRACK UPDATE; it is other/1.0";
        let finding =
            Finding { step: Step::Options, outcome: Outcome::Passed, seen: seen.to_owned() };
        let expected = "\
options          passed         RFC 3261 §11       200 OK; it allows INVITE ACK
                                                   BYE CANCEL OPTIONS PRACK
                                                   UPDATE; it is other/1.0
";
        assert_eq!(line(&finding), expected);
        assert!(expected.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(json_line(&finding)["outcome"], "passed");
    }

    #[test]
    fn suggested_settings_are_a_piece_of_configuration() {
        let mut settings = Settings::default();
        let findings = [];
        let text = end("acme", &findings, &settings, false);
        assert!(text.contains("will not work") && text.contains("suit it."), "{text}");
        settings.suggest("session_interval_s", "0", "it knows no session timers");
        let text = end("acme", &findings, &settings, true);
        let toml = "[trunks.acme]\n# it knows no session timers\nsession_interval_s = 0\n";
        assert!(text.ends_with(toml), "{text}");
        let json = json_end("acme", &settings, true);
        assert_eq!(
            (&json["toml"], &json["settings"]["session_interval_s"]),
            (&toml.into(), &"0".into())
        );
    }
}
