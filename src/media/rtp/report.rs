//! RTCP: sender and receiver reports, source description and goodbye (RFC 3550 §6).
//!
//! Each packet sent is a compound of a report and the CNAME (§6.1), at most 100 bytes long. Of a
//! received compound, only the first report block that is about us is taken.

use bytes::{BufMut, Bytes, BytesMut};

/// Packet types (RFC 3550 §12.1).
mod packet_type {
    pub const SENDER_REPORT: u8 = 200;
    pub const RECEIVER_REPORT: u8 = 201;
    pub const SOURCE_DESCRIPTION: u8 = 202;
    pub const GOODBYE: u8 = 203;
}

/// Sub-packets of one compound that are looked at; the rest is dropped.
const SUBPACKETS_MAX: usize = 16;

/// What a sender says of its own stream (§6.4.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SenderInfo {
    /// NTP time, 32 bits of seconds and 32 of fraction.
    pub ntp: u64,
    /// The RTP timestamp of the same moment.
    pub timestamp: u32,
    /// Packets sent, modulo 2³².
    pub packets: u32,
    /// Payload bytes sent, modulo 2³².
    pub octets: u32,
}

/// What a receiver says of one source it hears (§6.4.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReportBlock {
    /// The source spoken of.
    pub ssrc: u32,
    /// The part lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// All that was lost; held to 24 bits, and duplicates may make it less than it was.
    pub lost: u32,
    /// The extended highest sequence number received.
    pub newest: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 if none came.
    pub last_report: u32,
    /// The delay since that report in 65,536ths of a second.
    pub delay_since_last: u32,
}

/// A compound packet to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Compound {
    /// Our source.
    pub ssrc: u32,
    /// Our stream, if we sent since the last report; else this is a receiver report.
    pub sender: Option<SenderInfo>,
    /// What we hear, if anything.
    pub block: Option<ReportBlock>,
    /// Whether we leave (§6.6).
    pub goodbye: bool,
}

/// What was found in a received compound packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Received {
    /// The sender's word on its own stream.
    pub sender: Option<SenderInfo>,
    /// Its word on ours.
    pub block: Option<ReportBlock>,
    /// Whether it leaves.
    pub goodbye: bool,
}

/// Writes a compound packet (§6.1: report first, CNAME always).
pub fn print(compound: &Compound) -> Bytes {
    let mut bytes = BytesMut::with_capacity(100);
    let blocks = u8::from(compound.block.is_some());
    match &compound.sender {
        Some(sender) => {
            put_head(&mut bytes, blocks, packet_type::SENDER_REPORT, 6 + 6 * u16::from(blocks));
            bytes.put_u32(compound.ssrc);
            bytes.put_u64(sender.ntp);
            bytes.put_u32(sender.timestamp);
            bytes.put_u32(sender.packets);
            bytes.put_u32(sender.octets);
        }
        None => {
            put_head(&mut bytes, blocks, packet_type::RECEIVER_REPORT, 1 + 6 * u16::from(blocks));
            bytes.put_u32(compound.ssrc);
        }
    }
    if let Some(block) = &compound.block {
        bytes.put_u32(block.ssrc);
        // §6.4.1: signed 24 bits; ours is never negative.
        bytes.put_u32(u32::from(block.fraction_lost) << 24 | block.lost.min(0x7f_ffff));
        bytes.put_u32(block.newest);
        bytes.put_u32(block.jitter);
        bytes.put_u32(block.last_report);
        bytes.put_u32(block.delay_since_last);
    }
    // §6.5.1: an item of type 1 and 8 bytes, ended by zeros up to the word. RFC 7022 §4.2 allows a
    // name made of random bits; the source is random and lives as long.
    put_head(&mut bytes, 1, packet_type::SOURCE_DESCRIPTION, 4);
    bytes.put_u32(compound.ssrc);
    bytes.put_slice(&[1, 8]);
    bytes.put_slice(&hexadecimal(compound.ssrc));
    bytes.put_slice(&[0, 0]);
    if compound.goodbye {
        put_head(&mut bytes, 1, packet_type::GOODBYE, 1);
        bytes.put_u32(compound.ssrc);
    }
    bytes.freeze()
}

fn put_head(bytes: &mut BytesMut, count: u8, packet_type: u8, words: u16) {
    bytes.put_u8(0x80 | count);
    bytes.put_u8(packet_type);
    bytes.put_u16(words);
}

fn hexadecimal(number: u32) -> [u8; 8] {
    std::array::from_fn(|digit| b"0123456789abcdef"[(number >> (28 - 4 * digit) & 15) as usize])
}

/// Reads a compound packet, taking what it says of the source `ours`.
///
/// Returns `None` when it is no RTCP (§A.2: version 2, a report first, lengths that fit). Unknown
/// sub-packets are passed over; a report alone, without CNAME, is taken (RFC 5506).
pub fn parse(bytes: &[u8], ours: u32) -> Option<Received> {
    let mut received = Received::default();
    let mut rest = bytes;
    for number in 0..SUBPACKETS_MAX {
        let (head, _) = rest.split_first_chunk::<4>()?;
        let length = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[0] >> 6 != 2 || rest.len() < length {
            return None;
        }
        let body = &rest[4..length];
        let count = usize::from(head[0] & 0x1f);
        match head[1] {
            packet_type::SENDER_REPORT => {
                received.sender = Some(parse_sender(body)?);
                received.block = parse_blocks(body.get(24..)?, count, ours).or(received.block);
            }
            packet_type::RECEIVER_REPORT => {
                received.block = parse_blocks(body.get(4..)?, count, ours).or(received.block);
            }
            packet_type::GOODBYE if number > 0 => received.goodbye = true,
            _ if number == 0 => return None,
            _ => (),
        }
        rest = &rest[length..];
        if rest.is_empty() {
            break;
        }
    }
    Some(received)
}

fn parse_sender(body: &[u8]) -> Option<SenderInfo> {
    Some(SenderInfo {
        ntp: u64::from(word(body, 1)?) << 32 | u64::from(word(body, 2)?),
        timestamp: word(body, 3)?,
        packets: word(body, 4)?,
        octets: word(body, 5)?,
    })
}

fn parse_blocks(blocks: &[u8], count: usize, ours: u32) -> Option<ReportBlock> {
    let block = blocks.chunks_exact(24).take(count).find(|block| word(block, 0) == Some(ours))?;
    let losses = word(block, 1)?;
    // A negative sum (duplicates) counts as no loss.
    let lost = if losses & 0x80_0000 == 0 { losses & 0x7f_ffff } else { 0 };
    Some(ReportBlock {
        ssrc: ours,
        fraction_lost: (losses >> 24) as u8,
        lost,
        newest: word(block, 2)?,
        jitter: word(block, 3)?,
        last_report: word(block, 4)?,
        delay_since_last: word(block, 5)?,
    })
}

fn word(bytes: &[u8], number: usize) -> Option<u32> {
    let four = bytes.get(4 * number..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(ssrc: u32) -> ReportBlock {
        ReportBlock {
            ssrc,
            fraction_lost: 12,
            lost: 34,
            newest: 0x1_0005,
            jitter: 7,
            last_report: 8,
            delay_since_last: 9,
        }
    }

    #[test]
    fn what_is_written_reads_the_same_here_and_elsewhere() {
        let sender = SenderInfo { ntp: 1 << 40, timestamp: 5, packets: 6, octets: 7 };
        for sender in [None, Some(sender)] {
            for block in [None, Some(block(99))] {
                for goodbye in [false, true] {
                    let compound = Compound { ssrc: 0xfeed, sender, block, goodbye };
                    let bytes = print(&compound);
                    assert_eq!(parse(&bytes, 99), Some(Received { sender, block, goodbye }));
                    assert!(bytes.len() <= 100);
                    assert!(crate::rtp::packet::is_control(&bytes));
                    let peer = rtcp::packet::unmarshal(&mut bytes.clone()).unwrap();
                    assert_eq!(peer.len(), 2 + usize::from(goodbye));
                    assert!(format!("{peer:?}").contains("0000feed"), "{peer:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_compound_is_refused() {
        let whole =
            print(&Compound { ssrc: 1, sender: None, block: Some(block(2)), goodbye: false });
        assert_eq!(parse(&whole, 3).unwrap().block, None, "about another source");
        for length in 0..whole.len() {
            // Cut between sub-packets it is a shorter compound; elsewhere it is none.
            assert_eq!(parse(&whole[..length], 2).is_some(), length == 32, "{length}");
        }
        let mut version = whole.to_vec();
        version[0] = 0x41;
        assert_eq!(parse(&version, 2), None);
        assert_eq!(parse(&whole[32..], 2), None, "no report first");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            like in any::<bool>(),
        ) {
            if like && bytes.len() > 4 {
                bytes[..3].copy_from_slice(&[0x9f, 200, 0]);
            }
            let _ = parse(&bytes, 0);
        }
    }
}
