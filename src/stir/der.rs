//! The little of DER (ITU-T X.690) that certificates and keys need: a walk over tag, length, value.
//! Definite lengths only, tags of one octet, no recursion of its own.

/// Octet strings and the like, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Der<'a> {
    rest: &'a [u8],
}

/// Tags used here.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;

    /// A constructed context tag, as explicit tagging makes it.
    pub(crate) const fn context(number: u8) -> u8 {
        0xa0 | number
    }
}

impl<'a> Der<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element's tag and contents; `None` at the end and when it is malformed.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, after) = self.rest.split_first()?;
        // A tag number of 31 and more takes further octets; no structure here has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, after) = after.split_first()?;
        let (length, after) = match first {
            0..=0x7f => (usize::from(first), after),
            // Up to 4 octets of length; 0x80 is the indefinite form, which DER has not.
            0x81..=0x84 => {
                let (octets, after) = after.split_at_checked(usize::from(first & 0x7f))?;
                let length =
                    octets.iter().fold(0_usize, |sum, &octet| sum << 8 | usize::from(octet));
                (length, after)
            }
            _ => return None,
        };
        let (contents, rest) = after.split_at_checked(length)?;
        self.rest = rest;
        Some((tag, contents))
    }

    /// The next element's contents, if it has this tag; else nothing is taken.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, contents) = ahead.next()?;
        (found == tag).then(|| {
            *self = ahead;
            contents
        })
    }

    /// As `take`, for what holds elements itself.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self::new)
    }
}

/// A non-negative INTEGER of at most 8 octets.
pub(crate) fn unsigned(contents: &[u8]) -> Option<u64> {
    let digits = match contents {
        [0, rest @ ..] => rest,
        [first, ..] if first & 0x80 == 0 => contents,
        _ => return None,
    };
    (digits.len() <= 8).then(|| digits.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_walked_and_malformed_ones_end_the_walk() {
        let mut der = Der::new(&[0x02, 1, 5, 0x04, 0x81, 2, 1, 2, 0x30, 0]);
        assert_eq!(der.take(tag::OCTET_STRING), None);
        assert_eq!(der.take(tag::INTEGER), Some([5].as_slice()));
        assert_eq!(der.take(tag::OCTET_STRING), Some([1, 2].as_slice()));
        assert!(der.enter(tag::SEQUENCE).is_some_and(|inner| inner.is_empty()));
        for malformed in [
            [0x02, 2, 5].as_slice(),
            &[0x02],
            &[0x04, 0x80, 0, 0],
            &[0x04, 0x85, 0, 0, 0, 0, 1, 1],
            &[0x1f, 0x81, 0],
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Der::new(malformed).next(), None, "{malformed:?}");
        }
    }

    #[test]
    fn integers_are_read_where_they_are_not_negative() {
        for (contents, value) in [
            ([].as_slice(), None),
            (&[0], Some(0)),
            (&[2], Some(2)),
            (&[0, 0x80], Some(128)),
            (&[0x80], None),
            (&[1; 9], None),
        ] {
            assert_eq!(unsigned(contents), value, "{contents:?}");
        }
    }
}
