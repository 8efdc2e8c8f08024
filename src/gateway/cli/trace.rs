//! `trunkline trace CALL`: the ladder of a call, whether the gateway runs or not.

use super::{Where, failed, trace_folder};
use crate::trace::reader::{CallTrace, Entry};
use crate::trace::{ladder, pcap, reader};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a call's trace is shown.
pub(super) struct Shown {
    pub(super) full: bool,
    pub(super) json: bool,
    pub(super) pcap: Option<PathBuf>,
}

pub(super) fn run(place: &Where, call: u64, shown: &Shown) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let folder = trace_folder(&config.data);
    let trace = match reader::read(&folder, call) {
        Ok(trace) => trace,
        Err(error) => return failed("the trace cannot be read", &error),
    };
    if trace.entries.is_empty() {
        let why = format!(
            "it is not in {}; calls are named as in `GET /v1/calls` and in the log, and old ones \
             go when [trace] size_mib is reached",
            folder.display()
        );
        return failed(&format!("nothing is known of call {call}"), &why);
    }
    if let Some(path) = &shown.pcap {
        return export(&trace, path);
    }
    match (shown.json, shown.full) {
        (true, _) => print_json(&trace),
        (false, full) => {
            print!("{}", ladder::print(&trace));
            if full {
                print_messages(&trace);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Writes the messages as a capture file.
fn export(trace: &CallTrace, path: &Path) -> ExitCode {
    let written = File::create_new(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        let count = pcap::write(trace, &mut file)?;
        file.flush()?;
        Ok(count)
    });
    match written {
        Ok(count) => {
            println!("{count} messages in {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&format!("{} cannot be written", path.display()), &error),
    }
}

fn print_json(trace: &CallTrace) {
    for entry in &trace.entries {
        let line = match entry {
            Entry::Message { wall_ms, leg, sent, peer, text, .. } => serde_json::json!({
                "at_ms": wall_ms, "leg": trace.legs[*leg], "sent": sent, "peer": peer,
                "message": text,
            }),
            Entry::Note { wall_ms, what, why } => {
                serde_json::json!({ "at_ms": wall_ms, "decided": what, "why": why })
            }
        };
        println!("{line}");
    }
}

fn print_messages(trace: &CallTrace) {
    for entry in &trace.entries {
        if let Entry::Message { leg, sent, peer, text, .. } = entry {
            let way = if *sent { "sent to" } else { "received from" };
            println!("\n--- {way} {} ({peer})\n{}", trace.legs[*leg], text.replace('\r', ""));
        }
    }
}
