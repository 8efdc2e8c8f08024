//! The number dialled → a flow, an agent or the name of a route; a code dialled by an agent → what it
//! says.

use crate::event::{REJECTED_MAX, Rejected};
use crate::rules::{FeatureCode, LeadsTo, NumberRule, Rules};
use domain::id::{TenantId, TrunkId};
use trunk::number::Number;

/// Where `dialled` leads when it comes in through `trunk`; the first match wins. The rules passed
/// over are added to `rejected`, each with the first test it failed.
pub(crate) fn leads_to<'a>(
    rules: &'a [NumberRule],
    trunk: &TrunkId,
    dialled: &Number,
    rejected: &mut Vec<Rejected>,
) -> Option<&'a LeadsTo> {
    for rule in rules {
        let (test, why) = match () {
            () if !dialled.matches(&rule.dialled) => {
                ("number", format!("{} was dialled", dialled.raw))
            }
            () if rule.trunk.as_ref().is_some_and(|only| only != trunk) => {
                ("trunk", format!("the call came from trunk {}", trunk.name))
            }
            () if !is_of(&rule.leads_to, &trunk.tenant) => {
                ("tenant", format!("trunk {} belongs to another tenant", trunk.name))
            }
            () => return Some(&rule.leads_to),
        };
        reject(rejected, || format!("number {}", rule.dialled), test, || why);
    }
    None
}

fn is_of(leads_to: &LeadsTo, tenant: &TenantId) -> bool {
    match leads_to {
        LeadsTo::Flow(flow) => flow.tenant == *tenant,
        LeadsTo::Agent(agent) => agent.tenant == *tenant,
        // Looked up among the routes of the tenant.
        LeadsTo::Route(_) => true,
    }
}

/// Adds one alternative, as long as there is room.
pub(crate) fn reject(
    rejected: &mut Vec<Rejected>,
    candidate: impl FnOnce() -> String,
    test: &'static str,
    why: impl FnOnce() -> String,
) {
    if rejected.len() < REJECTED_MAX {
        let (candidate, why) = (candidate().into(), why().into());
        rejected.push(Rejected { candidate, test: test.into(), why });
    }
}

/// What an agent's telephone asks for by dialling `code`.
pub(crate) fn feature_code<'a>(rules: &'a Rules, code: &str) -> Option<&'a FeatureCode> {
    rules.feature_codes.iter().find(|(known, _)| **known == *code).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::FlowId;
    use trunk::number::DialPlan;

    #[test]
    fn the_first_rule_that_fits_wins_and_trunks_are_kept_apart() {
        let tenant = TenantId::default();
        let other = TenantId("other".into());
        let flow = |name| FlowId::new(&tenant, name);
        let rule = |dialled: &str, trunk: Option<TrunkId>, name| NumberRule {
            dialled: dialled.into(),
            trunk,
            leads_to: LeadsTo::Flow(flow(name)),
        };
        let carrier = TrunkId::new(&tenant, "carrier");
        let pbx = TrunkId::new(&tenant, "pbx");
        let rules = [
            rule("4000", Some(pbx.clone()), "internal"),
            rule("4000", None, "hotline"),
            rule("49*", None, "national"),
            rule("+44*", None, "abroad"),
            rule("*", Some(pbx.clone()), "rest"),
        ];
        let plan = DialPlan { country_code: "49".into(), ..DialPlan::default() };
        let name = |trunk: &TrunkId, dialled: &str| {
            let dialled = plan.read(dialled);
            let leads_to = leads_to(&rules, trunk, &dialled, &mut Vec::new())?;
            leads_to.flow().map(|flow| flow.name.to_string())
        };
        assert_eq!(name(&pbx, "4000"), Some("internal".into()));
        assert_eq!(name(&carrier, "4000"), Some("hotline".into()));
        assert_eq!(name(&carrier, "4930"), Some("national".into()));
        assert_eq!(name(&carrier, "0044301234"), Some("abroad".into()), "in its one form");
        assert_eq!(name(&pbx, "123"), Some("rest".into()));
        assert_eq!(name(&carrier, "123"), None);
        assert_eq!(name(&TrunkId::new(&other, "x"), "4000"), None);
        let mut rejected = Vec::new();
        let dialled = plan.read("4000");
        assert_eq!(leads_to(&rules, &TrunkId::new(&other, "x"), &dialled, &mut rejected), None);
        let failed: Vec<(&str, &str)> =
            rejected.iter().map(|it| (&*it.candidate, &*it.test)).collect();
        let expected = [
            ("number 4000", "trunk"),
            ("number 4000", "tenant"),
            ("number 49*", "number"),
            ("number +44*", "number"),
            ("number *", "trunk"),
        ];
        assert_eq!(failed, expected);
    }
}
