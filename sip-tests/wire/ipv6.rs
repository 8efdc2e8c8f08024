//! A house with IPv6 only: calls in and out, with their sound.

use super::builtin::{campaign, dispositions};
use super::installation::{Installation, Plan};
use super::ports;
use super::process::{Folder, Process};
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
