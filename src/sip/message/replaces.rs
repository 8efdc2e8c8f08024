//! Which dialog an INVITE shall take the place of: `Replaces` (RFC 3891 §6.1).

use crate::error::{FieldError, FieldFault};
use crate::message::headers::Headers;
use crate::message::name::Name;
use crate::message::params::{Params, trim};
use std::fmt;

/// A dialog as its addressee knows it: `to_tag` is his own tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replaces<'a> {
    /// The dialog's Call-ID.
    pub call_id: &'a str,
    /// The tag of the one who shall replace it.
    pub to_tag: &'a str,
    /// The tag of the other end, which goes.
    pub from_tag: &'a str,
    /// Only if nobody has answered there yet (RFC 3891 §7.1).
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads one value; `None` when it breaks the grammar or lacks a tag.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (call_id, params) = text.split_at(text.find(';')?);
        let (call_id, params) = (trim(call_id), Params::new(params));
        let is_word = !call_id.is_empty() && !call_id.contains([' ', '\t', ',', '"', '<']);
        let tag = |name| params.get(name).filter(|tag: &&str| !tag.is_empty());
        let once = |name| params.iter().filter(|(found, _)| name == *found).count() == 1;
        let is_fit = is_word && params.is_well_formed() && once("to-tag") && once("from-tag");
        is_fit.then_some(())?;
        Some(Self {
            call_id,
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.has("early-only"),
        })
    }
}

impl fmt::Display for Replaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

impl Headers {
    /// Replaces; `None` when there is none.
    ///
    /// # Errors
    /// `Malformed`, or `Repeated`: both are answered with 400 (RFC 3891 §3).
    pub fn replaces(&self) -> Result<Option<Replaces<'_>>, FieldError> {
        let name = Name::Replaces;
        match self.single(name) {
            Ok(text) => match Replaces::parse(text) {
                Some(replaces) => Ok(Some(replaces)),
                None => Err(FieldError { name, fault: FieldFault::Malformed }),
            },
            Err(FieldError { fault: FieldFault::Missing, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_and_written() {
        let text = "425928@bobster.example.org;to-tag=7743;from-tag=6472";
        let read = Replaces::parse(text).unwrap();
        let call_id = "425928@bobster.example.org";
        let expected = Replaces { call_id, to_tag: "7743", from_tag: "6472", early_only: false };
        assert_eq!(read, expected);
        assert_eq!(read.to_string(), text);
        let early = Replaces::parse("a ; from-tag=1;early-only ;to-tag=2").unwrap();
        assert!(early.early_only);
        assert_eq!(early.to_string(), "a;to-tag=2;from-tag=1;early-only");
    }

    #[test]
    fn what_names_no_dialog_is_none() {
        for wrong in [
            "",
            "a",
            "a;to-tag=1",
            "a;from-tag=1",
            "a;to-tag=;from-tag=1",
            ";to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
            "a;to-tag=1;from-tag=2;to-tag=3",
            "a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2",
        ] {
            assert_eq!(Replaces::parse(wrong), None, "{wrong}");
        }
    }
}
