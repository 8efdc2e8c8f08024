//! Reads those nodes that ask the caller something: `ask`, `menu`, `collect`, `callback`.

use super::KnownIntents;
use super::node::{Ask, AskReply, Callback, Collect, Menu, NodeIndex};
use super::read::{Reader, duration};
use document::section::{Section, Value};
use domain::fault::did_you_mean;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys of a telephone.
const KEYS: &str = "0123456789*#";

pub(super) fn ask(reader: &Reader<'_>, section: &Section<'_>) -> Ask {
    let words = &reader.words;
    let set = section.required("intents", "\"name of a file in config/intents\"");
    let set_name = set.as_ref().and_then(Value::text).unwrap_or_default();
    let known = reader.known.intent_sets.get(set_name);
    if let (Some(set), None) = (&set, known) {
        let names = reader.known.intent_sets.keys().map(String::as_str);
        set.fault(
            format!("there is no set of intents `{set_name}`"),
            did_you_mean(set_name, names),
        );
    }
    let on = section.required("on", "a table of intents: [nodes.NAME.on]");
    let on = on.and_then(|on| on.section()).map_or_else(Vec::new, |on| on.entries());
    let replies: Vec<_> = on.iter().filter_map(|entry| ask_reply(reader, known, entry)).collect();
    let extra = section.optional("keys").and_then(|keys| keys.section());
    let keys = extra.map_or_else(BTreeMap::new, |extra| keys_of(reader, &extra));
    check_keys(section, &replies, &keys);
    let accept_above = section.fraction("accept_above", 0.7);
    let confirm_above = section.fraction("confirm_above", 0.4);
    if confirm_above > accept_above {
        let problem = format!("confirm_above {confirm_above} is over accept_above {accept_above}");
        section.fault(problem, "nothing would ever be confirmed: write it lower".to_owned());
    }
    Ask {
        say: words.required(section, "say"),
        say_keys: words.required(section, "say_keys"),
        intents: set_name.into(),
        phrases: known.map(|known| known.phrases.clone()).unwrap_or_default(),
        replies,
        keys,
        confirm: words.required(section, "confirm"),
        either: words.optional(section, "either"),
        accept_above,
        confirm_above,
        clear_above: section.fraction("clear_above", 0.3),
        near: section.fraction("near", 0.15),
        barge_in: section.boolean("barge_in", true),
        phrases_after: reader.phrases(section),
        out_of_scope: words.list(section, "out_of_scope"),
        no_input_after: optional_ms(section, "no_input_ms"),
    }
}

fn ask_reply(
    reader: &Reader<'_>,
    known: Option<&KnownIntents>,
    (intent, value): &(&str, Value<'_>),
) -> Option<AskReply> {
    if let Some(known) = known.filter(|known| !known.intents.contains(*intent)) {
        let names = known.intents.iter().map(String::as_str);
        value.fault(format!("there is no intent `{intent}`"), did_you_mean(intent, names));
    }
    let section = value.section()?;
    let key = section.optional("key").and_then(|value| {
        let text = value.text()?;
        let key = one_key(text);
        if key.is_none() {
            value.fault(format!("`{text}` is no key"), "write one of 0 to 9, * or #".to_owned());
        }
        key
    });
    let reply = AskReply {
        intent: (*intent).into(),
        key,
        means: reader.words.required(&section, "means"),
        next: reader.node(&section, "next"),
    };
    section.finish();
    Some(reply)
}

/// Speech may fail at any time: some key must always lead on, and no key two ways.
fn check_keys(section: &Section<'_>, replies: &[AskReply], keys: &BTreeMap<char, NodeIndex>) {
    let mut seen: Vec<char> = keys.keys().copied().collect();
    for reply in replies {
        match reply.key {
            Some(key) if seen.contains(&key) => {
                let problem = format!("key {key} of `{}` means something else too", reply.intent);
                section.fault(problem, "give each answer a key of its own".to_owned());
            }
            Some(key) => seen.push(key),
            None => (),
        }
    }
    if replies.is_empty() {
        section.fault("has no answers".to_owned(), "write [nodes.NAME.on.INTENT]".to_owned());
    } else if replies.iter().all(|reply| reply.key.is_none()) {
        let remedy = "write `key` = \"1\" and so on for callers who cannot be understood";
        section.fault("cannot be answered by keys".to_owned(), remedy.to_owned());
    }
}

pub(super) fn menu(reader: &Reader<'_>, section: &Section<'_>) -> Menu {
    let keys = section.required("keys", "{ 1 = \"node\" }").and_then(|keys| keys.section());
    Menu {
        say: reader.words.required(section, "say"),
        keys: keys.map_or_else(BTreeMap::new, |keys| keys_of(reader, &keys)),
        phrases_after: reader.phrases(section),
        barge_in: section.boolean("barge_in", true),
        no_input_after: optional_ms(section, "no_input_ms"),
    }
}

fn keys_of(reader: &Reader<'_>, section: &Section<'_>) -> BTreeMap<char, NodeIndex> {
    let mut keys = BTreeMap::new();
    for (name, value) in section.entries() {
        let node = reader.node_named(&value);
        match one_key(name) {
            Some(key) => drop(keys.insert(key, node)),
            None => value.fault(
                format!("`{name}` is no key"),
                "write one of 0 to 9, \"*\" or \"#\"".to_owned(),
            ),
        }
    }
    if keys.is_empty() {
        section.fault("has no keys".to_owned(), "write 1 = \"node\"".to_owned());
    }
    keys
}

fn one_key(text: &str) -> Option<char> {
    let mut characters = text.chars();
    let key = characters.next().filter(|key| KEYS.contains(*key))?;
    characters.next().is_none().then_some(key)
}

pub(super) fn collect(reader: &Reader<'_>, section: &Section<'_>) -> Collect {
    let into = section.required("into", "\"name of a variable\"");
    let into = into.as_ref().and_then(Value::text).unwrap_or_default();
    let digits_min = section.integer("digits_min", 1..=32, 1);
    let digits_max = section.integer("digits_max", 1..=32, 32);
    if digits_min > digits_max {
        let problem = format!("digits_min {digits_min} is over digits_max {digits_max}");
        section.fault(problem, "no number could be right".to_owned());
    }
    let terminator = section.optional("terminator").and_then(|value| {
        let text = value.text()?;
        let key = one_key(text).filter(|key| !key.is_ascii_digit());
        if key.is_none() {
            value.fault(format!("`{text}` cannot end a number"), "write \"#\" or \"*\"".to_owned());
        }
        key
    });
    Collect {
        say: reader.words.required(section, "say"),
        into: into.into(),
        digits_min: u8::try_from(digits_min).unwrap_or(1),
        digits_max: u8::try_from(digits_max).unwrap_or(32),
        terminator: terminator.unwrap_or('#'),
        first_digit: optional_ms(section, "first_digit_ms"),
        inter_digit: optional_ms(section, "inter_digit_ms"),
        speech: section.boolean("speech", true),
        take_slot: section.boolean("take_slot", true),
        confirm: reader.words.optional(section, "confirm"),
        barge_in: section.boolean("barge_in", true),
        phrases_after: reader.phrases(section),
        next: reader.node(section, "next"),
    }
}

pub(super) fn callback(reader: &Reader<'_>, section: &Section<'_>) -> Callback {
    let words = &reader.words;
    Callback {
        queue: reader.queue_named(section),
        offer: words.required(section, "offer"),
        ask_number: words.required(section, "ask_number"),
        confirm_number: words.required(section, "confirm_number"),
        promised: words.required(section, "promised"),
        phrases_after: reader.phrases(section),
        declined: reader.node(section, "declined"),
        refused: reader.node(section, "refused"),
        next: reader.node(section, "next"),
    }
}

/// A time in milliseconds; `None` where the flow's own timing holds.
fn optional_ms(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    let milliseconds = section.integer(key, 200..=60_000, 0);
    (milliseconds > 0).then(|| duration(milliseconds))
}
