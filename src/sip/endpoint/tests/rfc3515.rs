//! RFC 3515 and RFC 3891, where `transfers` does not say it: what our REFER bears, and who may
//! replace a call.

use super::peer::{Draft, Peer, header, word};
use super::steps::*;
use crate::event::{LegCommand, LegEvent, TransferTo};

fn refer_them(peer: &mut Peer) -> Vec<String> {
    peer.handle(LegCommand::Transfer { leg: IN, to: TransferTo::User("4712".into()) })
}

/// RFC 3515 §2, §2.4.1.
#[test]
fn a_refer_has_one_contact_and_one_refer_to() {
    let mut peer = Peer::new();
    talking(&mut peer, &Draft::invite(1));
    let refer = refer_them(&mut peer).remove(0);
    assert_eq!(fields(&refer, "Contact"), ["<sip:4711@192.0.2.1:5060>"]);
    assert_eq!(fields(&refer, "Refer-To").len(), 1);
    assert!(!header(&refer, "Refer-To").contains(','), "{refer}");
}

/// RFC 3515 §2.
#[test]
fn a_refer_follows_the_routes_of_its_dialog() {
    let mut peer = Peer::new();
    let routes = "<sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>";
    talking(&mut peer, &Draft::invite(1).set("Record-Route", routes));
    let refer = refer_them(&mut peer).remove(0);
    assert_eq!(fields(&refer, "Route"), ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51;lr>"]);
    assert_eq!(peer.sent_over.unwrap().remote, ([192, 0, 2, 50], 5060).into());
}

/// Their call and the INVITE that names it in Replaces.
fn replacing(peer: &mut Peer) -> Draft {
    let to = talking(peer, &Draft::invite(1));
    let ours = to.split(";tag=").nth(1).unwrap();
    let value = format!("call;to-tag={ours};from-tag=peer");
    let via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKreplacing";
    Draft::invite(7).set("Call-ID", "new").set("Via", via).set("Replaces", &value)
}

/// RFC 3891 §3, §8: who calls is known before the call to be replaced is even looked for.
#[test]
fn a_stranger_replaces_nobody() {
    let mut peer = Peer::new();
    let invite = replacing(&mut peer);
    peer.flow.remote = ([203, 0, 113, 7], 5060).into();
    assert_eq!(words(&peer.request(&invite)), ["403"]);
    let ours = invite.clone().set("From", "<sip:ann@hotline.example>;tag=x");
    assert_eq!(words(&peer.request(&ours)), ["401"]);
    assert_eq!((peer.endpoint.legs(), peer.take_events()), (1, vec![]));
}

/// RFC 3891 §3.
#[test]
fn a_replacement_that_fails_leaves_the_call() {
    let mut peer = Peer::new();
    let invite = replacing(&mut peer);
    let foreign = invite.clone().body("application/sdp", &super::peer::sdp("18", "sendrecv"));
    assert_eq!(words(&peer.request(&foreign)), ["488"]);
    let insisting = invite.clone().set("Require", "precondition");
    assert_eq!(words(&peer.request(&insisting)), ["420"]);
    assert_eq!((peer.endpoint.legs(), peer.take_events()), (1, vec![]));
    assert_eq!(words(&peer.request(&invite)), ["100"]);
    let events = peer.take_events();
    assert!(matches!(&events[..], [LegEvent::Incoming { call, .. }] if call.replaces == Some(IN)));
}

/// RFC 3891 §6.2.
#[test]
fn replaces_is_supported() {
    let mut peer = Peer::new();
    let mut sent = vec![dial(&mut peer)];
    sent.extend(peer.request(&Draft::new("OPTIONS", 1)));
    peer.request(&Draft::invite(2));
    sent.push(answer(&mut peer));
    for message in sent {
        let options: Vec<_> = header(&message, "Supported").split(", ").collect();
        assert!(options.contains(&"replaces"), "{}: {message}", word(&message));
    }
}
