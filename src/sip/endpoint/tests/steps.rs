//! The steps of a call with a peer whose messages are written by hand, for the tests that hold an
//! RFC's rules against it.

use super::pair::{A, B, address, config, media, trunk};
use super::peer::{Draft, Peer, header, response, sdp, word};
use crate::endpoint::config::{Reliable, SessionPolicy};
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

/// Dials a target as this leg, and waits 20 s for its answer; the INVITE.
pub(super) fn dial_to(peer: &mut Peer, leg: LegId, target: Target) -> String {
    dial_waiting(peer, leg, target, Duration::from_secs(20))
}

/// Dials a target as this leg, and waits so long for its answer; the INVITE.
pub(super) fn dial_waiting(
    peer: &mut Peer,
    leg: LegId,
    target: Target,
    ring_for: Duration,
) -> String {
    let sent = peer.handle(LegCommand::Dial {
        leg,
        target,
        caller: Caller::shown("+49301"),
        local_media: media(A),
        ring_for,
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
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

/// A peer that is a trunk with this policy.
pub(super) fn with_policy(session: SessionPolicy) -> Peer {
    let mut config = config(A);
    config.trunks[0].session = session;
    Peer::with(config)
}

/// All of a policy that is no departure: reliable where it can be, a session timer.
pub(super) const FULL: SessionPolicy =
    SessionPolicy { reliable: Reliable::Supported, interval_s: 1_800, late_offer: false };

/// Reliable where it can be, and nothing else.
pub(super) const RELIABLE: SessionPolicy = SessionPolicy { interval_s: 0, ..FULL };

/// A provisional response of ours with our sound in it.
pub(super) fn progress(peer: &mut Peer, status: u16) -> Vec<String> {
    peer.handle(LegCommand::Progress { leg: IN, status, local_media: Some(media(A)) })
}

/// The PRACK to a reliable provisional response of ours, as their request with this number.
pub(super) fn prack(cseq: u32, to: &str, provisional: &str) -> Draft {
    let rack = format!("{} {}", header(provisional, "RSeq"), header(provisional, "CSeq"));
    Draft::new("PRACK", cseq).to(to).set("RAck", &rack)
}

/// A reliable provisional response of theirs.
pub(super) fn reliable(invite: &str, tag: &str, rseq: u32, body: &str) -> String {
    let extra =
        format!("{CONTACT}Allow: INVITE, UPDATE, PRACK\r\nRequire: 100rel\r\nRSeq: {rseq}\r\n");
    response(invite, "183 Session Progress", tag, &extra, body)
}

/// What is behind the header fields.
pub(super) fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A request of theirs in the dialog that `tag` of theirs and our INVITE make.
pub(super) fn theirs(invite: &str, tag: &str, method: &str, cseq: u32) -> Draft {
    Draft::new(method, cseq)
        .set("From", &format!("{};tag={tag}", header(invite, "To")))
        .to(header(invite, "From"))
        .set("Call-ID", header(invite, "Call-ID"))
}
