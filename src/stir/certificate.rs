//! What a signer's certificate says beyond the path that `chain` checks: its key, its time, its
//! numbers (RFC 8226 §9) and the claims it may make (RFC 8226 §8).

use crate::der::{Der, tag};
use crate::time::{parse_generalized_time, parse_utc_time};
use crate::tn_list::TnList;
use crate::verdict::CredentialFault;
use std::ops::RangeInclusive;

/// One certificate of a signer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    pub(crate) der: Vec<u8>,
    /// Unix seconds.
    pub(crate) valid: RangeInclusive<u64>,
    /// The P-256 point, uncompressed; `None` for a key of another kind.
    pub(crate) point: Option<[u8; POINT_LENGTH]>,
    /// `NoTnList` when the extension is absent, `Malformed` when it is.
    pub(crate) tn_list: Result<TnList, CredentialFault>,
    pub(crate) constraints: Option<ClaimConstraints>,
}

/// JWT Claim Constraints (RFC 8226 §8).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ClaimConstraints {
    pub(crate) must_include: Vec<Box<str>>,
    pub(crate) permitted: Vec<(Box<str>, Vec<Box<str>>)>,
}

/// 0x04, X and Y.
pub(crate) const POINT_LENGTH: usize = 65;
/// SubjectPublicKeyInfo's algorithm: id-ecPublicKey with prime256v1 (RFC 5480 §2.1.1).
const P256: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// id-pe 26 (RFC 8226 §9).
const TN_AUTH_LIST: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 26];
/// id-pe 27 (RFC 8226 §8).
const JWT_CLAIM_CONSTRAINTS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 27];
/// Claims named in a constraint, and values of one.
const CONSTRAINTS_MAX: usize = 32;

impl Certificate {
    /// Reads one certificate; `None` when it is malformed, or its claim constraints are.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut whole = Der::new(der);
        let mut certificate = whole.enter(tag::SEQUENCE)?;
        let mut signed = certificate.enter(tag::SEQUENCE)?;
        if !whole.is_empty() {
            return None;
        }
        // Version, serial number, signature algorithm, issuer (RFC 5280 §4.1).
        let _version = signed.take(tag::context(0));
        signed.take(tag::INTEGER)?;
        signed.take(tag::SEQUENCE)?;
        signed.take(tag::SEQUENCE)?;
        let mut validity = signed.enter(tag::SEQUENCE)?;
        let valid = parse_time(&mut validity)?..=parse_time(&mut validity)?;
        let _subject = signed.take(tag::SEQUENCE)?;
        let point = parse_point(&mut signed.enter(tag::SEQUENCE)?);
        let mut read = Self {
            der: der.into(),
            valid,
            point,
            tn_list: Err(CredentialFault::NoTnList),
            constraints: None,
        };
        while let Some((kind, contents)) = signed.next() {
            if kind == tag::context(3) {
                read.read_extensions(contents)?;
            }
        }
        Some(read)
    }

    /// The numbers it may sign for, if it says so.
    pub fn tn_list(&self) -> Option<&TnList> {
        self.tn_list.as_ref().ok()
    }

    /// Unix second of its end.
    pub fn not_after(&self) -> u64 {
        *self.valid.end()
    }

    fn read_extensions(&mut self, contents: &[u8]) -> Option<()> {
        let mut extensions = Der::new(contents).enter(tag::SEQUENCE)?;
        while let Some(mut extension) = extensions.enter(tag::SEQUENCE) {
            let kind = extension.take(tag::OBJECT_IDENTIFIER)?;
            let _critical = extension.take(tag::BOOLEAN);
            let value = extension.take(tag::OCTET_STRING)?;
            match kind {
                TN_AUTH_LIST => {
                    self.tn_list = TnList::parse(value).ok_or(CredentialFault::Malformed)
                }
                JWT_CLAIM_CONSTRAINTS => self.constraints = Some(parse_constraints(value)?),
                _ => (),
            }
        }
        extensions.is_empty().then_some(())
    }
}

fn parse_time(validity: &mut Der<'_>) -> Option<u64> {
    match validity.next()? {
        (tag::UTC_TIME, text) => parse_utc_time(text),
        (tag::GENERALIZED_TIME, text) => parse_generalized_time(text),
        _ => None,
    }
}

fn parse_point(key_info: &mut Der<'_>) -> Option<[u8; POINT_LENGTH]> {
    if key_info.take(tag::SEQUENCE)? != P256 {
        return None;
    }
    // The first octet counts unused bits: none.
    let (0, point) = key_info.take(tag::BIT_STRING)?.split_first()? else { return None };
    point.try_into().ok()
}

fn parse_constraints(value: &[u8]) -> Option<ClaimConstraints> {
    let mut sequence = Der::new(value).enter(tag::SEQUENCE)?;
    let mut constraints = ClaimConstraints::default();
    if let Some(mut wrapped) = sequence.enter(tag::context(0)) {
        constraints.must_include = texts(&mut wrapped.enter(tag::SEQUENCE)?, tag::IA5_STRING)?;
    }
    if let Some(mut wrapped) = sequence.enter(tag::context(1)) {
        let mut list = wrapped.enter(tag::SEQUENCE)?;
        while let Some(mut one) = list.enter(tag::SEQUENCE) {
            let claim = text(one.take(tag::IA5_STRING)?)?;
            let values = texts(&mut one.enter(tag::SEQUENCE)?, tag::UTF8_STRING)?;
            constraints.permitted.push((claim, values));
            if constraints.permitted.len() > CONSTRAINTS_MAX {
                return None;
            }
        }
    }
    sequence.is_empty().then_some(constraints)
}

fn texts(list: &mut Der<'_>, kind: u8) -> Option<Vec<Box<str>>> {
    let mut texts = Vec::new();
    while let Some(one) = list.take(kind) {
        texts.push(text(one)?);
        if texts.len() > CONSTRAINTS_MAX {
            return None;
        }
    }
    (list.is_empty() && !texts.is_empty()).then_some(texts)
}

fn text(bytes: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(bytes).ok().map(Into::into)
}
