//! The session description inside a multipart body (RFC 5621 §3.1, RFC 2046 §5.1): gateways send
//! one beside the ISUP message or the location of the caller.
//!
//! The other parts are not read. Departs from RFC 5621 §5: one marked `handling=required` does
//! not make us refuse the call, since a caller who can be heard is better served than refused.

use crate::leg::SDP;
use crate::message::Headers;
use crate::message::name::Name;
use crate::message::params::{Params, unquote};
use bytes::Bytes;

/// Parts beyond these are not looked at.
const PARTS_MAX: usize = 16;

/// Puts the description in the place of a multipart body that has one. Any other body stays.
pub(crate) fn unwrap(headers: &mut Headers, body: &mut Bytes) {
    let is_multipart = headers
        .content_type()
        .and_then(|kind| kind.split_once('/'))
        .is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("multipart"));
    if is_multipart && let Some(part) = description(headers, body) {
        *body = part;
        headers.set(Name::ContentType, SDP);
    }
}

fn description(headers: &Headers, body: &Bytes) -> Option<Bytes> {
    let (_, params) = headers.get(Name::ContentType)?.split_once(';')?;
    let boundary = unquote(Params::new(params).get("boundary")?);
    if boundary.is_empty() {
        return None;
    }
    // RFC 2046 §5.1.1: two hyphens, the boundary, at the beginning of a line.
    let mark = format!("--{boundary}");
    let starts = marks(body, mark.as_bytes()).take(PARTS_MAX);
    for start in starts {
        let rest = &body[start + mark.len()..];
        let end = marks(rest, mark.as_bytes()).next()?;
        let part = body.slice(start + mark.len()..start + mark.len() + end);
        if let Some(content) = content_of_sdp(&part) {
            return Some(content);
        }
    }
    None
}

/// Where a mark stands at the beginning of a line.
fn marks<'a>(text: &'a [u8], mark: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let line_starts = (0..text.len()).filter(|at| *at == 0 || text[at - 1] == b'\n');
    line_starts.filter(|at| text[*at..].starts_with(mark))
}

/// The content of a part, if its own headers call it a description.
fn content_of_sdp(part: &Bytes) -> Option<Bytes> {
    let end = part.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&part[..end]).ok()?;
    let is_sdp = head.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        let kind = value.split(';').next().unwrap_or(value);
        let name = name.trim();
        let is_type = name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c");
        is_type && kind.trim().eq_ignore_ascii_case(SDP)
    });
    // The line end before the next mark belongs to the mark.
    let content = part.slice(end + 4..);
    let content = content.strip_suffix(b"\r\n").map_or(content.clone(), |c| content.slice_ref(c));
    is_sdp.then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(content_type: &str, body: &str) -> (String, String) {
        let mut headers = Headers::new();
        headers.push(Name::ContentType, content_type);
        let mut bytes = Bytes::copy_from_slice(body.as_bytes());
        unwrap(&mut headers, &mut bytes);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (headers.get(Name::ContentType).unwrap().to_owned(), text)
    }

    #[test]
    fn the_description_is_found_among_the_parts() {
        let body = "intro\r\n--b1\r\nContent-Type: application/isup;version=x\r\n\r\n\u{1}\u{2}\r\n\
                    --b1\r\nc: application/sdp\r\n\r\nv=0\r\no=x\r\n\r\n--b1--\r\n";
        for kind in ["multipart/mixed;boundary=b1", "Multipart/Related; x=y; boundary=\"b1\""] {
            assert_eq!(unwrapped(kind, body), (SDP.into(), "v=0\r\no=x\r\n".into()));
        }
    }

    #[test]
    fn other_bodies_stay_as_they_are() {
        let part = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        for (kind, body) in [
            (SDP, "v=0\r\n"),
            ("multipart/mixed", part),
            ("multipart/mixed;boundary=\"\"", part),
            ("multipart/mixed;boundary=b", part),
            ("multipart/mixed;boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--"),
            ("multipart/mixed;boundary=b", "--b\r\n--b--"),
            ("multipart/mixed;boundary=b", ""),
        ] {
            assert_eq!(unwrapped(kind, body), (kind.into(), body.into()));
        }
    }
}
