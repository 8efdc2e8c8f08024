//! STUN Binding requests on the SIP port, answered (RFC 5626 §8, RFC 5389 §7.3.1): telephones
//! behind a NAT keep their way open with them and learn where they are seen.
//!
//! No authentication, as RFC 5626 §8 has it: what is told is no secret of ours. Keeps nothing. Calls
//! nothing. Called by `endpoint` for datagrams.

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// Attributes that must be understood and are (RFC 5389 §18.2).
const UNDERSTOOD: [u16; 8] = [0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x0014, 0x0015, 0x0020];
/// Unknown attributes told of in a refusal; the rest goes unnamed.
const UNKNOWN_MAX: usize = 8;

/// Whether a datagram is STUN and no SIP (RFC 5626 §8: its first octet is 0 or 1, which begins no
/// SIP message; RFC 5389 §6).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 2 && datagram[4..8] == MAGIC_COOKIE
}

/// The answer to a Binding request that came from `source`; `None` when it is none, or not sound
/// (RFC 5389 §7.3: dropped in silence).
pub fn answer(datagram: &[u8], source: SocketAddr) -> Option<Bytes> {
    if !is_stun(datagram) || u16_at(datagram, 0) != BINDING_REQUEST {
        return None;
    }
    let body = &datagram[HEADER..];
    if usize::from(u16_at(datagram, 2)) != body.len() {
        return None;
    }
    let (mut unknown, mut has_fingerprint) = (Vec::new(), false);
    let mut at = 0;
    while at < body.len() {
        let head = body.get(at..at + 4)?;
        let (kind, length) = (u16_at(head, 0), usize::from(u16_at(head, 2)));
        let value = body.get(at + 4..at + 4 + length)?;
        if kind == FINGERPRINT {
            // RFC 5389 §8, §15.5: the last attribute, over all before it.
            let told = u32::from_be_bytes(value.try_into().ok()?);
            if told != fingerprint(&datagram[..HEADER + at]) {
                return None;
            }
            has_fingerprint = true;
            break;
        }
        if kind < 0x8000 && !UNDERSTOOD.contains(&kind) && unknown.len() < UNKNOWN_MAX {
            unknown.push(kind);
        }
        // §15: attributes begin at multiples of four octets.
        at += 4 + length.next_multiple_of(4);
    }
    let transaction = &datagram[8..HEADER];
    let mut response = Vec::with_capacity(HEADER + 40);
    let kind = if unknown.is_empty() { BINDING_SUCCESS } else { BINDING_ERROR };
    response.extend(kind.to_be_bytes());
    response.extend([0, 0]);
    response.extend(MAGIC_COOKIE);
    response.extend(transaction);
    if unknown.is_empty() {
        let address = xor_address(source, transaction);
        push(&mut response, XOR_MAPPED_ADDRESS, &address);
    } else {
        push(&mut response, ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
        let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        push(&mut response, UNKNOWN_ATTRIBUTES, &list);
    }
    if has_fingerprint {
        // §15.5: the length in the header counts the fingerprint before it is there.
        set_length(&mut response, 8);
        let sum = fingerprint(&response);
        push(&mut response, FINGERPRINT, &sum.to_be_bytes());
    }
    set_length(&mut response, 0);
    Some(response.into())
}

/// The value of XOR-MAPPED-ADDRESS (RFC 5389 §15.2).
fn xor_address(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let mask = || MAGIC_COOKIE.iter().chain(transaction);
    let (family, octets) = match source.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let port = source.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(octets.iter().zip(mask()).map(|(octet, mask)| octet ^ mask));
    value
}

fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("our attributes are short");
    message.extend(kind.to_be_bytes());
    message.extend(length.to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn set_length(message: &mut [u8], more: usize) {
    let length = u16::try_from(message.len() - HEADER + more).expect("our answers are short");
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// RFC 5389 §15.5: CRC-32 as in ITU-T V.42, with `STUN` laid over it.
fn fingerprint(octets: &[u8]) -> u32 {
    let mut sum = !0u32;
    for octet in octets {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            sum = if sum & 1 == 0 { sum >> 1 } else { (sum >> 1) ^ 0xedb8_8320 };
        }
    }
    !sum ^ 0x5354_554e
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0];
        message.extend(MAGIC_COOKIE);
        message.extend(1..=12);
        message.extend(attributes);
        set_length(&mut message, 0);
        message
    }

    /// RFC 5389 §15.2: port and address are laid over the cookie (and the transaction).
    #[test]
    fn a_request_is_told_where_it_came_from() {
        let answered = answer(&request(&[]), ([192, 0, 2, 1], 32_853).into()).unwrap();
        assert_eq!(answered[..8], [1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(answered[8..20], (1..=12).collect::<Vec<u8>>());
        let attribute = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(answered[20..], attribute);
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        let priority = [0, 0x24, 0, 4, 0, 0, 0, 1];
        let answered = answer(&request(&priority), ([192, 0, 2, 1], 1).into()).unwrap();
        assert_eq!(answered[..2], BINDING_ERROR.to_be_bytes());
        let end = answered.len();
        assert_eq!(answered[end - 8..], [0, 0x0a, 0, 2, 0, 0x24, 0, 0]);
        // What may be ignored is.
        let software = [0x80, 0x22, 0, 1, b'x', 0, 0, 0];
        let answered = answer(&request(&software), ([192, 0, 2, 1], 1).into()).unwrap();
        assert_eq!(answered[..2], BINDING_SUCCESS.to_be_bytes());
    }

    #[test]
    fn what_is_no_sound_request_is_dropped() {
        let source = ([192, 0, 2, 1], 1).into();
        let sound = request(&[]);
        for length in 0..HEADER {
            assert_eq!(answer(&sound[..length], source), None);
        }
        let mut wrong = request(&[0x80, 0x28, 0, 4, 1, 2, 3, 4]);
        assert_eq!(answer(&wrong, source), None, "a wrong fingerprint");
        wrong = request(&[0x80, 0x22, 0, 9, 1, 2, 3, 4]);
        assert_eq!(answer(&wrong, source), None, "longer than the message");
        wrong = sound.clone();
        wrong[0] = 1;
        assert_eq!(answer(&wrong, source), None, "a response");
        assert!(!is_stun(b"OPTIONS sip:a@b.example SIP/2.0\r\n\r\n"));
    }

    /// A fingerprint is checked and given back.
    #[test]
    fn a_fingerprint_is_answered_with_one() {
        let mut asked = request(&[]);
        set_length(&mut asked, 8);
        let sum = fingerprint(&asked);
        push(&mut asked, FINGERPRINT, &sum.to_be_bytes());
        let answered = answer(&asked, ([192, 0, 2, 1], 1).into()).unwrap();
        let (before, last) = answered.split_at(answered.len() - 8);
        assert_eq!(last[..4], [0x80, 0x28, 0, 4]);
        assert_eq!(last[4..], fingerprint(before).to_be_bytes());
    }

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    const RFC5769_REQUEST: &str = "00010058 2112a442 b7e7a701bc34d686fa87dfae \
        80220010 5354554e207465737420636c69656e74 00240004 6e0001ff 80290008 932ff9b151263b36 \
        00060009 6576746a3a68367659202020 00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 \
        80280004 e57a3bcf";
    const RFC5769_IPV4: &str = "0101003c 2112a442 b7e7a701bc34d686fa87dfae \
        8022000b 7465737420766563746f7220 00200008 0001a147e112a643 \
        00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96";
    const RFC5769_IPV6: &str = "01010048 2112a442 b7e7a701bc34d686fa87dfae \
        8022000b 7465737420766563746f7220 00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9 \
        00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c";

    /// RFC 5769 §2.1: its fingerprint is found sound, and with any bit of it changed it is not. It
    /// wants PRIORITY understood, which belongs to ICE: 420 (RFC 5389 §7.3.1).
    #[test]
    fn rfc_5769_s2_1_the_sample_request_is_read() {
        let (mut asked, source) = (octets(RFC5769_REQUEST), ([192, 0, 2, 1], 32_853).into());
        let answered = answer(&asked, source).unwrap();
        assert_eq!((&answered[..2], &answered[8..20]), (&[1, 0x11][..], &asked[8..20]));
        let (before, last) = answered.split_at(answered.len() - 8);
        assert_eq!(before[before.len() - 8..], [0, 0x0a, 0, 2, 0, 0x24, 0, 0]);
        assert_eq!(last[4..], fingerprint(before).to_be_bytes());
        for at in HEADER * 8..asked.len() * 8 {
            asked[at / 8] ^= 1 << (at % 8);
            // Where it is no longer found, as a length or its name is spoilt, none is given back.
            let is_taken = answer(&asked, source)
                .is_some_and(|answered| answered[answered.len() - 8..][..4] == [0x80, 0x28, 0, 4]);
            assert!(!is_taken, "bit {at}");
            asked[at / 8] ^= 1 << (at % 8);
        }
    }

    /// RFC 5769 §2.2 and §2.3: the addresses and the fingerprints are those we would write.
    #[test]
    fn rfc_5769_s2_2_and_s2_3_the_sample_responses_are_what_we_write() {
        for (sample, source) in [
            (RFC5769_IPV4, "192.0.2.1:32853"),
            (RFC5769_IPV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let (sample, source) = (octets(sample), source.parse().unwrap());
            let mut asked = octets(RFC5769_REQUEST)[..HEADER].to_vec();
            set_length(&mut asked, 0);
            let answered = answer(&asked, source).unwrap();
            // SOFTWARE stands before the address in the samples: 16 octets.
            assert_eq!(answered[HEADER..], sample[HEADER + 16..answered.len() + 16]);
            let (before, last) = sample.split_at(sample.len() - 8);
            assert_eq!(last[4..], fingerprint(before).to_be_bytes());
        }
    }
}
