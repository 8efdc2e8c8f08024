use super::*;
use domain::id::OrderId;
use domain::ip_version::IpVersion;
use domain::media_plan::{Codec, Direction, MediaPlan};
use media::clip::Clip;
use media::event::QualityReport;
use media::rtp::packet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

struct Stand {
    media: MediaWorkers,
    events: Receiver<MediaEvent>,
}

/// Workers on ports of their own, so that tests may run at once.
fn stand(workers: usize, ports: (u16, u16)) -> Stand {
    stand_on(vec![Ipv4Addr::LOCALHOST.into()], workers, ports)
}

fn stand_on(addresses: Vec<IpAddr>, workers: usize, ports: (u16, u16)) -> Stand {
    let config = MediaConfig { addresses, ports, workers };
    let (sender, events) = channel();
    let on_event = move |event| {
        let _ = sender.send(event);
    };
    Stand { media: MediaWorkers::start(&config, on_event, |_| true).unwrap(), events }
}

impl Stand {
    fn event(&self) -> MediaEvent {
        self.events.recv_timeout(PATIENCE).expect("an event is due")
    }

    fn open(&self, leg: LegId) -> SocketAddr {
        self.open_of(leg, IpVersion::V4)
    }

    fn open_of(&self, leg: LegId, ip: IpVersion) -> SocketAddr {
        self.media.send(MediaCommand::Open { leg, ip });
        match self.event() {
            MediaEvent::Opened { leg: opened, local } if opened == leg => local,
            other => panic!("{other:?}"),
        }
    }

    /// Opens a leg and connects it to a telephone.
    fn call(&self, leg: LegId, codec: Codec) -> Phone {
        self.call_of(leg, codec, IpVersion::V4)
    }

    fn call_of(&self, leg: LegId, codec: Codec, ip: IpVersion) -> Phone {
        let local = self.open_of(leg, ip);
        // From the same address, so of the same version.
        let socket = UdpSocket::bind((local.ip(), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let plan = MediaPlan {
            remote: socket.local_addr().unwrap(),
            also_from: None,
            codec,
            payload_type: codec.static_payload_type(),
            event_payload_type: Some(101),
            event_receive_type: Some(101),
            direction: Direction::SendRecv,
            ptime_ms: 20,
        };
        self.media.send(MediaCommand::Connect { leg, plan });
        Phone { socket, local, sequence: 0 }
    }

    fn wait_for(&self, condition: impl Fn(Figures) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !condition(self.media.figures()) {
            assert!(Instant::now() < until, "{:?}", self.media.figures());
            std::thread::yield_now();
        }
    }

    fn close(&self, leg: LegId) -> QualityReport {
        self.media.send(MediaCommand::Close { leg });
        match self.event() {
            MediaEvent::Closed { leg: closed, report } if closed == leg => report,
            other => panic!("{other:?}"),
        }
    }
}

struct Phone {
    socket: UdpSocket,
    local: SocketAddr,
    sequence: u16,
}

impl Phone {
    fn say(&mut self, payload_type: u8, payload: &[u8]) {
        let timestamp = u32::from(self.sequence) * 160;
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 7]);
        packet.extend(payload);
        self.socket.send_to(&packet, self.local).unwrap();
        self.sequence += 1;
    }

    /// The next packet of which the payload type or the first byte is not that of silence.
    fn hear_sound(&self) -> (u8, u8) {
        let mut buffer = [0; 1_500];
        loop {
            let length = self.socket.recv(&mut buffer).expect("sound is due");
            let packet = packet::parse(&buffer[..length]).unwrap();
            let heard = (packet.header.payload_type, packet.payload[0]);
            if ![(0, 0xff), (8, 0xd5)].contains(&heard) {
                return heard;
            }
        }
    }
}

#[test]
fn a_prompt_is_heard_a_key_is_told_and_the_port_is_freed() {
    let stand = stand(1, (43_000, 43_099));
    let mut phone = stand.call(LegId(1), Codec::Pcmu);
    assert_eq!(phone.local.port() % 2, 0);
    let clips = vec![Arc::new(Clip { pcmu: vec![5; 800].into(), pcma: vec![6; 800].into() })];
    let (leg, order) = (LegId(1), OrderId(9));
    stand.media.send(MediaCommand::Play { leg, order, clips, repeat: false });
    assert_eq!([(); 5].map(|()| phone.hear_sound()), [(0, 5); 5]);
    assert_eq!(stand.event(), MediaEvent::PlaybackEnded { leg, order, stopped: false });
    phone.say(101, &[3, 10, 0, 160]);
    assert_eq!(stand.event(), MediaEvent::Digit { leg, order: OrderId(0), digit: '3' });
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    stranger.send_to(b"no RTP", phone.local).unwrap();
    stand.wait_for(|figures| figures.packets_in == 2);
    let report = stand.close(leg);
    assert_eq!((report.received, report.refused, report.lost), (1, 1, 0));
    assert!(report.sent >= 5);
    let figures = stand.media.figures();
    assert_eq!((figures.legs, figures.refused, figures.unsent), (0, 1, 0));
    assert!(figures.packets_out >= 5 && figures.packets_in == 2, "{figures:?}");
    assert!(!stand.media.tick_lateness().is_empty());
}

#[test]
fn legs_of_two_workers_meet_when_they_are_bridged() {
    let stand = stand(2, (43_100, 43_199));
    let mut a = stand.call(LegId(1), Codec::Pcmu);
    let mut b = stand.call(LegId(2), Codec::Pcma);
    let workers = |stand: &Stand| {
        let router = stand.media.router.lock();
        [LegId(1), LegId(2)].map(|leg| router.workers.get(&leg).copied())
    };
    assert_eq!(workers(&stand), [Some(0), Some(1)]);
    stand.media.send(MediaCommand::Bridge { a: LegId(1), b: LegId(2) });
    assert_eq!(workers(&stand), [Some(0), Some(0)]);
    // Orders that follow at once find the leg, wherever it is by then.
    let order = OrderId(4);
    let clips = vec![Arc::new(Clip { pcmu: vec![5; 160].into(), pcma: vec![6; 160].into() })];
    stand.media.send(MediaCommand::Play { leg: LegId(2), order, clips, repeat: false });
    assert_eq!(b.hear_sound(), (8, 6));
    let ended = MediaEvent::PlaybackEnded { leg: LegId(2), order, stopped: false };
    assert_eq!(stand.event(), ended);
    a.say(0, &[0x80; 160]);
    assert_eq!(b.hear_sound(), (8, 0xaa));
    b.say(8, &[0xaa; 160]);
    assert_eq!(a.hear_sound(), (0, 0x80));
    assert_eq!(stand.close(LegId(2)).received, 1);
    assert_eq!(stand.close(LegId(1)).received, 1);
    assert_eq!(workers(&stand), [None, None]);
}

/// The address asked for is the one that is told, and the sound of one reaches the other.
#[test]
fn legs_of_both_versions_of_ip_meet_when_they_are_bridged() {
    let both = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for (workers, ports) in [(1, (44_000, 44_099)), (2, (44_100, 44_199))] {
        let stand = stand_on(both(), workers, ports);
        let mut four = stand.call_of(LegId(1), Codec::Pcmu, IpVersion::V4);
        let mut six = stand.call_of(LegId(2), Codec::Pcmu, IpVersion::V6);
        assert!(four.local.is_ipv4() && six.local.is_ipv6());
        stand.media.send(MediaCommand::Bridge { a: LegId(1), b: LegId(2) });
        four.say(0, &[0x80; 160]);
        assert_eq!(six.hear_sound(), (0, 0x80));
        six.say(0, &[0x2a; 160]);
        assert_eq!(four.hear_sound(), (0, 0x2a));
        // A port at rest serves its own version again.
        stand.close(LegId(1));
        assert!(stand.open_of(LegId(3), IpVersion::V6).is_ipv6());
        stand.close(LegId(2));
        assert_eq!(stand.media.figures().unsent, 0);
    }
    let six_alone = stand_on(vec![Ipv6Addr::LOCALHOST.into()], 1, (44_200, 44_209));
    assert!(six_alone.open_of(LegId(1), IpVersion::V4).is_ipv6());
}

#[test]
fn without_a_free_port_open_fails_and_a_released_one_serves() {
    let stand = stand(1, (43_200, 43_203));
    let first = stand.open(LegId(1));
    stand.open(LegId(2));
    stand.media.send(MediaCommand::Open { leg: LegId(3), ip: IpVersion::V4 });
    assert_eq!(stand.event(), MediaEvent::OpenFailed { leg: LegId(3) });
    stand.close(LegId(1));
    assert_eq!(stand.open(LegId(4)), first);
    assert_eq!(stand.media.figures().ports_not_rested, 1);
}

#[test]
fn a_recording_is_whole_after_the_end_of_the_program() {
    let folder = std::env::temp_dir().join(format!("media-worker-{}", std::process::id()));
    let path = folder.join("call.wav");
    let stand = stand(1, (43_300, 43_399));
    let mut phone = stand.call(LegId(1), Codec::Pcmu);
    let name: Arc<str> = path.to_string_lossy().into_owned().into();
    stand.media.send(MediaCommand::Record { leg: LegId(1), path: name });
    for number in 1..=20 {
        phone.say(0, &[0x80; 160]);
        // Paced by what the leg sends: one packet a tick.
        stand.wait_for(|figures| figures.packets_out > number);
    }
    // Not closed: the end of the workers closes it.
    drop(stand.media);
    assert!(matches!(stand.events.recv(), Ok(MediaEvent::Closed { .. })));
    let samples: Vec<i16> =
        hound::WavReader::open(&path).unwrap().samples().map(Result::unwrap).collect();
    let loud = samples.iter().step_by(2).filter(|sample| **sample == 32_124).count();
    assert!((10 * 160..=20 * 160).contains(&loud), "{loud}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn many_legs_hand_over_in_all_directions_and_none_is_lost() {
    const LEGS: u64 = 40;
    let stand = stand(3, (43_400, 43_999));
    for leg in 0..LEGS {
        stand.open(LegId(leg));
    }
    for step in 1..20 {
        for leg in 0..LEGS {
            let (a, b) = (LegId(leg), LegId((leg * 7 + step) % LEGS));
            stand.media.send(MediaCommand::Bridge { a, b });
        }
    }
    for leg in 0..LEGS {
        stand.media.send(MediaCommand::Close { leg: LegId(leg) });
    }
    let until = Instant::now() + PATIENCE;
    let mut closed: Vec<u64> = (0..LEGS)
        .map(|_| match stand.events.recv_timeout(until - Instant::now()) {
            Ok(MediaEvent::Closed { leg, .. }) => leg.0,
            other => panic!("{other:?}"),
        })
        .collect();
    closed.sort_unstable();
    assert_eq!(closed, (0..LEGS).collect::<Vec<_>>());
    assert_eq!(stand.media.router.lock().legs, [0; 3]);
}
