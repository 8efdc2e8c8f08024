//! Whatever comes in: nothing breaks, and what is read prints and reads again the same.

use crate::message::framer::{Framed, StreamFramer};
use crate::message::name_addr::NameAddr;
use crate::message::params::{Params, quote, split_list, unquote};
use crate::message::parse_framed;
use crate::message::uri::Uri;
use crate::message::via::Via;
use crate::message::{Message, parse};
use crate::sdp::Session;
use crate::sdp::negotiate::Negotiation;
use bytes::Bytes;
use domain::media_plan::Codec;
use proptest::prelude::*;
use std::net::SocketAddr;

/// Texts in which the characters of the grammar come thick.
fn grammar() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("SIP/2.0"),
        Just("INVITE"),
        Just("sip:"),
        Just("a@h"),
        Just("<"),
        Just(">"),
        Just("\""),
        Just("\\"),
        Just(";"),
        Just(","),
        Just("="),
        Just(":"),
        Just("?"),
        Just("%4"),
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just(" "),
        Just("\t"),
        Just("Via: "),
        Just("To: "),
        Just("l: 1"),
        Just("é"),
        Just("["),
        Just("::1]"),
        Just("tag"),
        Just("\0"),
        Just("7"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A header value without line ends, as a sender might write it.
fn value() -> impl Strategy<Value = String> {
    grammar().prop_map(|text| text.replace(['\r', '\n'], " ").trim_matches([' ', '\t']).to_owned())
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::collection::vec(("X-[A-Za-z]{1,8}", value()), 0..8);
    let body = prop::collection::vec(any::<u8>(), 0..60);
    let display = any::<String>();
    (fields, body, display, "[a-z0-9]{1,12}", any::<bool>(), 0_u32..1 << 31).prop_map(
        |(fields, body, display, word, is_request, cseq)| {
            let start = if is_request { "BYE sip:b@h SIP/2.0" } else { "SIP/2.0 200 Fine" };
            let mut text = format!(
                "{start}\r\nv: SIP/2.0/TCP h;branch=z9hG4bK{word}\r\nf: {} <sip:{word}@g>;tag={word}\r\n\
                 t: sip:{word}@h\r\ni: {word}\r\nCSeq: {cseq} BYE\r\n",
                quote(&display)
            );
            for (name, value) in fields {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            let mut octets = format!("{text}l: {}\r\n\r\n", body.len()).into_bytes();
            octets.extend(body);
            octets
        },
    )
}

/// What may stand behind an address or a Via, sound and not.
fn tail() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(";"),
        Just(";a"),
        Just(";a=b"),
        Just(";a=\"b;,<\\\"\""),
        Just(";a=<b>"),
        Just(";a=<"),
        Just(";tag"),
        Just(";tag=1"),
        Just(";tag=\"1\""),
        Just(";rport"),
        Just(";rport=7"),
        Just(";received=h"),
        Just(";branch=z9hG4bK1"),
        Just(" "),
        Just("\t"),
        Just("\r\n "),
        Just(","),
        Just(", SIP/2.0/UDP g"),
        Just("\""),
        Just("="),
        Just("\u{c}"),
        Just("\u{e9}"),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Requests whose Via, From and To are odd.
fn odd_request() -> impl Strategy<Value = String> {
    let address = prop_oneof![
        Just("sip:a@h"),
        Just("<sip:a@h>"),
        Just("<sip:a@h;b?c=d>"),
        Just("\"a;,\\\"\" <sip:a@h>"),
        Just("a <tel:+1>"),
    ];
    let via = prop_oneof![Just("SIP/2.0/UDP h"), Just("SIP / 2.0 / TCP [::1]:5"), Just(",")];
    let names = prop_oneof![Just(["Via", "From", "To"]), Just(["v", "f", "T"])];
    let tails = [tail(), tail(), tail()];
    (names, via, [address.clone(), address], tails).prop_map(
        |([v, f, t], via, [from, to], [a, b, c])| {
            format!(
                "INVITE sip:b@h SIP/2.0\r\n{v}: {via}{a}\r\n{f}: {from}{b}\r\n{t}: {to}{c}\r\n\
                 i: c\r\nCSeq: 1 INVITE\r\nRecord-Route: <sip:r>{a}\r\n\r\n"
            )
        },
    )
}

/// A message that is read prints so that it reads again the same.
fn read_twice(octets: &[u8]) -> Option<Message> {
    match parse(Bytes::copy_from_slice(octets)) {
        Ok(message) => {
            assert_eq!(parse(message.print()).as_ref(), Ok(&message));
            Some(message)
        }
        Err(error) => {
            let refusal = error.response("t").map(|refusal| refusal.print().len());
            assert!(refusal.unwrap_or(0) <= octets.len() + 512);
            None
        }
    }
}

/// A description whose lines are each sound or nearly so.
fn description() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "m=(audio|video) [0-9]{1,5} RTP/(AVP|SAVP) [0-9 ]{1,9}",
        "a=(rtpmap:[0-9]{1,3} (PCMU|PCMA|telephone-event)/8000(/[0-9])?|ptime:[0-9.]{0,5}|sendonly)",
        "c=IN IP(4|6) (0.0.0.0|192.0.2.[0-9]{1,3}|h|::1|224.0.0.1/1)",
        "[a-z]=[ -~]{0,12}",
    ];
    prop::collection::vec(line, 0..12)
        .prop_map(|lines| format!("v=0\r\no=- 1 1 IN IP4 h\r\n{}", lines.join("\r\n")))
}

proptest! {
    #[test]
    fn any_description_is_swallowed(text in description()) {
        let codecs = [Codec::Pcmu, Codec::Pcma];
        let local = SocketAddr::from(([192, 0, 2, 1], 4000));
        if let Ok(session) = Session::parse(text.as_bytes()) {
            let printed = session.print();
            prop_assert_eq!(Session::parse(printed.as_bytes()), Ok(session.clone()));
            let mut negotiation = Negotiation::new(1, &codecs);
            if let Ok((answer, _)) = negotiation.answer(text.as_bytes(), local) {
                let answer = Session::parse(&answer).unwrap();
                prop_assert_eq!(answer.media.len(), session.media.len());
            }
        }
        let mut offering = Negotiation::new(1, &codecs);
        offering.offer(local);
        let _ = offering.accept(text.as_bytes(), local.ip());
    }

    #[test]
    fn any_bytes_are_swallowed(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        read_twice(&octets);
        let _ = Session::parse(&octets);
    }

    #[test]
    fn any_grammar_is_swallowed(text in grammar(), step in 1_usize..9) {
        read_twice(text.as_bytes());
        let _ = (Uri::parse(&text), NameAddr::parse(&text), Via::parse(&text));
        let _ = (split_list(&text).count(), Params::new(&text).iter().count());
        let mut framer = StreamFramer::new();
        for chunk in text.as_bytes().chunks(step) {
            framer.push(chunk);
            while let Ok(Some(framed)) = framer.take() {
                if let Framed::Message(message) = framed {
                    let _ = parse_framed(message);
                }
            }
        }
    }

    #[test]
    fn sound_messages_are_read_whatever_their_fields_say(octets in message()) {
        prop_assert!(read_twice(&octets).is_some());
    }

    /// One octet wrong anywhere: read or refused, never broken.
    #[test]
    fn damaged_messages_are_swallowed(
        mut octets in message(),
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let at = at.index(octets.len());
        octets[at] = octet;
        read_twice(&octets);
    }

    /// Whatever is taken is answered by what can be taken, with our tag on it, and may be stamped.
    #[test]
    fn odd_requests_have_sound_answers(text in odd_request()) {
        if let Some(Message::Request(mut request)) = read_twice(text.as_bytes()) {
            let tagged = request.headers.to().unwrap().tag().map(str::to_owned);
            for status in [100, 180, 404] {
                let made = request.response(status, Some("ours"));
                let expected = tagged.as_deref().or((status > 100).then_some("ours"));
                prop_assert_eq!(made.headers.to().unwrap().tag(), expected);
                prop_assert_eq!(parse(made.print()), Ok(Message::Response(made)));
            }
            let others = request.headers.vias().count();
            request.headers.stamp_via(([192, 0, 2, 7], 9).into());
            prop_assert_eq!(request.headers.vias().count(), others);
            prop_assert!(request.headers.via().unwrap().response_address().is_some());
            prop_assert!(read_twice(&request.print()).is_some());
        }
    }

    #[test]
    fn quoting_is_undone(text in any::<String>()) {
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = quote(&text);
        prop_assert_eq!(unquote(&quoted), plain);
    }

    #[test]
    fn made_uris_give_their_user_back(user in any::<String>(), port: u16) {
        prop_assume!(user.len() < 300);
        let uri = Uri::of_address(&user, ([192, 0, 2, 1], port).into()).unwrap();
        let found = uri.user().unwrap_or_default();
        prop_assert_eq!(&*found, &user);
        prop_assert!(uri.is_equivalent(&uri));
    }
}
