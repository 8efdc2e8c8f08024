//! What `[trunks.NAME]` says to the trunks' machine: places, probes, registration, numbers, failover.

use super::layered::Layered;
use super::parts::{number_text, texts};
use domain::hop::Transport;
use domain::media_plan::Codec;
use std::sync::Arc;
use std::time::Duration;
use trunk::failover::FailoverRules;
use trunk::health::HealthRules;
use trunk::locate::Place;
use trunk::number::{DialPlan, NumberForm, NumberStyle};
use trunk::registration::{Account, RegistrationRules};
use trunk::rules::{Caps, TrunkRules};

const PLACE: &str = "write a name or an address, such as \"sip.example.com\", \
                     \"sip.example.com:5070\", \"192.0.2.1:5060\" or \"[2001:db8::1]:5061\"";

/// What a trunk says; `plan` is how its tenant reads numbers.
pub(super) fn read(trunk: &Layered<'_>, plan: &DialPlan) -> TrunkRules {
    let place = Place { transport: transport(trunk), ..place(trunk) };
    let plan = DialPlan {
        digits_are_international: trunk.boolean("digits_are_international"),
        extension_digits_max: digits(trunk, "extension_digits_max"),
        ..plan.clone()
    };
    let own = number_text(trunk, "caller_id");
    TrunkRules {
        place,
        enabled: trunk.boolean("enabled"),
        caps: caps(trunk),
        health: health(trunk),
        registration: registration(trunk),
        failover: failover(trunk),
        dialled: form(trunk, "dialled_style", "dialled_strip", "dialled_prefix"),
        caller: form(trunk, "caller_style", "caller_strip", "caller_prefix"),
        caller_id: own.map(|number| plan.read(number)),
        plan,
        heard_within: seconds(trunk, "heard_within_s", 0..=30),
    }
}

/// How the numbers of the house are read: `[dial_plan]`.
pub(super) fn dial_plan(root: &Layered<'_>) -> DialPlan {
    let plan = root.section("dial_plan");
    let prefix = |key| plan.parsed(key, "write digits", only_digits).unwrap_or_default();
    let pattern =
        |text: &str| only_digits(text.strip_suffix('*').unwrap_or(text)).map(|_| text.into());
    let list = |key| texts(&plan.value(key), "write digits, such as \"112\" or \"116*\"", pattern);
    let read = DialPlan {
        country_code: prefix("country_code"),
        national_prefix: prefix("national_prefix"),
        international_prefix: prefix("international_prefix"),
        area_code: prefix("area_code"),
        digits_are_international: false,
        extension_digits_max: digits(&plan, "extension_digits_max"),
        short: list("short"),
        // Added where calls for help may come from, by `[emergency]`.
        emergency: Vec::new(),
    };
    plan.finish();
    read
}

fn place(trunk: &Layered<'_>) -> Place {
    let text = trunk.required("address", "\"192.0.2.1:5060\"");
    let read = |text: &str| Place::parse(text).ok_or("is neither a name nor an address");
    let place = text.and_then(|value| super::layered::parsed(&value, PLACE, read));
    place.unwrap_or_else(|| Place::at(Transport::Udp, ([127, 0, 0, 1], 5060).into()))
}

fn transport(trunk: &Layered<'_>) -> Option<Transport> {
    let word = |word: &str| match word {
        "" => Ok(None),
        "udp" => Ok(Some(Transport::Udp)),
        "tcp" => Ok(Some(Transport::Tcp)),
        "tls" => Ok(Some(Transport::Tls)),
        _ => Err("is no transport we speak"),
    };
    trunk.parsed("transport", "write udp, tcp, tls or \"\"", word).flatten()
}

fn caps(trunk: &Layered<'_>) -> Caps {
    Caps {
        outgoing_per_second: trunk.count("calls_per_second_max", 1..=100_000),
        incoming_per_second: trunk.count("incoming_per_second_max", 1..=100_000),
        outgoing: trunk.count("outgoing_max", 0..=1_000_000),
        incoming: trunk.count("incoming_max", 0..=1_000_000),
        channels: trunk.count("channels_max", 1..=1_000_000),
    }
}

fn health(trunk: &Layered<'_>) -> HealthRules {
    let pct = |key| u8::try_from(trunk.integer(key, 0..=100)).unwrap_or(0);
    HealthRules {
        probe_every: seconds(trunk, "probe_s", 0..=3_600),
        probe_within: seconds(trunk, "probe_within_s", 1..=32),
        down_after: trunk.count("down_after", 1..=100),
        up_after: trunk.count("up_after", 1..=100),
        dead_statuses: statuses(trunk, "dead_statuses"),
        trial_every: seconds(trunk, "trial_s", 1..=3_600),
        retry_after_max: seconds(trunk, "retry_after_max_s", 1..=86_400),
        window: seconds(trunk, "window_s", 10..=86_400),
        calls_min: trunk.count("calls_min", 1..=1_000_000),
        answer_ratio_min_pct: pct("answer_ratio_min"),
        effectiveness_min_pct: pct("effectiveness_min"),
        post_dial_delay_max: seconds(trunk, "post_dial_delay_max_s", 0..=180),
        failures_max_pct: pct("failures_max"),
    }
}

fn registration(trunk: &Layered<'_>) -> Option<RegistrationRules> {
    let text = |key| Arc::<str>::from(trunk.text(key));
    let rules = RegistrationRules {
        account: Account { user: text("register_user"), contact: text("register_contact") },
        expires: seconds(trunk, "register_expires_s", 60..=86_400),
        retry_base: seconds(trunk, "register_retry_s", 1..=3_600),
        retry_max: seconds(trunk, "register_retry_max_s", 1..=86_400),
        refused_retry: seconds(trunk, "register_refused_s", 60..=86_400),
    };
    trunk.boolean("register").then_some(rules)
}

fn failover(trunk: &Layered<'_>) -> FailoverRules {
    let rules = FailoverRules {
        next_on: statuses(trunk, "failover_on"),
        final_on: statuses(trunk, "failover_never_on"),
        reached_statuses: statuses(trunk, "failover_though_reached"),
        after_ringing: trunk.boolean("failover_after_ringing"),
    };
    let unmeant = rules.unmeant();
    if !unmeant.is_empty() {
        let listed: Vec<String> = unmeant.iter().map(u16::to_string).collect();
        let problem = format!("{} says that a person was reached", listed.join(", "));
        let remedy = "name it in failover_though_reached too, if that person shall be rung again";
        trunk.value("failover_on").fault(problem, remedy.into());
    }
    rules
}

fn form(
    trunk: &Layered<'_>,
    style: &'static str,
    strip: &'static str,
    prefix: &'static str,
) -> NumberForm {
    let word = |word: &str| match word {
        "e164" => Ok(NumberStyle::E164),
        "digits" => Ok(NumberStyle::Digits),
        "international" => Ok(NumberStyle::International),
        "national" => Ok(NumberStyle::National),
        "raw" => Ok(NumberStyle::Raw),
        _ => Err("is no style we know"),
    };
    let remedy = "write e164, digits, international, national or raw";
    NumberForm {
        style: trunk.parsed(style, remedy, word).unwrap_or_default(),
        strip: trunk.text(strip).into(),
        prefix: trunk.text(prefix).into(),
    }
}

pub(super) fn codecs(trunk: &Layered<'_>) -> Vec<Codec> {
    let codec = |name: &str| match name {
        "PCMU" => Ok(Codec::Pcmu),
        "PCMA" => Ok(Codec::Pcma),
        _ => Err("is no codec we speak"),
    };
    texts(&trunk.value("codecs"), "write PCMU or PCMA", codec)
}

pub(super) fn statuses(trunk: &Layered<'_>, key: &'static str) -> Vec<u16> {
    let value = trunk.value(key);
    let mut statuses = Vec::new();
    for element in value.list() {
        let status = element.value.as_integer().and_then(|status| u16::try_from(status).ok());
        match status.filter(|status| (300..=699).contains(status)) {
            Some(status) => statuses.push(status),
            None => {
                let mut faults = value.faults().borrow_mut();
                let (problem, remedy) =
                    ("is no final status".to_owned(), "write 300 to 699".into());
                faults.add(element.offset, &element.path, problem, remedy);
            }
        }
    }
    statuses
}

fn digits(section: &Layered<'_>, key: &'static str) -> u8 {
    u8::try_from(section.integer(key, 0..=15)).unwrap_or(0)
}

fn seconds(
    section: &Layered<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<i64>,
) -> Duration {
    Duration::from_secs(section.count(key, range).into())
}

fn only_digits(text: &str) -> Result<Arc<str>, &'static str> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.into()),
        false => Err("has something else than digits"),
    }
}
