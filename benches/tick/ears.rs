//! Who hears the streams, and measures the gaps in them by the kernel's clock.

use hdrhistogram::Histogram;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The receiver: one socket for all streams, told apart by their source (SSRC).
pub struct Ears {
    pub socket: Arc<UdpSocket>,
    pub address: SocketAddr,
    gaps: Arc<parking_lot::Mutex<Gaps>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The gaps between packets of one stream, in microseconds.
pub struct Gaps {
    last_us: HashMap<[u8; 4], u64>,
    gaps_us: Histogram<u64>,
}

impl Ears {
    pub fn open() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"));
        kernel_clock::enable(&socket);
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("the time is not zero");
        let gaps = Arc::new(parking_lot::Mutex::new(Gaps::default()));
        let address = socket.local_addr().expect("the socket is bound");
        let thread = {
            let (socket, gaps, done) = (socket.clone(), gaps.clone(), done.clone());
            // Of ordinary priority: the kernel takes the time, and a receiver that preempted the
            // sender at each packet would be measured instead of it.
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if let Some((source, at_us)) = kernel_clock::receive(&socket) {
                        gaps.lock().hear(source, at_us);
                    }
                }
            })
        };
        Self { socket, address, gaps, done, thread: Some(thread) }
    }

    /// What was heard since the start, or since this was last asked.
    pub fn take(&self) -> Gaps {
        std::mem::take(&mut *self.gaps.lock())
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the receiver does not fail");
        }
    }
}

impl Default for Gaps {
    fn default() -> Self {
        let gaps_us = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Self { last_us: HashMap::new(), gaps_us }
    }
}

impl Gaps {
    fn hear(&mut self, source: [u8; 4], at_us: u64) {
        if let Some(last) = self.last_us.insert(source, at_us) {
            self.gaps_us.saturating_record(at_us.saturating_sub(last));
        }
    }

    /// The share of gaps within 10 ms of 20 ms.
    pub fn good(&self) -> f64 {
        let gaps = &self.gaps_us;
        gaps.count_between(10_000, 30_000) as f64 / gaps.len().max(1) as f64
    }

    pub fn json(&self) -> serde_json::Value {
        let gaps = &self.gaps_us;
        serde_json::json!({
            "streams": self.last_us.len(),
            "gaps": gaps.len(),
            "within_10_ms": (self.good() * 1e6).floor() / 1e6,
            "p0001_us": gaps.value_at_quantile(0.0001),
            "p50_us": gaps.value_at_quantile(0.5),
            "p9999_us": gaps.value_at_quantile(0.9999),
            "max_us": gaps.max(),
        })
    }
}

/// When the kernel received a packet, whenever we come to read it (`SO_TIMESTAMPNS`).
mod kernel_clock {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    pub fn enable(socket: &UdpSocket) {
        assert_eq!(set(socket, libc::SO_TIMESTAMPNS, 1), 0, "the kernel gives no timestamps");
        // Room for a second of 4,000 streams; what is refused to others than root must do without.
        if set(socket, libc::SO_RCVBUFFORCE, 256 << 20) != 0 {
            set(socket, libc::SO_RCVBUF, 8 << 20);
        }
    }

    fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> libc::c_int {
        let length = size_of_val(&value) as libc::socklen_t;
        let value = (&raw const value).cast();
        // SAFETY: the value outlives the call and has the length said.
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, length) }
    }

    /// The source of the next RTP packet, and its time in microseconds; `None` for anything else.
    pub fn receive(socket: &UdpSocket) -> Option<([u8; 4], u64)> {
        let mut bytes = [0_u8; 256];
        let mut control = [0_u64; 16];
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: zeros are a valid `msghdr`: no address, no parts, no control.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: all that `message` points to is live and as long as it says.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
        if length < 12 || (192..=223).contains(&bytes[1]) {
            return None;
        }
        // SAFETY: the kernel has filled the control buffer, and says in `message` how far.
        let time = unsafe {
            let head = libc::CMSG_FIRSTHDR(&raw const message).as_ref()?;
            if head.cmsg_type != libc::SCM_TIMESTAMPNS {
                return None;
            }
            libc::CMSG_DATA(head).cast::<libc::timespec>().read_unaligned()
        };
        let micros = time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000;
        Some(([bytes[8], bytes[9], bytes[10], bytes[11]], micros))
    }
}
