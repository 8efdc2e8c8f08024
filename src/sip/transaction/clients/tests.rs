use super::*;
use crate::event::Transport;
use crate::transaction::GIVE_UP_AFTER;
use domain::now::epoch;

const LEG: Option<LegId> = Some(LegId(2));

fn flow(port: u16) -> Flow {
    let remote = ([192, 0, 2, 1], port).into();
    Flow { transport: Transport::Udp, local: ([192, 0, 2, 9], 5060).into(), remote }
}

fn outgoing(key: &str, is_invite: bool, flow: Flow) -> Outgoing {
    let method = if is_invite { Method::Invite } else { Method::Bye };
    let message = Bytes::copy_from_slice(key.as_bytes());
    let (key, listens_at, otherwise) = (key.into(), flow.remote, None);
    Outgoing { key, method, message, flow, listens_at, leg: LEG, otherwise }
}

fn sent(message: &'static str) -> Action {
    Action::Transmit { flow: flow(1), message: Bytes::from_static(message.as_bytes()), leg: LEG }
}

fn ack(_request: &Bytes) -> Bytes {
    Bytes::from_static(b"ACK")
}

fn no_ack(_request: &Bytes) -> Bytes {
    unreachable!("only a first refusal makes an ACK")
}

#[test]
fn a_refusal_is_acknowledged_again_and_forgotten_after_timer_d() {
    let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
    let mut clients = Clients::default();
    let id = clients.start(outgoing("INVITE", true, flow(1)), start, &mut out);
    assert_eq!(
        clients.respond("INVITE", (486, "a"), ack, start, &mut out),
        Some(Up::Response { id, leg: LEG })
    );
    assert_eq!(clients.respond("INVITE", (486, "a"), no_ack, start, &mut out), None);
    assert_eq!(clients.respond("stray", (486, "a"), no_ack, start, &mut out), None);
    assert_eq!(out, [sent("INVITE"), sent("ACK"), sent("ACK")]);
    assert_eq!((clients.retransmissions(), clients.len()), (1, 1));
    assert_eq!(clients.deadline(), Some(start + GIVE_UP_AFTER));
    while clients.handle_deadline(start + GIVE_UP_AFTER, &mut out, &mut ups) {}
    assert!(clients.is_empty() && clients.by_key.is_empty() && ups.is_empty());
    assert!(clients.pending.is_empty() && clients.deadline().is_none());
}

/// The ACK to a 2xx is kept by the fork's To tag; only a fork not yet seen goes up.
#[test]
fn each_fork_goes_up_once_and_its_repetitions_get_its_ack() {
    let (start, mut out) = (epoch().instant, Vec::new());
    let mut clients = Clients::default();
    let id = clients.start(outgoing("INVITE", true, flow(1)), start, &mut out);
    let up = Some(Up::Response { id, leg: LEG });
    out.clear();
    assert_eq!(clients.respond("INVITE", (200, "a"), no_ack, start, &mut out), up);
    let acknowledged = |to_tag: &str, ack: &'static str| Acknowledged {
        to_tag: to_tag.into(),
        flow: flow(1),
        ack: Bytes::from_static(ack.as_bytes()),
        others: None,
    };
    clients.acknowledge(id, acknowledged("a", "ACK a"), &mut out);
    assert_eq!(clients.respond("INVITE", (200, "a"), no_ack, start, &mut out), None);
    assert_eq!(clients.respond("INVITE", (200, "b"), no_ack, start, &mut out), up);
    assert_eq!(out, [sent("ACK a"), sent("ACK a")]);
    assert_eq!(clients.pending_request(id), None);
    assert!(clients.has_room_for_fork(id));
    for _ in 1..FORKS_MAX {
        clients.acknowledge(id, acknowledged("c", ""), &mut out);
    }
    assert!(!clients.has_room_for_fork(id));
}

#[test]
fn a_failed_transport_fails_what_waits_on_it_and_nothing_else() {
    let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
    let mut clients = Clients::default();
    let first = clients.start(outgoing("one", true, flow(1)), start, &mut out);
    clients.start(outgoing("two", false, flow(2)), start, &mut out);
    let third = clients.start(outgoing("three", false, flow(1)), start, &mut out);
    clients.start(outgoing("four", false, flow(1)), start, &mut out);
    clients.respond("four", (200, "a"), no_ack, start, &mut out);
    assert!(!clients.transport_failed(flow(1), start, &mut out, &mut ups));
    let failed = |key: &str, id, method| Up::Failed {
        id,
        leg: LEG,
        method,
        request: Bytes::copy_from_slice(key.as_bytes()),
        failure: Failure::Unsent,
    };
    let expected = [failed("one", first, Method::Invite), failed("three", third, Method::Bye)];
    assert_eq!(ups, expected);
    assert_eq!(clients.len(), 2);
}

/// RFC 3261 §18.1.1: what a stream did not take goes as a datagram, under the same key; what was
/// answered, or has no other way, does not.
#[test]
fn a_request_with_another_way_takes_it_once() {
    let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
    let mut clients = Clients::default();
    let other = Bytes::from_static(b"as a datagram");
    let both = |key| Outgoing {
        otherwise: Some((flow(2), other.clone())),
        ..outgoing(key, true, Flow { transport: Transport::Tcp, ..flow(1) })
    };
    let id = clients.start(both("one"), start, &mut out);
    clients.start(both("two"), start, &mut out);
    clients.respond("two", (180, "a"), no_ack, start, &mut out);
    out.clear();
    let stream = Flow { transport: Transport::Tcp, ..flow(1) };
    assert!(clients.transport_failed(stream, start, &mut out, &mut ups));
    assert_eq!(out, [Action::Transmit { flow: flow(2), message: other.clone(), leg: LEG }]);
    // What rings waits for its final response (§17.1.1.2).
    assert_eq!(ups, []);
    assert_eq!(clients.pending_request(id), Some((&other, flow(2))));
    // Now it is a datagram's transaction: it repeats, and fails for good.
    assert!(clients.deadline().is_some());
    assert!(!clients.transport_failed(flow(2), start, &mut out, &mut ups));
    assert!(matches!(ups[..], [Up::Failed { failure: Failure::Unsent, .. }]), "{ups:?}");
}

/// RFC 3261 §17.1.4, §8.1.3.1: what has left once may have arrived, whatever becomes of its
/// repetition; and only that request has failed which could not be sent.
#[test]
fn a_repetition_that_cannot_be_sent_fails_what_may_have_arrived() {
    for is_invite in [true, false] {
        let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
        let mut clients = Clients::default();
        clients.start(outgoing("one", is_invite, flow(1)), start, &mut out);
        clients.start(outgoing("two", is_invite, flow(1)), start, &mut out);
        assert_eq!(clients.unsent("stray", start, &mut out, &mut ups), None);
        assert_eq!(clients.unsent("two", start, &mut out, &mut ups), None);
        assert!(matches!(ups[..], [Up::Failed { failure: Failure::Unsent, .. }]), "{ups:?}");
        while clients.handle_deadline(start + crate::transaction::T1, &mut out, &mut ups) {}
        assert_eq!(clients.unsent("one", start, &mut out, &mut ups), None);
        let failure = Failure::TransportFailed;
        assert!(matches!(&ups[1..], [Up::Failed { failure: was, .. }] if *was == failure));
        assert!(clients.pending.is_empty());
    }
}

/// A connection that closes: what may have been lost with it is asked once more, and no oftener.
#[test]
fn what_a_closed_connection_may_have_lost_is_sent_once_more() {
    for (is_invite, status, again) in
        [(true, None, true), (false, None, true), (true, Some(180), false)]
    {
        let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
        let mut clients = Clients::default();
        let stream = Flow { transport: Transport::Tcp, ..flow(1) };
        clients.start(outgoing("one", is_invite, stream), start, &mut out);
        if let Some(status) = status {
            clients.respond("one", (status, "a"), no_ack, start, &mut out);
        }
        let first = std::mem::take(&mut out);
        clients.connection_closed(stream, start, &mut out, &mut ups);
        assert_eq!((out == first, ups.len()), (again, 0), "{out:?}");
        clients.connection_closed(stream, start, &mut out, &mut ups);
        let lost = matches!(ups[..], [Up::Failed { failure: Failure::TransportFailed, .. }]);
        assert_eq!((lost, clients.is_empty()), (again, again), "{ups:?}");
        assert_eq!(clients.leg_of("one").is_some(), !again);
    }
}

/// What is not to be asked again has failed once with its connection; its 2xx still goes up.
#[test]
fn what_is_not_to_be_asked_again_fails_with_its_connection() {
    for provisional in [None, Some(180)] {
        let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
        let mut clients = Clients::default();
        let stream = Flow { transport: Transport::Tcp, ..flow(1) };
        let id = clients.start(outgoing("one", true, stream), start, &mut out);
        clients.ask_no_more(id);
        if let Some(status) = provisional {
            clients.respond("one", (status, "a"), no_ack, start, &mut out);
        }
        for _ in 0..2 {
            clients.connection_closed(stream, start, &mut out, &mut ups);
        }
        assert!(matches!(ups[..], [Up::Failed { failure: Failure::TransportFailed, .. }]));
        assert_eq!((out.len(), clients.retransmissions()), (1, 0), "{out:?}");
        clients.orphan(id, start);
        let up = Some(Up::Response { id, leg: LEG });
        assert_eq!(clients.respond("one", (200, "a"), no_ack, start, &mut out), up);
        while clients.handle_deadline(start + GIVE_UP_AFTER, &mut out, &mut ups) {}
        assert!(clients.is_empty() && clients.pending.is_empty());
    }
}

#[test]
fn silence_repeats_and_fails() {
    let (start, mut out, mut ups) = (epoch().instant, Vec::new(), Vec::new());
    let mut clients = Clients::default();
    let id = clients.start(outgoing("BYE", false, flow(1)), start, &mut out);
    while let Some(at) = clients.deadline() {
        clients.handle_deadline(at, &mut out, &mut ups);
    }
    assert_eq!((out.len(), clients.retransmissions()), (11, 10));
    let request = Bytes::from_static(b"BYE");
    let (method, failure) = (Method::Bye, Failure::NoResponse);
    assert_eq!(ups, [Up::Failed { id, leg: LEG, method, request, failure }]);
    let id = clients.start(outgoing("INVITE", true, flow(1)), start, &mut out);
    clients.respond("INVITE", (180, "a"), no_ack, start, &mut out);
    clients.abandon(id, start);
    assert!(clients.is_empty());
}
