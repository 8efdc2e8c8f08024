//! TLS and WebSocket between real sockets: whom each end believes, and what passes then.

use super::*;
use crate::net::certificate::fingerprint;
use crate::net::test_certificates::Certificates;
use crate::net::tls::{KeyFiles, TlsConfig, TrunkTls};
use domain::id::TenantId;
use futures_util::{SinkExt, StreamExt};
use std::path::PathBuf;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, http};

fn trunk() -> TrunkId {
    TrunkId::new(&TenantId::default(), "peer")
}

/// TLS with this certificate of ours, these authorities, and these rules for the trunk `peer`.
fn tls(own: Option<KeyFiles>, authorities: PathBuf, peer: TrunkTls) -> Arc<Tls> {
    let config = TlsConfig {
        own,
        authorities: Some(authorities),
        handshake: SOON,
        look_every: Duration::from_secs(10),
    };
    Arc::new(Tls::load(config, BTreeMap::from([(trunk(), peer)])).unwrap())
}

/// What each end is told when `from` connects to `to`: the names of the other's certificate, or
/// `None` for a connection that did not come about.
async fn meet(from: &mut Stand, to: &mut Stand) -> (Option<Vec<Arc<str>>>, Option<Vec<Arc<str>>>) {
    let flow = Flow { transport: Transport::Tls, local: from.local, remote: to.local };
    from.streams.expect(to.local, trunk(), None);
    assert!(from.streams.send(flow, Bytes::from_static(b"\r\n\r\n")));
    let near = match next(&mut from.events).await {
        StreamEvent::Input(Input::Connected { names, .. }) => names,
        StreamEvent::Gone(..) => return (None, None),
        other => panic!("{other:?}"),
    };
    let far = match next(&mut to.events).await {
        StreamEvent::Accepted(flow, messages, names) => {
            to.streams.accepted(flow, messages);
            names
        }
        other => panic!("{other:?}"),
    };
    (near, far)
}

fn named(names: &[&str]) -> TrunkTls {
    let names = names.iter().map(|name| (*name).into()).collect();
    TrunkTls { names, ..TrunkTls::default() }
}

fn some(names: &[&str]) -> Option<Vec<Arc<str>>> {
    Some(names.iter().map(|name| (*name).into()).collect())
}

/// RFC 5922 §7.1 to §7.3: what the server's certificate says, whom we expect, and who is found.
#[tokio::test]
async fn a_server_is_believed_by_the_names_of_its_certificate() {
    let files = Certificates::new();
    let ca = files.authority("ca");
    files.authority("other");
    for (at, (authority, names, expected, found)) in [
        ("ca", "DNS:pbx.example", &["pbx.example"][..], some(&["pbx.example"])),
        ("ca", "DNS:pbx.example", &["a.example", "PBX.example"], some(&["pbx.example"])),
        ("ca", "DNS:pbx.example", &["example"], None),
        ("ca", "DNS:*.example", &["pbx.example"], None),
        ("ca", "URI:sip:pbx.example,DNS:www.example", &["pbx.example"], some(&["pbx.example"])),
        // With a SIP name, the others are no SIP names (§7.1).
        ("ca", "URI:sip:pbx.example,DNS:www.example", &["www.example"], None),
        ("ca", "URI:sip:a@pbx.example,DNS:www.example", &["pbx.example"], None),
        // No name is expected: the address connected to.
        ("ca", "IP:127.0.0.1,DNS:pbx.example", &[], some(&["pbx.example"])),
        ("ca", "DNS:pbx.example", &[], None),
        // Nobody vouches for it.
        ("other", "DNS:pbx.example", &["pbx.example"], None),
    ]
    .into_iter()
    .enumerate()
    {
        let own = files.issue(&format!("server{at}"), authority, names);
        let mut server =
            stand_with(Transport::Tls, 4, Some(tls(Some(own), ca.clone(), named(&[]))));
        let mut client =
            stand_with(Transport::Tls, 4, Some(tls(None, ca.clone(), named(expected))));
        let (near, far) = meet(&mut client, &mut server).await;
        assert_eq!((near, far), (found, None), "{names} {expected:?}");
    }
}

/// RFC 5922 §7.4: what the client's certificate says, and what the server makes of it.
#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    let files = Certificates::new();
    let (ca, own_ca) = (files.authority("ca"), files.authority("own"));
    let server_key = files.issue("server", "ca", "DNS:gw.example");
    let (by_ca, by_own) = ("DNS:pbx.example,DNS:alias.example", "DNS:pbx.example,DNS:bank.example");
    let issued = files.issue("by-ca", "ca", by_ca);
    let of_own = files.issue("by-own", "own", by_own);
    let alone = files.self_signed("alone", "DNS:alone.example");
    let pinned = fingerprint(&Certificates::der(&alone.certificate));
    let plain = named(&["pbx.example"]);
    let with_ca = TrunkTls { authorities: Some(own_ca), ..plain.clone() };
    let with_pin = TrunkTls { pins: vec![pinned], ..plain.clone() };
    for (shown, rules, known) in [
        (None, &plain, None),
        (Some(&issued), &plain, some(&["pbx.example", "alias.example"])),
        // A trunk's own authority vouches for its own names only.
        (Some(&of_own), &with_ca, some(&["pbx.example"])),
        // A pin stands for the trunk, whatever the certificate says.
        (Some(&alone), &with_pin, some(&["pbx.example"])),
    ] {
        let server_tls = tls(Some(server_key.clone()), ca.clone(), rules.clone());
        let mut server = stand_with(Transport::Tls, 4, Some(server_tls));
        let client_tls = tls(shown.cloned(), ca.clone(), named(&["gw.example"]));
        let mut client = stand_with(Transport::Tls, 4, Some(client_tls));
        let (near, far) = meet(&mut client, &mut server).await;
        assert_eq!((near, far), (some(&["gw.example"]), known), "{shown:?}");
    }
    // What nobody vouches for is refused, and what is demanded and not shown as well.
    for (shown, demanded) in
        [(Some(alone), ClientCertificate::Asked), (None, ClientCertificate::Demanded)]
    {
        let server_tls = tls(Some(server_key.clone()), ca.clone(), plain.clone());
        let server = stand_with(Transport::Tls, 4, Some(server_tls));
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let local = server.streams.listen(Transport::Tls, any, demanded).unwrap();
        let mut client =
            stand_with(Transport::Tls, 4, Some(tls(shown, ca.clone(), named(&["gw.example"]))));
        let flow = Flow { transport: Transport::Tls, local: client.local, remote: local };
        client.streams.expect(local, trunk(), None);
        client.streams.send(flow, Bytes::from_static(b"x"));
        // In TLS 1.3 the client learns of it after its own part is done.
        loop {
            match next(&mut client.events).await {
                StreamEvent::Gone(..) => break,
                StreamEvent::Input(_) => (),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(server.streams.figures().of(Loss::Handshake), 1);
    }
}

/// New files are for new connections; the old ones go on, and what cannot be used is not.
#[tokio::test]
async fn certificates_change_under_open_connections() {
    let files = Certificates::new();
    let ca = files.authority("ca");
    let own = files.issue("server", "ca", "DNS:old.example");
    let server_tls = tls(Some(own.clone()), ca.clone(), named(&[]));
    let mut server = stand_with(Transport::Tls, 4, Some(server_tls.clone()));
    let client_tls = tls(None, ca.clone(), named(&["old.example", "new.example"]));
    let mut first = stand_with(Transport::Tls, 4, Some(client_tls.clone()));
    assert_eq!(meet(&mut first, &mut server).await.0, some(&["old.example"]));
    let other = files.issue("new", "ca", "DNS:new.example");
    std::fs::copy(&other.certificate, &own.certificate).unwrap();
    let error = server_tls.reload().unwrap_err();
    assert_eq!(error.file, own.certificate, "the key is another's");
    let mut second = stand_with(Transport::Tls, 4, Some(client_tls.clone()));
    assert_eq!(meet(&mut second, &mut server).await.0, some(&["old.example"]));
    std::fs::copy(&other.key, &own.key).unwrap();
    server_tls.reload().unwrap();
    let mut third = stand_with(Transport::Tls, 4, Some(client_tls));
    assert_eq!(meet(&mut third, &mut server).await.0, some(&["new.example"]));
    // The first connection has not noticed.
    let flow = Flow { transport: Transport::Tls, local: first.local, remote: server.local };
    let request = Bytes::from_static(b"OPTIONS sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\n");
    assert!(first.streams.send(flow, request));
    assert!(matches!(next(&mut server.events).await, StreamEvent::Input(Input::Framed { .. })));
}

/// RFC 7118: the subprotocol is needed; a message is one frame, without Content-Length.
#[tokio::test]
async fn a_web_socket_carries_a_message_in_each_frame() {
    let mut server = stand_with(Transport::Ws, 4, None);
    let url = format!("ws://{}/sip", server.local);
    let refused = tokio_tungstenite::connect_async(&url).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("400")));
    assert_eq!(server.streams.figures().of(Loss::Handshake), 1);
    let mut request = url.into_client_request().unwrap();
    let protocols = http::HeaderValue::from_static("xmpp, sip");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocols);
    let (mut client, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
    let StreamEvent::Accepted(flow, messages, None) = next(&mut server.events).await else {
        panic!("nobody was accepted")
    };
    server.streams.accepted(flow, messages);
    client.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("\r\n"));
    client.send(Message::text("OPTIONS sip:h SIP/2.0\r\n\r\n")).await.unwrap();
    let StreamEvent::Input(Input::Message { message, .. }) = next(&mut server.events).await else {
        panic!("no message came")
    };
    assert_eq!(&message[..7], b"OPTIONS");
    assert!(server.streams.send(flow, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n")));
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("SIP/2.0 200 OK\r\n\r\n"));
    // Too large: closed, and counted.
    let large = "x".repeat(sip::message::LENGTH_MAX + 1);
    let _ = client.send(Message::text(large)).await;
    let gone = next(&mut server.events).await;
    assert!(matches!(gone, StreamEvent::Gone(..)), "{gone:?}");
    assert_eq!(server.streams.figures().of(Loss::Framing), 1);
    server.streams.close(&flow);
    assert!(!server.streams.send(flow, Bytes::from_static(b"x")), "there is no way to it any more");
}
