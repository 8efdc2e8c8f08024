//! baresip, driven through its `ctrl_tcp` module: it plays a file and records what it hears and what
//! it says.

use super::PATIENCE;
use super::installation::PASSWORD;
use super::ports;
use super::process::{Folder, Process, wait_for};
use super::sound;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A baresip at work.
#[derive(Debug)]
pub struct Baresip {
    /// Its folder.
    pub folder: Folder,
    control: TcpStream,
    unread: Vec<u8>,
    events: Vec<Value>,
    process: Process,
}

/// Whose telephone it is and what it does when rung.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// A caller with this number, without registration.
    Caller(&'a str),
    /// An agent who registers; rings and does not answer.
    Silent(&'a str),
    /// An agent who registers and answers at once.
    Answering(&'a str),
}

impl Baresip {
    /// Starts one that plays `source` in its calls; an agent's is registered when this returns.
    pub fn start(gateway: SocketAddr, role: Role<'_>, source: &Path) -> Self {
        let folder = Folder::new("baresip");
        let control = ports::free();
        let caller = matches!(role, Role::Caller(_));
        folder.write("config", &config(&folder, control, source, caller));
        folder.write("recorded/.keep", "");
        let account = match role {
            Role::Caller(number) => format!("<sip:{number}@{gateway}>;regint=0\n"),
            Role::Silent(name) => {
                format!("<sip:{name}@{gateway}>;auth_pass={PASSWORD};regint=120\n")
            }
            Role::Answering(name) => {
                format!("<sip:{name}@{gateway}>;auth_pass={PASSWORD};answermode=auto;regint=120\n")
            }
        };
        folder.write("accounts", &account);
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&folder.0).env("HOME", &folder.0);
        let mut process = Process::start("baresip", &folder.0, &mut command);
        let control = wait_for("the control port of baresip", || {
            assert!(process.exited().is_none(), "{}", process.said());
            TcpStream::connect(("127.0.0.1", control)).ok()
        });
        let mut started = Self { folder, control, unread: Vec::new(), events: Vec::new(), process };
        if !matches!(role, Role::Caller(_)) {
            // Not by its event, which may have come before we listened.
            let process = &mut started.process;
            process.wait_line(|line| line.contains("200 OK (Trunkline").then_some(()));
        }
        started
    }

    /// Rings a number of the gateway.
    pub fn dial(&mut self, gateway: SocketAddr, number: &str) {
        self.command("dial", &format!("sip:{number}@{gateway}"));
    }

    /// Plays another file from now on.
    pub fn play(&mut self, source: &Path) {
        self.command("ausrc", &format!("aufile,{}", source.display()));
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Holds the other side of its only call.
    pub fn hold(&mut self) {
        self.command("hold", "");
    }

    /// Takes it back.
    pub fn resume(&mut self) {
        self.command("resume", "");
    }

    /// Sends the other side on to somebody else, without asking him.
    pub fn transfer(&mut self, gateway: SocketAddr, to: &str) {
        self.command("transfer", &format!("sip:{to}@{gateway}"));
    }

    fn command(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters, "token": "test" }).to_string();
        let frame = format!("{}:{text},", text.len());
        self.control.write_all(frame.as_bytes()).expect("baresip takes orders");
    }

    /// Waits for its event of this type, such as `CALL_ESTABLISHED`.
    #[track_caller]
    pub fn wait(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.events.iter().position(|event| event["type"] == kind) {
                return self.events.drain(..=at).next_back().expect("it was just found");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {kind}: {:?}", self.events);
            self.read(left);
        }
    }

    /// Reads netstrings: length, colon, JSON, comma.
    fn read(&mut self, within: std::time::Duration) {
        self.control.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 4096];
        let Ok(length) = self.control.read(&mut buffer) else { return };
        assert!(length > 0, "baresip has gone: {}", self.process.said());
        self.unread.extend_from_slice(&buffer[..length]);
        while let Some(colon) = self.unread.iter().position(|byte| *byte == b':') {
            let length = std::str::from_utf8(&self.unread[..colon]).unwrap();
            let length: usize = length.parse().unwrap();
            let end = colon + 1 + length;
            if self.unread.len() <= end {
                return;
            }
            self.events.push(serde_json::from_slice(&self.unread[colon + 1..end]).unwrap());
            self.unread.drain(..=end);
        }
    }

    /// What it heard in its only call so far, as samples at 8 kHz.
    pub fn heard(&self) -> Vec<i16> {
        sound::read(&self.recording("dec"))
    }

    fn recording(&self, side: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.folder.at("recorded")).unwrap().flatten();
        let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
        found.retain(|path| path.to_string_lossy().ends_with(&format!("-{side}.wav")));
        found.sort();
        found.pop().unwrap_or_else(|| panic!("nothing was recorded: {}", self.process.said()))
    }
}

/// A caller names loopback in his description. An agent's telephone names whichever address of this
/// machine it likes, as one behind a NAT does, while its packets come from loopback.
fn config(folder: &Folder, control: u16, source: &Path, names_loopback: bool) -> String {
    let interface = if names_loopback { "net_interface 127.0.0.1\n" } else { "" };
    let (first, last) = ports::rtp_block();
    let port = loop {
        let port = ports::free();
        if port.abs_diff(control) > 1 {
            break port;
        }
    };
    format!(
        "poll_method epoll\n\
         {interface}\
         sip_listen 127.0.0.1:{port}\n\
         rtp_ports {first}-{last}\n\
         audio_source aufile,{source}\n\
         audio_player aufile,none\n\
         audio_alert aufile,none\n\
         module_path /usr/lib/baresip/modules\n\
         module g711.so\n\
         module aufile.so\n\
         module sndfile.so\n\
         snd_path {recorded}\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         module_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n",
        source = source.display(),
        recorded = folder.text("recorded"),
    )
}
