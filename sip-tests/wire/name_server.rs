//! A server of DNS on loopback with a zone of its own: as much of RFC 1035 as a trunk's search asks
//! for. Nothing but its questions is read; what it does not know is answered with no records.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

/// The data of a record.
#[derive(Clone, Debug)]
pub enum Data {
    /// RFC 3403 §4.1: order, service (`SIP+D2U`), the name to ask next.
    Naptr(u16, &'static str, &'static str),
    /// RFC 2782: priority, port, host.
    Srv(u16, u16, &'static str),
    /// The address of a host.
    A(Ipv4Addr),
}

/// Starts one that knows these names for as long as the process lives; where it is.
pub fn start(zone: Vec<(&'static str, Data)>) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = reply(&buffer[..length], &zone) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

/// The reply to a query of one question; `None`: it is none.
fn reply(query: &[u8], zone: &[(&str, Data)]) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    while let length @ 1.. = usize::from(*query.get(at)?) {
        labels.push(String::from_utf8_lossy(query.get(at + 1..=at + length)?).to_lowercase());
        at += 1 + length;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    let question = query.get(12..at + 5)?;
    let records: Vec<&Data> = zone
        .iter()
        .filter(|(owner, data)| *owner == name && data.kind() == kind)
        .map(|(_, data)| data)
        .collect();
    let mut reply = query[..2].to_vec();
    // A response with authority, without error; one question, no authority, nothing additional.
    reply.extend([0x85, 0x80, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    reply.extend(question);
    for data in records {
        let bytes = data.bytes();
        // The name of the question, at its place; class IN; a minute.
        reply.extend([0xC0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
        reply.extend(bytes);
    }
    Some(reply)
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Srv(..) => 33,
            Self::Naptr(..) => 35,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Srv(priority, port, host) => {
                let mut bytes = Vec::new();
                for number in [*priority, 10, *port] {
                    bytes.extend(number.to_be_bytes());
                }
                bytes.extend(name(host));
                bytes
            }
            Self::Naptr(order, service, next) => {
                let mut bytes = order.to_be_bytes().to_vec();
                bytes.extend(10_u16.to_be_bytes());
                for text in ["s", service, ""] {
                    bytes.extend(text_of(text));
                }
                bytes.extend(name(next));
                bytes
            }
        }
    }
}

/// A text behind its length.
fn text_of(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short texts only");
    [&[length], text.as_bytes()].concat()
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.split('.').flat_map(text_of).collect();
    bytes.push(0);
    bytes
}
