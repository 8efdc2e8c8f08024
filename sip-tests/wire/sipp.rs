//! SIPp: its scenarios stand in `sip-tests/scenarios`.

use super::installation::root;
use super::ports;
use super::process::{Folder, Process};
use std::net::SocketAddr;
use std::process::Command;

/// What a SIPp is to do.
#[derive(Clone, Debug)]
pub struct Scenario<'a> {
    /// The file's name without `.xml`.
    pub name: &'a str,
    /// Whom it calls; `None`: it is called.
    pub calls: Option<(SocketAddr, &'a str)>,
    /// `u1` for UDP, `t1` for TCP.
    pub transport: &'a str,
    /// Its address.
    pub ip: &'a str,
    /// Where its sound is; empty: there too.
    pub sound: &'a str,
    /// Its port; 0: any free one.
    pub port: u16,
    /// How many calls; then it ends.
    pub count: usize,
    /// Milliseconds of its pauses.
    pub pause_ms: u32,
    /// Whether it sends back the sound it hears.
    pub echo: bool,
    /// SIP's Call-ID of its only call; empty: one of its own.
    pub call_id: &'a str,
    /// What stands for `[status]` in the scenario, which SIPp reads before it knows any key.
    pub status: &'a str,
    /// `[name]` in the scenario → value.
    pub keys: &'a [(&'a str, &'a str)],
}

impl Default for Scenario<'_> {
    fn default() -> Self {
        Self {
            name: "",
            calls: None,
            transport: "u1",
            ip: "127.0.0.1",
            sound: "",
            port: 0,
            count: 1,
            pause_ms: 4_000,
            echo: false,
            call_id: "",
            status: "",
            keys: &[],
        }
    }
}

/// Starts a SIPp; its end without fault means that the scenario was kept to.
pub fn start(folder: &Folder, scenario: &Scenario<'_>) -> Process {
    let file = root().join("sip-tests/scenarios").join(format!("{}.xml", scenario.name));
    let file = match scenario.status {
        "" => file,
        status => {
            let text = std::fs::read_to_string(file).expect("the scenario is there");
            let name = format!("{}-{status}.xml", scenario.name);
            folder.write(&name, &text.replace("[status]", status))
        }
    };
    let port = if scenario.port == 0 { ports::free() } else { scenario.port };
    let media = ports::media();
    let mut command = Command::new("sipp");
    command.arg("-sf").arg(file);
    command.args(["-i", scenario.ip, "-bind_local", "-nostdin", "-trace_err"]);
    command.args(["-p", &port.to_string(), "-mp", &media.to_string()]);
    command.args(["-m", &scenario.count.to_string(), "-t", scenario.transport]);
    command.args(["-d", &scenario.pause_ms.to_string()]);
    command.args(["-cp", &ports::free().to_string(), "-timeout", "120s", "-timeout_error"]);
    if !scenario.sound.is_empty() {
        command.args(["-mi", scenario.sound]);
    }
    if scenario.echo {
        command.arg("-rtp_echo");
    }
    if !scenario.call_id.is_empty() {
        command.args(["-cid_str", scenario.call_id]);
    }
    for (name, value) in scenario.keys {
        command.args(["-key", name, value]);
    }
    if let Some((address, number)) = scenario.calls {
        command.args(["-s", number, &address.to_string()]);
    }
    command.current_dir(&folder.0).env("TERM", "dumb");
    Process::start(&format!("sipp-{}", scenario.name), &folder.0, &mut command)
}
