//! Reads the trace of one call from the files, whether the gateway runs or not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One thing that happened in a call, in the order of time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A message of the leg with this index into `CallTrace::legs`.
    Message {
        /// Unix milliseconds.
        wall_ms: u64,
        /// Which leg.
        leg: usize,
        /// Whether we sent it.
        sent: bool,
        /// `UDP 127.0.0.1:5080`.
        peer: String,
        /// Our address and the peer's, if both were written down.
        ends: Option<(SocketAddr, SocketAddr)>,
        /// The whole message.
        text: String,
    },
    /// A decision.
    Note {
        /// Unix milliseconds.
        wall_ms: u64,
        /// What was decided.
        what: String,
        /// On what ground.
        why: String,
    },
}

/// Everything known of one call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallTrace {
    /// Who is at the other end of each leg, in the order of their appearance.
    pub legs: Vec<String>,
    /// What happened.
    pub entries: Vec<Entry>,
}

/// The files of `folder`, the oldest first.
pub fn segments(folder: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let number = path.file_name()?.to_str()?.strip_suffix(".trace")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    found.sort();
    found
}

/// Reads what the files hold of `call`. A first pass finds its legs (a leg's first message is older
/// than the call it makes), a second one their messages.
///
/// # Errors
/// The system's, when a file cannot be read.
pub fn read(folder: &Path, call: u64) -> std::io::Result<CallTrace> {
    let call = call.to_string();
    let mut legs: BTreeMap<String, usize> = BTreeMap::new();
    let mut trace = CallTrace::default();
    each_line(folder, |fields| {
        if let [_, "L", of, leg, who] = fields
            && *of == call
            && !legs.contains_key(*leg)
        {
            legs.insert((*leg).to_owned(), trace.legs.len());
            trace.legs.push((*who).to_owned());
        }
    })?;
    each_line(folder, |fields| {
        let Some(wall_ms) = fields.first().and_then(|field| field.parse().ok()) else { return };
        match fields {
            [_, kind @ ("S" | "R"), leg, transport, addresses, text] => {
                if let Some(leg) = legs.get(*leg) {
                    let (peer, local) = addresses.split_once(' ').unwrap_or((addresses, ""));
                    let ends = local.parse().ok().zip(peer.parse().ok());
                    trace.entries.push(Entry::Message {
                        wall_ms,
                        leg: *leg,
                        sent: *kind == "S",
                        peer: format!("{transport} {peer}"),
                        ends,
                        text: unescape(text),
                    });
                }
            }
            [_, "N", of, what, why] if *of == call => {
                let (what, why) = (unescape(what), unescape(why));
                trace.entries.push(Entry::Note { wall_ms, what, why });
            }
            _ => (),
        }
    })?;
    Ok(trace)
}

fn each_line(folder: &Path, mut visit: impl FnMut(&[&str])) -> std::io::Result<()> {
    for (_, path) in segments(folder) {
        let mut reader = BufReader::new(std::fs::File::open(path)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let fields: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
            visit(&fields);
            line.clear();
        }
    }
    Ok(())
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('r') => plain.push('\r'),
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some(other) => plain.push(other),
                None => (),
            },
            other => plain.push(other),
        }
    }
    plain
}
