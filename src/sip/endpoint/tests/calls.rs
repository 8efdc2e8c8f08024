//! Calls between two endpoints in fair weather, and where one of them leaves the path.

use super::pair::{A, B, Pair, media, plan, trunk};
use crate::event::{IncomingCall, LegCommand, LegEvent, MAX_FORWARDS, Source, Transport};
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::id::LegId;
use domain::media_plan::Direction;
use std::time::Duration;

const OURS: LegId = LegId(2);
const THEIRS: LegId = LegId(1);

#[test]
fn a_call_is_answered_and_ended_over_both_transports() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut pair = Pair::new(1);
        pair.dial(transport, Duration::from_secs(60));
        pair.run_for(Duration::from_millis(100));
        pair.handle(B, LegCommand::Progress { leg: THEIRS, status: 180, local_media: None });
        pair.run_for(Duration::from_secs(3));
        pair.handle(B, LegCommand::Answer { leg: THEIRS, local_media: media(B) });
        pair.run_for(Duration::from_secs(3));
        pair.handle(A, LegCommand::HangUp { leg: OURS, q850: None });
        pair.run_out();
        assert_eq!(
            pair.take_ladder(),
            ["INVITE →", "← 100", "← 180", "← 200", "ACK →", "BYE →", "← 200"]
        );
        assert_eq!(
            pair.sides[A].events,
            [
                LegEvent::Dialled { leg: OURS, call_id: "dialling-1".into() },
                LegEvent::Ringing { leg: OURS, status: 180, plan: None },
                LegEvent::Established { leg: OURS, plan: plan(A, Direction::SendRecv) },
                LegEvent::Ended { leg: OURS, cause: Cause::normal(EndedBy::Us) },
            ]
        );
        assert_eq!(
            pair.sides[B].events,
            [
                LegEvent::Incoming {
                    leg: THEIRS,
                    source: Source::Trunk(trunk("carrier")),
                    call: Box::new(IncomingCall {
                        from_user: "+49301".into(),
                        dialled: "4711".into(),
                        to_user: "4711".into(),
                        call_id: "dialling-1".into(),
                        max_forwards: MAX_FORWARDS,
                        ..IncomingCall::default()
                    }),
                    plan: Some(plan(B, Direction::SendRecv)),
                },
                LegEvent::Established { leg: THEIRS, plan: plan(B, Direction::SendRecv) },
                LegEvent::Ended { leg: THEIRS, cause: Cause::normal(EndedBy::Peer) },
            ]
        );
        // For the trace, each message is known by its leg, on both sides.
        assert_eq!(pair.sides[A].matched, [OURS; 4]);
        assert_eq!(pair.sides[A].traced, [Some(OURS); 3]);
        assert_eq!(pair.sides[B].matched, [THEIRS; 3]);
        assert_eq!(pair.sides[B].traced, [Some(THEIRS); 4]);
        pair.assert_clean();
    }
}

#[test]
fn the_callee_hangs_up_or_refuses() {
    let mut pair = Pair::new(2);
    pair.talk(Transport::Udp);
    pair.handle(B, LegCommand::HangUp { leg: THEIRS, q850: None });
    pair.run_out();
    assert_eq!(pair.ends(A), [Cause::normal(EndedBy::Peer)]);
    assert_eq!(pair.ends(B), [Cause::normal(EndedBy::Us)]);
    pair.assert_clean();

    let mut pair = Pair::new(2);
    pair.dial(Transport::Udp, Duration::from_secs(60));
    pair.run_for(Duration::from_millis(100));
    let retry_after_s = Some(7);
    pair.handle(B, LegCommand::Refuse { leg: THEIRS, status: 486, retry_after_s, q850: None });
    pair.run_out();
    assert_eq!(pair.take_ladder(), ["INVITE →", "← 100", "← 486", "ACK →"]);
    assert_eq!(pair.ends(A), [Cause::from_status(486)]);
    assert_eq!(pair.ends(B), [Cause { by: EndedBy::Us, ..Cause::from_status(486) }]);
    pair.assert_clean();
}

/// RFC 3261 §9: rung out, or hung up, after a provisional response.
#[test]
fn an_unanswered_call_is_cancelled() {
    let mut pair = Pair::new(3);
    pair.dial(Transport::Udp, Duration::from_secs(20));
    pair.run_for(Duration::from_secs(19));
    assert_eq!(pair.ends(A), []);
    pair.run_out();
    assert_eq!(pair.take_ladder(), ["INVITE →", "← 100", "CANCEL →", "← 200", "← 487", "ACK →"]);
    assert_eq!(pair.ends(A), [Cause::rang_out()]);
    // The CANCEL says why (RFC 3326).
    assert_eq!(pair.ends(B), [Cause { q850: 19, ..Cause::from_status(487) }]);
    pair.assert_clean();

    let mut pair = Pair::new(3);
    pair.dial(Transport::Udp, Duration::from_secs(20));
    pair.run_for(Duration::from_secs(1));
    pair.handle(A, LegCommand::HangUp { leg: OURS, q850: None });
    pair.run_out();
    let ends = pair.ends(A);
    assert_eq!(ends.len(), 1);
    assert_eq!((ends[0].kind, ends[0].by), (CauseKind::Cancelled, EndedBy::Us));
}

/// Each message of a call is lost once: the call is made, and ends, all the same.
#[test]
fn any_one_message_may_be_lost() {
    for lost in ["INVITE", "SIP/2.0 100", "SIP/2.0 180", "SIP/2.0 200", "ACK", "BYE"] {
        let mut pair = Pair::new(4);
        pair.swallow = vec![(lost, 1)];
        pair.dial(Transport::Udp, Duration::from_secs(60));
        pair.run_for(Duration::from_secs(1));
        pair.handle(B, LegCommand::Progress { leg: THEIRS, status: 180, local_media: None });
        pair.handle(B, LegCommand::Answer { leg: THEIRS, local_media: media(B) });
        pair.run_for(Duration::from_secs(3));
        for side in [A, B] {
            let established = |event: &&LegEvent| matches!(event, LegEvent::Established { .. });
            let count = pair.sides[side].events.iter().filter(established).count();
            assert_eq!(count, 1, "{lost}");
        }
        pair.handle(A, LegCommand::HangUp { leg: OURS, q850: None });
        pair.run_out();
        assert_eq!(pair.ends(A), [Cause::normal(EndedBy::Us)], "{lost}");
        assert_eq!(pair.ends(B), [Cause::normal(EndedBy::Peer)], "{lost}");
        pair.assert_clean();
    }
}

/// The other end vanishes in the middle of a call: the BYE is repeated for 64*T1, then the leg is
/// forgotten.
#[test]
fn a_vanished_peer_leaves_nothing_behind() {
    let mut pair = Pair::new(5);
    pair.talk(Transport::Udp);
    pair.swallow = vec![("BYE", u32::MAX)];
    pair.handle(A, LegCommand::HangUp { leg: OURS, q850: None });
    assert_eq!(pair.ends(A), [Cause::normal(EndedBy::Us)]);
    pair.run_out();
    assert_eq!(pair.sides[A].endpoint.legs(), 0);
    assert_eq!(pair.sides[B].endpoint.legs(), 1, "no session timer was asked for");
    assert_eq!(pair.take_ladder().iter().filter(|rung| *rung == "BYE →").count(), 11);
    let counters = pair.sides[A].endpoint.counters();
    assert_eq!((counters.sent, counters.received, counters.retransmissions), (13, 2, 10));
}

/// Orders for legs that are over, or were never there, do nothing.
#[test]
fn orders_for_no_leg_are_ignored() {
    let mut pair = Pair::new(6);
    pair.talk(Transport::Udp);
    pair.handle(B, LegCommand::HangUp { leg: THEIRS, q850: None });
    pair.run_out();
    pair.take_ladder();
    for side in [A, B] {
        for leg in [OURS, THEIRS, LegId(77)] {
            pair.handle(side, LegCommand::Progress { leg, status: 180, local_media: None });
            pair.handle(side, LegCommand::Answer { leg, local_media: media(side) });
            pair.handle(
                side,
                LegCommand::Refuse { leg, status: 486, retry_after_s: None, q850: None },
            );
            pair.handle(side, LegCommand::HangUp { leg, q850: None });
        }
    }
    assert_eq!(pair.take_ladder(), Vec::<String>::new());
    assert_eq!((pair.ends(A).len(), pair.ends(B).len()), (1, 1));
}
