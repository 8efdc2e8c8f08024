//! Where a call leads that comes in: decided from the rules alone, so that a dry run is the same call.
//!
//! Calls `routing`, `emergency`, `dialling`. Called by `inbound`, and by whoever asks what would be.

use crate::call::Onward;
use crate::event::Rejected;
use crate::routing;
use crate::rules::{FeatureCode, LeadsTo};
use crate::switchboard::Switchboard;
use domain::id::{AgentId, FlowId, TrunkId};
use domain::now::Now;
use sip::event::Source;
use std::sync::Arc;

/// Where a call leads, and where it does not.
pub(crate) struct Led {
    /// Where; or the status that it is refused with.
    pub(crate) to: Result<LedTo, u16>,
    /// What was passed over, each with the first test that it failed.
    pub(crate) rejected: Vec<Rejected>,
}

/// Where a call leads.
pub(crate) enum LedTo {
    /// To a flow, which answers.
    Flow(FlowId),
    /// An agent's code.
    Code(FeatureCode),
    /// On to somebody else.
    Onward(Onward),
}

/// One step of a dry run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WouldLead {
    /// What would be chosen: `route national`, `trunk acme`, `refused with 404`.
    pub chosen: Arc<str>,
    /// What would not, each with the first test that it failed.
    pub rejected: Vec<Rejected>,
}

impl Switchboard {
    /// Where a call from `source` to `dialled` would be led now, step by step. Takes and keeps
    /// nothing.
    pub fn would_lead(&self, source: &Source, dialled: &str, now: Now) -> Vec<WouldLead> {
        let step = |chosen: String, rejected| WouldLead { chosen: chosen.into(), rejected };
        let Led { to, rejected } = self.lead(source, dialled);
        let mut onward = match to {
            Ok(LedTo::Flow(flow)) => return vec![step(format!("flow {flow}"), rejected)],
            Ok(LedTo::Code(_)) => return vec![step("feature code".to_owned(), rejected)],
            Err(status) => return vec![step(format!("refused with {status}"), rejected)],
            Ok(LedTo::Onward(onward)) => onward,
        };
        let mut steps = vec![step(onward.name(), rejected)];
        let emergency = onward.is_emergency();
        if let Onward::Number { trunks, .. } = &mut onward {
            // All that would be tried one after the other, as long as nobody is reached.
            loop {
                let mut rejected = Vec::new();
                let first = self.first_with_room((trunks, emergency), &mut rejected, now);
                let is_first = steps.len() == 1;
                match first {
                    Some(trunk) if is_first => {
                        steps.push(step(format!("trunk {}", trunk.name), rejected));
                    }
                    Some(trunk) => {
                        steps.push(step(format!("after it: trunk {}", trunk.name), rejected));
                    }
                    None if is_first => {
                        steps.push(step("refused with 503".to_owned(), rejected));
                        break;
                    }
                    None => break,
                }
            }
        }
        steps
    }

    /// Where a call from `source` to `dialled` leads.
    pub(crate) fn lead(&self, source: &Source, dialled: &str) -> Led {
        if let Some(onward) = self.emergency_onward(source, dialled) {
            return Led { to: Ok(LedTo::Onward(onward)), rejected: Vec::new() };
        }
        match source {
            Source::Trunk(trunk) => self.lead_from_trunk(trunk, dialled),
            Source::Agent(agent) => self.lead_from_agent(agent, dialled),
        }
    }

    fn lead_from_trunk(&self, trunk: &TrunkId, dialled: &str) -> Led {
        let mut rejected = Vec::new();
        let leads_to = routing::leads_to(&self.rules.numbers, trunk, dialled, &mut rejected);
        let to = match leads_to {
            Some(LeadsTo::Flow(flow)) => Ok(LedTo::Flow(flow.clone())),
            Some(LeadsTo::Agent(agent)) => Ok(LedTo::Onward(Onward::Agent(agent.clone()))),
            Some(LeadsTo::Route(name)) => {
                let onward = self.onward_by_route(&trunk.tenant, name, dialled);
                if onward.is_none() {
                    let why = || "the tenant has no such route".to_owned();
                    routing::reject(&mut rejected, || format!("route {name}"), "known", why);
                }
                onward.map(LedTo::Onward).ok_or(404)
            }
            // RFC 3261 §21.4.5: there is no such number here.
            None => Err(404),
        };
        Led { to, rejected }
    }

    /// An agent dials from his telephone: a code, another agent, or a number that he may dial.
    fn lead_from_agent(&self, agent: &AgentId, dialled: &str) -> Led {
        let mut rejected = Vec::new();
        let mut no = |candidate: &str, test, why: String| {
            routing::reject(&mut rejected, || candidate.to_owned(), test, || why);
        };
        if let Some(code) = routing::feature_code(&self.rules, dialled) {
            return Led { to: Ok(LedTo::Code(code.clone())), rejected };
        }
        no("feature code", "code", format!("{dialled} is none"));
        let other = AgentId { tenant: agent.tenant.clone(), name: dialled.into() };
        if self.rules.agents.contains(&other) && other != *agent {
            return Led { to: Ok(LedTo::Onward(Onward::Agent(other))), rejected };
        }
        no("agent", "name", format!("{dialled} is no other agent"));
        if !routing::may_dial(&self.rules, agent, dialled) {
            no("number", "agents.NAME.dial", format!("{agent} may not dial {dialled}"));
            // RFC 3261 §21.4.4: understood, and not allowed.
            return Led { to: Err(403), rejected };
        }
        match self.onward_number(&agent.tenant, dialled) {
            Some(onward) => Led { to: Ok(LedTo::Onward(onward)), rejected },
            None => {
                no("route", "numbers", format!("no route takes {dialled}"));
                Led { to: Err(404), rejected }
            }
        }
    }
}
