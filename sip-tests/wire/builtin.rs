//! The scenarios that SIPp brings itself, which nobody wrote for us: as callers, with a late offer
//! (third-party call control), and as called parties.
//!
//! Left out: `branchc` and `branchs`, whose REGISTER and INVITE must share a Call-ID, which no
//! registrar and no gateway does.

use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::process::{Folder, Process};
use serde_json::{Value, json};
use std::process::Command;

/// A SIPp with a scenario of its own; `more` are its further arguments.
pub fn builtin(folder: &Folder, name: &str, port: u16, more: &[&str]) -> Process {
    let mut command = Command::new("sipp");
    command.args(["-sn", name, "-i", "127.0.0.1", "-bind_local", "-nostdin", "-trace_err"]);
    command.args(["-p", &port.to_string(), "-mp", &ports::media().to_string()]);
    command.args(["-cp", &ports::free().to_string(), "-timeout", "60s", "-timeout_error"]);
    command.args(more).current_dir(&folder.0).env("TERM", "dumb");
    Process::start(&format!("sipp-{name}"), &folder.0, &mut command)
}

/// Makes and starts a campaign that calls these numbers through `trunk`; gives its number.
pub fn campaign(gateway: &Gateway, trunk: &str, numbers: &[&str]) -> u64 {
    let definition = json!({
        "name": "Peers", "trunk": trunk, "caller_id": "+4930555000",
        "rate_per_minute_max": 6_000, "channels_max": 10, "ring_s": 10,
        "window": { "from": "00:00", "to": "24:00", "utc_offset_min": 0 },
        "retry": { "attempts_max": 1 },
        "message": { "language": "en", "text": "Hello.", "wait_for_key_s": 0 },
    });
    let made = gateway.request("POST", "/v1/campaigns", &definition).expect(201);
    let id = made["id"].as_u64().unwrap();
    let contacts: Vec<Value> = numbers.iter().map(|number| json!({ "number": number })).collect();
    let path = format!("/v1/campaigns/{id}");
    gateway.request("POST", &format!("{path}/contacts"), &json!(contacts)).expect(200);
    gateway.request("POST", &format!("{path}/start"), &Value::Null).expect(200);
    id
}

/// What became of a campaign's attempts, one word each.
pub fn dispositions(gateway: &Gateway, campaign: u64) -> Vec<String> {
    let results = gateway.get(&format!("/v1/campaigns/{campaign}/results")).expect(200);
    let rows = results["items"].as_array().unwrap();
    rows.iter().map(|row| row["disposition"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_callers_that_sipp_brings_are_answered_over_udp_and_tcp() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let target = gateway.sip.to_string();
    for (name, transport) in [("uac", "u1"), ("uac", "t1"), ("regexp", "u1"), ("regexp", "t1")] {
        let more = ["-s", "4000", "-t", transport, "-m", "3", "-r", "10", "-d", "300", &target];
        builtin(&installation.folder, name, ports::free(), &more).wait_success();
    }
}

/// Controller A calls us without an offer, takes our offer to controller B, which calls us with it;
/// the answer to that goes back in the ACK to our first offer (RFC 3725 §4.1).
#[test]
fn third_party_call_control_joins_two_of_our_calls() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let between = format!("127.0.0.1:{}", ports::free());
    let target = gateway.sip.to_string();
    let more = ["-3pcc", &between, "-s", "4000", "-m", "1", &target];
    // Side B listens for side A.
    let mut b = builtin(&installation.folder, "3pcc-C-B", ports::free(), &more);
    super::process::wait_for("side B to listen", || std::net::TcpListener::bind(&between).err());
    let mut a = builtin(&installation.folder, "3pcc-C-A", ports::free(), &more);
    a.wait_success();
    b.wait_success();
    events.count("call.ended", 2);
}

#[test]
fn the_called_parties_that_sipp_brings_answer_us() {
    let port = ports::free();
    let installation = Installation::new(&Plan { carrier: port, ..Plan::default() });
    let gateway = installation.start();
    let mut events = gateway.events();
    for (index, name) in ["uas", "3pcc-A", "3pcc-B"].into_iter().enumerate() {
        let mut called = builtin(&installation.folder, name, port, &["-m", "1"]);
        let campaign = campaign(&gateway, "carrier", &[&format!("+493022200{index:02}")]);
        events.count("attempt.closed", index + 1);
        called.wait_success();
        assert_eq!(dispositions(&gateway, campaign), ["answered"], "{name}");
    }
}
