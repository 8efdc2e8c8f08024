//! SIPp as the people called: answers every INVITE and sends back the sound it gets.

use crate::common::Failure;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCENARIO: &str = include_str!("answer.xml");
/// Its own port of sound, beside the gateway's.
const SOUND_PORT: u16 = 18_000;

/// SIPp at work.
pub struct Sipp {
    child: Child,
    folder: PathBuf,
}

/// What SIPp counted.
#[derive(Debug, Default)]
pub struct Count {
    /// Calls that came to their end as they should.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Its messages sent again.
    pub retransmissions: u64,
}

impl Sipp {
    /// Starts it at `address`, with its files in `folder`.
    pub fn start(address: SocketAddr, folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("answer.xml"), SCENARIO)?;
        let child = Command::new("sipp")
            .current_dir(folder)
            .args(["-sf", "answer.xml", "-rtp_echo", "-nostdin", "-trace_stat", "-fd", "1"])
            .args(["-stf", "count.csv", "-trace_err", "-error_file", "errors.log"])
            .args(["-buff_size", "8388608", "-rtp_buffsize", "8388608"])
            .args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-mp", &SOUND_PORT.to_string()])
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("screen.txt"))?)
            .stderr(File::create(folder.join("stderr.txt"))?)
            .spawn()
            .map_err(|error| format!("sipp cannot be run ({error}); `apt install sip-tester`"))?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(Self { child, folder: folder.to_path_buf() })
    }

    /// Ends it and gives its count.
    pub fn finish(mut self) -> Count {
        // SAFETY: no pointers; the child has not been waited for, so its number is still its own.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGUSR1) };
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let table = fs::read_to_string(self.folder.join("count.csv")).unwrap_or_default();
        let mut lines = table.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
        let values: Vec<&str> = lines.next_back().unwrap_or_default().split(';').collect();
        let value = |name: &str| {
            let place = names.iter().position(|other| *other == name);
            place.and_then(|place| values.get(place)?.parse().ok()).unwrap_or(0)
        };
        Count {
            successful: value("SuccessfulCall(C)"),
            failed: value("FailedCall(C)"),
            retransmissions: value("Retransmissions(C)"),
        }
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
