//! What the demo shows: one line per thing that happens, as it happens.

use crate::telephone::Happening;
use domain::id::CallId;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};
use switchboard::event::Live;
use tokio::sync::{broadcast, mpsc};

/// The stage: where lines are printed and live events are waited for.
pub struct Stage {
    start: Instant,
    live: broadcast::Receiver<Live>,
    names: BTreeMap<CallId, usize>,
    /// Not printed (campaign calls are shown by the bar).
    quiet: bool,
}

impl Stage {
    /// Shows what `live` tells.
    pub fn new(live: broadcast::Receiver<Live>) -> Self {
        Self { start: Instant::now(), live, names: BTreeMap::new(), quiet: false }
    }

    /// Whether single calls are left out of what is shown.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Prints a heading.
    pub fn heading(&self, text: &str) {
        self.print(&format!("\n== {text}"));
    }

    /// Prints a line of the demo's own.
    pub fn tell(&self, text: &str) {
        self.line("", text);
    }

    /// Prints what a telephone does.
    pub fn phone(&self, who: &str, text: &str) {
        self.line(&format!("[{who}]"), text);
    }

    fn line(&self, who: &str, text: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        let space = if who.is_empty() { "" } else { " " };
        self.print(&format!("{seconds:7.2}  {who}{space}{text}"));
    }

    fn print(&self, text: &str) {
        // Whoever reads us may have gone.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Waits for a live event that `wanted` makes something of, showing all on the way; `None` when
    /// it does not come in time.
    pub async fn wait<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&Live) -> Option<T>,
    ) -> Option<T> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            match tokio::time::timeout_at(deadline, self.live.recv()).await {
                Ok(Ok(live)) => {
                    self.show(&live);
                    if let Some(found) = wanted(&live) {
                        return Some(found);
                    }
                }
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => (),
                Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => return None,
            }
        }
    }

    fn show(&mut self, live: &Live) {
        if self.quiet {
            return;
        }
        let count = self.names.len();
        let mut name =
            |call: &CallId| format!("[call {}]", self.names.entry(*call).or_insert(count + 1));
        let (who, text) = match live {
            Live::CallStarted { call, from, to, .. } => {
                let from = if from.is_empty() { "a hidden number" } else { from };
                (name(call), format!("{from} → {to}"))
            }
            Live::Heard { call, transcript } => (
                name(call),
                format!(
                    "heard “{}” ({} recogniser, confidence {:.2})",
                    transcript.text, transcript.engine, transcript.confidence
                ),
            ),
            Live::Key { call, digit } => (name(call), format!("pressed {digit}")),
            Live::Understood { call, understanding } => {
                let intent = understanding.intent.as_deref().unwrap_or("nothing that fits");
                (
                    name(call),
                    format!("intent {intent} (confidence {:.2})", understanding.confidence),
                )
            }
            Live::Said { call, text } => (name(call), format!("says “{}”", shortened(text))),
            Live::Queued { call, queue, position, .. } => {
                (name(call), format!("waits in queue {queue}, {position} before"))
            }
            Live::QueueRefused { call, queue, reason } => {
                (name(call), format!("queue {queue} refuses: {reason}"))
            }
            Live::AgentRung { call, agent } => (name(call), format!("rings agent {agent}")),
            Live::Bridged { call, agent } => (name(call), format!("joined with agent {agent}")),
            Live::Through { call, to, .. } => (name(call), format!("led through to {to}")),
            Live::CallEnded { call, cause, answered_ms, .. } => {
                (name(call), format!("over after {:.1} s: {cause}", *answered_ms as f64 / 1_000.0))
            }
            Live::AgentChanged { agent, state } => {
                (format!("[{agent}]"), format!("is now {}", state.as_str()))
            }
            Live::CallbackChanged(promise) => (
                "[callback]".to_owned(),
                format!("to {} is {}", promise.number, promise.state.as_str()),
            ),
            Live::CampaignChanged { campaign, state, .. } => {
                ("[campaign]".to_owned(), format!("{campaign} is {}", state.as_str()))
            }
            Live::AttemptClosed { .. } | Live::TrunkChanged { .. } => return,
        };
        self.line(&who, &text);
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(90) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl Stage {
    /// Shows what happens while something else is waited for.
    pub async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                live = self.live.recv() => match live {
                    Ok(live) => self.show(&live),
                    Err(broadcast::error::RecvError::Lagged(_)) => (),
                    Err(broadcast::error::RecvError::Closed) => return other.await,
                },
            }
        }
    }

    /// Shows what happens for so long.
    pub async fn pause(&mut self, seconds: f64) {
        self.meanwhile(tokio::time::sleep(Duration::from_secs_f64(seconds))).await;
    }
}

/// Waits until a telephone tells of something wanted; `false` when it does not in time.
pub async fn until(
    happenings: &mut mpsc::UnboundedReceiver<Happening>,
    within: Duration,
    wanted: impl Fn(&Happening) -> bool,
) -> bool {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        match tokio::time::timeout_at(deadline, happenings.recv()).await {
            Ok(Some(happening)) if wanted(&happening) => return true,
            Ok(Some(_)) => (),
            Ok(None) | Err(_) => return false,
        }
    }
}
