//! Legs of one media worker that play or relay, and the bare sender beside which they are judged.

use super::Options;
use super::ears::Ears;
use super::processor::{become_urgent, cpu_of};
use domain::id::{LegId, OrderId};
use domain::ip_version::IpVersion;
use domain::media_plan::{Codec, Direction, MediaPlan};
use gateway::config::MediaConfig;
use gateway::media_worker::MediaWorkers;
use media::clip::Clip;
use media::event::{MediaCommand, MediaEvent, UtterancePart};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub const TICK: Duration = Duration::from_millis(20);
pub const PACKET_LENGTH: usize = 172;

/// Sends for `seconds` what the legs would send, and does nothing else. Returns the processor time
/// it took.
pub fn bare_sender(legs: u64, seconds: u64, to: SocketAddr) -> Duration {
    let sender = std::thread::spawn(move || {
        become_urgent();
        // A socket for each stream, as the legs have: that is most of the cost.
        let bind = |_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let sockets: Vec<UdpSocket> = (0..legs).map(bind).collect();
        let mut packet = [0xff; PACKET_LENGTH];
        let start = Instant::now();
        for tick in 1..=seconds * 50 {
            let deadline = start + TICK * tick as u32;
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            for (leg, socket) in sockets.iter().enumerate() {
                packet[8..12].copy_from_slice(&(leg as u32).to_be_bytes());
                let _ = socket.send_to(&packet, to);
            }
        }
        cpu_of("/proc/thread-self".as_ref())
    });
    sender.join().expect("the bare sender does not fail")
}

/// Legs at work.
pub struct Stand {
    pub media: MediaWorkers,
    pub ears: Ears,
    pub events: Receiver<MediaEvent>,
}

impl Stand {
    /// All legs play, or are bridged in pairs; what they hear is given to `on_utterance`.
    pub fn build(
        options: Options,
        on_utterance: impl Fn(UtterancePart) -> bool + Send + Sync + 'static,
    ) -> Self {
        let ports = (30_000, 59_999);
        let config = MediaConfig { addresses: vec![Ipv4Addr::LOCALHOST.into()], ports, workers: 1 };
        let (sender, events) = channel();
        let on_event = move |event| {
            let _ = sender.send(event);
        };
        let media =
            MediaWorkers::start(&config, on_event, on_utterance).expect("threads are to be had");
        let ears = Ears::open();
        let open = |leg| connect(&media, &events, LegId(leg), ears.address);
        let locals: Vec<SocketAddr> = (0..options.legs).map(open).collect();
        let sound = || vec![0x55; 40_000].into();
        let clip = Arc::new(Clip { pcmu: sound(), pcma: sound() });
        for leg in (0..options.legs).map(LegId) {
            if options.bridge {
                if leg.0 % 2 == 0 {
                    media.send(MediaCommand::Bridge { a: leg, b: LegId(leg.0 + 1) });
                }
            } else {
                let (order, clips) = (OrderId(leg.0), vec![clip.clone()]);
                media.send(MediaCommand::Play { leg, order, clips, repeat: true });
            }
        }
        if options.talk {
            talk(ears.socket.clone(), locals);
        }
        Self { media, ears, events }
    }
}

/// Opens a leg and connects it to `remote`. Returns its own address.
pub fn connect(
    media: &MediaWorkers,
    events: &Receiver<MediaEvent>,
    leg: LegId,
    remote: SocketAddr,
) -> SocketAddr {
    media.send(MediaCommand::Open { leg, ip: IpVersion::V4 });
    let local = match events.recv_timeout(Duration::from_secs(5)) {
        Ok(MediaEvent::Opened { local, .. }) => local,
        other => panic!("leg {leg} did not open: {other:?}"),
    };
    let plan = MediaPlan {
        also_from: None,
        remote,
        codec: Codec::Pcmu,
        payload_type: 0,
        event_payload_type: None,
        event_receive_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    };
    media.send(MediaCommand::Connect { leg, plan });
    local
}

/// Speaks to all legs from the receiver's socket, as their peers would, until the program ends.
fn talk(socket: Arc<UdpSocket>, locals: Vec<SocketAddr>) {
    std::thread::spawn(move || {
        become_urgent();
        let mut packet = [0x33; PACKET_LENGTH];
        packet[..2].copy_from_slice(&[0x80, 0]);
        let start = Instant::now();
        for tick in 1_u32.. {
            let deadline = start + TICK * tick;
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&(tick * 160).to_be_bytes());
            for (leg, local) in locals.iter().enumerate() {
                packet[8..12].copy_from_slice(&(leg as u32 + 1).to_be_bytes());
                let _ = socket.send_to(&packet, local);
            }
        }
    });
}
