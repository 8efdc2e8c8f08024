//! Callers who answer questions without end: their words are spoken by the synthesiser, travel as
//! RTP to legs of the same media worker, are cut into utterances there and heard by the real
//! recognisers.

use super::processor::become_urgent;
use super::stand::{PACKET_LENGTH, TICK, connect};
use domain::id::{LegId, OrderId};
use domain::media_plan::Codec;
use domain::prompt::{Expect, Hearing, Language, Prompt};
use gateway::engines::Engines;
use gateway::media_worker::MediaWorkers;
use hdrhistogram::Histogram;
use media::clip::Clip;
use media::event::{ListenRule, MediaCommand, MediaEvent};
use parking_lot::Mutex;
use serde_json::json;
use speech::recognizer::{NotHeardReason, Recognizer, RecognizerEvent, SpeechConfig};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The callers' legs begin here; the prompts' are below.
const FIRST_LEG: u64 = 1_000_000;
/// Silence after each utterance; 700 ms of it end the utterance.
const PAUSE: Duration = Duration::from_millis(1_000);

/// Sentences that no list has: the closed engine is asked first, then the open one.
const OPEN: [&str; 6] = [
    "my parcel has not arrived yet and i am getting worried",
    "please change the delivery address of my order",
    "what are your opening hours on sunday",
    "the washing machine you sold me is leaking water",
    "i would like to book an appointment for next tuesday morning",
    "could you send me a copy of the invoice",
];
const LISTED: [&str; 4] = [
    "when will my refund be paid",
    "can i speak to a real person please",
    "i want to cancel my subscription",
    "i forgot my password and cannot log in",
];
const CLOSED: [(&str, Expect); 4] = [
    ("yes please", Expect::YesNo),
    ("four seven one one", Expect::Digits),
    ("no thank you", Expect::YesNo),
    ("nine zero two one five", Expect::Digits),
];

/// What came of the utterances.
#[derive(Default)]
pub struct Results {
    delays_ms: BTreeMap<&'static str, Histogram<u64>>,
    not_heard: BTreeMap<&'static str, u64>,
}

impl Results {
    /// Takes a result, on an engine's thread.
    fn take(&mut self, event: &RecognizerEvent) {
        match event {
            RecognizerEvent::Heard { transcript, delay, .. } => {
                let empty =
                    || Histogram::new_with_bounds(1, 600_000, 3).expect("the bounds are valid");
                let delays = self.delays_ms.entry(transcript.engine).or_insert_with(empty);
                delays.saturating_record(delay.as_millis() as u64);
            }
            RecognizerEvent::NotHeard { reason, .. } => {
                *self.not_heard.entry(word(*reason)).or_default() += 1;
            }
        }
    }

    /// How many were recognised.
    pub fn heard(&self) -> u64 {
        self.delays_ms.values().map(Histogram::len).sum()
    }

    pub fn json(&self) -> serde_json::Value {
        let delays = self.delays_ms.iter().map(|(engine, delays)| {
            let figures = json!({
                "heard": delays.len(),
                "delay_p50_ms": delays.value_at_quantile(0.5),
                "delay_p99_ms": delays.value_at_quantile(0.99),
                "delay_max_ms": delays.max(),
            });
            ((*engine).to_owned(), figures)
        });
        let engines: serde_json::Map<_, _> = delays.collect();
        json!({ "heard": self.heard(), "engines": engines, "not_heard": self.not_heard })
    }
}

fn word(reason: NotHeardReason) -> &'static str {
    match reason {
        NotHeardReason::Overloaded => "overloaded",
        NotHeardReason::NoEngine => "no_engine",
        NotHeardReason::EngineFailed => "engine_failed",
        NotHeardReason::NotListening => "not_listening",
        NotHeardReason::Dropped => "dropped",
        NotHeardReason::Stopping => "stopping",
    }
}

/// The real engines, loaded; `open_threads` as in the gateway's own configuration or more.
///
/// # Errors
/// What is missing: a model, a program that speaks.
pub fn engines(open_threads: usize, results: &Arc<Mutex<Results>>) -> Result<Engines, String> {
    let models = gateway::engines::models();
    let config = SpeechConfig { models, open: true, grammar_threads: 1, open_threads };
    let results = results.clone();
    let on_result = move |event: RecognizerEvent| results.lock().take(&event);
    let recognizer = Recognizer::start(config, Box::new(on_result));
    while recognizer.status().is_loading() {
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Some(missing) = recognizer.status().keys_only().first() {
        return Err(missing.clone());
    }
    let synthesizer = gateway::engines::synthesizer("slt").map_err(|fault| fault.to_string())?;
    Ok(Engines { recognizer: Arc::new(recognizer), synthesizer: Arc::new(synthesizer) })
}

/// The callers. Dropping it silences them.
pub struct Callers {
    legs: Vec<(LegId, Hearing)>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Callers {
    /// Opens a leg for each of `count` callers, who begin to speak; nobody listens yet.
    ///
    /// # Errors
    /// What keeps the synthesiser from speaking.
    pub fn start(
        count: u64,
        media: &MediaWorkers,
        events: &Receiver<MediaEvent>,
        engines: &Engines,
    ) -> Result<Self, String> {
        let mouth = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let remote = mouth.local_addr().expect("the socket is bound");
        let phrases: Arc<[Arc<str>]> = LISTED.into_iter().map(Arc::from).collect();
        let (mut legs, mut speakers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let leg = LegId(FIRST_LEG + number);
            let (texts, expect) = part(number, &phrases);
            let script = script(engines, &texts)?;
            let at = script.len() / 160 * number as usize / count as usize * 160;
            speakers.push(Speaker { to: connect(media, events, leg, remote), script, at });
            legs.push((leg, Hearing { language: Language::English, expect }));
        }
        let done = Arc::new(AtomicBool::new(false));
        let stop = done.clone();
        let thread = std::thread::spawn(move || speak(&mouth, speakers, &stop));
        Ok(Self { legs, done, thread: Some(thread) })
    }

    /// From now on what they say is recognised.
    pub fn listen(&self, media: &MediaWorkers, engines: &Engines) {
        for (leg, hearing) in &self.legs {
            let (leg, order) = (*leg, OrderId(leg.0));
            engines.recognizer.listen(leg, order, hearing.clone());
            let rule = ListenRule {
                speech: true,
                speech_stops_playback: true,
                key_stops_playback: true,
                end_silence_ms: 700,
                utterance_max_ms: 8_000,
            };
            media.send(MediaCommand::Listen { leg, order, rule });
        }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the callers' thread does not fail");
        }
    }
}

/// What a caller says, and what is expected of him: two of three answer open questions.
fn part(number: u64, phrases: &Arc<[Arc<str>]>) -> (Vec<&'static str>, Expect) {
    let number = number as usize;
    if number % 3 == 2 {
        let (text, expect) = CLOSED[number / 3 % CLOSED.len()].clone();
        return (vec![text], expect);
    }
    let mut texts = vec![LISTED[number % LISTED.len()]];
    texts.extend(OPEN);
    let turn = number % texts.len();
    texts.rotate_left(turn);
    (texts, Expect::Open { phrases: phrases.clone() })
}

/// The texts as PCMU, with a pause after each.
fn script(engines: &Engines, texts: &[&str]) -> Result<Vec<u8>, String> {
    let mut script = Vec::new();
    for text in texts {
        let prompt = Prompt::text(Language::English, text);
        let samples = engines.synthesizer.synthesize(&prompt).map_err(|fault| fault.to_string())?;
        let clip = Clip::encode(&samples, 8_000).map_err(|fault| fault.to_string())?;
        script.extend_from_slice(clip.bytes(Codec::Pcmu));
        let pause = PAUSE.as_millis() as usize * 8;
        script.resize((script.len() + pause).next_multiple_of(160), 0xff);
    }
    Ok(script)
}

struct Speaker {
    to: SocketAddr,
    script: Vec<u8>,
    at: usize,
}

fn speak(mouth: &UdpSocket, mut speakers: Vec<Speaker>, stop: &AtomicBool) {
    become_urgent();
    let mut packet = [0; PACKET_LENGTH];
    packet[0] = 0x80;
    let start = Instant::now();
    for tick in 1_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep((start + TICK * tick).saturating_duration_since(Instant::now()));
        packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(tick * 160).to_be_bytes());
        for (number, speaker) in speakers.iter_mut().enumerate() {
            packet[8..12].copy_from_slice(&(number as u32 + 1).to_be_bytes());
            packet[12..].copy_from_slice(&speaker.script[speaker.at..speaker.at + 160]);
            speaker.at = (speaker.at + 160) % speaker.script.len();
            let _ = mouth.send_to(&packet, speaker.to);
        }
    }
}
