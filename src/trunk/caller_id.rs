//! Which number a call shows: one of the tenant's own, or what its rules put there instead.

use crate::number::{DialPlan, Number, NumberForm, NumberKind};
use std::sync::Arc;

/// What is done with a number that is not among the tenant's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Mismatch {
    /// It is shown nevertheless: for transit, where the carrier before us answers for it.
    Send,
    /// The trunk's own number is shown in its place.
    #[default]
    Replace,
    /// The call is not made.
    Reject,
    /// No number is shown.
    Anonymous,
}

/// Which numbers may be shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallerIdRules {
    /// E.164 with `+`; `*` at the end matches any rest, such as `+49305550*`. Empty: any.
    pub allowed: Vec<Arc<str>>,
    /// What is done with others.
    pub mismatch: Mismatch,
}

/// What a call shows of its caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// The user part of From as this trunk wants it; empty: hidden.
    pub user: Arc<str>,
    /// What is asserted to the trunk even where From hides it (RFC 3325 §9.1); `None`: nothing.
    pub asserted: Option<Arc<str>>,
    /// Whether the called person must not see it (RFC 3323 §4.2).
    pub private: bool,
    /// What was done with the number and why, if it is not shown as it came.
    pub changed: Option<Arc<str>>,
}

/// The number that nobody may show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotAllowed {
    /// Which, as it came.
    pub number: Arc<str>,
}

impl CallerIdRules {
    /// What a call by `caller` shows at a trunk that wants numbers in `form`, and whose own number
    /// is `own`. `private`: the caller asked to be hidden.
    ///
    /// # Errors
    /// The number is not allowed and the rules refuse such calls.
    pub fn show(
        &self,
        caller: &Number,
        private: bool,
        own: Option<&Number>,
        (form, plan): (&NumberForm, &DialPlan),
    ) -> Result<Shown, NotAllowed> {
        let shown = |number: &Number, changed: Option<Arc<str>>| {
            let user = form.write(number, plan);
            Shown { asserted: Some(user.clone()).filter(|_| private), user, private, changed }
        };
        let replaced = |why: &str| match own {
            Some(own) => shown(own, Some(format!("{why}: the trunk's own is shown").into())),
            None => hidden(Some(format!("{why}, and the trunk has none: hidden").into())),
        };
        if caller.is_nobody() {
            return Ok(match own {
                // A hidden caller of somebody else's stays hidden: our number is not his.
                _ if private => hidden(None),
                Some(_) => replaced("no number given"),
                None => hidden(None),
            });
        }
        if self.allows(caller) {
            return Ok(shown(caller, None));
        }
        match self.mismatch {
            Mismatch::Send => Ok(shown(caller, None)),
            Mismatch::Replace => Ok(replaced("not one of the tenant's numbers")),
            Mismatch::Anonymous => {
                Ok(hidden(Some("not one of the tenant's numbers: hidden".into())))
            }
            Mismatch::Reject => Err(NotAllowed { number: caller.raw.clone() }),
        }
    }

    /// Why a number of ours can never be shown; `None`: it can, or something stands in its place.
    pub fn refusal_of(&self, number: &Number) -> Option<String> {
        let refuses = self.mismatch == Mismatch::Reject && !number.is_nobody();
        (refuses && !self.allows(number)).then(|| {
            let shown = number.shown();
            format!("{shown} may not be shown; those of [tenant] are {}", self.allowed.join(", "))
        })
    }

    fn allows(&self, caller: &Number) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|pattern| caller.matches(pattern))
    }
}

/// What a call for help shows: the number there is, whatever the rules say of it, or else the trunk's
/// own, where whoever helps can call back. An extension, or digits that the plan makes nothing of, is
/// none outside the house.
pub fn for_help(
    caller: &Number,
    own: Option<&Number>,
    (form, plan): (&NumberForm, &DialPlan),
) -> Shown {
    let is_reachable = !caller.is_unknown() && caller.kind != NumberKind::Extension;
    let (number, changed) = match own {
        Some(own) if !is_reachable => {
            (own, Some("no number that can be called: the trunk's own is shown".into()))
        }
        Some(_) | None => (caller, None),
    };
    Shown { user: form.write(number, plan), asserted: None, private: false, changed }
}

fn hidden(changed: Option<Arc<str>>) -> Shown {
    Shown { user: "".into(), asserted: None, private: true, changed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> DialPlan {
        let (country_code, national_prefix) = ("49".into(), "0".into());
        DialPlan { country_code, national_prefix, ..DialPlan::default() }
    }

    /// The caller, whether he hides, what is done with strangers; what is shown (`-`: nothing) and
    /// asserted.
    #[test]
    fn only_numbers_of_the_tenant_are_shown() {
        use Mismatch::{Anonymous, Reject, Replace, Send};
        let (own, plan) = (plan().read("+4930555000"), plan());
        let (ours, foreign) = ("030 5550123", "+4940123456");
        for (caller, private, mismatch, expected) in [
            (ours, false, Reject, Some(("+49305550123", None))),
            (ours, true, Reject, Some(("+49305550123", Some("+49305550123")))),
            (foreign, false, Send, Some(("+4940123456", None))),
            (foreign, false, Replace, Some(("+4930555000", None))),
            (foreign, true, Replace, Some(("+4930555000", Some("+4930555000")))),
            (foreign, false, Anonymous, Some(("", None))),
            (foreign, false, Reject, None),
            ("", false, Reject, Some(("+4930555000", None))),
            ("anonymous", true, Reject, Some(("", None))),
            ("55", false, Send, Some(("55", None))),
        ] {
            let rules = CallerIdRules { allowed: vec!["+49305550*".into()], mismatch };
            let read = plan.read(caller);
            let shown = rules.show(&read, private, Some(&own), (&NumberForm::default(), &plan));
            let shown = shown.ok();
            assert_eq!(rules.refusal_of(&read).is_some(), shown.is_none());
            let found = shown.as_ref().map(|it| (&*it.user, it.asserted.as_deref()));
            assert_eq!(found, expected, "{caller} {private} {rules:?}");
            if let Some(shown) = shown {
                assert_eq!(shown.private, private || shown.user.is_empty());
            }
        }
        let any = CallerIdRules::default();
        let shown = any.show(&plan.read(foreign), false, None, (&NumberForm::default(), &plan));
        assert_eq!(shown.map(|it| it.user), Ok("+4940123456".into()));
    }

    /// Who calls for help shows a number by which he is found, where there is one.
    #[test]
    fn a_call_for_help_is_not_hidden() {
        let (own, plan) = (plan().read("+4930555000"), plan());
        let plan = DialPlan { extension_digits_max: 4, ..plan };
        for (caller, own, expected) in [
            ("+4940123456", Some(&own), "+4940123456"),
            ("040 123456", None, "+4940123456"),
            ("anna", Some(&own), "+4930555000"),
            ("4000", Some(&own), "+4930555000"),
            ("4000", None, "4000"),
            ("", None, ""),
        ] {
            let shown = for_help(&plan.read(caller), own, (&NumberForm::default(), &plan));
            assert_eq!((&*shown.user, shown.private), (expected, false), "{caller}");
        }
    }
}
