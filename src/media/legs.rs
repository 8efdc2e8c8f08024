//! The legs of one worker: commands, packets and ticks find their leg here, and bridged legs each
//! other. What a shell or the simulator drives.
//!
//! Ticks come in four phases 5 ms apart, each leg in one of them, so that a thousand legs do not
//! send in one burst every 20 ms.
//!
//! Calls `leg`. Called by the media worker and by the simulator.

use crate::event::{MediaAction, MediaCommand, MediaEvent};
use crate::leg::Leg;
use domain::id::LegId;
use rand::RngCore;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Phases of the tick.
pub const PHASES: usize = 4;

/// The time between two phases.
pub const PHASE: Duration = Duration::from_millis(crate::TICK_MS as u64 / PHASES as u64);

/// The legs of one worker. The shell bounds their number by the ports it has.
pub struct Legs {
    random: Box<dyn RngCore + Send>,
    slots: Vec<Option<Box<Leg>>>,
    free: Vec<usize>,
    /// The slot and the phase of each; looked up, never walked.
    places: HashMap<LegId, (usize, usize)>,
    phases: [Vec<usize>; PHASES],
}

impl Legs {
    /// None yet. `random` gives each session its numbers (RFC 3550 §5.1).
    pub fn new(random: Box<dyn RngCore + Send>) -> Self {
        Self {
            random,
            slots: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            phases: Default::default(),
        }
    }

    /// How many legs there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether `leg` is one of them.
    pub fn contains(&self, leg: LegId) -> bool {
        self.places.contains_key(&leg)
    }

    /// Adds a leg whose port is bound at `local`. A leg that is there already stays as it is.
    pub fn open(
        &mut self,
        leg: LegId,
        local: SocketAddr,
        now: Instant,
        out: &mut Vec<MediaAction>,
    ) {
        if !self.contains(leg) {
            self.add(leg, now);
            out.push(MediaAction::Up(MediaEvent::Opened { leg, local }));
        }
    }

    /// Adds a leg whose port was told already.
    pub fn add(&mut self, leg: LegId, now: Instant) {
        let opened = Leg::open(leg, now, self.random.as_mut());
        self.adopt(Box::new(opened));
    }

    /// Adds a leg taken from another worker.
    pub fn adopt(&mut self, leg: Box<Leg>) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let phase = (0..PHASES).min_by_key(|phase| self.phases[*phase].len()).unwrap_or(0);
        self.phases[phase].push(place);
        self.places.insert(leg.id(), (place, phase));
        self.slots[place] = Some(leg);
    }

    /// Takes a leg out, with all it is doing, to be adopted by another worker. A bridge it is in
    /// ends.
    pub fn take(&mut self, leg: LegId) -> Option<Box<Leg>> {
        self.unbridge(leg);
        let (place, phase) = self.places.remove(&leg)?;
        let at = self.phases[phase].iter().position(|other| *other == place)?;
        self.phases[phase].swap_remove(at);
        self.free.push(place);
        self.slots[place].take()
    }

    fn leg(&mut self, leg: LegId) -> Option<&mut Leg> {
        let (place, _) = *self.places.get(&leg)?;
        self.slots[place].as_deref_mut()
    }

    /// Obeys a command; one for an unknown leg is ignored, as it crossed the leg's end. `Open` is
    /// not obeyed here: the shell binds a port and calls [`Legs::open`].
    pub fn handle_command(
        &mut self,
        command: MediaCommand,
        now: Instant,
        out: &mut Vec<MediaAction>,
    ) {
        match command {
            MediaCommand::Open { .. } => (),
            MediaCommand::Connect { leg, plan } => {
                self.with(leg, |leg| leg.connect(plan, now));
            }
            MediaCommand::Play { leg, order, clips, repeat } => {
                self.with(leg, |leg| leg.play(order, clips, repeat, out));
            }
            MediaCommand::StopPlayback { leg } => self.with(leg, |leg| {
                leg.stop_playback(out);
            }),
            MediaCommand::Listen { leg, order, rule } => {
                self.with(leg, |leg| leg.listen(order, rule, out));
            }
            MediaCommand::StopListening { leg } => self.with(leg, |leg| leg.stop_listening(out)),
            MediaCommand::SendDigits { leg, digits } => {
                self.with(leg, |leg| leg.send_digits(&digits));
            }
            MediaCommand::Bridge { a, b } => self.bridge(a, b, out),
            MediaCommand::Unbridge { leg } => self.unbridge(leg),
            MediaCommand::Record { leg, path } => self.with(leg, |leg| leg.record(path, out)),
            MediaCommand::Close { leg } => {
                if let Some(leg) = self.take(leg) {
                    leg.close(now, out);
                }
            }
        }
    }

    fn with(&mut self, leg: LegId, act: impl FnOnce(&mut Leg)) {
        if let Some(leg) = self.leg(leg) {
            act(leg);
        }
    }

    /// Both or neither: a leg that hears somebody who does not hear it is of no use.
    fn bridge(&mut self, a: LegId, b: LegId, out: &mut Vec<MediaAction>) {
        if a == b || !self.contains(a) || !self.contains(b) {
            return;
        }
        self.unbridge(a);
        self.unbridge(b);
        self.with(a, |leg| leg.bridge(b, out));
        self.with(b, |leg| leg.bridge(a, out));
    }

    fn unbridge(&mut self, leg: LegId) {
        let Some(partner) = self.leg(leg).and_then(|leg| leg.partner()) else { return };
        self.with(leg, Leg::unbridge);
        self.with(partner, Leg::unbridge);
    }

    /// Takes an RTP packet that came to `leg`'s port, and sends it on if the leg is bridged.
    pub fn handle_packet(
        &mut self,
        leg: LegId,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
        out: &mut Vec<MediaAction>,
    ) {
        let Some(leg) = self.leg(leg) else { return };
        let Some(relayed) = leg.handle_packet(from, bytes, now, out) else { return };
        let partner = leg.partner();
        if let Some(partner) = partner.and_then(|partner| self.leg(partner)) {
            partner.relay(&relayed, out);
        }
    }

    /// Takes an RTCP packet that came to `leg`'s control port.
    pub fn handle_control(&mut self, leg: LegId, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.with(leg, |leg| leg.handle_control(from, bytes, now));
    }

    /// Does what is due for the legs of `phase` (below [`PHASES`]); each phase is due every 20 ms.
    pub fn handle_tick(&mut self, phase: usize, now: Instant, out: &mut Vec<MediaAction>) {
        for place in &self.phases[phase % PHASES] {
            if let Some(leg) = self.slots[*place].as_deref_mut() {
                leg.handle_tick(now, out);
            }
        }
    }

    /// Lets `ticks` of 20 ms pass for all legs, unheard: the thread was too late to make them up.
    pub fn skip_ticks(&mut self, ticks: u32) {
        for leg in self.slots.iter_mut().flatten() {
            leg.skip_ticks(ticks);
        }
    }
}

#[cfg(test)]
mod tests;
