//! The timers of RFC 3261 table 4 and RFC 6026 §8.1, each with its value on datagrams and on streams.
//!
//! Timer C is a proxy's; how long a call of ours may ring is for its leg.

use super::client::{self, Client};
use super::invite_client::{self, InviteClient};
use super::invite_server::{self, InviteServer};
use super::server::{self, Server};
use super::{T1, T2, T4};
use crate::event::Transport;
use domain::now::epoch;
use std::time::{Duration, Instant};

const NEVER: Option<u64> = None;

/// What is left until `machine` has something to do.
fn due(deadline: Option<Instant>, now: Instant) -> Option<u64> {
    deadline.map(|at| u64::try_from((at - now).as_millis()).unwrap())
}

fn invite_client(transport: Transport, statuses: &[u16]) -> Option<u64> {
    let (now, mut out) = (epoch().instant, Vec::new());
    let mut machine = InviteClient::start(transport, now, &mut out);
    for status in statuses {
        let event = invite_client::Event::Response { status: *status };
        machine.handle(event, now, &mut out);
    }
    due(machine.deadline(), now)
}

fn client(transport: Transport, statuses: &[u16]) -> Option<u64> {
    let (now, mut out) = (epoch().instant, Vec::new());
    let mut machine = Client::start(transport, now, &mut out);
    for status in statuses {
        machine.handle(client::Event::Response { status: *status }, now, &mut out);
    }
    due(machine.deadline(), now)
}

fn invite_server(transport: Transport, status: u16, is_acknowledged: bool) -> Option<u64> {
    let (now, mut out) = (epoch().instant, Vec::new());
    let mut machine = InviteServer::start(transport);
    machine.handle(invite_server::Event::Respond { status }, now, &mut out);
    if is_acknowledged {
        machine.handle(invite_server::Event::Ack, now, &mut out);
    }
    due(machine.deadline(), now)
}

fn server(transport: Transport) -> Option<u64> {
    let (now, mut out) = (epoch().instant, Vec::new());
    let mut machine = Server::start(transport);
    machine.handle(server::Event::Respond, now, &mut out);
    due(machine.deadline(), now)
}

/// When a machine that is told nothing more gives up.
fn given_up(start: Instant, mut next: impl FnMut(Instant) -> Option<Instant>) -> u64 {
    let mut at = start;
    while let Some(next) = next(at) {
        at = next;
    }
    u64::try_from((at - start).as_millis()).unwrap()
}

/// B and F: nobody answers; H: nobody acknowledges our refusal. Each is 64*T1.
fn give_ups(transport: Transport) -> [u64; 3] {
    let (start, mut out) = (epoch().instant, Vec::new());
    let mut invite = InviteClient::start(transport, start, &mut out);
    let b = given_up(start, |at| {
        invite.handle_deadline(at, &mut out);
        invite.deadline()
    });
    let mut out = Vec::new();
    let mut request = Client::start(transport, start, &mut out);
    let f = given_up(start, |at| {
        request.handle_deadline(at, &mut out);
        request.deadline()
    });
    let mut out = Vec::new();
    let mut refused = InviteServer::start(transport);
    refused.handle(invite_server::Event::Respond { status: 486 }, start, &mut out);
    let h = given_up(start, |at| {
        refused.handle_deadline(at, &mut out);
        refused.deadline()
    });
    [b, f, h]
}

/// RFC 3261 table 4 and RFC 6026 §8.1: the name of each timer, what it is on datagrams, and what on
/// streams, where repetition is the transport's and absorption is not needed.
#[test]
fn rfc_3261_table_4_each_timer_has_its_value() {
    const UDP: Transport = Transport::Udp;
    const TCP: Transport = Transport::Tcp;
    let ms = |time: Duration| u64::try_from(time.as_millis()).ok();
    let rest = ms(64 * T1);
    assert_eq!((ms(T1), ms(T2), ms(T4), rest), (Some(500), Some(4_000), Some(5_000), Some(32_000)));
    for (timer, on_datagrams, on_streams, udp, tcp) in [
        ("A", invite_client(UDP, &[]), invite_client(TCP, &[]), ms(T1), rest),
        ("A ends", invite_client(UDP, &[180]), invite_client(TCP, &[180]), NEVER, NEVER),
        ("D", invite_client(UDP, &[486]), invite_client(TCP, &[486]), Some(32_000), NEVER),
        ("E", client(UDP, &[]), client(TCP, &[]), ms(T1), rest),
        ("E slows", client(UDP, &[100]), client(TCP, &[100]), ms(T1), rest),
        ("G", invite_server(UDP, 486, false), invite_server(TCP, 486, false), ms(T1), rest),
        ("I", invite_server(UDP, 486, true), invite_server(TCP, 486, true), ms(T4), NEVER),
        ("J", server(UDP), server(TCP), rest, NEVER),
        ("K", client(UDP, &[200]), client(TCP, &[200]), ms(T4), NEVER),
        ("L", invite_server(UDP, 200, false), invite_server(TCP, 200, false), rest, rest),
        ("M", invite_client(UDP, &[200]), invite_client(TCP, &[200]), rest, rest),
    ] {
        assert_eq!((on_datagrams, on_streams), (udp, tcp), "timer {timer}");
    }
    for transport in [UDP, TCP] {
        assert_eq!(give_ups(transport), [32_000; 3], "timers B, F and H");
    }
}
