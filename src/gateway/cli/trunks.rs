//! `trunkline trunks`: how the trunks of a gateway at work stand.

use super::at_work::AtWork;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use reqwest::Method;
use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

const WIDTH: u16 = 80;

pub(super) fn run(gateway: &AtWork, json: bool) -> ExitCode {
    match gateway.ask(Method::GET, "/trunks") {
        Ok(trunks) => {
            match json {
                true => println!("{trunks}"),
                false => print!("{}", as_text(&trunks)),
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

const HEADS: [&str; 10] =
    ["trunk", "state", "reg.", "calls/s", "channels", "ASR", "5xx", "PDD", "loss", "jitter"];

/// A table, and below it why something is not up.
fn as_text(trunks: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH).set_header(HEADS);
    let mut reasons = String::new();
    for trunk in trunks["items"].as_array().into_iter().flatten() {
        let name = trunk["name"].as_str().unwrap_or("");
        table.add_row(row(name, trunk));
        for key in ["why", "registration_why"] {
            if let Some(why) = trunk[key].as_str() {
                let line = format!("{name}: {why}");
                for part in crate::trace::ladder::wrap(&line, usize::from(WIDTH)) {
                    // Writing to memory cannot fail.
                    let _ = writeln!(reasons, "{part}");
                }
            }
        }
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    let mut text: String =
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect::<Vec<_>>().concat();
    if !reasons.is_empty() {
        text += "\n";
        text += &reasons;
    }
    text
}

fn row(name: &str, trunk: &Value) -> [String; 10] {
    let text = |key: &str| trunk[key].as_str().unwrap_or("-").to_owned();
    let used = |used: &str, most: &str| {
        format!("{}/{}", trunk[used].as_u64().unwrap_or(0), trunk[most].as_u64().unwrap_or(0))
    };
    let number = |key: &str, scale: f64, unit: &str| match trunk[key].as_f64() {
        Some(value) => format!("{:.0}{unit}", value * scale),
        None => "-".to_owned(),
    };
    let registration = match trunk["registration"].as_str() {
        Some("registered") => "yes",
        Some(_) => "no",
        None => "-",
    };
    [
        name.to_owned(),
        text("state"),
        registration.to_owned(),
        used("calls_per_second", "calls_per_second_max"),
        used("channels", "channels_max"),
        number("answer_ratio", 100.0, "%"),
        number("failure_ratio", 100.0, "%"),
        number("post_dial_delay_ms", 1.0, " ms"),
        number("loss_ratio", 100.0, "%"),
        number("jitter_ms", 1.0, " ms"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trunks_are_shown_within_80_columns() {
        let trunks = json!({ "items": [
            {
                "name": "acme", "state": "up", "why": null, "registration": "registered",
                "calls_per_second": 3, "calls_per_second_max": 10, "channels": 41,
                "channels_max": 120, "answer_ratio": 0.617, "failure_ratio": 0.0,
                "post_dial_delay_ms": 1830, "loss_ratio": 0.004, "jitter_ms": 4.2,
            },
            {
                "name": "backup", "state": "down", "why": "no answer to 3 probes",
                "registration": null, "calls_per_second": 0, "calls_per_second_max": 100_000,
                "channels": 0, "channels_max": 1_000_000,
            },
        ]});
        let text = as_text(&trunks);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            text.contains("1830 ms") && text.contains("62%") && text.contains("41/120"),
            "{text}"
        );
        assert!(text.ends_with("\nbackup: no answer to 3 probes\n"), "{text}");
    }
}
