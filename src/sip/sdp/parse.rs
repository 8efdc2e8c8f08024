//! Session descriptions out of their text (RFC 8866 §5, §9).

use crate::sdp::{
    ATTRIBUTES_MAX, Attribute, Connection, FORMATS_MAX, MEDIA_MAX, Media, SdpError, Session,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn session(body: &[u8]) -> Result<Session<'_>, SdpError> {
    let mut session = Session { name: "-", time: "", ..Session::default() };
    let mut attributes = 0;
    let mut number = 0;
    let mut seen_origin = false;
    for raw in body.split(|byte| *byte == b'\n') {
        number += 1;
        let malformed = SdpError { line: number };
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if number == 1 {
            // RFC 8866 §5.1: there is no other version.
            if raw.trim_ascii_end() != b"v=0" {
                return Err(malformed);
            }
            continue;
        }
        let (kind, value) = match raw {
            [] => continue,
            [kind, b'=', value @ ..] => (*kind, value),
            _ => return Err(malformed),
        };
        let text = std::str::from_utf8(value).map(str::trim_end);
        match kind {
            b'o' => {
                session.origin = text.ok().filter(|text| is_origin(text)).ok_or(malformed)?;
                seen_origin = true;
            }
            // RFC 8866 §5.3: a session without name is called `-`.
            b's' => session.name = text.ok().filter(|name| !name.is_empty()).unwrap_or("-"),
            b't' if session.time.is_empty() => session.time = text.unwrap_or(""),
            b'c' => {
                let found = Some(text.ok().and_then(connection).ok_or(malformed)?);
                match session.media.last_mut() {
                    // RFC 8866 §5.7: more than one is for layered multicast; the first counts.
                    Some(media) => media.connection = media.connection.or(found),
                    None => session.connection = session.connection.or(found),
                }
            }
            b'm' if session.media.len() == MEDIA_MAX => return Err(malformed),
            b'm' => session.media.push(text.ok().and_then(media).ok_or(malformed)?),
            b'a' if attributes < ATTRIBUTES_MAX => {
                let Ok(text) = text else { continue };
                attributes += 1;
                match session.media.last_mut() {
                    Some(media) => media.attributes.push(attribute(text)),
                    None => session.attributes.push(attribute(text)),
                }
            }
            // RFC 8866 §5 lets a parser ignore what it does not know; the rest says nothing here.
            _ => (),
        }
    }
    if session.time.is_empty() {
        session.time = "0 0";
    }
    if seen_origin { Ok(session) } else { Err(SdpError { line: number + 1 }) }
}

/// `user id version IN IP4 address`: six parts, of which the numbers may be of any size.
fn is_origin(text: &str) -> bool {
    text.split_ascii_whitespace().count() >= 6
}

fn attribute(text: &str) -> Attribute<'_> {
    match text.split_once(':') {
        Some((name, value)) => (name.trim_ascii(), Some(value.trim_ascii())),
        None => (text.trim_ascii(), None),
    }
}

/// `IN IP4 address`, with `/ttl` behind a multicast one.
fn connection(text: &str) -> Option<Connection<'_>> {
    let mut parts = text.split_ascii_whitespace();
    let (network, kind, address) = (parts.next()?, parts.next()?, parts.next()?);
    let bare = address.split('/').next().unwrap_or(address);
    let ip = match (network, kind) {
        ("IN", "IP4") => bare.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        ("IN", "IP6") => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    Some(ip.map_or(Connection::Named(text.trim_ascii()), Connection::Ip))
}

/// `audio 49170/2 RTP/AVP 0 8 101`.
fn media(text: &str) -> Option<Media<'_>> {
    let mut parts = text.split_ascii_whitespace();
    let (kind, port, protocol) = (parts.next()?, parts.next()?, parts.next()?);
    let formats: Vec<_> = parts.take(FORMATS_MAX).collect();
    let port = port.split('/').next()?.parse().ok()?;
    // RFC 8866 §9 asks for one format at least.
    (!formats.is_empty()).then_some(Media { kind, port, protocol, formats, ..Media::default() })
}
