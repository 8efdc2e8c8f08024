//! A call signed by one gateway and verified by another, which fetches the signer's certificate from
//! a web server over TLS (RFC 8224 §6).

use super::certificates::{Certificates, Keys};
use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::process::wait_for;
use super::sipp::{self, Scenario};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CALLER: &str = "+49301110007";

/// A certificate that may sign for the caller's number alone: a TN Authorization List (RFC 8226 §9)
/// of one number, `SEQUENCE { [2] IA5String "49301110007" }`.
fn may_sign() -> String {
    let number: String =
        CALLER.trim_start_matches('+').bytes().map(|digit| format!(":{digit:02x}")).collect();
    format!("1.3.6.1.5.5.7.1.26=DER:30:0f:a2:0d:16:0b{number}")
}

/// A web server that has one file, for half an hour, and counts who asked for it. Its port must be
/// 443 or 8443, so it has an address of loopback to itself.
struct Web {
    host: Ipv4Addr,
    asked: Arc<AtomicUsize>,
}

/// One for each process.
fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 84, high, low)
}

impl Web {
    fn start(host: Ipv4Addr, keys: &Keys, file: &Path) -> Self {
        let chain = vec![CertificateDer::from_pem_file(&keys.certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&keys.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (config, body) = (Arc::new(config), std::fs::read_to_string(file).unwrap());
        let listener = TcpListener::bind((host, 8443)).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serve(stream, config.clone(), &body).is_ok() {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { host, asked }
    }
}

/// Answers one request; an error where no TLS came about.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, body: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(super::PATIENCE))?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let (mut request, mut octet) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet)?;
        request.push(octet[0]);
    }
    assert!(request.starts_with(b"GET /signer.pem HTTP/1.1\r\n"));
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=1800\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Who signs what leaves by its trunk to `port`.
fn signing(web: &Web, keys: &Keys, port: u16) -> Installation {
    let more = format!(
        "[stir]\nkey = {:?}\ncertificate = {:?}\n\
         certificate_url = \"https://{}:8443/signer.pem\"\n\
         [trunks.other]\naddress = \"127.0.0.1:{port}\"\nsign = true\n\
         [routes.other]\ntrunks = [\"other\"]\n\
         [[numbers]]\ndialled = \"+49*\"\ntrunk = \"carrier\"\nroute = \"other\"\n",
        keys.key, keys.certificate, web.host,
    );
    let installation = Installation::new(&Plan { more, ..Plan::default() });
    std::fs::write(installation.folder.at("tone.al"), vec![0x55_u8; 8_000]).unwrap();
    installation
}

/// Who takes no call whose number is not shown to be true. `roots`: of the web server.
fn verifying(certificates: &Certificates, web: &Web, roots: &str, sip: u16) -> Installation {
    let more = format!(
        "[stir]\nanchors = {:?}\nwait_ms = 5000\nallow_hosts = [\"{}\"]\n{roots}\n\
         [[numbers]]\ndialled = \"+49304000\"\nflow = \"hotline\"\n",
        certificates.authority(),
        web.host,
    );
    let installation = Installation::new(&Plan { more, sip, ..Plan::default() });
    let config = std::fs::read_to_string(&installation.config).unwrap();
    let config = config.replace("probe_s = 0\n", "probe_s = 0\nverify = \"require\"\n");
    installation.folder.write("gateway.toml", &config);
    installation
}

/// A call through the gateway that signs; `refused`: the status it ends with.
fn call(installation: &Installation, gateway: &Gateway, refused: Option<&str>) {
    let scenario = Scenario {
        name: if refused.is_some() { "is-refused" } else { "calls-with-sound" },
        calls: Some((gateway.sip, "+49304000")),
        status: refused.unwrap_or(""),
        pause_ms: 300,
        keys: &[("number", CALLER)],
        ..Scenario::default()
    };
    sipp::start(&installation.folder, &scenario).wait_success();
}

#[test]
fn a_signed_call_is_verified_by_a_certificate_fetched_over_tls() {
    let certificates = Certificates::new();
    let signer = certificates.issue_with("signer", &may_sign());
    let host = own_address();
    let web = certificates.issue("web", &format!("IP:{host}"));
    let web = Web::start(host, &web, &signer.certificate);
    let port = ports::free();
    let signs = signing(&web, &signer, port);
    let first = signs.start();
    {
        let roots = format!("web_roots = {:?}", certificates.authority());
        let believes = verifying(&certificates, &web, &roots, port);
        let verifies = believes.start();
        let mut events = verifies.events();
        for _ in 0..2 {
            call(&signs, &first, None);
            let leg = &verifies.legs(events.call(), 1)[0];
            // Passed on from elsewhere: attested C, whatever number it shows.
            let found = (&leg["verstat"], &leg["attestation"]);
            assert_eq!(found, (&"TN-Validation-Passed".into(), &"C".into()), "{leg}");
        }
        assert_eq!(web.asked.load(Ordering::Relaxed), 1, "the certificate is kept");
    }
    // Whoever does not know the web server's authority reads nothing from it.
    let doubts = verifying(&certificates, &web, "", port);
    let verifies = doubts.start();
    let mut events = first.events();
    call(&signs, &first, Some("500"));
    let refused = first.legs(events.call(), 2);
    let out = refused.iter().find(|leg| leg["trunk"] == "other").expect("a leg to the verifier");
    assert_eq!(out["sip_status"], 436, "{out}");
    assert_eq!(web.asked.load(Ordering::Relaxed), 1);
    wait_for("the verdict to be counted", || {
        let page = super::http::request(verifies.operations, "GET", "/metrics", "", b"").ok()?.text;
        page.contains("reason=\"no_certificate\"").then_some(())
    });
}
