//! One RTP packet (RFC 3550 §5.1), read without copying and written into a reused buffer.
//!
//! The header type is that of the `rtp` crate. Its reader is not used on the network's bytes: it
//! panics where a header extension is cut short. Ours skips extensions, which nobody here needs.

use bytes::{Bytes, BytesMut};
use rtp::header::Header;
use webrtc_util::marshal::Marshal;

/// Bytes of a header without contributing sources and extension.
pub const HEADER_LENGTH: usize = 12;

/// The largest packet looked at, in bytes: an Ethernet frame's worth; G.711 needs at most 492.
pub const PACKET_LENGTH_MAX: usize = 1_500;

/// A packet as it was received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// The header; contributing sources and extensions are left out.
    pub header: Header,
    /// The payload without padding.
    pub payload: &'a [u8],
}

/// Why bytes are no RTP packet. Each means: drop them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than its header says, or longer than `PACKET_LENGTH_MAX`.
    #[error("{length} bytes are not the length of an RTP packet")]
    Length {
        /// How many bytes came.
        length: usize,
    },
    /// Not version 2 (RFC 3550 §5.1).
    #[error("version {version} instead of 2")]
    Version {
        /// The version said.
        version: u8,
    },
    /// More padding than there are bytes, or none where some was promised.
    #[error("padding of {padding} bytes does not fit")]
    Padding {
        /// The padding said.
        padding: u8,
    },
}

/// Reads a packet.
///
/// # Errors
///
/// Any `PacketError` for bytes that RFC 3550 §A.1 calls invalid.
pub fn parse(bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    let length = bytes.len();
    let too_short = PacketError::Length { length };
    if length > PACKET_LENGTH_MAX {
        return Err(too_short);
    }
    let (fixed, _) = bytes.split_first_chunk::<HEADER_LENGTH>().ok_or(too_short)?;
    let version = fixed[0] >> 6;
    if version != 2 {
        return Err(PacketError::Version { version });
    }
    let mut start = HEADER_LENGTH + 4 * usize::from(fixed[0] & 0x0f);
    let extension = fixed[0] & 0x10 != 0;
    if extension {
        // RFC 3550 §5.3.1: two bytes of profile, two of length in words, not counting these four.
        let head = bytes.get(start..start + 4).ok_or(too_short)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
    }
    let mut payload = bytes.get(start..).ok_or(too_short)?;
    if fixed[0] & 0x20 != 0 {
        // §5.1: the last byte of the padding counts itself.
        let padding = payload.last().copied().unwrap_or(0);
        let rest = payload.len().checked_sub(usize::from(padding)).filter(|_| padding > 0);
        payload = rest.map(|rest| &payload[..rest]).ok_or(PacketError::Padding { padding })?;
    }
    let header = Header {
        version,
        marker: fixed[1] & 0x80 != 0,
        payload_type: fixed[1] & 0x7f,
        sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        ..Header::default()
    };
    Ok(Packet { header, payload })
}

/// Begins a packet in `buffer`: the caller appends the payload and takes it with [`finish`].
pub fn begin(header: &Header, buffer: &mut BytesMut) {
    buffer.clear();
    // Room for 60 ms of G.711, so that a leg asks for memory once; a buffer that was sent is used
    // again.
    buffer.reserve(HEADER_LENGTH + 480);
    let mut fixed = [0; HEADER_LENGTH];
    header.marshal_to(&mut fixed).expect("our headers have neither sources nor extensions");
    buffer.extend_from_slice(&fixed);
}

/// Takes the packet begun in `buffer`.
pub fn finish(buffer: &mut BytesMut) -> Bytes {
    buffer.split().freeze()
}

/// Whether a packet of ours is RTCP: payload types 64–95 with the marker are reserved to it
/// (RFC 5761 §4), so the second byte tells.
pub fn is_control(bytes: &[u8]) -> bool {
    matches!(bytes.get(1), Some(192..=223))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtp::packet::Packet as PeerPacket;
    use webrtc_util::marshal::Unmarshal;

    fn written(header: &Header, payload: &[u8]) -> Bytes {
        let mut buffer = BytesMut::new();
        begin(header, &mut buffer);
        buffer.extend_from_slice(payload);
        finish(&mut buffer)
    }

    #[test]
    fn what_is_written_reads_the_same_here_and_elsewhere() {
        let header = Header {
            version: 2,
            marker: true,
            payload_type: 101,
            sequence_number: 0xfffe,
            timestamp: 0xdead_beef,
            ssrc: 0x0102_0304,
            ..Header::default()
        };
        let bytes = written(&header, &[1, 2, 3]);
        assert_eq!(parse(&bytes), Ok(Packet { header: header.clone(), payload: &[1, 2, 3] }));
        let peer = PeerPacket::unmarshal(&mut bytes.clone()).unwrap();
        assert_eq!((peer.header, &peer.payload[..]), (header, &[1_u8, 2, 3][..]));
    }

    /// A prefix of flags, then what is expected: payload, or error.
    #[test]
    fn sources_extensions_and_padding_are_skipped() {
        let head = |first: u8, rest: &[u8]| {
            let mut bytes = vec![first, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
            bytes.extend_from_slice(rest);
            bytes
        };
        type Row = (Vec<u8>, Result<&'static [u8], PacketError>);
        let cases: [Row; 9] = [
            (head(0x80, &[7]), Ok(&[7])),
            (head(0x81, &[0, 0, 0, 9, 7]), Ok(&[7])),
            (head(0x90, &[0xbe, 0xde, 0, 1, 1, 2, 3, 4, 7]), Ok(&[7])),
            (head(0xa0, &[7, 0, 0, 3]), Ok(&[7])),
            (head(0x8f, &[7]), Err(PacketError::Length { length: 13 })),
            (head(0x90, &[0xbe, 0xde, 0xff, 0xff]), Err(PacketError::Length { length: 16 })),
            (head(0xa0, &[7, 9]), Err(PacketError::Padding { padding: 9 })),
            (head(0xa0, &[7, 0]), Err(PacketError::Padding { padding: 0 })),
            (head(0x40, &[7]), Err(PacketError::Version { version: 1 })),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse(&bytes).map(|packet| packet.payload), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_sent_buffer_is_used_again() {
        let mut buffer = BytesMut::new();
        let header = Header { version: 2, ..Header::default() };
        begin(&header, &mut buffer);
        let first = finish(&mut buffer);
        let place = first.as_ptr();
        drop(first);
        begin(&header, &mut buffer);
        assert_eq!(finish(&mut buffer).as_ptr(), place);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}
