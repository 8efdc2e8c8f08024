//! Messages to bytes: names in full, one field a line, Content-Length counted from the body.

use crate::message::headers::Headers;
use crate::message::{Request, Response};
use bytes::Bytes;
use std::io::Write as _;

impl Request {
    /// The request as it goes on the wire.
    pub fn print(&self) -> Bytes {
        let mut out = buffer(&self.headers, &self.body);
        put(&mut out, &[self.method.as_str(), " ", self.uri.as_str(), " SIP/2.0\r\n"]);
        finish(out, &self.headers, &self.body)
    }
}

impl Response {
    /// The response as it goes on the wire. Line ends in the reason become spaces.
    pub fn print(&self) -> Bytes {
        let mut out = buffer(&self.headers, &self.body);
        let _ = write!(out, "SIP/2.0 {} ", self.status);
        if self.reason.contains(['\r', '\n']) {
            put(&mut out, &[&self.reason.replace(['\r', '\n'], " ")]);
        } else {
            put(&mut out, &[&self.reason]);
        }
        put(&mut out, &["\r\n"]);
        finish(out, &self.headers, &self.body)
    }
}

/// Room for the whole: growing would copy.
fn buffer(headers: &Headers, body: &Bytes) -> Vec<u8> {
    let fields: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    Vec::with_capacity(fields + body.len() + 192)
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

fn finish(mut out: Vec<u8>, headers: &Headers, body: &Bytes) -> Bytes {
    for (name, value) in headers.iter() {
        put(&mut out, &[name, ": ", value, "\r\n"]);
    }
    let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    out.extend_from_slice(body);
    out.into()
}
