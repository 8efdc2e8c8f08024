//! Stands for the media workers: ports, playing, listening, joining, with the person at the other
//! end answering what he hears. Each `Play` ends with exactly one `PlaybackEnded`.

use crate::person::Reply;
use domain::id::{LegId, OrderId};
use domain::prompt::{Hearing, Prompt, Transcript};
use media::event::{ListenRule, MediaCommand, MediaEvent, QualityReport};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard::event::Event;

/// How the sound may fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SoundRules {
    /// Of a hundred ports asked for, how many are not there.
    pub(crate) ports_missing: u32,
    /// Of a hundred utterances, how many the recogniser does not answer at all, and for how many it
    /// says that it has nothing.
    pub(crate) lost: u32,
    /// See `lost`.
    pub(crate) not_heard: u32,
}

/// All legs' sound.
pub(crate) struct Sound {
    rules: SoundRules,
    luck: StdRng,
    legs: BTreeMap<LegId, Channel>,
    due: BTreeMap<(Instant, u64), Due>,
    serial: u64,
    next_port: u16,
}

#[derive(Debug, Default)]
struct Channel {
    playing: Option<OrderId>,
    ends_at: Option<Instant>,
    listening: Option<(OrderId, ListenRule)>,
    partner: Option<LegId>,
}

#[derive(Debug)]
enum Due {
    Up(Event),
    PlaybackOver(LegId, OrderId),
    Key(LegId, char),
    SpeechStart(LegId, OrderId),
    SpeechEnd(LegId, OrderId, Arc<str>),
}

/// How long a word to or from a media thread takes.
const WORKER: Duration = Duration::from_millis(1);

impl Sound {
    pub(crate) fn new(rules: SoundRules, seed: u64) -> Self {
        Self {
            rules,
            luck: StdRng::seed_from_u64(seed),
            legs: BTreeMap::new(),
            due: BTreeMap::new(),
            serial: 0,
            next_port: 20_000,
        }
    }

    /// How many ports are bound.
    pub(crate) fn open(&self) -> usize {
        self.legs.len()
    }

    pub(crate) fn command(&mut self, command: &MediaCommand, now: Instant) {
        match command {
            MediaCommand::Open { leg, .. } => self.bind(*leg, now),
            MediaCommand::StopPlayback { leg } => self.stop_playing(*leg, now),
            MediaCommand::StopListening { leg } => {
                if let Some(channel) = self.legs.get_mut(leg) {
                    channel.listening = None;
                }
            }
            MediaCommand::Bridge { a, b } => {
                for (leg, partner) in [(a, b), (b, a)] {
                    self.stop_playing(*leg, now);
                    if let Some(channel) = self.legs.get_mut(leg) {
                        channel.partner = Some(*partner);
                    }
                }
            }
            MediaCommand::Unbridge { leg } => self.part(*leg),
            MediaCommand::Close { leg } => self.close(*leg, now),
            MediaCommand::Connect { .. }
            | MediaCommand::Record { .. }
            | MediaCommand::SendDigits { .. }
            | MediaCommand::Play { .. }
            | MediaCommand::Listen { .. } => (),
        }
    }

    pub(crate) fn play(
        &mut self,
        leg: LegId,
        order: OrderId,
        prompts: &[Prompt],
        repeat: bool,
        now: Instant,
    ) {
        self.stop_playing(leg, now);
        let Some(channel) = self.legs.get_mut(&leg) else {
            return self.tell(MediaEvent::PlaybackEnded { leg, order, stopped: true }, now);
        };
        channel.playing = Some(order);
        channel.ends_at = None;
        if !repeat {
            let at = now + prompts.iter().map(length).sum::<Duration>();
            channel.ends_at = Some(at);
            self.later(at, Due::PlaybackOver(leg, order));
        }
    }

    /// Listens; `reply` is what the person does.
    pub(crate) fn listen(
        &mut self,
        leg: LegId,
        order: OrderId,
        rule: ListenRule,
        hearing: Option<&Hearing>,
        reply: &Reply,
        now: Instant,
    ) {
        let Some(channel) = self.legs.get_mut(&leg) else { return };
        channel.listening = Some((order, rule));
        let over = channel.ends_at.unwrap_or(now).max(now);
        let early = matches!(reply, Reply::Says { early: true, .. });
        let pause = Duration::from_millis(self.luck.random_range(200..3_000));
        let at = if early { now + (over - now).mul_f64(0.5) } else { over + pause };
        match reply {
            Reply::Silence | Reply::HangsUp => (),
            Reply::Keys(keys) => {
                for (index, key) in (0u32..).zip(keys.chars()) {
                    self.later(at + Duration::from_millis(300) * index, Due::Key(leg, key));
                }
            }
            Reply::Says { .. } if hearing.is_none() => (),
            Reply::Says { text, .. } => {
                self.later(at, Due::SpeechStart(leg, order));
                let spoken = Duration::from_millis(700 + 60 * text.len() as u64);
                self.later(at + spoken, Due::SpeechEnd(leg, order, text.clone()));
            }
        }
    }

    /// The person's telephone has died: his sound stops, and after a while that is told.
    pub(crate) fn falls_silent(&mut self, leg: LegId, now: Instant) {
        let at = now + Duration::from_secs(30);
        self.later(at, Due::Up(Event::Media(MediaEvent::Silent { leg })));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next thing that has happened by `now`, if the exchange is to hear of it.
    pub(crate) fn handle_deadline(&mut self, now: Instant) -> Option<Event> {
        self.deadline().filter(|at| *at <= now)?;
        let (_, due) = self.due.pop_first()?;
        match due {
            Due::Up(event) => return Some(event),
            Due::PlaybackOver(leg, order) => {
                let channel = self.legs.get_mut(&leg)?;
                if channel.playing == Some(order) {
                    channel.playing = None;
                    channel.ends_at = None;
                    self.tell(MediaEvent::PlaybackEnded { leg, order, stopped: false }, now);
                }
            }
            Due::Key(leg, digit) => self.key(leg, digit, now),
            Due::SpeechStart(leg, order) => self.speech_start(leg, order, now),
            Due::SpeechEnd(leg, order, text) => self.speech_end(leg, order, text, now),
        }
        None
    }

    /// The process is gone, and all its ports with it.
    pub(crate) fn crash(&mut self) {
        self.legs.clear();
        self.due.clear();
    }

    fn bind(&mut self, leg: LegId, now: Instant) {
        if self.luck.random_range(0..100) < self.rules.ports_missing {
            return self.tell(MediaEvent::OpenFailed { leg }, now);
        }
        self.legs.insert(leg, Channel::default());
        self.next_port = self.next_port.wrapping_add(2).max(20_000);
        let local = SocketAddr::from(([10, 0, 0, 1], self.next_port));
        self.tell(MediaEvent::Opened { leg, local }, now);
    }

    fn close(&mut self, leg: LegId, now: Instant) {
        self.stop_playing(leg, now);
        self.part(leg);
        if self.legs.remove(&leg).is_some() {
            let report = QualityReport { sent: 1, received: 1, ..QualityReport::default() };
            self.tell(MediaEvent::Closed { leg, report }, now);
        }
    }

    fn part(&mut self, leg: LegId) {
        let partner = self.legs.get_mut(&leg).and_then(|channel| channel.partner.take());
        if let Some(channel) = partner.and_then(|partner| self.legs.get_mut(&partner)) {
            channel.partner = None;
        }
    }

    fn stop_playing(&mut self, leg: LegId, now: Instant) {
        let Some(channel) = self.legs.get_mut(&leg) else { return };
        channel.ends_at = None;
        if let Some(order) = channel.playing.take() {
            self.tell(MediaEvent::PlaybackEnded { leg, order, stopped: true }, now);
        }
    }

    fn key(&mut self, leg: LegId, digit: char, now: Instant) {
        let Some(channel) = self.legs.get(&leg) else { return };
        let listening = channel.listening;
        if listening.is_some_and(|(_, rule)| rule.key_stops_playback) {
            self.stop_playing(leg, now);
        }
        let order = listening.map_or(OrderId(0), |(order, _)| order);
        self.tell(MediaEvent::Digit { leg, order, digit }, now);
    }

    fn speech_start(&mut self, leg: LegId, order: OrderId, now: Instant) {
        let Some(channel) = self.legs.get(&leg) else { return };
        let Some((present, rule)) = channel.listening else { return };
        if present != order || !rule.speech {
            return;
        }
        let stopped = channel.playing.filter(|_| rule.speech_stops_playback);
        self.tell(MediaEvent::SpeechStarted { leg, order, stopped }, now);
        if stopped.is_some() {
            self.stop_playing(leg, now);
        }
    }

    fn speech_end(&mut self, leg: LegId, order: OrderId, text: Arc<str>, now: Instant) {
        let listening = self.legs.get(&leg).and_then(|channel| channel.listening);
        if listening.is_none_or(|(present, _)| present != order) {
            return;
        }
        self.tell(MediaEvent::SpeechEnded { leg, order }, now);
        // Sometimes it takes longer than anybody waits; then it comes too late.
        let at = now + Duration::from_millis(self.luck.random_range(50..4_500));
        let luck = self.luck.random_range(0..100);
        if luck < self.rules.lost {
            return;
        }
        if luck < self.rules.lost + self.rules.not_heard {
            return self.later(at, Due::Up(Event::NotHeard { leg, order }));
        }
        let confidence = self.luck.random_range(0.5..1.0);
        let transcript = Transcript { text, confidence, engine: "open" };
        self.later(at, Due::Up(Event::Heard { leg, order, transcript }));
    }

    fn tell(&mut self, event: MediaEvent, now: Instant) {
        self.later(now + WORKER, Due::Up(Event::Media(event)));
    }

    fn later(&mut self, at: Instant, due: Due) {
        self.serial += 1;
        self.due.insert((at, self.serial), due);
    }
}

/// How long a prompt lasts: a fifteenth of a second for each letter.
fn length(prompt: &Prompt) -> Duration {
    match prompt {
        Prompt::Text { text, .. } => Duration::from_millis(66) * text.chars().count() as u32,
        Prompt::Recorded { .. } => Duration::from_secs(5),
        Prompt::Music => Duration::from_secs(60),
    }
}
