//! G.711 µ-law and A-law as tables (ITU-T G.711; RFC 3551 §4.5.14), made at compile time.

use domain::media_plan::Codec;

/// µ-law bytes to 16-bit samples.
pub static PCMU_TO_LINEAR: [i16; 256] = table_of_samples(Codec::Pcmu);

/// A-law bytes to 16-bit samples.
pub static PCMA_TO_LINEAR: [i16; 256] = table_of_samples(Codec::Pcma);

/// µ-law bytes to A-law bytes.
pub static PCMU_TO_PCMA: [u8; 256] = table_of_bytes(Codec::Pcmu, Codec::Pcma);

/// A-law bytes to µ-law bytes.
pub static PCMA_TO_PCMU: [u8; 256] = table_of_bytes(Codec::Pcma, Codec::Pcmu);

/// The table that decodes `codec`.
pub fn decoder(codec: Codec) -> &'static [i16; 256] {
    match codec {
        Codec::Pcmu => &PCMU_TO_LINEAR,
        Codec::Pcma => &PCMA_TO_LINEAR,
    }
}

/// The table that turns bytes of `from` into bytes of `to`; `None` when they are the same.
pub fn transcoder(from: Codec, to: Codec) -> Option<&'static [u8; 256]> {
    match (from, to) {
        (Codec::Pcmu, Codec::Pcma) => Some(&PCMU_TO_PCMA),
        (Codec::Pcma, Codec::Pcmu) => Some(&PCMA_TO_PCMU),
        (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => None,
    }
}

/// The byte of silence.
pub const fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0xff,
        Codec::Pcma => 0xd5,
    }
}

/// Encodes one 16-bit sample.
pub const fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcmu => encode_pcmu(sample),
        Codec::Pcma => encode_pcma(sample),
    }
}

/// 14-bit magnitude plus 33, then segment (3 bits) and step (4 bits), inverted (G.711 table 2a).
const fn encode_pcmu(sample: i16) -> u8 {
    const CLIP: i32 = 8_158;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = ((sample as i32).abs()) >> 2;
    let biased = (if magnitude > CLIP { CLIP } else { magnitude }) + 33;
    // 33 has its top bit at 5, which is segment 0.
    let segment = 26 - biased.leading_zeros() as i32;
    let step = (biased >> (segment + 1)) & 0x0f;
    !(sign | (segment << 4) as u8 | step as u8)
}

/// 12-bit magnitude, segment and step, each second bit inverted (G.711 table 1a).
const fn encode_pcma(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 {
        // One's complement, so that −1 falls into the first negative step.
        (0, (!(sample as i32)) >> 4)
    } else {
        (0x80, (sample as i32) >> 4)
    };
    let code = if magnitude < 32 {
        // Segments 0 and 1 have the same step.
        magnitude
    } else {
        let segment = 28 - magnitude.leading_zeros() as i32;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0f)
    };
    (sign | code as u8) ^ 0x55
}

/// Decodes one byte to the middle of its step.
const fn decode(codec: Codec, byte: u8) -> i16 {
    match codec {
        Codec::Pcmu => {
            let code = !byte;
            let segment = ((code >> 4) & 7) as i32;
            let step = (code & 0x0f) as i32;
            let magnitude = ((((step << 1) + 33) << segment) - 33) << 2;
            if code & 0x80 != 0 { -magnitude as i16 } else { magnitude as i16 }
        }
        Codec::Pcma => {
            let code = byte ^ 0x55;
            let segment = ((code >> 4) & 7) as i32;
            let step = (code & 0x0f) as i32;
            let magnitude =
                if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
            if code & 0x80 == 0 { -magnitude as i16 } else { magnitude as i16 }
        }
    }
}

const fn table_of_samples(codec: Codec) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode(codec, byte as u8);
        byte += 1;
    }
    table
}

const fn table_of_bytes(from: Codec, to: Codec) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = encode(to, decode(from, byte as u8));
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    /// Points of the tables of G.711 (1a to 2b): sample, byte, decoded sample.
    #[test]
    fn known_points_of_the_standard() {
        let cases = [
            (Codec::Pcmu, 0, 0xff, 0),
            (Codec::Pcmu, -1, 0x7f, 0),
            (Codec::Pcmu, 32_767, 0x80, 32_124),
            (Codec::Pcmu, -32_768, 0x00, -32_124),
            (Codec::Pcmu, 1_000, 0xce, 988),
            (Codec::Pcma, 0, 0xd5, 8),
            (Codec::Pcma, -1, 0x55, -8),
            (Codec::Pcma, 32_767, 0xaa, 32_256),
            (Codec::Pcma, -32_768, 0x2a, -32_256),
            (Codec::Pcma, 1_000, 0xfa, 1_008),
        ];
        for (codec, sample, byte, decoded) in cases {
            assert_eq!(encode(codec, sample), byte, "{codec:?} {sample}");
            assert_eq!(decoder(codec)[usize::from(byte)], decoded, "{codec:?} {byte:#x}");
        }
    }

    #[test]
    fn every_sample_comes_back_within_half_a_step() {
        for codec in BOTH {
            for sample in i16::MIN..=i16::MAX {
                let decoded = i32::from(decoder(codec)[usize::from(encode(codec, sample))]);
                let error = (decoded - i32::from(sample)).abs();
                // Steps are 1/16 of the segment's size, so at most 1/32 of the sample, or the
                // smallest step; the very ends are clipped.
                let allowed = (i32::from(sample).abs() / 32 + 8).max(16);
                assert!(error <= allowed || sample.unsigned_abs() > 32_124, "{codec:?} {sample}");
            }
        }
    }

    #[test]
    fn every_byte_survives_decoding_and_transcoding_keeps_the_sound() {
        for codec in BOTH {
            for byte in 0..=255_u8 {
                let sample = decoder(codec)[usize::from(byte)];
                let again = encode(codec, sample);
                // µ-law has two zeros.
                assert!(again == byte || sample == 0, "{codec:?} {byte:#x} {again:#x}");
            }
        }
        for byte in 0..=255_u8 {
            let there = PCMU_TO_LINEAR[usize::from(byte)];
            let back = PCMA_TO_LINEAR[usize::from(PCMU_TO_PCMA[usize::from(byte)])];
            let error = (i32::from(there) - i32::from(back)).abs();
            assert!(error <= i32::from(there).abs() / 16 + 16, "{byte:#x}");
        }
        assert_eq!(PCMU_TO_PCMA[0xff], silence(Codec::Pcma));
        assert!(transcoder(Codec::Pcma, Codec::Pcma).is_none());
    }
}
