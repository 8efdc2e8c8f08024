//! A program for one endpoint: messages of peers, sound and spoilt, orders, time and failures of
//! the transport, as the octets say. What must hold whatever they say is checked after each step.

use super::input::Input;
use bytes::Bytes;
use domain::hop::Hop;
use domain::id::{AgentId, LegId, TenantId, TrunkId};
use domain::ip_version::IpVersions;
use domain::media_plan::Codec;
use domain::now::{Now, epoch};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sip::digest::Algorithm;
use sip::endpoint::Endpoint;
use sip::endpoint::config::{
    AgentAccount, Credentials, EndpointConfig, Limits, Listener, Network, Reliable, SessionPolicy,
    Strangers, TrunkAccess,
};
use sip::event::{
    Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Target, TransferTo, Transport,
};
use sip::identity::border::{Border, Methods};
use sip::message::{LENGTH_MAX, Message, parse};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

const LEGS_MAX: usize = 12;
const TRANSACTIONS_MAX: usize = 48;

/// Who the peer is: a trunk, the same over a stream, a telephone or a stranger.
fn remote(of: u8) -> SocketAddr {
    match of % 4 {
        0 | 1 => ([192, 0, 2, 2], 5060).into(),
        2 => ([203, 0, 113, 9], 61_000).into(),
        _ => ([198, 51, 100, 66], 5060).into(),
    }
}

pub fn local() -> SocketAddr {
    ([192, 0, 2, 1], 5060).into()
}

pub fn config() -> EndpointConfig {
    let tenant = TenantId::default();
    let here = |transport| Listener::at(transport, local());
    let session =
        SessionPolicy { reliable: Reliable::Supported, interval_s: 600, late_offer: false };
    EndpointConfig {
        defence: sip::endpoint::defence::DefenceRules::default(),
        listeners: vec![here(Transport::Udp), here(Transport::Tcp)],
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "X-Trunkline-".into(),
        realm: "hotline.example".into(),
        digest_algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        agents: vec![AgentAccount {
            agent: AgentId::new(&tenant, "ann"),
            user: "ann".into(),
            password: "secret".into(),
        }],
        trunks: vec![TrunkAccess {
            trunk: TrunkId::new(&tenant, "carrier"),
            networks: Network::parse("192.0.2.0/24").into_iter().collect(),
            tls_names: Vec::new(),
            listener: None,
            credentials: Some(Credentials {
                user: "us".into(),
                password: "pass".into(),
                realm: None,
            }),
            border: Border::default(),
            session,
            codecs: Vec::new(),
        }],
        agent_sessions: session,
        sound_ip: IpVersions::of([local().ip()]),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        user_agent: "Trunkline".into(),
        limits: Limits {
            transactions: TRANSACTIONS_MAX,
            legs: LEGS_MAX,
            contacts: 3,
            retry_after_s: 30,
        },
        first_leg: LegId(1),
    }
}

struct World {
    endpoint: Endpoint,
    now: Now,
    flow: Flow,
    /// Call-ID and CSeq of what the peers have asked, as far as it could be read.
    asked: BTreeSet<(String, String)>,
    /// Something came that could not be read: what answers it repeats what it said.
    has_noise: bool,
    /// The last messages of ours: requests to be answered, responses whose To has our tag.
    requests: Vec<String>,
    responses: Vec<String>,
    begun: BTreeSet<LegId>,
    ended: BTreeSet<LegId>,
    established: usize,
}

/// Runs the program; how many calls were established in it. A file that begins like a message is
/// one, so that messages may be seeds.
pub fn run(data: &[u8]) -> usize {
    let mut world = World {
        endpoint: Endpoint::new(config(), Box::new(StdRng::seed_from_u64(7))),
        now: epoch(),
        flow: Flow { transport: Transport::Udp, local: local(), remote: remote(0) },
        asked: BTreeSet::new(),
        has_noise: false,
        requests: Vec::new(),
        responses: Vec::new(),
        begun: BTreeSet::new(),
        ended: BTreeSet::new(),
        established: 0,
    };
    if data.first().is_some_and(u8::is_ascii_uppercase) {
        world.receive(data);
    } else {
        let mut input = Input::new(data);
        for _ in 0..200 {
            if input.is_empty() {
                break;
            }
            world.step(&mut input);
        }
    }
    world.finish();
    world.established
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=5 => {
                let text = self.request(input);
                self.spoil_and_receive(text, input);
            }
            6..=8 => {
                let Some(text) = self.response(input) else { return };
                self.spoil_and_receive(text, input);
            }
            9..=11 => self.order(input),
            12 => {
                let by = u64::from(input.byte());
                self.wait(Duration::from_millis(by * by * 4));
            }
            13 => {
                let length = usize::from(input.byte());
                self.receive(input.take(length));
            }
            14 => {
                let of = input.byte();
                self.flow.remote = remote(of);
                let is_stream = of % 4 == 1;
                self.flow.transport = if is_stream { Transport::Tcp } else { Transport::Udp };
            }
            _ => {
                let mut out = Vec::new();
                match input.byte() % 2 {
                    0 => self.endpoint.transport_failed(self.flow, self.now, &mut out),
                    _ => self.endpoint.connection_closed(self.flow, self.now, &mut out),
                }
                self.perform(out);
            }
        }
    }

    /// A request of the peer: in one of the dialogs, or outside.
    fn request(&self, input: &mut Input<'_>) -> String {
        const METHODS: &[&str] = &[
            "INVITE",
            "ACK",
            "BYE",
            "CANCEL",
            "INVITE",
            "UPDATE",
            "INFO",
            "PRACK",
            "REFER",
            "NOTIFY",
            "OPTIONS",
            "REGISTER",
            "SUBSCRIBE",
            "MESSAGE",
        ];
        let method = input.choose(METHODS);
        let (mut number, call) = ((input.byte() % 16).to_string(), input.byte() % 4);
        let branch = if method == "ACK" || method == "CANCEL" { "INVITE" } else { method };
        let mut from = "<sip:+49302@192.0.2.2>;tag=peer".to_owned();
        let mut to = "<sip:4711@192.0.2.1>".to_owned();
        let mut call_id = format!("call{call}");
        match input.byte() % 4 {
            // Inside the dialog of a response, or of a request, of ours.
            0 | 1 => {
                if let Some(known) = pick(&self.responses, input) {
                    (from, to) = (header(known, "From").into(), header(known, "To").into());
                    call_id = header(known, "Call-ID").into();
                    if method == "ACK" || method == "CANCEL" {
                        let cseq = header(known, "CSeq").split(' ').next();
                        number = cseq.unwrap_or("1").to_owned();
                    }
                }
            }
            2 => {
                if let Some(known) = pick(&self.requests, input) {
                    (from, to) = (header(known, "To").into(), header(known, "From").into());
                    from = if from.contains(";tag") { from } else { format!("{from};tag=t1") };
                    call_id = header(known, "Call-ID").into();
                }
            }
            _ => {
                if input.one_in(4) {
                    from = "<sip:ann@hotline.example>;tag=peer".into();
                }
            }
        }
        let mut text = format!(
            "{method} sip:4711@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK{branch}{number}{call}\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n"
        );
        extras(&mut text, input);
        body(&mut text, input);
        text
    }

    /// A response to one of our requests.
    fn response(&self, input: &mut Input<'_>) -> Option<String> {
        const STATUSES: &[u16] = &[
            100, 180, 183, 200, 200, 200, 202, 302, 401, 404, 407, 408, 422, 423, 481, 486, 487,
            488, 491, 500, 503, 600,
        ];
        let request = pick(&self.requests, input)?;
        let (status, tag) = (input.choose(STATUSES), input.byte() % 3);
        let mut text = format!("SIP/2.0 {status} x\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", header(request, name)));
        }
        let to = header(request, "To");
        let tag = if to.contains(";tag=") { String::new() } else { format!(";tag=t{tag}") };
        text.push_str(&format!("To: {to}{tag}\r\n"));
        extras(&mut text, input);
        body(&mut text, input);
        Some(text)
    }

    fn spoil_and_receive(&mut self, text: String, input: &mut Input<'_>) {
        let mut octets = text.into_bytes();
        let at = usize::from(input.byte()) * usize::from(input.byte()) % octets.len().max(1);
        match input.byte() {
            0 => octets.truncate(at),
            1 => octets[at] = input.byte(),
            2 => drop(octets.remove(at)),
            3 => {
                let length = usize::from(input.byte() % 32);
                octets.splice(at..at, input.take(length).iter().copied());
            }
            4 => {
                let again = octets.clone();
                self.receive(&again);
            }
            _ => (),
        }
        self.receive(&octets);
    }

    fn order(&mut self, input: &mut Input<'_>) {
        let alive: Vec<LegId> = self.begun.difference(&self.ended).copied().collect();
        let leg = match input.byte() % 4 {
            0 => LegId(u64::from(input.byte() % 12) * 2 + 2),
            _ => alive
                .get(usize::from(input.byte()) % alive.len().max(1))
                .copied()
                .unwrap_or(LegId(2)),
        };
        let local_media = SocketAddr::new(local().ip(), 40_000 + u16::from(input.byte()));
        let command = match input.byte() % 14 {
            0 | 1 => {
                let agent = AgentId::new(&TenantId::default(), "ann");
                let trunk = TrunkId::new(&TenantId::default(), "carrier");
                let transport = input.choose(&[Transport::Udp, Transport::Tcp]);
                let hop = Hop::at(transport, remote(0));
                let user = "4711".into();
                let target = match input.byte() % 4 {
                    0 => Target::Agent(agent),
                    _ => Target::Trunk { trunk, hop, user },
                };
                LegCommand::Dial {
                    leg,
                    target,
                    caller: Caller::shown("+49301"),
                    local_media,
                    ring_for: Duration::from_secs(input.byte().into()),
                    heard_within: (input.one_in(2)).then_some(Duration::from_secs(4)),
                    call_id: None,
                    max_forwards: MAX_FORWARDS,
                    service_route: match input.one_in(4) {
                        true => vec!["<sip:192.0.2.60;lr>".into(), "<sip:x>".into()],
                        false => Vec::new(),
                    },
                }
            }
            2 | 3 => LegCommand::Progress {
                leg,
                status: 180 + u16::from(input.byte() % 4),
                local_media: (input.one_in(2)).then_some(local_media),
            },
            4 | 5 => LegCommand::Answer { leg, local_media },
            6 => {
                let (status, retry_after_s) = (u16::from(input.byte()) * 3, Some(7));
                LegCommand::Refuse { leg, status, retry_after_s, q850: None }
            }
            7 => LegCommand::Hold { leg, on: input.one_in(2) },
            8 => LegCommand::Offer { leg, local_media },
            10 => {
                let (user, other) = ("4712".into(), LegId(u64::from(input.byte() % 12) + 1));
                let to = [TransferTo::User(user), TransferTo::Leg(other)];
                LegCommand::Transfer { leg, to: to[usize::from(input.byte() % 2)].clone() }
            }
            11 => LegCommand::ReferProgress { leg, status: 100 + u16::from(input.byte()) * 2 },
            12 => LegCommand::RefuseRefer { leg, status: 400 + u16::from(input.byte()) },
            _ => LegCommand::HangUp { leg, q850: None },
        };
        // The layer above numbers each leg of its own once.
        if let LegCommand::Dial { leg, .. } = command
            && (leg.0 % 2 == 1 || self.begun.contains(&leg) || self.ended.contains(&leg))
        {
            return;
        }
        let mut out = Vec::new();
        self.endpoint.handle(command, self.now, &mut out);
        self.perform(out);
    }

    fn receive(&mut self, octets: &[u8]) {
        match parse(Bytes::copy_from_slice(octets)) {
            Ok(Message::Request(request)) => {
                let headers = &request.headers;
                let cseq = headers.cseq().map(|(number, method)| format!("{number} {method}"));
                if let (Ok(call_id), Ok(cseq)) = (headers.call_id(), cseq) {
                    self.asked.insert((call_id.to_owned(), cseq));
                }
            }
            Ok(Message::Response(_)) => (),
            Err(_) => self.has_noise = true,
        }
        let mut out = Vec::new();
        // A new call may find no place now and then.
        let finds_place = !octets.len().is_multiple_of(8);
        if finds_place || !self.endpoint.refuse(self.flow, octets, &mut out) {
            let message = Bytes::copy_from_slice(octets);
            self.endpoint.receive(self.flow, message, self.now, &mut out);
        }
        self.perform(out);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now.instant + time;
        for _ in 0..20_000 {
            let Some(at) = self.endpoint.deadline().filter(|at| *at <= end) else {
                self.now = self.now.after(end.saturating_duration_since(self.now.instant));
                return;
            };
            self.now = self.now.after(at.saturating_duration_since(self.now.instant));
            let mut out = Vec::new();
            self.endpoint.handle_deadline(self.now, &mut out);
            self.perform(out);
        }
        panic!("a deadline that does not go by");
    }

    /// Everybody hangs up: of nothing is anything kept, once the timers have run out.
    fn finish(&mut self) {
        for leg in self.begun.clone() {
            let mut out = Vec::new();
            self.endpoint.handle(LegCommand::HangUp { leg, q850: None }, self.now, &mut out);
            self.perform(out);
        }
        self.wait(Duration::from_secs(3 * 3600));
        assert_eq!((self.endpoint.legs(), self.endpoint.transactions()), (0, 0));
        assert_eq!(self.begun, self.ended, "each leg ends");
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Transmit { message, .. } => self.transmitted(message),
                Action::Up(event) => self.told(&event),
                Action::Matched { .. }
                | Action::Trunk(_)
                | Action::Close { .. }
                | Action::Expect { .. } => (),
            }
        }
        // Each leg may have an INVITE with its forks, a BYE and what it refuses, beyond the limit.
        assert!(self.endpoint.legs() <= LEGS_MAX);
        assert!(self.endpoint.transactions() <= TRANSACTIONS_MAX + LEGS_MAX * 16);
    }

    /// Whatever leaves us is a sound message, and a response answers something.
    fn transmitted(&mut self, message: Bytes) {
        if message.len() > LENGTH_MAX {
            // It repeats what somebody filled a whole datagram with; no transport takes it.
            return;
        }
        let text = String::from_utf8_lossy(&message).into_owned();
        let read = parse(message);
        let kept = match read {
            Ok(Message::Request(request)) => {
                assert!(request.headers.max_forwards().is_ok(), "{text}");
                &mut self.requests
            }
            Ok(Message::Response(response)) => {
                let (number, method) = response.headers.cseq().expect("a sound response");
                let call_id = response.headers.call_id().expect("a sound response").to_owned();
                let asked = self.asked.contains(&(call_id, format!("{number} {method}")));
                assert!(asked || self.has_noise, "nobody asked: {text}");
                &mut self.responses
            }
            Err(error) => {
                // A 400 repeats what was wrong.
                assert!(self.has_noise && text.starts_with("SIP/2.0"), "{error}: {text}");
                return;
            }
        };
        if kept.len() == 8 {
            kept.remove(0);
        }
        kept.push(text);
    }

    fn told(&mut self, event: &LegEvent) {
        match event {
            LegEvent::Incoming { leg, .. } | LegEvent::Dialled { leg, .. } => {
                assert!(self.begun.insert(*leg), "a leg begins once");
            }
            LegEvent::Ended { leg, .. } => {
                // One that was never dialled, for want of room, only ends.
                self.begun.insert(*leg);
                assert!(self.ended.insert(*leg), "a leg ends once");
            }
            LegEvent::Established { leg, .. } => {
                self.established += 1;
                assert!(!self.ended.contains(leg), "nothing is told of a leg after its end");
            }
            LegEvent::Ringing { leg, .. } | LegEvent::Changed { leg, .. } => {
                assert!(!self.ended.contains(leg), "nothing is told of a leg after its end");
            }
            _ => (),
        }
    }
}

fn pick<'a>(from: &'a [String], input: &mut Input<'_>) -> Option<&'a String> {
    from.get(usize::from(input.byte()).checked_rem(from.len())?)
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or("")
}

/// Up to seven of the fields that matter, by the bits of one octet each.
fn extras(text: &mut String, input: &mut Input<'_>) {
    const FIELDS: &[&str] = &[
        "Contact: <sip:+49302@192.0.2.2:5060>",
        "Supported: timer, 100rel, replaces",
        "Require: 100rel",
        "Session-Expires: 120;refresher=uas",
        "Session-Expires: 90;refresher=uac",
        "Min-SE: 300",
        "RSeq: 1",
        "RSeq: 2",
        "RAck: 1 1 INVITE",
        "Record-Route: <sip:192.0.2.50>, <sip:192.0.2.51;lr>",
        "Refer-To: <sip:4712@192.0.2.9>",
        "Replaces: call1;to-tag=peer;from-tag=x",
        "Event: refer",
        "Subscription-State: terminated;reason=noresource",
        "Expires: 60",
        "Contact: *",
        "WWW-Authenticate: Digest realm=\"r\",nonce=\"n\",qop=\"auth\"",
        "Proxy-Authenticate: Digest realm=\"r\",nonce=\"m\",algorithm=SHA-256,stale=true",
        "Authorization: Digest username=\"ann\",realm=\"hotline.example\",nonce=\"0\",uri=\"sip:x\",\
         response=\"0\",cnonce=\"1\",nc=00000001,qop=auth",
        "Require: gin",
        "Retry-After: 1",
        "Max-Forwards: 0",
        "Reason: Q.850;cause=17",
        "Content-Disposition: session;handling=optional",
        "Allow: INVITE, ACK, BYE, UPDATE, PRACK",
        "Identity: x;info=<https://a.example>;alg=ES256",
        "P-Asserted-Identity: <tel:+49301>, \"A\" <sip:+49301@x>",
    ];
    // Most messages have a Contact and room for one more field.
    if !input.one_in(4) {
        text.push_str("Contact: <sip:+49302@192.0.2.2:5060>\r\n");
    }
    for _ in 0..input.byte() % 4 {
        text.push_str(input.choose(FIELDS));
        text.push_str("\r\n");
    }
}

fn body(text: &mut String, input: &mut Input<'_>) {
    let sdp = |formats: &str, direction: &str| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
             m=audio 40000 RTP/AVP {formats}\r\na={direction}\r\n"
        )
    };
    let (kind, body) = match input.byte() % 8 {
        0 | 1 => ("application/sdp", sdp("8 0 101", "sendrecv")),
        2 => ("application/sdp", sdp("0", "sendonly")),
        3 => ("application/sdp", sdp("18", "sendrecv")),
        4 => ("application/dtmf-relay", "Signal=5\r\nDuration=100\r\n".to_owned()),
        5 => ("message/sipfrag", "SIP/2.0 200 OK".to_owned()),
        6 => {
            let length = usize::from(input.byte() % 64);
            ("application/sdp", String::from_utf8_lossy(input.take(length)).into_owned())
        }
        _ => ("", String::new()),
    };
    if !kind.is_empty() {
        text.push_str(&format!("Content-Type: {kind}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
}
