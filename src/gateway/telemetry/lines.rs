//! Lines of the log on their way to standard error: written by a thread of their own behind a bounded
//! queue, so that whoever reads the log slowly, or not at all, never holds up a call.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; further ones are dropped, and their number is told once there is room.
const WAITING_MAX: usize = 8_192;
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Everything before this is written.
    Flushed(SyncSender<()>),
}

/// The way to the thread.
#[derive(Clone)]
pub struct Lines {
    waiting: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

/// Dropped at the end of the program, it waits for the last lines, but not for ever.
#[must_use = "the last lines of the log are lost without it"]
pub struct LastLines(Lines);

impl Lines {
    /// Starts the thread, which writes to `target`.
    ///
    /// # Errors
    /// The system's: no thread could be had.
    pub fn start(target: impl Write + Send + 'static) -> io::Result<(Self, LastLines)> {
        let (waiting, lines) = sync_channel(WAITING_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let counted = dropped.clone();
        let spawn = move || write_all(&lines, &counted, target);
        std::thread::Builder::new().name("log".into()).spawn(spawn)?;
        let lines = Self { waiting, dropped };
        Ok((lines.clone(), LastLines(lines)))
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let until = Instant::now() + LAST_LINES;
        let (flushed, wait) = sync_channel(1);
        let mut message = Message::Flushed(flushed);
        while let Err(TrySendError::Full(again)) = self.0.waiting.try_send(message) {
            if Instant::now() >= until {
                return;
            }
            message = again;
            std::thread::sleep(Duration::from_millis(1));
        }
        // Whether they were written in time or not, the program ends.
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn write_all(lines: &Receiver<Message>, dropped: &AtomicU64, mut target: impl Write) {
    for message in lines {
        // Nowhere is left to tell that the log cannot be written.
        let _ = match message {
            Message::Line(line) => target.write_all(&line),
            Message::Flushed(flushed) => {
                let _ = target.flush();
                let _ = flushed.try_send(());
                Ok(())
            }
        };
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(target, "{{\"level\":\"WARN\",\"lines_of_the_log_dropped\":{lost}}}");
        }
    }
}

/// Each event is written as one piece.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// A reader of the log who reads nothing until he is let.
    #[derive(Clone, Default)]
    struct Slow {
        gate: Arc<Mutex<()>>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.gate.lock();
            self.text.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_holds_up_nobody() {
        let slow = Slow::default();
        let closed = slow.gate.lock();
        let (mut lines, last) = Lines::start(slow.clone()).unwrap();
        for _ in 0..2 * WAITING_MAX {
            lines.write_all(b"x\n").unwrap();
        }
        assert!(lines.dropped.load(Ordering::Relaxed) >= WAITING_MAX as u64 - 1);
        drop(closed);
        // Room comes as it is read; then the number of those lost is told.
        while lines.waiting.try_send(Message::Line(b"last\n".to_vec())).is_err() {
            std::thread::yield_now();
        }
        drop(last);
        let text = String::from_utf8(slow.text.lock().clone()).unwrap();
        assert!(text.contains("lines_of_the_log_dropped") && text.contains("last\n"), "{text:.80}");
    }
}
