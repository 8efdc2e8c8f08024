//! Processors and what the system says of a process.

use crate::common::Failure;

/// The processor of what is measured.
pub const MEASURED: usize = 0;
/// The processor of the load.
pub const LOAD: usize = 1;

/// How many processors there are, those included that this thread is kept from.
pub fn count() -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// Keeps the calling thread, and what it starts, on one processor. With a single one nothing is done.
pub fn keep_to(processor: usize) -> std::io::Result<()> {
    if count() < 2 {
        return Ok(());
    }
    // SAFETY: all zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is below the size of the set.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set lives until after the call.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Starts a command on the processor of what is measured.
pub fn measured(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only a system call is made.
    unsafe { command.pre_exec(|| keep_to(MEASURED)) }
}

/// Processor time and memory of processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system, in milliseconds.
    pub cpu_ms: f64,
    /// Memory in use, in KiB.
    pub rss_kib: u64,
}

impl Usage {
    /// Of these processes together.
    pub fn read(processes: &[u32]) -> Result<Self, Failure> {
        let mut usage = Self::default();
        for process in processes {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
            // Fields 14 and 15 of proc(5), behind the name in parentheses, which may hold blanks.
            let fields: Vec<&str> =
                stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |place: usize| fields.get(place).and_then(|it| it.parse::<f64>().ok());
            // SAFETY: no pointers.
            let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
            let ticks = ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0);
            usage.cpu_ms += ticks * 1_000.0 / per_second;
            let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:"));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            usage.rss_kib += kib.unwrap_or(0);
        }
        Ok(usage)
    }
}
