//! The few messages of the load, written and read as plainly as can be: it must cost less than what
//! it measures.

use std::io::Write;
use std::net::SocketAddrV4;

/// What the caller keeps of a call.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `To` of the 200, with its tag.
    to: Vec<u8>,
    /// The URI of its Contact.
    contact: Vec<u8>,
    /// Its Record-Route values, in reverse: our route set (RFC 3261 §12.1.2).
    routes: Vec<u8>,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Where the caller listens.
    pub local: SocketAddrV4,
    /// Tells this run from others.
    pub run: u32,
    /// The call's number.
    pub call: u32,
    /// The number dialled.
    pub dialled: &'static str,
}

/// What a response says.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The status.
    pub status: u16,
    /// The run and the call.
    pub call: (u32, u32),
    /// Whether it answers an INVITE, else a BYE.
    pub to_invite: bool,
    text: &'a [u8],
}

const SOUND: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 9 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

impl Caller {
    /// Writes the INVITE.
    pub fn invite(&self, to: SocketAddrV4, out: &mut Vec<u8>) {
        let Self { local, run, call, dialled } = self;
        put(
            out,
            format_args!(
                "INVITE sip:{dialled}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKi{run}x{call}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+4930123@{local}>;tag=f{run}x{call}\r\nTo: <sip:{dialled}@{to}>\r\n\
             Call-ID: {run}x{call}@load\r\nCSeq: 1 INVITE\r\nContact: <sip:load@{local}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SOUND}",
                SOUND.len()
            ),
        );
    }

    /// Writes the ACK to a 200.
    pub fn ack(&self, peer: &Peer, out: &mut Vec<u8>) {
        self.in_dialog("ACK", 'a', peer, out);
    }

    /// Writes the BYE.
    pub fn bye(&self, peer: &Peer, out: &mut Vec<u8>) {
        self.in_dialog("BYE", 'b', peer, out);
    }

    /// Writes the ACK to a refusal: the INVITE's own branch (RFC 3261 §17.1.1.3).
    pub fn ack_refusal(&self, heard: &Heard<'_>, to: SocketAddrV4, out: &mut Vec<u8>) {
        let Self { local, run, call, dialled } = self;
        put(
            out,
            format_args!(
                "ACK sip:{dialled}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKi{run}x{call}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+4930123@{local}>;tag=f{run}x{call}\r\nTo: "
            ),
        );
        out.extend_from_slice(header(heard.text, b"To").unwrap_or(b"<sip:nobody@invalid>"));
        put(
            out,
            format_args!(
                "\r\nCall-ID: {run}x{call}@load\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
            ),
        );
    }

    fn in_dialog(&self, method: &str, branch: char, peer: &Peer, out: &mut Vec<u8>) {
        let Self { local, run, call, .. } = self;
        let cseq = if method == "ACK" { 1 } else { 2 };
        put(out, format_args!("{method} "));
        out.extend_from_slice(&peer.contact);
        put(
            out,
            format_args!(
                " SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{branch}{run}x{call}\r\nMax-Forwards: 70\r\n"
            ),
        );
        out.extend_from_slice(&peer.routes);
        put(out, format_args!("From: <sip:+4930123@{local}>;tag=f{run}x{call}\r\nTo: "));
        out.extend_from_slice(&peer.to);
        put(
            out,
            format_args!(
                "\r\nCall-ID: {run}x{call}@load\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
            ),
        );
    }
}

impl<'a> Heard<'a> {
    /// Reads a response to the load; `None` when it is none.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let status = number(text.strip_prefix(b"SIP/2.0 ")?.get(..3)?)?;
        let call_id = header(text, b"Call-ID")?;
        let call_id = call_id.strip_suffix(b"@load")?;
        let cross = call_id.iter().position(|byte| *byte == b'x')?;
        let call = (number(&call_id[..cross])?, number(&call_id[cross + 1..])?);
        let to_invite = header(text, b"CSeq")?.ends_with(b"INVITE");
        Some(Self { status: u16::try_from(status).ok()?, call, to_invite, text })
    }

    /// What later requests need.
    pub fn peer(&self) -> Option<Peer> {
        let contact = header(self.text, b"Contact")?;
        let open = contact.iter().position(|byte| *byte == b'<')?;
        let close = contact.iter().position(|byte| *byte == b'>')?;
        let mut routes = Vec::new();
        let listed: Vec<&[u8]> = headers(self.text, b"Record-Route").collect();
        for route in listed.iter().rev() {
            routes.extend_from_slice(b"Route: ");
            routes.extend_from_slice(route);
            routes.extend_from_slice(b"\r\n");
        }
        let to = header(self.text, b"To")?.to_vec();
        Some(Peer { to, contact: contact.get(open + 1..close)?.to_vec(), routes })
    }
}

/// Answers a request as the callee: every INVITE and BYE with 200. `false`: it needs no answer.
pub fn answer(request: &[u8], local: SocketAddrV4, out: &mut Vec<u8>) -> bool {
    let is_invite = request.starts_with(b"INVITE ");
    if !is_invite && !request.starts_with(b"BYE ") && !request.starts_with(b"OPTIONS ") {
        return false;
    }
    out.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    let head = request.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    for line in head.skip(1).take_while(|line| !line.is_empty()) {
        let copied = [&b"Via:"[..], b"From:", b"Call-ID:", b"CSeq:", b"Record-Route:"];
        let is_to = line.starts_with(b"To:");
        if is_to || copied.iter().any(|name| line.starts_with(name)) {
            out.extend_from_slice(line);
            if is_to && is_invite {
                out.extend_from_slice(b";tag=callee");
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    let sound = if is_invite { SOUND } else { "" };
    put(out, format_args!("Contact: <sip:callee@{local}>\r\n"));
    if is_invite {
        put(out, format_args!("Content-Type: application/sdp\r\n"));
    }
    put(out, format_args!("Content-Length: {}\r\n\r\n{sound}", sound.len()));
    true
}

/// The value of the first header field of that name, written in full.
fn header<'a>(text: &'a [u8], name: &'a [u8]) -> Option<&'a [u8]> {
    headers(text, name).next()
}

fn headers<'a>(text: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    text.split(|byte| *byte == b'\n').filter_map(move |line| {
        let value = line.strip_prefix(name)?.strip_prefix(b":")?;
        Some(value.trim_ascii())
    })
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = out.write_fmt(text);
}
