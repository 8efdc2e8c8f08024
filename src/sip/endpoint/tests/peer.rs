//! One endpoint and a peer whose messages are written by hand: for what no well-behaved endpoint
//! sends.

use super::pair::{A, B, address, config};
use crate::endpoint::Endpoint;
use crate::endpoint::config::EndpointConfig;
use crate::event::trunk::{TrunkCommand, TrunkEvent};
use crate::event::{Action, Flow, LegCommand, LegEvent, Transport};
use bytes::Bytes;
use domain::id::TrunkId;
use domain::now::{Now, epoch};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

/// A description with these payload types and this direction.
pub(super) fn sdp(formats: &str, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP {formats}\r\na={direction}\r\n"
    )
}

pub(super) struct Peer {
    pub(super) endpoint: Endpoint,
    pub(super) now: Now,
    pub(super) flow: Flow,
    pub(super) events: Vec<LegEvent>,
    /// What was told of refusals: whose call, the status, why.
    pub(super) refusals: Vec<(Option<TrunkId>, u16, String)>,
    pub(super) trunk_events: Vec<TrunkEvent>,
    /// Streams closed by us.
    pub(super) closed: Vec<Flow>,
    sent: Vec<String>,
    /// Of the last message sent, its flow.
    pub(super) sent_over: Option<Flow>,
    /// Whose certificate connections must bear.
    pub(super) expected: Vec<(Flow, TrunkId)>,
}

/// A request of the peer, to be changed before it is sent.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) line: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Draft {
    /// A request outside any dialog, from a trunk, over UDP.
    pub(super) fn new(method: &str, cseq: u32) -> Self {
        let headers = vec![
            ("Via", format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK{method}{cseq}")),
            ("Max-Forwards", "70".into()),
            ("From", "<sip:+49302@192.0.2.2>;tag=peer".into()),
            ("To", "<sip:4711@192.0.2.1>".into()),
            ("Call-ID", "call".into()),
            ("CSeq", format!("{cseq} {method}")),
            ("Contact", "<sip:+49302@192.0.2.2:5060>".into()),
        ];
        Self { line: format!("{method} sip:4711@192.0.2.1 SIP/2.0"), headers, body: String::new() }
    }

    /// An INVITE with an offer.
    pub(super) fn invite(cseq: u32) -> Self {
        Self::new("INVITE", cseq).body("application/sdp", &sdp("8 0", "sendrecv"))
    }

    /// Replaces a header, or adds it; an empty value removes it.
    pub(super) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(found, _)| *found != name);
        if !value.is_empty() {
            self.headers.push((name, value.into()));
        }
        self
    }

    pub(super) fn line(mut self, line: &str) -> Self {
        self.line = line.into();
        self
    }

    pub(super) fn body(self, content_type: &str, body: &str) -> Self {
        let mut changed = self.set("Content-Type", content_type);
        changed.body = body.into();
        changed
    }

    /// Inside the dialog that a response of ours, with this To, has made.
    pub(super) fn to(self, to: &str) -> Self {
        self.set("To", to)
    }

    pub(super) fn print(&self) -> String {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body));
        text
    }
}

/// The value of a header in a message; empty when it is not there.
pub(super) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or("")
}

/// What stands in front: `INVITE`, or `200`.
pub(super) fn word(message: &str) -> &str {
    let mut words = message.split(' ');
    match words.next() {
        Some("SIP/2.0") => words.next().unwrap_or(""),
        first => first.unwrap_or(""),
    }
}

impl Peer {
    pub(super) fn new() -> Self {
        Self::with(config(A))
    }

    pub(super) fn with(config: EndpointConfig) -> Self {
        let flow = Flow { transport: Transport::Udp, local: address(A), remote: address(B) };
        let rng = Box::new(StdRng::seed_from_u64(7));
        Self {
            endpoint: Endpoint::new(config, rng),
            now: epoch(),
            flow,
            events: Vec::new(),
            refusals: Vec::new(),
            trunk_events: Vec::new(),
            closed: Vec::new(),
            sent: Vec::new(),
            sent_over: None,
            expected: Vec::new(),
        }
    }

    /// Sends what the peer has written; what comes back.
    pub(super) fn send(&mut self, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let message = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint.receive(self.flow, message, self.now, &mut out);
        self.perform(out)
    }

    /// The same as one message of a stream.
    pub(super) fn send_framed(&mut self, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let message = Bytes::copy_from_slice(text.as_bytes());
        self.endpoint.receive_framed(self.flow, message, self.now, &mut out);
        self.perform(out)
    }

    pub(super) fn request(&mut self, draft: &Draft) -> Vec<String> {
        self.send(&draft.print())
    }

    pub(super) fn handle(&mut self, command: LegCommand) -> Vec<String> {
        let mut out = Vec::new();
        self.endpoint.handle(command, self.now, &mut out);
        self.perform(out)
    }

    /// The connection is gone; what is sent then.
    pub(super) fn connection_closed(&mut self, flow: Flow) -> Vec<String> {
        let mut out = Vec::new();
        self.endpoint.connection_closed(flow, self.now, &mut out);
        self.perform(out)
    }

    /// This message could not be sent; what is sent then.
    pub(super) fn unsent(&mut self, message: &str) -> Vec<String> {
        let mut out = Vec::new();
        let message = Bytes::copy_from_slice(message.as_bytes());
        self.endpoint.unsent(message, self.now, &mut out);
        self.perform(out)
    }

    /// Nothing can be sent over `flow`; what is sent then.
    pub(super) fn transport_failed(&mut self, flow: Flow) -> Vec<String> {
        let mut out = Vec::new();
        self.endpoint.transport_failed(flow, self.now, &mut out);
        self.perform(out)
    }

    /// Lets time pass; what is sent in it.
    pub(super) fn wait(&mut self, time: Duration) -> Vec<String> {
        let end = self.now.instant + time;
        let mut sent = Vec::new();
        while let Some(at) = self.endpoint.deadline().filter(|at| *at <= end) {
            self.now = self.now.after(at.saturating_duration_since(self.now.instant));
            let mut out = Vec::new();
            self.endpoint.handle_deadline(self.now, &mut out);
            sent.extend(self.perform(out));
        }
        self.now = self.now.after(end - self.now.instant);
        sent
    }

    pub(super) fn handle_trunk(&mut self, command: TrunkCommand) -> Vec<String> {
        let mut out = Vec::new();
        self.endpoint.handle_trunk(command, self.now, &mut out);
        self.perform(out)
    }

    pub(super) fn take_events(&mut self) -> Vec<LegEvent> {
        std::mem::take(&mut self.events)
    }

    /// Nothing is kept of what has passed, once all timers have run out.
    pub(super) fn assert_clean(&mut self) {
        self.wait(Duration::from_secs(64));
        assert_eq!((self.endpoint.legs(), self.endpoint.transactions()), (0, 0));
        assert_eq!(self.endpoint.deadline(), None);
        assert!(self.endpoint.surplus.is_empty());
    }

    fn perform(&mut self, actions: Vec<Action>) -> Vec<String> {
        for action in actions {
            match action {
                Action::Transmit { flow, message, .. } => {
                    self.sent_over = Some(flow);
                    self.sent.push(String::from_utf8(message.to_vec()).unwrap());
                }
                Action::Up(LegEvent::Refused { trunk, status, why, .. }) => {
                    self.refusals.push((trunk, status, why.to_string()));
                }
                Action::Up(event) => self.events.push(event),
                Action::Expect { flow, trunk, .. } => self.expected.push((flow, trunk)),
                Action::Trunk(event) => self.trunk_events.push(event),
                Action::Close { flow } => self.closed.push(flow),
                Action::Matched { .. } => (),
            }
        }
        std::mem::take(&mut self.sent)
    }
}

/// A response to a request of ours: its Via, From, Call-ID and CSeq are copied.
pub(super) fn response(request: &str, line: &str, to_tag: &str, extra: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {line}\r\n");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\r\n", header(request, name)));
    }
    let to = header(request, "To");
    let to = to.split(";tag").next().unwrap_or(to);
    text.push_str(&format!("To: {to};tag={to_tag}\r\n{extra}"));
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}
