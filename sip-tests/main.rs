//! The one integration-test binary: the real gateway on loopback against programs nobody here
//! wrote, the simulator with many seeds, and the order of the house.
// A test that cannot go on says so by stopping.
#![allow(clippy::unwrap_used)]

#[path = "../benches/common/mod.rs"]
mod common;
#[path = "../benches/crash/mod.rs"]
mod crash;
mod crash_smoke;
mod ledger_twin;
mod simulation;
mod tidy;
mod wire;
