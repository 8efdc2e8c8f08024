//! The resolver against a server of DNS on a port of its own, with a zone that changes.

use super::*;
use crate::signalling::Told;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::Record as DnsRecord;
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use parking_lot::Mutex;
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use trunk::locate::{LocateRules, Locator, Place};

/// What the server knows: name and data. `None`: it fails (SERVFAIL).
type Zone = Arc<Mutex<Option<Vec<(&'static str, RData)>>>>;

async fn server(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4_096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
            let reply = reply(&query, &zone);
            let _ = socket.send_to(&reply.to_vec().unwrap(), from).await;
        }
    });
    address
}

fn reply(query: &Message, zone: &Zone) -> Message {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    reply.add_queries(query.queries.clone());
    let zone = zone.lock();
    let Some(records) = zone.as_ref() else {
        reply.metadata.response_code = ResponseCode::ServFail;
        return reply;
    };
    for question in &query.queries {
        let name = question.name().to_ascii().to_lowercase();
        let asked = records.iter().filter(|(owner, data)| {
            *owner == name.trim_end_matches('.') && data.record_type() == question.query_type()
        });
        let record =
            |data: &RData| DnsRecord::from_rdata(question.name().clone(), 30, data.clone());
        reply.add_answers(asked.map(|(_, data)| record(data)));
    }
    reply
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

fn naptr(order: u16, service: &str, to: &str) -> RData {
    let bytes = |text: &str| text.as_bytes().into();
    RData::NAPTR(NAPTR::new(order, 10, bytes("s"), bytes(service), bytes(""), name(to)))
}

fn srv(priority: u16, port: u16, to: &str) -> RData {
    RData::SRV(SRV::new(priority, 10, port, name(to)))
}

fn address(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn service(hosts: &[(u16, u16, &'static str, u8)]) -> Vec<(&'static str, RData)> {
    let mut zone = vec![
        ("carrier.example", naptr(20, "SIP+D2U", "_sip._udp.carrier.example")),
        ("carrier.example", naptr(10, "SIP+D2T", "_sip._tcp.carrier.example")),
    ];
    for (priority, port, host, last) in hosts {
        zone.push(("_sip._tcp.carrier.example", srv(*priority, *port, host)));
        zone.push((*host, address(*last)));
    }
    zone
}

/// Asks what the locator wants until it wants no more; its hops.
async fn located(
    locator: &mut Locator,
    resolver: &Resolver,
    told: &mut mpsc::UnboundedReceiver<Told>,
    mut open: Vec<Question>,
) -> Vec<String> {
    let mut waiting = 0;
    loop {
        for question in open.drain(..) {
            resolver.resolve(question);
            waiting += 1;
        }
        if waiting == 0 {
            return locator.hops(1).iter().map(ToString::to_string).collect();
        }
        let Some(Told::Event(Event::Located { question, answer })) = told.recv().await else {
            panic!("something else was told")
        };
        waiting -= 1;
        locator.answer(&question, answer, Instant::now(), &mut open);
    }
}

/// NAPTR, SRV and A on the wire; then the hosts move, then DNS fails, and the last answer serves.
#[tokio::test]
async fn a_trunk_is_found_found_again_and_kept_while_dns_fails() {
    let first = service(&[(1, 5070, "one.example", 1), (2, 5080, "two.example", 2)]);
    let zone: Zone = Arc::new(Mutex::new(Some(first)));
    let (inbox, mut told) = Inbox::new();
    let resolver = Resolver::new(&[server(zone.clone()).await], inbox);
    let rules = LocateRules { ipv6: false, ttl_min: Duration::ZERO, ..LocateRules::default() };
    let place = Place::parse("carrier.example").unwrap();
    let mut locator = Locator::new(place, rules);
    let now = Instant::now();

    let mut open = Vec::new();
    locator.start(now, &mut open);
    let hops = located(&mut locator, &resolver, &mut told, open).await;
    let at = |port, last| format!("tcp:192.0.2.{last}:{port} (carrier.example)");
    assert_eq!(hops, [at(5_070, 1), at(5_080, 2)]);

    *zone.lock() = Some(service(&[(1, 5090, "three.example", 3)]));
    let mut open = Vec::new();
    locator.handle_deadline(now + Duration::from_secs(60), &mut open);
    assert!(!open.is_empty(), "the answers have run out");
    let hops = located(&mut locator, &resolver, &mut told, open).await;
    assert_eq!(hops, [at(5_090, 3)]);

    *zone.lock() = None;
    let mut open = Vec::new();
    locator.handle_deadline(now + Duration::from_secs(120), &mut open);
    let hops = located(&mut locator, &resolver, &mut told, open).await;
    assert_eq!((hops, locator.is_stale()), (vec![at(5_090, 3)], true));
}

/// What is in no zone is told as such, and not as a failure.
#[tokio::test]
async fn nothing_is_not_a_failure() {
    let zone: Zone = Arc::new(Mutex::new(Some(Vec::new())));
    let (inbox, mut told) = Inbox::new();
    let resolver = Resolver::new(&[server(zone).await], inbox);
    let question = Question { kind: RecordKind::Srv, name: "_sip._udp.nowhere.example".into() };
    resolver.resolve(question.clone());
    let Some(Told::Event(event)) = told.recv().await else { panic!("something else was told") };
    let answer = Answer::Nothing { ttl: NEGATIVE_TTL };
    assert_eq!(event, Event::Located { question, answer });
}
