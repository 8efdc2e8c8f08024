use super::{Bench, carrier, support};
use crate::event::{CampaignDefinition, CampaignOrder, Command, Event, KeyAnswer, Message};
use campaign::event::{CampaignRules, CampaignState, LeasedContact, RetryPolicy};
use domain::id::{CampaignId, ContactId, TenantId};
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use std::sync::Arc;
use std::time::Duration;

/// A caller asks for somebody, waits with music, and speaks with the agent.
#[test]
fn a_caller_reaches_an_agent() {
    let mut bench = Bench::staffed();
    bench.plays(&[
        ("incoming", "open caller"),
        ("caller opened", "answer caller"),
        ("caller up", "connect caller | play caller Press 1. | listen caller"),
        ("caller 1", "silence caller | deafen caller | play caller music | open anna"),
        ("anna opened", "invite anna at anna"),
        ("anna up", "connect anna | deafen caller | bridge caller anna"),
        ("caller hangs-up", "close caller | hang up anna | store Available"),
        ("anna hangs-up", "close anna"),
        ("anna closed", "store Agent Normal"),
        ("caller closed", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

/// Nobody is there: a caller is promised a call and hangs up; then the agent is back.
pub(super) fn promised(bench: &mut Bench) {
    bench.agent_says(queue::event::AgentSays::LogOut);
    bench.plays(&[
        ("incoming", "open caller"),
        ("caller opened", "answer caller"),
        ("caller up", "connect caller | play caller Press 1. | listen caller"),
        (
            "caller 1",
            "silence caller | deafen caller | play caller Shall we call back? | listen caller",
        ),
        (
            "caller 1",
            "silence caller | deafen caller | store at once promise Promised 0, told when done",
        ),
        ("stored", "play caller We will."),
        ("caller hangs-up", "close caller"),
        ("caller closed", "store Caller Normal"),
        ("wait 30", ""),
    ]);
    bench.agent_says(queue::event::AgentSays::LogIn);
}

/// Nobody is there: the caller is promised a call once the promise is on disk, and called when the
/// agent comes.
#[test]
fn a_promise_is_told_after_it_is_stored_and_kept() {
    let mut bench = Bench::staffed();
    promised(&mut bench);
    bench.plays(&[
        // Its try is counted before its INVITE leaves.
        (
            "anna is-ready",
            "reply Done | store Available | store promise Reserved 0 | open caller \
             | store promise Dialling 1",
        ),
        ("caller opened", "invite caller at +4930123456"),
        (
            "caller up",
            "connect caller | play caller Hello, this is the call back that you asked for. I am \
             connecting you now. | open anna",
        ),
        ("anna opened", "invite anna at anna"),
        ("anna up", "connect anna | deafen caller | bridge caller anna | store promise Kept 1"),
        ("anna hangs-up", "close anna | hang up caller | store Available"),
        ("caller hangs-up", "close caller"),
        ("anna closed", "store Agent Normal"),
        ("caller closed", "store Callback Normal"),
    ]);
    bench.holds_nothing();
}

/// A promise goes by the route of its number: where one carrier has no way, the next one rings the
/// caller, his agent being held still; who was reached is not rung again.
#[test]
fn a_promise_is_kept_by_the_second_trunk() {
    use domain::cause::Cause;
    use sip::event::LegEvent;
    let mut bench = Bench::staffed_with(|rules| {
        rules.queue_voices.values_mut().for_each(|voice| voice.callback_trunk = None);
    });
    promised(&mut bench);
    bench.step("anna is-ready");
    bench.plays(&[("caller opened", "invite caller at +4930123456")]);
    let ends = |bench: &mut Bench, status| {
        let leg = bench.leg("caller");
        bench.event(Event::Leg(LegEvent::Ended { leg, cause: Cause::from_status(status) }))
    };
    assert_eq!(ends(&mut bench, 503), "close caller | open caller");
    bench.plays(&[("caller opened", "invite caller at +4930123456")]);
    let decided = bench.decided();
    let last = decided.last().unwrap();
    let expected = "trunk backup, shows +4930555000 (no number given: the trunk's own is shown) \
                    not trunk carrier at udp:127.0.0.1:40000 (answer: 503)";
    assert_eq!(last, expected);
    let told = ends(&mut bench, 486);
    assert!(told.starts_with("close caller") && !told.contains("open"), "{told}");
}

fn campaign() -> Arc<CampaignDefinition> {
    Arc::new(CampaignDefinition {
        tenant: TenantId::default(),
        name: "reminder".into(),
        rules: CampaignRules {
            id: CampaignId(1),
            trunk: carrier(),
            caller_id: PhoneNumber::parse("+4930555000").unwrap(),
            rate_per_minute_max: 60,
            channels_max: 1,
            ring_for: Duration::from_secs(20),
            retry: RetryPolicy {
                attempts_max: 2,
                busy_after: Duration::from_secs(60),
                no_answer_after: Duration::from_secs(60),
                failed_after: Duration::from_secs(60),
                in_doubt_after: Duration::from_secs(900),
            },
            window_minutes: (0, 1_440),
            utc_offset_min: 0,
        },
        message: Message {
            language: Language::English,
            text: "Tomorrow at nine.".into(),
            keys: vec![('1', KeyAnswer::Queue(support()))],
            wait_for_key_ms: 4_000,
        },
        webhook_url: None,
        state: CampaignState::Draft,
    })
}

/// A campaign has been started.
pub(super) fn dialling() -> Bench {
    let mut bench = Bench::new();
    start(&mut bench);
    bench
}

pub(super) fn start(bench: &mut Bench) {
    assert_eq!(bench.command(Command::AdoptCampaign(campaign())), "reply Done");
    let start = Command::Campaign { campaign: CampaignId(1), order: CampaignOrder::Start };
    assert_eq!(bench.command(start), "store campaign Running, told when done | claim 1");
    assert_eq!(bench.step("stored"), "reply Done");
}

/// One contact, leased.
pub(super) fn claimed(bench: &mut Bench) -> String {
    let contact = LeasedContact {
        contact: ContactId(5),
        number: PhoneNumber::parse("+4930123456").unwrap(),
        attempt_number: 1,
        fence: 1,
    };
    bench.event(Event::Claimed {
        campaign: CampaignId(1),
        contacts: vec![contact],
        next_due_wall_ms: None,
    })
}

/// The attempt is on disk before its INVITE, marked as sent in front of it, and closed with its
/// record in one transaction; then the campaign is done.
#[test]
fn a_contact_is_called_and_his_attempt_closed() {
    let mut bench = dialling();
    assert_eq!(claimed(&mut bench), "permit");
    bench.plays(&[
        ("permitted", "open contact"),
        ("contact opened", "mark contact | invite contact at +4930123456 as fixed"),
        ("contact up", "connect contact | play contact Tomorrow at nine. | listen contact"),
        ("contact played", ""),
        ("wait 5", "deafen contact | hang up contact"),
        ("contact hangs-up", "close contact"),
        ("contact closed", "store Contact Normal + attempt Answered, told when done"),
        ("stored", "claim 1"),
    ]);
    assert_eq!(bench.decided(), ["trunk carrier"]);
    bench.holds_nothing();
}
