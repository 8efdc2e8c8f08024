//! Digits in INFO requests: `application/dtmf-relay` and `application/dtmf`, as gateways have
//! sent them since before RFC 6086 (its §1 calls them legacy INFO usages).

use crate::message::Request;

/// What an INFO carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Info {
    /// A key pressed: `0`–`9`, `*`, `#`, `A`–`D`.
    Digit(char),
    /// Nothing: used by some to see whether we are there.
    Empty,
    /// Something of a type that we do not read.
    Unknown,
}

/// The types read, for `Accept`.
pub(crate) const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

/// Reads the body of an INFO.
pub(crate) fn read(request: &Request) -> Info {
    if request.body.is_empty() {
        return Info::Empty;
    }
    let content_type = request.headers.content_type().unwrap_or("");
    let Ok(text) = std::str::from_utf8(&request.body) else { return Info::Unknown };
    let signal = if content_type.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
        })
    } else if content_type.eq_ignore_ascii_case("application/dtmf") {
        Some(text.trim())
    } else {
        None
    };
    signal.and_then(digit).map_or(Info::Unknown, Info::Digit)
}

/// A key by its sign, or by its event number (RFC 4733 §3.2: 10 is `*`, 11 `#`, 12–15 `A`–`D`).
fn digit(signal: &str) -> Option<char> {
    let mut characters = signal.chars();
    if let (Some(sign), None) = (characters.next(), characters.next()) {
        let sign = sign.to_ascii_uppercase();
        return matches!(sign, '0'..='9' | '*' | '#' | 'A'..='D').then_some(sign);
    }
    match signal.parse::<u8>().ok()? {
        10 => Some('*'),
        11 => Some('#'),
        event @ 12..=15 => Some(char::from(b'A' + event - 12)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::method::Method;
    use crate::message::uri::Uri;

    #[test]
    fn digits_are_read_from_both_forms() {
        let relay = "application/dtmf-relay";
        for (content_type, body, expected) in [
            (relay, "Signal=5\r\nDuration=160\r\n", Info::Digit('5')),
            (relay, "Duration=100\nsignal = #\n", Info::Digit('#')),
            (relay, "Signal=10\r\n", Info::Digit('*')),
            (relay, "Signal=16\r\n", Info::Unknown),
            (relay, "Signal=\r\n", Info::Unknown),
            ("application/DTMF", "d", Info::Digit('D')),
            ("application/dtmf", "1\r\n", Info::Digit('1')),
            ("application/media_control+xml", "<a/>", Info::Unknown),
            ("", "", Info::Empty),
        ] {
            let uri = Uri::parse("sip:a@192.0.2.1").unwrap();
            let mut request = Request::new(Method::Info, uri);
            request.set_body(content_type, body);
            assert_eq!(read(&request), expected, "{content_type} {body:?}");
        }
    }
}
