//! Does the tick hold while others want the processor? Legs of one media worker play (or relay)
//! sound to a receiver on loopback, while busy threads of low priority take all cores; the gaps
//! between the packets of each stream are measured by the kernel's receive timestamps.
//!
//! ```text
//! cargo bench --profile dev --bench tick -- [--legs N] [--seconds N] [--burners N] [--talk] [--bridge]
//! ```
//!
//! `--talk`: the other end speaks too, so that the legs receive. `--bridge`: legs are bridged in
//! pairs, and what is measured was relayed. The bare sender, a loop that does nothing but send the
//! same packets, runs first: its figures are the machine's own. Ends with one line of JSON.

use domain::id::{LegId, OrderId};
use domain::media_plan::{Codec, Direction, MediaPlan};
use gateway::config::MediaConfig;
use gateway::media_worker::MediaWorkers;
use hdrhistogram::Histogram;
use media::clip::Clip;
use media::event::{MediaCommand, MediaEvent};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(20);
const PACKET_LENGTH: usize = 172;
const BARE_SECONDS: u64 = 3;

#[derive(Clone, Copy, Debug)]
struct Options {
    legs: u64,
    seconds: u64,
    burners: usize,
    talk: bool,
    bridge: bool,
}

fn main() {
    let options = options();
    let stop = Arc::new(AtomicBool::new(false));
    let burners: Vec<JoinHandle<()>> = (0..options.burners).map(|_| burner(&stop)).collect();

    let bare_ears = Ears::open();
    let bare_cpu = bare_sender(options.legs, bare_ears.address);
    let bare = bare_ears.gaps();

    let stand = Stand::build(options);
    let before = worker_cpu();
    std::thread::sleep(Duration::from_secs(options.seconds));
    let cpu = worker_cpu() - before;
    stop.store(true, Ordering::Relaxed);
    let late = stand.media.tick_lateness();
    let figures = stand.media.figures();
    let gaps = stand.ears.gaps();
    burners.into_iter().for_each(|burner| burner.join().expect("a burner does not fail"));

    let per_media_second = |cpu: Duration, seconds: u64| {
        let ms = cpu.as_secs_f64() * 1_000.0 / (options.legs * seconds) as f64;
        (ms * 10_000.0).round() / 10_000.0
    };
    let line = serde_json::json!({
        "bench": "tick",
        "legs": options.legs,
        "seconds": options.seconds,
        "burners": options.burners,
        "talk": options.talk,
        "bridge": options.bridge,
        "sound": gaps.json(),
        "bare_sender": bare.json(),
        "tick_late_us": {
            "p50": late.value_at_quantile(0.5),
            "p99": late.value_at_quantile(0.99),
            "p999": late.value_at_quantile(0.999),
            "max": late.max(),
        },
        "cpu_ms_per_media_s": per_media_second(cpu, options.seconds),
        "bare_cpu_ms_per_media_s": per_media_second(bare_cpu, BARE_SECONDS),
        "packets_in": figures.packets_in,
        "packets_out": figures.packets_out,
        "unsent": figures.unsent,
        "ticks_skipped": figures.ticks_skipped,
    });
    println!("{line}");
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1)?.parse().ok());
        value.unwrap_or(default)
    };
    let is_set = |name: &str| arguments.iter().any(|argument| argument == name);
    let cores = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    Options {
        legs: number("--legs", 100).max(2) & !1,
        seconds: number("--seconds", 10).max(1),
        burners: number("--burners", 2 * cores) as usize,
        talk: is_set("--talk") || is_set("--bridge"),
        bridge: is_set("--bridge"),
    }
}

/// A thread that does nothing useful, with niceness 10.
fn burner(stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let stop = stop.clone();
    std::thread::spawn(move || {
        // SAFETY: no pointers; 0 is the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
        let mut number = 1_u64;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..10_000 {
                number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005) + 1);
            }
        }
    })
}

/// Real time, as the media worker asks for it.
fn become_urgent() {
    let wanted = libc::sched_param { sched_priority: 5 };
    // SAFETY: the parameter outlives the call; 0 is the calling thread. A refusal only makes the
    // measurement worse.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const wanted) };
}

/// Sends what the legs would send, and does nothing else. Returns the processor time it took.
fn bare_sender(legs: u64, to: SocketAddr) -> Duration {
    let sender = std::thread::spawn(move || {
        become_urgent();
        // A socket for each stream, as the legs have: that is most of the cost.
        let bind = |_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let sockets: Vec<UdpSocket> = (0..legs).map(bind).collect();
        let mut packet = [0xff; PACKET_LENGTH];
        let start = Instant::now();
        for tick in 1..=BARE_SECONDS * 50 {
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
struct Stand {
    media: MediaWorkers,
    ears: Ears,
}

impl Stand {
    fn build(options: Options) -> Self {
        let ports = (30_000, 59_999);
        let config = MediaConfig { address: Ipv4Addr::LOCALHOST.into(), ports, workers: 1 };
        let (sender, events) = channel();
        let on_event = move |event| {
            let _ = sender.send(event);
        };
        let media =
            MediaWorkers::start(&config, on_event, |_| true).expect("threads are to be had");
        let ears = Ears::open();
        let locals: Vec<SocketAddr> =
            (0..options.legs).map(|leg| open(&media, &events, LegId(leg), ears.address)).collect();
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
            talk(ears.socket.clone(), locals, options.seconds + 1);
        }
        // What came before all were at work is not measured.
        std::thread::sleep(Duration::from_millis(500));
        ears.forget();
        Self { media, ears }
    }
}

fn open(
    media: &MediaWorkers,
    events: &Receiver<MediaEvent>,
    leg: LegId,
    remote: SocketAddr,
) -> SocketAddr {
    media.send(MediaCommand::Open { leg });
    let local = match events.recv_timeout(Duration::from_secs(5)) {
        Ok(MediaEvent::Opened { local, .. }) => local,
        other => panic!("leg {leg} did not open: {other:?}"),
    };
    let plan = MediaPlan {
        remote,
        codec: Codec::Pcmu,
        payload_type: 0,
        event_payload_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    };
    media.send(MediaCommand::Connect { leg, plan });
    local
}

/// Speaks to all legs from the receiver's socket, as their peers would.
fn talk(socket: Arc<UdpSocket>, locals: Vec<SocketAddr>, seconds: u64) {
    std::thread::spawn(move || {
        become_urgent();
        let mut packet = [0x33; PACKET_LENGTH];
        packet[..2].copy_from_slice(&[0x80, 0]);
        let start = Instant::now();
        for tick in 1..=seconds * 50 {
            let deadline = start + TICK * tick as u32;
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&(tick as u32 * 160).to_be_bytes());
            for (leg, local) in locals.iter().enumerate() {
                packet[8..12].copy_from_slice(&(leg as u32 + 1).to_be_bytes());
                let _ = socket.send_to(&packet, local);
            }
        }
    });
}

/// The receiver: one socket for all streams, told apart by their source (SSRC).
struct Ears {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    gaps: Arc<parking_lot::Mutex<Gaps>>,
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The gaps between packets of one stream, in microseconds.
struct Gaps {
    last_us: HashMap<[u8; 4], u64>,
    gaps_us: Histogram<u64>,
}

impl Ears {
    fn open() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"));
        kernel_clock::enable(&socket);
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("the time is not zero");
        let gaps = Arc::new(parking_lot::Mutex::new(Gaps::default()));
        let address = socket.local_addr().expect("the socket is bound");
        let thread = {
            let (socket, gaps, done) = (socket.clone(), gaps.clone(), done.clone());
            // Of ordinary priority: the kernel takes the time, and a receiver that preempted the
            // sender at each packet would be measured instead of it.
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if let Some((source, at_us)) = kernel_clock::receive(&socket) {
                        gaps.lock().hear(source, at_us);
                    }
                }
            })
        };
        Self { socket, address, gaps, done, thread }
    }

    fn forget(&self) {
        *self.gaps.lock() = Gaps::default();
    }

    fn gaps(self) -> Gaps {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("the receiver does not fail");
        std::mem::take(&mut *self.gaps.lock())
    }
}

impl Default for Gaps {
    fn default() -> Self {
        let gaps_us = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        Self { last_us: HashMap::new(), gaps_us }
    }
}

impl Gaps {
    fn hear(&mut self, source: [u8; 4], at_us: u64) {
        if let Some(last) = self.last_us.insert(source, at_us) {
            self.gaps_us.saturating_record(at_us.saturating_sub(last));
        }
    }

    fn json(&self) -> serde_json::Value {
        let gaps = &self.gaps_us;
        let good = gaps.count_between(10_000, 30_000) as f64 / gaps.len().max(1) as f64;
        serde_json::json!({
            "streams": self.last_us.len(),
            "gaps": gaps.len(),
            "within_10_ms": (good * 1e6).floor() / 1e6,
            "p0001_us": gaps.value_at_quantile(0.0001),
            "p50_us": gaps.value_at_quantile(0.5),
            "p9999_us": gaps.value_at_quantile(0.9999),
            "max_us": gaps.max(),
        })
    }
}

/// The time that the media thread has spent on a processor.
fn worker_cpu() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let is_worker = |task: &Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == "media-0")
    };
    let worker = tasks.flatten().map(|task| task.path()).find(|task| is_worker(task));
    worker.map_or(Duration::ZERO, |worker| cpu_of(&worker))
}

fn cpu_of(task: &Path) -> Duration {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// When the kernel received a packet, whenever we come to read it (`SO_TIMESTAMPNS`).
mod kernel_clock {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    pub fn enable(socket: &UdpSocket) {
        assert_eq!(set(socket, libc::SO_TIMESTAMPNS, 1), 0, "the kernel gives no timestamps");
        // Room for a second of 4,000 streams; what is refused to others than root must do without.
        if set(socket, libc::SO_RCVBUFFORCE, 256 << 20) != 0 {
            set(socket, libc::SO_RCVBUF, 8 << 20);
        }
    }

    fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> libc::c_int {
        let length = size_of_val(&value) as libc::socklen_t;
        let value = (&raw const value).cast();
        // SAFETY: the value outlives the call and has the length said.
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, length) }
    }

    /// The source of the next RTP packet, and its time in microseconds; `None` for anything else.
    pub fn receive(socket: &UdpSocket) -> Option<([u8; 4], u64)> {
        let mut bytes = [0_u8; 256];
        let mut control = [0_u64; 16];
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: zeros are a valid `msghdr`: no address, no parts, no control.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: all that `message` points to is live and as long as it says.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
        if length < 12 || (192..=223).contains(&bytes[1]) {
            return None;
        }
        // SAFETY: the kernel has filled the control buffer, and says in `message` how far.
        let time = unsafe {
            let head = libc::CMSG_FIRSTHDR(&raw const message).as_ref()?;
            if head.cmsg_type != libc::SCM_TIMESTAMPNS {
                return None;
            }
            libc::CMSG_DATA(head).cast::<libc::timespec>().read_unaligned()
        };
        let micros = time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000;
        Some(([bytes[8], bytes[9], bytes[10], bytes[11]], micros))
    }
}
