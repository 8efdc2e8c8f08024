//! What holds at the border to one trunk: whether it is trusted, which methods may be used, and
//! which header fields are changed.

use crate::identity::header_rules::{Crossing, HeaderRule};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Headers, Request};
use std::sync::Arc;

/// The border to one trunk. The default is the most careful: nothing is believed, nothing told.
#[derive(Clone, Debug, Default)]
pub struct Border {
    /// Whether it belongs to our trust domain (RFC 3324 §2.3): whom it asserts to call is believed,
    /// and it is told who calls even if the callee must not be.
    pub trusted: bool,
    /// The host of `From` and `P-Asserted-Identity` in our requests; `None`: our own address.
    pub from_host: Option<Arc<str>>,
    /// The methods it may use.
    pub methods: Methods,
    /// What is changed in requests, in this order; at most [`RULES_MAX`].
    pub rules: Vec<HeaderRule>,
}

/// More rules than this no trunk has.
pub const RULES_MAX: usize = 64;

/// Which methods may be used; ACK, CANCEL and BYE always may, as they only end what was allowed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Methods {
    /// All that we understand.
    #[default]
    All,
    /// These.
    Only(Vec<Method>),
}

impl Methods {
    /// Whether a method may be used.
    pub fn allow(&self, method: &Method) -> bool {
        match (self, method) {
            (_, Method::Ack | Method::Cancel | Method::Bye) | (Self::All, _) => true,
            (Self::Only(methods), method) => methods.contains(method),
        }
    }

    /// What is left of the value of an `Allow`.
    pub(crate) fn of(&self, allow: &str) -> String {
        let listed = allow.split(',').map(str::trim);
        let left =
            listed.filter(|name| Method::parse(name).is_some_and(|method| self.allow(&method)));
        left.collect::<Vec<_>>().join(", ")
    }

    /// Takes out of `Allow` what may not be used.
    pub(crate) fn restrict(&self, headers: &mut Headers) {
        if *self == Self::All {
            return;
        }
        if let Some(allow) = headers.get(Name::Allow).map(|allow| self.of(allow)) {
            headers.set(Name::Allow, &allow);
        }
    }
}

impl Border {
    /// A request comes in: what its sender may not say is taken out, then the rules hold.
    pub(crate) fn enter(&self, request: &mut Request) {
        if !self.trusted {
            request.headers.remove(Name::PAssertedIdentity);
        }
        super::header_rules::apply(&self.rules, Crossing::In, &mut request.headers);
    }

    /// A request goes out.
    pub(crate) fn leave(&self, request: &mut Request) {
        self.methods.restrict(&mut request.headers);
        if !self.trusted {
            request.headers.remove(Name::PAssertedIdentity);
        }
        super::header_rules::apply(&self.rules, Crossing::Out, &mut request.headers);
    }
}
