//! Endpoints driven in memory: against one another, and against messages written by hand.

mod agents;
mod answers;
mod border;
mod calls;
mod defence;
mod incoming;
mod odd_peers;
mod outgoing;
mod pair;
mod peer;
mod refusals;
mod rfc3261_changes;
mod rfc3261_dialogs;
mod rfc3261_forks;
mod rfc3261_general;
mod rfc3261_identity;
mod rfc3262_callee;
mod rfc3262_caller;
mod rfc3311;
mod rfc4028;
mod routing;
mod steps;
mod storm;
mod transfers;
mod transports;
mod trunks;
