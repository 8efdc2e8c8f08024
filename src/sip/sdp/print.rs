//! Session descriptions to their text, in the order of RFC 8866 §5.

use crate::sdp::{Attribute, Connection, Session};
use std::fmt::{self, Write as _};
use std::net::IpAddr;

pub(super) fn session(session: &Session<'_>) -> String {
    format!("v=0\r\no={}\r\n{}", session.origin, behind_origin(session))
}

/// Everything from `s=` on: what tells whether a description is another than the one before.
pub(super) fn behind_origin(session: &Session<'_>) -> String {
    let mut out = String::with_capacity(384);
    put(&mut out, &["s=", session.name, "\r\n"]);
    put_connection(&mut out, session.connection);
    put(&mut out, &["t=", session.time, "\r\n"]);
    put_attributes(&mut out, &session.attributes);
    for media in &session.media {
        let _ = write!(out, "m={} {} {}", media.kind, media.port, media.protocol);
        for format in &media.formats {
            put(&mut out, &[" ", format]);
        }
        out.push_str("\r\n");
        put_connection(&mut out, media.connection);
        put_attributes(&mut out, &media.attributes);
    }
    out
}

fn put_connection(out: &mut String, connection: Option<Connection<'_>>) {
    let _ = match connection {
        Some(Connection::Ip(ip)) => write!(out, "c=IN {}\r\n", Address(ip)),
        Some(Connection::Named(value)) => write!(out, "c={value}\r\n"),
        None => Ok(()),
    };
}

fn put_attributes(out: &mut String, attributes: &[Attribute<'_>]) {
    for (name, value) in attributes {
        match value {
            Some(value) => put(out, &["a=", name, ":", value, "\r\n"]),
            None => put(out, &["a=", name, "\r\n"]),
        }
    }
}

fn put(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

/// An address with its kind in front: `IP4 192.0.2.1`.
pub(super) struct Address(pub IpAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.0.is_ipv4() { "IP4" } else { "IP6" }, self.0)
    }
}
