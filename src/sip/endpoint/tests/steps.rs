//! The steps of a call with a peer whose messages are written by hand, for the tests that hold an
//! RFC's rules against it.

use super::pair::{A, B, address, media, trunk};
use super::peer::{Draft, Peer, header, response, sdp, word};
use crate::event::{Caller, LegCommand, MAX_FORWARDS, Target, Transport};
use domain::hop::Hop;
use domain::id::LegId;
use std::time::Duration;

/// Their call, and ours.
pub(super) const IN: LegId = LegId(1);
pub(super) const OUT: LegId = LegId(2);

/// Where they are reached, in a response of theirs.
pub(super) const CONTACT: &str = "Contact: <sip:4711@192.0.2.2:5060>\r\n";

pub(super) fn words(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| word(message)).collect()
}

/// Dials the carrier over this transport as this leg; the INVITE.
pub(super) fn dial_over(peer: &mut Peer, leg: LegId, transport: Transport) -> String {
    let hop = Hop::at(transport, address(B));
    let target = Target::Trunk { trunk: trunk("carrier"), hop, user: "4711".into() };
    dial_to(peer, leg, target)
}

/// Dials a target as this leg; the INVITE.
pub(super) fn dial_to(peer: &mut Peer, leg: LegId, target: Target) -> String {
    let sent = peer.handle(LegCommand::Dial {
        leg,
        target,
        caller: Caller::shown("+49301"),
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
    });
    sent.into_iter().next().unwrap()
}

pub(super) fn dial(peer: &mut Peer) -> String {
    dial_over(peer, OUT, Transport::Udp)
}

pub(super) fn ring(peer: &mut Peer) -> Vec<String> {
    peer.handle(LegCommand::Progress { leg: IN, status: 180, local_media: None })
}

pub(super) fn answer(peer: &mut Peer) -> String {
    let sent = peer.handle(LegCommand::Answer { leg: IN, local_media: media(A) });
    sent.into_iter().next().unwrap()
}

pub(super) fn hang_up(peer: &mut Peer, leg: LegId) -> Vec<String> {
    peer.handle(LegCommand::HangUp { leg, q850: None })
}

/// Their 200 to a call of ours.
pub(super) fn ok(invite: &str, tag: &str) -> String {
    response(invite, "200 OK", tag, CONTACT, &sdp("8", "sendrecv"))
}

/// The ACK to our 200 to their INVITE with this number; `to` is that of the 200.
pub(super) fn ack(cseq: u32, to: &str) -> Draft {
    let via = format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKforack{cseq}");
    Draft::new("ACK", cseq).to(to).set("Via", &via)
}

/// Their call, answered and acknowledged; the To of our answer.
pub(super) fn talking(peer: &mut Peer, invite: &Draft) -> String {
    peer.request(invite);
    let to = header(&answer(peer), "To").to_owned();
    peer.request(&ack(1, &to));
    peer.take_events();
    to
}

/// Our call, answered and acknowledged; the INVITE.
pub(super) fn talking_out(peer: &mut Peer) -> String {
    let invite = dial(peer);
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
    peer.take_events();
    invite
}

/// Their call with a session timer of 120 s that we have to refresh by re-INVITE; the To of our
/// answer.
pub(super) fn refreshed_by_us(peer: &mut Peer) -> String {
    let invite = Draft::invite(1).set("Supported", "timer");
    talking(peer, &invite.set("Session-Expires", "120;refresher=uas"))
}

/// All values of a header, one for each field.
pub(super) fn fields<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or(message);
    let named = head.lines().filter_map(|line| line.split_once(": "));
    named.filter(|(found, _)| *found == name).map(|(_, value)| value).collect()
}

/// The branch of the top Via.
pub(super) fn branch(message: &str) -> &str {
    let rest = header(message, "Via").split("branch=").nth(1).unwrap_or("");
    rest.split(';').next().unwrap_or("")
}

/// The tag of From or To.
pub(super) fn tag<'a>(message: &'a str, name: &str) -> &'a str {
    header(message, name).split(";tag=").nth(1).unwrap_or("")
}
