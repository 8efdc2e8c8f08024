use super::*;
use crate::event::Transport;
use crate::transaction::{GIVE_UP_AFTER, T1, T4};
use domain::now::epoch;

fn flow(transport: Transport, port: u16) -> Flow {
    Flow { transport, local: ([192, 0, 2, 9], 5060).into(), remote: ([192, 0, 2, 1], port).into() }
}

fn started(transport: Transport, is_invite: bool) -> (Servers, ServerId) {
    let mut servers = Servers::default();
    let fallback = ([192, 0, 2, 1], 5060).into();
    let (flow, origin) = (flow(transport, 4000), Some("origin".into()));
    let request = Incoming { key: "key".into(), origin, is_invite, flow, fallback, leg: None };
    let id = servers.start(request);
    (servers, id)
}

fn sent(transport: Transport, port: u16, message: &'static str) -> Action {
    let message = Bytes::from_static(message.as_bytes());
    Action::Transmit { flow: flow(transport, port), message, leg: None }
}

#[test]
fn a_refused_invite_is_repeated_acknowledged_and_forgotten() {
    let (start, mut out) = (epoch().instant, Vec::new());
    let (mut servers, id) = started(Transport::Udp, true);
    let repeated = Some(Found::Repeated { leg: None });
    assert_eq!(servers.find("key", false, start, &mut out), repeated);
    assert_eq!(servers.cancelled("key"), Some(Cancelled { leg: None, is_pending: true }));
    assert!(servers.has_origin("origin"));
    servers.respond(id, 100, &Bytes::from_static(b"100"), start, &mut out);
    servers.respond(id, 486, &Bytes::from_static(b"486"), start, &mut out);
    assert_eq!(servers.find("key", false, start, &mut out), repeated);
    servers.handle_deadline(start + T1, &mut out);
    let refusal = sent(Transport::Udp, 4000, "486");
    assert_eq!(out, [sent(Transport::Udp, 4000, "100"), refusal.clone(), refusal.clone(), refusal]);
    assert_eq!(servers.retransmissions(), 2);
    let acknowledged = Some(Found::RefusalAcknowledged { leg: None });
    assert_eq!(servers.find("key", true, start, &mut out), acknowledged);
    assert_eq!(servers.find("key", true, start, &mut out), acknowledged);
    assert_eq!(servers.deadline(), Some(start + T4));
    while servers.handle_deadline(start + T4, &mut out) {}
    assert!(servers.is_empty() && servers.by_key.is_empty() && servers.by_origin.is_empty());
    assert_eq!(servers.find("key", true, start, &mut out), None);
}

/// A 2xx is the leg's to repeat: the transaction keeps none of it, and absorbs.
#[test]
fn an_answered_invite_keeps_no_response() {
    let (start, mut out) = (epoch().instant, Vec::new());
    let (mut servers, id) = started(Transport::Udp, true);
    servers.respond(id, 200, &Bytes::from_static(b"200"), start, &mut out);
    servers.find("key", false, start, &mut out);
    servers.respond(id, 200, &Bytes::from_static(b"200"), start, &mut out);
    let answer = sent(Transport::Udp, 4000, "200");
    assert_eq!(out, [answer.clone(), answer]);
    assert!(servers.entries[&id].last_response.is_empty());
    assert_eq!(
        servers.find("key", true, start, &mut out),
        Some(Found::AnswerAcknowledged { leg: None })
    );
}

#[test]
fn a_request_is_answered_again_until_timer_j() {
    let (start, mut out) = (epoch().instant, Vec::new());
    let (mut servers, id) = started(Transport::Udp, false);
    servers.find("key", false, start, &mut out);
    assert_eq!(out, []);
    servers.respond(id, 200, &Bytes::from_static(b"200"), start, &mut out);
    servers.find("key", false, start, &mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(servers.cancelled("key"), None);
    while servers.handle_deadline(start + GIVE_UP_AFTER, &mut out) {}
    assert!(servers.is_empty());
}

/// RFC 3261 §18.2.2: a response whose stream has closed goes to the address in its Via.
#[test]
fn a_closed_stream_moves_responses_to_the_address_in_via() {
    let (start, mut out) = (epoch().instant, Vec::new());
    let (mut servers, id) = started(Transport::Tcp, true);
    servers.respond(id, 180, &Bytes::from_static(b"180"), start, &mut out);
    servers.connection_closed(flow(Transport::Tcp, 4000));
    servers.respond(id, 200, &Bytes::from_static(b"200"), start, &mut out);
    assert_eq!(out, [sent(Transport::Tcp, 4000, "180"), sent(Transport::Tcp, 5060, "200")]);
    servers.handle_deadline(start + GIVE_UP_AFTER, &mut out);
    assert!(servers.is_empty() && servers.on_streams.is_empty());
}
