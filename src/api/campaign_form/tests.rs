//! A good form becomes the definition it says; a bad one is told all its faults at once.

use super::*;
use serde_json::{Value, json};

fn form() -> Value {
    json!({
        "name": " renewals ",
        "trunk": "carrier",
        "caller_id": "+49 30 1234567",
        "rate_per_minute_max": 6000,
        "channels_max": 500,
        "window": {"from": "08:00", "to": "24:00", "utc_offset_min": 60},
        "message": {
            "language": "en",
            "text": "Hello.",
            "keys": [
                {"key": "1", "queue": "sales"},
                {"key": "9", "repeat": true},
                {"key": "#", "say": "Good bye."},
            ],
        },
        "webhook_url": "https://example.com/hook",
    })
}

fn check(form: Value) -> Result<CampaignDefinition, Problem> {
    let form: NewCampaign = crate::body::json(form.to_string().as_bytes())?;
    let (trunks, queues) = (["carrier".to_owned()], ["sales".to_owned(), "support".to_owned()]);
    form.check(&TenantId::default(), Names { numbers: None, trunks: &trunks, queues: &queues })
}

#[test]
fn a_good_form_becomes_a_draft() {
    let definition = check(form()).unwrap();
    let tenant = TenantId::default();
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let expected = CampaignDefinition {
        name: "renewals".into(),
        rules: CampaignRules {
            id: CampaignId(0),
            trunk: TrunkId::new(&tenant, "carrier"),
            caller_id: PhoneNumber::parse("+49301234567").unwrap(),
            rate_per_minute_max: 6000,
            channels_max: 500,
            ring_for: Duration::from_secs(30),
            retry: RetryPolicy {
                attempts_max: 3,
                busy_after: minutes(15),
                no_answer_after: minutes(120),
                failed_after: minutes(15),
                in_doubt_after: minutes(60),
            },
            window_minutes: (480, 1440),
            utc_offset_min: 60,
        },
        message: Message {
            language: Language::English,
            text: "Hello.".into(),
            keys: vec![
                ('1', KeyAnswer::Queue(QueueId::new(&tenant, "sales"))),
                ('9', KeyAnswer::Repeat),
                ('#', KeyAnswer::Say("Good bye.".into())),
            ],
            wait_for_key_ms: 5_000,
        },
        webhook_url: Some("https://example.com/hook".into()),
        state: CampaignState::Draft,
        tenant,
    };
    assert_eq!(definition, expected);
}

#[test]
fn all_faults_of_a_form_are_told_at_once() {
    let mut bad = form();
    bad["name"] = json!("  ");
    bad["trunk"] = json!("carier");
    bad["caller_id"] = json!("nobody");
    bad["rate_per_minute_max"] = json!(0);
    bad["retry"] = json!({"in_doubt_after_min": 5});
    bad["window"] = json!({"from": "8:00", "to": "07:00", "utc_offset_min": 900});
    bad["message"]["keys"] = json!([{"key": "1"}, {"key": "12", "repeat": true},
        {"key": "2", "queue": "supprt"}, {"key": "2", "repeat": true}]);
    bad["webhook_url"] = json!("ftp://example.com");
    let faults = check(bad).unwrap_err().faults;
    let found: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
    let expected = [
        "/name",
        "/trunk",
        "/rate_per_minute_max",
        "/caller_id",
        "/retry/in_doubt_after_min",
        "/window/from",
        "/window/utc_offset_min",
        "/message/keys/0",
        "/message/keys/1/key",
        "/message/keys/2/queue",
        "/message/keys/3/key",
        "/webhook_url",
    ];
    assert_eq!(found, expected);
    assert_eq!(faults[1].detail, "there is no trunk \"carier\"; did you mean \"carrier\"?");
}

#[test]
fn times_of_day_are_strict() {
    for (text, expected) in [
        ("00:00", Some(0)),
        ("23:59", Some(1439)),
        ("24:00", Some(1440)),
        ("24:01", None),
        ("12:60", None),
        ("8:00", None),
        ("+8:00", None),
        ("0800", None),
        ("99:99", None),
    ] {
        assert_eq!(minute_of_day(text), expected, "{text}");
    }
}

#[test]
fn a_webhook_has_a_host_and_no_password() {
    for (url, good) in [
        ("https://example.com", true),
        ("http://127.0.0.1:8080/x?y", true),
        ("https://", false),
        ("https://user:secret@example.com", false),
        ("https://exa mple.com", false),
        ("javascript:alert(1)", false),
    ] {
        let mut faults = Faults::default();
        check_url(url, &mut faults);
        assert_eq!(faults.0.is_empty(), good, "{url}");
    }
}
