use super::*;
use crate::rtp::packet;
use crate::rtp::session::{Outgoing, Session};
use crate::tone::telephone_event::TelephoneEvent;
use domain::media_plan::{Codec, Direction, MediaPlan};
use domain::now::epoch;
use rand::SeedableRng;
use rand::rngs::StdRng;

const A: LegId = LegId(1);
const B: LegId = LegId(2);

fn address(leg: LegId) -> SocketAddr {
    SocketAddr::new([192, 0, 2, leg.0 as u8].into(), 4_000)
}

fn plan(leg: LegId, codec: Codec, event_payload_type: Option<u8>) -> MediaPlan {
    MediaPlan {
        remote: address(leg),
        also_from: None,
        codec,
        payload_type: codec.static_payload_type(),
        event_payload_type,
        event_receive_type: event_payload_type,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    }
}

/// Two connected legs, A with µ-law and B with A-law, bridged, and A's telephone.
fn bridged(events_at_b: Option<u8>) -> (Legs, Session, Instant) {
    let now = epoch().instant;
    let mut legs = Legs::new(Box::new(StdRng::seed_from_u64(1)));
    let mut out = Vec::new();
    for (leg, codec, events) in [(A, Codec::Pcmu, Some(101)), (B, Codec::Pcma, events_at_b)] {
        legs.open(leg, address(leg), now, &mut out);
        let plan = plan(leg, codec, events);
        legs.handle_command(MediaCommand::Connect { leg, plan }, now, &mut out);
    }
    legs.handle_command(MediaCommand::Bridge { a: A, b: B }, now, &mut out);
    (legs, Session::start(now, &mut StdRng::seed_from_u64(9)), now)
}

fn say(
    legs: &mut Legs,
    phone: &mut Session,
    payload_type: u8,
    payload: &[u8],
    now: Instant,
) -> Vec<MediaAction> {
    let timestamp = phone.clock();
    let samples = payload.len() as u32;
    let outgoing = Outgoing { marker: false, payload_type, sequence: None, timestamp, samples };
    let packet = phone.write(outgoing, |frame| frame.extend_from_slice(payload));
    let mut out = Vec::new();
    legs.handle_packet(A, address(A), &packet, now, &mut out);
    out
}

fn tick(legs: &mut Legs, phone: &mut Session, now: &mut Instant) -> Vec<MediaAction> {
    let mut out = Vec::new();
    phone.advance(1);
    *now += crate::legs::PHASE * PHASES as u32;
    (0..PHASES).for_each(|phase| legs.handle_tick(phase, *now, &mut out));
    out
}

/// Packets sent to `leg`'s peer, as (payload type, first byte, length).
fn sent_to(leg: LegId, out: &[MediaAction]) -> Vec<(u8, u8, usize)> {
    out.iter()
        .filter_map(|action| match action {
            MediaAction::Transmit { remote, packet, .. }
                if *remote == address(leg) && !packet::is_control(packet) =>
            {
                let packet = packet::parse(packet).unwrap();
                Some((packet.header.payload_type, packet.payload[0], packet.payload.len()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn sound_is_transcoded_and_silence_fills_in_only_after_a_pause() {
    let (mut legs, mut phone, mut now) = bridged(Some(96));
    for _ in 0..5 {
        let out = say(&mut legs, &mut phone, 0, &[0x80; 160], now);
        assert_eq!(sent_to(B, &out), [(8, 0xaa, 160)]);
        assert_eq!(sent_to(B, &tick(&mut legs, &mut phone, &mut now)), []);
    }
    let pause: Vec<_> =
        (0..12).flat_map(|_| sent_to(B, &tick(&mut legs, &mut phone, &mut now))).collect();
    assert_eq!(pause, [(8, 0xd5, 160); 4]);
    let out = say(&mut legs, &mut phone, 0, &[0x80; 160], now);
    assert_eq!(sent_to(B, &out), [(8, 0xaa, 160)]);
}

#[test]
fn keys_pass_as_events_with_the_others_payload_type_or_as_sound() {
    let event = TelephoneEvent { event: 5, end: false, volume: 10, duration: 160 };
    let (mut legs, mut phone, mut now) = bridged(Some(96));
    let out = say(&mut legs, &mut phone, 101, &event.print(), now);
    assert_eq!(sent_to(B, &out), [(96, 5, 4)]);
    let digit = MediaEvent::Digit { leg: A, order: domain::id::OrderId(0), digit: '5' };
    assert!(out.contains(&MediaAction::Up(digit)));
    assert_eq!(sent_to(B, &tick(&mut legs, &mut phone, &mut now)), []);

    let (mut legs, mut phone, mut now) = bridged(None);
    assert_eq!(sent_to(B, &say(&mut legs, &mut phone, 101, &event.print(), now)), []);
    let sound: Vec<_> =
        (0..5).flat_map(|_| sent_to(B, &tick(&mut legs, &mut phone, &mut now))).collect();
    assert_eq!(sound.len(), 5);
    assert!(sound.iter().all(|(kind, _, length)| (*kind, *length) == (8, 160)));
}

#[test]
fn bridges_end_for_both_and_are_never_triangles() {
    let (mut legs, mut phone, now) = bridged(None);
    let mut out = Vec::new();
    let third = LegId(3);
    legs.open(third, address(third), now, &mut out);
    legs.handle_command(MediaCommand::Bridge { a: B, b: third }, now, &mut out);
    let partners = |legs: &mut Legs| [A, B, third].map(|leg| legs.leg(leg)?.partner());
    assert_eq!(partners(&mut legs), [None, Some(third), Some(B)]);
    assert_eq!(sent_to(B, &say(&mut legs, &mut phone, 0, &[1; 160], now)), []);
    legs.handle_command(MediaCommand::Unbridge { leg: third }, now, &mut out);
    assert_eq!(partners(&mut legs), [None; 3]);
    for (a, b) in [(A, A), (A, LegId(99))] {
        legs.handle_command(MediaCommand::Bridge { a, b }, now, &mut out);
        assert_eq!(partners(&mut legs), [None; 3]);
    }
    legs.handle_command(MediaCommand::Bridge { a: A, b: B }, now, &mut out);
    legs.handle_command(MediaCommand::Close { leg: A }, now, &mut out);
    assert_eq!(partners(&mut legs), [None; 3]);
    assert!(matches!(out.last(), Some(MediaAction::Up(MediaEvent::Closed { leg: A, .. }))));
}

#[test]
fn places_are_used_again_and_phases_are_even() {
    let now = epoch().instant;
    let mut legs = Legs::new(Box::new(StdRng::seed_from_u64(1)));
    let mut out = Vec::new();
    for round in 0..10 {
        for number in 0..100 {
            legs.open(LegId(round * 100 + number), address(A), now, &mut out);
        }
        assert_eq!(legs.phases.each_ref().map(Vec::len), [25; PHASES]);
        for number in 0..100 {
            let leg = LegId(round * 100 + number);
            legs.handle_command(MediaCommand::Close { leg }, now, &mut out);
        }
        assert!(legs.is_empty());
    }
    assert_eq!(legs.slots.len(), 100);
    let moved = {
        legs.open(A, address(A), now, &mut out);
        legs.take(A).unwrap()
    };
    assert!(!legs.contains(A));
    legs.adopt(moved);
    assert_eq!(legs.len(), 1);
}

#[test]
fn missed_ticks_leave_a_gap_in_the_timestamps() {
    let (mut legs, mut phone, mut now) = bridged(None);
    let mut out = Vec::new();
    legs.handle_command(MediaCommand::Unbridge { leg: A }, now, &mut out);
    let stamp = |out: &[MediaAction]| {
        out.iter().find_map(|action| match action {
            MediaAction::Transmit { leg: A, packet, .. } => {
                packet::parse(packet).ok().map(|packet| packet.header.timestamp)
            }
            _ => None,
        })
    };
    let first = tick(&mut legs, &mut phone, &mut now);
    let before = stamp(&first).unwrap();
    legs.skip_ticks(10);
    let second = tick(&mut legs, &mut phone, &mut now);
    assert_eq!(stamp(&second).unwrap().wrapping_sub(before), 11 * 160);
}
