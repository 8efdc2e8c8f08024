//! The SIP datagram sockets, one for each listener.
#![allow(unsafe_code)] // One call into libc, which says why it is sound.

use super::batch::{self, Batch};
use socket2::{Domain, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::Poll;
use tokio::net::UdpSocket;

/// Binds a SIP socket with a receive buffer of `receive_buffer` bytes, or as much of it as the
/// system grants: with the default of some 200 KiB, a burst of INVITEs is lost and comes back as a
/// storm of retransmissions. To be called within the runtime.
///
/// # Errors
/// The system's: the address is in use, is not of this machine, or needs a privilege.
pub fn bind(listen: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners, so that a flow has one family only.
        socket.set_only_v6(true)?;
    }
    if !force_receive_buffer(&socket, receive_buffer) {
        // Refused above the system's limit: then the limit is what we get.
        let _ = socket.set_recv_buffer_size(receive_buffer);
    }
    let _ = socket.set_send_buffer_size(receive_buffer);
    // Without it, nothing is known of overload, and all calls are taken.
    let _ = batch::take_notes(&socket);
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

/// Sets the buffer beyond the system's limit, which takes a privilege (CAP_NET_ADMIN); whether it
/// could.
fn force_receive_buffer(socket: &Socket, bytes: usize) -> bool {
    let Ok(bytes) = libc::c_int::try_from(bytes) else { return false };
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the descriptor is the socket's own, and `bytes` is as long as said and lives on.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const bytes).cast(),
            length,
        )
    };
    set == 0
}

/// What was taken of a socket in one go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// Datagrams, now in the batch.
    pub count: usize,
    /// Our address.
    pub local: SocketAddr,
    /// Datagrams that found no room in the socket's buffer since it was last read.
    pub lost: u32,
}

/// All datagram sockets.
#[derive(Debug)]
pub struct Datagrams {
    sockets: Vec<(SocketAddr, UdpSocket)>,
    /// Of each, how many datagrams had found no room when it was last read.
    lost: Vec<AtomicU32>,
    /// Which is looked at first next time, so that a flood on one does not starve the others.
    first: AtomicUsize,
}

impl Datagrams {
    /// These, each with its address as flows have it.
    pub fn new(sockets: Vec<(SocketAddr, UdpSocket)>) -> Self {
        let lost = sockets.iter().map(|_| AtomicU32::new(0)).collect();
        Self { sockets, lost, first: AtomicUsize::new(0) }
    }

    /// Waits until one may have a datagram; which.
    pub async fn readable(&self) -> usize {
        let count = self.sockets.len();
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        poll_fn(|context| {
            let ready = (0..count).map(|at| first.wrapping_add(at) % count).find(|at| {
                // An error is told by reading.
                self.sockets[*at].1.poll_recv_ready(context).is_ready()
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Waits until all are known to take datagrams: a socket just opened is not before the first
    /// look at it.
    pub async fn writable(&self) {
        for (_, socket) in &self.sockets {
            let _ = socket.writable().await;
        }
    }

    /// Takes datagrams of the socket at `index`.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is none.
    pub fn receive(&self, index: usize, batch: &mut Batch) -> io::Result<Taken> {
        let (local, socket) = &self.sockets[index];
        let count = batch.receive(socket)?;
        let lost = batch.get(count.saturating_sub(1)).map_or(0, |datagram| {
            datagram.lost.wrapping_sub(self.lost[index].swap(datagram.lost, Ordering::Relaxed))
        });
        Ok(Taken { count, local: *local, lost })
    }

    /// Sends a datagram from the socket at `local`.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when it has no room, `AddrNotAvailable` when no socket is there.
    pub fn send(&self, local: SocketAddr, remote: SocketAddr, message: &[u8]) -> io::Result<()> {
        let socket = self.sockets.iter().find(|(address, _)| *address == local);
        let (_, socket) = socket.ok_or(io::ErrorKind::AddrNotAvailable)?;
        socket.try_send_to(message, remote).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[tokio::test]
    async fn each_socket_sends_and_receives_from_its_own_address() {
        let addresses: [SocketAddr; 3] = [
            (Ipv4Addr::LOCALHOST, 0).into(),
            (Ipv4Addr::LOCALHOST, 0).into(),
            (Ipv6Addr::LOCALHOST, 0).into(),
        ];
        let bound = addresses.map(|address| bind(address, 1 << 20).unwrap());
        let sockets: Vec<_> =
            bound.into_iter().map(|socket| (socket.local_addr().unwrap(), socket)).collect();
        let locals: Vec<_> = sockets.iter().map(|(local, _)| *local).collect();
        let datagrams = Datagrams::new(sockets);
        datagrams.writable().await;
        let (mut buffer, mut batch) = ([0; 16], Batch::default());
        for (at, local) in locals.iter().enumerate() {
            let peer = UdpSocket::bind((local.ip(), 0)).await.unwrap();
            peer.send_to(b"there", local).await.unwrap();
            let (found, remote) = loop {
                // A socket looked at for the first time may be said to have something.
                let readable = datagrams.readable().await;
                if let Ok(taken) = datagrams.receive(readable, &mut batch) {
                    assert_eq!((taken.count, taken.lost), (1, 0));
                    let datagram = batch.get(0).unwrap();
                    assert_eq!((readable, datagram.octets), (at, &b"there"[..]));
                    break (taken.local, datagram.remote);
                }
            };
            assert_eq!((found, remote), (*local, peer.local_addr().unwrap()));
            datagrams.send(*local, remote, b"back").unwrap();
            let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], from), (&b"back"[..], *local));
        }
        let nowhere = datagrams.send(([192, 0, 2, 1], 1).into(), locals[0], b"x");
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
