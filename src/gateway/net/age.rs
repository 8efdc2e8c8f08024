//! How long a datagram has waited in its socket's buffer: the system notes when each arrived
//! (`SO_TIMESTAMPNS`), and overload is measured by it.
#![allow(unsafe_code)] // Two calls into libc, each of which says why it is sound.

use socket2::{SockAddr, Socket};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for the one note we ask for.
const NOTES: usize = 64;

/// From now on the system notes when datagrams arrive; whether it does.
pub fn note_arrivals(socket: &Socket) -> bool {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the descriptor is the socket's own, and `on` is as long as said and lives on.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            length,
        )
    };
    set == 0
}

/// Takes a datagram: its length, whence it came, and how long it has waited (zero where the system
/// does not say).
///
/// # Errors
/// The system's; `WouldBlock` when there is none.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Duration)> {
    let descriptor = socket.as_raw_fd();
    socket.try_io(Interest::READABLE, || receive_noted(descriptor, buffer))
}

fn receive_noted(
    descriptor: libc::c_int,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddr, Duration)> {
    // Aligned as the notes in it must be.
    let mut notes = [MaybeUninit::<u64>::uninit(); NOTES / 8];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut arrived = None;
    // SAFETY: all pointers in `header` are to memory that is as long as said and outlives the call;
    // the notes are read as far as the system says that it wrote them.
    let (length, source) = unsafe {
        SockAddr::try_init(|storage, size| {
            let mut header: libc::msghdr = zeroed();
            header.msg_name = storage.cast();
            header.msg_namelen = *size;
            header.msg_iov = &raw mut part;
            header.msg_iovlen = 1;
            header.msg_control = notes.as_mut_ptr().cast();
            header.msg_controllen = NOTES as _;
            let length = libc::recvmsg(descriptor, &raw mut header, libc::MSG_DONTWAIT);
            if length < 0 {
                return Err(io::Error::last_os_error());
            }
            *size = header.msg_namelen;
            arrived = noted(&header);
            Ok(length)
        })?
    };
    let source = source.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    let waited = arrived.and_then(|at| SystemTime::now().duration_since(UNIX_EPOCH + at).ok());
    Ok((usize::try_from(length).unwrap_or(0), source, waited.unwrap_or_default()))
}

/// When the datagram arrived, since 1970.
///
/// # Safety
/// `header` is as `recvmsg` left it, and its notes are still there.
unsafe fn noted(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: by the contract above; the note is copied from where it may not be aligned.
    unsafe {
        let note = libc::CMSG_FIRSTHDR(header);
        if note.is_null()
            || (*note).cmsg_level != libc::SOL_SOCKET
            || (*note).cmsg_type != libc::SCM_TIMESTAMPNS
        {
            return None;
        }
        let at: libc::timespec = libc::CMSG_DATA(note).cast::<libc::timespec>().read_unaligned();
        let seconds = u64::try_from(at.tv_sec).ok()?;
        Some(Duration::new(seconds, u32::try_from(at.tv_nsec).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::udp;

    #[tokio::test]
    async fn a_datagram_tells_how_long_it_has_waited() {
        let socket = udp::bind("127.0.0.1:0".parse().unwrap(), 65_536).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let began = std::time::Instant::now();
        sender.send_to(b"hello", socket.local_addr().unwrap()).await.unwrap();
        socket.readable().await.unwrap();
        let mut buffer = [0; 100];
        let (length, source, waited) = receive(&socket, &mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], source),
            (b"hello".as_slice(), sender.local_addr().unwrap())
        );
        assert!(waited > Duration::ZERO && waited <= began.elapsed(), "{waited:?}");
        let error = receive(&socket, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
