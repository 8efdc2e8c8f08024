//! `[routes]`, `[emergency]` and `[tenant]`: which trunks take which calls out.

use super::TrunkConfig;
use super::hours;
use super::layered::Layered;
use super::parts::{known_trunk, texts};
use document::section::{ListElement, Section, Value};
use domain::id::{TenantId, TrunkId};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use trunk::caller_id::{CallerIdRules, Mismatch};
use trunk::number::DialPlan;
use trunk::route::{Route, RouteTrunk, SourceMatch};
use trunk::rules::{Caps, TenantRules};

type Trunks = BTreeMap<TrunkId, TrunkConfig>;

/// More trunks of one route would never be reached: nobody waits that long.
const TRUNKS_MAX: usize = 8;

/// The routes, in the order of the file.
pub(super) fn routes(
    (root, defaults): (&Layered<'_>, &Layered<'_>),
    tenant: &TenantId,
    trunks: &Trunks,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for (name, value) in root.section("routes").entries() {
        let Some(own) = value.section() else { continue };
        let route = defaults.section("route").under(own);
        // A route that refuses needs no trunk.
        let refuses = route.integer("refuse", 0..=699) != 0;
        let listed = match refuses {
            true => Some(route.value("trunks")),
            false => route.required("trunks", "[\"carrier\"]"),
        };
        let members = listed.map(|value| members(&value, tenant, trunks)).unwrap_or_default();
        routes.push(Route { trunks: members, ..rule(&route, (name, tenant), trunks) });
        route.finish();
    }
    if routes.is_empty() {
        // What nobody uses is read nevertheless, so that its faults are told.
        let unused = defaults.section("route");
        let _ = (rule(&unused, ("", tenant), trunks), unused.value("trunks"));
        unused.finish();
    }
    routes
}

fn rule(route: &Layered<'_>, (name, tenant): (&str, &TenantId), trunks: &Trunks) -> Route {
    let refuse = route.integer("refuse", 0..=699);
    if (1..400).contains(&refuse) {
        let remedy = "write 400 to 699, or 0 where it refuses nothing".to_owned();
        route.value("refuse").fault(format!("{refuse} is no refusal"), remedy);
    }
    let from = |text: &str| source(text, tenant, trunks);
    let remedy = "write agents, campaigns, callbacks, flows or \"trunk NAME\"";
    let hours = texts(&route.value("hours"), "write \"Mon-Fri 08:00-18:00\"", hours::parse);
    Route {
        dialled: patterns(route, "numbers"),
        caller: patterns(route, "callers"),
        from: texts(&route.value("from"), remedy, from),
        refuse: u16::try_from(refuse).ok().filter(|status| *status >= 400),
        open_minutes: hours.into_iter().flatten().collect(),
        utc_offset_min: super::parts::zone(route),
        tries_max: u8::try_from(route.integer("tries_max", 1..=32)).unwrap_or(1),
        ring_for: Duration::from_secs(route.count("ring_s", 5..=300).into()),
        ..Route::new(name, tenant.clone(), &[])
    }
}

fn source(text: &str, tenant: &TenantId, trunks: &Trunks) -> Result<SourceMatch, String> {
    Ok(match text {
        "agents" => SourceMatch::Agents,
        "campaigns" => SourceMatch::Campaigns,
        "callbacks" => SourceMatch::Callbacks,
        "flows" => SourceMatch::Flows,
        _ => match text.strip_prefix("trunk ") {
            Some(name) => SourceMatch::Trunk(known_trunk(name, tenant, trunks)?),
            None => return Err("is nothing that calls come from".to_owned()),
        },
    })
}

/// The trunks of a route: names, each tried after the one before; or tables with priority and weight.
fn members(value: &Value<'_>, tenant: &TenantId, trunks: &Trunks) -> Vec<RouteTrunk> {
    let mut members = Vec::new();
    for (element, place) in value.list().into_iter().zip(0_u16..) {
        let table = element.value.as_inline_table();
        let section = table
            .map(|table| Section::new(table, element.path.clone(), element.offset, value.faults()));
        let member = match (&section, element.value.as_str()) {
            (Some(table), _) => {
                let named = table.required("trunk", "\"carrier\"").and_then(|value| value.text());
                let priority = u16::try_from(table.integer("priority", 0..=65_535, place.into()));
                let weight = u16::try_from(table.integer("weight", 0..=65_535, 1));
                named.map(|name| (name, priority.unwrap_or(place), weight.unwrap_or(1)))
            }
            (None, Some(name)) => Some((name, place, 1)),
            (None, None) => {
                let remedy = "write \"carrier\" or { trunk = \"carrier\", weight = 2 }";
                fault(value, &element, "names no trunk".to_owned(), remedy);
                None
            }
        };
        if let Some(section) = section {
            section.finish();
        }
        let Some((name, priority, weight)) = member else { continue };
        match known_trunk(name, tenant, trunks) {
            Ok(trunk) => members.push(RouteTrunk { trunk, priority, weight }),
            Err(why) => {
                fault(value, &element, format!("`{name}`: {why}"), "name trunks of [trunks]");
            }
        }
    }
    if members.len() > TRUNKS_MAX {
        let problem = format!("names {} trunks", members.len());
        value.fault(problem, format!("name {TRUNKS_MAX} at most"));
    }
    members
}

fn fault(value: &Value<'_>, element: &ListElement<'_>, problem: String, remedy: &str) {
    value.faults().borrow_mut().add(element.offset, &element.path, problem, remedy.to_owned());
}

/// `[emergency]`: the numbers that call for help.
pub(super) fn numbers_for_help(root: &Layered<'_>) -> Vec<Arc<str>> {
    let digits = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(Arc::from(text)),
        false => Err("has something else than digits"),
    };
    texts(&root.section("emergency").value("numbers"), "write numbers such as \"112\"", digits)
}

/// Every form in which a number that calls for help is dialled, by agents or through a trunk.
pub(super) fn forms_for_help(tenant: &DialPlan, trunks: &Trunks) -> Vec<Arc<str>> {
    let plans = trunks.values().map(|trunk| &trunk.carrier.plan).chain([tenant]);
    let forms: BTreeSet<_> = plans.flat_map(DialPlan::emergency_forms).collect();
    forms.into_iter().collect()
}

/// `[emergency]`: the way that such calls take; and the trunks that do not lead there learn the
/// numbers, since a PBX may stand behind them.
pub(super) fn route_to_help(
    root: &Layered<'_>,
    tenant: &TenantId,
    numbers: &[Arc<str>],
    trunks: &mut Trunks,
) -> Route {
    let section = root.section("emergency");
    let known = |name: &str| known_trunk(name, tenant, trunks);
    let listed: Vec<TrunkId> = texts(&section.value("trunks"), "name trunks of [trunks]", known);
    let _ = section.value("numbers");
    section.finish();
    let leads = match listed.is_empty() {
        true => trunks.keys().cloned().collect(),
        false => listed,
    };
    for (id, trunk) in trunks {
        if !leads.contains(id) {
            trunk.carrier.plan.emergency = numbers.to_vec();
        }
    }
    Route::to_help(tenant.clone(), &leads)
}

/// `[tenant]`: what may be shown, and the tenant's share of all trunks.
pub(super) fn tenant(root: &Layered<'_>, plan: DialPlan) -> TenantRules {
    let section = root.section("tenant");
    let mismatch = |word: &str| match word {
        "send" => Ok(Mismatch::Send),
        "replace" => Ok(Mismatch::Replace),
        "reject" => Ok(Mismatch::Reject),
        "anonymous" => Ok(Mismatch::Anonymous),
        _ => Err("is nothing that can be done with a number"),
    };
    let remedy = "write send, replace, reject or anonymous";
    let rules = TenantRules {
        plan,
        caller_ids: CallerIdRules {
            allowed: patterns(&section, "caller_ids"),
            mismatch: section.parsed("other_callers", remedy, mismatch).unwrap_or_default(),
        },
        caps: Caps {
            outgoing_per_second: section.count("calls_per_second_max", 1..=1_000_000),
            incoming_per_second: section.count("incoming_per_second_max", 1..=1_000_000),
            outgoing: section.count("outgoing_max", 0..=1_000_000),
            incoming: section.count("incoming_max", 0..=1_000_000),
            channels: section.count("channels_max", 1..=1_000_000),
        },
    };
    section.finish();
    rules
}

pub(super) fn patterns(section: &Layered<'_>, key: &'static str) -> Vec<Arc<str>> {
    let pattern = |text: &str| Ok::<_, Infallible>(Arc::from(text));
    texts(&section.value(key), "write numbers such as \"+49*\"", pattern)
}
