//! Prompts already made: on disk by a hash of engine, voice and text, the last used ones in memory.
//!
//! Both are bounded in bytes; beyond it the longest unused goes. A file is written under another
//! name and renamed, so that it is whole or absent; one that cannot be read counts as absent.

use crate::error::SpeechError;
use crate::sound::wav;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The samples of a prompt: 8 kHz mono.
pub type Samples = Arc<Vec<i16>>;

/// Names what a prompt was made of: 64 hexadecimal digits.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key(String);

impl Key {
    /// The key of `parts`: engine, voice, text; or folder, file, date.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length before each part: ("ab", "c") is not ("a", "bc").
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut name = String::with_capacity(64);
        for byte in hash.finalize() {
            write!(name, "{byte:02x}").expect("writing to a string cannot fail");
        }
        Self(name)
    }
}

/// The prompts last used, in memory.
pub struct MemoryCache {
    bytes_max: usize,
    inner: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    bytes: usize,
    uses: u64,
    by_key: BTreeMap<Key, (Samples, u64)>,
    by_use: BTreeMap<u64, Key>,
}

impl MemoryCache {
    /// A cache of at most `bytes_max` bytes of samples; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inner: Mutex::default() }
    }

    /// The prompt, if it is kept; it is the last to go from now on.
    pub fn take(&self, key: &Key) -> Option<Samples> {
        let mut inner = self.inner.lock();
        let Memory { uses, by_key, by_use, .. } = &mut *inner;
        let (samples, used) = by_key.get_mut(key)?;
        *uses += 1;
        by_use.remove(used);
        by_use.insert(*uses, key.clone());
        *used = *uses;
        Some(Arc::clone(samples))
    }

    /// Keeps a prompt, if it alone does not exceed the bound.
    pub fn keep(&self, key: Key, samples: Samples) {
        let size = samples.len() * 2;
        if size > self.bytes_max {
            return;
        }
        let mut inner = self.inner.lock();
        inner.uses += 1;
        let used = inner.uses;
        inner.by_use.insert(used, key.clone());
        inner.bytes += size;
        if let Some((old, used)) = inner.by_key.insert(key, (samples, used)) {
            inner.bytes -= old.len() * 2;
            inner.by_use.remove(&used);
        }
        while inner.bytes > self.bytes_max {
            let Some((_, oldest)) = inner.by_use.pop_first() else { break };
            if let Some((samples, _)) = inner.by_key.remove(&oldest) {
                inner.bytes -= samples.len() * 2;
            }
        }
    }
}

/// Synthesised prompts on disk, as WAV files that can be listened to.
pub struct DiskCache {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes in the folder, as far as known.
    bytes: AtomicU64,
    writes: AtomicU64,
}

impl DiskCache {
    /// The cache in `folder`, made if absent, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`SpeechError::Recording`] when the folder cannot be made.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, SpeechError> {
        std::fs::create_dir_all(folder).map_err(|error| SpeechError::Recording {
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        let cache = Self {
            folder: folder.to_owned(),
            bytes_max,
            bytes: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        };
        cache.trim();
        Ok(cache)
    }

    /// The prompt, if it is there and whole.
    pub fn read(&self, key: &Key) -> Option<Samples> {
        let path = self.path(key);
        if !path.exists() {
            return None;
        }
        let samples = wav::read(&path).ok()?;
        // Marks it as used; where that fails it is only forgotten earlier.
        let _ = std::fs::File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        Some(Arc::new(samples))
    }

    /// Writes a prompt, whole or not at all. A full or read-only disk costs only the cache.
    pub fn write(&self, key: &Key, samples: &[i16]) {
        let bytes = wav::print(samples);
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let partial = self.folder.join(format!(".{}-{number}.partial", std::process::id()));
        let written = std::fs::write(&partial, &bytes)
            .and_then(|()| std::fs::rename(&partial, self.path(key)));
        if let Err(error) = written {
            tracing::warn!(%error, folder = %self.folder.display(), "a prompt was not cached");
            let _ = std::fs::remove_file(&partial);
            return;
        }
        let size = bytes.len() as u64;
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > self.bytes_max {
            self.trim();
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.wav", key.0))
    }

    /// Counts what is there; beyond the bound removes the longest unused down to nine tenths.
    fn trim(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "wav"))
            .filter_map(|entry| {
                let facts = entry.metadata().ok()?;
                Some((facts.modified().ok()?, facts.len(), entry.path()))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        if total > self.bytes_max {
            files.sort();
            for (_, size, path) in files {
                if total <= self.bytes_max / 10 * 9 {
                    break;
                }
                if std::fs::remove_file(&path).is_ok() {
                    total -= size;
                }
            }
        }
        self.bytes.store(total, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder of its own for a test, removed with it.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let folder = format!("trunkline-speech-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(folder);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn key(name: &str) -> Key {
        Key::of(&[name])
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        assert_ne!(Key::of(&["ab", "c"]), Key::of(&["a", "bc"]));
        assert_eq!(key("a").0.len(), 64);
    }

    #[test]
    fn memory_forgets_the_longest_unused() {
        let cache = MemoryCache::new(600);
        for name in ["a", "b", "c"] {
            cache.keep(key(name), Arc::new(vec![1; 100]));
        }
        assert!(cache.take(&key("a")).is_some());
        cache.keep(key("d"), Arc::new(vec![1; 100]));
        cache.keep(key("d"), Arc::new(vec![1; 100]));
        cache.keep(key("too large"), Arc::new(vec![1; 301]));
        let kept = ["a", "b", "c", "d", "too large"].map(|name| cache.take(&key(name)).is_some());
        assert_eq!(kept, [true, false, true, true, false]);
        let inner = cache.inner.lock();
        assert_eq!((inner.bytes, inner.by_use.len()), (600, 3));
    }

    #[test]
    fn disk_gives_back_what_was_written_and_takes_rubbish_for_nothing() {
        let scratch = Scratch::new("disk");
        let cache = DiskCache::open(&scratch.0, 1 << 20).unwrap();
        assert_eq!(cache.read(&key("a")), None);
        cache.write(&key("a"), &[1, 2, 3]);
        assert_eq!(cache.read(&key("a")).as_deref(), Some(&vec![1, 2, 3]));
        std::fs::write(cache.path(&key("b")), b"RIFF, but cut").unwrap();
        assert_eq!(cache.read(&key("b")), None);
        let reopened = DiskCache::open(&scratch.0, 1 << 20).unwrap();
        assert_eq!(reopened.read(&key("a")).as_deref(), Some(&vec![1, 2, 3]));
    }

    #[test]
    fn disk_stays_within_its_bytes() {
        let scratch = Scratch::new("trim");
        let cache = DiskCache::open(&scratch.0, 10_000).unwrap();
        for n in 0..40 {
            cache.write(&key(&n.to_string()), &[n; 500]);
        }
        let sizes = std::fs::read_dir(&scratch.0).unwrap().flatten();
        let total: u64 = sizes.map(|entry| entry.metadata().unwrap().len()).sum();
        assert!(total > 5_000 && total <= 10_000, "{total}");
    }
}
