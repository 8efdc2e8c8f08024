//! Messages cut out of streams.

use super::{INVITE, request};
use crate::error::Fault;
use crate::message::framer::{Framed, HEAD_MAX, StreamFramer};
use crate::message::{LENGTH_MAX, Message, parse_framed};

/// Everything a stream gives when it is pushed in pieces of `step` octets, in words.
fn run(octets: &[u8], step: usize) -> Vec<String> {
    let mut framer = StreamFramer::new();
    let mut found = Vec::new();
    for chunk in octets.chunks(step) {
        framer.push(chunk);
        loop {
            match framer.take() {
                Ok(None) => break,
                Ok(Some(Framed::Ping)) => found.push("ping".to_owned()),
                Ok(Some(Framed::Pong)) => found.push("pong".to_owned()),
                Ok(Some(Framed::Message(message))) => found.push(match parse_framed(message) {
                    Ok(Message::Request(message)) => {
                        format!("{} {}", message.method, message.body.len())
                    }
                    Ok(Message::Response(_)) => panic!("a request"),
                    Err(error) => error.fault.to_string(),
                }),
                Err(error) => {
                    let status = error.response("t").map(|response| response.status);
                    found.push(format!("lost: {} {status:?}", error.fault));
                }
            }
        }
        assert!(framer.held() <= LENGTH_MAX + step);
    }
    found
}

#[test]
fn messages_behind_one_another_are_told_apart_in_any_pieces() {
    let faulty = INVITE.replace("7 INVITE", "7 BYE");
    let stream = format!("{INVITE}\r\n\r\n{faulty}{INVITE}\r\n");
    for step in [1, 2, 3, 7, 100, stream.len()] {
        let mut found = run(stream.as_bytes(), step);
        // A ping in two pieces is told as a pong too.
        found.retain(|what| what != "pong");
        let expected = ["INVITE 4", "ping", "CSeq names another method", "INVITE 4"];
        assert_eq!(found, expected, "in pieces of {step}");
    }
    assert_eq!(
        run(format!("\r\n{INVITE}\r\n\r\n").as_bytes(), 1_000),
        ["pong", "INVITE 4", "ping"]
    );
}

/// RFC 3261 §18.3: on a stream the length must be there and be usable, or the framing is lost.
#[test]
fn a_stream_without_length_is_lost_with_an_answer() {
    let long = format!("Content-Length: {LENGTH_MAX}");
    let rows = [
        ("", Fault::LengthMissing.to_string(), Some(400)),
        ("l: 4\r\nl: 4", "header ContentLength: Repeated".to_owned(), Some(400)),
        ("l: five", "header ContentLength: Malformed".to_owned(), Some(400)),
        (&*long, Fault::TooLong.to_string(), Some(513)),
    ];
    for (line, fault, status) in rows {
        let text = INVITE.replace("Content-Length: 4", line).replace("\r\n\r\n\r\n", "\r\n\r\n");
        let stream = format!("{text}{INVITE}");
        assert_eq!(run(stream.as_bytes(), 50), [format!("lost: {fault} {status:?}")]);
    }
}

#[test]
fn an_endless_head_is_bounded() {
    let stream = INVITE.replace("Max-Forwards: 70", &"X: y\r\n".repeat(HEAD_MAX));
    assert_eq!(run(stream.as_bytes(), 1_000), ["lost: the message is too long Some(513)"]);
    assert_eq!(run(&vec![b'x'; 3 * HEAD_MAX], 1_000), ["lost: the message is too long None"]);
}

#[test]
fn what_a_framer_gives_is_what_a_datagram_gives() {
    let mut framer = StreamFramer::new();
    framer.push(INVITE.as_bytes());
    let Ok(Some(Framed::Message(message))) = framer.take() else { panic!("a message") };
    assert_eq!(parse_framed(message).unwrap(), Message::Request(request(INVITE)));
}

/// RFC 3261 §18.1.1: UDP carries 65,507 octets over IPv4.
#[test]
fn a_datagram_may_be_as_large_as_udp_lets_it() {
    let body = "x".repeat(65_507 - INVITE.len() - 10);
    let text = INVITE.replace("Content-Length: 4", &format!("Content-Length: {}", body.len()));
    let invite = request(text.replace("v=0\n", &body));
    assert_eq!(invite.body.len(), body.len());
}
