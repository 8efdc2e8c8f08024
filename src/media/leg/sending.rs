//! The sending half of a leg: what goes out in a tick, and what the partner says.

use super::{Leg, packet_samples};
use crate::FRAME_SAMPLES;
use crate::bridge::{Content, Relayed};
use crate::codec::g711;
use crate::event::{MediaAction, MediaEvent};
use crate::playout::Playout;
use crate::rtp::packet::HEADER_LENGTH;
use crate::rtp::session::Outgoing;
use crate::tone::digit_sender::{KeyTick, key_sound};
use crate::tone::telephone_event::TelephoneEvent;
use bytes::{Bytes, BytesMut};
use domain::media_plan::Codec;
use std::net::SocketAddr;

/// Ticks without a packet from the partner after which silence is sent in its place: 200 ms, more
/// than any jitter worth the name.
const RELAY_PAUSE_TICKS: u16 = 10;

/// Where and how the leg sends, when it may.
#[derive(Clone, Copy, Debug)]
struct Route {
    remote: SocketAddr,
    codec: Codec,
    payload_type: u8,
    event_payload_type: Option<u8>,
}

impl Leg {
    fn route(&self) -> Option<Route> {
        let connection = self.connection.as_ref()?;
        let plan = &connection.plan;
        let remote = connection.source.remote().filter(|_| plan.direction.sends())?;
        Some(Route {
            remote,
            codec: plan.codec,
            payload_type: plan.payload_type,
            event_payload_type: plan.event_payload_type,
        })
    }

    /// Sends what is due in this tick.
    pub(super) fn send_tick(&mut self, out: &mut Vec<MediaAction>) {
        let route = self.route();
        self.said_db = f32::MIN;
        if let Some(route) = &route
            && !self.digits.is_idle()
            && self.send_key_tick(route, out)
        {
            self.owed_samples = 0;
            return;
        }
        if self.playout.as_ref().is_some_and(Playout::is_over)
            && let Some(playout) = self.playout.take()
        {
            let order = playout.order();
            self.tell(MediaEvent::PlaybackEnded { leg: self.id, order, stopped: false }, out);
        }
        if self.playout.is_none() && self.partner.is_some() {
            self.ticks_without_relay = self.ticks_without_relay.saturating_add(1);
            if self.ticks_without_relay < RELAY_PAUSE_TICKS {
                self.owed_samples = 0;
                return;
            }
        }
        let samples = self.connection.as_ref().map_or(0, |it| packet_samples(&it.plan));
        self.owed_samples += FRAME_SAMPLES as u32;
        while samples > 0 && self.owed_samples >= samples {
            match &route {
                Some(route) => self.send_frame(route, samples, out),
                // On hold the prompt runs on unheard, so that whoever waits for its end gets it.
                None => self.skip_frame(samples),
            }
            self.owed_samples -= samples;
        }
    }

    fn skip_frame(&mut self, samples: u32) {
        if let Some(playout) = &mut self.playout {
            playout.skip(samples as usize);
        }
    }

    fn send_frame(&mut self, route: &Route, samples: u32, out: &mut Vec<MediaAction>) {
        let due = self.session.clock().wrapping_sub(self.owed_samples);
        let outgoing = Outgoing {
            marker: std::mem::take(&mut self.marker_due),
            payload_type: route.payload_type,
            sequence: None,
            timestamp: self.session.not_before_sent(due),
            samples,
        };
        let playout = &mut self.playout;
        let packet = self.session.write(outgoing, |frame| match playout {
            Some(playout) => playout.fill(samples as usize, route.codec, frame),
            None => frame.resize(frame.len() + samples as usize, g711::silence(route.codec)),
        });
        self.relay.renew();
        if self.playout.is_some() && self.listening.as_ref().is_some_and(|it| it.rule.speech) {
            self.said_db = level_db(&packet[HEADER_LENGTH..], route.codec);
        }
        self.transmit(route, packet, out);
    }

    /// Sends what is due of the keys. Returns whether a key sounds, so that nothing else may.
    fn send_key_tick(&mut self, route: &Route, out: &mut Vec<MediaAction>) -> bool {
        let due = self.session.clock().wrapping_sub(FRAME_SAMPLES as u32);
        match self.digits.tick(route.event_payload_type.is_some()) {
            KeyTick::Event { event, marker, sounding } => {
                if marker {
                    self.key_timestamp = self.session.not_before_sent(due);
                }
                let timestamp = self.key_timestamp;
                self.send_event(route, event, marker, None, timestamp, out);
                sounding
            }
            KeyTick::Sound { key, from } => {
                let outgoing = Outgoing {
                    marker: std::mem::take(&mut self.marker_due),
                    payload_type: route.payload_type,
                    sequence: None,
                    timestamp: self.session.not_before_sent(due),
                    samples: FRAME_SAMPLES as u32,
                };
                let sound = key_sound(key, from, route.codec);
                let packet = self.session.write(outgoing, |frame| frame.extend_from_slice(&sound));
                self.transmit(route, packet, out);
                true
            }
            KeyTick::Pause => false,
        }
    }

    fn send_event(
        &mut self,
        route: &Route,
        event: TelephoneEvent,
        marker: bool,
        sequence: Option<u16>,
        timestamp: u32,
        out: &mut Vec<MediaAction>,
    ) {
        let Some(payload_type) = route.event_payload_type else { return };
        let samples = u32::from(event.duration);
        let outgoing = Outgoing { marker, payload_type, sequence, timestamp, samples };
        let packet = self.session.write(outgoing, |frame| frame.extend_from_slice(&event.print()));
        out.push(MediaAction::Transmit { leg: self.id, remote: route.remote, packet });
    }

    /// Sends what the partner heard, unless something of our own is being said.
    pub fn relay(&mut self, relayed: &Relayed<'_>, out: &mut Vec<MediaAction>) {
        let Some(route) = self.route() else { return };
        if self.playout.is_some() || !self.digits.is_idle() {
            return;
        }
        match relayed.content {
            Content::Sound { codec, payload } => {
                let stamp = self.relay.stamp(&relayed.header, &self.session);
                let outgoing = Outgoing {
                    marker: stamp.first || relayed.header.marker,
                    payload_type: route.payload_type,
                    sequence: Some(stamp.sequence),
                    timestamp: stamp.timestamp,
                    samples: payload.len() as u32,
                };
                let packet =
                    self.session.write(outgoing, |frame| append(frame, payload, codec, &route));
                self.transmit(&route, packet, out);
            }
            Content::Key { event, .. } if route.event_payload_type.is_some() => {
                let stamp = self.relay.stamp(&relayed.header, &self.session);
                let (sequence, timestamp) = (Some(stamp.sequence), stamp.timestamp);
                let marker = relayed.header.marker;
                self.send_event(&route, event, marker, sequence, timestamp, out);
            }
            // A peer without events hears the key as sound, made anew.
            Content::Key { pressed: Some(key), .. } => {
                self.digits.push(key.encode_utf8(&mut [0; 4]));
                self.relay.renew();
            }
            Content::Key { pressed: None, .. } => (),
        }
        self.ticks_without_relay = 0;
    }

    fn transmit(&mut self, route: &Route, packet: Bytes, out: &mut Vec<MediaAction>) {
        if let Some(recording) = &mut self.recording {
            recording.say(&packet[HEADER_LENGTH..], g711::decoder(route.codec));
        }
        out.push(MediaAction::Transmit { leg: self.id, remote: route.remote, packet });
    }
}

fn append(frame: &mut BytesMut, payload: &[u8], codec: Codec, route: &Route) {
    match g711::transcoder(codec, route.codec) {
        None => frame.extend_from_slice(payload),
        Some(table) => frame.extend(payload.iter().map(|byte| table[usize::from(*byte)])),
    }
}

/// The level of encoded sound in dBov.
fn level_db(payload: &[u8], codec: Codec) -> f32 {
    let table = g711::decoder(codec);
    let square = |byte: &u8| f32::from(table[usize::from(*byte)]).powi(2);
    let energy: f32 = payload.iter().map(square).sum();
    10.0 * (energy / payload.len().max(1) as f32 / 32_768_f32.powi(2) + 1e-13).log10()
}
