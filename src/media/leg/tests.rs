use super::*;
use crate::event::UtterancePart;
use crate::rtp::session::Outgoing;
use crate::tone::synthesis::voice;
use bytes::Bytes;
use domain::media_plan::Direction;
use domain::now::epoch;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const LEG: LegId = LegId(1);

fn peer() -> SocketAddr {
    "192.0.2.1:4000".parse().unwrap()
}

fn plan(direction: Direction) -> MediaPlan {
    MediaPlan {
        remote: peer(),
        also_from: None,
        codec: Codec::Pcmu,
        payload_type: 0,
        event_payload_type: Some(101),
        event_receive_type: Some(101),
        direction,
        ptime_ms: 20,
    }
}

fn rule() -> ListenRule {
    ListenRule {
        speech: true,
        speech_stops_playback: true,
        key_stops_playback: true,
        end_silence_ms: 700,
        utterance_max_ms: 8_000,
    }
}

fn clip(frames: usize) -> Arc<Clip> {
    Arc::new(Clip { pcmu: vec![7; frames * 160].into(), pcma: vec![8; frames * 160].into() })
}

/// A leg in virtual time, with a peer's session that speaks to it.
struct World {
    leg: Leg,
    peer: Session,
    now: Instant,
}

impl World {
    fn open() -> Self {
        let now = epoch().instant;
        let mut random = StdRng::seed_from_u64(1);
        let leg = Leg::open(LEG, now, &mut random);
        Self { leg, peer: Session::start(now, &mut random), now }
    }

    fn connected(plan: MediaPlan) -> Self {
        let mut world = Self::open();
        world.leg.connect(plan, world.now);
        world
    }

    fn tick(&mut self) -> Vec<MediaAction> {
        self.now += Duration::from_millis(20);
        self.peer.advance(1);
        let mut out = Vec::new();
        self.leg.handle_tick(self.now, &mut out);
        out
    }

    fn ticks(&mut self, count: usize) -> Vec<MediaAction> {
        (0..count).flat_map(|_| self.tick()).collect()
    }

    fn hear(&mut self, payload_type: u8, payload: &[u8]) -> Vec<MediaAction> {
        let timestamp = self.peer.clock();
        let samples = payload.len() as u32;
        let outgoing = Outgoing { marker: false, payload_type, sequence: None, timestamp, samples };
        let packet = self.peer.write(outgoing, |frame| frame.extend_from_slice(payload));
        let mut out = Vec::new();
        self.leg.handle_packet(peer(), &packet, self.now, &mut out);
        out
    }
}

/// What was sent, as (payload type, marker, first byte, length); control packets left out.
fn sent(actions: &[MediaAction]) -> Vec<(u8, bool, u8, usize)> {
    media(actions)
        .iter()
        .map(|packet| {
            let packet = packet::parse(packet).unwrap();
            let header = packet.header;
            (header.payload_type, header.marker, packet.payload[0], packet.payload.len())
        })
        .collect()
}

fn media(actions: &[MediaAction]) -> Vec<Bytes> {
    let packet = |action: &MediaAction| match action {
        MediaAction::Transmit { packet, .. } if !packet::is_control(packet) => Some(packet.clone()),
        _ => None,
    };
    actions.iter().filter_map(packet).collect()
}

fn events(actions: &[MediaAction]) -> Vec<MediaEvent> {
    let event = |action: &MediaAction| match action {
        MediaAction::Up(event) => Some(event.clone()),
        _ => None,
    };
    actions.iter().filter_map(event).collect()
}

fn ended(order: u64, stopped: bool) -> MediaEvent {
    MediaEvent::PlaybackEnded { leg: LEG, order: OrderId(order), stopped }
}

#[test]
fn silence_then_clips_then_silence_with_numbers_that_never_break() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let mut out = world.ticks(2);
    world.leg.play(OrderId(5), vec![clip(2), clip(1)], false, &mut out);
    out.extend(world.ticks(5));
    let (silence, sound) = ((0, false, 0xff, 160), (0, false, 7, 160));
    let first = |row: (u8, bool, u8, usize)| (row.0, true, row.2, row.3);
    assert_eq!(sent(&out), [first(silence), silence, first(sound), sound, sound, silence, silence]);
    assert_eq!(events(&out), [ended(5, false)]);
    let headers: Vec<_> =
        media(&out).iter().map(|packet| packet::parse(packet).unwrap().header).collect();
    for pair in headers.windows(2) {
        assert_eq!(pair[1].sequence_number, pair[0].sequence_number.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
    }
}

#[test]
fn every_play_ends_exactly_once() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let mut out = Vec::new();
    world.leg.play(OrderId(1), vec![clip(9)], false, &mut out);
    world.leg.play(OrderId(2), vec![], false, &mut out);
    out.extend(world.ticks(2));
    world.leg.play(OrderId(3), vec![clip(1)], true, &mut out);
    out.extend(world.ticks(50));
    world.leg.stop_playback(&mut out);
    world.leg.stop_playback(&mut out);
    world.leg.play(OrderId(4), vec![clip(9)], false, &mut out);
    world.leg.bridge(LegId(2), &mut out);
    world.leg.play(OrderId(5), vec![clip(9)], false, &mut out);
    let mut last = Vec::new();
    world.leg.close(world.now, &mut last);
    let ends = [ended(1, true), ended(2, false), ended(3, true), ended(4, true)];
    assert_eq!(events(&out), ends);
    assert!(matches!(events(&last)[..], [_, MediaEvent::Closed { leg: LEG, .. }]));
    assert_eq!(events(&last)[0], ended(5, true));
}

/// What goes out each tick under each packet time: lengths of the packets of three ticks.
#[test]
fn packet_times_of_the_plan_are_kept() {
    let cases: [(u16, &[usize]); 4] =
        [(10, &[80; 6]), (20, &[160; 3]), (30, &[240; 2]), (60, &[480])];
    for (ptime_ms, lengths) in cases {
        let plan = MediaPlan {
            ptime_ms,
            codec: Codec::Pcma,
            payload_type: 8,
            ..plan(Direction::SendRecv)
        };
        let mut world = World::connected(plan);
        let mut out = Vec::new();
        world.leg.play(OrderId(1), vec![clip(3)], false, &mut out);
        let out = world.ticks(3);
        let got: Vec<_> = sent(&out).iter().map(|(_, _, byte, length)| (*byte, *length)).collect();
        let expected: Vec<_> = lengths.iter().map(|length| (8, *length)).collect();
        assert_eq!(got, expected, "{ptime_ms} ms");
    }
}

#[test]
fn directions_and_missing_addresses_are_respected() {
    let nowhere =
        MediaPlan { remote: "0.0.0.0:4000".parse().unwrap(), ..plan(Direction::SendRecv) };
    // Packets sent in three ticks, packets taken of one received.
    let cases = [
        (plan(Direction::SendRecv), 3, 1),
        (plan(Direction::SendOnly), 3, 1),
        (plan(Direction::RecvOnly), 0, 1),
        (plan(Direction::Inactive), 0, 1),
        (nowhere, 0, 0),
    ];
    for (plan, packets, taken) in cases {
        let mut world = World::connected(plan.clone());
        let mut out = Vec::new();
        world.leg.play(OrderId(1), vec![clip(1)], false, &mut out);
        out.extend(world.ticks(3));
        world.hear(0, &[1; 160]);
        let report = world.leg.report();
        assert_eq!((media(&out).len(), report.received), (packets, taken), "{plan:?}");
        assert_eq!(events(&out), [ended(1, false)], "a prompt on hold ends too: {plan:?}");
    }
    let mut unconnected = World::open();
    assert_eq!(unconnected.ticks(3), []);
    unconnected.hear(0, &[1; 160]);
    assert_eq!(unconnected.leg.report().refused, 1);
}

#[test]
fn strangers_are_neither_heard_nor_sent_to() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let mut out = Vec::new();
    let packet = world.peer.write(
        Outgoing { marker: false, payload_type: 0, sequence: None, timestamp: 0, samples: 1 },
        |frame| frame.extend_from_slice(&[1]),
    );
    let from = |text: &str| text.parse::<SocketAddr>().unwrap();
    world.leg.handle_packet(from("198.51.100.1:4000"), &packet, world.now, &mut out);
    world.leg.handle_packet(from("192.0.2.1:9"), b"no RTP", world.now, &mut out);
    world.leg.handle_packet(from("192.0.2.1:4444"), &packet, world.now, &mut out);
    world.leg.handle_packet(from("192.0.2.1:9"), &packet, world.now, &mut out);
    let report = world.leg.report();
    assert_eq!((report.received, report.refused), (1, 3));
    let remotes: Vec<SocketAddr> = world
        .tick()
        .iter()
        .filter_map(|action| match action {
            MediaAction::Transmit { remote, .. } => Some(*remote),
            _ => None,
        })
        .collect();
    assert_eq!(remotes, [from("192.0.2.1:4444")]);
}

#[test]
fn thirty_seconds_without_a_packet_are_told_once_each_time() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let silent_at = |world: &mut World, seconds: usize| -> Vec<usize> {
        (1..=seconds * 50).filter(|_| !events(&world.tick()).is_empty()).collect()
    };
    assert_eq!(silent_at(&mut world, 70), [1_500]);
    world.hear(0, &[1; 160]);
    assert_eq!(silent_at(&mut world, 31), [1_500]);
    // On hold nothing is expected; afterwards 30 s begin anew.
    world.leg.connect(plan(Direction::SendOnly), world.now);
    assert_eq!(silent_at(&mut world, 40), []);
    world.leg.connect(plan(Direction::SendRecv), world.now);
    assert_eq!(silent_at(&mut world, 31), [1_500]);
}

#[test]
fn a_key_is_reported_with_the_last_order_and_stops_the_prompt_while_listening() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let key = |event| TelephoneEvent { event, end: false, volume: 9, duration: 160 }.print();
    let digit = |order, digit| MediaEvent::Digit { leg: LEG, order: OrderId(order), digit };
    assert_eq!(events(&world.hear(101, &key(5))), [digit(0, '5')]);
    assert_eq!(events(&world.hear(101, &key(5))), []);
    let mut out = Vec::new();
    world.leg.play(OrderId(1), vec![clip(100)], false, &mut out);
    world.leg.listen(OrderId(2), rule(), &mut out);
    world.tick();
    assert_eq!(events(&world.hear(101, &key(11))), [digit(2, '#'), ended(1, true)]);
    world.leg.stop_listening(&mut out);
    world.leg.play(OrderId(3), vec![clip(100)], false, &mut out);
    world.tick();
    assert_eq!(events(&world.hear(101, &key(10))), [digit(2, '*')]);
    assert_eq!(world.hear(101, &[1]), [], "too short");
    assert_eq!(world.hear(77, &[1; 160]), [], "unknown payload type");
    assert_eq!(out, []);
}

#[test]
fn keys_go_out_as_events_or_as_sound_in_place_of_what_is_playing() {
    for (event_payload_type, kind) in [(Some(101), 101), (None, 0)] {
        let mut world =
            World::connected(MediaPlan { event_payload_type, ..plan(Direction::SendRecv) });
        let mut out = Vec::new();
        world.leg.play(OrderId(1), vec![clip(9)], false, &mut out);
        world.leg.send_digits("7");
        let out = world.ticks(10);
        let prompt =
            sent(&out).iter().filter(|(kind, _, byte, _)| (*kind, *byte) == (0, 7)).count();
        assert_eq!(prompt, 5, "the prompt waits for 100 ms: {kind}");
        let keys: Vec<Bytes> = media(&out)
            .into_iter()
            .filter(|packet| packet[1] & 0x7f == 101 || packet[12..].iter().any(|it| *it != 7))
            .collect();
        assert_eq!(keys.len(), if kind == 101 { 7 } else { 5 });
        if kind == 101 {
            let stamps = keys.iter().map(|packet| packet::parse(packet).unwrap().header.timestamp);
            assert_eq!(stamps.collect::<std::collections::BTreeSet<_>>().len(), 1);
            let ends = keys.iter().filter(|packet| packet[13] & 0x80 != 0).count();
            assert_eq!(ends, 3);
        }
    }
}

/// Speaks `sound` to the leg in packets of 20 ms, one a tick.
fn speak(world: &mut World, sound: &[i16]) -> Vec<MediaAction> {
    let mut out = Vec::new();
    for frame in sound.chunks_exact(160) {
        let payload: Vec<u8> =
            frame.iter().map(|sample| g711::encode(Codec::Pcmu, *sample)).collect();
        out.extend(world.hear(0, &payload));
        out.extend(world.tick());
    }
    out
}

#[test]
fn speech_stops_the_prompt_and_the_recogniser_gets_the_utterance_with_its_beginning() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let mut out = Vec::new();
    world.leg.play(OrderId(1), vec![clip(1_000)], false, &mut out);
    world.leg.listen(OrderId(2), rule(), &mut out);
    // The clip's bytes are a loud square wave of no sound at all: the echo guard needs a loud voice.
    out.extend(speak(&mut world, &[vec![0; 8_000], voice(32_000.0, 12_000)].concat()));
    out.extend(speak(&mut world, &[0; 12_000]));
    let (leg, order) = (LEG, OrderId(2));
    let expected = [
        MediaEvent::SpeechStarted { leg, order, stopped: Some(OrderId(1)) },
        ended(1, true),
        MediaEvent::SpeechEnded { leg, order },
    ];
    assert_eq!(events(&out), expected);
    let parts: Vec<&UtterancePart> = out
        .iter()
        .filter_map(|action| match action {
            MediaAction::Utterance(part) => Some(part),
            _ => None,
        })
        .collect();
    let frames = parts.len() - 2;
    assert_eq!(*parts[0], UtterancePart::Started { leg, order });
    assert_eq!(**parts.last().unwrap(), UtterancePart::Ended { leg, order });
    // 300 ms before, 1.5 s of voice, 700 ms after; notice and buffer blur it by some frames.
    assert!((15 + 75 + 30..=15 + 75 + 45).contains(&frames), "{frames}");
    let loud = |part: &&&UtterancePart| match part {
        UtterancePart::Frame { samples, .. } => {
            samples.len() == 160 && samples.iter().any(|sample| sample.abs() > 2_000)
        }
        _ => false,
    };
    let first = parts.iter().position(|part| loud(&part)).unwrap();
    assert!((14..24).contains(&first), "{first}");
}

#[test]
fn an_utterance_broken_off_is_dropped() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let mut out = Vec::new();
    world.leg.listen(OrderId(2), rule(), &mut out);
    speak(&mut world, &[vec![0; 8_000], voice(20_000.0, 8_000)].concat());
    world.leg.listen(OrderId(3), rule(), &mut out);
    let dropped = UtterancePart::Dropped { leg: LEG, order: OrderId(2) };
    assert_eq!(out, [MediaAction::Utterance(dropped)]);
    world.leg.stop_listening(&mut out);
    assert_eq!(out.len(), 1, "nothing was being said to the new order");
    assert!(world.leg.jitter_buffer.is_none(), "memory is given back");
}

#[test]
fn reports_go_out_about_every_five_seconds_and_the_leave_is_said() {
    let mut world = World::connected(plan(Direction::SendRecv));
    world.hear(0, &[1; 160]);
    let controls = |actions: &[MediaAction]| -> Vec<(SocketAddr, Bytes)> {
        let control = |action: &MediaAction| match action {
            MediaAction::Transmit { remote, packet, .. } if packet::is_control(packet) => {
                Some((*remote, packet.clone()))
            }
            _ => None,
        };
        actions.iter().filter_map(control).collect()
    };
    let minute = controls(&world.ticks(3_000));
    assert!((9..=16).contains(&minute.len()), "{}", minute.len());
    assert!(minute.iter().all(|(remote, _)| *remote == "192.0.2.1:4001".parse().unwrap()));
    for (_, packet) in &minute {
        assert!(world.peer.take_report(packet, world.now));
    }
    let mut out = Vec::new();
    world.leg.close(world.now, &mut out);
    let [(_, last)] = &controls(&out)[..] else { panic!("{out:?}") };
    assert!(last.ends_with(&last[4..8]) && last[last.len() - 7] == 203, "BYE of our source");
}

#[test]
fn a_recording_has_both_sides() {
    let mut world = World::connected(plan(Direction::SendRecv));
    let mut out = Vec::new();
    world.leg.record("a.wav".into(), &mut out);
    world.leg.play(OrderId(1), vec![clip(100)], false, &mut out);
    out.extend(speak(&mut world, &[4_000; 160 * 60]));
    world.leg.close(world.now, &mut out);
    let parts: Vec<_> = out
        .iter()
        .filter_map(|action| match action {
            MediaAction::Recorded(part) => Some((part.samples.len(), part.last)),
            _ => None,
        })
        .collect();
    assert_eq!(parts, [(16_000, false), (3_200, true)]);
    let middle = out.iter().find_map(|action| match action {
        MediaAction::Recorded(part) => Some([part.samples[8_000], part.samples[8_001]]),
        _ => None,
    });
    let heard = g711::PCMU_TO_LINEAR[usize::from(g711::encode(Codec::Pcmu, 4_000))];
    assert_eq!(middle, Some([heard, g711::PCMU_TO_LINEAR[7]]));
}

proptest! {
    #[test]
    fn any_packets_are_survived(
        packets in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..60), 0..4_u8), 0..60,
        ),
    ) {
        let mut world = World::connected(plan(Direction::SendRecv));
        let mut out = Vec::new();
        world.leg.listen(OrderId(1), rule(), &mut out);
        world.leg.record("a.wav".into(), &mut out);
        for (mut bytes, kind) in packets {
            if bytes.len() > 12 && kind > 0 {
                bytes[0] = 0x80;
                bytes[1] = [0, 8, 101][usize::from(kind - 1)];
            }
            world.leg.handle_packet(peer(), &bytes, world.now, &mut out);
            world.leg.handle_control(peer(), &bytes, world.now);
            world.tick();
        }
        world.leg.close(world.now, &mut out);
        let is_closed = matches!(events(&out).last(), Some(MediaEvent::Closed { .. }));
        prop_assert!(is_closed);
    }
}

/// RFC 3264 §6.1: theirs come with the type that we announced, or with that which they announced.
#[test]
fn keys_are_heard_with_the_types_of_both_directions() {
    let key = |event| TelephoneEvent { event, end: false, volume: 9, duration: 160 }.print();
    let differing = MediaPlan {
        event_payload_type: Some(96),
        event_receive_type: Some(101),
        ..plan(Direction::SendRecv)
    };
    for (payload_type, is_heard) in [(101, true), (96, true), (97, false)] {
        let mut world = World::connected(differing.clone());
        let heard = events(&world.hear(payload_type, &key(5)));
        assert_eq!(!heard.is_empty(), is_heard, "{payload_type}");
    }
}
