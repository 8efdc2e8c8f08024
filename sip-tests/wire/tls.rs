//! TLS, WebSocket, IPv6 and several listeners, against bare sockets with rustls and tungstenite.

use super::PATIENCE;
use super::certificates::{Certificates, Keys};
use super::installation::{Gateway, Installation, PASSWORD, Plan};
use super::process::wait_for;
use rand::SeedableRng;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sip::digest::answerer::Answerer;
use sip::message::name::Name;
use sip::message::{Message, parse};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// An installation with a listener of each kind, and the certificates for it.
pub fn installation() -> (Installation, Certificates) {
    let certificates = Certificates::new();
    let own = certificates.issue("gateway", "DNS:gw.example");
    let more = certificates.tls(&own)
        + r#"
[sip.listeners.tls]
address = "127.0.0.1:0"
transports = ["tls"]
host = "gw.example"
[sip.listeners.mutual]
address = "127.0.0.1:0"
transports = ["tls"]
client_certificate = "demanded"
[sip.listeners.telephones]
address = "127.0.0.1:0"
transports = ["tls"]
host = "gw.example"
client_certificate = "none"
[sip.listeners.browsers]
address = "127.0.0.1:0"
transports = ["wss"]
[sip.listeners.six]
address = "[::1]:0"
[sip.listeners.outside]
address = "127.0.0.1:0"
transports = ["udp"]
advertise = "203.0.113.5:5070"
[trunks.pbx]
address = "127.0.0.1:9"
transport = "tls"
tls_names = ["pbx.example"]
[trunks.six]
address = "[::1]:9"
allow = ["::1/128"]
"#;
    (Installation::new(&Plan { more, ..Plan::default() }), certificates)
}

/// Where the listeners of this name's transports are, in the order of the configuration.
pub fn listeners(gateway: &Gateway, transports: &str) -> Vec<SocketAddr> {
    let output = gateway.process.output();
    let line = output.lines().find(|line| line.starts_with("trunkline: SIP ")).unwrap();
    let parts = line.split("SIP ").filter_map(|part| part.split_once(" ("));
    let of = parts.filter(|(_, rest)| rest.starts_with(&format!("{transports})")));
    of.map(|(address, _)| address.parse().unwrap()).collect()
}

/// A way to the gateway.
trait Wire {
    fn send(&mut self, message: &str);
    fn receive(&mut self) -> String;
    /// The word in Via and where we are.
    fn via(&self) -> (&'static str, String);
}

fn connect(certificates: &Certificates, to: SocketAddr, name: &str, shown: Option<&Keys>) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.authority()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        Some(Keys { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

impl Wire for Tls {
    fn send(&mut self, message: &str) {
        self.write_all(message.as_bytes()).unwrap();
        self.flush().unwrap();
    }

    fn receive(&mut self) -> String {
        let (mut text, mut octet) = (Vec::new(), [0]);
        while !text.ends_with(b"\r\n\r\n") {
            self.read_exact(&mut octet).unwrap();
            text.push(octet[0]);
        }
        let head = String::from_utf8(text).unwrap();
        let mut body = vec![0; line(&head, "Content-Length").parse().unwrap()];
        self.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    fn via(&self) -> (&'static str, String) {
        ("TLS", self.sock.local_addr().unwrap().to_string())
    }
}

impl Wire for tungstenite::WebSocket<Tls> {
    fn send(&mut self, message: &str) {
        tungstenite::WebSocket::send(self, tungstenite::Message::text(message)).unwrap();
    }

    fn receive(&mut self) -> String {
        self.read().unwrap().to_text().unwrap().to_owned()
    }

    fn via(&self) -> (&'static str, String) {
        // RFC 7118 §5: a browser knows no address of its own.
        ("WSS", "df7jal23ls0d.invalid".into())
    }
}

impl Wire for UdpSocket {
    fn send(&mut self, message: &str) {
        UdpSocket::send(self, message.as_bytes()).unwrap();
    }

    fn receive(&mut self) -> String {
        let mut buffer = vec![0; 65_535];
        let length = self.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn via(&self) -> (&'static str, String) {
        ("UDP", self.local_addr().unwrap().to_string())
    }
}

fn datagrams(to: SocketAddr) -> UdpSocket {
    let any: SocketAddr =
        if to.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { "[::1]:0".parse().unwrap() };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(to).unwrap();
    socket
}

/// The value of a header.
fn line<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {message}"))
}

/// A request of `user`; `to` is the value of To.
fn request(
    wire: &dyn Wire,
    (method, cseq): (&str, u32),
    (uri, user, to): (&str, &str, &str),
    more: &str,
    body: &str,
) -> String {
    let (transport, sent_by) = wire.via();
    let host = match uri.rsplit_once('@') {
        Some((_, host)) => host,
        None => uri.trim_start_matches("sip:"),
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {sent_by};rport;branch=z9hG4bK{method}{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@{host}>;tag=ours\r\nTo: {to}\r\n\
         Call-ID: {sent_by}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{user}@{sent_by}>\r\n\
         {more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                     m=audio 40000 RTP/AVP 0\r\n";

/// Sends until the final response to it comes.
fn ask(wire: &mut dyn Wire, message: &str) -> String {
    wire.send(message);
    loop {
        let answer = wire.receive();
        if !answer.starts_with("SIP/2.0 1") && line(&answer, "CSeq") == line(message, "CSeq") {
            return answer;
        }
    }
}

/// Calls 4000 and acknowledges the answer; the answer.
fn call(wire: &mut dyn Wire) -> String {
    let uri = "sip:4000@gw.example";
    let more = "Content-Type: application/sdp\r\n";
    let from = "+49301110009";
    let invite = request(wire, ("INVITE", 1), (uri, from, "<sip:4000@gw.example>"), more, OFFER);
    let answer = ask(wire, &invite);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let to = line(&answer, "To").to_owned();
    let ack = request(wire, ("ACK", 1), (uri, from, &to), "", "");
    wire.send(&ack.replace("z9hG4bKACK1", "z9hG4bKofACK"));
    answer
}

fn hang_up(wire: &mut dyn Wire, answer: &str) {
    let to = line(answer, "To").to_owned();
    let bye = request(wire, ("BYE", 2), ("sip:4000@gw.example", "+49301110009", &to), "", "");
    let answer = ask(wire, &bye);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
}

/// Whether a connection with this name on the certificate comes about.
fn is_named(certificates: &Certificates, to: SocketAddr, name: &str) -> bool {
    let mut stream = connect(certificates, to, name, None);
    stream.write_all(b"\r\n\r\n").and_then(|()| stream.read_exact(&mut [0; 2])).is_ok()
}

#[test]
fn a_call_over_tls_goes_on_while_certificates_change() {
    let (installation, certificates) = installation();
    let gateway = installation.start();
    let tls = listeners(&gateway, "TLS")[0];
    let mut events = gateway.events();
    let mut wire = connect(&certificates, tls, "gw.example", None);
    let answer = call(&mut wire);
    let contact = format!("<sip:4000@gw.example:{};transport=tls>", tls.port());
    assert_eq!(line(&answer, "Contact"), contact);
    let number = events.call();
    // A file that cannot be used changes nothing, and is told of.
    std::fs::write(certificates.0.at("gateway.pem"), "no certificate").unwrap();
    gateway.process.signal("HUP");
    wait_for("the fault to be told", || {
        gateway.process.errors().contains("certificates stay as they were").then_some(())
    });
    assert!(is_named(&certificates, tls, "gw.example"));
    certificates.issue("gateway", "DNS:new.example");
    gateway.process.signal("HUP");
    wait_for("the new certificate", || is_named(&certificates, tls, "new.example").then_some(()));
    assert!(!is_named(&certificates, tls, "gw.example"));
    // The call has not noticed.
    hang_up(&mut wire, &answer);
    let ended = events.of(number, "call.ended");
    assert_eq!((&ended["cause"], &ended["by"]), (&"normal".into(), &"peer".into()), "{ended}");
    installation.trace(number, &["INVITE sip:4000@", "BYE"]);
}

#[test]
fn a_certificate_is_demanded_and_identifies_a_trunk() {
    let (installation, certificates) = installation();
    let gateway = installation.start();
    let mutual = listeners(&gateway, "TLS")[1];
    assert!(!is_named(&certificates, mutual, "gw.example"), "nothing was shown");
    let pbx = certificates.issue("pbx", "DNS:pbx.example");
    let mut events = gateway.events();
    let mut wire = connect(&certificates, mutual, "gw.example", Some(&pbx));
    let answer = call(&mut wire);
    let number = events.call();
    hang_up(&mut wire, &answer);
    assert_eq!(gateway.legs(number, 1)[0]["trunk"], "pbx");
    wait_for("the refusal to be counted", || {
        let metrics = super::http::request(gateway.operations, "GET", "/metrics", "", b"").unwrap();
        let counted = "gw_transport_lost_total{what=\"handshake\"} 1";
        metrics.text.contains(counted).then_some(())
    });
}

#[test]
fn a_browser_registers_and_calls_over_wss() {
    let (installation, certificates) = installation();
    let gateway = installation.start();
    let wss = listeners(&gateway, "WSS")[0];
    let stream = connect(&certificates, wss, "gw.example", None);
    let request_of_ours = tungstenite::http::Request::builder()
        .uri(format!("wss://gw.example:{}/", wss.port()))
        .header("Host", "gw.example")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key())
        .header("Sec-WebSocket-Protocol", "sip")
        .body(())
        .unwrap();
    let (mut wire, _) = tungstenite::client(request_of_ours, stream).unwrap();
    let uri = "sip:trunkline";
    let to = "<sip:anna@trunkline>";
    let register = |wire: &dyn Wire, cseq, more: &str| {
        request(wire, ("REGISTER", cseq), (uri, "anna", to), more, "")
    };
    let first = register(&wire, 1, "");
    let refused = ask(&mut wire, &first);
    let signed = register(&wire, 2, &signature(&refused, "REGISTER", uri));
    let answer = ask(&mut wire, &signed);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    assert!(line(&answer, "Contact").contains("df7jal23ls0d.invalid"), "{answer}");
    // She dials the code that logs her in.
    let (uri, to) = ("sip:*61@trunkline", "<sip:*61@trunkline>");
    let invite = |wire: &dyn Wire, cseq, more: &str| {
        let more = format!("Content-Type: application/sdp\r\n{more}");
        request(wire, ("INVITE", cseq), (uri, "anna", to), &more, OFFER)
    };
    let mut events = gateway.events();
    let first = invite(&wire, 3, "");
    let refused = ask(&mut wire, &first);
    let signed = invite(&wire, 4, &signature(&refused, "INVITE", uri));
    let answer = ask(&mut wire, &signed);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let to = line(&answer, "To").to_owned();
    let ack = request(&wire, ("ACK", 4), (uri, "anna", &to), "", "");
    Wire::send(&mut wire, &ack);
    // The gateway ends it over the same connection: there is no other way to her.
    let call = events.call();
    let bye = loop {
        let message = Wire::receive(&mut wire);
        if message.starts_with("BYE ") {
            break message;
        }
    };
    let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", line(&bye, name)))
        .collect();
    Wire::send(&mut wire, &format!("SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n"));
    events.of(call, "call.ended");
}

/// The answer to a challenge, as a header line.
fn signature(refused: &str, method: &str, uri: &str) -> String {
    assert!(refused.starts_with("SIP/2.0 401"), "{refused}");
    let Ok(Message::Response(refused)) = parse(refused.to_owned().into()) else { panic!() };
    let mut answerer = Answerer::new("anna", PASSWORD);
    let challenges = refused.headers.authorisations(Name::WwwAuthenticate);
    answerer.take_challenge(challenges, false).unwrap();
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    format!("Authorization: {}\r\n", answerer.authorise(method, uri, &mut random).unwrap())
}

/// Each listener says its own address, and none a wildcard; one of them is IPv6.
#[test]
fn each_listener_has_an_address_and_a_family_of_its_own() {
    let (installation, _certificates) = installation();
    let gateway = installation.start();
    let outside = listeners(&gateway, "UDP")[0];
    let six = listeners(&gateway, "UDP, TCP")[1];
    for (to, told) in
        [(gateway.sip, gateway.sip.to_string()), (outside, "203.0.113.5:5070".to_owned())]
    {
        let mut events = gateway.events();
        let mut wire = datagrams(to);
        let answer = call(&mut wire);
        assert_eq!(line(&answer, "Contact"), format!("<sip:4000@{told}>"));
        let number = events.call();
        hang_up(&mut wire, &answer);
        events.of(number, "call.ended");
    }
    let mut wire = datagrams(six);
    let asked = request(&wire, ("OPTIONS", 1), ("sip:gw.example", "a", "<sip:gw.example>"), "", "");
    assert!(ask(&mut wire, &asked).starts_with("SIP/2.0 200"));
}

/// What the page says of TLS is what `check` takes.
#[test]
fn a_certificate_that_cannot_be_used_is_found_by_check() {
    let (installation, certificates) = installation();
    assert!(installation.run(&["check"]).status.success());
    std::fs::copy(certificates.0.at("ca.key"), certificates.0.at("gateway.key")).unwrap();
    let checked = installation.run(&["check"]);
    assert!(!checked.status.success());
    let said = super::installation::text(&[checked.stdout, checked.stderr].concat());
    assert!(said.contains("gateway.pem"), "{said}");
}
