//! A session description read and printed, answered as an offer, taken as an answer.

use domain::ip_version::IpVersions;
use domain::media_plan::Codec;
use sip::sdp::Session;
use sip::sdp::negotiate::Negotiation;
use std::net::SocketAddr;

pub fn run(data: &[u8]) {
    if let Ok(session) = Session::parse(data) {
        let printed = session.print();
        assert_eq!(
            Session::parse(printed.as_bytes()).as_ref(),
            Ok(&session),
            "parse(print(s)) = s"
        );
    }
    let local = SocketAddr::from(([192, 0, 2, 1], 40_000));
    let fresh = || Negotiation::new(7, &[Codec::Pcma, Codec::Pcmu]);
    let mut answering = fresh();
    let preview = answering.preview(data, IpVersions::of([local.ip()]));
    match answering.answer(data, local) {
        Ok((answer, plan)) => {
            assert_eq!(preview.as_ref(), Ok(&plan));
            check_answer(data, &answer);
            // RFC 3264 §8: the same offer again has the same answer.
            let again = answering.answer(data, local).expect("it was good before");
            assert_eq!((again.0, again.1), (answer, plan));
        }
        Err(error) => assert!(matches!(error.status(), 400 | 488)),
    }
    let mut offering = fresh();
    let offer = offering.offer(local);
    assert!(Session::parse(&offer).is_ok());
    if let Ok(plan) = offering.accept(data, local.ip()) {
        assert!(
            plan.remote.port() > 0 || plan.direction != domain::media_plan::Direction::SendRecv
        );
    }
    let _ = offering.accept_again(data, local.ip());
}

/// RFC 3264 §6: as many media in the same order, at most one of them in use.
fn check_answer(offer: &[u8], answer: &[u8]) {
    let (Ok(offer), Ok(answer)) = (Session::parse(offer), Session::parse(answer)) else {
        panic!("an offer that is answered is sound, and so is its answer");
    };
    assert_eq!(offer.media.len(), answer.media.len());
    for (asked, given) in offer.media.iter().zip(&answer.media) {
        assert_eq!((asked.kind, asked.protocol), (given.kind, given.protocol));
        assert!(asked.port > 0 || given.port == 0);
    }
    assert_eq!(answer.media.iter().filter(|media| media.port > 0).count(), 1);
}
