//! What the benches share: an installation in a folder of its own with the gateway as a child
//! process, its API, and what the system says of a process.

#![allow(dead_code, reason = "each bench uses its own part of it")]

pub mod api;
pub mod installation;

/// The number after `name` among the program's arguments.
pub fn number(name: &str, default: u64) -> u64 {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name);
    let value = place.and_then(|place| arguments.get(place + 1)?.parse().ok());
    value.unwrap_or(default)
}

/// What goes wrong in a bench ends it with its words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
