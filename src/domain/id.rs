//! Names of things. Dynamic things (calls, legs, tickets …) have numbers, configured things
//! (queues, agents, trunks, flows) have names inside a tenant.

use std::fmt;
use std::sync::Arc;

macro_rules! number_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

number_ids! {
    /// One caller's whole story, of one or more legs.
    CallId,
    /// One INVITE's usage with its sound.
    LegId,
    /// One place in a queue.
    TicketId,
    /// A promised telephone call.
    CallbackId,
    /// A list of contacts to be called for one purpose.
    CampaignId,
    /// A person (or company) in a campaign.
    ContactId,
    /// One try at one contact.
    AttemptId,
    /// An order to media or to an engine, echoed in each event it causes, so that a late event of
    /// an old order can be known and ignored.
    OrderId,
    /// Asks the store for something; its receipt carries the same token.
    Token,
    /// An API request waiting for its reply.
    RequestId,
}

macro_rules! name_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
        pub struct $name {
            /// The tenant it belongs to.
            pub tenant: TenantId,
            /// Its name, unique within the tenant.
            pub name: Arc<str>,
        }

        impl $name {
            /// The thing called `name` of `tenant`.
            pub fn new(tenant: &TenantId, name: &str) -> Self {
                Self { tenant: tenant.clone(), name: name.into() }
            }
        }

        impl fmt::Display for $name {
            /// Prints the name alone; the tenant stands beside it wherever more than one is meant.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.name)
            }
        }
    )*};
}

/// A merchant who shares the installation. The one made at the first start is `default`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TenantId(pub Arc<str>);

impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

name_ids! {
    /// Callers waiting for agents.
    QueueId,
    /// A person who takes calls.
    AgentId,
    /// A carrier's or PBX's connection.
    TrunkId,
    /// A checked conversation file.
    FlowId,
}

/// Gives out numbers that are unique across restarts: they begin at the millisecond of the start
/// shifted left by 14 bits, so a process may give out 16 thousand a millisecond of its life, and two
/// starts in one second do not meet. They stay below 2^53 until the year 2042 and so survive JSON
/// readers that know only doubles.
#[derive(Clone, Debug)]
pub struct IdSource {
    next: u64,
}

impl IdSource {
    /// Numbers for a process started at `wall_ms` (Unix milliseconds).
    pub fn starting_at(wall_ms: u64) -> Self {
        /// 2025-01-01T00:00:00Z.
        const EPOCH_MS: u64 = 1_735_689_600_000;
        Self { next: wall_ms.saturating_sub(EPOCH_MS).max(1) << 14 }
    }

    /// The next number. Never gives the same one twice.
    pub fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_across_a_restart_and_fit_a_double() {
        let mut first = IdSource::starting_at(1_800_000_000_000);
        let mut second = IdSource::starting_at(1_800_000_000_001);
        let last_of_first = (0..10_000).map(|_| first.next_number()).last().unwrap();
        let first_of_second = second.next_number();
        assert!(last_of_first < first_of_second);
        assert!(IdSource::starting_at(2_240_000_000_000).next_number() < 1 << 53);
    }
}
