//! Identity header values (RFC 8224 §4).

use std::sync::Arc;

/// One Identity value: a PASSporT and where its signer's certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Header, claims and signature as they were sent, in base64url; the first two are empty in the
    /// compact form.
    pub token: Token,
    /// Where the certificate is: the `info` parameter.
    pub info: Arc<str>,
    /// The `alg` parameter; without it `ES256` is meant (RFC 8224 §4.1).
    pub algorithm: Option<Arc<str>>,
    /// The `ppt` parameter: the kind of PASSporT.
    pub kind: Option<Arc<str>>,
}

/// The three parts of a PASSporT as they travel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Token {
    /// All parts (RFC 8225 §5).
    Full {
        /// Base64url of the header.
        header: Arc<str>,
        /// Base64url of the claims.
        claims: Arc<str>,
        /// Base64url of the signature.
        signature: Arc<str>,
    },
    /// The signature alone (RFC 8225 §7); the rest is built from the request.
    Compact {
        /// Base64url of the signature.
        signature: Arc<str>,
    },
}

/// Characters of an Identity value; a longer one is malformed.
pub const IDENTITY_MAX: usize = 8_192;
/// Parameters of an Identity value; further ones make it malformed.
const PARAMETERS_MAX: usize = 16;

impl Identity {
    /// Reads one header value; `None` when it is malformed.
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > IDENTITY_MAX {
            return None;
        }
        let mut parts = split_parameters(value);
        let token = Token::parse(parts.next()?.trim())?;
        let (mut info, mut algorithm, mut kind) = (None, None, None);
        for (count, parameter) in parts.enumerate() {
            let (name, text) = match parameter.split_once('=') {
                Some((name, text)) => (name.trim(), text.trim()),
                None => (parameter.trim(), ""),
            };
            // RFC 3261 §7.3.1: no parameter comes twice.
            let slot = match () {
                () if count >= PARAMETERS_MAX => return None,
                () if name.eq_ignore_ascii_case("info") => &mut info,
                () if name.eq_ignore_ascii_case("alg") => &mut algorithm,
                () if name.eq_ignore_ascii_case("ppt") => &mut kind,
                // generic-param: not ours to know.
                () => continue,
            };
            if slot.replace(text).is_some() {
                return None;
            }
        }
        let info = info?.strip_prefix('<')?.strip_suffix('>')?.trim();
        if info.is_empty() || info.contains(['<', '>', '"', ' ']) {
            return None;
        }
        let word = |text: Option<&str>| match text.map(|text| token_of(unquoted(text))) {
            None => Some(None),
            Some(word) => word.map(|word| Some(Arc::from(word))),
        };
        Some(Self { token, info: info.into(), algorithm: word(algorithm)?, kind: word(kind)? })
    }

    /// The header value.
    pub fn print(&self) -> String {
        let (header, claims, signature) = match &self.token {
            Token::Full { header, claims, signature } => (&**header, &**claims, signature),
            Token::Compact { signature } => ("", "", signature),
        };
        let mut value = format!("{header}.{claims}.{signature};info=<{}>", self.info);
        for (name, text) in [("alg", &self.algorithm), ("ppt", &self.kind)] {
            if let Some(text) = text {
                value.extend([";", name, "=", text]);
            }
        }
        value
    }

    /// Whether this verifier knows the kind (RFC 8224 §6.2 step 1): none at all, or SHAKEN's.
    pub fn is_supported(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "shaken")
    }
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let written = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte))
        };
        if parts.next().is_some() || !written(signature) {
            return None;
        }
        match (header.is_empty(), claims.is_empty()) {
            (true, true) => Some(Self::Compact { signature: signature.into() }),
            (false, false) if written(header) && written(claims) => Some(Self::Full {
                header: header.into(),
                claims: claims.into(),
                signature: signature.into(),
            }),
            _ => None,
        }
    }
}

/// Splits at semicolons outside of `<…>` and `"…"`.
fn split_parameters(value: &str) -> impl Iterator<Item = &str> {
    let (mut in_angle, mut in_quotes) = (false, false);
    value.split(move |letter| {
        match letter {
            '"' if !in_angle => in_quotes = !in_quotes,
            '<' if !in_quotes => in_angle = true,
            '>' if !in_quotes => in_angle = false,
            ';' => return !in_angle && !in_quotes,
            _ => (),
        }
        false
    })
}

/// Some signers quote `ppt="shaken"`, which the grammar does not have.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn token_of(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    (!text.is_empty() && text.bytes().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_compact_forms_are_read_and_printed() {
        let full = "aa.bb.cc;info=<https://cert.example.org/a;b.pem>;alg=ES256;ppt=shaken";
        let identity = Identity::parse(full).unwrap();
        assert_eq!(&*identity.info, "https://cert.example.org/a;b.pem");
        assert_eq!(identity.kind.as_deref(), Some("shaken"));
        assert_eq!(identity.print(), full);
        let compact = "..cc;info=<https://biloxi.example.org/biloxi.cert>";
        let identity = Identity::parse(compact).unwrap();
        assert_eq!(identity.token, Token::Compact { signature: "cc".into() });
        assert_eq!(identity.print(), compact);
    }

    #[test]
    fn white_space_quotes_case_and_unknown_parameters_are_no_matter() {
        let spaced = "aa.bb.cc ; INFO = <https://c.example/x> ; canon=\"a;b\" ;ppt=\"shaken\"";
        let identity = Identity::parse(spaced).unwrap();
        assert_eq!(identity.print(), "aa.bb.cc;info=<https://c.example/x>;ppt=shaken");
        assert!(identity.is_supported());
        assert!(
            !Identity::parse("aa.bb.cc;info=<https://c.example/x>;ppt=div").unwrap().is_supported()
        );
    }

    #[test]
    fn malformed_values_are_refused() {
        for (value, why) in [
            ("", "nothing"),
            ("aa.bb.cc", "no info"),
            ("aa.bb.cc;info=https://c.example/x", "no angle brackets"),
            ("aa.bb.cc;info=<>", "an empty address"),
            ("aa.bb;info=<https://c.example/x>", "two parts"),
            ("aa.bb.cc.dd;info=<https://c.example/x>", "four parts"),
            ("aa..cc;info=<https://c.example/x>", "header without claims"),
            ("..;info=<https://c.example/x>", "no signature"),
            ("a a.bb.cc;info=<https://c.example/x>", "a space inside"),
            ("..cc;info=<https://c.example/x>;info=<https://d.example/x>", "info twice"),
            ("..cc;info=<https://c.example/x>;ppt=", "an empty kind"),
            ("..cc;info=<https://c.example/x>;ppt=sha ken", "two words"),
        ] {
            assert_eq!(Identity::parse(value), None, "{why}");
        }
        let long = format!("..{};info=<https://c.example/x>", "a".repeat(IDENTITY_MAX));
        assert_eq!(Identity::parse(&long), None);
    }
}
