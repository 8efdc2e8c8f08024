//! Kills the gateway with signal 9 at random moments of a campaign with open callbacks, and judges by
//! what its carrier recorded and by what callers have on their own recordings.
//!
//! `make crash ARGS="[--kills 100] [--contacts 5000] [--rate 1500] [--callers 8]"`
//!
//! `--rate`: calls a minute. A kill counts only when diallings were in flight. Ends with one line of
//! JSON; fails when a contact was lost, an attempt was dialled twice, or a promise was lost.

#[path = "common/mod.rs"]
mod common;
#[path = "crash/mod.rs"]
mod crash;

use common::number;
use crash::trial::{self, Options};
use serde_json::json;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options {
        kills: number("--kills", 100),
        contacts: number("--contacts", 5_000),
        rate: number("--rate", 1_500),
        callers: number("--callers", 8),
        attempts_max: 2,
    };
    match trial::run(options) {
        Ok(outcome) => {
            outcome.tell();
            println!(
                "{}",
                json!({
                    "bench": "crash",
                    "kills": outcome.kills,
                    "lost": outcome.lost.len(),
                    "twice": outcome.twice.len(),
                    "promises_lost": outcome.promises_lost.len(),
                    "in_doubt": outcome.in_doubt,
                })
            );
            ExitCode::from(u8::from(!outcome.is_clean()))
        }
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}
