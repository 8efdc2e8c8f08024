//! An installation of the gateway in a folder of its own, and the gateway at work in it.

use super::events::Events;
use super::http::{self, Reply};
use super::ports;
use super::process::{Folder, Process};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_trunkline");

/// The password of the agents' telephones.
pub const PASSWORD: &str = "correct-horse-battery";

/// A queue and nothing else, then an offer to call back: number 4100.
const DIRECT: &str = r#"
version = 1
languages = ["en"]
start = "to_support"
[nodes.to_support]
kind = "queue"
queue = "support"
refused = { otherwise = "offer" }
[nodes.offer]
kind = "callback"
queue = "support"
offer = "Shall we call you back? Press 1."
ask_number = "Which number?"
confirm_number = "{callback_number:digits}? Press 1."
promised = "We will call you back."
declined = "bye"
refused = "bye"
give_up = "bye"
next = "bye"
[nodes.bye]
kind = "hangup"
say = "Goodbye."
"#;

/// What an installation is made with.
#[derive(Debug)]
pub struct Plan {
    /// Laid over the configuration below.
    pub more: String,
    /// Where the far side of the trunk is.
    pub carrier: u16,
    /// The order service.
    pub service: Option<SocketAddr>,
    /// Whether the recognisers are loaded.
    pub speech: bool,
    /// The port of SIP; 0: any.
    pub sip: u16,
}

impl Default for Plan {
    fn default() -> Self {
        Self { more: String::new(), carrier: 9, service: None, speech: false, sip: 0 }
    }
}

/// A folder with configuration, flows, intents, a key and the agents' secrets.
#[derive(Debug)]
pub struct Installation {
    /// The folder.
    pub folder: Folder,
    /// The configuration file.
    pub config: PathBuf,
    /// A key of the API.
    pub key: String,
}

impl Installation {
    /// Makes one, with the commands that its owner would use.
    pub fn new(plan: &Plan) -> Self {
        let folder = Folder::new("installation");
        for kind in ["flows", "intents"] {
            copy(&root().join("config").join(kind), &folder.at(kind));
        }
        folder.write("flows/direct.toml", DIRECT);
        let config = folder.write("gateway.toml", &configuration(plan));
        let mut made = Self { folder, config, key: String::new() };
        for agent in ["agent/anna", "agent/ben"] {
            let set = made.run_with(&["secret", "set", agent], &format!("{PASSWORD}\n"));
            assert!(set.status.success(), "{set:?}");
        }
        let key = made.run(&["key", "create", "--name", "tests"]);
        assert!(key.status.success(), "{key:?}");
        made.key = text(&key.stdout).trim().to_owned();
        made
    }

    /// Runs a command of the program on this installation.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// The same with something on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .current_dir(&self.folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let mut stdin = child.stdin.take().expect("it was piped");
        // It may not read.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    /// Starts the gateway and waits until it says where it listens.
    pub fn start(&self) -> Gateway {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--config"]).arg(&self.config).current_dir(&self.folder.0);
        let mut process = Process::start("trunkline", &self.folder.0, &mut command);
        let line =
            process.wait_line(|line| line.starts_with("trunkline: SIP ").then(|| line.to_owned()));
        let address = |before: &str| -> SocketAddr {
            let rest = line.split_once(before).expect("the line names it").1;
            let end = rest.find([' ', '/', ',']).unwrap_or(rest.len());
            rest[..end].parse().expect("an address")
        };
        Gateway {
            sip: address("SIP "),
            api: address("API http://"),
            operations: address("metrics http://"),
            key: self.key.clone(),
            process,
        }
    }

    /// The ladder of a call, once it holds all of `wanted`. Its writer is a thread of its own, a
    /// moment behind.
    pub fn trace(&self, call: u64, wanted: &[&str]) -> String {
        super::process::wait_for(&format!("{wanted:?} in the trace"), || {
            let output = self.run(&["trace", &call.to_string()]);
            let ladder = text(&output.stdout);
            wanted.iter().all(|words| ladder.contains(words)).then_some(ladder)
        })
    }

    /// The secret that webhooks are signed with.
    pub fn webhook_secret(&self) -> String {
        let shown = self.run(&["webhook", "secret"]);
        assert!(shown.status.success(), "{shown:?}");
        text(&shown.stdout).trim().to_owned()
    }
}

/// A gateway at work.
#[derive(Debug)]
pub struct Gateway {
    /// Where SIP is listened for.
    pub sip: SocketAddr,
    /// The API.
    pub api: SocketAddr,
    /// Metrics and health.
    pub operations: SocketAddr,
    /// The process.
    pub process: Process,
    key: String,
}

impl Gateway {
    /// Opens the stream of events.
    pub fn events(&self) -> Events {
        Events::open(self.api, &self.key)
    }

    /// Asks the API.
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &Value::Null)
    }

    /// Sends something to the API, with a fresh Idempotency-Key.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("{}Content-Type: application/json\r\n", self.head());
        http::request(self.api, method, path, &head, body.as_bytes()).expect("the API replies")
    }

    /// Key and Idempotency-Key as header lines.
    pub fn head(&self) -> String {
        let unique = format!("wire-{}-{:08}", std::process::id(), ports::unique());
        format!("Authorization: Bearer {}\r\nIdempotency-Key: {unique}\r\n", self.key)
    }

    /// An agent says something.
    pub fn agent_says(&self, agent: &str, state: &str) {
        let body = match state {
            "pause" => json!({ "state": state, "reason": "lunch" }),
            _ => json!({ "state": state }),
        };
        self.request("PUT", &format!("/v1/agents/{agent}/state"), &body).expect(204);
    }

    /// The records of a call's legs, once all `count` of them are there.
    pub fn legs(&self, call: u64, count: usize) -> Vec<Value> {
        super::process::wait_for("the records of all legs", || {
            let reply = self.get(&format!("/v1/calls/{call}"));
            let legs = reply.json["legs"].as_array()?.clone();
            (reply.json["live"].is_null() && legs.len() == count).then_some(legs)
        })
    }
}

/// A configuration as an owner would write it: only what differs from the default.
fn configuration(plan: &Plan) -> String {
    let (first, last) = ports::rtp_block();
    let service = plan.service.map_or_else(|| "127.0.0.1:9".to_owned(), |at| at.to_string());
    let models = match plan.speech {
        true => String::new(),
        false => "[speech]\nmodels = \"none\"\n".to_owned(),
    };
    format!(
        r#"
[node]
data = "data"
[sip]
listen = "127.0.0.1:{sip}"
connections_per_source_max = 1000
[defaults.trunk]
# A called party that counts what it gets counts a probe as a call.
probe_s = 0
[media]
port_first = {first}
port_last = {last}
[http]
api = "127.0.0.1:0"
operations = "127.0.0.1:0"
[webhooks]
allow_private = true
{models}
[trunks.carrier]
address = "127.0.0.1:{carrier}"
allow = ["127.0.0.0/8"]
caller_id = "+4930555000"
[[numbers]]
dialled = "4000"
flow = "hotline"
[[numbers]]
dialled = "4100"
flow = "direct"
[queues.support]
agents = ["anna", "ben"]
wrap_up_s = 0
ring_s = 5
callback_trunk = "carrier"
callback_caller_id = "+4930555000"
[queues.sales]
agents = ["ben"]
[agents.anna]
[agents.ben]
[variables]
service = "http://{service}"
{more}
"#,
        sip = plan.sip,
        carrier = plan.carrier,
        more = plan.more,
    )
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Bytes of a program's output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
