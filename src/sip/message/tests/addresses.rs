//! URIs and addresses: taken apart and compared.

use crate::error::UriError;
use crate::message::name_addr::NameAddr;
use crate::message::uri::{Scheme, Uri};
use crate::message::via::Via;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Text, user, host, port, `transport`.
#[test]
fn uris_come_apart() {
    type Row =
        (&'static str, Option<&'static str>, &'static str, Option<u16>, Option<&'static str>);
    let rows: &[Row] = &[
        ("sip:atlanta.example", None, "atlanta.example", None, None),
        ("SIP:mario.rossi@h.example", Some("mario.rossi"), "h.example", None, None),
        ("sip:a:secret@h:5070;transport=TCP", Some("a"), "h", Some(5070), Some("TCP")),
        ("sip:user;par=u%40x@h.example", Some("user;par=u@x"), "h.example", None, None),
        ("sip:+39%20061@[2001:db8::1]:5061;lr", Some("+39 061"), "[2001:db8::1]", Some(5061), None),
        ("sip:[2001:db8::10:5070]", None, "[2001:db8::10:5070]", None, None),
        (
            "sips:1_u~(x)&y+z$/w?,/;;*:&p=1@h.example?a=b&c",
            Some("1_u~(x)&y+z$/w?,/;;*"),
            "h.example",
            None,
            None,
        ),
        ("tel:+39-061;phone-context=x", Some("+39-061"), "", None, None),
        ("sip:%00%c3%a9@h", Some("\0é"), "h", None, None),
        ("sip:%ff@h", Some("\u{fffd}"), "h", None, None),
    ];
    for (text, user, host, port, transport) in rows {
        let found = uri(text);
        assert_eq!(found.user().as_deref(), *user, "{text}");
        assert_eq!((found.host(), found.port()), (*host, *port), "{text}");
        assert_eq!(found.param("Transport"), *transport, "{text}");
    }
    let mapped = uri("sip:u@[::ffff:192.0.2.1]").host_ip();
    assert_eq!(mapped, "::ffff:192.0.2.1".parse().ok());
    assert_eq!(uri("sip:u@[2001:db8:::192.0.2.1]").host_ip(), "2001:db8::192.0.2.1".parse().ok());
    assert_eq!(uri("soap.beep://192.0.2.103:3002").scheme(), Scheme::Other);
    let headers: Vec<_> = uri("sip:h;x?a=b&c").headers().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(headers, ["a=b", "c="]);
}

#[test]
fn faulty_uris_are_refused_for_their_reason() {
    for (text, error) in [
        ("", UriError::Scheme),
        ("user@host", UriError::Scheme),
        ("1x:y", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:@h", UriError::User),
        ("sip::pw@h", UriError::User),
        ("sip:a%4@h", UriError::User),
        ("sip:a@b@c", UriError::Host),
        ("sip:a@[::1", UriError::Host),
        ("sip:a@[g::]", UriError::Host),
        ("sip:a@h/x", UriError::Host),
        ("sip:2001:db8::9:1", UriError::Port),
        ("sip:h:", UriError::Port),
        ("sip:h:65536", UriError::Port),
        ("sip:a b@h", UriError::Character),
        ("sip:a@h;x=\"y\"", UriError::Character),
        ("tel:", UriError::User),
        ("tel:ring", UriError::User),
    ] {
        let found = Uri::parse(text).map(|uri| uri.to_string());
        assert_eq!(found, Err(error), "{text}");
    }
    assert_eq!(Uri::parse(&format!("sip:{}", "h".repeat(1021))), Err(UriError::TooLong));
}

/// The examples of RFC 3261 §19.1.4, and those of tel: in RFC 3966 §4.
#[test]
fn uris_compare_as_rfc_3261_lists() {
    let same = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
    ];
    let other = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;newparam=6"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a%3bb@h", "sip:a;b@h"),
        ("sip:a@h", "sips:a@h"),
        ("tel:+1201", "tel:1201"),
    ];
    let compare = |(left, right): &(&str, &str)| {
        let (left, right) = (uri(left), uri(right));
        assert_eq!(left.is_equivalent(&right), right.is_equivalent(&left));
        left.is_equivalent(&right)
    };
    for pair in &same {
        assert!(compare(pair), "{pair:?}");
    }
    for pair in &other {
        assert!(!compare(pair), "{pair:?}");
    }
}

#[test]
fn a_parameter_goes_before_the_headers() {
    let with = uri("sip:a@h;x?y=z").with_param("transport", Some("tcp")).unwrap();
    assert_eq!(with.as_str(), "sip:a@h;x;transport=tcp?y=z");
    assert_eq!(uri("sip:h").with_param("lr", None).unwrap().as_str(), "sip:h;lr");
}

/// Text, display name, URI, tag; `None` where it is refused.
#[test]
fn addresses_come_apart() {
    type Row = (&'static str, Option<(&'static str, &'static str, Option<&'static str>)>);
    let rows: &[Row] = &[
        ("sip:a@h;tag=1", Some(("", "sip:a@h", Some("1")))),
        ("<sip:a@h;x=1>;tag=1", Some(("", "sip:a@h;x=1", Some("1")))),
        ("caller<sip:a@h>", Some(("caller", "sip:a@h", None))),
        ("t1~` t2'+_ t3*%!.- <sip:a@h>", Some(("t1~` t2'+_ t3*%!.-", "sip:a@h", None))),
        ("Jürgen (home) <sip:a@h>;tag=", None),
        ("Jürgen (home) <sip:a@h>", Some(("Jürgen (home)", "sip:a@h", None))),
        ("\"<a>, \\\"b\\\"\" <sip:a@h>;x=\"y;tag=2\"", Some(("<a>, \"b\"", "sip:a@h", None))),
        ("\"\" <isbn:29>;tag = q", Some(("", "isbn:29", Some("q")))),
        ("\"a\" b <sip:a@h>", None),
        ("\"open <sip:a@h>", None),
        ("<sip:a@h", None),
        ("<sip:a@h>x", None),
        ("<sip:a@h>;;tag=1", None),
        ("sip:a@h?b=c", None),
        ("poo <bear>", None),
        ("", None),
    ];
    for (text, expected) in rows {
        let found = NameAddr::parse(text);
        let found = found.map(|found| {
            (
                found.display().into_owned(),
                found.uri_str().to_owned(),
                found.tag().map(str::to_owned),
            )
        });
        let expected = expected
            .map(|(name, uri, tag)| (name.to_owned(), uri.to_owned(), tag.map(str::to_owned)));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn vias_come_apart() {
    for (text, expected) in [
        ("SIP/2.0/UDP h", Some(("h", None))),
        (
            "SIP/2.0/NEW_T. [2001:db8::9:1]:7;received=[2001:db8::9:255]",
            Some(("[2001:db8::9:1]", Some(7))),
        ),
        ("SIP / 2.0 / TCP h : 7 ;x", Some(("h", Some(7)))),
        ("SIP/2.0/UDP", None),
        ("SIP/2.0/UDP h x", None),
        ("SIP/2.0/UDP h:;x", None),
        ("SIP/2.0/UDP h:+7", None),
        ("SIP/2.0/UDP 2001:db8::1", None),
        ("HTTP/1.1/TCP h", None),
        ("SIP/2.0/UDP h;;branch=1", None),
    ] {
        assert_eq!(Via::parse(text).map(|via| (via.host, via.port)), expected, "{text}");
    }
    let branch = |text| Via::parse(text).and_then(|via| via.transaction_branch());
    assert_eq!(branch("SIP/2.0/UDP h;branch=z9hG4bKa"), Some("z9hG4bKa"));
    assert_eq!(branch("SIP/2.0/UDP h;branch=z9hG4bK"), None);
    assert_eq!(branch("SIP/2.0/UDP h;branch=1234567é"), None);
    for received in ["[2001:db8::9]", "2001:db8::9"] {
        let text = format!("SIP/2.0/UDP h;received={received}");
        let found = Via::parse(&text).and_then(|via| via.received());
        assert_eq!(found, "2001:db8::9".parse().ok());
    }
}

/// RFC 3261 §19.1.1: what we add takes the place of what is there.
#[test]
fn a_parameter_stands_once() {
    let with =
        uri("sip:a@h;transport=udp;lr;Transport=tls?y=z").with_param("transport", Some("tcp"));
    assert_eq!(with.unwrap().as_str(), "sip:a@h;lr;transport=tcp?y=z");
    assert_eq!(uri("sip:a@h;lr").with_param("lr", None).unwrap().as_str(), "sip:a@h;lr");
}

/// RFC 3261 §19.1.2: an escape in a host is not undone, so that nobody hides a name in it.
#[test]
fn a_host_has_no_escapes() {
    for text in ["sip:a@exampl%65.com", "sip:%31.2.3.4", "sips:a@h%2e", "sip:a@[::%31]"] {
        assert_eq!(Uri::parse(text), Err(UriError::Host), "{text}");
    }
}

/// RFC 3261 §20, §20.10: without brackets parameters are those of the field, and `,` and `?` are
/// faults.
#[test]
fn an_address_with_separators_stands_in_brackets() {
    for text in ["sip:a@h?x=y", "sip:a,b@h", "sip:a@h,x"] {
        assert_eq!(NameAddr::parse(text), None, "{text}");
        assert!(NameAddr::parse(&format!("<{text}>")).is_some() || text == "sip:a@h,x");
    }
    let bare = NameAddr::parse("sip:a@h;transport=tcp").unwrap();
    assert_eq!((bare.uri_str(), bare.params.get("transport")), ("sip:a@h", Some("tcp")));
    let bracketed = NameAddr::parse("<sip:a;b@h;transport=tcp>").unwrap();
    assert_eq!((bracketed.uri_str(), bracketed.params.as_str()), ("sip:a;b@h;transport=tcp", ""));
}

/// RFC 3261 §19.1.1 table 1, §19.1.5.
#[test]
fn a_request_uri_has_neither_method_nor_headers() {
    for (text, expected) in [
        ("sip:a@h", "sip:a@h"),
        ("sip:a@h?x=y", "sip:a@h"),
        ("sip:a@h;method=INVITE", "sip:a@h"),
        (
            "sips:a@h:5061;Method=X;lr;maddr=z;methods=y?Subject=x",
            "sips:a@h:5061;lr;maddr=z;methods=y",
        ),
        ("tel:+49;method=x", "tel:+49;method=x"),
    ] {
        assert_eq!(uri(text).into_request_uri().as_str(), expected);
    }
}
