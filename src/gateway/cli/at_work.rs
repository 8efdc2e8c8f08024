//! A gateway at work, asked through its listener of metrics and health, which is for whoever runs the
//! program and needs no key.

use super::{Where, failed, runtime};
use reqwest::{Method, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(12);

/// Which gateway.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AtWork {
    #[command(flatten)]
    place: Where,
    /// Where its metrics and health are; without it, as the configuration says.
    #[arg(long)]
    at: Option<SocketAddr>,
}

impl AtWork {
    /// Asks; the reply's JSON (null where it has none), or the exit status once it is told why there
    /// is none. A gateway that refuses says why itself.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<Value, ExitCode> {
        let address = match self.at {
            Some(address) => address,
            None => self.place.read()?.http.operations,
        };
        let runtime = runtime().map_err(|error| failed("no runtime", &error))?;
        let refused = format!("the gateway at {address} does not tell");
        let reply = runtime.block_on(ask(address, method, path));
        let (is_good, body) = reply.map_err(|error| failed(&refused, &error))?;
        match is_good {
            true => Ok(body),
            false => {
                Err(failed("it cannot be done", &body["detail"].as_str().unwrap_or("refused")))
            }
        }
    }
}

/// Whether it was done, and what was said.
async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(bool, Value), reqwest::Error> {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
    let reply: Response = client.request(method, format!("http://{address}{path}")).send().await?;
    let is_good = reply.status().is_success();
    let text = reply.text().await?;
    Ok((is_good, serde_json::from_str(&text).unwrap_or_default()))
}
