//! Requests that are refused, each with the status its RFC gives, and of which nothing is kept.

use super::pair::{A, config};
use super::peer::{Draft, Peer, header, sdp, word};
use crate::event::{Caller, LegCommand, LegEvent, MAX_FORWARDS};
use domain::cause::Cause;
use domain::id::LegId;
use std::time::Duration;

/// Sends a request to a fresh endpoint twice: both answers are the same, and nothing is kept.
fn refused(draft: &Draft) -> String {
    let mut peer = Peer::new();
    let first = peer.request(draft);
    assert_eq!(first.len(), 1, "{}", draft.print());
    assert_eq!(peer.request(draft), first, "a repetition gets the same answer");
    assert_eq!((peer.endpoint.legs(), peer.endpoint.transactions()), (0, 0));
    assert_eq!(peer.endpoint.deadline(), None);
    assert_eq!(peer.events, []);
    let to = header(&first[0], "To");
    assert!(to.contains(";tag="), "{to}");
    let ack = Draft::new("ACK", 1).to(to).set("Via", header(&first[0], "Via"));
    assert_eq!(peer.request(&ack), Vec::<String>::new(), "an ACK is never answered");
    first.into_iter().next().unwrap()
}

#[test]
fn each_fault_has_its_status() {
    let invite = || Draft::invite(1);
    let sip = "sip:4711@192.0.2.1";
    for (draft, status) in [
        (Draft::new("BYE", 1), "481"),
        (Draft::new("INFO", 1), "481"),
        (Draft::new("UPDATE", 1), "481"),
        (Draft::new("CANCEL", 1), "481"),
        (invite().to("<sip:4711@192.0.2.1>;tag=nobody"), "481"),
        (Draft::new("OPTIONS", 1).to("<sip:4711@192.0.2.1>;tag=nobody"), "481"),
        (invite().set("Max-Forwards", "0"), "483"),
        (invite().set("Max-Forwards", "300"), "400"),
        (invite().set("Contact", ""), "400"),
        (invite().set("Call-ID", ""), "400"),
        (invite().set("CSeq", "1 OPTIONS"), "400"),
        (invite().line(&format!("INVITE {sip} SIP/3.0")), "505"),
        (invite().line("INVITE sips:4711@192.0.2.1 SIP/2.0"), "416"),
        (invite().line("INVITE urn:service:sos SIP/2.0"), "416"),
        (invite().body("application/sdp", "v=1\r\n"), "400"),
        (invite().set("Via", "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;rport=x"), "400"),
    ] {
        let answers = Peer::new().request(&draft);
        assert_eq!(word(&answers[0]), status, "{}", draft.print());
    }
    assert_eq!(word(&refused(&invite().set("Max-Forwards", "0"))), "483");
}

/// What a refusal must say besides its status.
/// What never becomes a call is told with its reason; a challenge is no refusal.
#[test]
fn refusals_are_told_for_the_record() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1).set("Require", "gin"));
    peer.request(&Draft::invite(2).body("application/sdp", &sdp("18", "sendrecv")));
    let told: Vec<_> = peer
        .refusals
        .iter()
        .map(|(trunk, status, why)| (trunk.is_some(), *status, why.as_str()))
        .collect();
    let codec =
        "Not Acceptable Here, 399 hotline.example \"no common audio codec: the offer has [18]\"";
    assert_eq!(told, [(true, 420, "Bad Extension, gin"), (true, 488, codec)]);
}

#[test]
fn refusals_say_what_would_do() {
    let method = refused(&Draft::new("PUBLISH", 1));
    assert_eq!(word(&method), "405");
    assert!(header(&method, "Allow").contains("INVITE"));
    assert_eq!(word(&refused(&Draft::new("FROBNICATE", 1))), "405");

    let extension = refused(&Draft::invite(1).set("Require", "timer, path, gin"));
    assert_eq!((word(&extension), header(&extension, "Unsupported")), ("420", "path, gin"));

    let body = refused(&Draft::invite(1).body("application/isup", "x"));
    assert_eq!((word(&body), header(&body, "Accept")), ("415", "application/sdp"));
    let encoded = refused(&Draft::invite(1).set("Content-Encoding", "gzip"));
    assert_eq!((word(&encoded), header(&encoded, "Accept-Encoding")), ("415", "identity"));

    let codec = refused(&Draft::invite(1).body("application/sdp", &sdp("18", "sendrecv")));
    assert_eq!(word(&codec), "488");
    assert!(header(&codec, "Warning").starts_with("399 "));

    let timer = refused(
        &Draft::invite(1)
            .set("Supported", "timer, replaces, norefersub")
            .set("Session-Expires", "60"),
    );
    assert_eq!((word(&timer), header(&timer, "Min-SE")), ("422", "90"));

    let mut stranger = Peer::new();
    stranger.flow.remote = ([203, 0, 113, 7], 5060).into();
    let answer = stranger.request(&Draft::invite(1));
    assert_eq!(word(&answer[0]), "403");
    assert_eq!(stranger.endpoint.counters().refused, 1);
}

/// RFC 3261 §8.2.2.2: the same request by two ways makes one call.
#[test]
fn a_merged_request_is_a_loop() {
    let mut peer = Peer::new();
    assert_eq!(word(&peer.request(&Draft::invite(1))[0]), "100");
    let other_way = Draft::invite(1).set("Via", "SIP/2.0/UDP 192.0.2.3:5060;branch=z9hG4bKother");
    assert_eq!(word(&peer.request(&other_way)[0]), "482");
    peer.handle(LegCommand::Refuse { leg: LegId(1), status: 404, retry_after_s: None, q850: None });
    assert_eq!(word(&peer.request(&other_way)[0]), "482", "as long as the first is remembered");
    // A new try of the same caller is no loop.
    assert_eq!(word(&peer.request(&Draft::invite(2))[0]), "100");
}

#[test]
fn a_full_endpoint_refuses_before_it_keeps_anything() {
    let mut limited = config(A);
    limited.limits.legs = 1;
    let mut peer = Peer::with(limited);
    peer.request(&Draft::invite(1));
    let second = Draft::invite(1)
        .set("Call-ID", "other")
        .set("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKother");
    let answer = peer.request(&second);
    assert_eq!((word(&answer[0]), header(&answer[0], "Retry-After")), ("503", "30"));
    assert_eq!((peer.endpoint.legs(), peer.endpoint.transactions()), (1, 1));

    let mut limited = config(A);
    limited.limits.transactions = 0;
    let mut peer = Peer::with(limited);
    assert_eq!(word(&peer.request(&Draft::invite(1))[0]), "503");
    assert_eq!(word(&peer.request(&Draft::new("REGISTER", 1))[0]), "503");
    assert_eq!(word(&peer.request(&Draft::new("OPTIONS", 1))[0]), "503");
    peer.handle(LegCommand::Dial {
        leg: LegId(2),
        target: crate::event::Target::Agent(super::pair::agent("ann")),
        caller: Caller::shown("1"),
        local_media: super::pair::media(A),
        ring_for: Duration::from_secs(1),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    });
    assert_eq!(peer.events, [LegEvent::Ended { leg: LegId(2), cause: Cause::not_admitted() }]);
}

#[test]
fn options_say_what_we_can() {
    let answer = refused(&Draft::new("OPTIONS", 1));
    assert_eq!(word(&answer), "200");
    assert!(header(&answer, "Allow").contains("BYE"));
    assert_eq!(header(&answer, "Accept"), "application/sdp");
    assert_eq!(header(&answer, "Supported"), "timer, replaces, norefersub, 100rel");
}

/// Strays of all kinds are dropped, and nothing of them is kept.
#[test]
fn strays_are_dropped() {
    let mut peer = Peer::new();
    for stray in [
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        "SIP/2.0 999 What\r\n\r\n",
        "ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 ACK\r\n\r\n",
        "\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "",
    ] {
        assert_eq!(peer.send(stray), Vec::<String>::new(), "{stray}");
    }
    assert_eq!((peer.endpoint.legs(), peer.endpoint.transactions()), (0, 0));
    let counters = peer.endpoint.counters();
    assert_eq!((counters.received, counters.parse_errors, counters.sent), (6, 2, 0));
}
