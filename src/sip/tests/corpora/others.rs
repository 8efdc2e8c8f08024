//! What other stacks test themselves with: nothing panics or hangs, what is read is printed so
//! that it reads the same again, and what is answered stays small.

use crate::{files, stem, with_crlf};
use bytes::Bytes;
use domain::media_plan::Codec;
use rand::SeedableRng as _;
use sip::digest::answerer::Answerer;
use sip::message::framer::{Framed, StreamFramer};
use sip::message::name::Name;
use sip::message::name_addr::NameAddr;
use sip::message::uri::Uri;
use sip::message::via::Via;
use sip::message::{Message, parse, parse_framed};
use sip::sdp::Session;
use sip::sdp::negotiate::Negotiation;
use std::net::SocketAddr;

/// Reads one datagram and everything in it; whether it was a message.
pub fn swallow(octets: &[u8]) -> bool {
    match parse(Bytes::copy_from_slice(octets)) {
        Ok(message) => {
            read_fields(&message);
            let again = parse(message.print()).expect("what we print can be read");
            assert_eq!(again, message);
            true
        }
        Err(error) => {
            if let Some(refusal) = error.response("totag") {
                let printed = refusal.print();
                assert!(printed.len() <= octets.len() + 512, "a refusal never swells");
            }
            false
        }
    }
}

fn read_fields(message: &Message) {
    let headers = message.headers();
    let _ = (headers.max_forwards(), headers.expires(), headers.min_expires());
    let _ = (headers.contacts(), headers.routes(), headers.record_routes());
    let _ = (headers.content_type(), headers.retry_after(), headers.reasons().count());
    for name in [Name::Authorization, Name::WwwAuthenticate, Name::ProxyAuthenticate] {
        let mut answerer = Answerer::new("user", "password");
        if answerer.take_challenge(headers.authorisations(name), false).is_ok() {
            let mut random = rand::rngs::StdRng::seed_from_u64(1);
            assert!(answerer.authorise("REGISTER", "sip:a", &mut random).is_some());
        }
    }
    if let Message::Request(request) = message {
        let mut response = request.response(200, Some("totag"));
        response.headers.stamp_via(SocketAddr::from(([192, 0, 2, 1], 5060)));
        assert!(response.headers.via().is_ok());
        assert!(parse(response.print()).is_ok());
        swallow_sdp(&request.body);
    }
}

fn swallow_sdp(body: &[u8]) -> bool {
    let Ok(session) = Session::parse(body) else { return false };
    let printed = session.print();
    assert_eq!(Session::parse(printed.as_bytes()).as_ref(), Ok(&session));
    let mut negotiation = Negotiation::new(1, &[Codec::Pcmu, Codec::Pcma]);
    let local = SocketAddr::from(([192, 0, 2, 1], 4000));
    if let Ok((answer, plan)) = negotiation.answer(body, local) {
        let answer = Session::parse(&answer).expect("our answer can be read");
        // RFC 3264 §6: as many media, of the same kinds, all but one refused.
        let kinds = |session: &Session<'_>| -> Vec<_> {
            session.media.iter().map(|media| media.kind.to_owned()).collect()
        };
        assert_eq!(kinds(&answer), kinds(&session));
        assert_eq!(answer.media.iter().filter(|media| media.port != 0).count(), 1);
        let at = answer.media.iter().position(|media| media.port != 0).expect("counted above");
        let offered = &session.media[at].formats;
        assert!(answer.media[at].formats.iter().all(|format| offered.contains(format)));
        assert!((10..=60).contains(&plan.ptime_ms));
    }
    true
}

/// A stream in steps of a few octets gives what the whole gives.
fn swallow_stream(octets: &[u8]) {
    let run = |step: usize| {
        let mut framer = StreamFramer::new();
        let mut messages = Vec::new();
        for chunk in octets.chunks(step) {
            framer.push(chunk);
            loop {
                match framer.take() {
                    Ok(Some(Framed::Message(message))) => messages.push(parse_framed(message)),
                    Ok(Some(Framed::Ping | Framed::Pong)) => (),
                    Ok(None) => break,
                    Err(error) => {
                        messages.push(Err(error));
                        break;
                    }
                }
            }
        }
        messages
    };
    let whole = run(octets.len().max(1));
    for step in [7, 300] {
        let parts = run(step);
        let faults = |messages: &[Result<Message, _>]| -> Vec<bool> {
            messages.iter().map(Result::is_ok).collect()
        };
        assert_eq!(faults(&parts), faults(&whole));
    }
}

fn swallow_folder(folder: &str, at_least: usize) {
    let Some(files) = files(folder) else { return };
    let mut messages = 0;
    for (path, content) in &files {
        if stem(path) == "README" {
            continue;
        }
        // Some begin with a line for their own test programs.
        let content = match content.strip_prefix(b"expected_error") {
            Some(rest) => rest.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or(rest),
            None => content,
        };
        let crlf = with_crlf(content);
        let ok = swallow(content) | swallow(&crlf);
        messages += usize::from(ok);
        swallow_stream(content);
        swallow_stream(&crlf);
        swallow_sdp(content);
    }
    println!("{folder}: {messages} of {} files are messages", files.len());
    assert!(messages >= at_least, "{folder}: only {messages} read");
}

#[test]
fn messages_of_other_stacks_are_swallowed() {
    swallow_folder("sip-libosip2", 40);
    swallow_folder("sip-messages", 20);
    swallow_folder("sip-torture-4475", 15);
}

#[test]
fn session_descriptions_are_swallowed() {
    let Some(files) = files("sdp") else { return };
    let read = files.iter().filter(|(_, content)| {
        let crlf = with_crlf(content);
        swallow_sdp(content) | swallow_sdp(&crlf)
    });
    let count = read.count();
    println!("sdp: {count} of {} files are descriptions", files.len());
    assert!(count > 10);
}

/// The lists have bad cases too, some marked by a comment only: most must be read, none may
/// break the reader.
#[test]
fn lists_of_values_are_swallowed() {
    let Some(files) = files("sip-libosip2") else { return };
    for (path, content) in files.iter().filter(|(path, _)| path.extension().is_some()) {
        let text = String::from_utf8_lossy(content);
        let lines = text.lines().map(str::trim);
        let lines: Vec<_> =
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let is_read = |line: &&&str| {
            let value = line.split_once(':').map_or(**line, |(_, value)| value.trim());
            match stem(path) {
                "urls" | "urls-2" | "urls-3" => Uri::parse(line).is_ok(),
                "vias" => Via::parse(line).is_some() || Via::parse(value).is_some(),
                "froms" | "tos" | "contacts" | "routes" | "recordroutes" => {
                    NameAddr::parse(line).is_some() || NameAddr::parse(value).is_some()
                }
                _ => true,
            }
        };
        let read = lines.iter().filter(is_read).count();
        println!("{}: {read} of {} read", stem(path), lines.len());
        assert!(read * 10 >= lines.len() * 6, "{}", stem(path));
    }
}

#[test]
fn rfc_digests_come_out_as_published() {
    let Some(files) = files("vectors") else { return };
    let (_, content) = files.iter().find(|(path, _)| stem(path) == "digest").expect("it is there");
    let text = String::from_utf8_lossy(content);
    // One object of flat strings after the other: enough to read without a JSON library.
    let field = |object: &str, name: &str| -> String {
        let (_, rest) = object.split_once(&format!("\"{name}\":")).expect("each has this field");
        rest.trim_start().trim_start_matches('"').split('"').next().unwrap_or("").to_owned()
    };
    let objects: Vec<_> = text.split('{').skip(1).collect();
    assert!(!objects.is_empty());
    for object in objects {
        let value = |name| field(object, name);
        let algorithm = sip::digest::Algorithm::parse(Some(&value("algorithm"))).expect("known");
        let sum = sip::digest::Sum {
            algorithm,
            is_session: false,
            secret: [&value("username"), &value("realm"), &value("password")],
            request: [&value("method"), &value("uri")],
            nonce: &value("nonce"),
            qop: sip::digest::Qop::Auth { nc: &value("nc"), cnonce: &value("cnonce") },
        };
        assert_eq!(sum.response(), value("response"), "{}", value("src"));
    }
}
