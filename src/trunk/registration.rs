//! When we register at a trunk (RFC 3261 §10.2, back-off of RFC 5626 §4.5).

use std::time::Duration;

/// How we register at one trunk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistrationRules {
    /// How long a registration is asked for.
    pub expires: Duration,
    /// RFC 5626 §4.5: the longest wait after the first failure is this times two.
    pub retry_base: Duration,
    /// The longest wait of all.
    pub retry_max: Duration,
    /// The wait after wrong credentials (401, 403, 407): somebody must act first, and many tries
    /// get an account barred.
    pub refused_retry: Duration,
}
