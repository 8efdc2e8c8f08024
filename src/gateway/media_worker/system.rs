//! The system calls of a media thread: readiness of many sockets, a wake-up, a place in the queue
//! for the processor. The only unsafe code of the media worker.
//!
//! `epoll` in its level-triggered form, which `mio` does not offer: a socket that is not empty is
//! reported again, so one `recv` a packet suffices and the one that would find nothing is saved.
#![allow(unsafe_code)] // Calls into libc; each says why it is sound.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Sockets reported at once.
const EVENTS: usize = 1_024;

/// The priority among real-time threads: above none but the rest of the machine.
const REALTIME_PRIORITY: libc::c_int = 5;

/// The niceness tried when real time is not granted.
const NICENESS: libc::c_int = -11;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    let descriptor = checked(result)?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Wakes the thread that waits on the [`Poller`] it came from.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Ends the present or the next wait.
    pub fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes of a live variable are written to an open eventfd. It fails only
        // when the counter is full, and then the thread is awake anyway.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

/// The sockets of one thread, and its wake-up.
pub struct Poller {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// A poller without sockets.
    ///
    /// # Errors
    ///
    /// The system's: no descriptors are left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let epoll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: no pointers are passed.
        let wake = Arc::new(owned(unsafe { libc::eventfd(0, flags) })?);
        Ok(Self { epoll, wake, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS] })
    }

    /// What wakes this poller's thread.
    pub fn waker(&self) -> Waker {
        Waker(self.wake.clone())
    }

    /// Watches `socket` and reports it by `token`. It is watched until it is closed or removed.
    ///
    /// # Errors
    ///
    /// The system's: no memory, or too many sockets watched by this user.
    pub fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        let (epoll, socket) = (self.epoll.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: `event` outlives the call, both descriptors are open.
        checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &raw mut event) })?;
        Ok(())
    }

    /// Watches `socket` no more.
    pub fn remove(&self, socket: &impl AsRawFd) {
        let (epoll, socket) = (self.epoll.as_raw_fd(), socket.as_raw_fd());
        let none = std::ptr::null_mut();
        // SAFETY: this operation ignores its pointer. A socket not watched is an error that means
        // what was wanted.
        unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, socket, none) };
    }

    /// Appends the tokens of sockets that have something to read, at most 1,024, without waiting.
    pub fn ready(&mut self, tokens: &mut Vec<u64>) {
        let (epoll, room) = (self.epoll.as_raw_fd(), self.events.len() as libc::c_int);
        // SAFETY: the list has room for as many events as the call is told.
        let count = unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), room, 0) };
        // An error is an interruption: the sockets are asked again in the next phase.
        let count = usize::try_from(count).unwrap_or(0);
        tokens.extend(self.events.iter().take(count).map(|event| event.u64));
    }

    /// Sleeps until woken or for `timeout`; `None` means until woken.
    pub fn wait(&self, timeout: Option<Duration>) {
        let mut wake = libc::pollfd { fd: self.wake.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: one `pollfd` is passed and one is said to be there; the time outlives the call.
        let woken = unsafe { libc::ppoll(&raw mut wake, 1, timeout, std::ptr::null()) };
        if woken > 0 {
            let mut count = 0_u64;
            // SAFETY: eight bytes are read into a live variable.
            unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut count).cast(), 8) };
        }
    }
}

/// The slice of processor time asked for when real time is not granted: the least that Linux gives,
/// since whoever asks for short slices is served sooner. Measured beside recognisers on all cores: 99
/// of 100 ticks late by 0.1 ms at most, instead of 0.5 ms. It does not help against other programs,
/// among which Linux divides the time by session: real time does.
const SLICE_NS: u64 = 100_000;

/// How the present thread competes for the processor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Priority {
    /// Before all ordinary threads.
    Realtime,
    /// A larger share than ordinary threads.
    Favoured,
    /// As everybody else: the system grants no more.
    Ordinary,
}

/// Asks for the best priority that the system grants to the present thread.
///
/// Real time cannot starve the machine for good: the kernel keeps 5 % back (`sched_rt_runtime_us`).
pub fn raise_priority() -> Priority {
    let wanted = libc::sched_param { sched_priority: REALTIME_PRIORITY };
    // SAFETY: the parameter outlives the call; 0 means the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const wanted) } == 0 {
        return Priority::Realtime;
    }
    if shorten_slice(NICENESS) {
        return Priority::Favoured;
    }
    // SAFETY: no pointers are passed; 0 means the calling thread, as Linux has it.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } == 0 {
        return Priority::Favoured;
    }
    shorten_slice(0);
    Priority::Ordinary
}

/// Asks for short slices (since Linux 6.12; before, the kernel ignores it) and a niceness. Everybody
/// may ask for the former.
fn shorten_slice(niceness: libc::c_int) -> bool {
    /// `struct sched_attr` in its first form, `sched_setattr(2)`.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: niceness,
        priority: 0,
        runtime_ns: SLICE_NS,
        deadline_ns: 0,
        period_ns: 0,
    };
    // SAFETY: the attributes outlive the call and say their length; 0 means the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) == 0 }
}

/// Raises the limit of open descriptors to what the system allows: two sockets a leg. Returns it; without
/// bound where the system does not say.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a live variable.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return u64::MAX;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: the limit outlives the call.
    let done = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0;
    if done { raised.rlim_cur } else { limit.rlim_cur }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn readable_sockets_are_reported_until_they_are_read() {
        let mut poller = Poller::new().unwrap();
        let [a, b] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        poller.add(&a, 7).unwrap();
        poller.add(&b, 8).unwrap();
        let mut tokens = Vec::new();
        poller.ready(&mut tokens);
        assert!(tokens.is_empty());
        b.send_to(b"x", a.local_addr().unwrap()).unwrap();
        poller.ready(&mut tokens);
        poller.ready(&mut tokens);
        assert_eq!(tokens, [7, 7]);
        poller.remove(&a);
        tokens.clear();
        poller.ready(&mut tokens);
        assert!(tokens.is_empty());
    }

    #[test]
    fn a_wake_before_the_wait_ends_it() {
        let poller = Poller::new().unwrap();
        poller.waker().wake();
        poller.wait(None);
        poller.wait(Some(Duration::from_micros(10)));
    }

    #[test]
    fn limits_and_priority_are_asked_for_without_harm() {
        assert!(raise_descriptor_limit() > 0);
        let granted = std::thread::spawn(raise_priority).join().unwrap();
        assert!([Priority::Realtime, Priority::Favoured, Priority::Ordinary].contains(&granted));
    }
}
