//! Where a REFER may lead. Whoever could send our callers to numbers of his own choice would
//! telephone at our expense, so each end gets no more than it has anyway: an agent what he may dial
//! himself, a trunk (where it is obeyed at all) what an INVITE of its own would lead to.

use crate::call::{Onward, Purpose, Treatment};
use crate::dialling::{Refused, rejected_of, route_source};
use crate::event::{REJECTED_MAX, Rejected};
use crate::lead::{Asking, tenant_of};
use crate::routing;
use crate::rules::{LeadsTo, ReferPolicy};
use crate::switchboard::Switchboard;
use domain::id::{AgentId, FlowId, LegId, TenantId, TrunkId};
use domain::now::Now;
use sip::event::{ReferTo, Source};
use trunk::route::{Asked, RouteSource};

/// Where a REFER leads.
pub(crate) enum Destination {
    /// To somebody who has to be rung.
    Onward(Onward),
    /// To a flow of ours, which answers at once.
    Flow(FlowId),
    /// To whoever is at the other end of another leg of the referrer's.
    PartnerOf(LegId),
    /// To whoever rings for another leg of the referrer's.
    RingingFor(LegId),
}

/// Why a REFER is refused: the status, the test that it failed, and what that found.
type Refusal = (u16, &'static str, String);

impl Destination {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Onward(onward) => onward.name(),
            Self::Flow(flow) => format!("flow {flow}"),
            Self::PartnerOf(leg) => format!("the partner of leg {leg}"),
            Self::RingingFor(leg) => format!("whoever rings for leg {leg}"),
        }
    }
}

impl Switchboard {
    /// Where the REFER of a leg leads; the rules passed over are added to `rejected`.
    pub(crate) fn destination(
        &self,
        leg: LegId,
        to: &ReferTo,
        (random, now): (u64, Now),
        rejected: &mut Vec<Rejected>,
    ) -> Result<Destination, Refusal> {
        let referrer = self.legs.get(&leg).and_then(|leg| leg.agent.clone());
        if referrer.is_none() {
            self.trunk_is_obeyed(leg)?;
        }
        let Some(party) = self.joined_with(leg) else {
            return Err((603, "joined", "it is joined with nobody".into()));
        };
        if let Some(other) = to.replaces {
            return self.partner_to_join(leg, other);
        }
        if !to.is_here {
            return Err((403, "host", format!("{} is not one of our hosts", to.host)));
        }
        let caller = self.number_of(party).unwrap_or_default();
        let (dialled, private) = (to.user.clone(), false);
        let asking = Asking { dialled, caller, private, random };
        if let Some((from, tenant)) = self.asks_for_help(leg, &asking.dialled) {
            return self.on_to((from, &tenant), Asked::Any, (&asking, now), rejected);
        }
        match referrer {
            Some(agent) => self.destination_of_agent(party, &agent, (&asking, now), rejected),
            None => self.destination_of_trunk(leg, party, (&asking, now), rejected),
        }
    }

    /// What a leg's call for help would come from, if the number is one that calls for help: it goes past
    /// all rules, as if it had been dialled.
    fn asks_for_help(&self, leg: LegId, dialled: &str) -> Option<(RouteSource, TenantId)> {
        let leg = self.legs.get(&leg)?;
        let source = match (&leg.agent, &leg.trunk) {
            (Some(agent), _) => Source::Agent(agent.clone()),
            (None, trunk) => Source::Trunk(trunk.clone()?),
        };
        let is_for_help = self.is_for_help(&source, dialled);
        is_for_help.then(|| (route_source(&source), tenant_of(&source).clone()))
    }

    /// RFC 3515 §5.2: a carrier could dial at our expense, so only one that is told to be obeyed is.
    fn trunk_is_obeyed(&self, leg: LegId) -> Result<(), Refusal> {
        let Some(leg) = self.legs.get(&leg) else {
            return Err((603, "leg", "it is over".into()));
        };
        let rule = leg.trunk.as_ref().and_then(|trunk| self.rules.trunks.get(trunk));
        if rule.is_none_or(|rule| rule.refer == ReferPolicy::Refuse) {
            return Err((403, "refer", "REFER of this trunk is refused".into()));
        }
        match self.calls.get(&leg.call).map(|call| &call.purpose) {
            Some(Purpose::Inbound { .. } | Purpose::Transit(_)) => Ok(()),
            Some(Purpose::FeatureCode { .. } | Purpose::Callback { .. } | Purpose::Attempt(_))
            | None => Err((603, "call", "whom we have called sends nobody on".into())),
        }
    }

    fn destination_of_agent(
        &self,
        party: LegId,
        agent: &AgentId,
        (asking, now): (&Asking, Now),
        rejected: &mut Vec<Rejected>,
    ) -> Result<Destination, Refusal> {
        let user = &asking.dialled;
        let other = AgentId { tenant: agent.tenant.clone(), name: user.clone() };
        if self.rules.agents.contains(&other) {
            return Ok(Destination::Onward(Onward::Agent(other)));
        }
        let from = RouteSource::Agent(agent.clone());
        // A number of ours leads the party where it would if he had dialled it himself.
        if let Some(trunk) = self.legs.get(&party).and_then(|party| party.trunk.as_ref())
            && let Some(found) = self.number_rule(trunk, user, rejected)
        {
            return self.led(found, party, (from, &agent.tenant), (asking, now), rejected);
        }
        if !self.may_dial(agent, user) {
            return Err((403, "dial", format!("{agent} may not dial {user}")));
        }
        self.on_to((from, &agent.tenant), Asked::Any, (asking, now), rejected)
    }

    fn destination_of_trunk(
        &self,
        leg: LegId,
        party: LegId,
        (asking, now): (&Asking, Now),
        rejected: &mut Vec<Rejected>,
    ) -> Result<Destination, Refusal> {
        let user = &asking.dialled;
        let trunk = self.legs.get(&leg).and_then(|leg| leg.trunk.as_ref());
        let found = trunk.and_then(|trunk| Some((self.number_rule(trunk, user, rejected)?, trunk)));
        match found {
            Some((found, trunk)) => {
                let from = RouteSource::Trunk(trunk.clone());
                self.led(found, party, (from, &trunk.tenant), (asking, now), rejected)
            }
            None => Err((403, "number", format!("{user} leads nowhere from this trunk"))),
        }
    }

    fn number_rule(
        &self,
        trunk: &TrunkId,
        dialled: &str,
        rejected: &mut Vec<Rejected>,
    ) -> Option<&LeadsTo> {
        let from = RouteSource::Trunk(trunk.clone());
        let number = self.carriers.read(&from, &trunk.tenant, dialled);
        routing::leads_to(&self.rules.numbers, trunk, &number, rejected)
    }

    /// On to a number outside.
    fn on_to(
        &self,
        (from, tenant): (RouteSource, &TenantId),
        asked: Asked,
        (asking, now): (&Asking, Now),
        rejected: &mut Vec<Rejected>,
    ) -> Result<Destination, Refusal> {
        match self.way_for(from, tenant, asked, asking, now) {
            Ok(way) => Ok(Destination::Onward(Onward::Number(Box::new(way)))),
            Err(decision) => {
                rejected.extend(rejected_of(&decision));
                rejected.truncate(REJECTED_MAX);
                let why = decision.refusal.as_ref().map(|refusal| refusal.why.to_string());
                let status = Refused::by(&decision).status;
                Err((status, "route", why.unwrap_or_default()))
            }
        }
    }

    fn led(
        &self,
        leads_to: &LeadsTo,
        party: LegId,
        (from, tenant): (RouteSource, &TenantId),
        (asking, now): (&Asking, Now),
        rejected: &mut Vec<Rejected>,
    ) -> Result<Destination, Refusal> {
        match leads_to {
            LeadsTo::Agent(agent) => Ok(Destination::Onward(Onward::Agent(agent.clone()))),
            LeadsTo::Route(name) => {
                let asked = Asked::Route(name.clone());
                self.on_to((from, tenant), asked, (asking, now), rejected)
            }
            LeadsTo::Flow(flow) => {
                let call = self.legs.get(&party).and_then(|leg| self.calls.get(&leg.call));
                match call.map(|call| &call.purpose) {
                    _ if self.is_agents(party) => {
                        Err((603, "party", "an agent is not sent to a flow".into()))
                    }
                    Some(Purpose::Inbound { .. } | Purpose::Transit(_)) => {
                        Ok(Destination::Flow(flow.clone()))
                    }
                    Some(
                        Purpose::FeatureCode { .. }
                        | Purpose::Callback { .. }
                        | Purpose::Attempt(_),
                    )
                    | None => Err((603, "call", "a call of ours is not sent to a flow".into())),
                }
            }
        }
    }

    /// An attended transfer joins the partners of two legs of the same agent, or of the same trunk.
    fn partner_to_join(&self, leg: LegId, other: LegId) -> Result<Destination, Refusal> {
        let (Some(own), Some(other)) = (self.legs.get(&leg), self.legs.get(&other)) else {
            return Err((403, "replaces", "there is no such call".into()));
        };
        let is_his = match &own.agent {
            Some(_) => other.agent == own.agent,
            None => other.agent.is_none() && other.trunk == own.trunk,
        };
        let Some(call) = self.calls.get(&other.call).filter(|_| is_his) else {
            return Err((403, "replaces", "the call to be replaced is not his".into()));
        };
        let nobody = || (603, "replaces", "the call to be replaced leads to nobody".into());
        if !matches!(call.purpose, Purpose::Transit(_)) || own.call == call.id {
            return Err(nobody());
        }
        match call.treatment {
            Treatment::Reaching { .. } if call.first == other.id => {
                Ok(Destination::RingingFor(other.id))
            }
            _ if self.joined_with(other.id).is_some() => Ok(Destination::PartnerOf(other.id)),
            _ => Err(nobody()),
        }
    }
}
