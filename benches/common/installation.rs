//! An installation of the gateway in a folder of its own, run as a child process: started, killed,
//! started again.

use super::Failure;
use super::api::Api;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// The program under test: the one built beside the bench, or another named by `TRUNKLINE_PROGRAM`.
fn program() -> OsString {
    let beside = || env!("CARGO_BIN_EXE_trunkline").into();
    std::env::var_os("TRUNKLINE_PROGRAM").unwrap_or_else(beside)
}

/// How long a start may take: recovery of the ledger and the listeners; no models are loaded.
const START_MAX: Duration = Duration::from_secs(20);

/// A folder with configuration, flows, prompts, secrets and data; removed when dropped.
pub struct Installation {
    /// Where SIP is listened for, the same after each start.
    pub sip: SocketAddr,
    /// The API.
    pub api: Api,
    /// Metrics.
    pub operations: SocketAddr,
    /// Prepares the gateway's process before it starts.
    pub prepare: fn(&mut Command),
    folder: PathBuf,
    child: Option<Child>,
}

impl Installation {
    /// Lays out a folder. `config` is the configuration without listeners and speech; `files` are
    /// names relative to the folder with their contents.
    pub fn lay_out(config: &str, files: &[(&str, &[u8])]) -> Result<Self, Failure> {
        let name = format!("trunkline-bench-{}-{}", std::process::id(), free_port()?.port());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("models"))?;
        let (sip, api, operations) = (free_port()?, free_port()?, free_port()?);
        let head = format!(
            r#"
            [sip]
            listen = "{sip}"
            # Each call leaves two for 32 s (RFC 3261 timer J, RFC 6026 timer L).
            transactions_max = 2000000
            [defaults.trunk]
            probe_s = 0
            [http]
            api = "{api}"
            operations = "{operations}"
            requests_per_second = 100000
            [speech]
            models = "models"
            open = false
            "#
        );
        fs::write(folder.join("gateway.toml"), format!("{head}{config}"))?;
        for (name, contents) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(path, contents)?;
        }
        let mut installation =
            Self { sip, api: Api::at(api), operations, prepare: |_| (), folder, child: None };
        let key = installation.command(&["key", "create", "--name", "bench"], "")?;
        installation.api.set_key(key.trim());
        Ok(installation)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Sets a secret.
    pub fn set_secret(&self, name: &str, secret: &str) -> Result<(), Failure> {
        self.command(&["secret", "set", name], secret).map(|_| ())
    }

    /// Runs a command of the program on this installation and gives what it printed.
    fn command(&self, words: &[&str], input: &str) -> Result<String, Failure> {
        let mut child = Command::new(program())
            .args(words)
            .arg("--config")
            .arg(self.path("gateway.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)?),
            false => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(format!("trunkline {}: {why}", words.join(" ")).into())
            }
        }
    }

    /// Starts the gateway and waits until it listens; gives how long that took.
    pub fn start(&mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let mut command = Command::new(program());
        (self.prepare)(&mut command);
        let mut child = command
            .arg("serve")
            .arg("--config")
            .arg(self.path("gateway.toml"))
            .env("TRUNKLINE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log(&self.path("gateway.log"))?)
            .spawn()?;
        let (listens, heard) = channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                // Its first line says that it listens; the end of the file, that it does not.
                let _ = BufReader::new(stdout).read_line(&mut line);
            }
            let _ = listens.send(line);
        });
        self.child = Some(child);
        let line = heard.recv_timeout(START_MAX).unwrap_or_default();
        match line.starts_with("trunkline: SIP") {
            true => Ok(begun.elapsed()),
            false => Err(format!("the gateway did not start:\n{}", self.log_end()).into()),
        }
    }

    /// Kills it with signal 9 and waits until it is gone.
    pub fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The number of the process; 0 when it does not run.
    pub fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The last lines of the gateway's log.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.path("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // Nothing of a bench stays behind, however it ended.
        let _ = self.kill();
        if std::env::var_os("TRUNKLINE_BENCH_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn log(path: &Path) -> Result<File, Failure> {
    Ok(OpenOptions::new().create(true).append(true).open(path)?)
}

/// A loopback port that nobody has, for UDP and TCP.
pub fn free_port() -> Result<SocketAddr, Failure> {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let address = udp.local_addr()?;
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("there is no free port".into())
}
