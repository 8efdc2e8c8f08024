//! Draws the trace of a call as a ladder, 80 columns wide.
//!
//! ```text
//!           Trunkline           caller               agent anna
//!    0.000  │ INVITE sip:4000@h    │                      │
//!           │◄─────────────────────│                      │
//!    0.002  │ * flow hotline: number 4000 was dialled
//! ```

use super::reader::{CallTrace, Entry};
use std::fmt::Write;

/// Columns of time before the first line.
const TIME: usize = 9;
/// Columns in all.
const WIDTH: usize = 80;

/// Prints the ladder.
pub fn print(trace: &CallTrace) -> String {
    let mut out = String::new();
    let Some(start) = trace.entries.first().map(wall_ms) else {
        return "nothing is known of this call\n".into();
    };
    // Ourselves stand on the left; each leg has its own line.
    let lines = trace.legs.len() + 1;
    let gap = ((WIDTH - TIME - 2) / lines.max(2)).clamp(14, 30);
    let column = |line: usize| TIME + 1 + line * gap;
    let mut head = vec![' '; column(trace.legs.len()) + 16];
    put(&mut head, column(0), "Trunkline");
    for (index, who) in trace.legs.iter().enumerate() {
        put(&mut head, column(index + 1).saturating_sub(who.len() / 2), who);
    }
    push_line(&mut out, &head);
    for entry in &trace.entries {
        let seconds = wall_ms(entry).saturating_sub(start) as f64 / 1000.0;
        match entry {
            Entry::Message { leg, sent, text, .. } => {
                let right = column(leg + 1);
                let mut label = bars(lines, &column);
                put(&mut label, 0, &format!("{seconds:8.3}"));
                put(&mut label, column(*leg) + 2, &summary(text, gap * (leg + 1) - 3, *leg, gap));
                push_line(&mut out, &label);
                let mut arrow = bars(lines, &column);
                for cell in arrow.iter_mut().take(right).skip(column(0) + 1) {
                    *cell = '─';
                }
                match sent {
                    true => arrow[right - 1] = '►',
                    false => arrow[column(0) + 1] = '◄',
                }
                push_line(&mut out, &arrow);
            }
            Entry::Note { what, why, .. } => {
                let note = format!("* {what}: {why}");
                for (index, piece) in wrap(&note, WIDTH - column(0) - 3).iter().enumerate() {
                    let mut line = vec![' '; WIDTH];
                    put(&mut line, column(0), "│");
                    if index == 0 {
                        put(&mut line, 0, &format!("{seconds:8.3}"));
                    }
                    put(&mut line, column(0) + 2 + usize::from(index > 0) * 2, piece);
                    push_line(&mut out, &line);
                }
            }
        }
    }
    out
}

fn wall_ms(entry: &Entry) -> u64 {
    match entry {
        Entry::Message { wall_ms, .. } | Entry::Note { wall_ms, .. } => *wall_ms,
    }
}

/// The first line of a message, shortened, with what its CSeq says for a response.
fn summary(text: &str, room: usize, _leg: usize, gap: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    let short = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => {
            let method = text
                .lines()
                .find_map(|line| line.strip_prefix("CSeq:"))
                .and_then(|cseq| cseq.split_whitespace().nth(1))
                .unwrap_or_default();
            format!("{status} ({method})")
        }
        None => first.trim_end_matches(" SIP/2.0").to_owned(),
    };
    short.chars().take(room.min(gap - 3)).collect()
}

fn bars(lines: usize, column: &impl Fn(usize) -> usize) -> Vec<char> {
    let mut cells = vec![' '; column(lines - 1) + 1];
    for line in 0..lines {
        cells[column(line)] = '│';
    }
    cells
}

fn put(cells: &mut Vec<char>, at: usize, text: &str) {
    for (index, character) in text.chars().enumerate() {
        if cells.len() <= at + index {
            cells.resize(at + index + 1, ' ');
        }
        cells[at + index] = character;
    }
}

fn push_line(out: &mut String, cells: &[char]) {
    let line: String = cells.iter().collect();
    let _ = writeln!(out, "{}", line.trim_end());
}

/// Breaks a text into lines of `width` letters; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}
