//! What is read out of well-formed messages, odd ones too.

use super::{INVITE, read, request, response};
use crate::error::{FieldError, FieldFault};
use crate::message::HEADERS_MAX;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::Contacts;
use std::borrow::Cow;

#[test]
fn an_ordinary_invite_gives_all_its_fields() {
    let invite = request(INVITE);
    assert_eq!(
        (invite.method.clone(), invite.uri.as_str()),
        (Method::Invite, "sip:100@pbx.example")
    );
    let via = invite.headers.via().unwrap();
    assert_eq!((via.transport, via.host, via.port), ("UDP", "192.0.2.1", Some(5070)));
    assert_eq!((via.branch(), via.wants_rport(), via.rport()), (Some("z9hG4bK1"), true, None));
    let from = invite.headers.from().unwrap();
    assert_eq!(
        (&*from.display(), from.uri_str(), from.tag()),
        ("Ann", "sip:ann@a.example", Some("f1"))
    );
    assert_eq!(invite.headers.to().unwrap().tag(), None);
    assert_eq!(invite.headers.call_id(), Ok("c1@192.0.2.1"));
    assert_eq!(invite.headers.cseq(), Ok((7, Method::Invite)));
    assert_eq!(invite.headers.max_forwards(), Ok(Some(70)));
    assert_eq!(invite.headers.content_type(), Some("application/sdp"));
    assert_eq!(invite.headers.record_routes().unwrap().len(), 1);
    assert_eq!(&invite.body[..], b"v=0\n");
    assert!(!invite.headers.has(Name::ContentLength));
}

/// White space wherever RFC 3261 §7.3.1 and §25.1 let it stand, folds, compact names, lists.
#[test]
fn white_space_folds_and_compact_names_are_understood() {
    let text = "INVITE sip:b@h.example;unknown SIP/2.0\r\n\
        TO :\r\n sip:b@h.example ;   tag    = 12\r\n\
        f   : \"A \\\\\\\" B\"       <sip:a@g.example>\r\n  ;\r\n  tag = x1\r\n\
        MaX-fOrWaRdS: 0068\r\n\
        i: fold.1@g\r\n\
        cseq: 0009\r\n  INVITE\r\n\
        Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390\r\n\
        s :\r\n\
        Odd: new\r\n continued\r\n\tvalue\r\n\
        Odder: ;;,,;\r\n\
        v:  SIP  / 2.0  / TCP     s.example  :  5061 ;\r\n  branch  =   z9hG4bK9  ,\r\n SIP/2.0/UDP h\r\n\
        m:\"q \\\"\\\"\" <sip:a@g> ; newparam =\r\n      1 ;\r\n  second ; q = 0.33\r\n\
        l   : 0\r\n\r\n";
    let invite = request(text);
    assert_eq!(invite.headers.to().unwrap().tag(), Some("12"));
    let from = invite.headers.from().unwrap();
    assert_eq!((&*from.display(), from.tag()), ("A \\\" B", Some("x1")));
    assert_eq!(invite.headers.max_forwards(), Ok(Some(68)));
    assert_eq!(invite.headers.cseq(), Ok((9, Method::Invite)));
    let vias: Vec<_> =
        invite.headers.vias().map(|via| (via.transport, via.host, via.port)).collect();
    assert_eq!(
        vias,
        [("UDP", "192.0.2.2", None), ("TCP", "s.example", Some(5061)), ("UDP", "h", None)]
    );
    assert_eq!(invite.headers.get(Name::Subject), Some(""));
    assert_eq!(invite.headers.get_named("odd"), Some("new continued value"));
    assert_eq!(invite.headers.get_named("ODDER"), Some(";;,,;"));
    let Ok(Contacts::List(contacts)) = invite.headers.contacts() else { panic!("a list") };
    assert_eq!((contacts.len(), contacts[0].params.get("q")), (1, Some("0.33")));
    assert_eq!(&*contacts[0].display(), "q \"\"");
}

#[test]
fn unknown_methods_schemes_and_names_stay_as_they_came() {
    let text = INVITE
        .replace("7 INVITE", "7 !odd'")
        .replace("INVITE sip:100@pbx.example", "!odd' odd:x?y");
    let odd = request(text.replace("Max-Forwards", "x-ODD%"));
    assert_eq!(odd.method, Method::Other("!odd'".into()));
    assert_eq!(odd.uri.as_str(), "odd:x?y");
    assert_eq!(odd.headers.iter().nth(1), Some(("x-ODD%", "70")));
}

/// RFC 3261 §18.3: what is behind the body is dropped; without Content-Length the body is the
/// rest of the datagram. §7.5: line ends in front are skipped.
#[test]
fn a_datagram_ends_where_content_length_says() {
    let longer = format!("\r\n\r\n{INVITE}INVITE sip:next SIP/2.0\r\n");
    assert_eq!(request(&longer), request(INVITE));
    let without = format!("{}more", INVITE.replace("Content-Length: 4\r\n", ""));
    assert_eq!(&request(without).body[..], b"v=0\nmore");
    assert_eq!(request(INVITE.replace("\r\n", "\n")), request(INVITE));
}

#[test]
fn responses_keep_their_reason_whatever_it_is() {
    let rest = INVITE.split_once("\r\n").unwrap().1;
    for (line, status, reason) in [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("sip/2.0 699 = 2**3 не девять", 699, "= 2**3 не девять"),
        ("SIP/2.0 100 ", 100, ""),
        ("SIP/2.0 183", 183, ""),
    ] {
        let found = response(format!("{line}\r\n{rest}"));
        assert_eq!((found.status, &*found.reason), (status, reason));
    }
}

/// Bytes that are no UTF-8 are taken for Latin-1: the call goes on.
#[test]
fn latin_1_names_are_read_and_binary_bodies_kept() {
    let (head, _) = INVITE.split_once("v=0").unwrap();
    let mut octets = Vec::new();
    for part in head.split("Ann") {
        if !octets.is_empty() {
            octets.extend(b"Ren\xe9");
        }
        octets.extend(part.as_bytes());
    }
    octets.extend([0xff, 0, 0xfe, 1]);
    let invite = request(&octets);
    assert_eq!(invite.headers.from().unwrap().display(), "René");
    assert_eq!(&invite.body[..], [0xff, 0, 0xfe, 1]);
    let plain = [head.as_bytes(), &[0xff, 0, 0xfe, 1]].concat();
    assert_eq!(&request(plain).body[..], [0xff, 0, 0xfe, 1]);
}

#[test]
fn seldom_fields_are_read() {
    let extra = "Expires: 3600\r\nMin-Expires: 9\r\nRetry-After: 120 (busy);duration=5\r\n\
        Require: 100rel, timer\r\nSupported: Path,gruu\r\nAllow: INVITE, BYE\r\n\
        Reason: Q.850 ;cause=16 ;text=\"Normal, \\\"end\\\"\", SIP;cause=200\r\n\
        Authorization: Digest username=\"a\", realm=\"r,s\" ,nc=00000001\r\n\
        Contact: *\r\n\r\n";
    let invite = request(
        INVITE
            .replace("Contact: <sip:ann@192.0.2.1:5070>\r\n", "")
            .replace("\r\n\r\n", &format!("\r\n{extra}")),
    );
    let headers = &invite.headers;
    assert_eq!((headers.expires(), headers.min_expires()), (Ok(Some(3600)), Ok(Some(9))));
    assert_eq!(headers.retry_after(), Some(120));
    assert_eq!(headers.require().collect::<Vec<_>>(), ["100rel", "timer"]);
    assert!(headers.supports("path") && !headers.supports("timer"));
    assert_eq!(headers.allows(&Method::Bye), Some(true));
    assert_eq!(headers.allows(&Method::Info), Some(false));
    let reasons: Vec<_> = headers.reasons().map(|r| (r.protocol, r.cause, r.text)).collect();
    let text = Some(Cow::from("Normal, \"end\""));
    assert_eq!(reasons, [("Q.850", Some(16), text), ("SIP", Some(200), None)]);
    let credentials: Vec<_> = headers.authorisations(Name::Authorization).collect();
    assert_eq!(credentials[0].params.get("REALM"), Some("\"r,s\""));
    assert_eq!(headers.contacts(), Ok(Contacts::Star));
    let repeated = read(INVITE.replace("Max-Forwards: 70", "Expires: 1\r\nExpires: 2")).unwrap();
    let fault = FieldError { name: Name::Expires, fault: FieldFault::Repeated };
    assert_eq!(repeated.headers().expires(), Err(fault));
}

/// A fuzzer's: what was read without Content-Length is read again with the one that we print.
#[test]
fn content_length_does_not_count_among_the_fields() {
    let filled = INVITE.replace("Content-Length: 4\r\n", &"X: y\r\n".repeat(HEADERS_MAX - 9));
    let invite = request(filled);
    assert_eq!(invite.headers.len(), HEADERS_MAX);
    assert_eq!(request(invite.print()), invite);
}
