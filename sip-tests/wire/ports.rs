//! Ports and numbers that nobody else uses.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

/// A number used once in this process.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A block of 200 ports for RTP, below those that the system gives out. Each block is taken once;
/// where it begins depends on the process, so that two runs at once seldom meet, and who finds a
/// port taken tries the next.
pub fn rtp_block() -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % 40) as u16;
    let block = (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 60;
    let first = 10_000 + block * 200;
    (first, first + 199)
}

/// An even UDP port for the sound of SIPp, which binds this and the second above it: below those that
/// the system gives out, so that nobody is given one of them meanwhile, and each taken once.
pub fn media() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % 2_500) as u16;
    for _ in 0..2_500 {
        let place = (begin + NEXT.fetch_add(1, Ordering::Relaxed) % 2_500) % 2_500;
        let port = 22_000 + place * 4;
        let is_free = |port: u16| UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 2) {
            return port;
        }
    }
    panic!("no free pair of ports on loopback")
}

/// A port on loopback that is free for UDP and TCP, with the one above it (baresip takes that for
/// TLS).
pub fn free() -> u16 {
    for _ in 0..1_000 {
        let Ok(tcp) = TcpListener::bind("127.0.0.1:0") else { continue };
        let port = tcp.local_addr().unwrap().port();
        let next = port.saturating_add(1);
        if UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", next)).is_ok()
        {
            return port;
        }
    }
    panic!("no free port on loopback")
}
