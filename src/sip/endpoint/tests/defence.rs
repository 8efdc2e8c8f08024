//! The endpoint under attack and overload, message by message.

use super::pair::{A, B, address, config, media, trunk};
use super::peer::{Draft, Peer, header, response, word};
use crate::endpoint::config::{EndpointConfig, Limits};
use crate::endpoint::defence::{DefenceRules, Newcomer, Reserve, Sorted};
use crate::event::{Caller, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport};
use crate::guard::{Budget, GuardRules};
use crate::overload::OverloadRules;
use bytes::Bytes;
use domain::cause::Cause;
use domain::id::LegId;
use std::time::Duration;

fn defended() -> Peer {
    Peer::with(defended_config())
}

fn defended_config() -> EndpointConfig {
    let mut config = config(A);
    config.defence = DefenceRules {
        guard: Some(GuardRules {
            unknown: Budget { per_second: 2, burst: 6 },
            unknown_together: Budget { per_second: 100, burst: 100 },
            known: Budget { per_second: 100, burst: 100 },
            strikes_max: 20,
            ban: Duration::from_secs(600),
            silent: true,
        }),
        overload: Some(OverloadRules { backlog_max: Duration::from_millis(50) }),
        emergency: vec!["112".into(), "+49112".into()],
        reserve: Reserve { transactions: 4, legs: 2 },
    };
    config
}

/// The same peer, but nobody we know.
fn stranger() -> Peer {
    let mut peer = defended();
    peer.flow.remote = "198.51.100.9:5060".parse().unwrap();
    peer
}

/// So far behind that as many new calls wait as may.
fn overloaded() -> Peer {
    let mut peer = defended();
    for number in 1_000..1_200 {
        enter(&mut peer, &call(number).print(), 1_000);
        peer.now = peer.now.after(Duration::from_millis(1));
        peer.endpoint.next_newcomer(peer.now);
    }
    while enter(&mut peer, &call(1_200).print(), 1_000) == Sorted::Waits {}
    peer.endpoint.next_newcomer(peer.now);
    enter(&mut peer, &call(1_200).print(), 1_000);
    peer
}

/// Lets a message come that has waited so many milliseconds.
fn enter(peer: &mut Peer, message: &str, waited_ms: u64) -> Sorted {
    let sorted = peer.endpoint.sort(peer.flow, message.as_bytes(), peer.now);
    if sorted == Sorted::Waits {
        let message = Bytes::copy_from_slice(message.as_bytes());
        let message = Newcomer { flow: peer.flow, message, framed: false };
        let waited = Duration::from_millis(waited_ms);
        assert!(peer.endpoint.wait(message, waited, peer.now).is_none());
    }
    sorted
}

/// Receives the next whose turn it is: what was sent.
fn next(peer: &mut Peer) -> Option<Vec<String>> {
    let next = peer.endpoint.next_newcomer(peer.now)?;
    Some(peer.send(std::str::from_utf8(&next.message).unwrap()))
}

fn call(number: u32) -> Draft {
    Draft::invite(number).set("Call-ID", &format!("call{number}"))
}

#[test]
fn strangers_have_a_budget_and_trunks_have_none() {
    let mut peer = stranger();
    let answers = (1..=20).map(|it| peer.request(&Draft::new("OPTIONS", it)).len()).sum::<usize>();
    assert_eq!(answers, 6);
    let mut peer = defended();
    let answers = (1..=20).map(|it| peer.request(&Draft::new("OPTIONS", it)).len()).sum::<usize>();
    assert_eq!(answers, 20);
}

/// A message of a stream costs what it weighs before it is read, and so does opening one; who has no
/// more is closed.
#[test]
fn streams_of_strangers_have_the_same_budget_and_are_closed_over_it() {
    for (transport, weight, taken) in [(Transport::Tcp, 0, 6), (Transport::Tcp, 4_000, 2)] {
        let mut peer = stranger();
        peer.flow.transport = transport;
        let via = format!("SIP/2.0/{} 198.51.100.9;branch=z9hG4bK1", transport.via_name());
        let heavy = "x".repeat(weight);
        let mut answers = 0;
        while peer.closed.is_empty() && answers < 20 {
            let options = Draft::new("OPTIONS", answers + 1).set("Via", &via);
            answers += peer.send_framed(&options.set("Subject", &heavy).print()).len() as u32;
        }
        assert_eq!((answers, &peer.closed[..]), (taken, &[peer.flow][..]));
        let ip = peer.flow.remote.ip();
        let mut opens = 0;
        let mut fresh = stranger();
        while fresh.endpoint.admits_connection(ip, fresh.now) && opens < 20 {
            opens += 1;
        }
        assert_eq!(opens, 6);
        assert!(fresh.endpoint.admits_connection(address(B).ip(), fresh.now), "a trunk's");
    }
}

/// RFC 5922 §7.4: a trunk is known by its certificate in all that is done for trunks: it has no budget,
/// is told of its faults, and is believed what its border says.
#[test]
fn a_trunk_known_by_its_certificate_is_treated_as_one() {
    let mut config = defended().endpoint.config;
    config.trunks[0].networks.clear();
    config.trunks[0].tls_names = vec!["sip.carrier.example".into()];
    config.trunks[0].border.trusted = true;
    let mut peer = Peer::with(config);
    peer.flow.transport = Transport::Tls;
    peer.endpoint.connected(peer.flow, Some(vec!["sip.carrier.example".into()]));
    let via = |draft: Draft| draft.set("Via", "SIP/2.0/TLS 192.0.2.2;branch=z9hG4bK7");
    let answers = (1..=20).map(|it| peer.request(&via(Draft::new("OPTIONS", it))).len());
    assert_eq!(answers.sum::<usize>(), 20);
    let rubbish = via(Draft::new("INVITE", 1)).set("CSeq", "one INVITE").print();
    assert_eq!(word(&peer.send_framed(&rubbish)[0]), "400");
    let asserted = "<sip:+49309@carrier.example>";
    peer.request(&via(Draft::invite(30)).set("P-Asserted-Identity", asserted));
    let [LegEvent::Incoming { call, .. }] = &peer.take_events()[..] else { panic!("a call") };
    assert_eq!(call.asserted.as_deref(), Some("+49309"));
    assert!(peer.closed.is_empty());
}

#[test]
fn a_strangers_rubbish_is_left_unanswered_until_he_is_banned() {
    let mut peer = stranger();
    let rubbish = Draft::new("INVITE", 1).set("CSeq", "one INVITE").print();
    for _ in 0..20 {
        assert_eq!(peer.send(&rubbish), Vec::<String>::new());
        peer.now = peer.now.after(Duration::from_secs(1));
    }
    let bans = peer.endpoint.bans(peer.now.instant);
    assert_eq!(bans.len(), 1);
    assert_eq!(peer.request(&Draft::new("OPTIONS", 1)), Vec::<String>::new());
    assert!(peer.endpoint.unban(peer.flow.remote.ip(), peer.now.instant));
    assert_eq!(peer.request(&Draft::new("OPTIONS", 2)).len(), 1);
    // A carrier is told what is wrong with its message.
    assert_eq!(word(&defended().send(&rubbish)[0]), "400");
}

/// A scan for extensions: every name is answered with the same challenge, and then with nothing.
#[test]
fn a_scan_learns_no_extension() {
    let scan = |name: &str| {
        let mut peer = stranger();
        let register = |cseq| {
            let address = format!("<sip:{name}@hotline.example>");
            Draft::new("REGISTER", cseq)
                .line("REGISTER sip:hotline.example SIP/2.0")
                .set("From", &format!("{address};tag=x"))
                .set("To", &address)
        };
        let mut answers = Vec::new();
        for cseq in 1..=12 {
            let wrong = "Digest username=\"x\", realm=\"hotline.example\", nonce=\"n\", \
                         uri=\"sip:hotline.example\", response=\"0\""
                .replace("\"x\"", &format!("\"{name}\""));
            let register = match cseq % 2 {
                0 => register(cseq).set("Authorization", &wrong),
                _ => register(cseq),
            };
            let sent = peer.request(&register);
            answers.push(sent.first().map_or(String::new(), |answer| word(answer).to_owned()));
            peer.now = peer.now.after(Duration::from_millis(500));
        }
        answers
    };
    let (known, unknown) = (scan("ann"), scan("bob"));
    assert_eq!(known, unknown);
    assert_eq!((&*known[0], &*known[11]), ("401", ""), "challenged first, banned at the end");
}

#[test]
fn overload_refuses_new_calls_only_and_says_so_to_neighbours() {
    let mut peer = overloaded();
    let before = peer.endpoint.defence().shed;
    let asks = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx;oc;oc-algo=\"loss\"";
    let refused = call(2).set("Via", asks);
    assert_eq!(enter(&mut peer, &refused.print(), 0), Sorted::Refused);
    let refused = peer.request(&refused);
    assert_eq!(word(&refused[0]), "503");
    // RFC 7339 §5.10.2.
    assert_eq!(header(&refused[0], "Retry-After"), "");
    let via = header(&refused[0], "Via");
    assert!(via.contains(";oc-algo=\"loss\";oc-validity="), "{via}");
    assert_eq!(peer.endpoint.defence().shed, before + 1);
    // The first that waits is taken, and there is a place again.
    assert_eq!(word(&next(&mut peer).unwrap()[0]), "100");
    assert_eq!(enter(&mut peer, &call(3).print(), 0), Sorted::Waits);
    // A repetition of the call that was taken is no new call, though it finds no place.
    assert_eq!(enter(&mut peer, &call(1_200).print(), 0), Sorted::Refused);
    assert_ne!(word(&peer.request(&call(1_200))[0]), "503");
    // Of those without a place some are dropped, and all of them count.
    let others: Vec<_> = (5..2_005).map(|it| enter(&mut peer, &call(it).print(), 0)).collect();
    assert!(others.contains(&Sorted::Dropped) && !others.contains(&Sorted::Waits));
    assert_eq!(peer.endpoint.defence().shed, before + 2_002);
}

#[test]
fn only_new_calls_of_those_without_a_budget_wait() {
    let mut peer = overloaded();
    let within = |name| call(5).set("To", "").set(name, "\"a\" <sip:4711@192.0.2.1>;TAG=b");
    let options = Draft::new("OPTIONS", 1);
    for (message, why) in [
        (within("To").print(), "within a dialog"),
        (within("t").print(), "within a dialog, short"),
        (call(5).line("INVITE sip:112@192.0.2.1 SIP/2.0").print(), "for help"),
        (call(5).line("INVITE tel:1-1-2 SIP/2.0").print(), "for help, with separators"),
        (call(5).line("INVITE sip:%31%312:x@192.0.2.1 SIP/2.0").print(), "for help, escaped"),
        (options.print(), "no call"),
        ("INVITE".into(), "no message"),
    ] {
        assert_eq!(enter(&mut peer, &message, 0), Sorted::Now, "{why}");
    }
    assert_eq!(word(&peer.request(&options)[0]), "200");
    let emergency = call(6).line("INVITE sip:112@192.0.2.1 SIP/2.0");
    assert_eq!(word(&peer.request(&emergency)[0]), "100");
    let mut peer = defended();
    // `tag=` in another header makes no dialog.
    assert_eq!(enter(&mut peer, &call(5).set("Subject", "tag=1").print(), 0), Sorted::Waits);
    let mut stranger = stranger();
    assert_eq!(enter(&mut stranger, &call(5).print(), 0), Sorted::Now, "a stranger has a budget");
}

/// One that cannot be read is told so, and the next call is not refused in its place.
#[test]
fn a_call_that_cannot_be_read_leaves_no_refusal_behind() {
    let mut peer = overloaded();
    let rubbish = call(2).set("CSeq", "one INVITE").print();
    assert_eq!(enter(&mut peer, &rubbish, 0), Sorted::Refused);
    assert!(!peer.endpoint.refuse(peer.flow, rubbish.as_bytes(), &mut Vec::new()));
    assert_eq!(word(&peer.send(&rubbish)[0]), "400");
    assert_eq!(enter(&mut peer, &call(3).print(), 0), Sorted::Refused);
    assert!(peer.endpoint.refuse(peer.flow, call(3).print().as_bytes(), &mut Vec::new()));
    assert_eq!(word(&next(&mut peer).unwrap()[0]), "100");
}

#[test]
fn who_waits_over_a_connection_that_closes_is_forgotten() {
    let mut peer = defended();
    peer.flow.transport = Transport::Tcp;
    assert_eq!(enter(&mut peer, &call(1).print(), 0), Sorted::Waits);
    let mut other = peer.flow;
    other.remote.set_port(7);
    peer.endpoint.connection_closed(other, peer.now, &mut Vec::new());
    assert!(peer.endpoint.has_newcomers());
    peer.endpoint.connection_closed(peer.flow, peer.now, &mut Vec::new());
    assert!(!peer.endpoint.has_newcomers());
}

#[test]
fn a_cancel_does_not_overtake_its_call() {
    let mut peer = defended();
    let call = call(1);
    let cancel = call.clone().line("CANCEL sip:4711@192.0.2.1 SIP/2.0").set("CSeq", "1 CANCEL");
    let cancel = cancel.body("", "").print();
    assert_eq!(enter(&mut peer, &cancel, 0), Sorted::Now, "no call waits");
    assert_eq!(enter(&mut peer, &call.print(), 0), Sorted::Waits);
    assert_eq!(enter(&mut peer, &cancel, 0), Sorted::Waits);
    assert_eq!(word(&next(&mut peer).unwrap()[0]), "100");
    let sent = next(&mut peer).unwrap();
    assert_eq!(sent.iter().map(|it| word(it)).collect::<Vec<_>>(), ["200", "487"]);
    assert!(!peer.endpoint.has_newcomers());
}

#[test]
fn without_overload_neighbours_are_told_so_and_strangers_nothing() {
    let asks = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx;oc;oc-algo=\"loss,rate\"";
    let options = Draft::new("OPTIONS", 1).set("Via", asks);
    let answer = defended().request(&options);
    let via = header(&answer[0], "Via");
    assert!(via.contains(";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq="), "{via}");
    let answer = stranger().request(&options);
    assert!(header(&answer[0], "Via").contains(";oc;oc-algo=\"loss,rate\""), "as it came");
}

fn dial(peer: &mut Peer, leg: u64, user: &str) -> Vec<String> {
    let hop = domain::hop::Hop {
        transport: Transport::Udp,
        address: address(super::pair::B),
        host: None,
    };
    peer.handle(LegCommand::Dial {
        leg: LegId(leg),
        target: Target::Trunk { trunk: trunk("carrier"), hop, user: user.into() },
        caller: Caller::shown("1"),
        local_media: media(A),
        ring_for: Duration::from_secs(9),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    })
}

#[test]
fn a_neighbours_word_is_kept_to() {
    for (parameters, extra, sent) in [
        (";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=1.0", "", 1),
        (";oc=100;oc-algo=\"loss\";oc-validity=9000;oc-seq=1.0", "", 0),
        ("", "Retry-After: 20 (busy)\r\n", 0),
    ] {
        let mut peer = defended();
        let invite = dial(&mut peer, 2, "4711").remove(0);
        let via = header(&invite, "Via").to_owned();
        assert!(via.contains(";oc;oc-algo=\"loss\""), "{via}");
        let refusal = response(&invite, "503 Service Unavailable", "a", extra, "");
        let told = via.replace(";oc;oc-algo=\"loss\"", parameters);
        peer.send(&refusal.replacen(&via, &told, 1));
        peer.events.clear();
        assert_eq!(dial(&mut peer, 4, "4711").len(), sent, "{parameters}{extra}");
        if sent == 0 {
            let cause = Cause::not_admitted();
            assert_eq!(peer.events, [LegEvent::Ended { leg: LegId(4), cause }]);
        }
        assert_eq!(dial(&mut peer, 6, "112").len(), 1, "emergency calls go");
        peer.now = peer.now.after(Duration::from_secs(20));
        assert_eq!(dial(&mut peer, 8, "4711").len(), 1, "its time is over");
    }
}

/// Calls for help have room of their own, whatever form their number has; others never take it.
#[test]
fn a_full_endpoint_has_room_for_calls_for_help() {
    let mut full = defended_config();
    full.limits.legs = 1;
    let mut peer = Peer::with(full.clone());
    assert_eq!(word(&peer.request(&call(1))[0]), "100");
    assert_eq!(word(&peer.request(&call(2))[0]), "503");
    assert!(dial(&mut peer, 2, "4711").is_empty());
    let help = call(3).line("INVITE sip:+49-112;npdi@192.0.2.1 SIP/2.0");
    assert_eq!(word(&peer.request(&help)[0]), "100");
    assert_eq!(dial(&mut peer, 4, "112").len(), 1);
    // The reserve has an end too.
    assert!(dial(&mut peer, 6, "112").is_empty());
    assert_eq!(word(&peer.request(&call(5).line("INVITE sip:112@192.0.2.1 SIP/2.0"))[0]), "503");

    full.limits = Limits { transactions: 0, legs: 100, ..full.limits };
    let mut peer = Peer::with(full);
    assert_eq!(word(&peer.request(&call(1))[0]), "503");
    assert_eq!(word(&peer.request(&help)[0]), "100");
}
