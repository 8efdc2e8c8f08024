//! `trunkline check`: every fault of every file at once.

use super::{Where, print_faults};
use crate::config::Config;
use crate::documents::Documents;
use crate::listeners;
use crate::net::tls::TlsError;
use domain::fault::Fault;
use std::process::ExitCode;

/// A faulty configuration does not hide the faults of flows and intents.
fn read_all(
    (config, faults): &(Option<Config>, Vec<Fault>),
) -> Result<(&Config, Documents), Vec<Fault>> {
    let Some(config) = config else { return Err(faults.clone()) };
    let mut faults = faults.clone();
    if faults.is_empty() {
        faults.extend(listeners::certificates(config).err().map(|error| unusable(&error)));
    }
    match Documents::read(config) {
        Ok(documents) if faults.is_empty() => Ok((config, documents)),
        Ok(_) => Err(faults),
        Err(more) => Err(faults.into_iter().chain(more).collect()),
    }
}

/// A certificate that cannot be used, as a fault of its file.
fn unusable(error: &TlsError) -> Fault {
    Fault {
        file: error.file.display().to_string().into(),
        line: 1,
        column: 1,
        key: "tls".to_owned(),
        problem: error.problem.clone(),
        remedy: "name a readable PEM file; the key must be that of the certificate".to_owned(),
    }
}

pub(super) fn run(place: &Where, json: bool) -> ExitCode {
    match read_all(&Config::load(&place.config)) {
        Ok((config, documents)) => {
            if json {
                println!("{}", serde_json::json!({ "faults": 0 }));
            } else {
                println!(
                    "{}: no fault. {} number(s), {} flow(s), {} set(s) of intents, {} queue(s), \
                     {} agent(s), {} trunk(s)",
                    place.config.display(),
                    config.numbers.len(),
                    documents.flows.len(),
                    documents.classifiers.len(),
                    config.queues.len(),
                    config.agents.len(),
                    config.trunks.len(),
                );
            }
            ExitCode::SUCCESS
        }
        Err(faults) if json => {
            for fault in &faults {
                println!(
                    "{}",
                    serde_json::json!({
                        "file": &*fault.file,
                        "line": fault.line,
                        "column": fault.column,
                        "key": fault.key,
                        "problem": fault.problem,
                        "remedy": fault.remedy,
                    })
                );
            }
            println!("{}", serde_json::json!({ "faults": faults.len() }));
            ExitCode::FAILURE
        }
        Err(faults) => {
            print_faults(&faults);
            ExitCode::FAILURE
        }
    }
}
