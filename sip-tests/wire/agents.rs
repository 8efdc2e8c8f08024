//! baresip as agent: registers by digest, answers, and both sides hear each other.

use super::baresip::{Baresip, Role};
use super::events::Events;
use super::installation::{Gateway, Installation, Plan};
use super::process::wait_for;
use super::sound;

const CALLERS_HERTZ: f64 = 650.0;
const AGENTS_HERTZ: f64 = 1_000.0;

/// An agent whose telephone is registered and who is ready for calls.
fn agent(gateway: &Gateway, installation: &Installation, role: Role<'_>) -> Baresip {
    let tone = installation.folder.at("agent.wav");
    sound::write_tone(&tone, AGENTS_HERTZ, 60);
    let telephone = Baresip::start(gateway.sip, role, &tone);
    let (Role::Silent(name) | Role::Answering(name) | Role::Caller(name)) = role;
    gateway.agent_says(name, "log_in");
    gateway.agent_says(name, "ready");
    telephone
}

fn caller(gateway: &Gateway, installation: &Installation) -> Baresip {
    let tone = installation.folder.at("caller.wav");
    sound::write_tone(&tone, CALLERS_HERTZ, 60);
    Baresip::start(gateway.sip, Role::Caller("+49301110002"), &tone)
}

/// Waits until `telephone` has heard a second and a half of the tone.
fn wait_until_heard(telephone: &Baresip, hertz: f64) {
    wait_for("the other side's tone", || {
        (sound::seconds_of(&telephone.heard(), hertz) >= 1.6).then_some(())
    });
}

/// A call of the agent's queue up to the bridge; gives its number.
fn bridge(gateway: &Gateway, caller: &mut Baresip, events: &mut Events, agent: &str) -> u64 {
    caller.dial(gateway.sip, "4100");
    let call = events.call();
    let bridged = events.of(call, "call.bridged");
    assert_eq!(bridged["agent"], agent);
    call
}

/// Whoever hangs up first: both sides heard each other, and each leg has its record.
#[test]
fn caller_and_agent_hear_each_other_and_either_may_hang_up_first() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    for agent_hangs_up in [false, true] {
        let mut agent = agent(&gateway, &installation, Role::Answering("anna"));
        let mut caller = caller(&gateway, &installation);
        let call = bridge(&gateway, &mut caller, &mut events, "anna");
        wait_until_heard(&caller, AGENTS_HERTZ);
        wait_until_heard(&agent, CALLERS_HERTZ);
        let (first, other) = match agent_hangs_up {
            true => (&mut agent, &mut caller),
            false => (&mut caller, &mut agent),
        };
        first.hang_up();
        other.wait("CALL_CLOSED");
        events.of(call, "call.ended");
        // Nobody hears himself.
        assert_eq!(sound::seconds_of(&caller.heard(), CALLERS_HERTZ), 0.0);
        assert_eq!(sound::seconds_of(&agent.heard(), AGENTS_HERTZ), 0.0);
        let legs = gateway.legs(call, 2);
        let by = |role: &str| {
            let leg = legs.iter().find(|leg| leg["role"] == role).expect("a leg of each");
            assert!(leg["packets_received"].as_u64().unwrap() > 50, "{leg}");
            assert!(leg["mos"].as_f64().unwrap() > 3.0, "{leg}");
            leg["ended_by"].as_str().unwrap().to_owned()
        };
        let (callers, agents) = (by("caller"), by("agent"));
        match agent_hangs_up {
            true => assert_eq!((&*callers, &*agents), ("us", "peer")),
            false => assert_eq!((&*callers, &*agents), ("peer", "us")),
        }
    }
}

/// Hold is answered by its other half (RFC 3264 §8.4) and drops nothing: the sound goes both ways again
/// after it.
#[test]
fn hold_and_resume_of_an_agents_telephone_bring_the_sound_back() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let mut agent = agent(&gateway, &installation, Role::Answering("anna"));
    let mut caller = caller(&gateway, &installation);
    let call = bridge(&gateway, &mut caller, &mut events, "anna");
    wait_until_heard(&caller, AGENTS_HERTZ);
    let told = |wanted: &str, times: usize| {
        wait_for(wanted, || {
            let output = installation.run(&["trace", &call.to_string(), "--full"]);
            let full = super::installation::text(&output.stdout);
            (full.matches(wanted).count() >= times).then_some(())
        });
    };
    for round in 1..=2 {
        agent.hold();
        told("a=sendonly", round);
        told("a=recvonly", round);
        let before = sound::seconds_of(&caller.heard(), AGENTS_HERTZ);
        agent.resume();
        wait_for("the sound to come back", || {
            (sound::seconds_of(&caller.heard(), AGENTS_HERTZ) > before + 1.0).then_some(())
        });
    }
    caller.hang_up();
    let ended = events.of(call, "call.ended");
    assert_eq!((&ended["cause"], &ended["by"]), (&"normal".into(), &"peer".into()), "{ended}");
    agent.wait("CALL_CLOSED");
    // This telephone records nothing more once it has held somebody, so what it was sent is counted:
    // 1.6 s before the first hold and a second after each.
    let legs = gateway.legs(call, 2);
    let agents = legs.iter().find(|leg| leg["role"] == "agent").expect("her leg has a record");
    assert!(agents["packets_sent"].as_u64().unwrap() > 150, "{agents}");
}

/// Without asking first: the caller hears the colleague, and the agent is out of it.
#[test]
fn an_agents_telephone_sends_the_caller_on_to_a_colleague() {
    const BENS_HERTZ: f64 = 1_400.0;
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let mut anna = agent(&gateway, &installation, Role::Answering("anna"));
    let tone = installation.folder.at("ben.wav");
    sound::write_tone(&tone, BENS_HERTZ, 60);
    let mut ben = Baresip::start(gateway.sip, Role::Answering("ben"), &tone);
    let mut caller = caller(&gateway, &installation);
    let call = bridge(&gateway, &mut caller, &mut events, "anna");
    wait_until_heard(&caller, AGENTS_HERTZ);
    anna.transfer(gateway.sip, "ben");
    ben.wait("CALL_ESTABLISHED");
    anna.wait("CALL_CLOSED");
    wait_until_heard(&caller, BENS_HERTZ);
    wait_until_heard(&ben, CALLERS_HERTZ);
    caller.hang_up();
    ben.wait("CALL_CLOSED");
    events.of(call, "call.ended");
    // What was done is told by NOTIFY (RFC 3515 §2.4.4).
    installation.trace(call, &["REFER", "202", "NOTIFY"]);
}

/// The one whose turn it is does not answer: after his time the next is rung, and the missed ring
/// stands in the records.
#[test]
fn an_agent_who_does_not_answer_is_passed_over() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let _anna = agent(&gateway, &installation, Role::Silent("anna"));
    let _ben = agent(&gateway, &installation, Role::Answering("ben"));
    let mut caller = caller(&gateway, &installation);
    caller.dial(gateway.sip, "4100");
    let call = events.call();
    // Anna has been free for longest.
    assert_eq!(events.of(call, "call.agent_rung")["agent"], "anna");
    assert_eq!(events.of(call, "call.agent_rung")["agent"], "ben");
    assert_eq!(events.of(call, "call.bridged")["agent"], "ben");
    caller.hang_up();
    events.of(call, "call.ended");
    let legs = gateway.legs(call, 3);
    let missed = legs.iter().find(|leg| leg["agent"] == "anna").expect("her leg has a record");
    assert_eq!((&missed["cause"], &missed["ended_by"]), (&"no_answer".into(), &"us".into()));
}

/// The codes dialled from an agent's own telephone, which proves itself by digest.
#[test]
fn feature_codes_log_in_ready_pause_and_log_out() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let tone = installation.folder.at("agent.wav");
    sound::write_tone(&tone, AGENTS_HERTZ, 60);
    let mut telephone = Baresip::start(gateway.sip, Role::Silent("anna"), &tone);
    for (code, state, confirmation) in [
        ("*61", "paused", "You are logged in."),
        ("*63", "available", "You are ready for calls."),
        ("*64", "paused", "You are paused."),
        ("*62", "logged_out", "You are logged out. Goodbye."),
    ] {
        telephone.dial(gateway.sip, code);
        let call = events.call();
        events.said(call, confirmation);
        // We hang up once it is said.
        telephone.wait("CALL_CLOSED");
        events.of(call, "call.ended");
        wait_for(state, || {
            let agent = gateway.get("/v1/agents/anna").expect(200);
            (agent["state"] == state).then_some(())
        });
        let leg = gateway.legs(call, 1).remove(0);
        assert_eq!((&leg["agent"], &leg["ended_by"]), (&"anna".into(), &"us".into()), "{leg}");
    }
    // From a telephone that does not prove itself the code is no number at all.
    let mut stranger = Baresip::start(gateway.sip, Role::Caller("+49301110009"), &tone);
    stranger.dial(gateway.sip, "*63");
    stranger.wait("CALL_CLOSED");
    assert_eq!(gateway.get("/v1/agents/anna").expect(200)["state"], "logged_out");
}
