//! SIPp as carrier of a campaign: every way that a call can end, webhooks, records.

use super::baresip::{Baresip, Role};
use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::receiver::Receiver;
use super::sipp::{self, Scenario};
use super::sound;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What becomes of a number by its last digit, see `scenarios/carrier.xml`: the word on it, the
/// status that says so, and whether it is called again.
const ENDS: [(char, &str, u16, bool); 7] = [
    ('1', "answered", 0, false),
    ('2', "busy", 486, true),
    ('3', "no_answer", 487, true),
    ('4', "invalid_number", 404, false),
    ('5', "transferred", 0, false),
    ('6', "declined", 603, false),
    ('7', "answered_briefly", 0, false),
];

fn number(last: char) -> String {
    format!("+4930222000{last}")
}

/// Makes the campaign, adds the contacts, starts it; gives its number.
fn start(gateway: &Gateway, receiver: &Receiver) -> u64 {
    let definition = json!({
        "name": "Parcels", "trunk": "carrier", "caller_id": "+4930555000",
        "rate_per_minute_max": 6_000, "channels_max": 10, "ring_s": 5,
        "window": { "from": "00:00", "to": "24:00", "utc_offset_min": 0 },
        "message": {
            "language": "en", "text": "Hello. To speak to somebody, press 1.",
            "keys": [{ "key": "1", "queue": "support" }], "wait_for_key_s": 2,
        },
        "webhook_url": format!("http://{}/webhook", receiver.address),
    });
    let made = gateway.request("POST", "/v1/campaigns", &definition).expect(201);
    let id = made["id"].as_u64().unwrap();
    let contacts: Vec<Value> =
        ENDS.iter().map(|(last, ..)| json!({ "number": number(*last) })).collect();
    let path = format!("/v1/campaigns/{id}");
    let added = gateway.request("POST", &format!("{path}/contacts"), &json!(contacts)).expect(200);
    assert_eq!((&added["added"], &added["refused"]), (&json!(7), &json!(0)), "{added}");
    gateway.request("POST", &format!("{path}/start"), &Value::Null).expect(200);
    id
}

#[test]
fn every_end_of_a_campaign_call_has_its_word_its_webhook_and_its_records() {
    let receiver = Receiver::start();
    let carrier = ports::free();
    let installation = Installation::new(&Plan { carrier, ..Plan::default() });
    let gateway = installation.start();
    let scenario =
        Scenario { name: "carrier", port: carrier, count: ENDS.len(), ..Scenario::default() };
    let mut sipp = sipp::start(&installation.folder, &scenario);
    let tone = installation.folder.at("agent.wav");
    sound::write_tone(&tone, 1_000.0, 60);
    let mut agent = Baresip::start(gateway.sip, Role::Answering("anna"), &tone);
    gateway.agent_says("anna", "log_in");
    gateway.agent_says("anna", "ready");
    let mut events = gateway.events();
    let id = start(&gateway, &receiver);
    agent.wait("CALL_ESTABLISHED");
    events.kind("call.bridged");
    agent.hang_up();
    events.count("attempt.closed", ENDS.len());
    sipp.wait_success();
    let results = gateway.get(&format!("/v1/campaigns/{id}/results")).expect(200);
    let results = results["items"].as_array().unwrap();
    let by_number: BTreeMap<&str, &Value> =
        results.iter().map(|row| (row["number"].as_str().unwrap(), row)).collect();
    for (last, disposition, status, again) in ENDS {
        let row = by_number[number(last).as_str()];
        assert_eq!(row["disposition"], disposition, "{row}");
        assert_eq!(row["sip_status"], status, "{row}");
        assert_eq!(row["retry_at"].is_string(), again, "{row}");
        let legs = if last == '5' { 2 } else { 1 };
        let legs = gateway.legs(row["call"].as_u64().unwrap(), legs);
        let contact = legs.iter().find(|leg| leg["role"] == "contact").unwrap();
        assert_eq!((&contact["to"], &contact["trunk"]), (&json!(number(last)), &json!("carrier")));
    }
    check_webhooks(&receiver, &installation.webhook_secret());
}

fn check_webhooks(receiver: &Receiver, secret: &str) {
    let bodies = receiver.webhooks(ENDS.len(), secret);
    let mut told: Vec<(String, String)> = bodies
        .iter()
        .map(|body| {
            let text = |key: &str| body["data"][key].as_str().unwrap_or_default().to_owned();
            (text("number"), text("disposition"))
        })
        .collect();
    told.sort();
    let expected: Vec<_> =
        ENDS.iter().map(|(last, word, ..)| (number(*last), (*word).to_owned())).collect();
    assert_eq!(told, expected, "{bodies:?}");
}
