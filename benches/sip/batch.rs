//! Datagrams in batches: many in one system call, so that the load costs less than what it measures.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams in one system call.
const BATCH: usize = 64;
/// The longest message that the load reads or writes.
const LENGTH_MAX: usize = 2_048;
/// As large as the system lets it be.
const BUFFER: libc::c_int = 16 << 20;

/// A socket with its batches.
pub struct Batched {
    socket: UdpSocket,
    received: Vec<[u8; LENGTH_MAX]>,
    lengths: Vec<(usize, SocketAddrV4)>,
    unsent: Vec<(Vec<u8>, SocketAddrV4)>,
    /// Of `unsent`, how many are to be sent; the others are room.
    waiting: usize,
    /// Datagrams that the system did not take.
    pub dropped: u64,
}

impl Batched {
    /// Binds a port of `address`.
    pub fn bind(address: Ipv4Addr) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        for (forced, option) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            if !set_buffer(&socket, forced) {
                set_buffer(&socket, option);
            }
        }
        Ok(Self {
            socket,
            received: vec![[0; LENGTH_MAX]; BATCH],
            lengths: Vec::with_capacity(BATCH),
            unsent: Vec::new(),
            waiting: 0,
            dropped: 0,
        })
    }

    /// Our address.
    pub fn local(&self) -> io::Result<SocketAddrV4> {
        match self.socket.local_addr()? {
            std::net::SocketAddr::V4(address) => Ok(address),
            std::net::SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Reads what is there, a batch at most, and shows each datagram to `take`.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8], SocketAddrV4)) -> usize {
        self.read_batch();
        for (buffer, (length, from)) in self.received.iter().zip(&self.lengths) {
            take(&buffer[..*length], *from);
        }
        self.lengths.len()
    }

    /// Room for a datagram to `remote`, to be written by the caller; sent with the next `flush`.
    pub fn write(&mut self, remote: SocketAddrV4) -> &mut Vec<u8> {
        if self.waiting == BATCH {
            self.flush();
        }
        if self.waiting == self.unsent.len() {
            self.unsent.push((Vec::with_capacity(LENGTH_MAX), remote));
        }
        let (buffer, to) = &mut self.unsent[self.waiting];
        self.waiting += 1;
        buffer.clear();
        *to = remote;
        buffer
    }

    /// Sends what was written.
    pub fn flush(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let mut names: Vec<libc::sockaddr_in> = Vec::with_capacity(BATCH);
        let mut parts: Vec<libc::iovec> = Vec::with_capacity(BATCH);
        for (bytes, remote) in &mut self.unsent[..self.waiting] {
            names.push(name_of(*remote));
            parts.push(libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() });
        }
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
        for (name, part) in names.iter_mut().zip(&mut parts) {
            headers.push(header(name, part));
        }
        let count = headers.len() as libc::c_uint;
        // SAFETY: the headers point at names, parts and buffers that live until after the call.
        let sent =
            unsafe { libc::sendmmsg(self.socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
        self.dropped += (self.waiting - usize::try_from(sent).unwrap_or(0)) as u64;
        self.waiting = 0;
    }

    fn read_batch(&mut self) {
        self.lengths.clear();
        // SAFETY: all zeroes is a valid value of these C structures.
        let mut names: [libc::sockaddr_in; BATCH] = unsafe { zeroed() };
        let mut parts: Vec<libc::iovec> = Vec::with_capacity(BATCH);
        for buffer in &mut self.received {
            parts.push(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LENGTH_MAX });
        }
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
        for (name, part) in names.iter_mut().zip(&mut parts) {
            headers.push(header(name, part));
        }
        let count = headers.len() as libc::c_uint;
        let socket = self.socket.as_raw_fd();
        // SAFETY: as in `flush`; each buffer is as long as its part says.
        let received =
            unsafe { libc::recvmmsg(socket, headers.as_mut_ptr(), count, 0, std::ptr::null_mut()) };
        let received = usize::try_from(received).unwrap_or(0);
        for (header, name) in headers.iter().zip(&names).take(received) {
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            let from = SocketAddrV4::new(ip, u16::from_be(name.sin_port));
            self.lengths.push((header.msg_len as usize, from));
        }
    }
}

fn set_buffer(socket: &UdpSocket, option: libc::c_int) -> bool {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int of this size.
    let result = unsafe {
        let buffer = BUFFER;
        let value = (&raw const buffer).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size)
    };
    result == 0
}

fn name_of(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn header(name: &mut libc::sockaddr_in, part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: all zeroes is a valid value of this C structure.
    let mut header: libc::mmsghdr = unsafe { zeroed() };
    header.msg_hdr.msg_name = (&raw mut *name).cast();
    header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    header.msg_hdr.msg_iov = &raw mut *part;
    header.msg_hdr.msg_iovlen = 1;
    header
}
