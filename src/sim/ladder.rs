//! A run printed as a call-flow ladder: who sent what to whom, and what was decided in between.

use crate::house::{AGENTS, CARRIER, FAR, FAR_NAMES, GATEWAY, RUDE, desk};
use crate::network::Datagram;
use std::collections::VecDeque;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// As many lines as are kept: the last ones.
const LINES_MAX: usize = 7000;
const LANE: usize = 18;

enum Line {
    Message(Datagram),
    Note(String),
}

/// The last lines of a run.
#[derive(Default)]
pub struct Ladder {
    lines: VecDeque<(Duration, Line)>,
    dropped: usize,
}

impl Ladder {
    /// Something was sent, `at` counted from the start.
    pub fn message(&mut self, at: Duration, datagram: &Datagram) {
        self.push(at, Line::Message(datagram.clone()));
    }

    /// Something was decided or done.
    pub fn note(&mut self, at: Duration, note: String) {
        self.push(at, Line::Note(note));
    }

    fn push(&mut self, at: Duration, line: Line) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back((at, line));
    }

    /// The ladder as text.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let lanes = self.lanes();
        if self.dropped > 0 {
            let _ = writeln!(out, "({} lines before these are not shown)", self.dropped);
        }
        let _ = write!(out, "{:>9}", "s");
        for lane in &lanes {
            let _ = write!(out, "{:^LANE$}", name(*lane));
        }
        let header = out.trim_end().len();
        out.truncate(header);
        out.push('\n');
        for (at, line) in &self.lines {
            let _ = write!(out, "{:>9.3}", at.as_secs_f64());
            match line {
                Line::Message(datagram) => out.push_str(rungs(&lanes, datagram).trim_end()),
                Line::Note(note) => {
                    let _ = write!(out, "    · {note}");
                }
            }
            out.push('\n');
        }
        out
    }

    /// Those who take part, in their fixed order.
    fn lanes(&self) -> Vec<SocketAddr> {
        let mut lanes = vec![RUDE, CARRIER, GATEWAY];
        lanes.extend((0..AGENTS.len()).map(desk));
        lanes.extend(FAR);
        let takes_part = |lane: &SocketAddr| {
            self.lines.iter().any(
                |(_, line)| matches!(line, Line::Message(it) if it.from == *lane || it.to == *lane),
            )
        };
        lanes.retain(takes_part);
        lanes
    }
}

fn name(lane: SocketAddr) -> &'static str {
    match lane {
        GATEWAY => "gateway",
        CARRIER => "carrier",
        RUDE => "rude",
        _ => match FAR.iter().position(|far| *far == lane) {
            Some(index) => FAR_NAMES[index],
            None => (0..AGENTS.len()).find(|it| desk(*it) == lane).map_or("?", |it| AGENTS[it]),
        },
    }
}

/// One message as an arrow between two lanes.
fn rungs(lanes: &[SocketAddr], datagram: &Datagram) -> String {
    let place = |address| lanes.iter().position(|lane| *lane == address).unwrap_or(0);
    let (from, to) = (place(datagram.from), place(datagram.to));
    let (left, right) = (from.min(to), from.max(to));
    let column = |lane: usize| lane * LANE + LANE / 2;
    let width = column(right) - column(left) - 1;
    let label: String = label(&datagram.message).chars().take(width.saturating_sub(4)).collect();
    let line = "─".repeat(width.saturating_sub(label.chars().count() + 3));
    let arrow = if from < to {
        format!("─{label}{line}─►")
    } else {
        format!("◄─{label}{line}─")
    };
    let mut out = String::new();
    for lane in 0..lanes.len() {
        if lane == left {
            out.push_str(&" ".repeat(column(lane) - out.chars().count()));
            out.push('│');
            out.push_str(&arrow);
        } else if lane <= left || lane >= right {
            out.push_str(&" ".repeat(column(lane).saturating_sub(out.chars().count())));
            out.push('│');
        }
    }
    out
}

/// `INVITE 4000`, `200 INVITE`.
fn label(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let first = text.lines().next().unwrap_or_default();
    let mut words = first.split(' ');
    match (words.next(), words.next()) {
        (Some("SIP/2.0"), Some(status)) => {
            let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq:"));
            let method = cseq.and_then(|cseq| cseq.split_whitespace().nth(1));
            format!("{status} {}", method.unwrap_or("?"))
        }
        (Some(method @ "INVITE"), Some(uri)) => {
            let user = uri.trim_start_matches("sip:").split('@').next().unwrap_or_default();
            format!("{method} {user}")
        }
        (Some(method), Some(_)) if method.chars().all(|it| it.is_ascii_uppercase()) => {
            method.to_owned()
        }
        _ => "(garbage)".to_owned(),
    }
}
