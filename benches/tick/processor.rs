//! Who gets the processor: priorities asked for, time spent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Real time, as the media worker asks for it.
pub fn become_urgent() {
    let wanted = libc::sched_param { sched_priority: 5 };
    // SAFETY: the parameter outlives the call; 0 is the calling thread. A refusal only makes the
    // measurement worse.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const wanted) };
}

/// A thread that does nothing useful, with the niceness of an engine's.
pub fn burner(stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let stop = stop.clone();
    std::thread::spawn(move || {
        // SAFETY: no pointers; 0 is the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
        let mut number = 1_u64;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..10_000 {
                number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005) + 1);
            }
        }
    })
}

/// Processor time spent so far: by the media thread, by the engines, by all programs together.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    media: Duration,
    engines: Duration,
    machine: Duration,
}

impl Spent {
    pub fn now() -> Self {
        let of = |prefix| threads(prefix).iter().map(|thread| cpu_of(thread)).sum();
        Self { media: of("media-"), engines: of("hear-"), machine: machine() }
    }

    /// Since `before`, in processors: 1 is one core fully taken.
    pub fn since(self, before: Self, passed: Duration) -> serde_json::Value {
        let cores = |now: Duration, then: Duration| {
            let share = now.saturating_sub(then).as_secs_f64() / passed.as_secs_f64();
            (share * 1_000.0).round() / 1_000.0
        };
        serde_json::json!({
            "media": cores(self.media, before.media),
            "engines": cores(self.engines, before.engines),
            "all_programs": cores(self.machine, before.machine),
        })
    }
}

/// Whether the media thread was granted real time.
pub fn media_is_realtime() -> bool {
    threads("media-").iter().any(|thread| {
        let number = thread.file_name().and_then(|name| name.to_str()?.parse().ok());
        // SAFETY: no pointers; a thread that is gone is an error.
        number.is_some_and(|number| unsafe { libc::sched_getscheduler(number) } == libc::SCHED_RR)
    })
}

/// Our threads whose name begins so. Threads that an engine starts have its thread's name.
fn threads(prefix: &str) -> Vec<PathBuf> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let is_it = |task: &PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with(prefix))
    };
    tasks.flatten().map(|task| task.path()).filter(is_it).collect()
}

/// The time that a thread has spent on a processor.
pub fn cpu_of(task: &Path) -> Duration {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// What all programs have spent, by the first line of `/proc/stat` (hundredths of a second).
fn machine() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let mut ticks = first.split_whitespace().skip(1).filter_map(|number| number.parse().ok());
    let mut next = || ticks.next().unwrap_or(0_u64);
    let (user, nice, system, _idle, _waiting) = (next(), next(), next(), next(), next());
    Duration::from_millis(10 * (user + nice + system + next() + next()))
}
