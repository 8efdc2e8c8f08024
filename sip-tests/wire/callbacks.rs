//! Promises: made to a SIPp caller, kept through SIPp as carrier and baresip as agent, and held
//! through a signal 9, with their place in the line.

use super::baresip::{Baresip, Role};
use super::events::Events;
use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::process::wait_for;
use super::receiver::Receiver;
use super::sipp::{self, Scenario};
use super::sound;
use serde_json::{Value, json};

/// A SIPp caller with this number who takes the offer of 4100; gives the call's number.
fn promise(
    installation: &Installation,
    gateway: &Gateway,
    events: &mut Events,
    number: &str,
) -> u64 {
    // The queue refuses him, since nobody is there; 1 is yes.
    let keys = [("number", number), ("first", "1")];
    let scenario = Scenario {
        name: "presses-a-key",
        calls: Some((gateway.sip, "4100")),
        keys: &keys,
        ..Scenario::default()
    };
    let mut sipp = sipp::start(&installation.folder, &scenario);
    let call = events.call();
    events.of(call, "call.queue_refused");
    let promised = events.callback("promised");
    assert_eq!(promised["number"], number);
    events.said(call, "We will call you back");
    // We hang up first here: SIPp waits for our BYE.
    sipp.wait_success();
    events.of(call, "call.ended");
    promised["callback"].as_u64().unwrap()
}

fn agent(installation: &Installation, gateway: &Gateway) -> Baresip {
    let tone = installation.folder.at("agent.wav");
    sound::write_tone(&tone, 1_000.0, 60);
    Baresip::start(gateway.sip, Role::Answering("anna"), &tone)
}

#[test]
fn a_promise_to_a_caller_is_kept_by_ringing_him_through_the_carrier() {
    let carrier = ports::free();
    let receiver = Receiver::start();
    let installation = Installation::new(&Plan { carrier, ..Plan::default() });
    let url = format!("http://{}/webhook", receiver.address);
    assert!(installation.run(&["webhook", "url", &url]).status.success());
    let gateway = installation.start();
    let mut events = gateway.events();
    let id = promise(&installation, &gateway, &mut events, "+49301110001");
    let scenario = Scenario { name: "carrier", port: carrier, ..Scenario::default() };
    let mut sipp = sipp::start(&installation.folder, &scenario);
    let mut agent = agent(&installation, &gateway);
    gateway.agent_says("anna", "log_in");
    gateway.agent_says("anna", "ready");
    let call = events.call();
    assert_eq!(events.of(call, "call.bridged")["agent"], "anna");
    events.callback("kept");
    agent.wait("CALL_ESTABLISHED");
    agent.hang_up();
    events.of(call, "call.ended");
    sipp.wait_success();
    assert_eq!(gateway.get(&format!("/v1/callbacks/{id}")).expect(200)["state"], "kept");
    let legs = gateway.legs(call, 2);
    let mut roles: Vec<_> = legs.iter().map(|leg| leg["role"].as_str().unwrap()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["agent", "callback"]);
    let callback = legs.iter().find(|leg| leg["role"] == "callback").unwrap();
    assert_eq!(
        (&callback["to"], &callback["from"]),
        (&json!("+49301110001"), &json!("+4930555000"))
    );
    let bodies = receiver.webhooks(1, &installation.webhook_secret());
    assert_eq!(bodies[0]["data"]["number"], "+49301110001", "{bodies:?}");
}

#[test]
fn promises_outlive_signal_9_and_keep_their_place() {
    let (carrier, sip) = (ports::free(), ports::free());
    let installation = Installation::new(&Plan { carrier, sip, ..Plan::default() });
    let numbers = ["+49301110001", "+49301110011"];
    let mut gateway = installation.start();
    let mut events = gateway.events();
    let ids = numbers.map(|number| promise(&installation, &gateway, &mut events, number));
    let arrivals = |gateway: &Gateway| -> Vec<(Value, Value, Value)> {
        let shown = |id| gateway.get(&format!("/v1/callbacks/{id}")).expect(200);
        let row = |id| {
            let row: Value = shown(id);
            (row["state"].clone(), row["number"].clone(), row["arrived_at"].clone())
        };
        ids.iter().map(|id| row(*id)).collect()
    };
    let before = arrivals(&gateway);
    gateway.process.signal("KILL");
    gateway.process.wait_exit();
    drop(gateway);
    let gateway = installation.start();
    assert_eq!(arrivals(&gateway), before);
    let mut events = gateway.events();
    let mut agent = agent(&installation, &gateway);
    gateway.agent_says("anna", "log_in");
    // A promise takes its place in the line once its caller has had the time to hang up.
    wait_for("the promises to come due", || {
        let due = |id: &u64| {
            let row = gateway.get(&format!("/v1/callbacks/{id}")).expect(200);
            let at: jiff::Timestamp = row["not_before"].as_str().unwrap().parse().unwrap();
            at < jiff::Timestamp::now()
        };
        ids.iter().all(due).then_some(())
    });
    // A caller who comes now stands behind both.
    let mut live = Baresip::start(
        gateway.sip,
        Role::Caller("+49301119999"),
        &installation.folder.at("agent.wav"),
    );
    live.dial(gateway.sip, "4100");
    let waiting = events.call();
    let position = events.of(waiting, "call.queued")["position"].clone();
    assert_eq!(position, 2, "both promises are before him");
    let scenario = Scenario { name: "carrier", port: carrier, count: 2, ..Scenario::default() };
    let mut sipp = sipp::start(&installation.folder, &scenario);
    gateway.agent_says("anna", "ready");
    for number in numbers {
        let kept = events.callback("kept");
        assert_eq!(kept["number"], number);
        agent.wait("CALL_ESTABLISHED");
        agent.hang_up();
    }
    sipp.wait_success();
    events.of(waiting, "call.bridged");
    live.hang_up();
}
