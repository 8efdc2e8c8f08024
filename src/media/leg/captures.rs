//! Captures of other people's telephones, replayed to a leg. Test material from outside.

use super::*;
use domain::media_plan::Direction;
use domain::now::epoch;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// One datagram: its time in microseconds, its addresses and its bytes.
struct Datagram {
    at_us: u64,
    flow: (SocketAddr, SocketAddr),
    bytes: Vec<u8>,
}

/// Reads the UDP over IPv4 of a capture in the classic format, little-endian, microseconds.
fn datagrams(capture: &[u8]) -> Vec<Datagram> {
    let word =
        |at: usize| capture.get(at..at + 4).map(|it| u32::from_le_bytes(it.try_into().unwrap()));
    // Ethernet, or Linux "cooked".
    let link_length = if word(20) == Some(113) { 16 } else { 14 };
    let mut found = Vec::new();
    let mut at = 24;
    while let (Some(seconds), Some(micros), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        let frame = &capture[at + 16..at + 16 + length as usize];
        at += 16 + length as usize;
        let ip = &frame[link_length..];
        if ip[0] >> 4 != 4 || ip[9] != 17 {
            continue;
        }
        let udp = &ip[4 * usize::from(ip[0] & 15)..];
        let address = |ip: &[u8], port: &[u8]| {
            let ip: [u8; 4] = ip.try_into().unwrap();
            SocketAddr::new(ip.into(), u16::from_be_bytes(port.try_into().unwrap()))
        };
        let flow = (address(&ip[12..16], &udp[..2]), address(&ip[16..20], &udp[2..4]));
        let end = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        let at_us = u64::from(seconds) * 1_000_000 + u64::from(micros);
        found.push(Datagram { at_us, flow, bytes: udp[8..end].to_vec() });
    }
    found
}

/// The keys that a leg reports when it hears one flow of a capture, and its figures.
fn replay(flow: &[&Datagram], event_payload_type: u8) -> (String, QualityReport) {
    let start = epoch().instant;
    let mut leg = Leg::open(LegId(1), start, &mut StdRng::seed_from_u64(1));
    let plan = MediaPlan {
        remote: flow[0].flow.0,
        also_from: None,
        codec: Codec::Pcmu,
        payload_type: 0,
        event_payload_type: Some(event_payload_type),
        event_receive_type: Some(event_payload_type),
        direction: Direction::SendRecv,
        ptime_ms: 20,
    };
    leg.connect(plan, start);
    let mut out = Vec::new();
    for datagram in flow {
        let now = start + Duration::from_micros(datagram.at_us - flow[0].at_us);
        leg.handle_packet(datagram.flow.0, &datagram.bytes, now, &mut out);
    }
    let keys = out.iter().filter_map(|action| match action {
        MediaAction::Up(MediaEvent::Digit { digit, .. }) => Some(*digit),
        _ => None,
    });
    (keys.collect(), leg.report())
}

/// The flows of a capture that carry events, and the events' payload type.
fn flows_with_events(datagrams: &[Datagram]) -> Vec<(Vec<&Datagram>, u8)> {
    let mut flows: std::collections::BTreeMap<_, (Vec<&Datagram>, Option<u8>)> = Default::default();
    for datagram in datagrams {
        let Ok(packet) = packet::parse(&datagram.bytes) else { continue };
        let flow = flows.entry(datagram.flow).or_default();
        flow.0.push(datagram);
        if packet.payload.len() == 4 && packet.header.payload_type >= 96 {
            flow.1 = Some(packet.header.payload_type);
        }
    }
    flows.into_values().filter_map(|(flow, kind)| Some((flow, kind?))).collect()
}

/// Each capture is named after the keys in it; every flow that carries events must give them all,
/// each once.
#[test]
#[allow(clippy::disallowed_methods)] // Test material is read from outside the repository.
fn keys_of_other_telephones_are_read() {
    let Ok(root) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("TRUNKLINE_CORPORA is unset: captures did not run");
        return;
    };
    let captures = [
        ("sipp/dtmf_2833_0", "0"),
        ("sipp/dtmf_2833_2", "2"),
        ("sipp/dtmf_2833_4", "4"),
        ("sipp/dtmf_2833_6", "6"),
        ("sipp/dtmf_2833_8", "8"),
        ("sipp/dtmf_2833_star", "*"),
        ("asterisk-testsuite/dtmf_sdp_recognition_ulaw-2013785496", "2013785496"),
        ("asterisk-testsuite/dtmf_sdp_recognition_ulaw-3125894607", "3125894607"),
        ("asterisk-testsuite/dtmf_sdp_recognition_opus-2013785496", "2013785496"),
    ];
    for (name, expected) in captures {
        let capture = std::fs::read(format!("{root}/pcaps/{name}.pcap")).unwrap();
        let datagrams = datagrams(&capture);
        let flows = flows_with_events(&datagrams);
        assert!(!flows.is_empty(), "{name}");
        for (flow, kind) in flows {
            let (keys, report) = replay(&flow, kind);
            assert_eq!(keys, expected, "{name} {:?} {report:?}", flow[0].flow);
        }
    }
}

/// Two captures of a source that changes in mid-stream: nothing is refused or counted as lost.
#[test]
#[allow(clippy::disallowed_methods)] // Test material is read from outside the repository.
fn a_source_that_changes_is_followed() {
    let Ok(root) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("TRUNKLINE_CORPORA is unset: captures did not run");
        return;
    };
    let read = |name: &str| {
        let path =
            format!("{root}/pcaps/asterisk-testsuite/non_negotiated_frame_SSRC_change_{name}");
        datagrams(&std::fs::read(path).unwrap())
    };
    let mut both = read("ssrc1.pcap");
    let split = both.len();
    both.extend(read("ssrc2.pcap"));
    // The second follows the first at once, from the same address.
    let (from, shift) = (both[0].flow, both[split - 1].at_us + 20_000);
    let second = both[split].at_us;
    for datagram in &mut both[split..] {
        datagram.flow = from;
        datagram.at_us = datagram.at_us - second + shift;
    }
    let (_, report) = replay(&both.iter().collect::<Vec<_>>(), 101);
    assert_eq!(report.received as usize, both.len(), "{report:?}");
    assert_eq!((report.lost, report.refused), (0, 0), "{report:?}");
}
