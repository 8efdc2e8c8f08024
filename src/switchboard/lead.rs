//! Where a call leads that comes in: decided from the rules and the state of the trunks alone, so that
//! a dry run is the same call.
//!
//! Calls `routing`, `dialling`. Called by `inbound`, `destination`, and by whoever asks what would be.

use crate::call::{Onward, Way};
use crate::dialling::{Refused, chosen_name, rejected_of, route_source};
use crate::event::{REJECTED_MAX, Rejected};
use crate::routing;
use crate::rules::{FeatureCode, LeadsTo};
use crate::switchboard::Switchboard;
use domain::id::{AgentId, FlowId, TenantId, TrunkId};
use domain::now::Now;
use sip::event::{IncomingCall, Source};
use std::sync::Arc;
use trunk::failover::{End, Outcome};
use trunk::number::NumberKind;
use trunk::route::{Asked, Decision, RouteRequest, RouteSource};

/// Who wants to reach which number.
pub(crate) struct Asking {
    pub(crate) dialled: Arc<str>,
    /// His number; empty: none is known.
    pub(crate) caller: Arc<str>,
    /// Whether he must not be shown.
    pub(crate) private: bool,
    /// Chooses among equal trunks.
    pub(crate) random: u64,
}

/// Where a call leads, and where it does not.
pub(crate) struct Led {
    /// Where; or how it is refused.
    pub(crate) to: Result<LedTo, Refused>,
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

impl Asking {
    /// What an INVITE asks for. A caller who hides from the callee is told by what his carrier asserts
    /// (RFC 3325 §9.1).
    pub(crate) fn of(call: &IncomingCall, random: u64) -> Self {
        let hides = call.from_user.is_empty() || &*call.from_user == "anonymous";
        let asserted = call.asserted.as_ref().filter(|_| hides);
        Self {
            dialled: call.dialled.clone(),
            caller: asserted.unwrap_or(&call.from_user).clone(),
            private: call.private || asserted.is_some(),
            random,
        }
    }
}

impl Switchboard {
    /// Where a call from `source`, who shows the number `from`, to `dialled` would be led now, step by
    /// step. Takes and keeps nothing.
    pub fn would_lead(
        &self,
        source: &Source,
        from: &str,
        dialled: &str,
        now: Now,
    ) -> Vec<WouldLead> {
        let step = |chosen: String, rejected| WouldLead { chosen: chosen.into(), rejected };
        let (dialled, caller) = (dialled.into(), from.into());
        let asking = Asking { dialled, caller, private: false, random: 0 };
        let Led { to, rejected } = self.lead(source, &asking, now);
        let onward = match to {
            Ok(LedTo::Flow(flow)) => return vec![step(format!("flow {flow}"), rejected)],
            Ok(LedTo::Code(_)) => return vec![step("feature code".to_owned(), rejected)],
            Err(refused) => {
                return vec![step(format!("refused with {}", refused.status), rejected)];
            }
            Ok(LedTo::Onward(onward)) => onward,
        };
        let mut steps = vec![step(onward.name(), rejected)];
        if let Onward::Number(way) = onward {
            steps.extend(self.ways(*way, now));
        }
        steps
    }

    /// All that would be tried one after the other, as long as nothing can be sent.
    fn ways(&self, way: Way, now: Now) -> Vec<WouldLead> {
        let unsent = Outcome { end: End::NotSent, rang: false, retry_after: None };
        let Way { request, mut decision } = way;
        let mut steps = Vec::new();
        while decision.chosen.is_some() {
            let after = if steps.is_empty() { "" } else { "after it: " };
            let rejected = rejected_of(&decision);
            let rejected = rejected.into_iter().filter(|it| &*it.test != "answer").collect();
            let chosen = format!("{after}{}", chosen_name(&decision)).into();
            steps.push(WouldLead { chosen, rejected });
            decision = self.carriers.next(&request, &decision, unsent, now);
        }
        steps
    }

    /// Whether a number calls for help where it is dialled. What comes from a trunk that itself leads
    /// to help never does: its dial plan knows no such numbers.
    pub(crate) fn is_for_help(&self, source: &Source, dialled: &str) -> bool {
        let (from, tenant) = (route_source(source), tenant_of(source));
        self.carriers.read(&from, tenant, dialled).kind == NumberKind::Emergency
    }

    /// Where a call from `source` leads.
    pub(crate) fn lead(&self, source: &Source, asking: &Asking, now: Now) -> Led {
        if self.is_for_help(source, &asking.dialled) {
            let (from, tenant) = (route_source(source), tenant_of(source));
            return self.on_by(from, tenant, Asked::Any, asking, Vec::new(), now);
        }
        match source {
            Source::Trunk(trunk) => self.lead_from_trunk(trunk, asking, now),
            Source::Agent(agent) => self.lead_from_agent(agent, asking, now),
        }
    }

    fn lead_from_trunk(&self, trunk: &TrunkId, asking: &Asking, now: Now) -> Led {
        let mut rejected = Vec::new();
        let (from, tenant) = (RouteSource::Trunk(trunk.clone()), &trunk.tenant);
        let dialled = self.carriers.read(&from, tenant, &asking.dialled);
        let leads_to = routing::leads_to(&self.rules.numbers, trunk, &dialled, &mut rejected);
        let to = match leads_to {
            Some(LeadsTo::Flow(flow)) => Ok(LedTo::Flow(flow.clone())),
            Some(LeadsTo::Agent(agent)) => Ok(LedTo::Onward(Onward::Agent(agent.clone()))),
            Some(LeadsTo::Route(name)) => {
                let asked = Asked::Route(name.clone());
                return self.on_by(from, tenant, asked, asking, rejected, now);
            }
            // RFC 3261 §21.4.5: there is no such number here.
            None => Err(Refused::with(404)),
        };
        Led { to, rejected }
    }

    /// An agent dials from his telephone: a code, another agent, or a number that he may dial.
    fn lead_from_agent(&self, agent: &AgentId, asking: &Asking, now: Now) -> Led {
        let mut rejected = Vec::new();
        let mut no = |candidate: &str, test, why: String| {
            routing::reject(&mut rejected, || candidate.to_owned(), test, || why);
        };
        let Asking { dialled, .. } = asking;
        if let Some(code) = routing::feature_code(&self.rules, dialled) {
            return Led { to: Ok(LedTo::Code(code.clone())), rejected };
        }
        no("feature code", "code", format!("{dialled} is none"));
        let other = AgentId { tenant: agent.tenant.clone(), name: dialled.clone() };
        if self.rules.agents.contains(&other) && other != *agent {
            return Led { to: Ok(LedTo::Onward(Onward::Agent(other))), rejected };
        }
        no("agent", "name", format!("{dialled} is no other agent"));
        if !self.may_dial(agent, dialled) {
            no("number", "agents.NAME.dial", format!("{agent} may not dial {dialled}"));
            // RFC 3261 §21.4.4: understood, and not allowed.
            return Led { to: Err(Refused::with(403)), rejected };
        }
        let from = RouteSource::Agent(agent.clone());
        self.on_by(from, &agent.tenant, Asked::Any, asking, rejected, now)
    }

    /// Whether an agent may dial a number from his telephone.
    pub(crate) fn may_dial(&self, agent: &AgentId, dialled: &str) -> bool {
        let from = RouteSource::Agent(agent.clone());
        let number = self.carriers.read(&from, &agent.tenant, dialled);
        let patterns = self.rules.agents_may_dial.get(agent);
        patterns.is_some_and(|patterns| patterns.iter().any(|pattern| number.matches(pattern)))
    }

    fn on_by(
        &self,
        from: RouteSource,
        tenant: &TenantId,
        asked: Asked,
        asking: &Asking,
        mut rejected: Vec<Rejected>,
        now: Now,
    ) -> Led {
        let to = match self.way_for(from, tenant, asked, asking, now) {
            Ok(way) => Ok(LedTo::Onward(Onward::Number(Box::new(way)))),
            Err(decision) => {
                rejected.extend(rejected_of(&decision));
                rejected.truncate(REJECTED_MAX);
                Err(Refused::by(&decision))
            }
        };
        Led { to, rejected }
    }

    /// The way of a call that may ring a second telephone where the first stays silent.
    ///
    /// # Errors
    /// No trunk takes it: why.
    pub(crate) fn way_for(
        &self,
        from: RouteSource,
        tenant: &TenantId,
        asked: Asked,
        asking: &Asking,
        now: Now,
    ) -> Result<Way, Box<Decision>> {
        let request = RouteRequest {
            tenant: tenant.clone(),
            from,
            caller: asking.caller.clone(),
            private: asking.private,
            dialled: asking.dialled.clone(),
            asked,
            second_ring: true,
            random: asking.random,
        };
        self.way(request, now)
    }
}

pub(crate) fn tenant_of(source: &Source) -> &TenantId {
    match source {
        Source::Trunk(trunk) => &trunk.tenant,
        Source::Agent(agent) => &agent.tenant,
    }
}
