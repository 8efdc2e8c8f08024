//! What is wrong with faulty messages, and what is still answered.

use super::{INVITE, read};
use crate::error::{Fault, FieldError, FieldFault, UriError};
use crate::message::HEADERS_MAX;
use crate::message::name::Name;

fn field(name: Name, fault: FieldFault) -> Fault {
    Fault::Field(FieldError { name, fault })
}

/// What is replaced by what in the ordinary INVITE, the fault, and the status of the answer.
type Row<'a> = (&'a str, &'a str, Fault, Option<u16>);

fn check(rows: &[Row<'_>]) {
    let describe = |fault: &Fault, status| format!("{fault:?} -> {status:?}");
    for (from, to, fault, status) in rows {
        assert!(INVITE.contains(from), "{from}");
        let error = read(INVITE.replacen(from, to, 1)).expect_err(to);
        let found = error.response("t9").map(|response| response.status);
        assert_eq!(describe(&error.fault, found), describe(fault, *status), "{to}");
    }
}

#[test]
fn faults_of_the_start_line_are_answered_as_their_rfc_asks() {
    let long = format!("sip:{}@pbx.example", "1".repeat(1100));
    check(&[
        // RFC 3261 §7.1 and RFC 4475 §3.1.2.7 to .11, .16, .17.
        ("SIP/2.0\r\n", "SIP/7.0\r\n", Fault::Version, Some(505)),
        ("SIP/2.0\r\n", "SIP/2.0  \r\n", Fault::StartLine, Some(400)),
        ("SIP/2.0\r\n", "HTTP/1.1\r\n", Fault::NotSip, None),
        ("INVITE sip", "INVITE  sip", Fault::StartLine, Some(400)),
        ("INVITE sip", "INV\"ITE sip", Fault::StartLine, Some(400)),
        (
            "pbx.example SIP",
            "pbx.example; lr SIP",
            Fault::RequestUri(UriError::Character),
            Some(400),
        ),
        (
            "sip:100@pbx.example SIP",
            "<sip:1@h> SIP",
            Fault::RequestUri(UriError::Character),
            Some(400),
        ),
        (
            "pbx.example SIP",
            "pbx.example?Route=%3C SIP",
            Fault::RequestUri(UriError::Headers),
            Some(400),
        ),
        (
            "sip:100@pbx.example SIP",
            "sip:2001:db8::1 SIP",
            Fault::RequestUri(UriError::Port),
            Some(400),
        ),
        ("sip:100@pbx.example", &long, Fault::RequestUri(UriError::TooLong), Some(414)),
        ("7 INVITE", "7 OPTIONS", Fault::MethodMismatch, Some(400)),
        // An ACK is never answered, nor is a response.
        ("7 INVITE", "7 ACK", Fault::MethodMismatch, None),
        ("INVITE sip:100@pbx.example SIP/2.0", "SIP/2.0 4294967301 x", Fault::StartLine, None),
        ("INVITE sip:100@pbx.example SIP/2.0", "SIP/2.0 2 x", Fault::StartLine, None),
    ]);
}

#[test]
fn faults_of_the_fields_are_answered_as_their_rfc_asks() {
    use FieldFault::{Malformed, Missing, Repeated};
    let many = "X: y\r\n".repeat(HEADERS_MAX);
    check(&[
        // RFC 4475 §3.1.2.1 to .6, .14, .15, §3.3.1, §3.3.8, §3.3.9.
        (
            "192.0.2.1:5070;branch",
            "192.0.2.1:5070;;,;,,;branch",
            field(Name::Via, Malformed),
            Some(400),
        ),
        ("rport\r\n", "rport=x\r\n", field(Name::Via, Malformed), Some(400)),
        ("Via:", "X:", field(Name::Via, Missing), None),
        ("To: <sip", "To: \"Bo <sip", field(Name::To, Malformed), Some(400)),
        ("To: <sip", "To: < sip", field(Name::To, Malformed), Some(400)),
        ("To: <sip", "To: Bo, Jo <sip", field(Name::To, Malformed), Some(400)),
        ("To: <sip:100@pbx.example>", "To: sip:1@h?a=b", field(Name::To, Malformed), Some(400)),
        ("From:", "X:", field(Name::From, Missing), Some(400)),
        ("To:", "From: <sip:x@y>\r\nTo:", field(Name::From, Repeated), Some(400)),
        ("Call-ID: c1@", "Call-ID: c1 @", field(Name::CallId, Malformed), Some(400)),
        ("7 INVITE", "36893488147419103232 INVITE", field(Name::CSeq, Malformed), Some(400)),
        ("7 INVITE", "2147483648 INVITE", field(Name::CSeq, Malformed), Some(400)),
        ("7 INVITE", "+7 INVITE", field(Name::CSeq, Malformed), Some(400)),
        ("Length: 4", "Length: 5", Fault::BodyShort, Some(400)),
        ("Length: 4", "Length: -4", field(Name::ContentLength, Malformed), Some(400)),
        (
            "Length: 4",
            "Length: 99999999999999999999",
            field(Name::ContentLength, Malformed),
            Some(400),
        ),
        ("Content-Length: 4", "l: 4\r\nl: 4", field(Name::ContentLength, Repeated), Some(400)),
        ("Max-Forwards: 70", "no colon", Fault::HeaderLine { line: 3 }, Some(400)),
        ("Max-Forwards", "Max Forwards", Fault::HeaderLine { line: 3 }, Some(400)),
        ("Max-Forwards: 70", "X: a\rb", Fault::HeaderLine { line: 3 }, Some(400)),
        ("\r\n\r\nv=0\n", "\r\n", Fault::HeaderLine { line: 12 }, Some(400)),
        ("Max-Forwards: 70\r\n", &many, Fault::TooManyHeaders, Some(513)),
    ]);
}

#[test]
fn keep_alives_and_noise_are_told_from_sip() {
    for (text, fault) in [
        ("", Fault::Empty),
        ("\r\n\r\n", Fault::Empty),
        ("\0\0\0\0", Fault::Empty),
        ("hello\r\n\r\n", Fault::NotSip),
        ("GET / HTTP/1.1\r\n\r\n", Fault::NotSip),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!((error.fault, error.response("t")), (fault, None), "{text:?}");
    }
}

/// RFC 3261 §8.2.6.2: what was salvaged stands in the refusal, and it names the fault.
#[test]
fn a_refusal_copies_what_was_salvaged() {
    let text = INVITE.replace("To: <sip:100@pbx.example>\r\n", "To: \"Bo <sip:x@y>\r\n");
    let refusal = read(&text).unwrap_err().response("t9").unwrap();
    let expected = "SIP/2.0 400 Malformed To Header\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport\r\n\
        From: \"Ann\" <sip:ann@a.example>;tag=f1\r\n\
        To: \"Bo <sip:x@y>\r\n\
        Call-ID: c1@192.0.2.1\r\n\
        CSeq: 7 INVITE\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(refusal.print(), expected);
    let tagged = read(INVITE.replace("7 INVITE", "7 BYE")).unwrap_err().response("t9").unwrap();
    assert_eq!(tagged.headers.to().unwrap().tag(), Some("t9"));
}

/// RFC 3261 §18.3: nobody is answered, and no half of it is used.
#[test]
fn a_response_that_is_cut_off_is_dropped() {
    let rest = INVITE.split_once("\r\n").unwrap().1;
    let whole = format!("SIP/2.0 200 OK\r\n{rest}");
    assert!(read(&whole).is_ok());
    let cut = &whole[..whole.len() - 1];
    let error = read(cut).unwrap_err();
    assert_eq!((error.fault, error.response("t")), (Fault::BodyShort, None));
}

/// RFC 3261 §20, table 2: the mandatory fields of a response.
#[test]
fn a_response_without_its_marks_is_dropped() {
    let rest = INVITE.split_once("\r\n").unwrap().1;
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let text = format!("SIP/2.0 200 OK\r\n{}", rest.replace(&format!("{name}:"), "X-No:"));
        let error = read(text).expect_err(name);
        assert_eq!(error.response("t"), None);
        let Fault::Field(field) = error.fault else { panic!("{name}") };
        assert_eq!((field.name.as_str(), field.fault), (name, FieldFault::Missing));
    }
}
