//! `trunkline explain CALL`: why a call went where it did, whether the gateway runs or not.

use super::{Where, failed};
use crate::trace::ladder::wrap;
use domain::id::CallId;
use std::fmt::Write;
use std::process::ExitCode;
use store::decision_table::to_json;
use store::error::StoreError;
use store::ledger::StoreConfig;
use store::reader::Reader;
use switchboard::event::Decision;

/// Columns in all.
const WIDTH: usize = 80;

pub(super) fn run(place: &Where, call: &str, json: bool) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let path = StoreConfig::in_folder(&config.data).ledger_path();
    let decisions = match find(&path, call) {
        Ok(decisions) => decisions,
        Err(error) => return failed("the ledger cannot be read", &error),
    };
    if decisions.is_empty() {
        let why = format!(
            "no decision on it is in {}; calls are named as in `GET /v1/calls`, or by SIP's \
             Call-ID, and decisions are kept for 30 days",
            path.display()
        );
        return failed(&format!("nothing is known of call {call}"), &why);
    }
    match json {
        true => decisions.iter().for_each(|decision| println!("{}", as_json(decision))),
        false => print!("{}", as_text(&decisions)),
    }
    ExitCode::SUCCESS
}

/// A number is the gateway's own; where it has no such call, it may still be SIP's.
fn find(path: &std::path::Path, call: &str) -> Result<Vec<Decision>, StoreError> {
    let reader = Reader::open(path, 1)?;
    if let Ok(number) = call.parse() {
        let found = reader.decisions_on_call(None, CallId(number))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    reader.decisions_by_call_id(None, call)
}

fn as_json(decision: &Decision) -> serde_json::Value {
    let rejected: Vec<_> = decision.rejected.iter().map(to_json).collect();
    serde_json::json!({
        "at_ms": decision.at_wall_ms,
        "call": decision.call.map(|call| call.0),
        "sip_call_id": &*decision.sip_call_id,
        "source": &*decision.source,
        "from": &*decision.from,
        "to": &*decision.to,
        "chosen": &*decision.chosen,
        "status": decision.status,
        "rejected": rejected,
    })
}

/// What was asked, what was chosen, and one paragraph for each alternative.
fn as_text(decisions: &[Decision]) -> String {
    let mut out = String::new();
    for decision in decisions {
        let from = match &*decision.from {
            "" => "somebody without a number",
            from => from,
        };
        let asked = format!("{} asked for {}, from {from}", decision.source, decision.to);
        paragraph(&mut out, &time(decision.at_wall_ms), &asked);
        let chosen = match decision.status {
            0 => format!("chosen: {}", decision.chosen),
            _ => decision.chosen.to_string(),
        };
        paragraph(&mut out, "", &chosen);
        for rejected in &decision.rejected {
            let line = format!("not {}: {}: {}", rejected.candidate, rejected.test, rejected.why);
            paragraph(&mut out, "", &line);
        }
    }
    out
}

/// Columns before the text.
const INDENT: usize = 26;

/// Text beside a head, broken into lines.
pub(super) fn paragraph(out: &mut String, head: &str, text: &str) {
    for (index, line) in wrap(text, WIDTH - INDENT - 2).into_iter().enumerate() {
        let head = if index == 0 { head } else { "" };
        let hanging = if index == 0 { "" } else { "  " };
        let _ = writeln!(out, "{head:INDENT$}{hanging}{line}");
    }
}

fn time(wall_ms: u64) -> String {
    let at = i64::try_from(wall_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| wall_ms.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;
    use switchboard::event::Rejected;

    #[test]
    fn decisions_are_told_within_80_columns() {
        let decision = Decision {
            id: 1,
            call: Some(CallId(7)),
            sip_call_id: "a@b".into(),
            tenant: TenantId::default(),
            at_wall_ms: 1_800_000_000_123,
            source: "trunk pbx".into(),
            from: "+4930123456".into(),
            to: "0049891234".into(),
            chosen: "trunk backup".into(),
            status: 0,
            rejected: vec![Rejected {
                candidate: "trunk carrier".into(),
                test: "answer".into(),
                why: "failed, by the far end (SIP 503) after it had been asked to ring".into(),
            }],
        };
        let expected = "\
2027-01-15T08:00:00.123Z  trunk pbx asked for 0049891234, from +4930123456
                          chosen: trunk backup
                          not trunk carrier: answer: failed, by the far end
                            (SIP 503) after it had been asked to ring
";
        assert_eq!(as_text(std::slice::from_ref(&decision)), expected);
        assert!(expected.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(as_json(&decision)["rejected"][0]["test"], "answer");
    }
}
