//! Each status that a request can be refused with before it is a call: where its RFC says, and with
//! the header field that makes the refusal useful.

use super::pair::{A, agent, config};
use super::peer::{Draft, Peer, header, sdp, word};
use crate::endpoint::config::{EndpointConfig, Reliable};
use crate::event::{LegCommand, LegEvent};
use crate::identity::border::Methods;
use crate::message::method::Method;
use domain::id::LegId;
use domain::ip_version::IpVersion;

fn invite() -> Draft {
    Draft::invite(1)
}

fn other(method: &str) -> Draft {
    Draft::new(method, 1)
}

/// Of the house of A, changed.
fn house(change: impl FnOnce(&mut EndpointConfig)) -> EndpointConfig {
    let mut config = config(A);
    change(&mut config);
    config
}

/// `(where it is written, the request, the status, the header field that must be there)`.
type Row = (&'static str, Draft, &'static str, &'static str);

fn check(config: &EndpointConfig, from: [u8; 4], rows: Vec<Row>) {
    for (rule, draft, status, field) in rows {
        let mut peer = Peer::with(config.clone());
        peer.flow.remote = (from, 5060).into();
        let answers = peer.request(&draft);
        assert_eq!(answers.len(), 1, "{rule}: {}", draft.print());
        assert_eq!(word(&answers[0]), status, "{rule}: {}", draft.print());
        assert!(field.is_empty() || answers[0].contains(field), "{rule}: {}", answers[0]);
        assert!(header(&answers[0], "To").contains(";tag="), "{rule}: {}", answers[0]);
        assert_eq!((peer.endpoint.legs(), peer.endpoint.transactions()), (0, 0), "{rule}");
    }
}

#[test]
fn requests_of_trunks_get_the_answer_their_rfc_gives() {
    let long = format!("INVITE sip:{}@192.0.2.1 SIP/2.0", "1".repeat(9_000));
    let many = ["x"; 121].join("\r\nX-Many: ");
    let rows = vec![
        ("3261 §21.4.1", invite().set("CSeq", "x INVITE"), "400", ""),
        ("3261 §8.1.1.8", invite().set("Contact", ""), "400", ""),
        ("3515 §5.2", other("REFER"), "403", ""),
        ("3261 §21.4.6", other("PUBLISH"), "405", "\r\nAllow: INVITE"),
        ("3261 §8.2.1", other("FROBNICATE"), "405", "\r\nAllow: INVITE"),
        ("3261 §21.4.7", invite().set("Accept", "text/plain, image/*"), "406", ""),
        ("3261 §21.4.11", invite().body("application/sdp", &"x".repeat(40_000)), "413", ""),
        ("3261 §21.4.12", invite().line(&long), "414", ""),
        ("3261 §21.4.13", invite().body("text/plain", "x"), "415", "\r\nAccept: application/sdp"),
        (
            "3261 §8.2.3",
            invite().set("Content-Encoding", "gzip"),
            "415",
            "\r\nAccept-Encoding: identity",
        ),
        ("3261 §21.4.14", invite().line("INVITE urn:service:sos SIP/2.0"), "416", ""),
        ("3261 §21.4.15", invite().set("Require", "gin"), "420", "\r\nUnsupported: gin"),
        (
            "4028 §6",
            invite().set("Supported", "timer").set("Session-Expires", "30"),
            "422",
            "\r\nMin-SE: 90",
        ),
        ("3261 §12.2.2", invite().to("<sip:4711@192.0.2.1>;tag=none"), "481", ""),
        ("3261 §9.2", other("CANCEL"), "481", ""),
        ("3261 §15.1.2", other("BYE"), "481", ""),
        ("3262 §3", other("PRACK"), "481", ""),
        ("3261 §16.3", invite().set("Max-Forwards", "0"), "483", ""),
        (
            "3261 §21.4.26",
            invite().body("application/sdp", &sdp("18", "sendrecv")),
            "488",
            "\r\nWarning: 3",
        ),
        ("6665 §4.2.1.4", other("SUBSCRIBE").set("Event", "presence"), "489", "\r\nAllow-Events: "),
        ("3261 §21.4.28", invite().body("application/pkcs7-mime", "x"), "493", ""),
        ("3261 §21.5.6", invite().line("INVITE sip:4711@192.0.2.1 SIP/3.0"), "505", ""),
        ("3261 §21.5.7", invite().set("X-Many", &many), "513", ""),
    ];
    check(&config(A), [192, 0, 2, 2], rows);
}

/// We are a user agent to everybody, never a proxy, so it is always 401 and never 407 (RFC 3261
/// §22.2, §22.3).
#[test]
fn requests_of_strangers_get_the_answer_their_rfc_gives() {
    let of = |draft: Draft| draft.set("From", "<sip:ann@hotline.example>;tag=a");
    let rows = vec![
        ("3261 §22.2", of(invite()), "401", "\r\nWWW-Authenticate: Digest "),
        ("3261 §22.2", of(other("REGISTER")), "401", "\r\nWWW-Authenticate: Digest "),
        ("3261 §11.2", of(other("OPTIONS")), "401", "\r\nWWW-Authenticate: Digest "),
        ("3261 §21.4.4", invite(), "403", ""),
        ("3261 §21.4.4", other("OPTIONS"), "403", ""),
    ];
    check(&config(A), [203, 0, 113, 7], rows);
}

#[test]
fn policies_and_limits_have_their_answers() {
    let full = house(|config| config.limits.transactions = 0);
    let rows = vec![
        ("3261 §21.5.4", invite(), "503", "\r\nRetry-After: 30"),
        ("3261 §21.5.4", other("REGISTER"), "503", "\r\nRetry-After: 30"),
    ];
    check(&full, [192, 0, 2, 2], rows);
    let insists = house(|config| config.trunks[0].session.reliable = Reliable::Required);
    let rows = vec![("3261 §21.4.16", invite(), "421", "\r\nRequire: 100rel")];
    check(&insists, [192, 0, 2, 2], rows);
    let only = Methods::Only(vec![Method::Invite]);
    let narrow = house(|config| config.trunks[0].border.methods = only);
    let rows = vec![("3261 §8.2.1", other("OPTIONS"), "405", "\r\nAllow: INVITE")];
    check(&narrow, [192, 0, 2, 2], rows);
}

/// RFC 3261 §8.2: method, then headers, then content, then extensions. What is wrong first is said,
/// whatever else is wrong behind it.
#[test]
fn the_first_fault_is_told() {
    let worst = |method: &str| {
        other(method)
            .line(&format!("{method} urn:service:sos SIP/2.0"))
            .set("Require", "gin")
            .body("application/pkcs7-mime", "x")
    };
    let scheme = worst("INVITE");
    let extension = scheme.clone().line("INVITE sip:4711@192.0.2.1 SIP/2.0");
    let content = extension.clone().set("Require", "");
    let rows = vec![
        ("3261 §8.2.1", worst("PUBLISH"), "405", ""),
        ("3261 §8.2.2.1", scheme, "416", ""),
        ("3261 §8.2.2.3", extension, "420", ""),
        ("3261 §8.2.3", content, "493", ""),
    ];
    check(&config(A), [192, 0, 2, 2], rows);
}

/// What the layer above refuses with goes out as it is, with the time to come back.
#[test]
fn the_layer_above_refuses_with_any_status() {
    for status in [404, 436, 437, 438, 480, 482, 484, 486, 503, 600, 603, 607, 608] {
        let mut peer = Peer::new();
        assert_eq!(word(&peer.request(&invite())[0]), "100");
        let retry_after_s = (status == 503).then_some(7);
        let sent =
            peer.handle(LegCommand::Refuse { leg: LegId(1), status, retry_after_s, q850: None });
        assert_eq!(word(&sent[0]), status.to_string());
        let expected = if status == 503 { "7" } else { "" };
        assert_eq!(header(&sent[0], "Retry-After"), expected);
    }
}

/// RFC 3261 §10.3: what a registrar answers to those whom it knows.
#[test]
fn registrations_get_the_answer_their_rfc_gives() {
    let draft = || super::agents::draft("REGISTER", 1, "ann");
    for (rule, draft, status, field) in [
        ("step 4", draft().set("To", "<sip:bob@hotline.example>"), "403", ""),
        ("step 7", draft().set("Expires", "10"), "423", "\r\nMin-Expires: 60"),
        ("step 6", draft().set("Contact", "*"), "400", ""),
        ("3327 §5.3", draft().set("Require", "path"), "200", ""),
        ("3327 §5.3", draft().set("Path", "<sip:edge;lr>"), "200", "\r\nPath: <sip:edge;lr>\r\n"),
        ("step 8", draft(), "200", "\r\nContact: <sip:ann@10.0.0.9:5062>;expires=600"),
    ] {
        let mut peer = Peer::new();
        let answer = super::agents::signed(&mut peer, &draft, "ann", "secret").remove(0);
        assert_eq!(word(&answer), status, "{rule}: {answer}");
        assert!(answer.contains(field), "{rule}: {answer}");
        let registered = [LegEvent::Registered { agent: agent("ann"), ip: IpVersion::V4 }];
        let expected = if status == "200" { &registered[..] } else { &[] };
        assert_eq!(peer.take_events(), expected, "{rule}");
    }
}
