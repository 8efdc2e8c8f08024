//! Lowers the priority of an engine's thread, so that the 20 ms tick of the media threads comes
//! first.
#![allow(unsafe_code)] // One system call.

/// How nice engines are: at 10 a thread gets about a tenth of the time of an ordinary one when
/// both want the same core.
const NICENESS: libc::c_int = 10;

/// Lowers the calling thread's priority, and with it that of the threads it starts from now on.
/// Where the system refuses, it goes on as it was.
pub fn lower() {
    // SAFETY: takes three integers. On Linux a `who` of 0 is the calling thread alone, and a
    // thread inherits the value of the one that started it.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0;
    if refused {
        tracing::warn!("the priority of an engine's thread could not be lowered");
    }
}
