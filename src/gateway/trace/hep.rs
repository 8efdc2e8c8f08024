//! Messages for a HOMER collector: HEP3 datagrams, one a message.
//!
//! The format: `HEP3`, the length of all, then chunks of vendor (0), type, length and value, all in
//! network byte order (the HEPv3 specification of the SIPCAPTURE project, §3).

use sip::event::{Flow, Transport};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// Longer messages are cut: a datagram holds no more.
const PAYLOAD_MAX: usize = 65_000;
/// The chunk that says what is carried: SIP.
const SIP: u8 = 1;

/// Where to, and as whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HepConfig {
    /// The collector.
    pub collector: SocketAddr,
    /// Our number among its agents.
    pub agent: u32,
    /// What it asks of its agents; empty: nothing.
    pub key: Arc<str>,
}

/// The way to a collector. What it cannot take is lost: the calls matter more.
#[derive(Debug)]
pub struct Hep {
    config: HepConfig,
    socket: UdpSocket,
    datagram: Vec<u8>,
}

impl Hep {
    /// Opens a socket.
    ///
    /// # Errors
    /// The system's: no socket could be had.
    pub fn open(config: HepConfig) -> std::io::Result<Self> {
        let any: SocketAddr = match config.collector {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        Ok(Self { config, socket, datagram: Vec::new() })
    }

    /// Sends a copy of a message.
    pub fn send(&mut self, wall_ms: u64, sent: bool, flow: &Flow, message: &[u8]) {
        self.datagram.clear();
        write(&self.config, wall_ms, sent, flow, message, &mut self.datagram);
        let _ = self.socket.send_to(&self.datagram, self.config.collector);
    }
}

/// Writes the datagram of one message.
fn write(
    config: &HepConfig,
    wall_ms: u64,
    sent: bool,
    flow: &Flow,
    message: &[u8],
    out: &mut Vec<u8>,
) {
    let (from, to) = match sent {
        true => (flow.local, flow.remote),
        false => (flow.remote, flow.local),
    };
    out.extend_from_slice(b"HEP3\0\0");
    let (family, address) = if from.is_ipv4() { (2, 3) } else { (10, 5) };
    chunk(out, 1, &[family]);
    // By the numbers of IP: 17 is UDP, 6 is TCP, beneath TLS and WebSocket too.
    chunk(out, 2, &[if flow.transport == Transport::Udp { 17 } else { 6 }]);
    for (kind, end) in [(address, from), (address + 1, to)] {
        match end.ip() {
            IpAddr::V4(ip) => chunk(out, kind, &ip.octets()),
            IpAddr::V6(ip) => chunk(out, kind, &ip.octets()),
        }
    }
    chunk(out, 7, &from.port().to_be_bytes());
    chunk(out, 8, &to.port().to_be_bytes());
    let seconds = u32::try_from(wall_ms / 1_000).unwrap_or(u32::MAX);
    let micros = u32::try_from(wall_ms % 1_000 * 1_000).unwrap_or(0);
    chunk(out, 9, &seconds.to_be_bytes());
    chunk(out, 10, &micros.to_be_bytes());
    chunk(out, 11, &[SIP]);
    chunk(out, 12, &config.agent.to_be_bytes());
    if !config.key.is_empty() {
        chunk(out, 14, config.key.as_bytes());
    }
    chunk(out, 15, &message[..message.len().min(PAYLOAD_MAX)]);
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
    out[4..6].copy_from_slice(&length.to_be_bytes());
}

fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 6).unwrap_or(u16::MAX);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(datagram: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let two = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
        assert_eq!(&datagram[..4], b"HEP3");
        assert_eq!(usize::from(two(4)), datagram.len());
        let (mut at, mut found) = (6, Vec::new());
        while at < datagram.len() {
            let length = usize::from(two(at + 4));
            assert_eq!(two(at), 0, "the vendor of the standard's chunks");
            found.push((two(at + 2), datagram[at + 6..at + length].to_vec()));
            at += length;
        }
        found
    }

    #[test]
    fn a_message_is_wrapped_with_its_ends_its_time_and_the_key() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = HepConfig {
            collector: collector.local_addr().unwrap(),
            agent: 2_001,
            key: "secret".into(),
        };
        let mut hep = Hep::open(config).unwrap();
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "198.51.100.7:5080".parse().unwrap(),
        };
        hep.send(1_700_000_000_123, false, &flow, b"BYE sip:h SIP/2.0\r\n\r\n");
        let mut buffer = [0; 2_048];
        let length = collector.recv(&mut buffer).unwrap();
        let expected: Vec<(u16, Vec<u8>)> = vec![
            (1, vec![2]),
            (2, vec![17]),
            (3, vec![198, 51, 100, 7]),
            (4, vec![192, 0, 2, 1]),
            (7, 5_080_u16.to_be_bytes().to_vec()),
            (8, 5_060_u16.to_be_bytes().to_vec()),
            (9, 1_700_000_000_u32.to_be_bytes().to_vec()),
            (10, 123_000_u32.to_be_bytes().to_vec()),
            (11, vec![1]),
            (12, 2_001_u32.to_be_bytes().to_vec()),
            (14, b"secret".to_vec()),
            (15, b"BYE sip:h SIP/2.0\r\n\r\n".to_vec()),
        ];
        assert_eq!(chunks(&buffer[..length]), expected);
    }

    #[test]
    fn ipv6_and_streams_have_numbers_of_their_own_and_a_long_message_is_cut() {
        let collector: SocketAddr = "[::1]:9060".parse().unwrap();
        let config = HepConfig { collector, agent: 1, key: "".into() };
        let flow = Flow {
            transport: Transport::Tls,
            local: "[2001:db8::1]:5061".parse().unwrap(),
            remote: "[2001:db8::2]:40000".parse().unwrap(),
        };
        let mut datagram = Vec::new();
        write(&config, 5, true, &flow, &vec![b'x'; 70_000], &mut datagram);
        let found = chunks(&datagram);
        assert_eq!(found[..2], [(1, vec![10]), (2, vec![6])]);
        assert_eq!((found[2].0, found[2].1[15]), (5, 1), "we are the sender");
        assert_eq!((found[3].0, found[3].1[15]), (6, 2));
        assert_eq!(found.last().map(|(kind, value)| (*kind, value.len())), Some((15, PAYLOAD_MAX)));
        assert!(found.iter().all(|(kind, _)| *kind != 14), "no key was asked for");
    }
}
