//! Those who keep no rules: callers and callees of raw bytes, who do what telephones in the field
//! do when they are broken, old or hostile.

use crate::house::{CARRIER, GATEWAY, RUDE};
use crate::network::Datagram;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use sip::message::method::Method;
use sip::message::{Message, Request, Response, parse};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Numbers that begin so are answered by somebody rude; the last digit says how.
pub const RUDE_PREFIX: &str = "+4966";

/// What a rude caller does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rudeness {
    /// Never acknowledges anything, and never answers a BYE.
    NeverAcknowledges,
    /// Sends CANCEL so many milliseconds after its INVITE, whatever came back.
    CancelsAfter(u64),
    /// Hangs up twice, the second time once as a repetition and once as another request.
    HangsUpTwice,
    /// Puts us on hold and takes us back.
    Holds,
    /// Sends its INVITE fifty times.
    Storms,
    /// Sends what is no SIP.
    Garbage,
    /// Sends requests and responses that belong to nothing.
    Strays,
}

impl Rudeness {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NeverAcknowledges,
        Self::CancelsAfter(1),
        Self::CancelsAfter(30),
        Self::CancelsAfter(3_000),
        Self::HangsUpTwice,
        Self::Holds,
        Self::Storms,
        Self::Garbage,
        Self::Strays,
    ];
}

/// All rude people.
pub struct Rude {
    luck: StdRng,
    callers: BTreeMap<String, Caller>,
    /// Call-IDs that rude callees have taken.
    callees: BTreeMap<String, Callee>,
    due: BTreeMap<(Instant, u64), Datagram>,
    serial: u64,
}

struct Caller {
    kind: Rudeness,
    done: BTreeSet<u32>,
}

struct Callee {
    kind: u32,
    invite: Request,
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.2.66\r\ns=-\r\nc=IN IP4 10.0.2.66\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

impl Rude {
    /// Nobody yet.
    pub fn new(seed: u64) -> Self {
        Self {
            luck: StdRng::seed_from_u64(seed),
            callers: BTreeMap::new(),
            callees: BTreeMap::new(),
            due: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Somebody calls, or does what he calls calling.
    pub fn call(&mut self, kind: Rudeness, now: Instant) {
        let id = format!("rude-{}@10.0.2.66", self.luck.random::<u32>());
        let invite = request("INVITE", 1, &id, "", "sendrecv");
        match kind {
            Rudeness::Garbage => return self.garbage(now),
            Rudeness::Strays => return self.strays(&id, now),
            Rudeness::Storms => {
                for index in 0..50u64 {
                    self.later(now + Duration::from_micros(200 * index), RUDE, invite.clone());
                }
            }
            Rudeness::CancelsAfter(after_ms) => {
                self.later(now, RUDE, invite);
                let cancel = request("CANCEL", 1, &id, "", "");
                self.later(now + Duration::from_millis(after_ms), RUDE, cancel);
            }
            Rudeness::NeverAcknowledges | Rudeness::HangsUpTwice | Rudeness::Holds => {
                self.later(now, RUDE, invite);
            }
        }
        self.callers.insert(id, Caller { kind, done: BTreeSet::new() });
    }

    /// Whether a datagram to the carrier is for somebody rude.
    pub fn wants(&self, datagram: &Datagram) -> bool {
        if datagram.to != CARRIER {
            return datagram.to == RUDE;
        }
        let text = String::from_utf8_lossy(&datagram.message);
        let is_rude = |line: &str| line.contains(&format!("sip:{RUDE_PREFIX}"));
        text.lines().next().is_some_and(is_rude)
            || text
                .lines()
                .find_map(|line| line.strip_prefix("Call-ID: "))
                .is_some_and(|id| self.callees.contains_key(id.trim()))
    }

    /// Takes a datagram.
    pub fn receive(&mut self, datagram: &Datagram, now: Instant) {
        match parse(datagram.message.clone()) {
            Ok(Message::Response(response)) => self.answered(&response, now),
            Ok(Message::Request(request)) if datagram.to == CARRIER => self.asked(request, now),
            Ok(Message::Request(request)) => self.told(&request, now),
            Err(_) => (),
        }
    }

    /// When something is sent next.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Sends what is due.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            out.push(entry.remove());
        }
    }

    fn later(&mut self, at: Instant, from: SocketAddr, message: Bytes) {
        self.serial += 1;
        self.due.insert((at, self.serial), Datagram { from, to: GATEWAY, message });
    }

    fn garbage(&mut self, now: Instant) {
        let invite = request("INVITE", 1, "broken@10.0.2.66", "", "sendrecv");
        for index in 0..20 {
            let length = self.luck.random_range(0..600);
            let mut bytes = vec![0; length];
            self.luck.fill_bytes(&mut bytes);
            if index % 2 == 0 {
                // A message cut off, or with one octet wrong.
                bytes = invite.to_vec();
                bytes.truncate(self.luck.random_range(1..bytes.len()));
                let place = self.luck.random_range(0..bytes.len());
                bytes[place] = self.luck.random();
            }
            self.later(now + Duration::from_millis(index), RUDE, bytes.into());
        }
    }

    fn strays(&mut self, id: &str, now: Instant) {
        for method in ["BYE", "ACK", "CANCEL", "INFO", "OPTIONS", "SUBSCRIBE", "PRACK"] {
            self.later(now, RUDE, request(method, 7, id, ";tag=nobody", ""));
        }
        let invite = request("INVITE", 7, id, ";tag=nobody", "sendrecv");
        self.later(now, RUDE, invite.clone());
        if let Ok(Message::Request(invite)) = parse(invite) {
            for status in [100, 180, 200, 302, 487, 603] {
                let response = invite.response(status, Some("stray"));
                self.later(now, RUDE, response.print());
            }
        }
    }

    /// A response to a rude caller's request.
    fn answered(&mut self, response: &Response, now: Instant) {
        let Ok(id) = response.headers.call_id().map(str::to_owned) else { return };
        let Ok((cseq, Method::Invite)) = response.headers.cseq() else { return };
        let Some(caller) = self.callers.get_mut(&id) else { return };
        let kind = caller.kind;
        if response.status < 200 || kind == Rudeness::NeverAcknowledges {
            return;
        }
        let first = caller.done.insert(cseq);
        let tag = response.headers.to().ok().and_then(|to| to.tag().map(|tag| tag.to_string()));
        let tag = tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
        self.later(now, RUDE, request("ACK", cseq, &id, &tag, ""));
        if response.status >= 300 || !first {
            return;
        }
        let after = |ms| now + Duration::from_millis(ms);
        let bye = |cseq| request("BYE", cseq, &id, &tag, "");
        match (kind, cseq) {
            (Rudeness::Holds, 1) => {
                let hold = request("INVITE", 2, &id, &tag, "sendonly");
                self.later(after(2_000), RUDE, hold);
            }
            (Rudeness::Holds, 2) => {
                let back = request("INVITE", 3, &id, &tag, "sendrecv");
                self.later(after(4_000), RUDE, back);
            }
            (Rudeness::Holds, _) => self.later(after(3_000), RUDE, bye(9)),
            (Rudeness::CancelsAfter(_), _) => self.later(now, RUDE, bye(2)),
            _ => {
                self.later(after(2_000), RUDE, bye(2));
                self.later(after(2_010), RUDE, bye(2));
                self.later(after(2_500), RUDE, bye(3));
            }
        }
    }

    /// The exchange hangs up on a rude caller.
    fn told(&mut self, request: &Request, now: Instant) {
        let id = request.headers.call_id().unwrap_or_default();
        let silent = self.callers.get(id).is_some_and(|it| it.kind == Rudeness::NeverAcknowledges);
        if request.method != Method::Ack && !silent {
            self.later(now, RUDE, request.response(200, Some("rude")).print());
        }
    }

    /// The exchange asks a rude callee.
    fn asked(&mut self, request: Request, now: Instant) {
        let Ok(id) = request.headers.call_id().map(str::to_owned) else { return };
        match request.method {
            Method::Invite if !self.callees.contains_key(&id) => self.invited(id, request, now),
            Method::Cancel => self.cancelled(&id, &request, now),
            Method::Bye => {
                let answers = self.callees.get(&id).is_some_and(|callee| callee.kind != 4);
                if answers {
                    self.later(now, CARRIER, request.response(200, Some("a")).print());
                }
            }
            _ => (),
        }
    }

    fn invited(&mut self, id: String, invite: Request, now: Instant) {
        let user = invite.uri.user().map(|user| user.to_string()).unwrap_or_default();
        let kind = user.chars().last().and_then(|it| it.to_digit(10)).unwrap_or(0);
        let answer = |status: u16, tag: &str| {
            let mut response = invite.response(status, Some(tag));
            if status == 200 {
                let contact = "<sip:callee@10.0.2.1:5060>";
                response.headers.push(sip::message::name::Name::Contact, contact);
                response.set_body("application/sdp", SDP);
            }
            response.print()
        };
        let after = |ms| now + Duration::from_millis(ms);
        let replies = match kind {
            // Rings for ever; answers a late CANCEL with a 2xx (see `cancelled`).
            0 | 1 => vec![(50, 100, "a"), (100, 180, "a"), (20_000, 180, "a")],
            // Two telephones answer.
            2 => vec![(100, 180, "a"), (100, 180, "b"), (900, 200, "a"), (905, 200, "b")],
            // One word, then nothing.
            3 => vec![(50, 100, "a")],
            // Answers, and does not answer the BYE.
            4 => vec![(600, 200, "a")],
            // Repeats its answer as if no ACK had come.
            5 => vec![(600, 200, "a"), (700, 200, "a"), (1_600, 200, "a"), (9_000, 200, "a")],
            // Changes its mind.
            6 => vec![(300, 486, "a"), (310, 200, "a"), (320, 603, "a")],
            // A refusal nobody has heard of, repeated.
            7 => vec![(300, 499, "a"), (310, 499, "a"), (320, 100, "a")],
            // Sends you elsewhere.
            8 => vec![(300, 302, "a")],
            // Wants credentials that we do not have.
            _ => vec![(300, 407, "a"), (400, 401, "a")],
        };
        for (after_ms, status, tag) in replies {
            self.later(after(after_ms), CARRIER, answer(status, tag));
        }
        self.callees.insert(id, Callee { kind, invite: invite.clone() });
    }

    fn cancelled(&mut self, id: &str, cancel: &Request, now: Instant) {
        let Some(callee) = self.callees.get(id) else { return };
        let kind = callee.kind;
        let mut late = callee.invite.response(200, Some("a"));
        late.headers.push(sip::message::name::Name::Contact, "<sip:callee@10.0.2.1:5060>");
        late.set_body("application/sdp", SDP);
        let refusal = callee.invite.response(487, Some("a"));
        if kind != 3 {
            self.later(now, CARRIER, cancel.response(200, Some("a")).print());
        }
        match kind {
            // Nothing ever follows.
            0 | 3 => (),
            1 => self.later(now + Duration::from_millis(5), CARRIER, late.print()),
            _ => self.later(now, CARRIER, refusal.print()),
        }
    }
}

/// A request of a rude caller; `media` is the direction of its offer, empty for none.
fn request(method: &str, cseq: u32, id: &str, to_tag: &str, media: &str) -> Bytes {
    let body = match media {
        "" => String::new(),
        direction => format!("{SDP}a={direction}\r\n"),
    };
    // RFC 3261 §17.1.1.3: the ACK to a refusal has the INVITE's branch; for one to a 2xx, a rude
    // caller does not care.
    let branch = match method {
        "CANCEL" | "ACK" => format!("INVITE-{cseq}"),
        _ => format!("{method}-{cseq}"),
    };
    let content_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:4000@10.0.0.1:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.2.66:5060;branch=z9hG4bK-{id}-{branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:+4930666@10.0.2.66>;tag=rude\r\n\
         To: <sip:4000@10.0.0.1>{to_tag}\r\n\
         Call-ID: {id}\r\n\
         CSeq: {cseq} {method}\r\n\
         Contact: <sip:rude@10.0.2.66:5060>\r\n\
         {content_type}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}
