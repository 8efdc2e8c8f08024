//! Transfers: REFER and NOTIFY both ways, against a peer whose every message is chosen and against
//! another endpoint (RFC 3515, RFC 3891, RFC 3892, RFC 4488, RFC 5589, RFC 6665).

use super::pair::{A, B, Pair, media};
use super::peer::{Draft, Peer, header, response, word};
use crate::event::{LegCommand, LegEvent, ReferTo, TransferTo, Transport};
use domain::cause::{Cause, EndedBy};
use domain::id::LegId;
use std::time::Duration;

const LEG: LegId = LegId(1);

fn words(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| word(message)).collect()
}

/// A call of the peer's that we answered; the To of our answer.
fn talking(peer: &mut Peer) -> String {
    peer.request(&Draft::invite(1));
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    let to = header(&answer[0], "To").to_owned();
    let via = "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKack";
    peer.request(&Draft::new("ACK", 1).to(&to).set("Via", via));
    peer.take_events();
    to
}

fn refer(cseq: u32, to: &str, refer_to: &str) -> Draft {
    Draft::new("REFER", cseq).to(to).set("Refer-To", refer_to)
}

fn progress(peer: &mut Peer, status: u16) -> Vec<String> {
    peer.handle(LegCommand::ReferProgress { leg: LEG, status })
}

/// The peer answers a request of ours.
fn answered(peer: &mut Peer, request: &str, line: &str) -> Vec<String> {
    peer.send(&response(request, line, "peer", "", ""))
}

fn ben() -> ReferTo {
    ReferTo {
        user: "ben".into(),
        host: "hotline.example".into(),
        is_here: true,
        uri: "sip:ben@hotline.example".into(),
        replaces: None,
    }
}

/// RFC 3515 §2.4.2, §2.4.4, §2.4.5, §2.4.7, and §2.4.6 for the second.
#[test]
fn a_refer_is_accepted_and_its_outcome_notified() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let draft = refer(2, &to, "<sip:ben@hotline.example>");
    let draft = draft.set("Referred-By", "<sip:anna@hotline.example>");
    assert_eq!(peer.request(&draft), Vec::<String>::new(), "nobody has decided yet");
    let referred_by = Some("<sip:anna@hotline.example>".into());
    assert_eq!(peer.take_events(), [LegEvent::Referred { leg: LEG, to: ben(), referred_by }]);
    let sent = progress(&mut peer, 100);
    assert_eq!(words(&sent), ["202", "NOTIFY"]);
    assert_eq!(header(&sent[0], "Contact"), "<sip:4711@192.0.2.1:5060>");
    let notify = &sent[1];
    assert!(notify.starts_with("NOTIFY sip:+49302@192.0.2.2:5060 SIP/2.0\r\n"), "{notify}");
    for (name, value) in [
        ("Event", "refer"),
        ("Subscription-State", "active;expires=300"),
        ("Content-Type", "message/sipfrag;version=2.0"),
        ("Contact", "<sip:4711@192.0.2.1:5060>"),
        ("Call-ID", "call"),
    ] {
        assert_eq!(header(notify, name), value);
    }
    assert!(notify.ends_with("\r\n\r\nSIP/2.0 100 Trying\r\n"), "{notify}");
    assert_eq!(progress(&mut peer, 180), Vec::<String>::new(), "one NOTIFY at a time");
    let sent = answered(&mut peer, notify, "200 OK");
    assert!(sent[0].ends_with("SIP/2.0 180 Ringing\r\n"), "{sent:?}");
    let sent = progress(&mut peer, 200);
    assert_eq!(words(&sent), ["NOTIFY"]);
    assert_eq!(header(&sent[0], "Subscription-State"), "terminated;reason=noresource");
    assert!(sent[0].ends_with("SIP/2.0 200 OK\r\n"));
    peer.request(&refer(3, &to, "<sip:ben@hotline.example>"));
    let sent = progress(&mut peer, 404);
    assert_eq!(words(&sent), ["202", "NOTIFY"]);
    assert_eq!(header(&sent[1], "Event"), "refer;id=3");
    assert!(sent[1].ends_with("SIP/2.0 404 Not Found\r\n"));
}

#[test]
fn a_refer_that_is_out_of_order_or_not_wanted_is_refused() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let ours = "<sip:ben@hotline.example>";
    for (cseq, refer_to, expected) in [
        (2, "", "400"),
        (3, "<sip:a@h>, <sip:b@h>", "400"),
        (4, "<http://example.org>", "606"),
        (5, "<sip:ben@hotline.example;method=BYE>", "603"),
        (6, "<sip:ben@hotline.example?Replaces=1>", "400"),
    ] {
        assert_eq!(words(&peer.request(&refer(cseq, &to, refer_to))), [expected], "{refer_to}");
    }
    assert_eq!(peer.take_events(), []);
    peer.request(&refer(7, &to, ours));
    let sent = peer.handle(LegCommand::RefuseRefer { leg: LEG, status: 403 });
    assert_eq!(words(&sent), ["403"]);
    // While one is under way, there is no other.
    peer.request(&refer(8, &to, ours));
    assert_eq!(words(&peer.request(&refer(9, &to, ours))), ["491"]);
    // Nobody decides.
    assert_eq!(words(&peer.wait(Duration::from_secs(8))), ["603"]);
    // The call was never touched.
    assert_eq!(words(&peer.request(&Draft::new("BYE", 10).to(&to))), ["200"]);
    peer.assert_clean();
}

/// RFC 4488 §4.
#[test]
fn no_subscription_is_made_when_none_is_wanted() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let draft = refer(2, &to, "<sip:ben@hotline.example>");
    peer.request(&draft.set("Refer-Sub", "false").set("Require", "norefersub"));
    let sent = progress(&mut peer, 100);
    assert_eq!(words(&sent), ["202"]);
    assert_eq!(header(&sent[0], "Refer-Sub"), "false");
    assert_eq!(progress(&mut peer, 200), Vec::<String>::new());
}

/// RFC 3515 §2.4.4, RFC 6665 §4.1.3, §4.2.1.1.
#[test]
fn a_subscription_is_refreshed_and_ended_and_never_made_by_subscribe() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let subscribe = |cseq, event: &str, expires: &str| {
        let draft = Draft::new("SUBSCRIBE", cseq).to(&to);
        draft.set("Event", event).set("Expires", expires)
    };
    let sent = peer.request(&subscribe(2, "presence", "60"));
    assert_eq!((word(&sent[0]), header(&sent[0], "Allow-Events")), ("489", "refer"));
    assert_eq!(words(&peer.request(&subscribe(3, "refer", "60"))), ["403"]);
    peer.request(&refer(4, &to, "<sip:ben@hotline.example>"));
    let sent = progress(&mut peer, 180);
    answered(&mut peer, &sent[1], "200 OK");
    assert_eq!(words(&peer.request(&subscribe(5, "refer;id=9", "60"))), ["403"]);
    let sent = peer.request(&subscribe(6, "refer;id=4", "60"));
    assert_eq!(words(&sent), ["200", "NOTIFY"]);
    assert_eq!(header(&sent[0], "Expires"), "60");
    assert_eq!(header(&sent[1], "Subscription-State"), "active;expires=60");
    answered(&mut peer, &sent[1], "200 OK");
    let sent = peer.request(&subscribe(7, "refer", "0"));
    assert_eq!(words(&sent), ["200", "NOTIFY"]);
    assert_eq!(header(&sent[1], "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(progress(&mut peer, 200), Vec::<String>::new());
}

/// Many telephones hang up as soon as their REFER is accepted. The call is over then, but they are
/// told what became of it in the same dialog (RFC 5057 §4.1, RFC 5589 §6.1).
#[test]
fn who_refers_and_hangs_up_is_still_told() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    peer.request(&refer(2, &to, "<sip:ben@hotline.example>"));
    let notify = progress(&mut peer, 100).remove(1);
    peer.take_events();
    assert_eq!(words(&peer.request(&Draft::new("BYE", 3).to(&to))), ["200"]);
    let cause = Cause::normal(EndedBy::Peer);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause }]);
    answered(&mut peer, &notify, "200 OK");
    assert_eq!(words(&peer.request(&Draft::new("INFO", 4).to(&to))), ["481"]);
    let sent = progress(&mut peer, 200);
    assert_eq!(words(&sent), ["NOTIFY"]);
    assert_eq!(peer.endpoint.legs(), 1);
    answered(&mut peer, &sent[0], "481 Gone");
    assert_eq!((peer.endpoint.legs(), peer.take_events()), (0, vec![]));
    // And when nothing is ever told, it ends with the subscription.
    let to = talking_again(&mut peer);
    peer.request(&refer(12, &to, "<sip:ben@hotline.example>").set("Call-ID", "again"));
    let leg = LegId(3);
    let notify = peer.handle(LegCommand::ReferProgress { leg, status: 100 }).remove(1);
    answered(&mut peer, &notify, "200 OK");
    peer.request(&Draft::new("BYE", 13).to(&to).set("Call-ID", "again"));
    let sent = peer.wait(Duration::from_secs(301));
    assert_eq!(header(&sent[0], "Subscription-State"), "terminated;reason=timeout");
    peer.assert_clean();
}

/// A second BYE ends nothing more: without an answer, the REFER would be kept for ever.
#[test]
fn who_refers_and_hangs_up_twice_is_answered() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    assert!(peer.request(&refer(2, &to, "<sip:ben@hotline.example>")).is_empty());
    for cseq in [3, 4] {
        assert_eq!(words(&peer.request(&Draft::new("BYE", cseq).to(&to))), ["200"]);
    }
    let sent = progress(&mut peer, 200);
    assert_eq!(words(&sent), ["202", "NOTIFY"]);
    answered(&mut peer, &sent[1], "200 OK");
    peer.assert_clean();
}

fn talking_again(peer: &mut Peer) -> String {
    peer.request(&Draft::invite(11).set("Call-ID", "again"));
    let answer = peer.handle(LegCommand::Answer { leg: LegId(3), local_media: media(A) });
    let to = header(&answer[0], "To").to_owned();
    let via = "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKack11";
    peer.request(&Draft::new("ACK", 11).to(&to).set("Via", via).set("Call-ID", "again"));
    to
}

/// RFC 6665 §4.2.2: a NOTIFY refused ends the subscription, not the call.
#[test]
fn a_notify_refused_or_unanswered_leaves_the_call() {
    for silent in [false, true] {
        let mut peer = Peer::new();
        let to = talking(&mut peer);
        peer.request(&refer(2, &to, "<sip:ben@hotline.example>"));
        let notify = progress(&mut peer, 100).remove(1);
        peer.take_events();
        match silent {
            true => drop(peer.wait(Duration::from_secs(33))),
            false => drop(answered(&mut peer, &notify, "481 Gone")),
        }
        assert_eq!(progress(&mut peer, 200), Vec::<String>::new());
        assert_eq!((peer.endpoint.legs(), peer.take_events()), (1, vec![]));
        assert_eq!(words(&peer.request(&Draft::new("INFO", 3).to(&to))), ["200"]);
    }
}

/// Our REFER: RFC 3515 §2.4.1, RFC 3892 §2.1, RFC 6665 §4.1.3.
#[test]
fn our_refer_is_followed_to_its_end() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let refer_to_user = |peer: &mut Peer| {
        peer.handle(LegCommand::Transfer { leg: LEG, to: TransferTo::User("4712".into()) })
    };
    let sent = refer_to_user(&mut peer);
    assert_eq!(words(&sent), ["REFER"]);
    assert_eq!(header(&sent[0], "Refer-To"), "<sip:4712@192.0.2.2:5060>");
    assert_eq!(header(&sent[0], "Referred-By"), "<sip:4711@192.0.2.1>");
    let notify = |cseq, event: &str, standing: &str, body: &str| {
        let draft = Draft::new("NOTIFY", cseq).to(&to);
        let draft = draft.set("Event", event).set("Subscription-State", standing);
        draft.body("message/sipfrag;version=2.0", body)
    };
    let trying = "SIP/2.0 100 Trying\r\n";
    assert_eq!(words(&peer.request(&notify(2, "presence", "active", trying))), ["489"]);
    assert_eq!(words(&peer.request(&notify(3, "refer;id=77", "active", trying))), ["481"]);
    assert_eq!(words(&peer.request(&notify(4, "refer", "", trying))), ["400"]);
    let wrong = notify(5, "refer", "active", trying).body("text/plain", "fine");
    assert_eq!(words(&peer.request(&wrong)), ["415"]);
    assert_eq!(words(&peer.request(&notify(6, "refer", "active;expires=60", trying))), ["200"]);
    answered(&mut peer, &sent[0], "202 Accepted");
    assert_eq!(refer_to_user(&mut peer), Vec::<String>::new(), "one at a time");
    assert_eq!(words(&peer.request(&refer(7, &to, "<sip:a@h>"))), ["491"]);
    let last = notify(8, "refer", "terminated;reason=noresource", "SIP/2.0 486 Busy\r\n");
    assert_eq!(words(&peer.request(&last)), ["200"]);
    assert_eq!(words(&peer.request(&notify(9, "refer", "active", trying))), ["481"]);
    let told = |status| LegEvent::TransferProgress { leg: LEG, status };
    assert_eq!(peer.take_events(), [told(100), told(491), told(486)]);
    // Refused at once; unanswered.
    let sent = refer_to_user(&mut peer);
    answered(&mut peer, &sent[0], "405 Method Not Allowed");
    refer_to_user(&mut peer);
    peer.wait(Duration::from_secs(33));
    assert_eq!(peer.take_events(), [told(405), told(408)]);
    // Accepted, and then not a word: Timer N.
    let sent = refer_to_user(&mut peer);
    answered(&mut peer, &sent[0], "202 Accepted");
    peer.wait(Duration::from_secs(32));
    assert_eq!(peer.take_events(), [told(408)]);
}

/// Two endpoints: what one asks is what the other is told, and the other way round.
#[test]
fn two_endpoints_transfer() {
    let mut pair = Pair::new(3);
    pair.talk(Transport::Udp);
    for side in [A, B] {
        pair.sides[side].events.clear();
    }
    pair.take_ladder();
    let to = TransferTo::Uri("sip:ben@hotline.example".into());
    pair.handle(A, LegCommand::Transfer { leg: LegId(2), to });
    pair.run_for(Duration::from_millis(50));
    for status in [100, 180, 200] {
        pair.handle(B, LegCommand::ReferProgress { leg: LEG, status });
        pair.run_for(Duration::from_millis(50));
    }
    pair.handle(B, LegCommand::HangUp { leg: LEG, q850: None });
    pair.run_out();
    let ladder = pair.take_ladder();
    let expected = ["REFER →", "← 202", "← NOTIFY", "200 →", "← NOTIFY", "200 →", "← NOTIFY"];
    assert_eq!(ladder[..7], expected);
    assert_eq!(ladder[7..], ["200 →", "← BYE", "200 →"]);
    let referred_by = Some("<sip:+49301@192.0.2.1>".into());
    assert_eq!(
        pair.sides[B].events,
        [
            LegEvent::Referred { leg: LEG, to: ben(), referred_by },
            LegEvent::Ended { leg: LEG, cause: Cause::normal(EndedBy::Us) },
        ]
    );
    let told = |status| LegEvent::TransferProgress { leg: LegId(2), status };
    let ended = LegEvent::Ended { leg: LegId(2), cause: Cause::normal(EndedBy::Peer) };
    assert_eq!(pair.sides[A].events, [told(100), told(180), told(200), ended]);
    pair.assert_clean();
}

/// Outside a call nobody is referred and nothing subscribed to, and NOTIFYs belong to nothing.
#[test]
fn outside_a_dialog_there_is_no_transfer() {
    let mut peer = Peer::new();
    let draft = Draft::new("REFER", 1).set("Refer-To", "<sip:ben@hotline.example>");
    assert_eq!(words(&peer.request(&draft)), ["403"]);
    let subscribe = Draft::new("SUBSCRIBE", 2).set("Event", "refer");
    assert_eq!(words(&peer.request(&subscribe)), ["489"]);
    assert_eq!(words(&peer.request(&Draft::new("NOTIFY", 3).set("Event", "refer"))), ["481"]);
    assert_eq!(peer.take_events(), []);
    peer.assert_clean();
}

/// The tag that our answer put on To.
fn tag(to: &str) -> &str {
    to.split("tag=").nth(1).unwrap()
}

fn replacing(cseq: u32, value: &str) -> Draft {
    Draft::invite(cseq).set("Call-ID", "new").set("Replaces", value).set("Require", "replaces")
}

/// RFC 3891 §3, table by table: which dialog it is, and what it gets.
#[test]
fn an_invite_takes_the_place_of_a_call() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let ours = tag(&to);
    let whole = format!("call;to-tag={ours};from-tag=peer");
    for (cseq, value, expected) in [
        (21, "nonsense".to_owned(), "400"),
        (22, format!("call;to-tag={ours}"), "400"),
        (23, format!("other;to-tag={ours};from-tag=peer"), "481"),
        (24, "call;to-tag=x;from-tag=peer".to_owned(), "481"),
        (25, format!("call;to-tag={ours};from-tag=x"), "481"),
        // The tags the other way round are another dialog.
        (26, format!("call;to-tag=peer;from-tag={ours}"), "481"),
        (27, format!("{whole};early-only"), "486"),
    ] {
        assert_eq!(words(&peer.request(&replacing(cseq, &value))), [expected], "{value}");
    }
    let mut twice = replacing(28, &whole);
    twice.headers.push(("replaces", whole.clone()));
    assert_eq!(words(&peer.request(&twice)), ["400"]);
    let join = replacing(29, &whole).set("Join", &whole);
    assert_eq!(words(&peer.request(&join)), ["400"]);
    let options = Draft::new("OPTIONS", 30).set("Replaces", &whole);
    assert_eq!(words(&peer.request(&options)), ["400"]);
    let info = Draft::new("INFO", 31).to(&to).set("Replaces", &whole);
    assert_eq!(words(&peer.request(&info)), ["400"]);
    assert_eq!(peer.take_events(), []);
    assert_eq!(words(&peer.request(&replacing(32, &whole))), ["100"]);
    let events = peer.take_events();
    let [LegEvent::Incoming { call, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(call.replaces, Some(LEG));
}

/// RFC 3891 §3: one who is gone is not to be replaced by another, nor is one whom we have not
/// called ourselves and who has no answer yet.
#[test]
fn who_has_hung_up_or_still_waits_is_not_replaced() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let whole = format!("call;to-tag={};from-tag=peer", tag(&to));
    peer.request(&Draft::new("BYE", 2).to(&to));
    assert_eq!(words(&peer.request(&replacing(3, &whole))), ["603"]);
    peer.request(&Draft::invite(4).set("Call-ID", "early"));
    let early = LegId(3);
    let ringing = peer.handle(LegCommand::Progress { leg: early, status: 180, local_media: None });
    let value = format!("early;to-tag={};from-tag=peer", tag(header(&ringing[0], "To")));
    assert_eq!(words(&peer.request(&replacing(5, &value))), ["481"]);
}

/// An attended transfer as we ask for it names the other call as its other end knows it.
#[test]
fn our_refer_names_the_call_to_be_replaced() {
    let mut peer = Peer::new();
    let first = talking(&mut peer);
    talking_again(&mut peer);
    let to = TransferTo::Leg(LEG);
    let sent = peer.handle(LegCommand::Transfer { leg: LegId(3), to });
    let replaces = format!("call%3Bto-tag%3Dpeer%3Bfrom-tag%3D{}", tag(&first));
    let expected = format!("<sip:+49302@192.0.2.2:5060?Replaces={replaces}>");
    assert_eq!(header(&sent[0], "Refer-To"), expected);
    // Nobody to take over from.
    peer.take_events();
    peer.handle(LegCommand::Transfer { leg: LEG, to: TransferTo::Leg(LegId(99)) });
    assert_eq!(peer.take_events(), [LegEvent::TransferProgress { leg: LEG, status: 404 }]);
}

/// A REFER with Replaces, read against our own legs; of a call that is not there the outcome is
/// told as the INVITE would have been answered.
#[test]
fn a_refer_names_one_of_our_calls() {
    let mut peer = Peer::new();
    let first = talking(&mut peer);
    let to = talking_again(&mut peer);
    let value = |call_id: &str| {
        let tags = format!("%3Bto-tag%3D{}%3Bfrom-tag%3Dpeer", tag(&first));
        format!("<sip:ben@hotline.example?Replaces={call_id}{tags}>")
    };
    peer.take_events();
    let draft = |cseq, call_id| refer(cseq, &to, &value(call_id)).set("Call-ID", "again");
    let sent = peer.request(&draft(12, "nowhere"));
    assert_eq!(words(&sent), ["202", "NOTIFY"]);
    assert!(sent[1].ends_with("SIP/2.0 481 Call/Transaction Does Not Exist\r\n"));
    assert_eq!(peer.take_events(), []);
    peer.request(&draft(13, "call"));
    let to = ReferTo { replaces: Some(LEG), ..ben() };
    let leg = LegId(3);
    assert_eq!(peer.take_events(), [LegEvent::Referred { leg, to, referred_by: None }]);
}

/// RFC 5589 §7.6: who transfers before the colleague has answered names the call he still waits in;
/// of an INVITE that would not be taken (RFC 3891 §3).
#[test]
fn a_refer_names_a_call_that_waits_for_its_answer() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    peer.request(&Draft::invite(4).set("Call-ID", "early"));
    let early = LegId(3);
    let ringing = peer.handle(LegCommand::Progress { leg: early, status: 180, local_media: None });
    let ours = tag(header(&ringing[0], "To")).to_owned();
    peer.take_events();
    let tags = format!("%3Bto-tag%3D{ours}%3Bfrom-tag%3Dpeer");
    let draft = refer(2, &to, &format!("<sip:ben@hotline.example?Replaces=early{tags}>"));
    peer.request(&draft);
    let to = ReferTo { replaces: Some(early), ..ben() };
    assert_eq!(peer.take_events(), [LegEvent::Referred { leg: LEG, to, referred_by: None }]);
}
