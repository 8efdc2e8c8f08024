//! Captures of real traffic: each UDP payload is given to the reader as one datagram. Classic
//! pcap and pcapng, little-endian, IPv4 and IPv6 without extensions; what is beyond is skipped.

use crate::files;
use crate::others::swallow;

/// The packets of a capture with their link type.
fn packets(file: &[u8]) -> Vec<(u16, &[u8])> {
    match file.get(..4) {
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => classic(file),
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => next_generation(file),
        _ => Vec::new(),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn classic(file: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    let link = number(file, 20).and_then(|link| u16::try_from(link).ok()).unwrap_or(0);
    let mut at = 24;
    while let Some(length) = number(file, at + 8) {
        let Some(packet) = file.get(at + 16..at + 16 + length) else { break };
        found.push((link, packet));
        at += 16 + length;
    }
    found
}

/// Blocks: type, length, content; interfaces (1) say the link type, packets (6) hold octets.
fn next_generation(file: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    let (mut at, mut link) = (0, 0);
    while let (Some(kind), Some(length)) = (number(file, at), number(file, at + 4)) {
        let Some(block) = file.get(at..at + length).filter(|_| length >= 12) else { break };
        match kind {
            1 => link = u16::from_le_bytes([block[8], block[9]]),
            6 => {
                let packet = number(block, 20).and_then(|captured| block.get(28..28 + captured));
                found.extend(packet.map(|packet| (link, packet)));
            }
            _ => (),
        }
        at += length;
    }
    found
}

/// What is in the UDP datagram of a packet.
fn udp_payload((link, packet): (u16, &[u8])) -> Option<&[u8]> {
    // Null, Ethernet, raw IP, Linux cooked.
    let link_length = match link {
        0 => 4,
        1 => 14,
        12 | 101 => 0,
        113 => 16,
        _ => return None,
    };
    let ip = packet.get(link_length..)?;
    let (protocol, length) = match ip.first()? >> 4 {
        4 => (*ip.get(9)?, usize::from(ip[0] & 15) * 4),
        6 => (*ip.get(6)?, 40),
        _ => return None,
    };
    ip.get(length + 8..).filter(|_| protocol == 17)
}

#[test]
fn captured_messages_are_swallowed() {
    let Some(files) = files("pcaps") else { return };
    let (mut datagrams, mut sip, mut messages) = (0, 0, 0);
    for (_, file) in &files {
        for payload in packets(file).into_iter().filter_map(udp_payload) {
            datagrams += 1;
            let line = payload.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
            sip += usize::from(
                line.windows(8).any(|part| part == b"SIP/2.0 ") || line.ends_with(b"SIP/2.0\r"),
            );
            messages += usize::from(swallow(payload));
        }
    }
    println!("pcaps: {messages} messages of {sip} that look so, in {datagrams} datagrams");
    assert!(sip > 0 && messages * 10 >= sip * 8);
}
