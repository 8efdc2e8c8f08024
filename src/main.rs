//! The `trunkline` program: parses the command line and hands over to `gateway`.
fn main() {}
