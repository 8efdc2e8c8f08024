//! RFC 3261 §22 as client: what was asked for once is given unasked, to the one who asked (RFC 7616
//! §3.4, §3.6).

use super::pair::{A, address, config};
use super::peer::{Draft, Peer, header, response, sdp};
use super::steps::{
    CONTACT, IN, OUT, RELIABLE, dial, fields, hang_up, ok, reliable, talking, with_policy, words,
};
use crate::digest::Algorithm;
use crate::digest::challenger::{Challenger, Verdict};
use crate::event::{LegCommand, TransferTo};
use crate::message::name::Name;
use crate::message::{Message, parse};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A trunk that wants credentials in each request: each nonce and count once.
struct Trunk {
    challenger: Challenger,
}

impl Trunk {
    fn new(peer: &Peer) -> Self {
        let life = Duration::from_secs(60);
        let start = peer.now.instant;
        let challenger = Challenger::new("carrier", [1; 32], &[Algorithm::Md5], life, start);
        Self { challenger }
    }

    fn challenge(&mut self, peer: &Peer) -> String {
        let values = self.challenger.challenge(address(A).ip(), false, peer.now.instant);
        format!("Proxy-Authenticate: {}\r\n", values[0])
    }

    /// Whether a request has good credentials, and the count in them.
    fn takes(&mut self, message: &str, peer: &Peer) -> Option<u32> {
        let Ok(Message::Request(request)) = parse(Bytes::copy_from_slice(message.as_bytes()))
        else {
            panic!("{message}")
        };
        let credentials = request.headers.authorisations(Name::ProxyAuthorization).next()?;
        let password = |user: &str| (user == "us").then(|| Arc::from("pass"));
        let (method, uri) = (request.method.as_str(), &request.uri);
        let source = address(A).ip();
        let now = peer.now.instant;
        let verdict = self.challenger.verify(credentials, method, uri, password, source, now);
        let is_good = matches!(verdict, Verdict::Accepted { .. });
        is_good.then(|| u32::from_str_radix(credentials.params.get("nc").unwrap(), 16).unwrap())
    }
}

/// Our call, challenged once; the INVITE that was taken.
fn challenged(peer: &mut Peer, trunk: &mut Trunk) -> String {
    let invite = dial(peer);
    let sent = peer.send(&response(&invite, "407 Auth", "x", &trunk.challenge(peer), ""));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    assert_eq!(trunk.takes(&sent[1], peer), Some(1));
    sent[1].clone()
}

/// RFC 3261 §22.3: credentials in all later requests of the dialog, each with the next count.
#[test]
fn rfc_3261_s22_3_later_requests_of_a_dialog_have_credentials() {
    let mut peer = with_policy(RELIABLE);
    let mut trunk = Trunk::new(&peer);
    let invite = challenged(&mut peer, &mut trunk);
    let prack = peer.send(&reliable(&invite, "one", 1, &sdp("8", "sendrecv")));
    assert_eq!((words(&prack), trunk.takes(&prack[0], &peer)), (vec!["PRACK"], Some(2)));
    peer.send(&response(&prack[0], "200 OK", "one", "", ""));
    let update = peer.handle(LegCommand::Hold { leg: OUT, on: true });
    assert_eq!((words(&update), trunk.takes(&update[0], &peer)), (vec!["UPDATE"], Some(3)));
    peer.send(&response(&update[0], "200 OK", "one", CONTACT, &sdp("8", "recvonly")));
    let ack = peer.send(&response(&invite, "200 OK", "one", CONTACT, ""));
    let field = "Proxy-Authorization";
    assert_eq!(header(&ack[0], field), header(&invite, field), "§13.2.2.4");

    let change = peer.handle(LegCommand::Hold { leg: OUT, on: false });
    assert_eq!((words(&change), trunk.takes(&change[0], &peer)), (vec!["INVITE"], Some(4)));
    let ack = peer.send(&ok(&change[0], "one"));
    assert_eq!((words(&ack), header(&ack[0], field)), (vec!["ACK"], header(&change[0], field)));
    let to = TransferTo::User("4712".into());
    let refer = peer.handle(LegCommand::Transfer { leg: OUT, to });
    assert_eq!((words(&refer), trunk.takes(&refer[0], &peer)), (vec!["REFER"], Some(5)));
    let bye = hang_up(&mut peer, OUT);
    assert_eq!((words(&bye), trunk.takes(&bye[0], &peer)), (vec!["BYE"], Some(6)));
    assert_eq!(fields(&bye[0], field).len(), 1);
    peer.send(&response(&bye[0], "200 OK", "one", "", ""));
    peer.assert_clean();
}

/// RFC 7616 §3.3: a nonce that is no longer good is replaced, and the request goes again; credentials
/// that were refused with the nonce they were made for do not.
#[test]
fn rfc_7616_s3_3_a_worn_nonce_is_replaced() {
    for stale in [false, true] {
        let mut peer = Peer::new();
        let mut trunk = Trunk::new(&peer);
        let invite = challenged(&mut peer, &mut trunk);
        peer.send(&ok(&invite, "one"));
        let bye = hang_up(&mut peer, OUT);
        let values = trunk.challenger.challenge(address(A).ip(), stale, peer.now.instant);
        let next = format!("Proxy-Authenticate: {}\r\n", values[0]);
        let again = peer.send(&response(&bye[0], "407 Auth", "one", &next, ""));
        assert_eq!((words(&again), trunk.takes(&again[0], &peer)), (vec!["BYE"], Some(1)));
        let refused = peer.send(&response(&again[0], "407 Auth", "one", &next, ""));
        assert_eq!(refused, [""; 0]);
        peer.assert_clean();
    }
}

/// RFC 7616 §3.6: only who has asked gets them. The Contact leads to another host: that asks for
/// itself, and gets what it asks for.
#[test]
fn another_host_gets_credentials_when_it_asks() {
    let mut peer = Peer::new();
    let mut trunk = Trunk::new(&peer);
    let invite = challenged(&mut peer, &mut trunk);
    let elsewhere = "Contact: <sip:4711@192.0.2.77>\r\n";
    peer.send(&response(&invite, "200 OK", "one", elsewhere, &sdp("8", "sendrecv")));
    let change = peer.handle(LegCommand::Hold { leg: OUT, on: true });
    assert_eq!(words(&change), ["INVITE"]);
    assert_eq!(header(&change[0], "Proxy-Authorization"), "");
    let own = "WWW-Authenticate: Digest realm=\"carrier\",nonce=\"own\",qop=\"auth\"\r\n";
    let sent = peer.send(&response(&change[0], "401 Auth", "one", own, ""));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    let credentials = header(&sent[1], "Authorization");
    assert!(credentials.contains("nonce=\"own\"") && credentials.contains("nc=00000001"));
    assert_eq!(header(&sent[1], "Proxy-Authorization"), "", "those were another host's");
    peer.send(&response(&sent[1], "200 OK", "one", elsewhere, &sdp("8", "recvonly")));
    let bye = hang_up(&mut peer, OUT);
    assert!(header(&bye[0], "Authorization").contains("nc=00000002"), "{}", bye[0]);
}

/// RFC 3261 §22.3: a proxy and who is called behind it may both ask, one after the other or, where
/// the request was forked, in one response. No count is used twice.
#[test]
fn rfc_3261_s22_3_two_who_ask_are_both_answered() {
    let proxy = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"p\",qop=\"auth\"\r\n";
    let called = "WWW-Authenticate: Digest realm=\"carrier\",nonce=\"c\",qop=\"auth\"\r\n";
    let says = |message: &str, name: &str, what: &str| {
        assert!(header(message, name).contains(what), "{what} in {message}");
        assert_eq!(fields(message, name).len(), 1);
    };
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let sent = peer.send(&response(&invite, "407 Auth", "x", proxy, ""));
    let sent = peer.send(&response(&sent[1], "401 Auth", "y", called, ""));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    says(&sent[1], "Proxy-Authorization", "nc=00000002");
    says(&sent[1], "Authorization", "nc=00000001");
    peer.send(&ok(&sent[1], "one"));
    let bye = hang_up(&mut peer, OUT);
    says(&bye[0], "Proxy-Authorization", "nc=00000003");
    says(&bye[0], "Authorization", "nc=00000002");

    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let both = format!("{proxy}{called}");
    let sent = peer.send(&response(&invite, "401 Auth", "x", &both, ""));
    says(&sent[1], "Proxy-Authorization", "nonce=\"p\"");
    says(&sent[1], "Authorization", "nonce=\"c\"");
}

/// An INVITE that goes again for another reason has the next count, too (RFC 4028 §7.3).
#[test]
fn what_goes_again_counts_on() {
    let mut config = config(A);
    config.trunks[0].session.interval_s = 600;
    let mut peer = Peer::with(config);
    let mut trunk = Trunk::new(&peer);
    let invite = challenged(&mut peer, &mut trunk);
    let sent = peer.send(&response(&invite, "422 Small", "x", "Min-SE: 900\r\n", ""));
    assert_eq!((words(&sent), trunk.takes(&sent[1], &peer)), (vec!["ACK", "INVITE"], Some(2)));
}

/// A trunk whose call we took may ask for credentials as well as one that we called.
#[test]
fn requests_within_a_call_from_a_trunk_are_answered_for() {
    let mut peer = Peer::new();
    let mut trunk = Trunk::new(&peer);
    talking(&mut peer, &Draft::invite(1));
    let change = peer.handle(LegCommand::Hold { leg: IN, on: true });
    assert_eq!(header(&change[0], "Proxy-Authorization"), "");
    let challenge = trunk.challenge(&peer);
    let sent = peer.send(&response(&change[0], "407 Auth", "peer", &challenge, ""));
    assert_eq!((words(&sent), trunk.takes(&sent[1], &peer)), (vec!["ACK", "INVITE"], Some(1)));
    peer.send(&response(&sent[1], "200 OK", "peer", CONTACT, &sdp("8", "recvonly")));
    let bye = hang_up(&mut peer, IN);
    assert_eq!((words(&bye), trunk.takes(&bye[0], &peer)), (vec!["BYE"], Some(2)));
}

/// Whoever answers may write To another way: the tag says which dialog it is.
#[test]
fn a_challenge_is_known_by_its_tag() {
    let mut peer = with_policy(RELIABLE);
    let mut trunk = Trunk::new(&peer);
    let invite = dial(&mut peer);
    let prack = peer.send(&reliable(&invite, "one", 1, ""));
    let challenged = response(&prack[0], "407 Auth", "one", &trunk.challenge(&peer), "");
    let rewritten = challenged.replace("\r\nTo: <", "\r\nTo: \"Ben\" <");
    assert_ne!(rewritten, challenged);
    let again = peer.send(&rewritten);
    assert_eq!((words(&again), trunk.takes(&again[0], &peer)), (vec!["PRACK"], Some(1)));
}
