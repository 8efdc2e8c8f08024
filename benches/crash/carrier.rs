//! The carrier of the trial, which is the witness: it writes down every INVITE that reaches it, by
//! Call-ID. It is written by hand, apart from the program's own SIP, so that no fault is shared.
//!
//! Whom it calls answers and hangs up, is busy, cannot be reached or lets it ring; those who were
//! promised a call answer and stay for a while.

use crate::common::Failure;
use parking_lot::Mutex;
use rand::Rng;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often its deadlines are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// RFC 3261 §17.1.1.1: T1, the first gap between retransmissions.
const T1: Duration = Duration::from_millis(500);
/// A message is repeated so often; then its receiver is gone.
const REPEATS_MAX: u32 = 4;
/// What is rung in vain is given up after this.
const PATIENCE: Duration = Duration::from_secs(15);
/// Numbers of those who were promised a call.
pub const PROMISED: &str = "+49301";

/// One Call-ID that an INVITE bore.
#[derive(Clone, Debug)]
pub struct Dialling {
    /// Whom it calls.
    pub number: String,
    /// When its INVITE was seen first.
    pub first_seen: Instant,
    /// How often it was seen.
    pub invites: u32,
    /// The final response given to it.
    pub final_status: Option<u16>,
}

/// What the carrier has written down, by Call-ID.
pub type Book = BTreeMap<String, Dialling>;

/// The carrier at work.
pub struct Carrier {
    /// Where it is reached.
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    /// Starts it on a free port.
    pub fn start() -> Result<Self, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        socket.set_read_timeout(Some(LOOK))?;
        // Where sound is sent to; nobody listens.
        let ear = UdpSocket::bind("127.0.0.1:0")?;
        let (book, stop) = (Arc::new(Mutex::new(Book::new())), Arc::new(AtomicBool::new(false)));
        let office = Office { socket, ear, book: book.clone(), lines: BTreeMap::new() };
        let told = stop.clone();
        let thread = std::thread::spawn(move || office.run(&told));
        Ok(Self { address, book, stop, thread: Some(thread) })
    }

    /// How many diallings begun since `since` have no final response yet.
    pub fn in_flight(&self, since: Instant) -> usize {
        let book = self.book.lock();
        let open = book.values().filter(|it| it.first_seen >= since && it.final_status.is_none());
        open.filter(|it| !it.number.starts_with(PROMISED)).count()
    }

    /// How many Call-IDs it has seen.
    pub fn dialled(&self) -> usize {
        self.book.lock().len()
    }

    /// Ends it and gives its book.
    pub fn close(mut self) -> Book {
        self.end();
        std::mem::take(&mut self.book.lock())
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.end();
    }
}

/// What happens next on a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Answer,
    Refuse(u16),
    /// Send the final response again, so many times more.
    RepeatFinal(u32),
    HangUp,
    RepeatBye(u32),
    /// Nothing: the line is forgotten.
    Forget,
}

/// A call on its way.
struct Line {
    remote: SocketAddr,
    /// Via to CSeq of the INVITE, with our tag.
    heads: String,
    /// From our side: From, To and Call-ID of a BYE.
    bye_heads: String,
    contact: String,
    answers: bool,
    refuses: Option<u16>,
    talk: Duration,
    sent: String,
    next: Next,
    at: Instant,
}

struct Office {
    socket: UdpSocket,
    ear: UdpSocket,
    book: Arc<Mutex<Book>>,
    lines: BTreeMap<String, Line>,
}

impl Office {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; 65_535];
        let mut look_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if let Ok((length, remote)) = self.socket.recv_from(&mut buffer)
                && let Ok(message) = std::str::from_utf8(&buffer[..length])
            {
                self.receive(message, remote);
            }
            if look_at.elapsed() >= LOOK {
                look_at = Instant::now();
                self.due(look_at);
            }
        }
    }

    fn receive(&mut self, message: &str, remote: SocketAddr) {
        let Some(call_id) = header(message, "Call-ID").map(str::to_owned) else { return };
        let method = message.split_whitespace().next().unwrap_or_default();
        match method {
            "INVITE" => self.invite(&call_id, message, remote),
            "ACK" => self.acknowledged(&call_id),
            "CANCEL" => {
                self.send(&plain(message, "200 OK"), remote);
                if self.lines.get(&call_id).is_some_and(|line| unanswered(line.next)) {
                    self.refuse(&call_id, 487);
                }
            }
            "BYE" => {
                self.send(&plain(message, "200 OK"), remote);
                self.lines.remove(&call_id);
            }
            "SIP/2.0" => {
                let cseq = header(message, "CSeq").unwrap_or_default();
                if cseq.ends_with("BYE") {
                    self.lines.remove(&call_id);
                }
            }
            _ => self.send(&plain(message, "200 OK"), remote),
        }
    }

    fn invite(&mut self, call_id: &str, message: &str, remote: SocketAddr) {
        let number = message.split(['@', ' ']).nth(1).unwrap_or_default();
        let number = number.trim_start_matches("sip:").to_owned();
        {
            let mut book = self.book.lock();
            let seen = Dialling {
                number: number.clone(),
                first_seen: Instant::now(),
                invites: 0,
                final_status: None,
            };
            let dialling = book.entry(call_id.to_owned()).or_insert(seen);
            dialling.invites += 1;
            if dialling.invites > 1 {
                // The same again: the response on its way is repeated by its own timer.
                return;
            }
        }
        let Some(line) = self.line(call_id, &number, message, remote) else { return };
        let ringing = format!("SIP/2.0 180 Ringing\r\n{}Content-Length: 0\r\n\r\n", line.heads);
        self.send(&ringing, remote);
        self.lines.insert(call_id.to_owned(), line);
    }

    /// Decides what the person called does.
    fn line(&self, call_id: &str, number: &str, message: &str, remote: SocketAddr) -> Option<Line> {
        let mut random = rand::rng();
        let mut ms = |range| Duration::from_millis(random.random_range(range));
        let (soon, talk) = (ms(30..350), ms(150..1_200));
        let (next, at, talk) = match random.random_range(0..100) {
            _ if number.starts_with(PROMISED) => (Next::Answer, soon, Duration::from_secs(4)),
            0..60 => (Next::Answer, soon, talk),
            60..80 => (Next::Refuse(486), soon, talk),
            80..88 => (Next::Refuse(404), soon, talk),
            88..96 => (Next::Refuse(503), soon, talk),
            _ => (Next::Refuse(480), PATIENCE, talk),
        };
        let (from, to) = (header(message, "From")?, header(message, "To")?);
        let tag = format!("{to};tag={:016x}", random.random::<u64>());
        let contact = header(message, "Contact")?.split(['<', '>']).nth(1)?.to_owned();
        let cseq = header(message, "CSeq")?;
        let vias: String = vias(message);
        Some(Line {
            remote,
            heads: format!(
                "{vias}From: {from}\r\nTo: {tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\
                 Contact: <sip:{}>\r\n",
                self.socket.local_addr().ok()?
            ),
            bye_heads: format!("From: {tag}\r\nTo: {from}\r\nCall-ID: {call_id}\r\n"),
            contact,
            answers: next == Next::Answer,
            refuses: None,
            talk,
            sent: String::new(),
            next,
            at: Instant::now() + at,
        })
    }

    fn due(&mut self, now: Instant) {
        let due: Vec<(String, Next)> = self
            .lines
            .iter()
            .filter(|(_, line)| line.at <= now)
            .map(|(call_id, line)| (call_id.clone(), line.next))
            .collect();
        for (call_id, next) in due {
            match next {
                Next::Answer => self.answer(&call_id),
                Next::Refuse(status) => self.refuse(&call_id, status),
                Next::HangUp => self.hang_up(&call_id),
                Next::RepeatFinal(0) | Next::RepeatBye(0) | Next::Forget => {
                    self.lines.remove(&call_id);
                }
                Next::RepeatFinal(left) => self.repeat(&call_id, Next::RepeatFinal(left - 1)),
                Next::RepeatBye(left) => self.repeat(&call_id, Next::RepeatBye(left - 1)),
            }
        }
    }

    fn answer(&mut self, call_id: &str) {
        let Ok(ear) = self.ear.local_addr() else { return };
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
            ip = ear.ip(),
            port = ear.port(),
        );
        let rest = format!(
            "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.finally(call_id, 200, "OK", &rest);
    }

    fn refuse(&mut self, call_id: &str, status: u16) {
        if let Some(line) = self.lines.get_mut(call_id) {
            line.refuses = Some(status);
        }
        self.finally(call_id, status, "Refused", "Content-Length: 0\r\n\r\n");
    }

    /// Gives the final response, and repeats it until its ACK (§13.3.1.4, §17.2.1).
    fn finally(&mut self, call_id: &str, status: u16, reason: &str, rest: &str) {
        let Some(line) = self.lines.get_mut(call_id) else { return };
        line.sent = format!("SIP/2.0 {status} {reason}\r\n{}{rest}", line.heads);
        line.next = Next::RepeatFinal(REPEATS_MAX);
        line.at = Instant::now() + T1;
        let (message, remote) = (line.sent.clone(), line.remote);
        if let Some(dialling) = self.book.lock().get_mut(call_id) {
            dialling.final_status = Some(status);
        }
        self.send(&message, remote);
    }

    fn acknowledged(&mut self, call_id: &str) {
        let Some(line) = self.lines.get_mut(call_id) else { return };
        if !matches!(line.next, Next::RepeatFinal(_)) {
            return;
        }
        let answered = line.answers && line.refuses.is_none();
        line.next = if answered { Next::HangUp } else { Next::Forget };
        line.at = Instant::now() + if answered { line.talk } else { Duration::ZERO };
    }

    fn hang_up(&mut self, call_id: &str) {
        let Ok(address) = self.socket.local_addr() else { return };
        let Some(line) = self.lines.get_mut(call_id) else { return };
        let branch = rand::random::<u64>();
        line.sent = format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{branch:016x}\r\n\
             Max-Forwards: 70\r\n{}CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            line.contact, line.bye_heads
        );
        self.repeat(call_id, Next::RepeatBye(REPEATS_MAX));
    }

    fn repeat(&mut self, call_id: &str, next: Next) {
        let Some(line) = self.lines.get_mut(call_id) else { return };
        (line.next, line.at) = (next, Instant::now() + T1);
        let (message, remote) = (line.sent.clone(), line.remote);
        self.send(&message, remote);
    }

    fn send(&self, message: &str, remote: SocketAddr) {
        // The gateway may be dead: what is lost is repeated or not wanted any more.
        let _ = self.socket.send_to(message.as_bytes(), remote);
    }
}

fn unanswered(next: Next) -> bool {
    match next {
        Next::Answer | Next::Refuse(_) => true,
        Next::RepeatFinal(_) | Next::HangUp | Next::RepeatBye(_) | Next::Forget => false,
    }
}

/// The first header of this name, as the gateway writes names.
fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut heads = message.split("\r\n\r\n").next()?.split("\r\n").skip(1);
    heads.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn vias(message: &str) -> String {
    let heads = message.split("\r\n\r\n").next().unwrap_or_default().split("\r\n");
    heads.filter(|line| line.starts_with("Via:")).map(|line| format!("{line}\r\n")).collect()
}

/// A response without a body, made of the request's own headers.
fn plain(request: &str, status: &str) -> String {
    let mut response = format!("SIP/2.0 {status}\r\n{}", vias(request));
    for name in ["From", "To", "Call-ID", "CSeq"] {
        response += &format!("{name}: {}\r\n", header(request, name).unwrap_or_default());
    }
    response + "Content-Length: 0\r\n\r\n"
}
