//! Hears what callers say: gathers each utterance, asks the engines, reports exactly one result
//! for each that ended.
//!
//! ```text
//!                      closed question or phrases      sure
//! started, frame…, ended ──────► grammar lane ─────────────► Heard
//!              │                      │ unsure
//!              │ Mandarin, or         ▼
//!              └── no grammar ──► open lane ───────────────► Heard
//!                                     │ waited 3 s, missing, failed
//!                                     └────────────────────► NotHeard (keys take over)
//! ```
//!
//! A lane is one engine with its own low-priority threads behind a bounded queue, so that a row
//! of open answers never delays a yes. Engines load in the background. Called by the media
//! threads (`started`, `frame`, `ended`, `dropped`: none of them blocks on an engine) and by the
//! signalling side (`listen`, `forget`, `status`).

pub mod gather;
pub mod lane;

use crate::engine::{Engine, Recognised};
use crate::error::SpeechError;
use crate::low_priority;
use crate::vosk::Vosk;
use crate::whisper::Whisper;
use domain::id::{LegId, OrderId};
use domain::prompt::{Expect, Hearing, Language, Transcript};
use gather::{Gather, Utterance};
use lane::{EngineState, Job, Lane, Turn, WAIT_MAX};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Which engines, and how much of the machine they may take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpeechConfig {
    /// The folder that `scripts/fetch-models` fills: `vosk/libvosk.so`, `vosk/model/`, `whisper/`.
    pub models: PathBuf,
    /// Whether the open engine is loaded (0.3 GB of memory).
    pub open: bool,
    /// Threads for closed questions, 1 or more. One hears about 15 utterances a second.
    pub grammar_threads: usize,
    /// Threads for open questions, 1 or more. One hears about two utterances a second; each has
    /// its own copy of the weights.
    pub open_threads: usize,
}

/// The result of an utterance that ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RecognizerEvent {
    /// It was recognised. The text is empty when nothing was understood.
    Heard {
        /// Whose.
        leg: LegId,
        /// The order that listened.
        order: OrderId,
        /// What was heard.
        transcript: Transcript,
        /// From the end of the utterance to this result.
        delay: Duration,
    },
    /// It could not be recognised.
    NotHeard {
        /// Whose.
        leg: LegId,
        /// The order that listened.
        order: OrderId,
        /// Why.
        reason: NotHeardReason,
    },
}

/// Why an utterance was not recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotHeardReason {
    /// Too many spoke at once, or it waited longer than 3 s for an engine.
    Overloaded,
    /// No engine that could answer is there; see [`Recognizer::status`].
    NoEngine,
    /// The engine failed on it.
    EngineFailed,
    /// Nobody listened under that order, or the utterance had no beginning.
    NotListening,
    /// Listening stopped while it waited for an engine.
    Dropped,
    /// The recogniser is stopping.
    Stopping,
}

/// Which questions can be answered by voice now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// The closed engine: English yes or no, digits, listed phrases.
    pub grammar: EngineState,
    /// The open engine: anything, English and Mandarin.
    pub open: EngineState,
}

impl Status {
    /// Whether a question of this kind can be answered by voice, now or once loading is over;
    /// otherwise by keys only.
    pub fn hears(&self, language: Language, expect: &Expect) -> bool {
        let is_there = |state: &EngineState| !matches!(state, EngineState::Missing(_));
        let closed = match expect {
            Expect::YesNo | Expect::Digits => language == Language::English,
            Expect::Open { .. } => false,
        };
        is_there(&self.open) || (closed && is_there(&self.grammar))
    }

    /// Whether an engine is still being loaded.
    pub fn is_loading(&self) -> bool {
        [&self.grammar, &self.open].iter().any(|state| matches!(state, EngineState::Loading))
    }

    /// One line per kind of question that can be answered by keys only; empty when all are heard.
    pub fn keys_only(&self) -> Vec<String> {
        let reason = |state: &EngineState| match state {
            EngineState::Missing(fault) => fault.to_string(),
            EngineState::Loading | EngineState::Ready => "it is there".to_owned(),
        };
        let open = Expect::Open { phrases: Arc::from([]) };
        let kinds = [
            (Language::English, Expect::YesNo, "yes or no in English", &self.grammar),
            (Language::English, Expect::Digits, "digits in English", &self.grammar),
            (Language::English, open.clone(), "open questions in English", &self.open),
            (Language::Mandarin, Expect::YesNo, "yes or no in Mandarin", &self.open),
            (Language::Mandarin, Expect::Digits, "digits in Mandarin", &self.open),
            (Language::Mandarin, open, "open questions in Mandarin", &self.open),
        ];
        kinds
            .into_iter()
            .filter(|(language, expect, _, _)| !self.hears(*language, expect))
            .map(|(_, _, name, state)| format!("{name}: keys only ({})", reason(state)))
            .collect()
    }
}

/// Loads an engine; called once, on a thread of the engine's lane.
pub type Loader = Box<dyn FnOnce() -> Result<Arc<dyn Engine>, SpeechError> + Send>;

/// Where results go: called on the engines' threads, and for what needs no engine on the thread
/// that reported it. Must not block.
pub type OnResult = Box<dyn Fn(RecognizerEvent) + Send + Sync>;

/// The recogniser. Dropping it reports `Stopping` for what waits and joins its threads.
pub struct Recognizer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    gather: Mutex<Gather>,
    grammar: Lane,
    open: Lane,
    on_result: OnResult,
}

impl Recognizer {
    /// Starts the engines of `config`; returns at once, they load in the background.
    pub fn start(config: SpeechConfig, on_result: OnResult) -> Self {
        let (grammar_models, open_models) = (config.models.clone(), config.models);
        let grammar: Loader =
            Box::new(move || Ok(Arc::new(Vosk::load(&grammar_models)?) as Arc<dyn Engine>));
        let parallel = config.open_threads;
        let open: Loader = if config.open {
            Box::new(
                move || Ok(Arc::new(Whisper::load(&open_models, parallel)?) as Arc<dyn Engine>),
            )
        } else {
            Box::new(|| Err(SpeechError::SwitchedOff { engine: "open" }))
        };
        Self::with_engines((grammar, config.grammar_threads), (open, parallel), on_result)
    }

    /// Starts with other engines: for each lane, how to load it and how many threads use it.
    pub fn with_engines(
        (load_grammar, grammar_threads): (Loader, usize),
        (load_open, open_threads): (Loader, usize),
        on_result: OnResult,
    ) -> Self {
        let shared = Arc::new(Shared {
            gather: Mutex::new(Gather::default()),
            grammar: Lane::loading(),
            open: Lane::loading(),
            on_result,
        });
        let mut recognizer = Self { shared, threads: Vec::new() };
        recognizer.staff("hear-grammar", |shared| &shared.grammar, load_grammar, grammar_threads);
        recognizer.staff("hear-open", |shared| &shared.open, load_open, open_threads);
        recognizer
    }

    /// Starts a lane's loader, which ends when done, and its workers.
    fn staff(&mut self, name: &str, lane: fn(&Shared) -> &Lane, load: Loader, workers: usize) {
        let shared = Arc::clone(&self.shared);
        let loaded = self.spawn(format!("{name}-load"), move || {
            let begun = Instant::now();
            let engine = load();
            match &engine {
                Ok(_) => tracing::info!(took = ?begun.elapsed(), "speech engine loaded"),
                Err(fault) => tracing::warn!(%fault, "speech engine missing"),
            }
            lane(&shared).set_engine(engine);
        });
        let mut started = 0;
        for worker in 0..workers.max(1) {
            let shared = Arc::clone(&self.shared);
            started += usize::from(
                self.spawn(format!("{name}-{worker}"), move || shared.work(lane(&shared))),
            );
        }
        if !loaded || started == 0 {
            let fault = SpeechError::EngineFailed {
                engine: "any",
                reason: "the system refuses more threads".to_owned(),
            };
            lane(&self.shared).set_engine(Err(fault));
        }
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> bool {
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            low_priority::lower();
            body();
        });
        spawned.map(|thread| self.threads.push(thread)).is_ok()
    }

    /// Expects `hearing` on `leg` under `order` from now on. To be called before media is told
    /// to listen.
    pub fn listen(&self, leg: LegId, order: OrderId, hearing: Hearing) {
        self.shared.gather.lock().listen(leg, order, hearing);
    }

    /// Speech began.
    pub fn started(&self, leg: LegId, order: OrderId) {
        self.shared.gather.lock().started(leg, order);
    }

    /// A piece of it: 8 kHz mono, usually 160 samples. Beyond 10 s the rest is not heard.
    pub fn frame(&self, leg: LegId, order: OrderId, samples: &[i16]) {
        self.shared.gather.lock().frame(leg, order, samples);
    }

    /// Speech ended: exactly one result follows for each call of this.
    pub fn ended(&self, leg: LegId, order: OrderId) {
        let utterance = self.shared.gather.lock().ended(leg, order);
        match utterance {
            Ok(utterance) => self.shared.route(utterance),
            Err(reason) => self.shared.not_heard(leg, order, reason),
        }
    }

    /// Listening stopped: what was gathered is forgotten; what already waits for an engine is
    /// reported as dropped.
    pub fn dropped(&self, leg: LegId, order: OrderId) {
        self.shared.gather.lock().dropped(leg, order);
        self.cancel(|job| job.utterance.leg == leg && job.utterance.order == order);
    }

    /// The leg is gone: what it said is forgotten, and reported as dropped if it already waits for
    /// an engine.
    pub fn forget(&self, leg: LegId) {
        self.shared.gather.lock().forget(leg);
        self.cancel(|job| job.utterance.leg == leg);
    }

    fn cancel(&self, is_it: impl Fn(&Job) -> bool) {
        for lane in [&self.shared.grammar, &self.shared.open] {
            for job in lane.cancel(&is_it) {
                self.shared.give_up(job, NotHeardReason::Dropped);
            }
        }
    }

    /// Which questions can be answered by voice now.
    pub fn status(&self) -> Status {
        Status { grammar: self.shared.grammar.state(), open: self.shared.open.state() }
    }

    /// Utterances waiting for the closed and for the open engine.
    pub fn waiting(&self) -> (usize, usize) {
        (self.shared.grammar.waiting(), self.shared.open.waiting())
    }
}

impl Drop for Recognizer {
    fn drop(&mut self) {
        for lane in [&self.shared.grammar, &self.shared.open] {
            for job in lane.close() {
                self.shared.give_up(job, NotHeardReason::Stopping);
            }
        }
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so already; nothing is left to do for it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Puts an utterance before the engine that is to hear it first.
    fn route(&self, utterance: Utterance) {
        let closed = match (&utterance.hearing.expect, utterance.hearing.language) {
            (_, Language::Mandarin) => false,
            (Expect::YesNo | Expect::Digits, Language::English) => true,
            (Expect::Open { phrases }, Language::English) => !phrases.is_empty(),
        };
        let job = Job { utterance, ended_at: Instant::now(), guess: None };
        if closed && self.grammar.is_there() {
            self.push(&self.grammar, job);
        } else {
            self.push_open(job);
        }
    }

    fn push_open(&self, job: Job) {
        if self.open.is_there() {
            self.push(&self.open, job);
        } else {
            self.give_up(job, NotHeardReason::NoEngine);
        }
    }

    fn push(&self, lane: &Lane, job: Job) {
        if let Err(job) = lane.push(job) {
            self.give_up(*job, NotHeardReason::Overloaded);
        }
    }

    /// A worker's life.
    fn work(&self, lane: &Lane) {
        loop {
            match lane.next() {
                Turn::Stop => return,
                Turn::GiveUp(job) if job.ended_at.elapsed() >= WAIT_MAX => {
                    self.give_up(job, NotHeardReason::Overloaded);
                }
                // The engine could not be loaded while this waited for it.
                Turn::GiveUp(job) if std::ptr::eq(lane, &self.grammar) => self.push_open(job),
                Turn::GiveUp(job) => self.give_up(job, NotHeardReason::NoEngine),
                Turn::Work(job, engine) => {
                    let result = recognised(&*engine, &job.utterance);
                    self.conclude(lane, job, result);
                }
            }
        }
    }

    fn conclude(&self, lane: &Lane, mut job: Job, result: Result<Recognised, SpeechError>) {
        let asked_first = std::ptr::eq(lane, &self.grammar);
        match result {
            Ok(recognised) if recognised.certain || !asked_first => {
                self.heard(&job, recognised.transcript);
            }
            Ok(unsure) => {
                job.guess = Some(unsure);
                self.push_open(job);
            }
            Err(fault) => {
                tracing::warn!(%fault, leg = %job.utterance.leg, "an utterance was not recognised");
                if asked_first && self.open.is_there() {
                    self.push_open(job);
                } else {
                    self.give_up(job, NotHeardReason::EngineFailed);
                }
            }
        }
    }

    /// The last engine that could be asked was not to be had: a closed question's unsure guess
    /// is better than nothing, an open question's is not (a closed engine always finds something).
    fn give_up(&self, job: Job, reason: NotHeardReason) {
        let guess = job.guess.as_ref().map(|guess| guess.transcript.clone());
        let useful = match (&job.utterance.hearing.expect, reason) {
            (_, NotHeardReason::Dropped | NotHeardReason::Stopping) => false,
            (Expect::YesNo | Expect::Digits, _) => true,
            (Expect::Open { .. }, _) => false,
        };
        match guess.filter(|_| useful) {
            Some(transcript) => self.heard(&job, transcript),
            None => self.not_heard(job.utterance.leg, job.utterance.order, reason),
        }
    }

    fn heard(&self, job: &Job, transcript: Transcript) {
        let Utterance { leg, order, .. } = job.utterance;
        let delay = job.ended_at.elapsed();
        (self.on_result)(RecognizerEvent::Heard { leg, order, transcript, delay });
    }

    fn not_heard(&self, leg: LegId, order: OrderId, reason: NotHeardReason) {
        (self.on_result)(RecognizerEvent::NotHeard { leg, order, reason });
    }
}

/// Asks the engine; a panic inside it costs this utterance, not the worker.
fn recognised(engine: &dyn Engine, utterance: &Utterance) -> Result<Recognised, SpeechError> {
    let hear = || engine.recognise(&utterance.samples, &utterance.hearing);
    catch_unwind(AssertUnwindSafe(hear)).unwrap_or_else(|_| {
        Err(SpeechError::EngineFailed { engine: "any", reason: "it panicked".to_owned() })
    })
}

#[cfg(test)]
mod tests;
