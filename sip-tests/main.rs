//! The one integration-test binary: the real gateway on loopback against programs nobody here
//! wrote, the simulator with many seeds, and the order of the house.

mod ledger_twin;
mod simulation;
mod tidy;
mod wire;
