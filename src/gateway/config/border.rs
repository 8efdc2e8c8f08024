//! What `gateway.toml` says of the borders to trunks and strangers: trust, methods, header rules.

use super::layered::Layered;
use super::parts::texts;
use document::section::{Section, Value};
use domain::fault::did_you_mean;
use sip::endpoint::config::Strangers;
use sip::identity::border::{Border, Methods, RULES_MAX};
use sip::identity::header_rules::{Crossing, HeaderChange, HeaderRule, HeaderValue};
use sip::message::method::Method;
use std::sync::Arc;
use toml_edit::TableLike;

/// The methods that can be allowed; ACK, CANCEL and BYE always are.
const METHODS: [&str; 11] = [
    "INVITE",
    "REGISTER",
    "OPTIONS",
    "INFO",
    "PRACK",
    "UPDATE",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
];

/// The keys of a trunk's border. `internal` is the prefix of internal fields.
pub(super) fn border(trunk: &Layered<'_>, internal: &str) -> Border {
    let from_domain = trunk.text("from_domain");
    if !from_domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte)) {
        let remedy = "write a domain such as \"hotline.example\"".to_owned();
        trunk.value("from_domain").fault("is no domain".into(), remedy);
    }
    Border {
        trusted: trunk.boolean("trusted"),
        from_host: Some(from_domain).filter(|domain| !domain.is_empty()).map(Arc::from),
        methods: methods(&trunk.value("methods")),
        rules: rules(&trunk.value("headers"), internal),
    }
}

/// A list of methods; an empty one allows all.
pub(super) fn methods(value: &Value<'_>) -> Methods {
    let known = |name: &str| match Method::parse(name) {
        Some(method) if METHODS.contains(&name) => Ok(method),
        _ => Err(format!("is no method that can be allowed; {}", did_you_mean(name, METHODS))),
    };
    let listed = texts(value, "write methods such as [\"INVITE\", \"OPTIONS\"]", known);
    if listed.is_empty() { Methods::All } else { Methods::Only(listed) }
}

/// `[sip] strangers`.
pub(super) fn strangers(sip: &Layered<'_>) -> Strangers {
    let known = |name: &str| match name {
        "refuse" => Ok(Strangers::Refuse),
        "ignore" => Ok(Strangers::Ignore),
        _ => Err("is nothing that can be done with strangers"),
    };
    sip.parsed("strangers", "write refuse or ignore", known).unwrap_or(Strangers::Refuse)
}

/// `[sip] internal_headers`: a prefix that hits no field that SIP lives by.
pub(super) fn internal_headers(sip: &Layered<'_>) -> Arc<str> {
    let known = |prefix: &str| {
        let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let own = prefix.len() > 2 && prefix[..2].eq_ignore_ascii_case("X-");
        if prefix.is_empty() || (plain && own) {
            Ok(Arc::from(prefix))
        } else {
            Err("is no prefix of ours")
        }
    };
    let remedy = "write a prefix that begins with X-, such as \"X-Trunkline-\"";
    sip.parsed("internal_headers", remedy, known).unwrap_or_default()
}

/// The rules, written as `[[trunks.NAME.headers]]` or as a list of inline tables.
fn rules(value: &Value<'_>, internal: &str) -> Vec<HeaderRule> {
    let mut rules = Vec::new();
    let mut take = |table: &dyn TableLike, path: String, offset: usize| {
        let section = Section::new(table, path, offset, value.faults());
        rules.extend(rule(&section, internal));
        section.finish();
    };
    if let Some(tables) = value.item.as_array_of_tables() {
        for (index, table) in tables.iter().enumerate() {
            let offset = table.span().map_or(value.offset, |span| span.start);
            take(table, format!("{}[{index}]", value.path), offset);
        }
    } else {
        for element in value.list() {
            match element.value.as_inline_table() {
                Some(table) => take(table, element.path, element.offset),
                None => value.fault("holds what is no table".into(), "write { on = … }".into()),
            }
        }
    }
    if rules.len() > RULES_MAX {
        value.fault(format!("{} are too many", rules.len()), format!("write {RULES_MAX} at most"));
    }
    rules
}

fn rule(section: &Section<'_>, internal: &str) -> Option<HeaderRule> {
    let text = |key: &'static str| section.optional(key).and_then(|value| value.text());
    // All are asked for, so that none of them counts as a key that nobody knows.
    let on = section.required("on", "\"out\"").and_then(|value| value.text());
    let values = (text("value"), text("copy"));
    let names = (text("set"), text("add"), text("remove"));
    let crossing = match on? {
        "in" => Crossing::In,
        "out" => Crossing::Out,
        _ => {
            section.fault("names no direction".into(), "write on = \"in\" or on = \"out\"".into());
            return None;
        }
    };
    let value = match values {
        (Some(value), None) => Some(HeaderValue::Literal(value.into())),
        (None, Some(from)) => Some(HeaderValue::CopyOf(from.into())),
        (None, None) => None,
        (Some(_), Some(_)) => {
            section.fault("has two values".into(), "write either value or copy".into());
            return None;
        }
    };
    let (name, change) = match (names, value) {
        ((Some(name), None, None), Some(value)) => (name, HeaderChange::Set(value)),
        ((None, Some(name), None), Some(value)) => (name, HeaderChange::Add(value)),
        ((None, None, Some(name)), None) => (name, HeaderChange::Remove),
        _ => {
            let remedy = "write set or add with value or copy, or remove alone".to_owned();
            section.fault("is no rule".into(), remedy);
            return None;
        }
    };
    let is_internal = !internal.is_empty()
        && name.get(..internal.len()).is_some_and(|start| start.eq_ignore_ascii_case(internal));
    if is_internal {
        section.fault(format!("`{name}` is internal"), "name another header field".into());
        return None;
    }
    let rule = HeaderRule::new(crossing, name, change);
    if let Err(error) = &rule {
        section.fault(format!("`{name}`: {error}"), "name another header field or value".into());
    }
    rule.ok()
}
