//! The messages of a call as a capture file, for whatever reads those (Wireshark, sngrep).
//!
//! The file is libpcap's classic format with link type 101: each packet begins with its IP header.
//! Messages of streams are written as datagrams, too: what was sent is what counts, and TLS is seen
//! in the clear.

use super::reader::{CallTrace, Entry};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// Packets that begin with an IP header (LINKTYPE_RAW).
const LINK_TYPE: u32 = 101;
/// The longest IP packet.
const PACKET_MAX: usize = 65_535;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;

/// Writes all messages of a call; the number of those written. A message of which only one end is
/// known (traced by an earlier version) is left out.
///
/// # Errors
/// The system's, when the file cannot be written.
pub fn write(trace: &CallTrace, file: &mut impl Write) -> io::Result<usize> {
    // Magic number, version 2.4, no time zone, no accuracy.
    file.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    file.write_all(&(PACKET_MAX as u32).to_le_bytes())?;
    file.write_all(&LINK_TYPE.to_le_bytes())?;
    let mut count = 0;
    for entry in &trace.entries {
        let Entry::Message { wall_ms, sent, ends: Some((local, remote)), text, .. } = entry else {
            continue;
        };
        let (from, to) = if *sent { (*local, *remote) } else { (*remote, *local) };
        let Some(packet) = packet(from, to, text.as_bytes()) else { continue };
        let seconds = u32::try_from(wall_ms / 1_000).unwrap_or(u32::MAX);
        let micros = u32::try_from(wall_ms % 1_000 * 1_000).unwrap_or(0);
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        for number in [seconds, micros, length, length] {
            file.write_all(&number.to_le_bytes())?;
        }
        file.write_all(&packet)?;
        count += 1;
    }
    Ok(count)
}

/// An IP packet with a datagram; `None` when the ends are of two families. A text too long for one
/// is cut.
fn packet(from: SocketAddr, to: SocketAddr, text: &[u8]) -> Option<Vec<u8>> {
    let text = &text[..text.len().min(PACKET_MAX - 40 - UDP_HEADER)];
    let length = u16::try_from(text.len() + UDP_HEADER).ok()?;
    let mut packet = Vec::with_capacity(text.len() + 48);
    let mut pseudo = Vec::with_capacity(40);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&(length + 20).to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0x40, 0, 64, UDP, 0, 0]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            let sum = checksum(&[&packet]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            pseudo.extend_from_slice(&packet[12..20]);
            pseudo.extend_from_slice(&[0, UDP]);
            pseudo.extend_from_slice(&length.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(&[UDP, 64]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            pseudo.extend_from_slice(&packet[8..40]);
            pseudo.extend_from_slice(&u32::from(length).to_be_bytes());
            pseudo.extend_from_slice(&[0, 0, 0, UDP]);
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    }
    let mut header = Vec::with_capacity(UDP_HEADER);
    header.extend_from_slice(&from.port().to_be_bytes());
    header.extend_from_slice(&to.port().to_be_bytes());
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    // A sum of zero is written as its other form: zero would say that there is none (RFC 768).
    let sum = match checksum(&[&pseudo, &header, text]) {
        0 => 0xffff,
        sum => sum,
    };
    header[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(&header);
    packet.extend_from_slice(text);
    Some(packet)
}

/// The Internet checksum (RFC 1071 §1) of parts, of which only the last may be of odd length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ends: Option<(&str, &str)>, sent: bool, text: &str) -> Entry {
        let ends = ends.map(|(local, remote)| (local.parse().unwrap(), remote.parse().unwrap()));
        let (peer, text) = ("UDP".to_owned(), text.to_owned());
        Entry::Message { wall_ms: 1_700_000_000_250, leg: 0, sent, peer, ends, text }
    }

    #[test]
    fn each_message_is_a_packet_between_its_ends() {
        let v4 = Some(("192.0.2.1:5060", "198.51.100.7:5080"));
        let v6 = Some(("[2001:db8::1]:5061", "[2001:db8::2]:6000"));
        let entries = vec![
            message(v4, true, "INVITE sip:h SIP/2.0\r\n\r\n"),
            message(v6, false, "SIP/2.0 200 OK\r\n\r\n."),
            message(None, false, "of an earlier version"),
        ];
        let mut file = Vec::new();
        let trace = CallTrace { legs: vec!["caller".into()], entries };
        assert_eq!(write(&trace, &mut file).unwrap(), 2);
        let four = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((four(0), four(20)), (0xa1b2_c3d4, 101));
        assert_eq!((four(24), four(28)), (1_700_000_000, 250_000));
        let first = four(32) as usize;
        assert_eq!(first, 20 + 8 + 24);
        let packet = &file[40..40 + first];
        assert_eq!(packet[12..20], [192, 0, 2, 1, 198, 51, 100, 7]);
        assert_eq!(packet[20..24], [5_060_u16.to_be_bytes(), 5_080_u16.to_be_bytes()].concat());
        assert_eq!(checksum(&[&packet[..20]]), 0, "a header with its sum sums up to nothing");
        let pseudo = [&packet[12..20], &[0, 17, 0, 32]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
        let second = &file[40 + first + 16..];
        assert_eq!((second[0], second[6], second[23], second[39]), (0x60, 17, 2, 1));
        assert!(second.ends_with(b"\r\n\r\n."));
        let pseudo = [&second[8..40], &[0, 0, 0, 27, 0, 0, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &second[40..]]), 0);
    }

    #[test]
    fn ends_of_two_families_make_no_packet_and_a_long_text_is_cut() {
        let (v4, v6) = ("192.0.2.1:1".parse().unwrap(), "[::1]:1".parse().unwrap());
        assert_eq!(packet(v4, v6, b""), None);
        assert!(packet(v4, v4, &[b'x'; 70_000]).unwrap().len() <= PACKET_MAX);
    }
}
