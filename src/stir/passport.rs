//! PASSporTs (RFC 8225) with SHAKEN's claims (RFC 8588): JSON in, canonical JSON out.

use crate::attest::Attestation;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Base64url without padding (RFC 7515 §2); padding that is there is borne.
pub(crate) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The protected header (RFC 8225 §4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Box<str>,
    /// `typ`: always `passport`.
    pub media_type: Box<str>,
    /// `ppt`: the kind, `None` for a plain PASSporT.
    pub kind: Option<Box<str>>,
    /// `x5u`: where the certificate is.
    pub certificate_url: Box<str>,
}

/// Who is named as calling or called (RFC 8225 §5.2.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Party {
    /// `tn`: a canonical number.
    Number(Box<str>),
    /// `uri`.
    Uri(Box<str>),
}

/// The claims (RFC 8225 §5, RFC 8588 §4).
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `attest`.
    pub attestation: Option<Attestation>,
    /// `dest`: at least one, at most [`DESTINATIONS_MAX`].
    pub destinations: Vec<Party>,
    /// `iat`: Unix seconds.
    pub issued_at_s: u64,
    /// `orig`.
    pub origin: Party,
    /// `origid`.
    pub origin_id: Option<Box<str>>,
    /// All claims as they came, for a certificate's constraints on them (RFC 8226 §8).
    pub(crate) all: Map<String, Value>,
}

/// Destinations of a PASSporT; more make it malformed.
pub const DESTINATIONS_MAX: usize = 32;

impl Header {
    /// Reads the header from its JSON; `None` when it is malformed or a member is missing.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let text = |name: &str| members.get(name).map(|value| value.as_str().map(Box::from));
        Some(Self {
            algorithm: text("alg")??,
            media_type: text("typ")??,
            kind: match text("ppt") {
                None => None,
                Some(kind) => Some(kind?),
            },
            certificate_url: text("x5u")??,
        })
    }

    /// Canonical JSON: members in lexicographic order, no white space (RFC 8225 §9).
    pub fn print(&self) -> String {
        let mut members = Members::new();
        members.text("alg", &self.algorithm);
        if let Some(kind) = &self.kind {
            members.text("ppt", kind);
        }
        members.text("typ", &self.media_type);
        members.text("x5u", &self.certificate_url);
        members.finish()
    }
}

impl Claims {
    /// Claims that were not read but are to be signed.
    pub fn new(origin: Party, destination: Party, issued_at_s: u64) -> Self {
        Self {
            attestation: None,
            destinations: vec![destination],
            issued_at_s,
            origin,
            origin_id: None,
            all: Map::new(),
        }
    }

    /// Reads the claims from their JSON; `None` when it is malformed, or `orig`, `dest` or `iat` is
    /// missing, or `attest` is none of A, B, C, or `origid` no UUID.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let all: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let origin = match parties(all.get("orig")?)?.as_slice() {
            [one] => one.clone(),
            _ => return None,
        };
        let destinations = parties(all.get("dest")?)?;
        let attestation = match all.get("attest") {
            None => None,
            Some(value) => Some(Attestation::parse(value.as_str()?)?),
        };
        let origin_id = match all.get("origid") {
            None => None,
            Some(value) => Some(value.as_str().filter(|text| is_uuid(text))?.into()),
        };
        Some(Self {
            attestation,
            destinations,
            issued_at_s: numeric_date(all.get("iat")?)?,
            origin,
            origin_id,
            all,
        })
    }

    /// Canonical JSON (RFC 8225 §9, RFC 8588 §8): `attest`, `dest`, `iat`, `orig`, `origid`.
    pub fn print(&self) -> String {
        let mut members = Members::new();
        if let Some(attestation) = self.attestation {
            members.text("attest", attestation.letter());
        }
        members.raw("dest", &print_destinations(&self.destinations));
        members.raw("iat", &self.issued_at_s.to_string());
        let origin = match &self.origin {
            Party::Number(number) => format!("{{\"tn\":{}}}", quoted(number)),
            Party::Uri(uri) => format!("{{\"uri\":{}}}", quoted(uri)),
        };
        members.raw("orig", &origin);
        if let Some(id) = &self.origin_id {
            members.text("origid", id);
        }
        members.finish()
    }
}

/// What is signed: both parts in base64url with a dot between (RFC 7515 §5.1).
pub fn signing_input(header_json: &str, claims_json: &str) -> String {
    format!("{}.{}", BASE64URL.encode(header_json), BASE64URL.encode(claims_json))
}

/// `{"tn":…,"uri":…}`, each a text or a list of texts.
fn parties(value: &Value) -> Option<Vec<Party>> {
    let members = value.as_object()?;
    let mut parties = Vec::new();
    for (name, party) in [("tn", Party::Number as fn(Box<str>) -> Party), ("uri", Party::Uri)] {
        let texts = match members.get(name) {
            None => continue,
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        for text in texts {
            parties.push(party(text.as_str()?.into()));
            if parties.len() > DESTINATIONS_MAX {
                return None;
            }
        }
    }
    (!parties.is_empty()).then_some(parties)
}

/// A number (RFC 7519 §2), or one written as text, as the examples of RFC 8224 §4.1.1 and RFC 8588
/// §6 write it.
fn numeric_date(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let seconds = number.as_f64().filter(|seconds| (0.0..1e15).contains(seconds))?;
            Some(seconds as u64)
        }),
        Value::String(text) if text.len() <= 15 => text.parse().ok(),
        _ => None,
    }
}

/// Numbers first, then addresses: `tn` sorts before `uri`.
fn print_destinations(destinations: &[Party]) -> String {
    let list = |texts: Vec<String>| format!("[{}]", texts.join(","));
    let (mut numbers, mut uris) = (Vec::new(), Vec::new());
    for destination in destinations {
        match destination {
            Party::Number(number) => numbers.push(quoted(number)),
            Party::Uri(uri) => uris.push(quoted(uri)),
        }
    }
    let mut members = Members::new();
    if !numbers.is_empty() {
        members.raw("tn", &list(numbers));
    }
    if !uris.is_empty() {
        members.raw("uri", &list(uris));
    }
    members.finish()
}

/// RFC 4122 §3: 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups = text
        .split('-')
        .map(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(group.len()));
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Members of an object, in the order they are given.
struct Members {
    json: String,
}

impl Members {
    fn new() -> Self {
        Self { json: "{".into() }
    }

    fn raw(&mut self, name: &str, value: &str) {
        let comma = if self.json.len() > 1 { "," } else { "" };
        // Writing to a `String` cannot fail.
        let _ = write!(self.json, "{comma}\"{name}\":{value}");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }

    fn finish(mut self) -> String {
        self.json.push('}');
        self.json
    }
}
