//! A house with IPv6 only, and one with both versions of IP: calls in and out and between them, with
//! their sound.

use super::builtin::{campaign, dispositions};
use super::installation::{Installation, Plan};
use super::ports;
use super::process::{Folder, Process};
use super::sipp::{self, Scenario};
use std::process::Command;

/// A SIPp with a scenario of its own, on the IPv6 loopback.
fn sipp(folder: &Folder, name: &str, port: u16, more: &[&str]) -> Process {
    let mut command = Command::new("sipp");
    command.args(["-sn", name, "-i", "::1", "-bind_local", "-nostdin", "-trace_err", "-m", "1"]);
    command.args(["-p", &port.to_string(), "-mp", &ports::media().to_string()]);
    command.args(["-cp", &ports::free().to_string(), "-timeout", "60s", "-timeout_error"]);
    command.args(more).current_dir(&folder.0).env("TERM", "dumb");
    Process::start(&format!("sipp6-{name}"), &folder.0, &mut command)
}

#[test]
fn calls_come_in_and_go_out_over_ipv6_with_their_sound() {
    let port = ports::free();
    let plan = Plan { carrier: port, ..Plan::default() };
    let installation = Installation::new(&plan);
    let config = std::fs::read_to_string(&installation.config).unwrap();
    let config = config
        .replace("listen = \"127.0.0.1:", "listen = \"[::1]:")
        .replace("[media]\n", "[media]\naddress = \"::1\"\n")
        .replace(&format!("\"127.0.0.1:{port}\""), &format!("\"[::1]:{port}\""))
        .replace("[\"127.0.0.0/8\"]", "[\"::1/128\"]");
    installation.folder.write("gateway.toml", &config);
    let gateway = installation.start();
    assert!(gateway.sip.is_ipv6());
    let mut events = gateway.events();
    let target = gateway.sip.to_string();
    let more = ["-s", "4000", "-d", "500", &target];
    let mut caller = sipp(&installation.folder, "uac", ports::free(), &more);
    let call = events.call();
    caller.wait_success();
    events.of(call, "call.ended");
    let legs = gateway.legs(call, 1);
    assert!(legs[0]["packets_sent"].as_u64().unwrap() > 10, "{}", legs[0]);
    let mut called = sipp(&installation.folder, "uas", port, &[]);
    let id = campaign(&gateway, "carrier", &["+4930222000"]);
    events.count("attempt.closed", 1);
    called.wait_success();
    assert_eq!(dispositions(&gateway, id), ["answered"]);
}

/// A house of both versions: carrier `six` is reached by IPv6, `four` by IPv4, and each one's callers
/// are led to the other.
fn of_both(six: u16, four: u16) -> Installation {
    let more = format!(
        "[sip.listeners.six]\naddress = \"[::1]:0\"\n\
         [trunks.six]\naddress = \"[::1]:{six}\"\nallow = [\"::1/128\"]\n\
         [trunks.four]\naddress = \"127.0.0.1:{four}\"\n\
         [routes.to_six]\ntrunks = [\"six\"]\n[routes.to_four]\ntrunks = [\"four\"]\n\
         [[numbers]]\ndialled = \"006*\"\ntrunk = \"carrier\"\nroute = \"to_six\"\n\
         [[numbers]]\ndialled = \"004*\"\ntrunk = \"six\"\nroute = \"to_four\"\n"
    );
    let installation = Installation::new(&Plan { more, ..Plan::default() });
    let config = std::fs::read_to_string(&installation.config).unwrap();
    let config = config.replace("[media]\n", "[media]\naddress6 = \"::1\"\n");
    installation.folder.write("gateway.toml", &config);
    std::fs::write(installation.folder.at("tone.al"), vec![0x55_u8; 8_000]).unwrap();
    installation
}

#[test]
fn callers_of_one_version_of_ip_talk_to_callees_of_the_other() {
    let (six, four) = (ports::free(), ports::free());
    let installation = of_both(six, four);
    let gateway = installation.start();
    let at_six = super::tls::listeners(&gateway, "UDP, TCP")[1];
    assert!(at_six.is_ipv6());
    for (caller, to, number, callee, port) in [
        ("127.0.0.1", gateway.sip, "00649891", "::1", six),
        ("::1", at_six, "00449891", "127.0.0.1", four),
    ] {
        let mut events = gateway.events();
        let called = Scenario {
            name: "answers-with-echo",
            ip: callee,
            port,
            echo: true,
            ..Scenario::default()
        };
        let mut called = sipp::start(&installation.folder, &called);
        let mut calling = sipp::start(
            &installation.folder,
            &Scenario {
                name: "calls-with-sound",
                ip: caller,
                calls: Some((to, number)),
                pause_ms: 3_000,
                keys: &[("number", "+49301110007")],
                ..Scenario::default()
            },
        );
        let call = events.call();
        calling.wait_success();
        called.wait_success();
        events.of(call, "call.ended");
        for leg in gateway.legs(call, 2) {
            assert!(leg["packets_received"].as_u64().unwrap() > 50, "{leg}");
            assert!(leg["packets_sent"].as_u64().unwrap() > 50, "{leg}");
        }
        let ladder = installation.run(&["trace", &call.to_string(), "--full"]);
        let ladder = super::installation::text(&ladder.stdout);
        for connection in ["c=IN IP6 ::1", "c=IN IP4 127.0.0.1"] {
            // Of theirs and of ours.
            assert!(ladder.matches(connection).count() >= 2, "{connection}: {ladder}");
        }
    }
}

/// The way of the INVITE does not decide: an IPv6 address is offered over IPv4.
#[test]
fn who_offers_ipv6_over_ipv4_has_his_sound_there() {
    let installation = of_both(9, 9);
    let gateway = installation.start();
    let mut events = gateway.events();
    let mut calling = sipp::start(
        &installation.folder,
        &Scenario {
            name: "calls-with-sound",
            calls: Some((gateway.sip, "4000")),
            sound: "::1",
            pause_ms: 2_000,
            keys: &[("number", "+49301110007")],
            ..Scenario::default()
        },
    );
    let call = events.call();
    calling.wait_success();
    events.of(call, "call.ended");
    let leg = &gateway.legs(call, 1)[0];
    assert!(leg["packets_received"].as_u64().unwrap() > 50, "{leg}");
    assert!(leg["packets_sent"].as_u64().unwrap() > 50, "{leg}");
}
