//! A bounded queue of utterances before one engine, and whether that engine is there.

use super::gather::Utterance;
use crate::engine::{Engine, Recognised};
use crate::error::SpeechError;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Utterances that may wait for one engine. An engine serves at least one a second, and none may
/// wait longer than [`WAIT_MAX`], so more would be refused later anyway.
pub const WAITING_MAX: usize = 64;
/// Longest wait for an engine; after it keys take over.
pub const WAIT_MAX: Duration = Duration::from_secs(3);

/// An utterance to be recognised.
#[derive(Debug)]
pub struct Job {
    /// What was said.
    pub utterance: Utterance,
    /// When it ended.
    pub ended_at: Instant,
    /// What the closed engine made of it, if it was asked first.
    pub guess: Option<Recognised>,
}

/// Whether an engine can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EngineState {
    /// Its model is being read; utterances wait.
    Loading,
    /// It works.
    Ready,
    /// It does not work, and why.
    Missing(SpeechError),
}

/// One engine with its queue.
pub struct Lane {
    inner: Mutex<Inner>,
    wake: Condvar,
}

struct Inner {
    waiting: VecDeque<Job>,
    engine: Result<Option<Arc<dyn Engine>>, SpeechError>,
    closed: bool,
}

/// What a worker does next.
pub enum Turn {
    /// Recognise this.
    Work(Job, Arc<dyn Engine>),
    /// This waited too long, or its engine turned out to be missing.
    GiveUp(Job),
    /// The recogniser stops.
    Stop,
}

impl Lane {
    /// A lane whose engine is being loaded.
    pub fn loading() -> Self {
        let inner = Inner { waiting: VecDeque::new(), engine: Ok(None), closed: false };
        Self { inner: Mutex::new(inner), wake: Condvar::new() }
    }

    /// The engine is loaded, or cannot be.
    pub fn set_engine(&self, engine: Result<Arc<dyn Engine>, SpeechError>) {
        self.inner.lock().engine = engine.map(Some);
        self.wake.notify_all();
    }

    /// Whether the engine can be used.
    pub fn state(&self) -> EngineState {
        match &self.inner.lock().engine {
            Ok(None) => EngineState::Loading,
            Ok(Some(_)) => EngineState::Ready,
            Err(fault) => EngineState::Missing(fault.clone()),
        }
    }

    /// Whether utterances may be given to it.
    pub fn is_there(&self) -> bool {
        self.inner.lock().engine.is_ok()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    /// Adds a job; gives it back when as many wait as may, or the lane is closed.
    ///
    /// # Errors
    /// The job.
    pub fn push(&self, job: Job) -> Result<(), Box<Job>> {
        let mut inner = self.inner.lock();
        if inner.closed || inner.waiting.len() >= WAITING_MAX {
            return Err(Box::new(job));
        }
        inner.waiting.push_back(job);
        self.wake.notify_one();
        Ok(())
    }

    /// Takes what waits and `is_it`, since nobody listens any more.
    pub fn cancel(&self, is_it: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut inner = self.inner.lock();
        let (cancelled, kept) = inner.waiting.drain(..).partition(is_it);
        inner.waiting = kept;
        Vec::from_iter::<VecDeque<Job>>(cancelled)
    }

    /// Takes all that waits and lets the workers stop.
    pub fn close(&self) -> Vec<Job> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        self.wake.notify_all();
        inner.waiting.drain(..).collect()
    }

    /// Waits for something to do. While the engine is loading, only utterances that have waited
    /// too long come out.
    pub fn next(&self) -> Turn {
        let mut inner = self.inner.lock();
        loop {
            if inner.closed {
                return Turn::Stop;
            }
            let oldest = inner.waiting.front().map(|job| job.ended_at + WAIT_MAX);
            match (oldest, &inner.engine) {
                (Some(deadline), engine) => {
                    let engine = engine.clone();
                    let expired = deadline <= Instant::now();
                    if !expired && matches!(engine, Ok(None)) {
                        self.wake.wait_until(&mut inner, deadline);
                        continue;
                    }
                    let Some(job) = inner.waiting.pop_front() else { continue };
                    return match engine {
                        Ok(Some(engine)) if !expired => Turn::Work(job, engine),
                        Ok(_) | Err(_) => Turn::GiveUp(job),
                    };
                }
                (None, _) => self.wake.wait(&mut inner),
            }
        }
    }
}
