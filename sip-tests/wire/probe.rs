//! `trunkline trunk probe`: against another Trunkline, and against a called party that can nothing
//! but be called.

use super::builtin::builtin;
use super::installation::{Installation, Plan, text};
use super::ports;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::UdpSocket;

/// The steps with what came of each, and what follows them.
fn steps(output: &std::process::Output) -> (BTreeMap<String, String>, Value) {
    let lines = text(&output.stdout);
    let mut all: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is a JSON object"))
        .collect();
    let end = all.pop().expect("there is a last line");
    let word = |step: &Value, key: &str| step[key].as_str().expect("a text").to_owned();
    (all.iter().map(|step| (word(step, "step"), word(step, "outcome"))).collect(), end)
}

/// Another Trunkline does all that a call needs. Its collector gets the OPTIONS, too, which belongs
/// to no leg.
#[test]
fn another_trunkline_passes() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let hep = collector.local_addr().unwrap();
    let far =
        Installation::new(&Plan { more: format!("[trace]\nhep = \"{hep}\"\n"), ..Plan::default() });
    let gateway = far.start();
    let near = Installation::new(&Plan { carrier: gateway.sip.port(), ..Plan::default() });
    let output = near.run(&["trunk", "probe", "carrier", "--call", "4000", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let (steps, end) = steps(&output);
    for step in [
        "options",
        "answer",
        "session-timer",
        "hold",
        "resume",
        "session-refresh",
        "digits-sent",
        "hang-up",
    ] {
        assert_eq!(steps[step], "passed", "{step}: {}", text(&output.stdout));
    }
    assert!(!steps.values().any(|outcome| outcome == "failed"), "{}", text(&output.stdout));
    assert_eq!((&end["sound"], &end["settings"]), (&true.into(), &serde_json::json!({})));
    let mut packet = [0; 65_535];
    loop {
        let length = collector.recv(&mut packet).expect("the collector gets the OPTIONS");
        if text(&packet[..length]).contains("OPTIONS sip:") {
            break;
        }
    }
}

/// SIPp's own called party knows INVITE, ACK and BYE: the report says so, in 80 columns, and which
/// settings suit it.
#[test]
fn a_simple_called_party_is_told_from_one_that_can_more() {
    let port = ports::free();
    let near = Installation::new(&Plan { carrier: port, ..Plan::default() });
    let _sipp = builtin(&near.folder, "uas", port, &[]);
    let output = super::process::wait_for("the called party to answer", || {
        let output = near.run(&["trunk", "probe", "carrier", "--call", "4000"]);
        output.status.success().then_some(output)
    });
    let report = text(&output.stdout);
    assert!(report.lines().all(|line| line.chars().count() <= 80), "{report}");
    let outcome = |step: &str| {
        let line = report.lines().find(|line| line.starts_with(&format!("{step} "))).unwrap_or("");
        line.chars().skip(17).take(15).collect::<String>().trim().to_owned()
    };
    assert_eq!(outcome("answer"), "passed", "{report}");
    assert_eq!(outcome("prack"), "not supported", "{report}");
    assert_eq!(outcome("session-timer"), "not supported", "{report}");
    let wanted = "reliable_provisionals = \"off\"";
    assert!(report.contains("[trunks.carrier]") && report.contains(wanted), "{report}");
}

/// A trunk that is not configured, and one where nobody is.
#[test]
fn what_cannot_be_tried_fails() {
    let near = Installation::new(&Plan::default());
    let output = near.run(&["trunk", "probe", "carier"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("no [trunks.carier]"), "{output:?}");
    let output = near.run(&["trunk", "probe", "carrier"]);
    assert!(!output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("will not work"), "{output:?}");
}

/// The trunks of a gateway at work, as a table and as JSON.
#[test]
fn trunks_are_shown_while_the_gateway_runs() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let at = gateway.operations.to_string();
    let shown = super::process::wait_for("the trunk in the table", || {
        let shown = installation.run(&["trunks", "--at", &at]);
        assert!(shown.status.success(), "{shown:?}");
        Some(text(&shown.stdout)).filter(|shown| shown.contains("carrier"))
    });
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let shown = installation.run(&["trunks", "--at", &at, "--json"]);
    let shown: Value = serde_json::from_str(&text(&shown.stdout)).unwrap();
    assert_eq!(shown["items"][0]["name"], "carrier");
    assert_eq!(gateway.get("/v1/trunks").expect(200), shown);
    // Where no gateway is, that is said.
    let shown = installation.run(&["trunks", "--at", "127.0.0.1:9"]);
    assert!(!shown.status.success() && text(&shown.stderr).contains("does not tell"), "{shown:?}");
}
