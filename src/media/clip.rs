//! Sound ready to be sent: encoded once, in both wire codecs, played many times.

use bytes::Bytes;

/// A piece of sound in both wire codecs, 8 kHz mono, one byte a sample.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clip {
    /// µ-law.
    pub pcmu: Bytes,
    /// A-law, of the same length.
    pub pcma: Bytes,
}
