//! New calls of other stacks under overload: what is refused unread is refused as if it had been read.

use crate::{files, with_crlf, world};
use bytes::Bytes;
use domain::now::{Now, epoch};
use rand::SeedableRng as _;
use sip::endpoint::Endpoint;
use sip::endpoint::defence::{Newcomer, Sorted};
use sip::event::{Action, Flow, Transport};
use sip::overload::OverloadRules;
use std::time::Duration;

const ORDINARY: &[u8] = b"INVITE sip:4711@192.0.2.1 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\r\n";

fn flow() -> Flow {
    let remote = ([192, 0, 2, 2], 5060).into();
    Flow { transport: Transport::Udp, local: world::local(), remote }
}

/// So far behind that as many new calls wait as may.
fn overloaded() -> (Endpoint, Now) {
    let mut config = world::config();
    let backlog_max = Duration::from_millis(50);
    config.defence.overload = Some(OverloadRules { backlog_max });
    let rng = Box::new(rand::rngs::StdRng::seed_from_u64(7));
    let (mut endpoint, mut now) = (Endpoint::new(config, rng), epoch());
    let enter = |endpoint: &mut Endpoint, now| {
        let sorted = endpoint.sort(flow(), ORDINARY, now);
        if sorted == Sorted::Waits {
            let message = Bytes::from_static(ORDINARY);
            let message = Newcomer { flow: flow(), message, framed: false };
            assert!(endpoint.wait(message, Duration::from_secs(1), now).is_none());
        }
        sorted
    };
    for _ in 0..200 {
        enter(&mut endpoint, now);
        now = now.after(Duration::from_millis(1));
        endpoint.next_newcomer(now);
    }
    while enter(&mut endpoint, now) == Sorted::Waits {}
    (endpoint, now)
}

/// What becomes of a call; `None` when it is none that may be refused.
fn refuse(octets: &[u8], unread: bool) -> Option<Vec<(Flow, Bytes)>> {
    let (mut endpoint, now) = overloaded();
    // Of those without a place some are dropped.
    let sorted = (0..100).map(|_| endpoint.sort(flow(), octets, now));
    if !sorted.into_iter().any(|sorted| sorted == Sorted::Refused) {
        return None;
    }
    let mut out = Vec::new();
    if !unread {
        endpoint.receive(flow(), Bytes::copy_from_slice(octets), now, &mut out);
    } else if !endpoint.refuse(flow(), octets, &mut out) {
        return None;
    }
    let sent = out.into_iter().filter_map(|action| match action {
        Action::Transmit { flow, message, .. } => Some((flow, message)),
        _ => None,
    });
    Some(sent.collect())
}

#[test]
fn calls_of_other_stacks_are_refused_alike_unread_and_read() {
    let mut refused = 0;
    for folder in ["sip-libosip2", "sip-messages", "sip-torture-4475", "sip-torture-5118"] {
        let Some(files) = files(folder) else { return };
        for (path, content) in files {
            for octets in [with_crlf(&content), content] {
                if !octets.starts_with(b"INVITE ") {
                    continue;
                }
                let Some(unread) = refuse(&octets, true) else { continue };
                refused += 1;
                let read = refuse(&octets, false).expect("it is sorted alike");
                let faulty = matches!(&read[..], [(_, it)] if it.starts_with(b"SIP/2.0 4"));
                assert!(faulty || unread == read, "{}: {unread:?}\n{read:?}", path.display());
            }
        }
    }
    println!("{refused} calls are refused unread");
    assert!(refused >= 10, "{refused}");
}
