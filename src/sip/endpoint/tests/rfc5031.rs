//! RFC 5031, RFC 3966: calls for help, however they are addressed.

use super::pair::{A, config};
use super::peer::{Draft, Peer, word};
use crate::event::LegEvent;

fn with_numbers(numbers: &[&str]) -> Peer {
    let mut config = config(A);
    config.defence.emergency = numbers.iter().map(|number| (*number).into()).collect();
    Peer::with(config)
}

/// RFC 5031 §4.2: the URN of a service, whichever, leads to where the number does.
#[test]
fn rfc_5031_s4_2_a_call_for_help_by_its_urn_is_one_to_its_number() {
    for (numbers, uri, expected) in [
        (&["+49112", "110", "112"][..], "urn:service:sos", "112"),
        (&["110", "112"], "URN:service:SOS.fire", "112"),
        (&["+1911", "911"], "urn:service:sos.police", "911"),
    ] {
        let mut peer = with_numbers(numbers);
        let invite = Draft::invite(1).line(&format!("INVITE {uri} SIP/2.0"));
        assert_eq!(word(&peer.request(&invite)[0]), "100", "{uri}");
        let events = peer.take_events();
        let [LegEvent::Incoming { call, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(&*call.dialled, expected);
    }
    for (numbers, uri) in [(&[][..], "urn:service:sos"), (&["112"], "urn:service:counseling")] {
        let invite = Draft::invite(1).line(&format!("INVITE {uri} SIP/2.0"));
        assert_eq!(word(&with_numbers(numbers).request(&invite)[0]), "416", "{uri}");
    }
}

/// RFC 3261 §19.1.1, RFC 3966 §5: what is left unread under load is never such a call.
#[test]
fn a_call_for_help_is_known_by_its_first_line() {
    let peer = with_numbers(&["112"]);
    for (uri, expected) in [
        ("sip:112@gw", true),
        ("sip:112;phone-context=+49@gw;user=phone", true),
        ("sip:112@gw?Subject=x", true),
        ("sip:112%3Bphone-context=%2B49@gw", true),
        ("sip:1-1%32@gw", true),
        ("tel:112", true),
        ("tel:112;phone-context=+49", true),
        ("urn:service:sos.fire", true),
        ("sip:4711@gw", false),
        ("tel:4711", false),
        ("sip:4711@gw;x=112", false),
    ] {
        let message = format!("INVITE {uri} SIP/2.0\r\nTo: <sip:112@gw>\r\n\r\n");
        let known = peer.endpoint.may_call_for_help(message.as_bytes());
        assert_eq!(known, expected, "{uri}");
    }
}
