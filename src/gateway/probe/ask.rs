//! One OPTIONS outside of calls, as a non-INVITE client transaction has it (RFC 3261 §17.1.2): sent,
//! repeated over datagrams, answered once or not at all. A challenge is an answer, too: it shows that
//! somebody is there, which is all that is asked.

use super::facts::Facts;
use super::script::OPTIONS_MAX;
use bytes::Bytes;
use sip::event::Flow;
use sip::message::method::Method;
use sip::message::name::Name;
use sip::message::uri::Uri;
use sip::message::{Request, Response};
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// A request under way.
#[derive(Debug)]
pub struct Ask {
    flow: Flow,
    message: Bytes,
    call_id: String,
    repeat_after: Duration,
    repeat_at: Option<Instant>,
    gives_up_at: Instant,
}

impl Ask {
    /// Sends OPTIONS to `uri` from a contact whose port answers to it; `unique` makes branch, tag and
    /// Call-ID (RFC 3261 §19.3), 64 unforeseeable bits. What is to be sent goes to `out`.
    pub fn start(
        (flow, contact): (Flow, &str),
        uri: Uri,
        unique: u64,
        now: Instant,
        out: &mut Vec<(Flow, Bytes)>,
    ) -> Self {
        let call_id = format!("{unique:016x}-options");
        let via = flow.transport.via_name();
        let to = format!("<{}>", uri.as_str());
        let mut request = Request::new(Method::Options, uri);
        let headers = &mut request.headers;
        headers
            .push(Name::Via, &format!("SIP/2.0/{via} {contact};branch=z9hG4bK{unique:016x};rport"));
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, &format!("<sip:probe@{contact}>;tag={unique:08x}"));
        headers.push(Name::To, &to);
        headers.push(Name::CallId, &call_id);
        headers.push(Name::CSeq, "1 OPTIONS");
        headers.push(
            Name::Contact,
            &format!("<sip:probe@{contact};transport={}>", flow.transport.uri_param()),
        );
        headers.push(Name::Accept, "application/sdp");
        let message = request.print();
        out.push((flow, message.clone()));
        let repeat_at = (!flow.transport.is_reliable()).then(|| now + T1);
        let gives_up_at = now + OPTIONS_MAX;
        Self { flow, message, call_id, repeat_after: T1, repeat_at, gives_up_at }
    }

    /// Between which addresses.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// What a response says, if it is a final one to this request.
    pub fn answered(&self, response: &Response) -> Option<Facts> {
        let ours = response.headers.call_id().is_ok_and(|call_id| call_id == self.call_id);
        (ours && response.status >= 200).then(|| Facts::of(response))
    }

    /// When [`handle_deadline`](Self::handle_deadline) is wanted.
    pub fn deadline(&self) -> Instant {
        self.repeat_at.map_or(self.gives_up_at, |at| at.min(self.gives_up_at))
    }

    /// Repeats it when that is due; `false`: it was not answered in time.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<(Flow, Bytes)>) -> bool {
        if now >= self.gives_up_at {
            return false;
        }
        if self.repeat_at.is_some_and(|at| at <= now) {
            out.push((self.flow, self.message.clone()));
            self.repeat_after = (self.repeat_after * 2).min(T2);
            self.repeat_at = Some(now + self.repeat_after);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::event::Transport;
    use sip::message::{Message, parse};

    /// RFC 3261 §17.1.2.1: repeated after T1, 2 T1, 4 T1; nothing is repeated over a stream.
    #[test]
    fn options_is_repeated_over_datagrams_until_it_is_given_up() {
        let start = Instant::now();
        for (transport, at_ms) in
            [(Transport::Udp, vec![500, 1_500, 3_500]), (Transport::Tcp, vec![])]
        {
            let address = ([192, 0, 2, 1], 5060).into();
            let flow = Flow { transport, local: address, remote: address };
            let mut out = Vec::new();
            let uri = Uri::parse("sip:100@192.0.2.1").unwrap();
            let mut ask = Ask::start((flow, "192.0.2.2:5070"), uri, 7, start, &mut out);
            let Ok(Message::Request(request)) = parse(out[0].1.clone()) else {
                panic!("a request")
            };
            assert_eq!(request.uri.as_str(), "sip:100@192.0.2.1");
            let mut repeated = Vec::new();
            loop {
                out.clear();
                let now = ask.deadline();
                if !ask.handle_deadline(now, &mut out) {
                    assert_eq!(now, start + OPTIONS_MAX);
                    break;
                }
                assert_eq!(out, [(flow, ask.message.clone())]);
                repeated.push((now - start).as_millis());
            }
            assert_eq!(repeated, at_ms);
            assert_eq!(ask.answered(&request.response(100, None)), None);
            let answered = ask.answered(&request.response(404, Some("x"))).unwrap();
            assert_eq!(answered.words(), "404 Not Found");
        }
    }
}
