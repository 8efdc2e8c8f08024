//! The faults and oddities that RFC 4475 and RFC 5118 are about, in other places than theirs: one
//! row each, with the verdict that follows from the same rule.

use super::{INVITE, read};
use crate::message::Message;

/// What is replaced by what in the ordinary INVITE, and what becomes of it: its method, the status
/// it is refused with, or `dropped`.
type Row<'a> = (&'a str, &'a str, &'a str);

fn check(rows: &[Row<'_>]) {
    let mut found = Vec::new();
    for (from, to, _) in rows {
        assert!(INVITE.contains(from), "{from}");
        found.push(match read(INVITE.replacen(from, to, 1)) {
            Ok(Message::Request(request)) => request.method.to_string(),
            Ok(Message::Response(response)) => response.status.to_string(),
            Err(error) => error.response("t").map_or("dropped".into(), |r| r.status.to_string()),
        });
    }
    let shown = |row: &Row<'_>, verdict: &str| format!("{} -> {}: {verdict}", row.0, row.1);
    let expected: Vec<_> = rows.iter().map(|row| shown(row, row.2)).collect();
    let found: Vec<_> = rows.iter().zip(&found).map(|(row, found)| shown(row, found)).collect();
    assert_eq!(found, expected);
}

const VIA: &str = "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport";
const URI: &str = "INVITE sip:100@pbx.example";
const TO: &str = "To: <sip:100@pbx.example>";
const FROM: &str = "From: \"Ann\" <sip:ann@a.example>;tag=f1";

/// §3.1.1.1, §3.1.1.6: white space and folds.
#[test]
fn white_space_stands_where_the_grammar_lets_it() {
    check(&[
        ("CSeq: 7 INVITE", "CSeq\t:7 \t INVITE", "INVITE"),
        ("CSeq: 7 INVITE", "CSeq:\r\n 7\r\n\tINVITE", "INVITE"),
        (VIA, "SIP / 2.0 / UDP\r\n 192.0.2.1\t:\t5070 ; branch = z9hG4bK1 ; rport", "INVITE"),
        (FROM, "From:\"Ann\"<sip:ann@a.example>;tag=f1", "INVITE"),
        (FROM, "From: \"A\r\n\tn\" <sip:ann@a.example> ;\r\n tag = f1", "INVITE"),
        (FROM, "f\t: Ann\r\n\t<sip:ann@a.example>;tag=f1", "INVITE"),
        (TO, "To: < sip:100@pbx.example>", "400"),
        (TO, "To: <sip:100@pbx.example >", "400"),
        (TO, "To: <sip:100 @pbx.example>", "400"),
        ("Call-ID: c1@192.0.2.1", "Call-ID:\r\n c1@192.0.2.1", "INVITE"),
        ("Call-ID: c1@192.0.2.1", "Call-ID: c1@\r\n 192.0.2.1", "400"),
        (URI, "INVITE\tsip:100@pbx.example", "dropped"),
        (URI, "INVITE sip:100@pbx.example ", "400"),
        (URI, " INVITE sip:100@pbx.example", "400"),
        ("Content-Length: 4", "Content-Length \t:\r\n 4", "INVITE"),
    ]);
}

/// §3.1.1.2 to .5, .9, .10: characters, escapes, methods, transports.
#[test]
fn odd_words_are_taken_as_they_are() {
    check(&[
        (URI, "INVITE sip:%00@pbx.example", "INVITE"),
        (URI, "INVITE sip:a%00b%ff;x=%00@pbx.example", "INVITE"),
        (URI, "INVITE sip:%7Aim%2f@pbx.example;p%61ram=%20", "INVITE"),
        (URI, "INVITE sip:a;b=c;d@pbx.example;lr", "INVITE"),
        (URI, "INVITE sip:a?b/c@pbx.example", "INVITE"),
        (URI, "INVITE sip:%zz@pbx.example", "400"),
        (URI, "INVITE sip:a%@pbx.example", "400"),
        (URI, "INVITE sips:100@pbx.example", "INVITE"),
        (URI, "INVITE SIP:100@PBX.example", "INVITE"),
        (URI, "INVITE mailto:a@b", "INVITE"),
        (URI, "INVITE http://a.example/b?c=d", "INVITE"),
        (URI, "INVITE isbn:2983792873", "INVITE"),
        (URI, "INVITE nothing", "400"),
        (URI, "INVITE :x", "400"),
        (TO, "To: <soap.beep://192.0.2.103:3002>", "INVITE"),
        (TO, "To: isbn:2983792873;tag=1", "INVITE"),
        (FROM, "From: %Z%45 <resource://nothing>;tag=f1", "INVITE"),
        ("Max-Forwards: 70", "!`~%*_+'-.: \u{7f}x", "INVITE"),
        ("Max-Forwards: 70", "Max-Forwards: 0", "INVITE"),
        ("Max-Forwards: 70", "Date: Fri, 01 Jan 2010 16:00:00 EST", "INVITE"),
        ("Max-Forwards: 70", "Authorization: NoOneKnowsThis opaque=\"x\",y=z", "INVITE"),
        ("Max-Forwards: 70", "Via: SIP/2.0/TLS-SCTP t1.example;branch=z9hG4bK2", "INVITE"),
        ("Max-Forwards: 70", "v: SIP/2.0/_%+ t2.example", "INVITE"),
        ("Max-Forwards: 70", "Unknown@: x", "400"),
        ("Max-Forwards: 70", ": x", "400"),
    ]);
}

/// §3.1.2, §3.3.8, §3.3.9: separators, quotes, brackets, numbers, doubles.
#[test]
fn faults_elsewhere_are_faults_too() {
    check(&[
        (VIA, "SIP/2.0/UDP 192.0.2.1;;branch=z9hG4bK1", "400"),
        (VIA, "SIP/2.0/UDP 192.0.2.1;branch=\"z9hG4bK1", "400"),
        (VIA, "SIP/2.0/UDP", "400"),
        (VIA, "SIP/2.0/UDP 192.0.2.1:", "400"),
        (VIA, "SIP/2.0/UDP 192.0.2.1:port", "400"),
        (TO, "To: <sip:100@pbx.example>;;tag=x", "400"),
        (TO, "To: \"Bo\" <sip:100@pbx.example", "400"),
        (TO, "To: \"Bo\" sip:100@pbx.example", "400"),
        (TO, "To: \"Bo\\\" <sip:100@pbx.example>", "400"),
        (TO, "To: Bo\" <sip:100@pbx.example>", "400"),
        (TO, "To: <sip:100@pbx.example>, <sip:b@c>", "400"),
        (TO, "To: Bo; Jo <sip:100@pbx.example>", "400"),
        (TO, "To: <sip:100@pbx.example>\r\nt: <sip:b@c>", "400"),
        (FROM, "From: <sip:ann@a.example>;tag=", "400"),
        (FROM, "From:", "400"),
        ("Call-ID: c1@192.0.2.1", "Call-ID: c1\r\ni: c2", "400"),
        ("Call-ID: c1@192.0.2.1", "Call-ID:", "400"),
        ("CSeq: 7 INVITE", "CSeq: 7", "400"),
        ("CSeq: 7 INVITE", "CSeq: INVITE", "400"),
        ("CSeq: 7 INVITE", "CSeq: -7 INVITE", "400"),
        ("CSeq: 7 INVITE", "CSeq: 0x7 INVITE", "400"),
        ("CSeq: 7 INVITE", "CSeq: 4294967296 INVITE", "400"),
        ("CSeq: 7 INVITE", "CSeq: 7 invite", "400"),
        ("CSeq: 7 INVITE", "CSeq: 7 INVITE\r\nCSeq: 8 INVITE", "400"),
        ("Content-Length: 4", "Content-Length: -1", "400"),
        ("Content-Length: 4", "Content-Length: 4, 4", "400"),
        ("Content-Length: 4", "Content-Length: 4;x", "400"),
        ("Content-Length: 4", "Content-Length:", "400"),
        ("Content-Length: 4", "Content-Length: 9223372036854775808", "400"),
        ("Content-Length: 4", "Content-Length: 0004", "INVITE"),
        (URI, "INVITE <sips:100@pbx.example>", "400"),
        (URI, "INVITE sip:100@pbx.example?Subject=x", "400"),
        (URI, "INVITE \"sip:100@pbx.example\"", "400"),
    ]);
}

/// §3.1.2.16 to .19, §3.1.1.12, .13: versions, methods, statuses.
#[test]
fn start_lines_are_told_by_their_version() {
    let line = "INVITE sip:100@pbx.example SIP/2.0";
    check(&[
        (line, "INVITE sip:100@pbx.example SIP/2.1", "505"),
        (line, "INVITE sip:100@pbx.example SIP/12.0", "505"),
        (line, "INVITE sip:100@pbx.example SIP/two", "400"),
        (line, "INVITE sip:100@pbx.example SIP/2.0.1", "400"),
        (line, "INVITE sip:100@pbx.example SIP/", "400"),
        (line, "INVITE sip:100@pbx.example", "dropped"),
        (line, "NEWMETHOD sip:100@pbx.example SIP/2.0", "400"),
        (line, "invite sip:100@pbx.example SIP/2.0", "400"),
        (line, "SIP/2.0 200", "200"),
        (line, "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять", "200"),
        (line, "SIP/2.0 99 Low", "dropped"),
        (line, "SIP/2.0 700 High", "dropped"),
        (line, "SIP/2.0 1000 Long", "dropped"),
        (line, "SIP/2.0 -200 Less", "dropped"),
        (line, "SIP/2.0 2xx Any", "dropped"),
        (line, "SIP/3.0 200 OK", "dropped"),
    ]);
}

/// RFC 5118: brackets, ports, `received`, mapped addresses, zones.
#[test]
fn addresses_of_ipv6_are_read_where_they_are_in_brackets() {
    check(&[
        (URI, "INVITE sip:100@[2001:DB8::10]", "INVITE"),
        (URI, "INVITE sip:100@[2001:db8::10]:5070;lr", "INVITE"),
        (URI, "INVITE sip:[::ffff:192.0.2.1]", "INVITE"),
        (URI, "INVITE sip:100@[::]", "INVITE"),
        (URI, "INVITE sip:100@2001:db8::10", "400"),
        (URI, "INVITE sip:100@[2001:db8::10", "400"),
        (URI, "INVITE sip:100@2001:db8::10]", "400"),
        (URI, "INVITE sip:100@[2001:db8::10::1]", "400"),
        (URI, "INVITE sip:100@[2001:db8:0:0:0:0:0:0:1]", "400"),
        (URI, "INVITE sip:100@[fe80::1%25eth0]", "400"),
        (URI, "INVITE sip:100@[192.0.2.1]", "400"),
        (URI, "INVITE sip:100@[2001:db8::10]:70000", "400"),
        (VIA, "SIP/2.0/UDP [2001:DB8::9:1];branch=z9hG4bK1;received=[2001:DB8::9:255]", "INVITE"),
        (
            VIA,
            "SIP/2.0/UDP [2001:db8::9:1]:5070;branch=z9hG4bK1;received=2001:db8::9:255",
            "INVITE",
        ),
        (VIA, "SIP/2.0/UDP [::ffff:192.0.2.9];branch=z9hG4bK1;maddr=[2001:db8::1]", "INVITE"),
        (VIA, "SIP/2.0/UDP 2001:db8::9:1;branch=z9hG4bK1", "400"),
        (VIA, "SIP/2.0/UDP [2001:db8::9:1;branch=z9hG4bK1", "400"),
        (VIA, "SIP/2.0/UDP [2001:db8::9:1]5070;branch=z9hG4bK1", "400"),
        (TO, "To: <sip:100@[2001:db8::20]:5070>;tag=1", "INVITE"),
        (TO, "To: <sip:100@2001:db8::20>", "400"),
        ("Call-ID: c1@192.0.2.1", "Call-ID: c1@[2001:db8::1]", "INVITE"),
    ]);
}
