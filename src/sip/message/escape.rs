//! Escapes in URIs, `%HH` (RFC 3261 §19.1.2), done and undone.

use std::borrow::Cow;
use std::fmt::Write as _;

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Whether two hexadecimal digits follow each `%`.
pub(super) fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let whole = |at: usize| {
        bytes.get(at + 1..at + 3).is_some_and(|pair| hex_pair(pair[0], pair[1]).is_some())
    };
    memchr::memchr_iter(b'%', bytes).all(whole)
}

/// Undoes `%HH`; what is no UTF-8 then becomes `U+FFFD`. A `%` without two digits stays.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let plain = rewrite_escapes(text, |byte, out| out.push(byte));
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

fn rewrite_escapes(text: &str, mut escaped: impl FnMut(u8, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match hex_pair(*high, *low) {
                Some(byte) => {
                    escaped(byte, &mut out);
                    rest = after;
                }
                None => out.push(first),
            },
            _ => out.push(first),
        }
    }
    out
}

/// Escapes undone where the character needed none, other escapes in upper case: texts that
/// RFC 3261 §19.1.4 takes for the same become the same.
pub(super) fn normalised(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let same = rewrite_escapes(text, |byte, out| match byte {
        _ if is_unreserved(byte) => out.push(byte),
        _ => out.extend(format!("%{byte:02X}").bytes()),
    });
    Cow::Owned(String::from_utf8_lossy(&same).into_owned())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

/// Escapes the value of a header that stands in a URI (RFC 3261 §25.1 `hvalue`).
pub fn escape_header(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Escapes what may not stand in a user part (RFC 3261 §25.1 `user`).
pub(super) fn escape_user(user: &str, out: &mut String) {
    for byte in user.bytes() {
        if is_unreserved(byte) || b"&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
