//! SIGTERM: no new calls, the present ones may end, then exit 0.

use super::installation::{Installation, Plan};
use super::sipp::{self, Scenario};
use super::spoilt::{self, Peer};
use super::{http, process::wait_for};

#[test]
fn sigterm_lets_the_present_call_end_and_takes_no_new_one() {
    let installation = Installation::new(&Plan::default());
    let mut gateway = installation.start();
    let mut events = gateway.events();
    let keys = [("number", "+49301110001"), ("first", "9"), ("second", "9"), ("third", "9")];
    let scenario = Scenario {
        name: "presses-keys",
        calls: Some((gateway.sip, "4000")),
        keys: &keys,
        ..Scenario::default()
    };
    let mut present = sipp::start(&installation.folder, &scenario);
    let call = events.call();
    events.of(call, "call.key");
    gateway.process.signal("TERM");
    // Whoever looks where to send calls is told, too.
    wait_for("not to be ready", || {
        let ready = http::request(gateway.operations, "GET", "/readyz", "", b"");
        (ready.ok()?.status == 503).then_some(())
    });
    let peer = Peer::new(&gateway);
    let offer = spoilt::offer(4_000);
    let refused = peer.ask(&peer.request("INVITE", "Content-Type: application/sdp\r\n", &offer));
    assert_eq!(spoilt::status(&refused), 503, "{refused}");
    assert!(!spoilt::line_value(&refused, "Retry-After").is_empty(), "{refused}");
    assert!(gateway.process.exited().is_none(), "the call is still up");
    // SIPp goes on pressing keys and hangs up in its own time, without fault.
    present.wait_success();
    gateway.process.wait_success();
    // All was on disk before the end.
    let gateway = installation.start();
    let leg = gateway.legs(call, 1).remove(0);
    assert_eq!((&leg["ended_by"], &leg["cause"]), (&"peer".into(), &"normal".into()), "{leg}");
}
