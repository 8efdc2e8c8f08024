//! Callers led through to another carrier: SIPp at both ends, Trunkline between them.

use super::installation::{Gateway, Installation, Plan, text};
use super::ports;
use super::process::Process;
use super::sipp::{self, Scenario};
use serde_json::Value;

const CALLER: &str = "+49301110007";
const CALLEE: &str = "0049891234567";

/// Two carriers, the second for when the first fails.
struct Carriers {
    installation: Installation,
    gateway: Gateway,
    near: u16,
    far: u16,
}

fn carriers() -> Carriers {
    let (near, far) = (ports::free(), ports::free());
    let more = format!(
        "[trunks.near]\naddress = \"127.0.0.1:{near}\"\n\
         [trunks.far]\naddress = \"127.0.0.1:{far}\"\n\
         [routes.onward]\ntrunks = [\"near\", \"far\"]\n\
         [[numbers]]\ndialled = \"00*\"\ntrunk = \"carrier\"\nroute = \"onward\"\n"
    );
    let installation = Installation::new(&Plan { more, ..Plan::default() });
    let gateway = installation.start();
    Carriers { installation, gateway, near, far }
}

impl Carriers {
    fn refuses(&self, port: u16, status: &str) -> Process {
        self.start(&Scenario { name: "refuses", port, status, ..Scenario::default() })
    }

    fn start(&self, scenario: &Scenario<'_>) -> Process {
        sipp::start(&self.installation.folder, scenario)
    }

    /// A caller who expects to be refused.
    fn is_refused(&self, dialled: &str, status: &str, call_id: &str) -> Process {
        self.start(&Scenario {
            name: "is-refused",
            calls: Some((self.gateway.sip, dialled)),
            call_id,
            status,
            keys: &[("number", CALLER)],
            ..Scenario::default()
        })
    }

    fn explain(&self, call: &str) -> Vec<Value> {
        let explained = self.installation.run(&["explain", call, "--json"]);
        assert!(explained.status.success(), "{explained:?}");
        let lines = text(&explained.stdout);
        lines.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }
}

/// The first carrier has no way just now: the second is called, and both ends hear each other.
#[test]
fn a_call_goes_on_by_the_second_carrier_with_sound_both_ways() {
    let carriers = carriers();
    let mut events = carriers.gateway.events();
    let mut near = carriers.refuses(carriers.near, "503");
    let mut far = carriers.start(&Scenario {
        name: "answers-with-echo",
        port: carriers.far,
        echo: true,
        ..Scenario::default()
    });
    let tone = carriers.installation.folder.at("tone.al");
    std::fs::write(&tone, vec![0x55_u8; 8_000]).unwrap();
    let mut caller = carriers.start(&Scenario {
        name: "calls-with-sound",
        calls: Some((carriers.gateway.sip, CALLEE)),
        pause_ms: 3_000,
        keys: &[("number", CALLER)],
        ..Scenario::default()
    });
    let call = events.call();
    let through = events.of(call, "call.through");
    assert_eq!((&through["to"], &through["trunk"]), (&CALLEE.into(), &"far".into()));
    near.wait_success();
    caller.wait_success();
    far.wait_success();
    events.of(call, "call.ended");
    let legs = carriers.gateway.legs(call, 3);
    let by = |trunk: &str| legs.iter().find(|leg| leg["trunk"] == trunk).expect("a leg of each");
    let ended = (&by("carrier")["ended_by"], &by("far")["ended_by"]);
    assert_eq!(ended, (&"peer".into(), &"us".into()));
    assert_eq!(by("near")["sip_status"], 503);
    for trunk in ["carrier", "far"] {
        assert!(by(trunk)["packets_received"].as_u64().unwrap() > 50, "{}", by(trunk));
    }
    let decisions = carriers.explain(&call.to_string());
    let chosen: Vec<&str> = decisions.iter().filter_map(|it| it["chosen"].as_str()).collect();
    let by = |trunk| format!("trunk {trunk} dials 0049891234567 for +49891234567");
    assert_eq!(chosen, ["route onward", &*by("near"), &*by("far")]);
    let rejected = decisions[2]["rejected"][0]["candidate"].as_str().unwrap();
    assert!(rejected.starts_with("trunk near at "), "{rejected}");
}

/// Whoever is busy is not rung by the other carrier, and the caller hears of it; the reason is found
/// by SIP's own Call-ID, and so is that of a number which leads nowhere.
#[test]
fn who_is_busy_is_not_tried_by_the_other_carrier() {
    let carriers = carriers();
    let mut near = carriers.refuses(carriers.near, "486");
    carriers.is_refused(CALLEE, "486", "busy-one").wait_success();
    near.wait_success();
    let decisions = super::process::wait_for("the decisions on disk", || {
        let explained = carriers.installation.run(&["explain", "busy-one"]);
        let told = text(&explained.stdout);
        told.contains("refused with 486").then_some(told)
    });
    assert!(!decisions.contains("chosen: trunk far"), "{decisions}");
    assert!(decisions.lines().all(|line| line.chars().count() <= 80), "{decisions}");
    carriers.is_refused("999", "404", "nowhere").wait_success();
    super::process::wait_for("why 999 was refused", || {
        let explained = carriers.installation.run(&["explain", "nowhere"]);
        text(&explained.stdout).contains("999 was dialled").then_some(())
    });
}

/// The same rules run dry tell where a call would go, from numbers and from an INVITE in a file.
#[test]
fn a_dry_run_tells_the_way_without_a_gateway() {
    let more = "[trunks.near]\naddress = \"127.0.0.1:9\"\n\
                [routes.onward]\ntrunks = [\"near\"]\n\
                [[numbers]]\ndialled = \"00*\"\ntrunk = \"carrier\"\nroute = \"onward\"\n";
    let installation = Installation::new(&Plan { more: more.into(), ..Plan::default() });
    let told = |arguments: &[&str]| {
        let output = installation.run(arguments);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let way = told(&["would-route", "--trunk", "carrier", "--from", CALLER, "--to", CALLEE]);
    assert!(way.contains("route onward") && way.contains("trunk near"), "{way}");
    let invite = "INVITE sip:0049891@127.0.0.1 SIP/2.0\n\
                  Via: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bKx\nFrom: <sip:+491@h>;tag=1\n\
                  To: <sip:0049891@127.0.0.1>\nCall-ID: x\nCSeq: 1 INVITE\n\
                  Contact: <sip:+491@127.0.0.1:5099>\nMax-Forwards: 70\nContent-Length: 0\n";
    installation.folder.write("invite.txt", invite);
    let way = told(&["would-route", "invite.txt", "--json"]);
    let last: Value = serde_json::from_str(way.lines().last().unwrap()).unwrap();
    assert_eq!(last["chosen"], "trunk near", "{way}");
    let refused = told(&["would-route", "--agent", "anna", "--to", "+1212"]);
    assert!(refused.contains("refused with 403"), "{refused}");
}
