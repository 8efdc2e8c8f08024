//! What a REFER asks for (RFC 3515 §2), what a NOTIFY about one says (RFC 3420, RFC 6665 §8.2), and
//! how ours are written.

use crate::message::escape::escape_header;
use crate::message::name::Name;
use crate::message::name_addr::NameAddr;
use crate::message::params::{Params, trim};
use crate::message::replaces::Replaces;
use crate::message::status::reason_phrase;
use crate::message::uri::{Scheme, Uri};
use crate::message::{Headers, Request, escape};
use std::sync::Arc;

/// The type of a piece of a message (RFC 3420).
pub(crate) const SIPFRAG: &str = "message/sipfrag";

/// The only event we notify of (RFC 3515 §3).
pub(crate) const REFER_EVENT: &str = "refer";

/// What a REFER asks for, all of it in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refer {
    /// Whom to call, without the headers of the URI.
    pub(crate) to: Uri,
    /// The dialog to replace, as `Replaces` has it (RFC 3891).
    pub(crate) replaces: Option<String>,
    /// `Referred-By` as it stands.
    pub(crate) referred_by: Option<Arc<str>>,
    /// Whether no subscription is wanted (RFC 4488 §4).
    pub(crate) without_subscription: bool,
}

/// Reads a REFER.
///
/// # Errors
/// The status to refuse it with.
pub(crate) fn read(headers: &Headers) -> Result<Refer, u16> {
    // RFC 3515 §2.4.2: exactly one; RFC 3892 §2.1: at most one.
    let to = headers.single(Name::ReferTo).map_err(|_| 400_u16)?;
    let to = NameAddr::parse(to).and_then(|to| to.uri().ok()).ok_or(400_u16)?;
    let referred_by = match headers.count(Name::ReferredBy) {
        0 => None,
        1 => headers.get(Name::ReferredBy),
        _ => return Err(400),
    };
    if referred_by.is_some_and(|by| NameAddr::parse(by).is_none()) {
        return Err(400);
    }
    // RFC 3515 §2.4.2: what we cannot call is not accepted (RFC 3261 §21.6.4).
    if !matches!(to.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Tel) {
        return Err(606);
    }
    // §2.4.3: the URI may ask for another request than INVITE; we make calls only.
    if to.param("method").is_some_and(|method| method != "INVITE") {
        return Err(603);
    }
    Ok(Refer {
        replaces: replaces(&to)?,
        to: to.into_request_uri(),
        referred_by: referred_by.map(Into::into),
        without_subscription: headers
            .get(Name::ReferSub)
            .is_some_and(|value| token(value).eq_ignore_ascii_case("false")),
    })
}

/// The `Replaces` among the URI's headers. The others are not obeyed: they would put words of the
/// referrer's into our own requests (RFC 3261 §19.1.5).
fn replaces(to: &Uri) -> Result<Option<String>, u16> {
    let name = Name::Replaces.as_str();
    let mut found = to.headers().filter(|(found, _)| found.eq_ignore_ascii_case(name));
    let Some((_, value)) = found.next() else { return Ok(None) };
    let value = escape::unescape(value).into_owned();
    // RFC 3891 §3: an INVITE with more than one would be refused with 400.
    match found.next().is_none() && Replaces::parse(&value).is_some() {
        true => Ok(Some(value)),
        false => Err(400),
    }
}

/// What stands before the parameters.
fn token(text: &str) -> &str {
    trim(text.split(';').next().unwrap_or(text))
}

/// The event of a SUBSCRIBE or NOTIFY, if it is `refer`: the `id` in it, or none.
///
/// # Errors
/// 489 for other events (RFC 6665 §4.1.3, §4.2.1.1) and for none.
pub(crate) fn event_id(headers: &Headers) -> Result<Option<u32>, u16> {
    let event = headers.single(Name::Event).map_err(|_| 489_u16)?;
    // §8.4: event names are compared byte by byte.
    if token(event) != REFER_EVENT {
        return Err(489);
    }
    match params_of(event).get("id") {
        None => Ok(None),
        // An id that is no CSeq of ours is of no REFER of ours.
        Some(id) => id.parse().map(Some).map_err(|_| 481),
    }
}

/// What a NOTIFY says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    /// The status line in its body.
    pub(crate) status: u16,
    pub(crate) terminated: bool,
    pub(crate) expires_s: Option<u32>,
}

/// Reads a NOTIFY about a REFER.
///
/// # Errors
/// The status to refuse it with.
pub(crate) fn read_notify(request: &Request) -> Result<Notice, u16> {
    // RFC 6665 §4.1.3: Subscription-State is mandatory.
    let standing = request.headers.single(Name::SubscriptionState).map_err(|_| 400_u16)?;
    let terminated = token(standing).eq_ignore_ascii_case("terminated");
    let expires_s = params_of(standing).get("expires").and_then(|seconds| seconds.parse().ok());
    // RFC 3515 §2.4.5: the body is a sipfrag that begins with a status line.
    if !request.headers.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(SIPFRAG)) {
        return Err(415);
    }
    let status = status_line(&request.body).ok_or(400_u16)?;
    Ok(Notice { status, terminated, expires_s })
}

fn params_of(text: &str) -> Params<'_> {
    Params::new(&text[text.find(';').unwrap_or(text.len())..])
}

fn status_line(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let status = line.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
    (100..=699).contains(&status).then_some(status)
}

/// The body of a NOTIFY.
pub(crate) fn sipfrag(status: u16) -> String {
    format!("SIP/2.0 {status} {}\r\n", reason_phrase(status))
}

/// The value of a `Refer-To` that leads to `uri`, where the one called shall replace a dialog.
pub(crate) fn refer_to(uri: &Uri, replaces: Option<&Replaces<'_>>) -> String {
    match replaces {
        None => format!("<{uri}>"),
        Some(replaces) => format!("<{uri}?Replaces={}>", escape_header(&replaces.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::method::Method;

    fn with(fields: &[(Name, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.push(*name, value);
        }
        headers
    }

    /// RFC 3515 §2.1, §2.4.2.
    #[test]
    fn a_refer_is_read_or_refused() {
        for (refer_to, expected) in [
            ("<sip:ben@hotline.example>", Ok("sip:ben@hotline.example")),
            ("sip:ben@hotline.example;tag=1", Ok("sip:ben@hotline.example")),
            ("Ben <sip:ben@h;method=INVITE>", Ok("sip:ben@h")),
            ("<tel:+4930123>", Ok("tel:+4930123")),
            ("<sip:ben@h?Subject=x&Route=%3Csip:evil%3E>", Ok("sip:ben@h")),
            ("<sip:ben@h;method=BYE>", Err(603)),
            ("<http://example.org/>", Err(606)),
            ("<mailto:ben@example.org>", Err(606)),
            ("<sip:a@h>, <sip:b@h>", Err(400)),
            ("<sip:a@h", Err(400)),
            ("<sip:a@h?Replaces=nonsense>", Err(400)),
            ("<sip:a@h?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3&Replaces=1%3Bto-tag%3D2>", Err(400)),
        ] {
            let read = read(&with(&[(Name::ReferTo, refer_to)]));
            assert_eq!(read.map(|refer| refer.to.to_string()), expected.map(str::to_owned));
        }
        let twice = [(Name::ReferTo, "<sip:a@h>"), (Name::ReferTo, "<sip:b@h>")];
        assert_eq!(read(&with(&twice)), Err(400));
        assert_eq!(read(&with(&[])), Err(400));
    }

    #[test]
    fn replaces_referrer_and_refer_sub_are_read() {
        let refer = read(&with(&[
            (Name::ReferTo, "<sip:a@h?Replaces=1%402%3Bto-tag%3D3%3Bfrom-tag%3D4>"),
            (Name::ReferredBy, "<sip:anna@h>;cid=5"),
            (Name::ReferSub, "false"),
        ]));
        let expected = Refer {
            to: Uri::parse("sip:a@h").unwrap(),
            replaces: Some("1@2;to-tag=3;from-tag=4".into()),
            referred_by: Some("<sip:anna@h>;cid=5".into()),
            without_subscription: true,
        };
        assert_eq!(refer, Ok(expected));
        for wrong in [&["nobody"][..], &["<sip:a@h>", "<sip:b@h>"]] {
            let mut headers = with(&[(Name::ReferTo, "<sip:a@h>")]);
            for value in wrong {
                headers.push(Name::ReferredBy, value);
            }
            assert_eq!(read(&headers), Err(400), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let uri = Uri::parse("sip:ben@192.0.2.9:5070;transport=tcp").unwrap();
        let replaces = Replaces { call_id: "a@b", to_tag: "1", from_tag: "2", early_only: false };
        let written = refer_to(&uri, Some(&replaces));
        let refer = read(&with(&[(Name::ReferTo, &written)])).unwrap();
        assert_eq!(refer.to.as_str(), uri.as_str());
        assert_eq!(refer.replaces.as_deref(), Some("a@b;to-tag=1;from-tag=2"));
    }

    /// RFC 6665 §4.1.3, §8.2.1.
    #[test]
    fn events_and_notifies_are_read_or_refused() {
        for (event, expected) in [
            ("refer", Ok(None)),
            ("refer;id=7", Ok(Some(7))),
            ("refer ; id=7", Ok(Some(7))),
            ("refer;id=x", Err(481)),
            ("REFER", Err(489)),
            ("presence", Err(489)),
        ] {
            assert_eq!(event_id(&with(&[(Name::Event, event)])), expected, "{event}");
        }
        assert_eq!(event_id(&with(&[])), Err(489));
        let sound = Notice { status: 180, terminated: false, expires_s: Some(60) };
        let gone = Notice { status: 180, terminated: true, expires_s: None };
        let (active, over) = ("active;expires=60", "terminated;reason=noresource");
        let kind = "message/sipfrag;version=2.0";
        for (standing, kind, body, expected) in [
            (active, kind, "SIP/2.0 180 Ringing\r\n", Ok(sound)),
            (active, kind, "SIP/2.0 180", Ok(sound)),
            (over, kind, "SIP/2.0 180 Ringing\r\nTo: <sip:a@h>\r\n", Ok(gone)),
            (over, "text/plain", "SIP/2.0 180 Ringing\r\n", Err(415)),
            (over, kind, "INVITE sip:a@h SIP/2.0\r\n", Err(400)),
            (over, kind, "SIP/2.0 99 Strange\r\n", Err(400)),
            (over, kind, "", Err(400)),
            ("", kind, "SIP/2.0 200 OK\r\n", Err(400)),
        ] {
            let uri = Uri::parse("sip:a@h").unwrap();
            let mut request = Request::new(Method::Notify, uri);
            if !standing.is_empty() {
                request.headers.push(Name::SubscriptionState, standing);
            }
            request.set_body(kind, body.to_owned());
            assert_eq!(read_notify(&request), expected, "{standing} {kind} {body}");
        }
    }
}
