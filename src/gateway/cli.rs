//! The command line.

mod admin;
mod at_work;
mod bans;
mod check;
mod explain;
mod serve;
mod trace;
mod trunk;
mod trunks;
mod would_route;

use crate::config::Config;
use at_work::AtWork;
use clap::{Parser, Subcommand};
use domain::fault::Fault;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A telephone hotline and calling machine: SIP in, speech understood, queues, callbacks, campaigns.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, about, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(Where),
    /// Report every fault of configuration, flows and intents at once.
    Check {
        #[command(flatten)]
        place: Where,
        /// One JSON object per fault instead of lines for people.
        #[arg(long)]
        json: bool,
    },
    /// Ring a SIP address with a test telephone: say something, press keys, record.
    Call(crate::telephone::command::Call),
    /// See three journeys on real calls: a caller, a callback, a campaign.
    Demo(crate::demo::Options),
    /// Draw the SIP ladder of a call, with what was decided between the messages.
    Trace {
        #[command(flatten)]
        place: Where,
        /// The call, as the API and the log name it.
        call: u64,
        /// The whole messages, too.
        #[arg(long)]
        full: bool,
        /// One JSON object per entry.
        #[arg(long)]
        json: bool,
        /// Write the messages to this file, as a capture for Wireshark or sngrep.
        #[arg(long)]
        pcap: Option<PathBuf>,
    },
    /// Say why a call went where it did, or was refused: each decision with what was rejected.
    Explain {
        #[command(flatten)]
        place: Where,
        /// The call, as the API and the log name it, or SIP's Call-ID of any of its legs.
        call: String,
        /// One JSON object per decision.
        #[arg(long)]
        json: bool,
    },
    /// Say where a call would go and why not elsewhere, by the configuration, without making it.
    WouldRoute {
        #[command(flatten)]
        place: Where,
        #[command(flatten)]
        call: would_route::Asked,
        /// One JSON object per step.
        #[arg(long)]
        json: bool,
    },
    /// How the trunks of a gateway at work stand, and how their calls have gone of late.
    Trunks {
        #[command(flatten)]
        gateway: AtWork,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Who is banned from a gateway at work, for how long, and how much of his was left unread.
    Bans {
        #[command(flatten)]
        gateway: AtWork,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a ban: its source is read again at once.
    Unban {
        #[command(flatten)]
        gateway: AtWork,
        /// The source's address; with IPv6, any address of its network of 64 bits.
        address: std::net::IpAddr,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try a trunk: what it can, what it cannot, and the settings that suit it.
    Trunk {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        action: trunk::TrunkAction,
    },
    /// Make, list and revoke API keys.
    Key {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        action: admin::KeyAction,
    },
    /// Set secrets of agents' telephones and trunks.
    Secret {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        action: admin::SecretAction,
    },
    /// The secret that webhooks are signed with, and where callbacks' webhooks go.
    Webhook {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        action: admin::WebhookAction,
    },
    /// Copy the ledger to a file while the gateway runs.
    Backup {
        #[command(flatten)]
        place: Where,
        /// The copy; must not exist.
        to: PathBuf,
    },
    /// Put a copy in the ledger's place; the gateway must not run.
    Restore {
        #[command(flatten)]
        place: Where,
        /// The copy.
        from: PathBuf,
    },
}

/// Which installation.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Where {
    /// The configuration file.
    #[arg(long, short, global = true, default_value = "config/gateway.toml")]
    config: PathBuf,
}

impl Where {
    /// Reads the configuration, or prints its faults.
    fn read(&self) -> Result<Config, ExitCode> {
        Config::read(&self.config).map_err(|faults| {
            print_faults(&faults);
            ExitCode::FAILURE
        })
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(place) => serve::run(&place),
        Command::Check { place, json } => check::run(&place, json),
        Command::Call(call) => crate::telephone::command::run(call),
        Command::Demo(options) => crate::demo::run(options),
        Command::Trace { place, call, full, json, pcap } => {
            trace::run(&place, call, &trace::Shown { full, json, pcap })
        }
        Command::Explain { place, call, json } => explain::run(&place, &call, json),
        Command::WouldRoute { place, call, json } => would_route::run(&place, &call, json),
        Command::Trunks { gateway, json } => trunks::run(&gateway, json),
        Command::Bans { gateway, json } => bans::list(&gateway, json),
        Command::Unban { gateway, address, json } => bans::unban(&gateway, address, json),
        Command::Trunk { place, action } => trunk::run(&place, action),
        Command::Key { place, action } => admin::key(&place, action),
        Command::Secret { place, action } => admin::secret(&place, action),
        Command::Webhook { place, action } => admin::webhook(&place, action),
        Command::Backup { place, to } => admin::backup(&place, &to),
        Command::Restore { place, from } => admin::restore(&place, &from),
    }
}

fn print_faults(faults: &[Fault]) {
    for fault in faults {
        eprintln!("{fault}");
    }
    let files: std::collections::BTreeSet<_> = faults.iter().map(|fault| &fault.file).collect();
    eprintln!("\n{} fault(s) in {} file(s)", faults.len(), files.len());
}

/// Prints why something failed and gives the exit status for it.
pub(crate) fn failed(what: &str, why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("trunkline: {what}: {why}");
    ExitCode::FAILURE
}

/// The runtime of the shell: signalling, API and everything that waits.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("shell").build()
}

/// Where the traces of a data folder are.
pub(crate) fn trace_folder(data: &Path) -> PathBuf {
    data.join("trace")
}
