//! The thread that writes recordings, so that no disk ever delays a tick.
//!
//! ```text
//! part ─► a.wav.part … last part ─► fsync ─► renamed to a.wav ─► folder fsynced
//! ```

use domain::id::LegId;
use hound::{SampleFormat, WavSpec, WavWriter};
use media::recording::RecordingPart;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Parts waiting at most, 32 KB each: about 16 MB, ten seconds of fifty recordings.
const PARTS_MAX: usize = 512;

const SPEC: WavSpec = WavSpec {
    channels: 2,
    sample_rate: media::SAMPLE_RATE,
    bits_per_sample: 16,
    sample_format: SampleFormat::Int,
};

/// The way to the thread, one for each worker.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    parts: SyncSender<RecordingPart>,
}

impl Recorder {
    /// Starts the thread; it ends when all ways to it are dropped and everything is written.
    pub(super) fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (parts, received) = sync_channel(PARTS_MAX);
        let thread = std::thread::Builder::new()
            .name("recordings".into())
            .spawn(move || write_all(&received))?;
        Ok((Self { parts }, thread))
    }

    /// Hands on a part, or gives it back when the disk is too slow.
    pub(super) fn put(&self, part: RecordingPart) -> Result<(), RecordingPart> {
        self.parts.try_send(part).map_err(|error| match error {
            TrySendError::Full(part) | TrySendError::Disconnected(part) => part,
        })
    }
}

/// A recording being written. `None`: it failed, and the rest of it is dropped.
type Open = Option<WavWriter<BufWriter<File>>>;

fn write_all(received: &Receiver<RecordingPart>) {
    let mut open: BTreeMap<(LegId, Arc<str>), Open> = BTreeMap::new();
    while let Ok(part) = received.recv() {
        let key = (part.leg, part.path.clone());
        let file = open.entry(key.clone()).or_insert_with(|| noted(create(&part.path), &part));
        let appended = file.as_mut().map_or(Ok(()), |file| append(file, &part.samples));
        if noted(appended, &part).is_none() {
            *file = None;
        }
        if part.last
            && let Some(Some(file)) = open.remove(&key)
        {
            noted(finish(file, &part.path), &part);
        }
    }
    // Whoever is still open was cut off: what there is keeps its temporary name.
}

/// The value, or a line in the log.
fn noted<T>(result: Result<T, hound::Error>, part: &RecordingPart) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(leg = %part.leg, path = %part.path, %error, "recording failed");
            None
        }
    }
}

fn temporary(path: &str) -> PathBuf {
    PathBuf::from(format!("{path}.part"))
}

fn create(path: &str) -> Result<WavWriter<BufWriter<File>>, hound::Error> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder)?;
    }
    WavWriter::create(temporary(path), SPEC)
}

fn append(file: &mut WavWriter<BufWriter<File>>, samples: &[i16]) -> Result<(), hound::Error> {
    for sample in samples {
        file.write_sample(*sample)?;
    }
    Ok(())
}

fn finish(file: WavWriter<BufWriter<File>>, path: &str) -> Result<(), hound::Error> {
    file.finalize()?;
    let temporary = temporary(path);
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_recording_has_its_name_and_a_broken_one_has_not() {
        let folder = std::env::temp_dir().join(format!("recorder-{}", std::process::id()));
        let path = |name: &str| -> Arc<str> {
            folder.join("deep").join(name).to_string_lossy().into_owned().into()
        };
        let (recorder, thread) = Recorder::start().unwrap();
        let part = |leg, name, samples: &[i16], last| RecordingPart {
            leg: LegId(leg),
            path: path(name),
            samples: samples.to_vec(),
            last,
        };
        recorder.put(part(1, "a.wav", &[1, -1, 2, -2], false)).unwrap();
        recorder.put(part(2, "b.wav", &[9, 9], false)).unwrap();
        recorder.put(part(1, "a.wav", &[3, -3], true)).unwrap();
        // A name that cannot be: the rest of its parts is dropped without ado.
        let nowhere = |last| RecordingPart {
            path: "/proc/none/c.wav".into(),
            ..part(3, "c.wav", &[1, 1], last)
        };
        recorder.put(nowhere(false)).unwrap();
        recorder.put(nowhere(true)).unwrap();
        drop(recorder);
        thread.join().unwrap();
        let mut whole = hound::WavReader::open(&*path("a.wav")).unwrap();
        assert_eq!(whole.spec(), SPEC);
        let samples: Vec<i16> = whole.samples().map(Result::unwrap).collect();
        assert_eq!(samples, [1, -1, 2, -2, 3, -3]);
        assert!(!Path::new(&*path("b.wav")).exists() && temporary(&path("b.wav")).exists());
        assert!(!temporary(&path("a.wav")).exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
