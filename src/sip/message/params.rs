//! The small grammar shared by header values (RFC 3261 §25.1): tokens, quoted strings, lists
//! split at commas, parameters split at semicolons. Nothing here copies.

use std::borrow::Cow;

/// The most octets of the parameters of one Via, address or set of credentials; longer ones are
/// malformed. Those of sane senders stay below a tenth of it.
pub(crate) const LENGTH_MAX: usize = 8_192;

/// How much of that stays free for what is put there later: a tag where there is none, and on the top
/// Via of a request where it came from (RFC 3581 §4) and how much more we take (RFC 7339 §4).
pub(crate) const ROOM: usize = 256;

/// Whether `text` is a token (RFC 3261 §25.1): not empty, and of these characters only.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| TOKEN[usize::from(byte)])
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
};

/// Whether an octet is linear white space, folds included (RFC 3261 §25.1 `LWS`): a form feed is none.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without the linear white space around it.
pub(crate) fn trim(text: &str) -> &str {
    trim_start(trim_end(text))
}

pub(crate) fn trim_start(text: &str) -> &str {
    let start = text.bytes().position(|byte| !is_blank(byte));
    &text[start.unwrap_or(text.len())..]
}

pub(crate) fn trim_end(text: &str) -> &str {
    let last = text.bytes().rposition(|byte| !is_blank(byte));
    &text[..last.map_or(0, |last| last + 1)]
}

/// The texts before and after the first `separator`, which is an ASCII character.
pub(crate) fn split_at(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(separator, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Finds the first `separator` in `text` that is neither inside a quoted string nor, with
/// `angles`, between `<` and `>`. An unclosed quote or bracket runs to the end.
pub(crate) fn find_outside(text: &str, separator: u8, angles: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let found = at + memchr::memchr3(separator, b'"', b'<', &bytes[at..])?;
        at = match bytes[found] {
            byte if byte == separator => return Some(found),
            b'"' => end_of_quoted(bytes, found + 1)?,
            _ if angles => found + memchr::memchr(b'>', &bytes[found..])?,
            _ => found + 1,
        };
    }
}

/// The place behind the quote that closes a string whose content begins at `at`.
fn end_of_quoted(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[found] {
            b'"' => return Some(found + 1),
            // A backslash takes the next character with it (RFC 3261 §25.1 `quoted-pair`).
            _ => at = found + 2,
        }
    }
}

/// Takes the text before the first `separator` off `rest`; `None` when nothing is left.
fn take_part<'a>(rest: &mut Option<&'a str>, separator: u8, angles: bool) -> Option<&'a str> {
    let text = (*rest)?;
    match find_outside(text, separator, angles) {
        Some(at) => {
            *rest = Some(&text[at + 1..]);
            Some(trim(&text[..at]))
        }
        None => {
            *rest = None;
            Some(trim(text))
        }
    }
}

/// The elements of a comma-separated list, trimmed; empty ones are left out, as most senders of
/// stray commas mean nothing by them.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || take_part(&mut rest, b',', true)).filter(|part| !part.is_empty())
}

/// Undoes quoting: outer quotes and backslashes go; a text without outer quotes stays.
pub fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    Cow::Owned(plain)
}

/// Puts a text in quotes (RFC 3261 §25.1); control characters, which no quoting allows, become
/// spaces.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push(' '),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Parameters, `;name=value;name…`, read as they are asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Params<'a> {
    text: &'a str,
    separator: u8,
}

impl<'a> Params<'a> {
    /// Parameters split at semicolons; a leading semicolon may be there or not.
    pub fn new(text: &'a str) -> Self {
        Self { text: trim(text), separator: b';' }
    }

    /// Parameters split at commas, as in challenges and credentials (RFC 3261 §20.7).
    pub fn comma_separated(text: &'a str) -> Self {
        Self { text: trim(text), separator: b',' }
    }

    /// Each parameter: name and value as they stand (quotes kept), `None` when there is no `=`.
    /// Empty ones are left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = Some(self.text);
        let parts = std::iter::from_fn(move || take_part(&mut rest, self.separator, false));
        parts.filter(|part| !part.is_empty()).map(|part| match find_outside(part, b'=', false) {
            Some(at) => (trim(&part[..at]), Some(trim(&part[at + 1..]))),
            None => (part, None),
        })
    }

    /// The value of the first parameter of this name, in any case, quotes kept; an empty text
    /// for one without value.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or(""))
    }

    /// Whether a parameter of this name is there.
    pub fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The parameters as they came.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// Whether each parameter has a token for its name and closed quotes in its value
    /// (RFC 3261 §25.1 `generic-param`). One separator too many at the end is let pass.
    pub(crate) fn is_well_formed(self) -> bool {
        self.is_well_formed_and(|_, _| true)
    }

    /// As [`Params::is_well_formed`], and each name and value mean something to `means`.
    pub(crate) fn is_well_formed_and(self, means: impl Fn(&str, Option<&str>) -> bool) -> bool {
        if self.text.len() > LENGTH_MAX {
            return false;
        }
        let front = self.text.strip_prefix(char::from(self.separator));
        let mut rest = Some(front.unwrap_or(self.text));
        while let Some(part) = take_part(&mut rest, self.separator, false) {
            let sound = match split_at(part, b'=') {
                Some((name, value)) => {
                    let (name, value) = (trim(name), trim(value));
                    is_token(name) && is_value(value) && means(name, Some(value))
                }
                None if part.is_empty() => rest.is_none(),
                None => is_token(part) && means(part, None),
            };
            if !sound {
                return false;
            }
        }
        true
    }
}

/// Whether a value is a whole quoted string, or something without quotes.
fn is_value(text: &str) -> bool {
    match text.as_bytes() {
        [] => false,
        [b'"', ..] => end_of_quoted(text.as_bytes(), 1) == Some(text.len()),
        bytes => memchr::memchr(b'"', bytes).is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_at_commas_that_are_no_part_of_a_string_or_uri() {
        let text = r#""a, \"b" <sip:x@h;a,b>;q=1 , <sip:y@h>,, z"#;
        let parts: Vec<_> = split_list(text).collect();
        assert_eq!(parts, [r#""a, \"b" <sip:x@h;a,b>;q=1"#, "<sip:y@h>", "z"]);
        assert_eq!(split_list("").count(), 0);
        assert_eq!(split_list("\"never closed, x").count(), 1);
    }

    #[test]
    fn parameters_are_found_in_any_case_with_spaces_and_quotes() {
        let params = Params::new(r#"; Tag = 1 ;lr;x="a;b=\"c" ; y= "#);
        assert_eq!(params.get("tag"), Some("1"));
        assert_eq!(params.get("lr"), Some(""));
        assert_eq!(params.get("x"), Some(r#""a;b=\"c""#));
        assert_eq!(unquote(params.get("x").unwrap()), "a;b=\"c");
        assert_eq!(params.get("y"), Some(""));
        assert!(!params.has("z"));
    }

    #[test]
    fn faults_of_parameters_are_seen() {
        for (text, expected) in [
            (";a;b=1;c=\"d\"", true),
            (";a=\"open", false),
            (";a=\"x\"y", false),
            (";a=x\"", false),
            (";a b=1", false),
            (";a=", false),
            (";a;;b", false),
            (";a;", true),
            (";;", false),
            ("", true),
        ] {
            assert_eq!(Params::new(text).is_well_formed(), expected, "{text}");
        }
    }

    /// Each look at a message reads its parameters again: without end, they would cost us ten
    /// times what they cost the sender.
    #[test]
    fn endless_parameters_are_a_fault() {
        let text = ";a".repeat(LENGTH_MAX / 2);
        assert!(Params::new(&text).is_well_formed());
        assert!(!Params::new(&(text + ";a")).is_well_formed());
    }

    #[test]
    fn quoting_comes_back() {
        for text in ["", "plain", "a \"b\" \\ c", "大停電"] {
            assert_eq!(unquote(&quote(text)), text);
        }
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
    }
}
