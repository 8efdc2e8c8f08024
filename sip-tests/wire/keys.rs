//! SIPp callers who press RFC 4733 keys through the sample hotline, over UDP and over TCP.

use super::installation::{Gateway, Installation, Plan};
use super::receiver::Receiver;
use super::sipp::{self, Scenario};
use serde_json::Value;

/// A SIPp caller of 4000 over `transport`, as far as the keys go; gives the call's number.
fn caller(
    installation: &Installation,
    gateway: &Gateway,
    transport: &str,
    keys: [&str; 3],
    spoken: &[&str],
) -> u64 {
    let mut events = gateway.events();
    let keys =
        [("number", "+49301110001"), ("first", keys[0]), ("second", keys[1]), ("third", keys[2])];
    let scenario = Scenario {
        name: "presses-keys",
        calls: Some((gateway.sip, "4000")),
        transport,
        keys: &keys,
        ..Scenario::default()
    };
    let mut sipp = sipp::start(&installation.folder, &scenario);
    let call = events.call();
    for words in spoken {
        events.said(call, words);
    }
    sipp.wait_success();
    let ended = events.of(call, "call.ended");
    assert_eq!((&ended["cause"], &ended["by"]), (&"normal".into(), &"peer".into()), "{ended}");
    call
}

/// One leg, ended by its caller, with sound in both directions.
fn check_record(leg: &Value) {
    assert_eq!(leg["role"], "caller");
    assert_eq!(leg["from"], "+49301110001");
    assert_eq!(leg["to"], "4000");
    assert_eq!(leg["ended_by"], "peer");
    assert_eq!(leg["q850"], 16);
    assert!(leg["answered_at"].is_string(), "{leg}");
    assert!(leg["packets_sent"].as_u64().unwrap() > 100, "{leg}");
    // SIPp sends nothing but the events of the keys, three packets each at least.
    assert!(leg["packets_received"].as_u64().unwrap() > 3, "{leg}");
}

#[test]
fn a_key_leads_to_the_opening_hours_over_udp_and_tcp() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    for transport in ["u1", "t1"] {
        let keys = ["5", "1", "5"];
        let spoken = ["in a few words", "Monday to Friday", "in a few words", "Monday"];
        let call = caller(&installation, &gateway, transport, keys, &spoken);
        let legs = gateway.legs(call, 1);
        check_record(&legs[0]);
        assert_eq!(legs[0]["intent"], "opening_hours");
        let wanted = ["INVITE sip:4000@", "200 OK (INVITE)", "ACK", "BYE", "200 OK (BYE)"];
        installation.trace(call, &wanted);
        installation.trace(call, &["flow hotline", "intent opening_hours: key 5"]);
    }
}

#[test]
fn an_order_number_keyed_in_is_looked_up_over_http() {
    let service = Receiver::start();
    let plan = Plan { service: Some(service.address), ..Plan::default() };
    let installation = Installation::new(&plan);
    let gateway = installation.start();
    let spoken = ["Is that right", "on its way"];
    let call = caller(&installation, &gateway, "u1", ["1", "4711#", "1"], &spoken);
    assert_eq!(service.asked(), ["/orders/4711"]);
    let legs = gateway.legs(call, 1);
    check_record(&legs[0]);
    assert_eq!(legs[0]["intent"], "order_status");
    let wanted = ["intent order_status: key 1", "order_number taken", "fetch:", "confirmed: key 1"];
    installation.trace(call, &wanted);
}
