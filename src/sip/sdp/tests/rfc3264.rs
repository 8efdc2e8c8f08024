//! RFC 3264, rule by rule, where the other tests do not say it.

use super::{BOTH, local, offer, text};
use crate::sdp::negotiate::Negotiation;
use crate::sdp::{Connection, Session};
use domain::media_plan::{Codec, Direction};

fn lines<'a>(body: &'a [u8], front: &str) -> Vec<&'a str> {
    text(body).lines().filter(|line| line.starts_with(front)).collect()
}

/// §5: one whole description, numbers within 63 bits, nothing promised that RTP has not.
#[test]
fn an_offer_of_ours_is_one_description() {
    for id in [0, 1, u64::MAX] {
        let mut negotiation = Negotiation::new(id, &BOTH);
        let ours = negotiation.offer(local());
        assert_eq!(lines(&ours, "v="), ["v=0"]);
        assert_eq!(Session::parse(&ours).unwrap().print().as_bytes(), &ours[..]);
        let origin: Vec<_> = lines(&ours, "o=")[0].split(' ').collect();
        assert!(origin[1].parse::<i64>().is_ok(), "{origin:?}");
        assert_eq!(origin[2].parse::<i64>(), Ok(1));
        let media = &Session::parse(&ours).unwrap().media;
        assert_eq!((media.len(), media[0].port), (1, 4000));
        assert_eq!(lines(&ours, "a=ptime"), ["a=ptime:20"]);
    }
}

/// §6: the origin is ours, the time theirs, the address one of ours, even where we only send.
#[test]
fn an_answer_has_its_own_origin_and_the_time_of_the_offer() {
    for time in ["t=0 0", "t=2873397496 2873404696", "t=0 0\r\nt=1 2"] {
        let body = offer(&["m=audio 5 RTP/AVP 0", "a=recvonly"]);
        let body = String::from_utf8(body).unwrap().replace("t=0 0", time);
        let (answer, plan) = Negotiation::new(9, &BOTH).answer(body.as_bytes(), local()).unwrap();
        assert_eq!(lines(&answer, "t=")[0], time.split("\r\n").next().unwrap());
        assert_eq!(lines(&answer, "o="), ["o=trunkline 9 1 IN IP4 192.0.2.1"]);
        assert_eq!(lines(&answer, "c="), ["c=IN IP4 192.0.2.1"]);
        assert_eq!(lines(&answer, "m="), ["m=audio 4000 RTP/AVP 0"]);
        assert_eq!(plan.direction, Direction::SendOnly);
    }
}

/// §6.1: what we send with are the numbers of the offer.
#[test]
fn we_send_with_the_numbers_of_the_other_side() {
    let theirs =
        ["m=audio 5 RTP/AVP 96 97", "a=rtpmap:96 PCMA/8000", "a=rtpmap:97 telephone-event/8000"];
    let (answer, plan) = Negotiation::new(9, &BOTH).answer(&offer(&theirs), local()).unwrap();
    assert_eq!(
        (plan.codec, plan.payload_type, plan.event_payload_type),
        (Codec::Pcma, 96, Some(97))
    );
    assert_eq!(lines(&answer, "m="), ["m=audio 4000 RTP/AVP 96 97"]);
    let maps = ["a=rtpmap:96 PCMA/8000", "a=rtpmap:97 telephone-event/8000"];
    assert_eq!(lines(&answer, "a=rtpmap"), maps);
    // §5.1: and of the answer, where the offer is ours.
    let mut negotiation = Negotiation::new(9, &BOTH);
    negotiation.offer(local());
    let plan = negotiation.accept(&offer(&theirs), local().ip()).unwrap();
    assert_eq!(
        (plan.codec, plan.payload_type, plan.event_payload_type),
        (Codec::Pcma, 96, Some(97))
    );
}

/// §7, §8.3.2: only what the last answer or offer has is sent with.
#[test]
fn what_is_no_longer_listed_is_no_longer_sent() {
    let mut negotiation = Negotiation::new(9, &BOTH);
    let plan = |negotiation: &Negotiation| {
        negotiation.plan().map(|plan| (plan.codec, plan.event_payload_type))
    };
    let events = "a=rtpmap:101 telephone-event/8000";
    negotiation.answer(&offer(&["m=audio 5 RTP/AVP 8 0 101", events]), local()).unwrap();
    assert_eq!(plan(&negotiation), Some((Codec::Pcma, Some(101))));
    negotiation.answer(&offer(&["m=audio 5 RTP/AVP 0"]), local()).unwrap();
    assert_eq!(plan(&negotiation), Some((Codec::Pcmu, None)));
    negotiation.offer(local());
    negotiation.accept(&offer(&["m=audio 5 RTP/AVP 8"]), local().ip()).unwrap();
    assert_eq!(plan(&negotiation), Some((Codec::Pcma, None)));
}

/// §8: one more for what has changed, the same text and number for what has not; theirs may come
/// unchanged, too.
#[test]
fn a_version_is_one_text() {
    let mut negotiation = Negotiation::new(9, &BOTH);
    let same = offer(&["m=audio 5 RTP/AVP 8"]);
    let (first, plan) = negotiation.answer(&same, local()).unwrap();
    assert_eq!(negotiation.answer(&same, local()), Ok((first.clone(), plan)));
    assert_eq!(negotiation.offer_again(local()), first);
    negotiation.withdraw_offer();
    let held = negotiation.offer_held(local(), true);
    let number = |body: &[u8]| lines(body, "o=")[0].to_owned();
    assert_eq!(number(&first), "o=trunkline 9 1 IN IP4 192.0.2.1");
    assert_eq!(number(&held), "o=trunkline 9 2 IN IP4 192.0.2.1");
    assert_eq!(lines(&held, "a=send"), ["a=sendonly"]);
    assert_eq!(negotiation.offer_held(local(), true), held);
    let back = negotiation.offer_held(local(), false);
    assert_eq!(
        (number(&back), lines(&back, "a=send")),
        ("o=trunkline 9 3 IN IP4 192.0.2.1".into(), vec!["a=sendrecv"])
    );
}

/// §8, §8.1, §8.2: their new medium stands below and gets its place; none vanishes from ours.
#[test]
fn media_stay_in_their_places_for_good() {
    let mut negotiation = Negotiation::new(9, &BOTH);
    negotiation.answer(&offer(&["m=audio 5 RTP/AVP 8"]), local()).unwrap();
    let more = ["m=audio 5 RTP/AVP 8", "m=video 7 RTP/AVP 31", "m=audio 0 RTP/AVP 0"];
    let (answer, _) = negotiation.answer(&offer(&more), local()).unwrap();
    let places = ["m=audio 4000 RTP/AVP 8", "m=video 0 RTP/AVP 31", "m=audio 0 RTP/AVP 0"];
    assert_eq!(lines(&answer, "m="), places);
    let ours = negotiation.offer(local());
    assert_eq!(lines(&ours, "m=").len(), 3);
    assert_eq!(lines(&ours, "m=")[1..], places[1..]);
}

/// §8.3.2: a number stands for one format as long as the session lasts.
#[test]
fn a_number_stands_for_one_format() {
    let mut negotiation = Negotiation::new(9, &BOTH);
    let theirs = [
        "m=audio 5 RTP/AVP 110 111",
        "a=rtpmap:110 PCMA/8000",
        "a=rtpmap:111 telephone-event/8000",
    ];
    negotiation.answer(&offer(&theirs), local()).unwrap();
    let ours = negotiation.offer(local());
    let maps = lines(&ours, "a=rtpmap");
    assert!(maps.contains(&"a=rtpmap:110 PCMA/8000"), "{maps:?}");
    assert!(maps.contains(&"a=rtpmap:111 telephone-event/8000"), "{maps:?}");
    let mut numbers: Vec<_> = maps.iter().filter_map(|map| map.split(' ').next()).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), maps.len());
}

/// §6.1: only unicast is answered, and with it.
#[test]
fn multicast_is_refused() {
    for address in ["c=IN IP4 224.2.1.1/127", "c=IN IP4 255.255.255.255"] {
        let body = offer(&["m=audio 5 RTP/AVP 8", address]);
        assert!(Negotiation::new(9, &BOTH).answer(&body, local()).is_err());
    }
    let (answer, _) =
        Negotiation::new(9, &BOTH).answer(&offer(&["m=audio 5 RTP/AVP 8"]), local()).unwrap();
    let session = Session::parse(&answer).unwrap();
    assert_eq!(session.connection, Some(Connection::Ip(local().ip())));
}
