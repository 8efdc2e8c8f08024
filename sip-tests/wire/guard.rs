//! The guard before connections: rubbish on a stream ends in a ban, a banned source is closed before
//! anything is said, and a command has it read again.

use super::installation::{Gateway, Installation, Plan, text};
use super::process::wait_for;
use super::tls::listeners;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// It can be cut out of the stream and is no request.
const RUBBISH: &str = "INVITE sip:4000@h SIP/2.0\r\nCSeq: one INVITE\r\nContent-Length: 0\r\n\r\n";

const OPTIONS: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP [::1]:9;branch=z9hG4bKg;rport\r\n\
                       From: <sip:a@h>;tag=a\r\nTo: <sip:h>\r\nCall-ID: g\r\nCSeq: 1 OPTIONS\r\n\
                       Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

/// All that comes back until we are closed, or until it holds `until`.
fn talk(to: SocketAddr, said: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    // It may be closed already.
    let _ = stream.write_all(said.as_bytes());
    let (mut heard, mut buffer) = (String::new(), [0; 4_096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        heard += &text(&buffer[..length]);
        if heard.contains(until) {
            break;
        }
    }
    heard
}

fn figure(gateway: &Gateway, line: &str) -> bool {
    let page = super::http::request(gateway.operations, "GET", "/metrics", "", b"").unwrap().text;
    page.lines().any(|found| found.starts_with(line) && !found.ends_with(" 0"))
}

#[test]
fn rubbish_on_a_connection_ends_in_a_ban_until_a_command_ends_it() {
    // Over IPv6 nobody here is a trunk.
    let more = "[guard]\nstrikes_max = 10\n[sip.listeners.six]\naddress = \"[::1]:0\"\n";
    let installation = Installation::new(&Plan { more: more.into(), ..Plan::default() });
    let gateway = installation.start();
    let six = listeners(&gateway, "UDP, TCP")[1];
    let operations = gateway.operations.to_string();
    let command = |arguments: &[&str]| {
        let output = installation.run(&[arguments, &["--at", &operations]].concat());
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let answered = || talk(six, OPTIONS, "\r\n\r\n");
    assert!(answered().starts_with("SIP/2.0 403"), "a stranger is refused, but heard");
    assert_eq!(command(&["bans"]).1, "nobody is banned\n");
    // Long before the last of them it is banned: the connection is closed, and nothing was answered.
    assert_eq!(talk(six, &RUBBISH.repeat(11), "SIP"), "");
    assert_eq!(answered(), "");
    wait_for("the closed connection to be counted", || {
        figure(&gateway, "gw_transport_lost_total{what=\"guard\"}").then_some(())
    });
    let (_, shown, _) = command(&["bans", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["items"][0]["source"], "::", "the network of ::1");
    assert!(shown["items"][0]["left_s"].as_u64().unwrap() > 500, "{shown}");
    assert!(command(&["bans"]).1.contains("::/64"));
    let (ended, said, _) = command(&["unban", "::1"]);
    assert!(ended && said == "::1 is read again\n", "{said}");
    let (again, _, why) = command(&["unban", "::1"]);
    assert!(!again && why.contains("there is no ban ::1"), "{why}");
    assert!(answered().starts_with("SIP/2.0 403"));
}
