//! `trunkline would-route`: the decision on a call by the configuration, without the call.

use super::explain::paragraph;
use super::{Where, failed};
use crate::config::Config;
use domain::id::{AgentId, IdSource, TrunkId};
use sip::event::Source;
use sip::message::{Message, parse};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use store::decision_table::to_json;
use switchboard::lead::WouldLead;
use switchboard::switchboard::Switchboard;

/// The call that is asked about.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// A file with an INVITE; without one, the number is told by --to.
    #[arg(required_unless_present = "to")]
    invite: Option<PathBuf>,
    /// The number dialled.
    #[arg(long)]
    to: Option<String>,
    /// The caller's number.
    #[arg(long)]
    from: Option<String>,
    /// The trunk that it comes from.
    #[arg(long, conflicts_with = "agent")]
    trunk: Option<String>,
    /// The agent who dials.
    #[arg(long)]
    agent: Option<String>,
}

/// What is known of the call.
struct Call {
    from: String,
    to: String,
    source: Source,
}

pub(super) fn run(place: &Where, asked: &Asked, json: bool) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let call = match call(asked, &config) {
        Ok(call) => call,
        Err(why) => return failed("the call cannot be told", &why),
    };
    // Flows do not route: where a number leads is decided before one begins.
    let rules = crate::run::rules(&config, BTreeMap::new());
    let now = crate::signalling::now();
    let board = Switchboard::new(rules, IdSource::starting_at(now.wall_ms));
    let steps = board.would_lead(&call.source, &call.from, &call.to, now);
    match json {
        true => steps.iter().for_each(|step| println!("{}", as_json(step))),
        false => print!("{}", as_text(&call, &steps)),
    }
    ExitCode::SUCCESS
}

fn call(asked: &Asked, config: &Config) -> Result<Call, String> {
    let mut call = match &asked.invite {
        Some(path) => of_invite(path, config)?,
        None => {
            let first = config.trunks.keys().next().cloned();
            let trunk = first.ok_or("the configuration has no trunk; name an --agent")?;
            let source = Source::Trunk(trunk);
            Call { from: String::new(), to: String::new(), source }
        }
    };
    if let Some(to) = &asked.to {
        call.to.clone_from(to);
    }
    if let Some(from) = &asked.from {
        call.from.clone_from(from);
    }
    let tenant = config.tenant();
    if let Some(name) = &asked.trunk {
        let trunk = TrunkId::new(&tenant, name);
        if !config.trunks.contains_key(&trunk) {
            return Err(format!("there is no trunk {name}"));
        }
        call.source = Source::Trunk(trunk);
    }
    if let Some(name) = &asked.agent {
        let agent = AgentId::new(&tenant, name);
        if !config.agents.contains(&agent) {
            return Err(format!("there is no agent {name}"));
        }
        call.source = Source::Agent(agent);
    }
    Ok(call)
}

/// Numbers and trunk of an INVITE as it stands in a file: the trunk by the address in its topmost
/// `Via`.
fn of_invite(path: &std::path::Path, config: &Config) -> Result<Call, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    // Editors write line feeds alone.
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let bytes = match text.contains("\r\n\r\n") {
        true => text,
        false => format!("{}\r\n\r\n", text.trim_end()),
    };
    let message = parse(bytes.into()).map_err(|error| error.to_string())?;
    let Message::Request(request) = message else {
        return Err("the file holds a response".to_owned());
    };
    let user = |user: Option<std::borrow::Cow<'_, str>>| user.unwrap_or_default().into_owned();
    let from = request.headers.from().ok().and_then(|from| from.uri().ok());
    let host = text_host(&request);
    let trunk = host.and_then(|host| {
        let lies_in = |network: &(IpAddr, u8)| {
            let text = format!("{}/{}", network.0, network.1);
            sip::endpoint::config::Network::parse(&text).is_some_and(|it| it.contains(host))
        };
        config.trunks.iter().find(|(_, trunk)| trunk.allow.iter().any(lies_in))
    });
    let Some((trunk, _)) = trunk else {
        return Err("no trunk allows the address in its Via; name one with --trunk".to_owned());
    };
    Ok(Call {
        from: user(from.as_ref().and_then(|uri| uri.user())),
        to: user(request.uri.user()),
        source: Source::Trunk(trunk.clone()),
    })
}

/// The address in the topmost `Via`.
fn text_host(request: &sip::message::Request) -> Option<IpAddr> {
    let via = request.headers.get(sip::message::name::Name::Via)?;
    let sent_by = via.split_whitespace().nth(1)?.split(';').next()?;
    match sent_by.parse::<std::net::SocketAddr>() {
        Ok(address) => Some(address.ip()),
        Err(_) => sent_by.trim_matches(['[', ']']).parse().ok(),
    }
}

fn as_json(step: &WouldLead) -> serde_json::Value {
    let rejected: Vec<_> = step.rejected.iter().map(to_json).collect();
    serde_json::json!({ "chosen": &*step.chosen, "rejected": rejected })
}

fn as_text(call: &Call, steps: &[WouldLead]) -> String {
    let mut out = String::new();
    let source = match &call.source {
        Source::Trunk(trunk) => format!("trunk {}", trunk.name),
        Source::Agent(agent) => format!("agent {}", agent.name),
    };
    let from = if call.from.is_empty() { "somebody without a number" } else { &call.from };
    let mut head = "would be";
    let asked = format!("{source} asks for {}, from {from}", call.to);
    paragraph(&mut out, "call", &asked);
    for step in steps {
        paragraph(&mut out, head, &step.chosen);
        head = "then";
        for rejected in &step.rejected {
            let line = format!("not {}: {}: {}", rejected.candidate, rejected.test, rejected.why);
            paragraph(&mut out, "", &line);
        }
    }
    out
}
