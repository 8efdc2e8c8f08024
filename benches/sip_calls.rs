//! What does a call cost in signalling? Two endpoints in memory, in virtual time: one calls, the
//! other answers, and a while later one of them hangs up. The clock moves as it would at the given
//! rate, so that the tables hold the transactions and dialogs that a busy gateway's would.
//!
//! ```text
//! cargo bench --profile dev --bench sip_calls -- [--rate N] [--talk-seconds N] [--seconds N]
//!     [--calls-only]
//! ```
//!
//! `--rate`: calls begun each second; `--talk-seconds`: how long each lasts; `--seconds`: how much
//! virtual time is measured, after as much as fills the tables. Afterwards single datagrams of 64
//! KiB, made to be dear to read, unless `--calls-only`. Ends with one line of JSON: microseconds at
//! work for each call, of the best of twenty slices and of all; and for each such datagram, of the
//! best of twenty.

use bytes::Bytes;
use domain::hop::Hop;
use domain::id::{LegId, TenantId, TrunkId};
use domain::ip_version::IpVersions;
use domain::media_plan::Codec;
use domain::now::{Now, epoch};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};
use sip::digest::Algorithm;
use sip::endpoint::Endpoint;
use sip::endpoint::config::{
    EndpointConfig, Limits, Listener, Network, SessionPolicy, Strangers, TrunkAccess,
};
use sip::event::{Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport};
use sip::identity::border::{Border, Methods};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The measured calls are cut into as many runs.
const SLICES: u64 = 20;

/// The caller and the callee.
const SIDES: usize = 2;
const CALLER: usize = 0;
const CALLEE: usize = 1;
/// Of our timers the longest, during which a transaction absorbs repetitions (RFC 3261 table 4).
const ABSORBED_S: u64 = 32;

#[derive(Clone, Copy, Debug)]
struct Options {
    rate: u64,
    talk_seconds: u64,
    seconds: u64,
    calls_only: bool,
}

fn main() {
    let options = options();
    let mut wire = Wire::new();
    // The first second of hanging up, and then all that they leave behind.
    let filled = (options.talk_seconds + ABSORBED_S + 1) * options.rate;
    wire.run(0..filled, options);
    let transactions = wire.ends.each_ref().map(|end| end.endpoint.transactions());
    let legs = wire.ends[CALLER].endpoint.legs();
    let calls = (options.seconds * options.rate / SLICES).max(1);
    let messages = wire.messages;
    // Others may want the processor: the best slice is the one in which they did not.
    let mut best = [f64::INFINITY; SIDES];
    let mut sum = [0.0; SIDES];
    for slice in 0..SLICES {
        wire.ends.iter_mut().for_each(|end| end.busy = Duration::ZERO);
        let first = filled + slice * calls;
        wire.run(first..first + calls, options);
        for side in [CALLER, CALLEE] {
            let cost = micros(wire.ends[side].busy) / calls as f64;
            best[side] = best[side].min(cost);
            sum[side] += cost;
        }
    }
    let calls = calls * SLICES;
    let by_side =
        |of: [f64; SIDES]| json!({ "caller": round(of[CALLER]), "callee": round(of[CALLEE]) });
    let line = json!({
        "bench": "sip_calls",
        "rate": options.rate,
        "talk_seconds": options.talk_seconds,
        "calls": calls,
        "messages_per_call": (wire.messages - messages) as f64 / calls as f64,
        "legs": legs,
        "transactions": { "caller": transactions[CALLER], "callee": transactions[CALLEE] },
        "us_per_call": { "best": by_side(best), "mean": by_side(sum.map(|sum| sum / SLICES as f64)) },
        "us_per_dear_datagram": if options.calls_only { Value::Null } else { dear_datagrams() },
    });
    println!("{line}");
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1)?.parse().ok());
        value.unwrap_or(default).max(1)
    };
    Options {
        rate: number("--rate", 200),
        talk_seconds: number("--talk-seconds", 20),
        seconds: number("--seconds", 100),
        calls_only: arguments.iter().any(|argument| argument == "--calls-only"),
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// One endpoint, and how long it was at work.
struct End {
    endpoint: Endpoint,
    busy: Duration,
}

impl End {
    fn work(&mut self, work: impl FnOnce(&mut Endpoint, &mut Vec<Action>)) -> Vec<Action> {
        let mut out = Vec::with_capacity(8);
        let start = Instant::now();
        work(&mut self.endpoint, &mut out);
        self.busy += start.elapsed();
        out
    }
}

/// Both ends, and what is between them.
struct Wire {
    ends: [End; SIDES],
    now: Now,
    queue: VecDeque<(usize, Flow, Bytes)>,
    messages: u64,
}

fn address(side: usize) -> SocketAddr {
    ([192, 0, 2, if side == CALLER { 1 } else { 2 }], 5060).into()
}

fn trunk() -> TrunkId {
    TrunkId::new(&TenantId::default(), "carrier")
}

fn endpoint(side: usize) -> Endpoint {
    let config = EndpointConfig {
        defence: sip::endpoint::defence::DefenceRules::default(),
        listeners: vec![Listener::at(Transport::Udp, address(side))],
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "X-Trunkline-".into(),
        realm: "hotline.example".into(),
        digest_algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        agents: Vec::new(),
        trunks: vec![TrunkAccess {
            trunk: trunk(),
            networks: vec![Network::parse("192.0.2.0/24").expect("it is written as one")],
            tls_names: Vec::new(),
            listener: None,
            credentials: None,
            border: Border::default(),
            session: SessionPolicy::PLAIN,
            codecs: Vec::new(),
        }],
        agent_sessions: SessionPolicy::PLAIN,
        sound_ip: IpVersions::of([address(side).ip()]),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        user_agent: "Trunkline".into(),
        limits: Limits { transactions: 4_000_000, legs: 1_000_000, contacts: 3, retry_after_s: 30 },
        first_leg: LegId(1),
    };
    Endpoint::new(config, Box::new(StdRng::seed_from_u64(side as u64)))
}

impl Wire {
    fn new() -> Self {
        let end = |side| End { endpoint: endpoint(side), busy: Duration::ZERO };
        Self { ends: [end(CALLER), end(CALLEE)], now: epoch(), queue: VecDeque::new(), messages: 0 }
    }

    /// Begins these calls at the rate asked for, ending those that have talked for long enough.
    fn run(&mut self, calls: std::ops::Range<u64>, options: Options) {
        let pause = Duration::from_secs(1) / u32::try_from(options.rate).unwrap_or(u32::MAX);
        let lasting = options.talk_seconds * options.rate;
        for call in calls {
            self.now = self.now.after(pause);
            let now = self.now;
            for side in [CALLER, CALLEE] {
                let out = self.ends[side].work(|endpoint, out| {
                    if endpoint.deadline().is_some_and(|at| at <= now.instant) {
                        endpoint.handle_deadline(now, out);
                    }
                });
                self.perform(side, out);
            }
            self.order(CALLER, dial(call));
            if let Some(old) = call.checked_sub(lasting) {
                // The caller hangs up one call, the callee the next.
                let (side, leg) = if old % 2 == 0 {
                    (CALLER, caller_leg(old))
                } else {
                    (CALLEE, LegId(1 + 2 * old))
                };
                self.order(side, LegCommand::HangUp { leg, q850: None });
            }
        }
    }

    fn order(&mut self, side: usize, command: LegCommand) {
        let now = self.now;
        let out = self.ends[side].work(|endpoint, out| endpoint.handle(command, now, out));
        self.perform(side, out);
        while let Some((side, flow, message)) = self.queue.pop_front() {
            let out =
                self.ends[side].work(|endpoint, out| endpoint.receive(flow, message, now, out));
            self.perform(side, out);
        }
    }

    fn perform(&mut self, side: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Transmit { flow, message, .. } => {
                    self.messages += 1;
                    let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                    self.queue.push_back((1 - side, flow, message));
                }
                Action::Up(LegEvent::Incoming { leg, .. }) => {
                    let local_media = ([192, 0, 2, 2], 40_000).into();
                    self.ring_and_answer(leg, local_media);
                }
                Action::Up(LegEvent::Ended { cause, .. }) => {
                    assert_eq!(cause.status, 0, "each call ends as a talk does: {cause}");
                }
                Action::Up(_)
                | Action::Matched { .. }
                | Action::Expect { .. }
                | Action::Trunk(_)
                | Action::Close { .. } => (),
            }
        }
    }

    fn ring_and_answer(&mut self, leg: LegId, local_media: SocketAddr) {
        let now = self.now;
        for command in [
            LegCommand::Progress { leg, status: 180, local_media: None },
            LegCommand::Answer { leg, local_media },
        ] {
            let out = self.ends[CALLEE].work(|endpoint, out| endpoint.handle(command, now, out));
            self.perform(CALLEE, out);
        }
    }
}

fn caller_leg(call: u64) -> LegId {
    LegId(2 + 2 * call)
}

fn dial(call: u64) -> LegCommand {
    LegCommand::Dial {
        leg: caller_leg(call),
        target: Target::Trunk {
            trunk: trunk(),
            hop: Hop::at(Transport::Udp, address(CALLEE)),
            user: "+493012345678".into(),
        },
        caller: Caller::shown("+493087654321"),
        local_media: ([192, 0, 2, 1], 40_000).into(),
        ring_for: Duration::from_secs(60),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    }
}

/// Datagrams as large as they come, each with one thing without end in it; the time that one of them
/// takes.
fn dear_datagrams() -> Value {
    let fill = |text: &str| text.repeat(60_000 / text.len());
    let via = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1";
    let rows: [(&str, String, String); 8] = [
        ("one_long_field", format!("{via}\r\nSubject: {}", fill("x")), String::new()),
        ("via_parameters", format!("{via}{}", fill(";a")), String::new()),
        ("vias", format!("{via}{}", fill(", SIP/2.0/UDP h;a")), String::new()),
        ("record_routes", format!("{via}\r\nRecord-Route: {}<sip:h>", fill("<sip:h>,")), "".into()),
        ("contacts", format!("{via}\r\nContact: {}<sip:h>", fill("<sip:h>,")), String::new()),
        ("credentials", format!("{via}\r\nAuthorization: Digest {}z", fill("a=b,")), "".into()),
        ("formats", via.into(), format!("m=audio 5 RTP/AVP{}\r\n", fill(" 3"))),
        (
            "formats_and_maps",
            via.into(),
            format!(
                "m=audio 5 RTP/AVP{}\r\n{}",
                " 3".repeat(20_000),
                "a=rtpmap:1 x/1\r\n".repeat(1_200)
            ),
        ),
    ];
    let mut figures = Map::new();
    for (name, fields, media) in rows {
        figures.insert(name.into(), json!(round(dear_datagram(&fields, &media))));
    }
    Value::Object(figures)
}

fn dear_datagram(fields: &str, media: &str) -> f64 {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let body = if media.is_empty() { String::new() } else { format!("{head}{media}") };
    let from = if fields.contains("Authorization") { "hotline.example" } else { "192.0.2.1" };
    let text = format!(
        "INVITE sip:4711@192.0.2.2 SIP/2.0\r\n{fields}\r\nMax-Forwards: 70\r\n\
         From: <sip:1@{from}>;tag=1\r\nTo: <sip:4711@192.0.2.2>\r\nCall-ID: c\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:1@192.0.2.1>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // Credentials are for agents: who comes from elsewhere and names us is asked for them.
    let known = address(CALLER);
    let remote =
        if fields.contains("Authorization") { ([203, 0, 113, 9], 5060).into() } else { known };
    let flow = Flow { transport: Transport::Udp, local: address(CALLEE), remote };
    let message = Bytes::from(text);
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let mut end = End { endpoint: endpoint(CALLEE), busy: Duration::ZERO };
        let message = message.clone();
        end.work(|endpoint, out| endpoint.receive(flow, message, epoch(), out));
        best = best.min(end.busy);
    }
    micros(best)
}
