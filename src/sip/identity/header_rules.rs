//! What a trunk wants changed in the header fields of requests, in either direction.
//!
//! A rule is checked when it is made: fields that machines live by (`Via`, `CSeq`, `Contact`…) are
//! out of its reach, and no value can break out of its line. Calls nothing but `message`.

use crate::message::Headers;
use crate::message::name::Name;
use crate::message::params::is_token;
use std::sync::Arc;

/// In which direction a rule holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Crossing {
    /// Requests that come in, before anything of them is read.
    In,
    /// Requests that go out, when all else is written.
    Out,
}

/// What is done to a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HeaderChange {
    /// All of its name are taken out.
    Remove,
    /// One takes the place of all of its name.
    Set(HeaderValue),
    /// One more is put at the end.
    Add(HeaderValue),
}

/// What a field is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HeaderValue {
    /// This text, of 1,024 octets at most.
    Literal(Arc<str>),
    /// The value of the first field of this name in the same request; without one nothing is done.
    CopyOf(Arc<str>),
}

/// Why a rule is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderRuleError {
    /// The name, or that of the field copied from, is no token (RFC 3261 §25.1).
    #[error("is no name of a header field")]
    NoName,
    /// The field belongs to the machines.
    #[error("belongs to SIP itself and cannot be changed")]
    OfTheMachine,
    /// The value is empty, too long, or has control characters in it.
    #[error("has a value that no header field can have")]
    NoValue,
}

/// One rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderRule {
    crossing: Crossing,
    name: Arc<str>,
    change: HeaderChange,
}

/// The longest literal value, in octets.
const VALUE_MAX: usize = 1_024;

/// The fields that transactions, dialogs, sessions, authentication and passports are made of.
const OF_THE_MACHINE: &[Name] = &[
    Name::Via,
    Name::Route,
    Name::RecordRoute,
    Name::Path,
    Name::ServiceRoute,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::MaxForwards,
    Name::Expires,
    Name::MinExpires,
    Name::ContentLength,
    Name::ContentType,
    Name::ContentEncoding,
    Name::ContentDisposition,
    Name::MimeVersion,
    Name::Allow,
    Name::Supported,
    Name::Require,
    Name::ProxyRequire,
    Name::Unsupported,
    Name::RSeq,
    Name::RAck,
    Name::SessionExpires,
    Name::MinSe,
    Name::Authorization,
    Name::ProxyAuthorization,
    Name::WwwAuthenticate,
    Name::ProxyAuthenticate,
    Name::AuthenticationInfo,
    Name::Event,
    Name::SubscriptionState,
    Name::ReferTo,
    Name::ReferredBy,
    Name::Replaces,
    Name::Identity,
    Name::Date,
];

impl HeaderRule {
    /// A rule for the fields of `name`, whose compact form and case do not matter.
    ///
    /// # Errors
    /// [`HeaderRuleError`] says what is wrong with it.
    pub fn new(
        crossing: Crossing,
        name: &str,
        change: HeaderChange,
    ) -> Result<Self, HeaderRuleError> {
        if !is_token(name) {
            return Err(HeaderRuleError::NoName);
        }
        if OF_THE_MACHINE.contains(&Name::parse(name)) {
            return Err(HeaderRuleError::OfTheMachine);
        }
        match &change {
            HeaderChange::Remove => (),
            HeaderChange::Set(HeaderValue::CopyOf(from))
            | HeaderChange::Add(HeaderValue::CopyOf(from)) => {
                if !is_token(from) {
                    return Err(HeaderRuleError::NoName);
                }
            }
            HeaderChange::Set(HeaderValue::Literal(value))
            | HeaderChange::Add(HeaderValue::Literal(value)) => {
                let fits = (1..=VALUE_MAX).contains(&value.len());
                if !fits || value.chars().any(char::is_control) {
                    return Err(HeaderRuleError::NoValue);
                }
            }
        }
        Ok(Self { crossing, name: name.into(), change })
    }

    /// The name of the field it changes.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn apply(&self, headers: &mut Headers) {
        let value = |headers: &Headers, value: &HeaderValue| match value {
            HeaderValue::Literal(text) => Some(text.clone()),
            HeaderValue::CopyOf(from) => headers.get_named(from).map(Into::into),
        };
        match &self.change {
            HeaderChange::Remove => headers.remove_named(&self.name),
            HeaderChange::Set(new) => {
                if let Some(value) = value(headers, new) {
                    headers.remove_named(&self.name);
                    headers.push_named(&self.name, &value);
                }
            }
            HeaderChange::Add(new) => {
                if let Some(value) = value(headers, new) {
                    headers.push_named(&self.name, &value);
                }
            }
        }
    }
}

/// Applies the rules of one direction, in their order.
pub(crate) fn apply(rules: &[HeaderRule], crossing: Crossing, headers: &mut Headers) {
    for rule in rules.iter().filter(|rule| rule.crossing == crossing) {
        rule.apply(headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> HeaderValue {
        HeaderValue::Literal(text.into())
    }

    fn copy(name: &str) -> HeaderValue {
        HeaderValue::CopyOf(name.into())
    }

    #[test]
    fn a_rule_is_checked_when_it_is_made() {
        use HeaderRuleError::{NoName, NoValue, OfTheMachine};
        let long = "x".repeat(VALUE_MAX + 1);
        for (name, change, verdict) in [
            ("X-Customer", HeaderChange::Set(literal("7")), Ok(())),
            ("p-asserted-identity", HeaderChange::Set(copy("Remote-Party-ID")), Ok(())),
            ("Subject", HeaderChange::Remove, Ok(())),
            ("Via", HeaderChange::Remove, Err(OfTheMachine)),
            ("call-id", HeaderChange::Set(literal("x")), Err(OfTheMachine)),
            ("l", HeaderChange::Add(literal("0")), Err(OfTheMachine)),
            ("m", HeaderChange::Remove, Err(OfTheMachine)),
            ("X Customer", HeaderChange::Remove, Err(NoName)),
            ("", HeaderChange::Remove, Err(NoName)),
            ("X-A", HeaderChange::Set(copy("X:B")), Err(NoName)),
            ("X-A", HeaderChange::Set(literal("")), Err(NoValue)),
            ("X-A", HeaderChange::Set(literal("a\r\nVia: b")), Err(NoValue)),
            ("X-A", HeaderChange::Add(literal(&long)), Err(NoValue)),
        ] {
            let made = HeaderRule::new(Crossing::Out, name, change.clone()).map(|_| ());
            assert_eq!(made, verdict, "{name} {change:?}");
        }
    }

    /// Each kind of change, upon fields in another case and in compact form, and only in its own
    /// direction.
    #[test]
    fn rules_change_fields_by_parsed_name() {
        let headers = || {
            let mut headers = Headers::new();
            headers.push(Name::Subject, "old");
            headers.push_named("x-CUSTOMER", "1");
            headers.push_named("X-Other", "2");
            headers
        };
        for (name, change, expected) in [
            ("s", HeaderChange::Remove, "x-CUSTOMER: 1, X-Other: 2"),
            ("X-Customer", HeaderChange::Remove, "Subject: old, X-Other: 2"),
            (
                "X-Customer",
                HeaderChange::Set(literal("9")),
                "Subject: old, X-Other: 2, X-Customer: 9",
            ),
            (
                "X-Customer",
                HeaderChange::Add(copy("s")),
                "Subject: old, x-CUSTOMER: 1, X-Other: 2, X-Customer: old",
            ),
            (
                "Subject",
                HeaderChange::Set(copy("x-other")),
                "x-CUSTOMER: 1, X-Other: 2, Subject: 2",
            ),
            (
                "X-Other",
                HeaderChange::Set(copy("X-Nothing")),
                "Subject: old, x-CUSTOMER: 1, X-Other: 2",
            ),
        ] {
            let rules = [HeaderRule::new(Crossing::In, name, change.clone()).unwrap()];
            let mut changed = headers();
            apply(&rules, Crossing::Out, &mut changed);
            assert_eq!(changed, headers());
            apply(&rules, Crossing::In, &mut changed);
            let found: Vec<_> =
                changed.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(found.join(", "), expected, "{name} {change:?}");
        }
    }
}
