//! Gives each prompt its sound: recorded, synthesised or music; 8 kHz mono.
//!
//! ```text
//! Text     ─► memory ─► disk ─► flite or espeak-ng ─► levelled ─► disk, memory
//! Recorded ─► memory ─► file in the folder of prompts
//! Music    ─► memory ─► files in a folder, or the built-in loop
//! ```
//!
//! `synthesize` waits; `request` answers on a worker thread; `warm` fills the cache when nothing
//! else is to do. Samples are kept as they are, so that each codec is encoded from the original.

mod level;
pub mod program;

use crate::error::SpeechError;
use crate::prompt_cache::{DiskCache, Key, MemoryCache, Samples};
use crate::sound::{music, wav};
use domain::prompt::{Language, Prompt};
use parking_lot::{Condvar, Mutex};
use program::Voice;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Part of each key: raised when the same text would sound otherwise than before.
const VERSION: &str = "1";
/// Longest text, in characters: about two minutes.
pub const CHARACTERS_MAX: usize = 2_000;
/// Requests that may wait for a worker.
const REQUESTS_MAX: usize = 256;
/// Prompts that may wait to be warmed; the rest is made when first needed.
const WARMING_MAX: usize = 10_000;
/// Longest wait for a program to be free.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest music, in samples: ten minutes.
const MUSIC_MAX: usize = 600 * 8_000;

/// Where prompts come from and how much they may take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SynthesizerConfig {
    /// Who speaks English; `None`: recordings only.
    pub english: Option<Voice>,
    /// Who speaks Mandarin; `None`: recordings only.
    pub mandarin: Option<Voice>,
    /// The folder of recorded prompts.
    pub prompts: PathBuf,
    /// A folder of WAV files for those who wait, played in the order of their names; `None`: the
    /// built-in loop.
    pub music: Option<PathBuf>,
    /// The folder of synthesised prompts.
    pub cache: PathBuf,
    /// Bytes that folder may have.
    pub cache_bytes_max: u64,
    /// Bytes of samples kept in memory.
    pub memory_bytes_max: usize,
    /// Programs running at once, 1 or more; also the worker threads.
    pub programs_max: usize,
}

/// What a request is answered with.
pub type OnDone = Box<dyn FnOnce(Result<Samples, SpeechError>) + Send>;

/// The synthesiser. Dropping it answers what waits with `Overloaded` and joins its threads.
pub struct Synthesizer {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    config: SynthesizerConfig,
    memory: MemoryCache,
    disk: DiskCache,
    /// Keys being synthesised at this moment: no text is made twice at once.
    making: Mutex<BTreeSet<Key>>,
    made: Condvar,
    backlog: Mutex<Backlog>,
    wake: Condvar,
    files: AtomicU64,
}

#[derive(Default)]
struct Backlog {
    requests: VecDeque<(Prompt, OnDone)>,
    warming: VecDeque<Prompt>,
    closed: bool,
}

impl Synthesizer {
    /// Opens the caches and starts the workers.
    ///
    /// # Errors
    /// [`SpeechError::Recording`] when the cache folder cannot be made.
    pub fn start(config: SynthesizerConfig) -> Result<Self, SpeechError> {
        let shared = Arc::new(Shared {
            memory: MemoryCache::new(config.memory_bytes_max),
            disk: DiskCache::open(&config.cache, config.cache_bytes_max)?,
            making: Mutex::default(),
            made: Condvar::new(),
            backlog: Mutex::default(),
            wake: Condvar::new(),
            files: AtomicU64::new(0),
            config,
        });
        let mut workers = Vec::new();
        for number in 0..shared.config.programs_max.max(1) {
            let shared = Arc::clone(&shared);
            let spawned =
                std::thread::Builder::new().name(format!("say-{number}")).spawn(move || {
                    crate::low_priority::lower();
                    shared.work();
                });
            match spawned {
                Ok(worker) => workers.push(worker),
                Err(error) => tracing::error!(%error, "no thread for the synthesiser"),
            }
        }
        Ok(Self { shared, workers })
    }

    /// The sound of `prompt`; waits for a program where it must be made.
    ///
    /// # Errors
    /// Any [`SpeechError`] of prompts; `Overloaded` when no program becomes free in 10 s.
    pub fn synthesize(&self, prompt: &Prompt) -> Result<Samples, SpeechError> {
        self.shared.synthesize(prompt)
    }

    /// The sound of a text or of the music if it is in memory; never waits, touches no file.
    pub fn cached(&self, prompt: &Prompt) -> Option<Samples> {
        self.shared.memory.take(&self.shared.memory_key(prompt)?)
    }

    /// Asks for the sound of `prompt`; `on_done` is called once, on a worker thread, or at once
    /// on this one with `Overloaded`. It must not block.
    pub fn request(&self, prompt: Prompt, on_done: OnDone) {
        let mut backlog = self.shared.backlog.lock();
        if backlog.requests.len() >= REQUESTS_MAX || self.workers.is_empty() {
            drop(backlog);
            on_done(Err(SpeechError::Overloaded));
            return;
        }
        backlog.requests.push_back((prompt, on_done));
        self.shared.wake.notify_one();
    }

    /// Makes these prompts when nothing else is to do, so that no caller waits for them. Faults
    /// are logged.
    pub fn warm(&self, prompts: impl IntoIterator<Item = Prompt>) {
        let mut backlog = self.shared.backlog.lock();
        let room = WARMING_MAX.saturating_sub(backlog.warming.len());
        backlog.warming.extend(prompts.into_iter().take(room));
        self.shared.wake.notify_all();
    }

    /// Whether each voice can speak: tries one word. One error per voice that cannot.
    pub fn faults(&self) -> Vec<SpeechError> {
        let words = [(Language::English, "ready"), (Language::Mandarin, "好")];
        let tries = words.map(|(language, word)| self.synthesize(&Prompt::text(language, word)));
        tries.into_iter().filter_map(Result::err).collect()
    }
}

impl Drop for Synthesizer {
    fn drop(&mut self) {
        let mut backlog = self.shared.backlog.lock();
        backlog.closed = true;
        backlog.warming.clear();
        let waiting = std::mem::take(&mut backlog.requests);
        drop(backlog);
        self.shared.wake.notify_all();
        for (_, on_done) in waiting {
            on_done(Err(SpeechError::Overloaded));
        }
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so already.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut backlog = self.backlog.lock();
            if backlog.closed {
                return;
            }
            if let Some((prompt, on_done)) = backlog.requests.pop_front() {
                drop(backlog);
                on_done(self.synthesize(&prompt));
            } else if let Some(prompt) = backlog.warming.pop_front() {
                drop(backlog);
                if let Err(fault) = self.synthesize(&prompt) {
                    tracing::warn!(%fault, "a prompt cannot be made");
                }
            } else {
                self.wake.wait(&mut backlog);
            }
        }
    }

    fn synthesize(&self, prompt: &Prompt) -> Result<Samples, SpeechError> {
        match prompt {
            Prompt::Text { language, text } => self.spoken(*language, text),
            Prompt::Recorded { file } => self.recorded(file),
            Prompt::Music => self.music(),
        }
    }

    /// The key of what needs no look at a file.
    fn memory_key(&self, prompt: &Prompt) -> Option<Key> {
        match prompt {
            Prompt::Text { language, text } => {
                Some(spoken_key(self.voice(*language).ok()?, &speakable(text).ok()?))
            }
            Prompt::Recorded { .. } => None,
            Prompt::Music => Some(Key::of(&["music"])),
        }
    }

    fn voice(&self, language: Language) -> Result<&Voice, SpeechError> {
        let voice = match language {
            Language::English => &self.config.english,
            Language::Mandarin => &self.config.mandarin,
        };
        voice.as_ref().ok_or(SpeechError::NoVoice { language: language.code() })
    }

    fn spoken(&self, language: Language, text: &str) -> Result<Samples, SpeechError> {
        let voice = self.voice(language)?;
        let text = speakable(text)?;
        let key = spoken_key(voice, &text);
        if let Some(samples) = self.memory.take(&key) {
            return Ok(samples);
        }
        let _turn = self.take_turn(&key)?;
        // Whoever had the turn before may have made it.
        if let Some(samples) = self.memory.take(&key).or_else(|| self.disk.read(&key)) {
            self.memory.keep(key, Arc::clone(&samples));
            return Ok(samples);
        }
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{}-{number}.speaking", std::process::id());
        let samples = level::levelled(&voice.speak(&text, &self.config.cache.join(name))?);
        self.disk.write(&key, &samples);
        let samples = Arc::new(samples);
        self.memory.keep(key, Arc::clone(&samples));
        Ok(samples)
    }

    /// Waits until nobody makes `key` and a program may be started.
    fn take_turn(&self, key: &Key) -> Result<MakingTurn<'_>, SpeechError> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut making = self.making.lock();
        while making.contains(key) || making.len() >= self.config.programs_max.max(1) {
            if self.made.wait_until(&mut making, deadline).timed_out() {
                return Err(SpeechError::Overloaded);
            }
        }
        making.insert(key.clone());
        Ok(MakingTurn { shared: self, key: key.clone() })
    }

    fn recorded(&self, file: &str) -> Result<Samples, SpeechError> {
        let path = inside(&self.config.prompts, file)?;
        let fault = |error: std::io::Error| SpeechError::Recording {
            path: path.clone(),
            reason: error.to_string(),
        };
        let facts = std::fs::metadata(&path).map_err(fault)?;
        // Size and date in the key: a recording that is replaced is heard anew.
        let date = facts.modified().map_err(fault)?;
        let key = Key::of(&["recorded", file, &facts.len().to_string(), &format!("{date:?}")]);
        if let Some(samples) = self.memory.take(&key) {
            return Ok(samples);
        }
        let samples = Arc::new(wav::read(&path)?);
        self.memory.keep(key, Arc::clone(&samples));
        Ok(samples)
    }

    fn music(&self) -> Result<Samples, SpeechError> {
        let key = Key::of(&["music"]);
        if let Some(samples) = self.memory.take(&key) {
            return Ok(samples);
        }
        let samples = Arc::new(match &self.config.music {
            Some(folder) => music_of(folder)?,
            None => music::hold_music(),
        });
        self.memory.keep(key, Arc::clone(&samples));
        Ok(samples)
    }
}

/// Held while a text is being made.
struct MakingTurn<'a> {
    shared: &'a Shared,
    key: Key,
}

impl Drop for MakingTurn<'_> {
    fn drop(&mut self) {
        self.shared.making.lock().remove(&self.key);
        self.shared.made.notify_all();
    }
}

fn spoken_key(voice: &Voice, text: &str) -> Key {
    Key::of(&[VERSION, voice.program(), voice.name(), text])
}

/// The text with single spaces, without control characters and the brackets that espeak-ng
/// would take for phoneme names.
fn speakable(text: &str) -> Result<String, SpeechError> {
    let characters = text.chars().count();
    let fault = SpeechError::TextLength { characters, most: CHARACTERS_MAX };
    if characters > CHARACTERS_MAX {
        return Err(fault);
    }
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() || matches!(c, '[' | ']' | '<' | '>') { ' ' } else { c })
        .collect();
    let joined = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().any(char::is_alphanumeric) { Ok(joined) } else { Err(fault) }
}

/// The path of `file` in `folder`, whatever links lie between.
fn inside(folder: &Path, file: &str) -> Result<PathBuf, SpeechError> {
    let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if file.is_empty() || !plain || file.contains(['\\', '\0']) {
        return Err(SpeechError::FileName { file: file.to_owned() });
    }
    let path = folder.join(file);
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(root), Ok(real)) if !real.starts_with(&root) => {
            Err(SpeechError::FileName { file: file.to_owned() })
        }
        // Where it does not exist, reading it says so.
        _ => Ok(path),
    }
}

/// All WAV files of `folder` after one another, at most ten minutes.
fn music_of(folder: &Path) -> Result<Vec<i16>, SpeechError> {
    let fault = |reason: String| SpeechError::Recording { path: folder.to_owned(), reason };
    let entries = std::fs::read_dir(folder).map_err(|error| fault(error.to_string()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("wav")));
    files.sort();
    let mut samples = Vec::new();
    for file in &files {
        samples.extend(wav::read(file)?);
        if samples.len() >= MUSIC_MAX {
            samples.truncate(MUSIC_MAX);
            break;
        }
    }
    if samples.is_empty() {
        return Err(fault("it has no WAV file with sound".to_owned()));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests;
