//! `trunkline demo`: the gateway on its embedded default, and scripted telephones that ring it.

mod campaign;
mod carrier;
mod journeys;
mod service;
mod stage;

use std::process::ExitCode;

/// See three journeys on real calls.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Exit afterwards, with a failure if a journey failed, instead of staying up.
    #[arg(long)]
    once: bool,
}

/// Runs the demo.
pub fn run(options: Options) -> ExitCode {
    crate::telemetry::start_quiet_logs();
    let runtime = match crate::cli::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return crate::cli::failed("no runtime", &error),
    };
    let outcome = runtime.block_on(journeys::all(options.once));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => crate::cli::failed("the demo could not start", &error),
    }
}
