//! The trace: every SIP message and every decision of every call, in capped files outside the heap.
//!
//! One line a record, fields apart by tabs, so that a person with `grep` can read it too:
//!
//! ```text
//! 1763621000123 L 4711 9422 caller                 leg 9422 belongs to call 4711
//! 1763621000123 R 9422 UDP 127.0.0.1:5080 127.0.0.1:5060 INVITE…  received (S: sent): the peer's
//!                          address, ours, and the message, CR LF written \r \n
//! 1763621000130 N 4711 flow hotline · number …     a decision and its ground
//! ```
//!
//! The writer is a thread behind a bounded queue; at its bound records are dropped and counted,
//! since a call matters more than its trace. Four files are written in turn, each a quarter of the
//! allowed size; the oldest goes when the fifth would begin.

pub mod hep;
pub mod ladder;
pub mod pcap;
pub mod reader;

use bytes::Bytes;
use domain::id::{CallId, LegId};
use hep::{Hep, HepConfig};
use sip::event::Flow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records that may wait for the disk.
const QUEUE_MAX: usize = 65_536;
/// Between two looks at the queue: else the signalling loop would wake this thread for each record,
/// which costs it more than the record.
const PAUSE: Duration = Duration::from_millis(10);
/// Files among which the allowed size is divided.
const SEGMENTS: u64 = 4;

/// What is kept, and where copies go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TraceConfig {
    /// Bytes of all files together; 0: no files.
    pub bytes_max: u64,
    /// The collector that gets a copy of each message, if any.
    pub hep: Option<HepConfig>,
}

/// One record.
#[derive(Clone, Debug)]
pub enum Record {
    /// A leg belongs to a call; `who` is at its other end.
    Leg {
        /// The call.
        call: CallId,
        /// The leg.
        leg: LegId,
        /// `caller`, `agent anna`, `contact`.
        who: Arc<str>,
    },
    /// A message was received or sent.
    Message {
        /// Of which leg; one of none goes to the collector only.
        leg: Option<LegId>,
        /// Whether we sent it.
        sent: bool,
        /// Between which addresses.
        flow: Flow,
        /// The message.
        message: Bytes,
    },
    /// Something was decided.
    Note {
        /// In which call.
        call: CallId,
        /// What.
        what: Arc<str>,
        /// On what ground.
        why: Arc<str>,
    },
}

/// Where records go. Dropping it waits until what was taken is written.
pub struct Trace {
    records: Option<SyncSender<(u64, Record)>>,
    writer: Option<JoinHandle<()>>,
    exports: bool,
    dropped: AtomicU64,
}

impl Trace {
    /// Starts the writer. `folder` is made if files are kept in it.
    ///
    /// # Errors
    /// The system's, when the folder cannot be made or written.
    pub fn start(folder: &Path, config: &TraceConfig) -> std::io::Result<Self> {
        let (records, receiver) = sync_channel(QUEUE_MAX);
        let exports = config.hep.is_some();
        let mut trace =
            Self { records: Some(records), writer: None, exports, dropped: AtomicU64::new(0) };
        let segments = match config.bytes_max {
            0 => None,
            bytes_max => {
                std::fs::create_dir_all(folder)?;
                Some(Segments::open(folder.to_path_buf(), bytes_max / SEGMENTS)?)
            }
        };
        let hep = config.hep.clone().map(Hep::open).transpose()?;
        if segments.is_none() && hep.is_none() {
            trace.records = None;
            return Ok(trace);
        }
        let writer = std::thread::Builder::new()
            .name("trace".into())
            .spawn(move || write_all(&receiver, segments, hep))?;
        trace.writer = Some(writer);
        Ok(trace)
    }

    /// Whether messages of no leg are wanted, too.
    pub fn exports(&self) -> bool {
        self.exports
    }

    /// Whether anything is written: who would have to make a record for it may ask first.
    pub fn is_on(&self) -> bool {
        self.records.is_some()
    }

    /// Writes a record that happened at `wall_ms`; drops it when the disk is far behind.
    pub fn record(&self, wall_ms: u64, record: Record) {
        let Some(records) = &self.records else { return };
        if let Err(TrySendError::Full(_)) = records.try_send((wall_ms, record)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The writer ends when nobody can give it anything any more.
        self.records = None;
        if let Some(writer) = self.writer.take() {
            // If it panicked, that was printed; nothing more can be done for the trace.
            let _ = writer.join();
        }
    }
}

struct Segments {
    folder: PathBuf,
    segment_max: u64,
    number: u64,
    written: u64,
    file: BufWriter<File>,
}

impl Segments {
    fn open(folder: PathBuf, segment_max: u64) -> std::io::Result<Self> {
        let number = reader::segments(&folder).last().map_or(1, |(number, _)| number + 1);
        let file = new_segment(&folder, number)?;
        let segments = Self { folder, segment_max, number, written: 0, file };
        // Each start begins a file: those of many starts count as those of one.
        segments.remove_old()?;
        Ok(segments)
    }

    fn remove_old(&self) -> std::io::Result<()> {
        for (number, path) in reader::segments(&self.folder) {
            if number + SEGMENTS <= self.number {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.written >= self.segment_max {
            self.file.flush()?;
            self.number += 1;
            self.file = new_segment(&self.folder, self.number)?;
            self.written = 0;
            self.remove_old()?;
        }
        self.written += line.len() as u64;
        self.file.write_all(line)
    }
}

fn new_segment(folder: &Path, number: u64) -> std::io::Result<BufWriter<File>> {
    let path = folder.join(format!("{number:08}.trace"));
    // Messages hold telephone numbers: for the owner's eyes, as the ledger is.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(BufWriter::new)
}

fn write_all(
    receiver: &Receiver<(u64, Record)>,
    mut segments: Option<Segments>,
    mut hep: Option<Hep>,
) {
    let mut line = Vec::new();
    let mut failed = false;
    let flush = |segments: &mut Option<Segments>| {
        if let Some(segments) = segments {
            let _ = segments.file.flush();
        }
    };
    loop {
        let first = match receiver.recv_timeout(Duration::from_millis(200)) {
            Ok(record) => record,
            Err(RecvTimeoutError::Timeout) => {
                flush(&mut segments);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return flush(&mut segments),
        };
        for (wall_ms, record) in std::iter::once(first).chain(receiver.try_iter().take(QUEUE_MAX)) {
            if let (Some(hep), Record::Message { sent, flow, message, .. }) = (&mut hep, &record) {
                hep.send(wall_ms, *sent, flow, message);
            }
            let Some(segments) = &mut segments else { continue };
            line.clear();
            print(wall_ms, &record, &mut line);
            if let Err(error) = segments.write(&line)
                && !std::mem::replace(&mut failed, true)
            {
                tracing::error!(%error, "the trace cannot be written; calls go on without it");
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn print(wall_ms: u64, record: &Record, line: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match record {
        Record::Leg { call, leg, who } => write!(line, "{wall_ms}\tL\t{call}\t{leg}\t{who}"),
        // Of no call.
        Record::Message { leg: None, .. } => return,
        Record::Message { leg: Some(leg), sent, flow, .. } => {
            let kind = if *sent { 'S' } else { 'R' };
            let (transport, remote, local) = (flow.transport.via_name(), flow.remote, flow.local);
            write!(line, "{wall_ms}\t{kind}\t{leg}\t{transport}\t{remote} {local}\t")
        }
        Record::Note { call, .. } => write!(line, "{wall_ms}\tN\t{call}\t"),
    };
    match record {
        Record::Leg { .. } => (),
        Record::Message { message, .. } => escape(message, line),
        Record::Note { what, why, .. } => {
            escape(what.as_bytes(), line);
            line.push(b'\t');
            escape(why.as_bytes(), line);
        }
    }
    line.push(b'\n');
}

fn escape(text: &[u8], line: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            _ => line.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests;
