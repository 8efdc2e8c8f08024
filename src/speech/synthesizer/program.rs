//! The programs that speak: `flite` and `espeak-ng`, each run for one text and killed when it
//! takes too long. As programs of their own they can neither crash nor bloat this one, and
//! espeak-ng's licence (GPL-3) stays with it.

use crate::error::SpeechError;
use crate::sound::wav;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that one text may take; the programs need about a hundredth of the sound's length.
pub const RUN_MAX: Duration = Duration::from_secs(10);
/// How often a running program is looked after.
const LOOK: Duration = Duration::from_millis(4);

/// A voice of a program. Both programs speak a name that they do not have in a voice of their own
/// choice, so names are checked where they are configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Voice {
    /// Flite, English: `slt` (woman), `rms`, `awb` (men), `kal16`, `kal` (men, robotic).
    Flite {
        /// The voice's name.
        voice: String,
    },
    /// eSpeak NG, robotic, any language: `en-us`, `cmn`.
    Espeak {
        /// The voice's name.
        voice: String,
    },
}

impl Voice {
    /// The program's name.
    pub fn program(&self) -> &'static str {
        match self {
            Self::Flite { .. } => "flite",
            Self::Espeak { .. } => "espeak-ng",
        }
    }

    /// The voice's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Flite { voice } | Self::Espeak { voice } => voice,
        }
    }

    /// The Debian package that has the program.
    fn package(&self) -> &'static str {
        self.program()
    }

    /// The command that speaks `text` into the file `output`.
    fn command(&self, text: &str, output: &Path) -> Command {
        let mut command = Command::new(self.program());
        match self {
            Self::Flite { voice } => {
                command.args(["-voice", voice, "-t", text, "-o"]).arg(output);
            }
            Self::Espeak { voice } => {
                // 150 words a minute; `--` ends the options.
                command.args(["-v", voice, "-s", "150", "-w"]).arg(output).args(["--", text]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Speaks `text` (plain, no control characters): 8 kHz mono. `output` is a file that may be
    /// written and is removed.
    ///
    /// # Errors
    /// [`SpeechError::SynthesizerMissing`], [`SpeechError::SynthesizerFailed`].
    pub fn speak(&self, text: &str, output: &Path) -> Result<Vec<i16>, SpeechError> {
        let spoken = self.run(text, output);
        let samples = spoken.and_then(|()| {
            std::fs::read(output)
                .map_err(|error| error.to_string())
                .and_then(|bytes| wav::parse(Cursor::new(bytes)))
                .map_err(|reason| self.failed(reason))
        });
        // Absent when the program did not get that far.
        let _ = std::fs::remove_file(output);
        match samples {
            Ok(samples) if samples.is_empty() => Err(self.failed("it said nothing".to_owned())),
            other => other,
        }
    }

    fn run(&self, text: &str, output: &Path) -> Result<(), SpeechError> {
        let mut child = self.command(text, output).spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                SpeechError::SynthesizerMissing { program: self.program(), package: self.package() }
            }
            _ => self.failed(error.to_string()),
        })?;
        let deadline = Instant::now() + RUN_MAX;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(self.failed(format!("{status}: {}", complaint(&mut child))));
                }
                Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
                Ok(None) => {
                    stop(&mut child);
                    return Err(self.failed(format!("not done after {RUN_MAX:?}")));
                }
                Err(error) => {
                    stop(&mut child);
                    return Err(self.failed(error.to_string()));
                }
            }
        }
    }

    fn failed(&self, reason: String) -> SpeechError {
        SpeechError::SynthesizerFailed { program: self.program(), reason }
    }
}

/// The first line of what the program wrote to standard error.
fn complaint(child: &mut Child) -> String {
    let mut said = Vec::new();
    if let Some(errors) = child.stderr.take() {
        // A reading error leaves less to tell; the exit status is told anyway.
        let _ = errors.take(500).read_to_end(&mut said);
    }
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
}

fn stop(child: &mut Child) {
    // Both fail only when it is gone already.
    let _ = child.kill();
    let _ = child.wait();
}
