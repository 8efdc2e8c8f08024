//! Two gateways as each other's carrier over mutual TLS: calls in both directions, sound both ways,
//! and the record of both.

use super::certificates::Certificates;
use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::process::wait_for;
use super::tls::listeners;
use std::net::SocketAddr;

/// An installation whose certificate is for `own` and whose trunk is the gateway of `other` at `port`.
fn installation(
    certificates: &Certificates,
    own: &str,
    other: &str,
    port: u16,
    listen: u16,
) -> Installation {
    let keys = certificates.issue(own, &format!("DNS:{own}"));
    let more = format!(
        r#"
{}
[sip.listeners.tls]
address = "127.0.0.1:{listen}"
transports = ["tls"]
host = "{own}"
client_certificate = "demanded"
[trunks.other]
address = "127.0.0.1:{port}"
transport = "tls"
tls_names = ["{other}"]
[routes.other]
trunks = ["other"]
[[numbers]]
dialled = "+49*"
trunk = "carrier"
route = "other"
[[numbers]]
dialled = "+49304100"
trunk = "other"
flow = "direct"
[[numbers]]
dialled = "+49304000"
trunk = "other"
flow = "hotline"
"#,
        certificates.tls(&keys),
    );
    Installation::new(&Plan { more, ..Plan::default() })
}

/// Calls through `from`, whose trunk leads to `to`, and hears its hotline.
fn call(installation: &Installation, from: &Gateway, to: &Gateway) {
    let (mut here, mut there) = (from.events(), to.events());
    let target: SocketAddr = from.sip;
    let target = target.to_string();
    let more = ["-s", "+49304000", "-m", "1", "-d", "1500", &target];
    let mut caller = super::builtin::builtin(&installation.folder, "uac", ports::free(), &more);
    let call = here.call();
    let their_call = there.call();
    there.said(their_call, "Welcome");
    caller.wait_success();
    here.of(call, "call.ended");
    there.of(their_call, "call.ended");
    // What the hotline said came through the bridge of the first gateway: 1.5 s are 75 packets.
    let legs = from.legs(call, 2);
    let out = legs.iter().find(|leg| leg["trunk"] == "other").expect("a leg to the other gateway");
    assert!(out["packets_received"].as_u64().unwrap() > 20, "{out}");
    let caller = legs.iter().find(|leg| leg["role"] == "caller").unwrap();
    assert!(caller["packets_sent"].as_u64().unwrap() > 20, "{caller}");
    let theirs = to.legs(their_call, 1);
    assert_eq!((&theirs[0]["trunk"], &theirs[0]["to"]), (&"other".into(), &"+49304000".into()));
}

#[test]
fn two_gateways_are_each_others_carrier_over_mutual_tls() {
    let certificates = Certificates::new();
    let (a_port, b_port) = (ports::free(), ports::free());
    let a = installation(&certificates, "a.example", "b.example", b_port, a_port);
    let b = installation(&certificates, "b.example", "a.example", a_port, b_port);
    let (gateway_a, gateway_b) = (a.start(), b.start());
    assert_eq!(listeners(&gateway_a, "TLS")[0].port(), a_port);
    call(&a, &gateway_a, &gateway_b);
    call(&b, &gateway_b, &gateway_a);
    // Nothing of it went by another way than TLS.
    let ladder = wait_for("a trace with TLS", || {
        let files = std::fs::read_dir(a.folder.at("data/trace")).ok()?.flatten();
        let all: String =
            files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        all.contains("\tTLS\t").then_some(all)
    });
    assert!(!ladder.contains(&format!("\tUDP\t127.0.0.1:{b_port}")), "{ladder}");
}
