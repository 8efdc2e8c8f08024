//! What the header fields mean: read from [`Headers`] when asked for, borrowing its text.

use crate::error::{FieldError, FieldFault};
use crate::message::headers::Headers;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::{Contacts, NameAddr};
use crate::message::params::{LENGTH_MAX, Params, is_token, split_list, trim, unquote};
use crate::message::via::Via;
use std::borrow::Cow;

/// One challenge or one set of credentials (RFC 3261 §20.7, §20.44).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Authorisation<'a> {
    /// `Digest`, as it stands.
    pub scheme: &'a str,
    /// `realm`, `nonce`…, quotes kept.
    pub params: Params<'a>,
}

/// Why a call ended, told by the other side (RFC 3326).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason<'a> {
    /// `SIP` or `Q.850`.
    pub protocol: &'a str,
    /// The code in that protocol.
    pub cause: Option<u16>,
    /// A text for people.
    pub text: Option<Cow<'a, str>>,
}

fn malformed(name: Name) -> FieldError {
    FieldError { name, fault: FieldFault::Malformed }
}

/// The value of CSeq; see [`Headers::cseq`].
pub(super) fn parse_cseq(text: &str) -> Option<(u32, Method)> {
    let end = text.bytes().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let (digits, method) = text.split_at(end);
    let number: u32 = digits.parse().ok()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && number < 1 << 31;
    Method::parse(trim(method)).filter(|_| plain).map(|method| (number, method))
}

/// Whether a text may be the value of Call-ID; see [`Headers::call_id`].
pub(super) fn is_call_id(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b' ' | b'\t'))
}

impl Headers {
    /// The only field of this name.
    ///
    /// # Errors
    /// `Missing`, or `Repeated` when there are more (RFC 3261 §7.3.1).
    pub fn single(&self, name: Name) -> Result<&str, FieldError> {
        let mut fields = self.all(name);
        let first = fields.next().ok_or(FieldError { name, fault: FieldFault::Missing })?;
        match fields.next() {
            Some(_) => Err(FieldError { name, fault: FieldFault::Repeated }),
            None => Ok(first),
        }
    }

    fn optional(&self, name: Name) -> Result<Option<&str>, FieldError> {
        match self.single(name) {
            Ok(value) => Ok(Some(value)),
            Err(FieldError { fault: FieldFault::Missing, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn number(&self, name: Name) -> Result<Option<u32>, FieldError> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(malformed(name)),
        }
    }

    /// All Vias, top first; malformed ones are left out.
    pub fn vias(&self) -> impl Iterator<Item = Via<'_>> {
        self.list(Name::Via).filter_map(Via::parse)
    }

    pub(super) fn party(&self, name: Name) -> Result<NameAddr<'_>, FieldError> {
        NameAddr::parse_party(self.single(name)?).ok_or(malformed(name))
    }

    /// From.
    ///
    /// # Errors
    /// `Missing`, `Malformed` or `Repeated`. Never fails on a message that was parsed.
    pub fn from(&self) -> Result<NameAddr<'_>, FieldError> {
        self.party(Name::From)
    }

    /// To.
    ///
    /// # Errors
    /// As [`Headers::from`].
    pub fn to(&self) -> Result<NameAddr<'_>, FieldError> {
        self.party(Name::To)
    }

    /// The sequence number, below 2³¹, and the method (RFC 3261 §20.16, §8.1.1.5).
    ///
    /// # Errors
    /// As [`Headers::from`].
    pub fn cseq(&self) -> Result<(u32, Method), FieldError> {
        parse_cseq(self.single(Name::CSeq)?).ok_or(malformed(Name::CSeq))
    }

    /// Call-ID: one word without white space (RFC 3261 §20.8).
    ///
    /// # Errors
    /// As [`Headers::from`].
    pub fn call_id(&self) -> Result<&str, FieldError> {
        let text = self.single(Name::CallId)?;
        if is_call_id(text) { Ok(text) } else { Err(malformed(Name::CallId)) }
    }

    /// Max-Forwards, 0 to 255; `None` when missing, which RFC 2543 clients may (RFC 3261 §16.3).
    ///
    /// # Errors
    /// `Malformed` or `Repeated`.
    pub fn max_forwards(&self) -> Result<Option<u8>, FieldError> {
        let Some(number) = self.number(Name::MaxForwards)? else { return Ok(None) };
        u8::try_from(number).map(Some).map_err(|_| malformed(Name::MaxForwards))
    }

    /// Expires in seconds.
    ///
    /// # Errors
    /// `Malformed` (also above 2³²-1) or `Repeated`.
    pub fn expires(&self) -> Result<Option<u32>, FieldError> {
        self.number(Name::Expires)
    }

    /// Min-Expires in seconds, of a 423.
    ///
    /// # Errors
    /// As [`Headers::expires`].
    pub fn min_expires(&self) -> Result<Option<u32>, FieldError> {
        self.number(Name::MinExpires)
    }

    /// Contact.
    ///
    /// # Errors
    /// `Malformed`, also when `*` stands beside others (RFC 3261 §10.2.2).
    pub fn contacts(&self) -> Result<Contacts<'_>, FieldError> {
        if self.all(Name::Contact).eq(["*"]) {
            return Ok(Contacts::Star);
        }
        self.addresses(Name::Contact).map(Contacts::List)
    }

    /// Record-Route, in order.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn record_routes(&self) -> Result<Vec<NameAddr<'_>>, FieldError> {
        self.addresses(Name::RecordRoute)
    }

    /// Route, in order.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn routes(&self) -> Result<Vec<NameAddr<'_>>, FieldError> {
        self.addresses(Name::Route)
    }

    /// The list of addresses of this name, in order.
    ///
    /// # Errors
    /// `Malformed` when one of them is.
    pub fn addresses(&self, name: Name) -> Result<Vec<NameAddr<'_>>, FieldError> {
        self.list(name).map(|text| NameAddr::parse(text).ok_or(malformed(name))).collect()
    }

    /// Option tags the sender insists on (RFC 3261 §20.32): what is not understood of them is
    /// answered with 420 and Unsupported.
    pub fn require(&self) -> impl Iterator<Item = &str> {
        self.list(Name::Require)
    }

    /// Whether the sender supports an option (RFC 3261 §20.37).
    pub fn supports(&self, option: &str) -> bool {
        self.list(Name::Supported).any(|found| found.eq_ignore_ascii_case(option))
    }

    /// Whether Allow names a method; `None` without Allow (RFC 3261 §20.5: then nothing is known).
    pub fn allows(&self, method: &Method) -> Option<bool> {
        let listed = || self.list(Name::Allow).any(|found| found == method.as_str());
        self.has(Name::Allow).then(listed)
    }

    /// The media type of the body without parameters, such as `application/sdp`; compare it in
    /// any case.
    pub fn content_type(&self) -> Option<&str> {
        let text = self.get(Name::ContentType)?;
        Some(trim(text.split(';').next().unwrap_or(text)))
    }

    /// Whether the body may be left aside by who does not understand it: Content-Disposition says
    /// `handling=optional` (RFC 3261 §20.11).
    pub fn body_is_optional(&self) -> bool {
        let Some(text) = self.get(Name::ContentDisposition) else { return false };
        let params = Params::new(text.find(';').map_or("", |at| &text[at..]));
        let handling = params.get("handling").map(unquote);
        handling.is_some_and(|handling| handling.eq_ignore_ascii_case("optional"))
    }

    /// Retry-After in seconds; comment and parameters are left aside (RFC 3261 §20.33).
    pub fn retry_after(&self) -> Option<u32> {
        let text = self.get(Name::RetryAfter)?;
        let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    }

    /// Reason values, in order; those without protocol are left out.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_>> {
        self.all(Name::Reason).flat_map(split_list).filter_map(|text| {
            let (protocol, params) = text.split_at(text.find(';').unwrap_or(text.len()));
            let (protocol, params) = (trim(protocol), Params::new(params));
            let cause = params.get("cause").and_then(|cause| cause.parse().ok());
            let text = params.get("text").map(unquote);
            is_token(protocol).then_some(Reason { protocol, cause, text })
        })
    }

    /// The challenges or credentials of `name`: one of WWW-Authenticate, Authorization,
    /// Proxy-Authenticate, Proxy-Authorization. One field holds one (RFC 3261 §7.3.1); those of
    /// more than 8 KiB are left out.
    pub fn authorisations(&self, name: Name) -> impl Iterator<Item = Authorisation<'_>> {
        self.all(name).filter_map(|text| {
            let (scheme, params) = text.split_once([' ', '\t'])?;
            let params = Params::comma_separated(params);
            // They are read a dozen times, before it is known who sent them.
            let is_short = params.as_str().len() <= LENGTH_MAX;
            (is_token(scheme) && is_short).then_some(Authorisation { scheme, params })
        })
    }
}
