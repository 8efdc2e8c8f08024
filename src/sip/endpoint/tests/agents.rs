//! Agents' telephones: registered, called, calling; and those who only say they are.

use super::pair::{A, agent, media};
use super::peer::{Draft, Peer, header, response, sdp, word};
use crate::digest::answerer::Answerer;
use crate::event::{
    Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Source, Target, Transport,
};
use crate::message::name::Name;
use crate::message::{Message, parse};
use bytes::Bytes;
use domain::cause::{Cause, EndedBy};
use domain::id::LegId;
use domain::ip_version::IpVersion;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

/// A telephone behind NAT: its Contact is no address of the network between.
pub(super) fn telephone(peer: &mut Peer, transport: Transport) {
    let remote = ([203, 0, 113, 9], 61_000).into();
    peer.flow = Flow { transport, local: peer.flow.local, remote };
}

pub(super) fn draft(method: &str, cseq: u32, user: &str) -> Draft {
    let address = format!("<sip:{user}@hotline.example>");
    Draft::new(method, cseq)
        .line(&format!("{method} sip:hotline.example SIP/2.0"))
        .set("Via", &format!("SIP/2.0/UDP 10.0.0.9:5062;rport;branch=z9hG4bK{method}{cseq}{user}"))
        .set("From", &format!("{address};tag=phone"))
        .set("To", &address)
        .set("Contact", &format!("<sip:{user}@10.0.0.9:5062>"))
        .set("Expires", "600")
}

/// Sends a request, answers its challenge, and gives the answer to that.
pub(super) fn signed(peer: &mut Peer, draft: &Draft, user: &str, password: &str) -> Vec<String> {
    let challenge = peer.request(draft);
    assert_eq!(word(&challenge[0]), "401", "{}", challenge[0]);
    peer.request(&sign(draft, &challenge[0], user, password))
}

/// The same request with the next CSeq, another branch, and credentials.
pub(super) fn sign(draft: &Draft, challenge: &str, user: &str, password: &str) -> Draft {
    let Ok(Message::Response(challenge)) = parse(Bytes::copy_from_slice(challenge.as_bytes()))
    else {
        panic!("{challenge}")
    };
    let mut answerer = Answerer::new(user, password);
    let challenges = challenge.headers.authorisations(Name::WwwAuthenticate);
    answerer.take_challenge(challenges, false).unwrap();
    let mut words = draft.line.split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let value = answerer.authorise(method, uri, &mut StdRng::seed_from_u64(1)).unwrap();
    let via = draft.headers.iter().find(|(name, _)| *name == "Via").unwrap();
    let cseq = draft.headers.iter().find(|(name, _)| *name == "CSeq").unwrap();
    let number: u32 = cseq.1.split(' ').next().unwrap().parse().unwrap();
    draft
        .clone()
        .set("Via", &format!("{}s", via.1))
        .set("CSeq", &format!("{} {method}", number + 1))
        .set("Authorization", &value)
}

fn registered(peer: &mut Peer, transport: Transport) {
    telephone(peer, transport);
    let answer = signed(peer, &draft("REGISTER", 1, "ann"), "ann", "secret");
    assert_eq!(word(&answer[0]), "200");
    assert_eq!(header(&answer[0], "Contact"), "<sip:ann@10.0.0.9:5062>;expires=600");
    assert_eq!(
        peer.take_events(),
        [LegEvent::Registered { agent: agent("ann"), ip: IpVersion::V4 }]
    );
}

#[test]
fn a_telephone_registers_refreshes_and_goes() {
    let mut peer = Peer::new();
    registered(&mut peer, Transport::Udp);
    assert_eq!(peer.endpoint.registered_agents(), 1);
    peer.wait(Duration::from_secs(500));
    let refresh = draft("REGISTER", 5, "ann");
    assert_eq!(word(&signed(&mut peer, &refresh, "ann", "secret")[0]), "200");
    assert_eq!(peer.take_events(), [], "a refresh is no news");
    peer.wait(Duration::from_secs(599));
    assert_eq!(peer.take_events(), []);
    peer.wait(Duration::from_secs(1));
    assert_eq!(peer.take_events(), [LegEvent::Unregistered { agent: agent("ann") }]);
    peer.assert_clean();

    registered(&mut peer, Transport::Udp);
    let gone = draft("REGISTER", 9, "ann").set("Expires", "0").set("Contact", "*");
    let answer = signed(&mut peer, &gone, "ann", "secret");
    assert_eq!((word(&answer[0]), header(&answer[0], "Contact")), ("200", ""));
    assert_eq!(peer.take_events(), [LegEvent::Unregistered { agent: agent("ann") }]);
    peer.assert_clean();
}

/// Who is registered is told to nobody: unknown users are answered as those with a wrong password.
#[test]
fn unknown_users_are_answered_like_known_ones() {
    let answers = |user: &str| {
        let mut peer = Peer::new();
        telephone(&mut peer, Transport::Udp);
        let register = draft("REGISTER", 1, user);
        let first = peer.request(&register);
        let second = peer.request(&sign(&register, &first[0], user, "wrong"));
        let shape = |answer: &String| {
            let names = answer.lines().filter_map(|line| line.split_once(':'));
            let names: Vec<_> = names.map(|(name, _)| name.to_owned()).collect();
            (word(answer).to_owned(), names)
        };
        assert_eq!((peer.endpoint.transactions(), peer.take_events()), (0, vec![]));
        (shape(&first[0]), shape(&second[0]))
    };
    assert_eq!(answers("ann"), answers("nobody"));
    assert_eq!(answers("ann").1.0, "401");
}

/// An agent may not register, or call, as another.
#[test]
fn nobody_speaks_for_another() {
    let mut peer = Peer::new();
    telephone(&mut peer, Transport::Udp);
    let register = draft("REGISTER", 1, "bob");
    assert_eq!(word(&signed(&mut peer, &register, "ann", "secret")[0]), "403");
    let call = draft("INVITE", 3, "bob").set("Expires", "");
    assert_eq!(word(&signed(&mut peer, &call, "ann", "secret")[0]), "403");
    assert_eq!(peer.take_events(), []);
}

#[test]
fn an_agent_calls_and_is_known() {
    let mut peer = Peer::new();
    telephone(&mut peer, Transport::Udp);
    let call = draft("INVITE", 1, "ann")
        .line("INVITE sip:4711@hotline.example SIP/2.0")
        .set("Expires", "")
        .body("application/sdp", &sdp("8", "sendrecv"));
    let sent = signed(&mut peer, &call, "ann", "secret");
    assert_eq!(word(&sent[0]), "100");
    let events = peer.take_events();
    let [LegEvent::Incoming { source, call, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*source, Source::Agent(agent("ann")));
    assert_eq!((&*call.from_user, &*call.dialled), ("ann", "4711"));
    let answer = peer.handle(LegCommand::Answer { leg: LegId(1), local_media: media(A) });
    let ack = draft("ACK", 2, "ann").to(header(&answer[0], "To"));
    peer.request(&ack);
    // The BYE goes where the call came from, whatever the Contact says.
    let bye = peer.handle(LegCommand::HangUp { leg: LegId(1), q850: None });
    assert!(bye[0].starts_with("BYE sip:ann@10.0.0.9:5062 SIP/2.0"), "{}", bye[0]);
    assert_eq!(peer.sent_over, Some(peer.flow));
}

#[test]
fn an_agent_is_called_over_the_flow_of_its_registration() {
    let mut peer = Peer::new();
    registered(&mut peer, Transport::Udp);
    let flow = peer.flow;
    // Somebody else talks to us meanwhile.
    peer.flow.remote = ([203, 0, 113, 77], 5060).into();
    let invite = peer.handle(LegCommand::Dial {
        leg: LegId(2),
        target: Target::Agent(agent("ann")),
        caller: Caller::shown("+49302"),
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    });
    assert_eq!(peer.sent_over, Some(flow));
    assert!(invite[0].starts_with("INVITE sip:ann@10.0.0.9:5062 SIP/2.0"), "{}", invite[0]);
    assert_eq!(header(&invite[0], "To"), "<sip:ann@hotline.example>");
    assert!(header(&invite[0], "From").starts_with("<sip:+49302@hotline.example>;tag="));
    peer.flow = flow;
    let contact = "Contact: <sip:ann@10.0.0.9:5062>\r\n";
    let ok = response(&invite[0], "200 OK", "phone", contact, &sdp("8", "sendrecv"));
    assert_eq!(word(&peer.send(&ok)[0]), "ACK");
    assert_eq!(peer.sent_over, Some(flow));
    let busy = Cause { by: EndedBy::Peer, ..Cause::normal(EndedBy::Peer) };
    let bye = draft("BYE", 1, "ann").to(&header(&invite[0], "From").replace(";x", ""));
    let bye = bye.set("From", "<sip:ann@hotline.example>;tag=phone");
    let bye = bye.set("Call-ID", header(&invite[0], "Call-ID"));
    assert_eq!(word(&peer.request(&bye)[0]), "200");
    assert_eq!(peer.take_events().last(), Some(&LegEvent::Ended { leg: LegId(2), cause: busy }));
}

/// A telephone on a stream is gone with its stream.
#[test]
fn a_closed_stream_unregisters() {
    let mut peer = Peer::new();
    registered(&mut peer, Transport::Tcp);
    let mut out = Vec::new();
    let other = Flow { remote: ([203, 0, 113, 9], 61_001).into(), ..peer.flow };
    peer.endpoint.connection_closed(other, peer.now, &mut out);
    assert_eq!(out, []);
    peer.endpoint.connection_closed(peer.flow, peer.now, &mut out);
    assert_eq!(out, [Action::Up(LegEvent::Unregistered { agent: agent("ann") })]);
    assert_eq!(peer.endpoint.registered_agents(), 0);
    peer.assert_clean();
}

/// RFC 3261 §19.1.1, table 1: the headers of a URI have no place in a request URI. With them in
/// it we could not read our own INVITE, and would neither acknowledge nor cancel it.
#[test]
fn a_telephone_is_called_without_the_headers_of_its_contact() {
    let mut peer = Peer::new();
    telephone(&mut peer, Transport::Udp);
    let register = draft("REGISTER", 1, "ann").set("Contact", "<sip:ann@10.0.0.9:5062?X=y>");
    signed(&mut peer, &register, "ann", "secret");
    let invite = peer.handle(LegCommand::Dial {
        leg: LegId(2),
        target: Target::Agent(agent("ann")),
        caller: Caller::shown("1"),
        local_media: media(A),
        ring_for: Duration::from_secs(9),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    });
    assert!(invite[0].starts_with("INVITE sip:ann@10.0.0.9:5062 SIP/2.0\r\n"), "{}", invite[0]);
    let sent = peer.send(&response(&invite[0], "486 Busy", "a", "", ""));
    assert_eq!(word(&sent[0]), "ACK");
}
