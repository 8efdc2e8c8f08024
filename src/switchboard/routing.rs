//! The number dialled → a flow; a code dialled by an agent → what it says.

use crate::rules::{FeatureCode, NumberRule, Rules};
use domain::id::{FlowId, TrunkId};

/// The flow that `dialled` leads to when it comes in through `trunk`; the first match wins.
pub(crate) fn flow_for<'a>(
    rules: &'a [NumberRule],
    trunk: &TrunkId,
    dialled: &str,
) -> Option<&'a FlowId> {
    rules
        .iter()
        .filter(|rule| rule.trunk.as_ref().is_none_or(|only| only == trunk))
        .filter(|rule| rule.flow.tenant == trunk.tenant)
        .find(|rule| matches(&rule.dialled, dialled))
        .map(|rule| &rule.flow)
}

/// What an agent's telephone asks for by dialling `code`.
pub(crate) fn feature_code<'a>(rules: &'a Rules, code: &str) -> Option<&'a FeatureCode> {
    rules.feature_codes.iter().find(|(known, _)| **known == *code).map(|(_, what)| what)
}

fn matches(pattern: &str, dialled: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => dialled.starts_with(prefix),
        None => dialled == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;

    #[test]
    fn the_first_rule_that_fits_wins_and_trunks_are_kept_apart() {
        let tenant = TenantId::default();
        let other = TenantId("other".into());
        let flow = |name| FlowId::new(&tenant, name);
        let rule = |dialled: &str, trunk: Option<TrunkId>, name| NumberRule {
            dialled: dialled.into(),
            trunk,
            flow: flow(name),
        };
        let carrier = TrunkId::new(&tenant, "carrier");
        let pbx = TrunkId::new(&tenant, "pbx");
        let rules = [
            rule("4000", Some(pbx.clone()), "internal"),
            rule("4000", None, "hotline"),
            rule("49*", None, "national"),
            rule("*", Some(pbx.clone()), "rest"),
        ];
        let name = |trunk: &TrunkId, dialled| {
            flow_for(&rules, trunk, dialled).map(|flow| flow.name.to_string())
        };
        assert_eq!(name(&pbx, "4000"), Some("internal".into()));
        assert_eq!(name(&carrier, "4000"), Some("hotline".into()));
        assert_eq!(name(&carrier, "4930"), Some("national".into()));
        assert_eq!(name(&pbx, "123"), Some("rest".into()));
        assert_eq!(name(&carrier, "123"), None);
        assert_eq!(name(&TrunkId::new(&other, "x"), "4000"), None);
    }
}
