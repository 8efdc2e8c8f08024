//! RFC 3261 §10, §19.1.5, §22: registrations and credentials, where the client does what few do.

use super::agents::{draft, sign, signed, telephone};
use super::pair::agent;
use super::peer::{Peer, header, response, word};
use super::steps::*;
use crate::digest::answerer::Answerer;
use crate::event::{LegEvent, Target, Transport};
use crate::message::Headers;
use crate::message::name::Name;
use domain::id::LegId;
use domain::ip_version::IpVersion;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn registering() -> Peer {
    let mut peer = Peer::new();
    telephone(&mut peer, Transport::Udp);
    peer
}

/// Calls Ann; the INVITE.
fn call_ann(peer: &mut Peer) -> String {
    dial_to(peer, OUT, Target::Agent(agent("ann")))
}

/// RFC 3261 §10.2, §10.3.
#[test]
fn record_route_means_nothing_in_a_registration() {
    let mut peer = registering();
    let register = draft("REGISTER", 1, "ann").set("Record-Route", "<sip:192.0.2.50;lr>");
    let answer = signed(&mut peer, &register, "ann", "secret");
    assert_eq!((word(&answer[0]), header(&answer[0], "Record-Route")), ("200", ""));
    let invite = call_ann(&mut peer);
    assert_eq!(header(&invite, "Route"), "");
    assert_eq!(peer.sent_over, Some(peer.flow));
}

/// RFC 3261 §10.3 step 2, §8.2.2.3.
#[test]
fn a_register_that_insists_on_something_unknown_is_refused() {
    let mut peer = registering();
    let sent = peer.request(&draft("REGISTER", 1, "ann").set("Require", "gin"));
    assert_eq!((word(&sent[0]), header(&sent[0], "Unsupported")), ("420", "gin"));
    assert_eq!(peer.endpoint.registered_agents(), 0);
}

/// Departs from RFC 3261 §10.3 step 5: behind NAT and under other names of ours a telephone writes
/// another domain. The user and the password are what counts.
#[test]
fn the_host_of_an_address_of_record_is_not_compared() {
    for host in ["elsewhere.example", "192.0.2.1:5060", "[2001:db8::1]"] {
        let mut peer = registering();
        let register = draft("REGISTER", 1, "ann").set("To", &format!("<sip:ann@{host}>"));
        assert_eq!(word(&signed(&mut peer, &register, "ann", "secret")[0]), "200", "{host}");
    }
}

/// RFC 3261 §10.3 step 5.
#[test]
fn the_address_of_record_is_compared_in_its_plain_form() {
    let mut peer = registering();
    for (cseq, to) in [
        (1, "<sip:%61nn@hotline.example>"),
        (3, "<sip:ann@HOTLINE.example;user=phone;x=y>"),
        (5, "\"Ann\" <sip:an%6E@hotline.example;transport=udp>"),
    ] {
        let register = draft("REGISTER", cseq, "ann").set("To", to);
        assert_eq!(word(&signed(&mut peer, &register, "ann", "secret")[0]), "200", "{to}");
    }
    assert_eq!(peer.endpoint.registered_agents(), 1);
    assert_eq!(
        peer.take_events(),
        [LegEvent::Registered { agent: agent("ann"), ip: IpVersion::V4 }]
    );
}

/// RFC 3261 §10.3 step 6.
#[test]
fn a_star_stands_alone() {
    let mut peer = registering();
    signed(&mut peer, &draft("REGISTER", 1, "ann"), "ann", "secret");
    let both = draft("REGISTER", 3, "ann").set("Contact", "*, <sip:ann@10.0.0.9>");
    let sent = signed(&mut peer, &both.set("Expires", "0"), "ann", "secret");
    assert_eq!(word(&sent[0]), "400");
    assert_eq!(peer.endpoint.registered_agents(), 1);
    // The telephone has forgotten its old Call-ID: all goes, whatever the number.
    let all = draft("REGISTER", 0, "ann").set("Contact", "*").set("Expires", "0");
    let sent = signed(&mut peer, &all.set("Call-ID", "another"), "ann", "secret");
    assert_eq!((word(&sent[0]), peer.endpoint.registered_agents()), ("200", 0));
}

/// RFC 3261 §10.3 step 7, §20.23.
#[test]
fn a_life_too_brief_is_told_how_long_is_enough() {
    let mut peer = registering();
    let brief = draft("REGISTER", 1, "ann").set("Expires", "5");
    let sent = signed(&mut peer, &brief, "ann", "secret");
    assert_eq!((word(&sent[0]), header(&sent[0], "Min-Expires")), ("423", "60"));
    let enough = draft("REGISTER", 3, "ann").set("Expires", header(&sent[0], "Min-Expires"));
    assert_eq!(word(&signed(&mut peer, &enough, "ann", "secret")[0]), "200");
}

/// RFC 3261 §19.1.5: all but `method` and headers goes into the Request-URI.
#[test]
fn a_contact_is_called_with_its_parameters() {
    let mut peer = registering();
    let contact = "<sip:ann@10.0.0.9:5062;transport=udp;user=phone;method=BYE;odd=1;ob?X=y>";
    let register = draft("REGISTER", 1, "ann").set("Contact", contact);
    assert_eq!(word(&signed(&mut peer, &register, "ann", "secret")[0]), "200");
    let invite = call_ann(&mut peer);
    let line = "INVITE sip:ann@10.0.0.9:5062;transport=udp;user=phone;odd=1;ob SIP/2.0\r\n";
    assert!(invite.starts_with(line), "{invite}");
}

/// RFC 3261 §22, §22.4: by server and client.
#[test]
fn basic_is_neither_taken_nor_asked_for() {
    let mut peer = registering();
    // ann:secret
    let basic = draft("REGISTER", 1, "ann").set("Authorization", "Basic YW5uOnNlY3JldA==");
    let sent = peer.request(&basic);
    assert_eq!(word(&sent[0]), "401");
    let asked = fields(&sent[0], "WWW-Authenticate");
    assert!(!asked.is_empty() && asked.iter().all(|value| value.starts_with("Digest ")));
    // Nor by another name: these would be good as Digest.
    let good = sign(&draft("REGISTER", 3, "ann"), &sent[0], "ann", "secret");
    let named = good.print().replace("Authorization: Digest", "Authorization: Basic");
    assert_eq!(word(&peer.send(&named)[0]), "401");
    assert_eq!(word(&peer.request(&good)[0]), "200");
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let challenge = "Proxy-Authenticate: Basic realm=\"carrier\"\r\n";
    let sent = peer.send(&response(&invite, "407 x", "one", challenge, ""));
    assert_eq!(words(&sent), ["ACK"]);
}

/// RFC 3261 §22.1: an ACK cannot be answered, a CANCEL cannot be sent again.
#[test]
fn an_ack_and_a_cancel_are_never_challenged() {
    let mut peer = registering();
    for method in ["ACK", "CANCEL"] {
        let sent = peer.request(&draft(method, 1, "ann"));
        assert!(!words(&sent).contains(&"401"), "{method}");
    }
    let call = draft("INVITE", 3, "ann")
        .line("INVITE sip:4711@hotline.example SIP/2.0")
        .set("Expires", "")
        .body("application/sdp", &super::peer::sdp("8", "sendrecv"));
    let challenge = peer.request(&call);
    let again = sign(&call, &challenge[0], "ann", "secret");
    assert_eq!(word(&peer.request(&again)[0]), "100");
    let via = &again.headers.iter().find(|(name, _)| *name == "Via").unwrap().1;
    let cancel =
        draft("CANCEL", 4, "ann").set("Via", via).line(&again.line.replace("INVITE", "CANCEL"));
    assert_eq!(words(&peer.request(&cancel)), ["200", "487"]);
    // Its ACK bears the credentials again, whose count was used: it is taken all the same.
    let mut peer = registering();
    let challenge = peer.request(&call);
    let again = sign(&call, &challenge[0], "ann", "secret");
    peer.request(&again);
    let to = header(&answer(&mut peer), "To").to_owned();
    let credentials = &again.headers.iter().find(|(name, _)| *name == "Authorization").unwrap().1;
    peer.take_events();
    let ack = draft("ACK", 4, "ann").to(&to).set("Authorization", credentials);
    assert_eq!(peer.request(&ack), Vec::<String>::new());
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
}

/// RFC 3261 §22.3: each call of ours waits to be asked.
#[test]
fn credentials_of_a_call_are_not_those_of_the_next() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
    let sent = peer.send(&response(&invite, "407 x", "one", challenge, ""));
    assert_ne!(header(&sent[1], "Proxy-Authorization"), "");
    assert_eq!(fields(&sent[1], "Proxy-Authorization").len(), 1);
    let next = dial_over(&mut peer, LegId(4), Transport::Udp);
    assert_eq!(header(&next, "Proxy-Authorization"), "");
}

/// RFC 3261 §22.4 (4), (7), (8): `uri` in quotes, `qop` and `cnonce` both or neither.
#[test]
fn what_a_digest_says_is_quoted_as_it_must() {
    for (qop, with_qop) in [(",qop=\"auth\"", true), (",qop=\"auth-int,auth\"", true), ("", false)]
    {
        let mut headers = Headers::new();
        headers.push(Name::WwwAuthenticate, &format!("Digest realm=\"r\",nonce=\"n\"{qop}"));
        let mut answerer = Answerer::new("ann", "secret");
        let challenges = headers.authorisations(Name::WwwAuthenticate);
        answerer.take_challenge(challenges, false).unwrap();
        let mut luck = StdRng::seed_from_u64(1);
        let value = answerer.authorise("INVITE", "sip:x@y", &mut luck).unwrap();
        assert!(value.contains(",uri=\"sip:x@y\""), "{value}");
        for part in ["qop=auth", "cnonce=\"", "nc=00000001"] {
            assert_eq!(value.contains(part), with_qop, "{value}");
        }
    }
}
