//! Endpoints driven in memory: against one another, and against messages written by hand.

mod calls;
mod pair;
