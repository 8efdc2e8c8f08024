//! One leg's sound: (packet | tick | command, now) in, packets and events out.
//!
//! ```text
//!            Connect                  Close
//! opened ───────────────► connected ─────────► closed (one `Closed`, the last event)
//!
//! what goes out in a tick, the first that applies:
//!   a key being sent ─ the clips playing ─ what the partner says (as it comes) ─ silence
//! ```
//!
//! While connected and allowed to send, something is always sent: silence keeps a NAT open and lets
//! the other end find our address (RFC 4961, RFC 6263 §4.1), and costs no more than sound does.
//!
//! Calls `rtp`, `source`, `playout`, `tone`, `bridge`, `listening`, `recording`. Called by `legs`.

#[cfg(test)]
mod captures;
mod sending;
#[cfg(test)]
mod tests;

use crate::bridge::{Content, Relay, Relayed};
use crate::clip::Clip;
use crate::codec::g711;
use crate::detect::speech::{SpeechChange, SpeechDetector};
use crate::event::{ListenRule, MediaAction, MediaEvent, QualityReport};
use crate::listening::Listening;
use crate::playout::Playout;
use crate::quality::mean_opinion_score;
use crate::recording::Recording;
use crate::rtp::jitter_buffer::JitterBuffer;
use crate::rtp::packet;
use crate::rtp::sequence::Place;
use crate::rtp::session::Session;
use crate::source::Source;
use crate::tone::digit_sender::DigitSender;
use crate::tone::telephone_event::{KeyReceiver, TelephoneEvent};
use crate::{FRAME_SAMPLES, SAMPLE_RATE};
use domain::id::{LegId, OrderId};
use domain::media_plan::{Codec, MediaPlan};
use rand::RngCore;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Silence of the other end after which `Silent` is told.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// What was agreed, and who turned out to be there.
#[derive(Clone, Debug)]
struct Connection {
    plan: MediaPlan,
    source: Source,
}

/// One leg.
#[derive(Debug)]
pub struct Leg {
    id: LegId,
    session: Session,
    connection: Option<Connection>,
    // What we say.
    playout: Option<Playout>,
    digits: DigitSender,
    key_timestamp: u32,
    owed_samples: u32,
    marker_due: bool,
    said_db: f32,
    // The partner.
    partner: Option<LegId>,
    relay: Relay,
    ticks_without_relay: u16,
    // What we hear.
    keys: KeyReceiver,
    jitter_buffer: Option<JitterBuffer>,
    detector: SpeechDetector,
    listening: Option<Listening>,
    last_order: OrderId,
    recording: Option<Recording>,
    refused: u64,
    // Clocks.
    heard_at: Instant,
    silent_told: bool,
    report_at: Instant,
    report_spread: u32,
}

impl Leg {
    /// A leg whose port is bound, not yet connected. `random` gives source, number and timestamp.
    pub fn open(id: LegId, now: Instant, random: &mut dyn RngCore) -> Self {
        Self {
            id,
            session: Session::start(now, random),
            connection: None,
            playout: None,
            digits: DigitSender::default(),
            key_timestamp: 0,
            owed_samples: 0,
            marker_due: true,
            said_db: f32::MIN,
            partner: None,
            relay: Relay::default(),
            ticks_without_relay: 0,
            keys: KeyReceiver::default(),
            jitter_buffer: None,
            detector: SpeechDetector::default(),
            listening: None,
            last_order: OrderId(0),
            recording: None,
            refused: 0,
            heard_at: now,
            silent_told: false,
            report_at: now,
            report_spread: random.next_u32(),
        }
    }

    /// Its name.
    pub fn id(&self) -> LegId {
        self.id
    }

    /// Whom it hears.
    pub fn partner(&self) -> Option<LegId> {
        self.partner
    }

    /// Sends and receives by `plan` from now on.
    pub fn connect(&mut self, plan: MediaPlan, now: Instant) {
        // A peer that was on hold, or nobody at all, has 30 s from now on.
        let was_heard = self.connection.as_ref().is_some_and(|it| it.plan.direction.receives());
        if !was_heard {
            self.heard_at = now;
            self.silent_told = false;
        }
        match &mut self.connection {
            Some(connection) => {
                connection.source.expect_anew(plan.remote, plan.also_from);
                connection.plan = plan;
            }
            None => {
                let source = Source::expect(plan.remote, plan.also_from);
                self.connection = Some(Connection { plan, source });
                self.report_at = self.next_report(now);
            }
        }
        self.marker_due = true;
    }

    /// Plays `clips`, replacing what is playing.
    pub fn play(
        &mut self,
        order: OrderId,
        clips: Vec<Arc<Clip>>,
        repeat: bool,
        out: &mut Vec<MediaAction>,
    ) {
        self.stop_playback(out);
        self.playout = Some(Playout::start(order, clips, repeat));
        self.marker_due = true;
        self.relay.renew();
    }

    /// Stops what is playing, if anything; returns its order.
    pub fn stop_playback(&mut self, out: &mut Vec<MediaAction>) -> Option<OrderId> {
        let order = self.playout.take()?.order();
        self.tell(MediaEvent::PlaybackEnded { leg: self.id, order, stopped: true }, out);
        Some(order)
    }

    /// Listens by `rule`, in place of an earlier rule.
    pub fn listen(&mut self, order: OrderId, rule: ListenRule, out: &mut Vec<MediaAction>) {
        self.stop_listening(out);
        self.detector.begin(rule.end_silence_ms, rule.utterance_max_ms);
        self.listening = Some(Listening::start(order, rule));
        self.last_order = order;
        self.keep_jitter_buffer_if_heard();
    }

    /// Stops listening; keys are still reported.
    pub fn stop_listening(&mut self, out: &mut Vec<MediaAction>) {
        if let Some(listening) = self.listening.take() {
            listening.stop(self.id, out);
        }
        self.keep_jitter_buffer_if_heard();
    }

    /// Sends keys, after those still waiting.
    pub fn send_digits(&mut self, digits: &str) {
        self.digits.push(digits);
        self.relay.renew();
    }

    /// Records from now on, ending an earlier recording.
    pub fn record(&mut self, path: Arc<str>, out: &mut Vec<MediaAction>) {
        self.finish_recording(out);
        self.recording = Some(Recording::start(path));
        self.keep_jitter_buffer_if_heard();
    }

    /// Hears `partner` from now on; what is playing stops.
    pub fn bridge(&mut self, partner: LegId, out: &mut Vec<MediaAction>) {
        self.stop_playback(out);
        self.partner = Some(partner);
        self.relay.renew();
        self.ticks_without_relay = 0;
    }

    /// Hears its partner no more.
    pub fn unbridge(&mut self) {
        self.partner = None;
        self.relay.renew();
        self.marker_due = true;
    }

    /// Ends the leg: its last events, its goodbye (RFC 3550 §6.6), and its figures.
    pub fn close(mut self, now: Instant, out: &mut Vec<MediaAction>) {
        self.stop_playback(out);
        self.stop_listening(out);
        self.finish_recording(out);
        if self.session.sent() > 0 {
            self.send_report(now, true, out);
        }
        let report = self.report();
        self.tell(MediaEvent::Closed { leg: self.id, report }, out);
    }

    /// The figures up to now.
    pub fn report(&self) -> QualityReport {
        let (received, lost) = self.session.received_and_lost();
        QualityReport {
            sent: self.session.sent(),
            received,
            lost,
            refused: self.refused,
            jitter_us: self.session.jitter_us(),
            mos: mean_opinion_score(received + lost, lost),
        }
    }

    /// Takes an RTP packet. Returns what the partner is to hear of it.
    pub fn handle_packet<'a>(
        &mut self,
        from: SocketAddr,
        bytes: &'a [u8],
        now: Instant,
        out: &mut Vec<MediaAction>,
    ) -> Option<Relayed<'a>> {
        // Read before it is admitted: what is no RTP must not lock the source.
        let packet = packet::parse(bytes).ok();
        let admits = |connection: &mut Connection| connection.source.admits(from);
        let Some(packet) = packet.filter(|_| self.connection.as_mut().is_some_and(admits)) else {
            self.refused += 1;
            return None;
        };
        let connection = self.connection.as_ref()?;
        self.heard_at = now;
        self.silent_told = false;
        let (place, first_of_source) = self.session.count(&packet.header, now);
        let plan = &connection.plan;
        if place == Place::Wild || !plan.direction.receives() {
            return None;
        }
        if first_of_source && let Some(jitter_buffer) = &mut self.jitter_buffer {
            jitter_buffer.reset();
        }
        let payload_type = Some(packet.header.payload_type);
        let is_event =
            payload_type == plan.event_receive_type || payload_type == plan.event_payload_type;
        let content = if is_event {
            let event = TelephoneEvent::parse(packet.payload)?;
            let pressed = self.keys.take(&packet.header, event, now);
            if let Some(digit) = pressed {
                self.handle_key(digit, out);
            }
            Content::Key { event, pressed }
        } else {
            let codec = codec_of(packet.header.payload_type, plan)?;
            if let Some(jitter_buffer) = &mut self.jitter_buffer {
                let decoder = g711::decoder(codec);
                jitter_buffer.write(packet.header.timestamp, packet.payload, decoder);
            }
            Content::Sound { codec, payload: packet.payload }
        };
        Some(Relayed { header: packet.header, content })
    }

    /// Takes an RTCP packet: a sign of life, and the round trip.
    pub fn handle_control(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let admits = self.connection.as_ref().is_some_and(|it| it.source.admits_host(from));
        if admits && self.session.take_report(bytes, now) {
            self.heard_at = now;
            self.silent_told = false;
        } else {
            self.refused += 1;
        }
    }

    /// Does what is due every 20 ms.
    pub fn handle_tick(&mut self, now: Instant, out: &mut Vec<MediaAction>) {
        self.session.advance(1);
        if self.connection.is_none() {
            return;
        }
        self.send_tick(out);
        if self.jitter_buffer.is_some() {
            self.hear_tick(out);
        }
        if now >= self.report_at {
            self.report_at = self.next_report(now);
            self.send_report(now, false, out);
        }
        if now.saturating_duration_since(self.heard_at) >= SILENT_AFTER {
            self.tell_silence(out);
        }
    }

    /// Lets `ticks` pass that the owning thread has missed: the sound pauses, its clock does not.
    pub fn skip_ticks(&mut self, ticks: u32) {
        self.session.advance(ticks);
        self.marker_due = true;
    }

    fn handle_key(&mut self, digit: char, out: &mut Vec<MediaAction>) {
        let order = self.last_order;
        self.tell(MediaEvent::Digit { leg: self.id, order, digit }, out);
        if self.listening.as_ref().is_some_and(|listening| listening.rule.key_stops_playback) {
            self.stop_playback(out);
        }
    }

    fn hear_tick(&mut self, out: &mut Vec<MediaAction>) {
        let mut frame = [0; FRAME_SAMPLES];
        let Some(jitter_buffer) = &mut self.jitter_buffer else { return };
        let begun = jitter_buffer.read(&mut frame);
        if let Some(recording) = &mut self.recording
            && let Some(part) = recording.hear(self.id, &frame)
        {
            out.push(MediaAction::Recorded(part));
        }
        let Some(listening) = self.listening.as_mut().filter(|it| begun && it.rule.speech) else {
            return;
        };
        let change = self.detector.hear(&frame, self.said_db);
        listening.hear(self.id, &frame, change, out);
        let (leg, order, rule) = (self.id, listening.order, listening.rule);
        match change {
            Some(SpeechChange::Started) => {
                let playing = self.playout.as_ref().filter(|_| rule.speech_stops_playback);
                let stopped = playing.map(Playout::order);
                self.tell(MediaEvent::SpeechStarted { leg, order, stopped }, out);
                if stopped.is_some() {
                    self.stop_playback(out);
                }
            }
            Some(SpeechChange::Ended) => self.tell(MediaEvent::SpeechEnded { leg, order }, out),
            None => (),
        }
    }

    fn tell_silence(&mut self, out: &mut Vec<MediaAction>) {
        let receives = self.connection.as_ref().is_some_and(|it| it.plan.direction.receives());
        if receives && !self.silent_told {
            self.silent_told = true;
            self.tell(MediaEvent::Silent { leg: self.id }, out);
        }
    }

    fn finish_recording(&mut self, out: &mut Vec<MediaAction>) {
        if let Some(recording) = self.recording.take() {
            out.push(MediaAction::Recorded(recording.finish(self.id)));
        }
    }

    /// The buffer's 8 KiB are spent only while somebody hears what is in it.
    fn keep_jitter_buffer_if_heard(&mut self) {
        let speech = self.listening.as_ref().is_some_and(|listening| listening.rule.speech);
        if !speech && self.recording.is_none() {
            self.jitter_buffer = None;
        } else if self.jitter_buffer.is_none() {
            self.jitter_buffer = Some(JitterBuffer::default());
        }
    }

    /// RFC 3550 §6.2: every 5 s, times 0.5 to 1.5 so that reports of many legs do not meet.
    fn next_report(&mut self, now: Instant) -> Instant {
        // The step of a linear congruential generator (Numerical Recipes); chance is not needed.
        self.report_spread = self.report_spread.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        now + Duration::from_millis(2_500 + u64::from(self.report_spread >> 16) * 5_000 / 65_536)
    }

    fn send_report(&mut self, now: Instant, goodbye: bool, out: &mut Vec<MediaAction>) {
        let remote = self.connection.as_ref().and_then(|it| it.source.control_remote());
        if let Some(remote) = remote {
            let packet = self.session.report(now, goodbye);
            out.push(MediaAction::Transmit { leg: self.id, remote, packet });
        }
    }

    fn tell(&self, event: MediaEvent, out: &mut Vec<MediaAction>) {
        out.push(MediaAction::Up(event));
    }
}

/// The codec of a payload type: the agreed one, or one of the static types, which some peers send
/// whatever was agreed.
fn codec_of(payload_type: u8, plan: &MediaPlan) -> Option<Codec> {
    if payload_type == plan.payload_type {
        return Some(plan.codec);
    }
    [Codec::Pcmu, Codec::Pcma].into_iter().find(|it| it.static_payload_type() == payload_type)
}

/// Samples of one packet by the plan.
fn packet_samples(plan: &MediaPlan) -> u32 {
    u32::from(plan.ptime_ms.clamp(10, 60)) * SAMPLE_RATE / 1_000
}
