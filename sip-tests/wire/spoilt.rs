//! Bad input from the wire: a clear refusal by the standard's own code or silence where the
//! standard asks for it; the gateway goes on answering and has not grown.

use super::PATIENCE;
use super::http;
use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::process::{pause, wait_for};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the gateway may take more after a hundred thousand spoilt messages: buffers of sockets and
/// of the allocator, not a place for each.
const GROWTH_MAX_KIB: u64 = 48 * 1024;

/// A bare UDP peer.
pub struct Peer {
    socket: UdpSocket,
    gateway: SocketAddr,
}

impl Peer {
    pub fn new(gateway: &Gateway) -> Self {
        Self::at(gateway.sip)
    }

    /// A peer of whoever listens there.
    pub fn at(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // T1 (RFC 3261 §17.1.1.1): what is not answered by then is sent again.
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        Self { socket, gateway }
    }

    pub fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.gateway).unwrap();
    }

    /// A request with the headers that every one needs; `more`: further lines, each with CR LF.
    pub fn request(&self, method: &str, more: &str, body: &str) -> String {
        let local = self.socket.local_addr().unwrap();
        request(method, self.gateway, local, "UDP", more, body)
    }

    /// Sends, again and again, until the final response to it comes.
    pub fn ask(&self, text: &str) -> String {
        let call_id = line_value(text, "Call-ID");
        wait_for("an answer", || {
            self.send(text.as_bytes());
            self.answer(call_id)
        })
    }

    /// The next final response of this Call-ID; `None` when none comes within half a second.
    pub fn answer(&self, call_id: &str) -> Option<String> {
        let mut buffer = vec![0; 65_535];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let ours = text.starts_with("SIP/2.0 ") && line_value(&text, "Call-ID") == call_id;
            if ours && !text.starts_with("SIP/2.0 1") {
                return Some(text);
            }
        }
    }

    /// Asserts that the gateway answers OPTIONS with 200.
    pub fn check_alive(&self) {
        let answer = self.ask(&self.request("OPTIONS", "", ""));
        assert_eq!(status(&answer), 200, "{answer}");
    }
}

fn request(
    method: &str,
    gateway: SocketAddr,
    local: SocketAddr,
    transport: &str,
    more: &str,
    body: &str,
) -> String {
    let id = ports::unique();
    let length = body.len();
    format!(
        "{method} sip:4000@{gateway} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {local};branch=z9hG4bK-wire-{id};rport\r\n\
         From: <sip:+4930999@{local}>;tag=t{id}\r\nTo: <sip:4000@{gateway}>\r\n\
         Call-ID: wire-{id}@spoilt\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:+4930999@{local}>\r\n{more}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The value of a header line.
pub fn line_value<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    text.lines().find_map(value).unwrap_or_default()
}

/// The status of a response.
pub fn status(text: &str) -> u16 {
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// An offer of one codec to this port of loopback.
pub fn offer(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
}

const SDP: &str = "Content-Type: application/sdp\r\n";

/// Requests that are refused, each with the code of its fault.
#[test]
fn faulty_requests_get_the_code_of_their_fault() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let peer = Peer::new(&gateway);
    let no_codec = offer(4000).replace("0 101", "97").replace("101 telephone-event", "97 G726-32");
    let video = offer(4000).replace("m=audio 4000", "m=video 4000");
    let no_dialog = peer.request("BYE", "", "").replace(">\r\nCall", ">;tag=x\r\nCall");
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("an unknown method", peer.request("FROBNICATE", "", ""), &[405, 501]),
        ("a method we do not serve", peer.request("PUBLISH", "", ""), &[405, 501]),
        ("an SDP that is none", peer.request("INVITE", SDP, "v=0\r\nnonsense"), &[400, 488]),
        ("no codec in common", peer.request("INVITE", SDP, &no_codec), &[488]),
        ("video alone", peer.request("INVITE", SDP, &video), &[488]),
        (
            "a body of another type",
            peer.request("INVITE", "Content-Type: text/plain\r\n", "hello"),
            &[415],
        ),
        ("an extension we do not have", peer.request("INVITE", "Require: frob\r\n", ""), &[420]),
        (
            "a number nobody has",
            peer.request("INVITE", SDP, &offer(4000)).replace("sip:4000@", "sip:4999@"),
            &[404],
        ),
        ("a BYE of no dialog", no_dialog, &[481]),
        (
            "a CSeq of another method",
            peer.request("OPTIONS", "", "").replace("1 OPTIONS", "1 INVITE"),
            &[400],
        ),
        (
            "a CSeq that is no number",
            peer.request("OPTIONS", "", "").replace("CSeq: 1", "CSeq: x"),
            &[400],
        ),
        (
            "a scheme we do not speak",
            peer.request("OPTIONS", "", "").replacen("sip:", "frob:", 1),
            &[416],
        ),
        (
            "another version",
            peer.request("OPTIONS", "", "").replacen("SIP/2.0\r", "SIP/7.0\r", 1),
            &[505],
        ),
        (
            "a body shorter than said",
            peer.request("OPTIONS", "", "").replace("Length: 0", "Length: 10"),
            &[400],
        ),
    ];
    for (what, text, expected) in cases {
        let answer = peer.ask(&text);
        assert!(expected.contains(&status(&answer)), "{what}:\n{text}\n{answer}");
        match status(&answer) {
            405 => assert!(line_value(&answer, "Allow").contains("INVITE"), "{answer}"),
            415 => assert!(line_value(&answer, "Accept").contains("application/sdp"), "{answer}"),
            420 => assert_eq!(line_value(&answer, "Unsupported"), "frob", "{answer}"),
            _ => (),
        }
        if text.starts_with("INVITE") {
            let ack = text.replacen("INVITE", "ACK", 1).replace("1 INVITE", "1 ACK");
            peer.send(ack.as_bytes());
        }
    }
    peer.check_alive();
    assert_eq!(gateway.get("/v1/calls").expect(200)["items"], json!([]));
}

/// Datagrams that are no SIP at all are dropped; nothing is kept of them.
#[test]
fn garbage_leaves_no_trace_in_memory() {
    let installation = Installation::new(&Plan::default());
    let mut gateway = installation.start();
    let peer = Peer::new(&gateway);
    peer.check_alive();
    let request = peer.request("INVITE", SDP, &offer(4000));
    let mut noise: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        // Marsaglia's xorshift: the same garbage in each run.
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    let before = gateway.process.memory_kib();
    for round in 0..40_000_u32 {
        let mut bytes = request.clone().into_bytes();
        match round % 4 {
            0 => bytes = (0..random() % 1_400).map(|_| random() as u8).collect(),
            1 => bytes.truncate(random() as usize % bytes.len()),
            2 => bytes = vec![b'\n'; random() as usize % 200],
            _ => {
                for _ in 0..40 {
                    let at = random() as usize % bytes.len();
                    bytes[at] = random() as u8;
                }
            }
        }
        peer.send(&bytes);
        if round % 1_000 == 0 {
            // In step with the reader, so that nothing is lost before it is read.
            peer.check_alive();
        }
    }
    peer.check_alive();
    assert!(gateway.process.exited().is_none(), "{}", gateway.process.said());
    let after = gateway.process.memory_kib();
    assert!(after < before + GROWTH_MAX_KIB, "{before} KiB before, {after} KiB after");
}

/// Streams that break off, dribble, or promise more than may be sent.
#[test]
fn half_messages_on_streams_hold_nobody_up() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let connect = || {
        let stream = TcpStream::connect(gateway.sip).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let options = |stream: &TcpStream| {
        request("OPTIONS", gateway.sip, stream.local_addr().unwrap(), "TCP", "", "")
    };
    // Two in one segment after a half, and a whole one in single bytes: each is answered.
    let mut stream = connect();
    stream.set_nodelay(true).unwrap();
    let (first, second, third) = (options(&stream), options(&stream), options(&stream));
    let (head, tail) = first.split_at(97);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(format!("{tail}{second}\r\n\r\n").as_bytes()).unwrap();
    for byte in third.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut answers = String::new();
    while answers.matches("SIP/2.0 200").count() < 3 {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).expect("answers come");
        assert!(length > 0, "closed after {answers}");
        answers.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    // A head without end, a body of 10 MB, and no Content-Length at all: refused or closed, soon.
    let local = stream.local_addr().unwrap();
    let no_end = format!("OPTIONS sip:x SIP/2.0\r\nX: {}", "x".repeat(10 << 20));
    let huge = request("OPTIONS", gateway.sip, local, "TCP", "", "");
    let huge = huge.replace("Length: 0", "Length: 10485760") + &"x".repeat(10 << 20);
    for text in [no_end, huge, "x".repeat(1 << 20)] {
        let mut stream = connect();
        // It may be closed before it has taken all.
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let refused = answer.is_empty() || (400..600).contains(&status(&answer));
        assert!(refused, "{answer}");
    }
    // Hundreds who connect and say half a word do not keep the next one out.
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(b"INVITE sip:").unwrap();
            stream
        })
        .collect();
    let mut stream = connect();
    let text = options(&stream);
    stream.write_all(text.as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).unwrap();
    assert_eq!(status(&String::from_utf8_lossy(&buffer[..length])), 200);
    drop(idle);
}

/// RTP from strangers is not heard: their keys press nothing.
#[test]
fn a_stranger_cannot_press_keys_in_a_call() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let peer = Peer::new(&gateway);
    let sound = UdpSocket::bind("127.0.0.1:0").unwrap();
    let invite = peer.request("INVITE", SDP, &offer(sound.local_addr().unwrap().port()));
    let answer = peer.ask(&invite);
    assert_eq!(status(&answer), 200, "{answer}");
    let ack = invite.replacen("INVITE", "ACK", 1).replace("1 INVITE", "1 ACK");
    let to = format!("To: {}\r\nCall-ID", line_value(&answer, "To"));
    let ack = ack.replace(&format!("To: <sip:4000@{}>\r\nCall-ID", gateway.sip), &to);
    peer.send(ack.as_bytes());
    let call = events.call();
    let port = answer.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
    let at = ("127.0.0.1", port);
    // The caller's own sound first: from now on his address is known.
    for number in 0..10 {
        sound.send_to(&rtp(0, number, 1, &[0xff; 160]), at).unwrap();
    }
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..1_000_u16 {
        // RFC 4733: key 5, its end, 100 ms.
        stranger.send_to(&rtp(101, number, 2, &[5, 0x8a, 3, 0x20]), at).unwrap();
        stranger.send_to(&vec![number as u8; usize::from(number)], at).unwrap();
    }
    let pressing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // A flood may push the caller's packets out of the socket; a finger stays on its key.
        scope.spawn(|| {
            let mut number = 10;
            while pressing.load(Ordering::Relaxed) {
                sound.send_to(&rtp(101, number, 1, &[4, 0x0a, 3, 0x20]), at).unwrap();
                number = number.wrapping_add(1);
                pause();
            }
        });
        // The first key that the call hears is its caller's.
        let heard = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            events.of(call, "call.key")["digit"].clone()
        }));
        pressing.store(false, Ordering::Relaxed);
        assert_eq!(heard.expect("a key is heard"), "4");
    });
    gateway.request("DELETE", &format!("/v1/calls/{call}"), &json!(null)).expect(204);
    let leg = gateway.legs(call, 1).remove(0);
    assert_eq!(leg["ended_by"], "us");
}

fn rtp(payload_type: u8, number: u16, source: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(number.to_be_bytes());
    packet.extend(8_000_u32.to_be_bytes());
    packet.extend(source.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Faulty requests to the API, each with the status and the number of its fault.
#[test]
fn the_api_names_what_it_refuses() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let head = || format!("{}Content-Type: application/json\r\n", gateway.head());
    let ask = |path: &str, head: &str, body: &[u8]| {
        http::request(gateway.api, "POST", path, head, body).expect("a reply")
    };
    let unknown = br#"{"queue":"support","number":"+49301","colour":"red"}"#;
    let reply = ask("/v1/callbacks", &head(), unknown);
    assert!(reply.text.contains("/colour"), "{}", reply.text);
    reply.expect(422);
    let ten_mb = vec![b'x'; 10 << 20];
    let plain = gateway.head() + "Content-Type: text/plain\r\n";
    for (what, path, head, body, status) in [
        ("no JSON", "/v1/callbacks", head(), &b"{"[..], 400),
        ("10 MB", "/v1/callbacks", head(), &ten_mb, 413),
        ("another type", "/v1/callbacks", plain, b"hello", 415),
        ("no such path", "/v1/frob", head(), b"{}", 404),
        ("no key", "/v1/callbacks", "Idempotency-Key: abc-1234567\r\n".into(), b"{}", 401),
        ("a wrong key", "/v1/callbacks", "Authorization: Bearer x\r\n".into(), b"{}", 401),
        ("not that method", "/v1/agents", head(), b"{}", 405),
    ] {
        let reply = ask(path, &head, body);
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
        let kind = reply.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{what}");
        assert!(reply.json["way_out"].is_string(), "{what}: {}", reply.text);
    }
    // Half a request is given up on; meanwhile others are served.
    let mut half = TcpStream::connect(gateway.api).unwrap();
    half.write_all(b"POST /v1/callbacks HTTP/1.1\r\nContent-Le").unwrap();
    wait_for("the list of agents", || (gateway.get("/v1/agents").status == 200).then_some(()));
    half.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
}
