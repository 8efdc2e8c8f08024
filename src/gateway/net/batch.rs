//! Datagrams in batches, each with how long it has waited in its socket's buffer, and how many did not
//! find room there: the system notes when each arrived (`SO_TIMESTAMPNS`) and how many were lost before
//! it (`SO_RXQ_OVFL`). Overload is measured by both.
#![allow(unsafe_code)] // Three calls into libc, each of which says why it is sound.

use socket2::{SockAddr, SockAddrStorage, Socket};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams in one system call.
pub const BATCH: usize = 32;
/// RFC 3261 §18.1.1: a datagram is at most 65,535 octets.
const LENGTH_MAX: usize = 65_535;
/// Room for the two notes we ask for.
const NOTES: usize = 64;

/// From now on the system makes its notes; whether it does.
pub fn take_notes(socket: &Socket) -> bool {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    [libc::SO_TIMESTAMPNS, libc::SO_RXQ_OVFL].iter().all(|option| {
        // SAFETY: the descriptor is the socket's own, and `on` is as long as said and lives on.
        let set = unsafe {
            let (socket, on) = (socket.as_raw_fd(), (&raw const on).cast());
            libc::setsockopt(socket, libc::SOL_SOCKET, *option, on, length)
        };
        set == 0
    })
}

/// A datagram of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What it says.
    pub octets: &'a [u8],
    /// Whence it came.
    pub remote: SocketAddr,
    /// How many had not found room in the buffer when it arrived, since the socket was bound; wraps.
    pub lost: u32,
    arrived: Option<SystemTime>,
}

impl Datagram<'_> {
    /// How long it has waited until now; zero where the system does not say.
    pub fn waited(&self) -> Duration {
        let waited = self.arrived.and_then(|at| SystemTime::now().duration_since(at).ok());
        waited.unwrap_or_default()
    }
}

/// What the system writes about one datagram. Aligned as the notes in it must be.
struct Slot {
    source: SockAddrStorage,
    part: libc::iovec,
    notes: [MaybeUninit<u64>; NOTES / 8],
}

/// Room for as many datagrams as are taken in one system call. Only the pages that datagrams need are
/// ever touched.
pub struct Batch {
    octets: Vec<u8>,
    slots: Vec<Slot>,
    headers: Vec<libc::mmsghdr>,
    taken: usize,
}

// SAFETY: the pointers in it are to its own memory, made anew before each use.
unsafe impl Send for Batch {}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: all zeroes is a valid value of these C structures.
        let header = || unsafe { zeroed() };
        let slot = || Slot {
            source: SockAddrStorage::zeroed(),
            part: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            notes: [MaybeUninit::uninit(); NOTES / 8],
        };
        Self {
            octets: vec![0; BATCH * LENGTH_MAX],
            slots: (0..BATCH).map(|_| slot()).collect(),
            headers: (0..BATCH).map(|_| header()).collect(),
            taken: 0,
        }
    }
}

impl Batch {
    /// Takes what is there, at most a batch: how many, of which there is then [`Batch::get`]. With fewer
    /// than a batch, the socket was empty, and is said not to be readable until more comes.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is none.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.taken = 0;
        let descriptor = socket.as_raw_fd();
        let ended = socket.try_io(Interest::READABLE, || {
            self.taken = self.receive_from(descriptor)?;
            match self.taken {
                BATCH => Ok(()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        match ended {
            Err(error) if self.taken == 0 => Err(error),
            _ => Ok(self.taken),
        }
    }

    /// The datagram at `index`, below what the last [`Batch::receive`] gave; `None` for one whose sender
    /// has no address.
    pub fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let (slot, header) = (&self.slots[..self.taken].get(index)?, &self.headers[index]);
        let length = usize::try_from(header.msg_len).unwrap_or(0).min(LENGTH_MAX);
        let octets = &self.octets[index * LENGTH_MAX..][..length];
        // SAFETY: plain memory of the system, which wrote an address of this length there.
        let source =
            unsafe { SockAddr::new((&raw const slot.source).read(), header.msg_hdr.msg_namelen) };
        // SAFETY: the header is as the system left it, and its notes are in the slot.
        let (arrived, lost) = unsafe { noted(&header.msg_hdr) };
        let arrived = arrived.map(|at| UNIX_EPOCH + at);
        Some(Datagram { octets, remote: source.as_socket()?, lost, arrived })
    }

    fn receive_from(&mut self, descriptor: libc::c_int) -> io::Result<usize> {
        let octets = self.octets.chunks_exact_mut(LENGTH_MAX);
        for ((slot, header), octets) in self.slots.iter_mut().zip(&mut self.headers).zip(octets) {
            slot.part.iov_base = octets.as_mut_ptr().cast();
            slot.part.iov_len = LENGTH_MAX;
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut slot.source).cast();
            header.msg_namelen = slot.source.size_of();
            header.msg_iov = &raw mut slot.part;
            header.msg_iovlen = 1;
            header.msg_control = slot.notes.as_mut_ptr().cast();
            header.msg_controllen = NOTES as _;
        }
        // SAFETY: all pointers in the headers are to memory of `self` that is as long as said; there are
        // as many headers as said.
        let taken = unsafe {
            libc::recvmmsg(
                descriptor,
                self.headers.as_mut_ptr(),
                BATCH as _,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(taken).map_err(|_| io::Error::last_os_error())
    }
}

/// When the datagram arrived, since 1970, and how many were lost before it.
///
/// # Safety
/// `header` is as the system left it, and its notes are still there.
unsafe fn noted(header: &libc::msghdr) -> (Option<Duration>, u32) {
    let (mut arrived, mut lost) = (None, 0);
    // SAFETY: by the contract above; notes are copied from where they may not be aligned.
    unsafe {
        let mut note = libc::CMSG_FIRSTHDR(header);
        while !note.is_null() {
            let data = libc::CMSG_DATA(note);
            match ((*note).cmsg_level, (*note).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let at = data.cast::<libc::timespec>().read_unaligned();
                    let parts = (u64::try_from(at.tv_sec).ok(), u32::try_from(at.tv_nsec).ok());
                    arrived = parts.0.zip(parts.1).map(|(s, ns)| Duration::new(s, ns));
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    lost = data.cast::<u32>().read_unaligned();
                }
                _ => (),
            }
            note = libc::CMSG_NXTHDR(header, note);
        }
    }
    (arrived, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::udp;

    #[tokio::test]
    async fn batches_keep_the_order_and_tell_how_long_each_has_waited() {
        let socket = udp::bind("127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let began = std::time::Instant::now();
        let count = BATCH + 3;
        for number in 0..count {
            let message = vec![b'x'; number * 100];
            sender.send_to(&message, socket.local_addr().unwrap()).await.unwrap();
        }
        socket.readable().await.unwrap();
        let mut batch = Batch::default();
        let mut lengths = Vec::new();
        for expected in [BATCH, 3] {
            assert_eq!(batch.receive(&socket).unwrap(), expected);
            for at in 0..expected {
                let datagram = batch.get(at).unwrap();
                assert_eq!(datagram.remote, sender.local_addr().unwrap());
                let waited = datagram.waited();
                assert!(waited > Duration::ZERO && waited <= began.elapsed(), "{waited:?}");
                lengths.push(datagram.octets.len());
            }
            assert!(batch.get(expected).is_none());
        }
        assert_eq!(lengths, (0..count).map(|number| number * 100).collect::<Vec<_>>());
        assert_eq!(batch.receive(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.get(0).is_none());
        // What comes after an empty socket is told.
        sender.send_to(b"again", socket.local_addr().unwrap()).await.unwrap();
        socket.readable().await.unwrap();
        assert_eq!(batch.receive(&socket).unwrap(), 1);
        assert_eq!(batch.get(0).unwrap().octets, b"again");
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted() {
        let socket = udp::bind("127.0.0.1:0".parse().unwrap(), 4_096).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut batch = Batch::default();
        let (mut sent, mut taken, mut lost) = (0_u32, 0, 0);
        for count in [50, 1] {
            for _ in 0..count {
                sender.send_to(&[b'x'; 1_000], socket.local_addr().unwrap()).await.unwrap();
            }
            sent += count;
            socket.readable().await.unwrap();
            while let Ok(count) = batch.receive(&socket) {
                taken += u32::try_from(count).unwrap();
                lost = batch.get(count - 1).unwrap().lost;
            }
        }
        assert!(lost > 0);
        assert_eq!(taken + lost, sent);
    }
}
