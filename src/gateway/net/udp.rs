//! The SIP datagram socket.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// Binds the SIP socket with a receive buffer of `receive_buffer` bytes, or as much of it as the
/// system grants: with the default of some 200 KiB, a burst of INVITEs is lost and comes back as a
/// storm of retransmissions. To be called within the runtime.
///
/// # Errors
/// The system's: the address is in use, is not of this machine, or needs a privilege.
pub fn bind(listen: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    // Refused above the system's limit: then the limit is what we get.
    let _ = socket.set_recv_buffer_size(receive_buffer);
    let _ = socket.set_send_buffer_size(receive_buffer);
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}
