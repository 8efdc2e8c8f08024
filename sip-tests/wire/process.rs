//! Child processes that do not outlive their test, with what they wrote.

use super::PATIENCE;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A folder that goes with its owner.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Makes an empty folder.
    pub fn new(name: &str) -> Self {
        let number = super::ports::unique();
        let path = std::env::temp_dir()
            .join(format!("trunkline-wire-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    /// The path of something in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text, for configurations.
    pub fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A failed test leaves its folder behind for whoever looks into it.
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A program at work; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `command` with its output in files of `folder`.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        Self::start_with(name, folder, command.stdin(Stdio::null()))
    }

    /// The same for one that is spoken to; what it is told goes into what this gives.
    pub fn start_told(name: &str, folder: &Path, command: &mut Command) -> (Self, ChildStdin) {
        let mut process = Self::start_with(name, folder, command.stdin(Stdio::piped()));
        let input = process.child.stdin.take().expect("it was piped");
        (process, input)
    }

    fn start_with(name: &str, folder: &Path, command: &mut Command) -> Self {
        let number = super::ports::unique();
        let out = folder.join(format!("{name}-{number}.out"));
        let err = folder.join(format!("{name}-{number}.err"));
        let child = command
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { child, name: name.to_owned(), out, err }
    }

    /// What it wrote to its output.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it wrote to its error output.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Both, for a test that fails.
    pub fn said(&self) -> String {
        format!("{} said:\n{}\n{}", self.name, self.output(), self.errors())
    }

    /// Waits until its output has a line that `wanted` makes something of.
    pub fn wait_line<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.output().lines().find_map(&wanted) {
                return found;
            }
            assert!(self.exited().is_none(), "it ended too early; {}", self.said());
            assert!(Instant::now() < deadline, "no such line; {}", self.said());
            pause();
        }
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end; {}", self.said());
            pause();
        }
    }

    /// Waits for an end without fault.
    pub fn wait_success(&mut self) {
        let status = self.wait_exit();
        assert!(status.success(), "{status}; {}", self.said());
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not on every machine.
        let done =
            Command::new("sh").arg("-c").arg(format!("kill -s {name} {}", self.id())).status();
        assert!(done.is_ok_and(|status| status.success()), "{name} could not be sent");
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.said());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two looks at what has no bell to ring.
pub fn pause() {
    thread::sleep(Duration::from_millis(20));
}

/// Waits until `look` finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        pause();
    }
}
