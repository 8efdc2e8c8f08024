//! Endpoints driven in memory: against one another, and against messages written by hand.

mod agents;
mod calls;
mod incoming;
mod odd_peers;
mod outgoing;
mod pair;
mod peer;
mod refusals;
mod routing;
mod storm;
