//! `[[numbers]]` and `[agents]`: who may dial what, and where it leads.

use super::TrunkConfig;
use super::layered::{Layered, parsed};
use super::parts::{known_agent, known_trunk};
use super::routes::patterns;
use document::section::Section;
use domain::fault::did_you_mean;
use domain::id::{AgentId, FlowId, TenantId, TrunkId};
use std::collections::BTreeMap;
use std::sync::Arc;
use switchboard::rules::{LeadsTo, NumberRule};
use trunk::route::Route;

type Trunks = BTreeMap<TrunkId, TrunkConfig>;

/// The agents, and what they may dial.
pub(super) fn agents(
    root: &Layered<'_>,
    defaults: &Layered<'_>,
    tenant: &TenantId,
) -> (Vec<AgentId>, BTreeMap<AgentId, Vec<Arc<str>>>) {
    let (mut agents, mut may_dial) = (Vec::new(), BTreeMap::new());
    for (name, value) in root.section("agents").entries() {
        let Some(own) = value.section() else { continue };
        let section = defaults.section("agent").under(own);
        let agent = AgentId::new(tenant, name);
        may_dial.insert(agent.clone(), patterns(&section, "dial"));
        section.finish();
        agents.push(agent);
    }
    (agents, may_dial)
}

/// Which number leads where.
pub(super) fn numbers(
    root: &Layered<'_>,
    tenant: &TenantId,
    known: (&[AgentId], &Trunks, &[Route]),
) -> Vec<NumberRule> {
    let value = root.value("numbers");
    let Some(list) = value.item.as_array_of_tables() else {
        value.wrong_type("tables headed [[numbers]]");
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (index, table) in list.iter().enumerate() {
        let offset = table.span().map_or(value.offset, |span| span.start);
        let path = format!("numbers[{index}]");
        let section = Section::new(table, path, offset, value.faults());
        let dialled = section.required("dialled", "\"4000\"").and_then(|value| value.text());
        let leads_to = leads_to(&section, tenant, known);
        let trunk = section.optional("trunk").and_then(|value| {
            parsed(&value, "name a trunk of [trunks]", |name| known_trunk(name, tenant, known.1))
        });
        section.finish();
        if let (Some(dialled), Some(leads_to)) = (dialled, leads_to) {
            rules.push(NumberRule { dialled: dialled.into(), trunk, leads_to });
        }
    }
    rules
}

/// The one of `flow`, `agent` and `route` that is given.
fn leads_to(
    section: &Section<'_>,
    tenant: &TenantId,
    (agents, _, routes): (&[AgentId], &Trunks, &[Route]),
) -> Option<LeadsTo> {
    let agent = section.optional("agent");
    let route = section.optional("route");
    let flow = match agent.is_some() || route.is_some() {
        true => section.optional("flow"),
        false => section.required("flow", "\"hotline\""),
    };
    let surplus = match (&flow, &agent, &route) {
        (Some(_), Some(other), _) | (Some(_), None, Some(other)) | (None, Some(_), Some(other)) => {
            Some(other)
        }
        _ => None,
    };
    if let Some(surplus) = surplus {
        let remedy = "keep one of flow, agent and route".to_owned();
        surplus.fault("leads to a second place".into(), remedy);
        return None;
    }
    if let Some(value) = agent {
        let known = |name: &str| known_agent(name, tenant, agents);
        return parsed(&value, "name an agent of [agents]", known).map(LeadsTo::Agent);
    }
    if let Some(value) = route {
        let known = |name: &str| match routes.iter().find(|route| *route.name == *name) {
            Some(route) => Ok(route.name.clone()),
            None => {
                let names = routes.iter().map(|route| &*route.name);
                Err(format!("there is no such route; {}", did_you_mean(name, names)))
            }
        };
        return parsed(&value, "name a route of [routes]", known).map(LeadsTo::Route);
    }
    flow?.text().map(|flow| LeadsTo::Flow(FlowId::new(tenant, flow)))
}
