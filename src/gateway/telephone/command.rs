//! `trunkline call sip:…`: rings, says, presses, records, and prints what happens as it happens.

use super::{Happening, Order, Telephone, WhenRung};
use crate::cli::{failed, runtime};
use domain::prompt::{Language, Prompt};
use media::clip::Clip;
use sip::message::uri::Uri;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Ring a SIP address with a test telephone.
#[derive(Debug, clap::Args)]
pub struct Call {
    /// Whom to ring, such as sip:4000@127.0.0.1:5060.
    uri: String,
    /// The number shown; empty hides it.
    #[arg(long, default_value = "+4930123456")]
    from: String,
    /// The address of this telephone.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak a text, SECONDS after the connection: --say 3:"where is my order". Repeatable.
    #[arg(long, value_parser = at)]
    say: Vec<(f64, String)>,
    /// Play a WAV file: --play 3:question.wav. Repeatable.
    #[arg(long, value_parser = at)]
    play: Vec<(f64, String)>,
    /// Press keys: --keys 5.5:4711#. `w` waits half a second. Repeatable.
    #[arg(long, value_parser = at)]
    keys: Vec<(f64, String)>,
    /// The language of what is spoken: en or zh.
    #[arg(long, default_value = "en")]
    language: String,
    /// Record both sides: left what is heard, right what is said.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Hang up so many seconds after the connection.
    #[arg(long, default_value_t = 60.0)]
    hang_up: f64,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// Print the SIP messages, too.
    #[arg(long)]
    messages: bool,
}

fn at(text: &str) -> Result<(f64, String), String> {
    let (seconds, what) =
        text.split_once(':').ok_or("write SECONDS:WHAT, such as 3:hello or 0.5:1")?;
    let seconds: f64 =
        seconds.parse().map_err(|_| format!("`{seconds}` is no number of seconds"))?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("the seconds are from 0 to 86400".into());
    }
    Ok((seconds, what.to_owned()))
}

/// Something to do at a moment of the call.
struct Deed {
    at: Duration,
    order: Order,
    words: String,
}

/// Runs the command: 0 when the call was answered.
pub fn run(call: Call) -> ExitCode {
    let (address, user) = match target(&call.uri) {
        Ok(target) => target,
        Err(why) => return failed(&format!("{} cannot be rung", call.uri), &why),
    };
    let deeds = match deeds(&call) {
        Ok(deeds) => deeds,
        Err(why) => return failed("nothing was dialled", &why),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed("no runtime", &error),
    };
    runtime.block_on(async {
        let phone = Telephone::start(call.listen, None, WhenRung::Refuse(486), (40_000, 49_999));
        match phone.await {
            Ok((phone, happenings)) => {
                let from = call.from.as_str().into();
                phone.order(Order::Dial { address, user, from });
                if let Some(path) = &call.record {
                    phone.order(Order::Record(path.display().to_string().into()));
                }
                follow(&call, &phone, happenings, deeds).await
            }
            Err(error) => failed("no telephone", &error),
        }
    })
}

fn target(uri: &str) -> Result<(SocketAddr, Arc<str>), String> {
    let parsed = Uri::parse(uri).map_err(|error| error.to_string())?;
    let user = parsed.user().ok_or("it has no user part: write sip:NUMBER@HOST:PORT")?;
    let host = match parsed.host_ip() {
        Some(address) => address,
        None if parsed.host() == "localhost" => Ipv4Addr::LOCALHOST.into(),
        None => return Err(format!("`{}` is no IP address", parsed.host())),
    };
    Ok((SocketAddr::new(host, parsed.port().unwrap_or(5060)), user.into()))
}

fn deeds(call: &Call) -> Result<Vec<Deed>, String> {
    let language = Language::from_code(&call.language)
        .ok_or_else(|| format!("`{}` is no language: write en or zh", call.language))?;
    let mut deeds = Vec::new();
    let synthesizer = crate::engines::synthesizer("rms").map_err(|error| error.to_string())?;
    for (seconds, text) in &call.say {
        let samples = synthesizer
            .synthesize(&Prompt::text(language, text))
            .map_err(|error| format!("“{text}” cannot be spoken: {error}"))?;
        let clip = Clip::encode(&samples, 8_000).map_err(|error| error.to_string())?;
        deeds.push(deed(*seconds, Order::Play(Arc::new(clip)), format!("saying “{text}”")));
    }
    for (seconds, file) in &call.play {
        let clip = read_wav(file).map_err(|error| format!("{file} cannot be played: {error}"))?;
        deeds.push(deed(*seconds, Order::Play(Arc::new(clip)), format!("playing {file}")));
    }
    for (seconds, keys) in &call.keys {
        let order = Order::Keys(keys.as_str().into());
        deeds.push(deed(*seconds, order, format!("pressing {keys}")));
    }
    deeds.push(deed(call.hang_up, Order::HangUp, "hanging up".into()));
    deeds.sort_by_key(|deed| deed.at);
    Ok(deeds)
}

fn deed(seconds: f64, order: Order, words: String) -> Deed {
    Deed { at: Duration::from_secs_f64(seconds), order, words }
}

/// Reads a mono or stereo WAV of 16 bits; of stereo the first channel.
///
/// # Errors
/// What is wrong with the file.
pub fn read_wav(file: &str) -> Result<Clip, String> {
    let mut reader = hound::WavReader::open(file).map_err(|error| error.to_string())?;
    let spec = reader.spec();
    if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
        return Err("it has no 16-bit samples; convert it with `sox IN -b 16 OUT`".into());
    }
    let samples: Result<Vec<i16>, _> =
        reader.samples::<i16>().step_by(usize::from(spec.channels.max(1))).collect();
    let samples = samples.map_err(|error| error.to_string())?;
    Clip::encode(&samples, spec.sample_rate).map_err(|error| error.to_string())
}

async fn follow(
    call: &Call,
    phone: &Telephone,
    mut happenings: mpsc::UnboundedReceiver<Happening>,
    deeds: Vec<Deed>,
) -> ExitCode {
    let start = Instant::now();
    let mut connected: Option<Instant> = None;
    let mut deeds = deeds.into_iter().peekable();
    let mut answered = false;
    loop {
        let next = connected.and_then(|since| deeds.peek().map(|deed| since + deed.at));
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            happening = happenings.recv() => {
                let Some(happening) = happening else { return ExitCode::FAILURE };
                tell(call, start, &happening);
                match happening {
                    Happening::Connected => {
                        connected = Some(Instant::now());
                        answered = true;
                    }
                    Happening::Ended(_) => {
                        connected = None;
                        phone.order(Order::Leave);
                    }
                    Happening::Left if answered => return ExitCode::SUCCESS,
                    Happening::Left => return ExitCode::FAILURE,
                    _ => (),
                }
            }
            () = due => {
                if let Some(deed) = deeds.next() {
                    line(call, start, "doing", &deed.words);
                    phone.order(deed.order);
                }
            }
        }
    }
}

fn tell(call: &Call, start: Instant, happening: &Happening) {
    let (kind, words) = match happening {
        Happening::Message(..) if !call.messages => return,
        Happening::Message(sent, message) => {
            let way = if *sent { "sent" } else { "received" };
            (way, String::from_utf8_lossy(message).replace('\r', ""))
        }
        Happening::Registered => ("registered", String::new()),
        Happening::NotRegistered(status) => ("not registered", status.to_string()),
        Happening::Rung(from) => ("rung", format!("by {from}")),
        Happening::Ringing(status) => ("ringing", format!("SIP {status}")),
        Happening::Connected => ("connected", String::new()),
        Happening::Key(key) => ("heard a key", key.to_string()),
        Happening::Speaking => ("hears speech", String::new()),
        Happening::Silent => ("hears silence", String::new()),
        Happening::Played => ("played", String::new()),
        Happening::Ended(cause) => ("ended", cause.to_string()),
        Happening::Left => return,
    };
    line(call, start, kind, &words);
}

fn line(call: &Call, start: Instant, kind: &str, words: &str) {
    let seconds = start.elapsed().as_secs_f64();
    let line = match call.json {
        true => serde_json::json!({ "at_s": seconds, "what": kind, "detail": words }).to_string(),
        false => format!("{seconds:8.3}  {kind} {words}").trim_end().to_owned(),
    };
    // Whoever read us may have gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}
