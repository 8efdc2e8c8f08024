//! The network between the exchange and the telephones: it loses, delays, reorders and repeats.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Weather {
    /// Of a hundred datagrams, how many are lost (0–20).
    pub lost: u32,
    /// Of a hundred, how many arrive twice.
    pub twice: u32,
    /// The shortest way, in milliseconds.
    pub delay_ms: u64,
    /// How much longer it may be, in milliseconds; more than the gap between two datagrams
    /// reorders them.
    pub jitter_ms: u64,
}

impl Weather {
    /// Nothing is lost, everything takes 10 ms.
    pub const FAIR: Self = Self { lost: 0, twice: 0, delay_ms: 10, jitter_ms: 0 };
}

/// One datagram under way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
    /// What it says.
    pub message: Bytes,
}

/// All datagrams under way.
pub struct Network {
    weather: Weather,
    luck: StdRng,
    serial: u64,
    under_way: BTreeMap<(Instant, u64), Datagram>,
}

impl Network {
    /// An empty network; `seed` decides what happens to each datagram.
    pub fn new(weather: Weather, seed: u64) -> Self {
        let luck = StdRng::seed_from_u64(seed);
        Self { weather, luck, serial: 0, under_way: BTreeMap::new() }
    }

    /// Takes a datagram on its way, or loses it.
    pub fn send(&mut self, datagram: Datagram, now: Instant) {
        if self.luck.random_range(0..100) < self.weather.lost {
            return;
        }
        if self.luck.random_range(0..100) < self.weather.twice {
            self.carry(datagram.clone(), now);
        }
        self.carry(datagram, now);
    }

    fn carry(&mut self, datagram: Datagram, now: Instant) {
        let jitter = self.luck.random_range(0..=self.weather.jitter_ms * 1_000);
        let delay = Duration::from_millis(self.weather.delay_ms) + Duration::from_micros(jitter);
        self.serial += 1;
        self.under_way.insert((now + delay, self.serial), datagram);
    }

    /// When the next datagram arrives.
    pub fn deadline(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived by `now`.
    pub fn arrive(&mut self, now: Instant) -> Option<Datagram> {
        self.deadline().filter(|at| *at <= now)?;
        self.under_way.pop_first().map(|(_, datagram)| datagram)
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}
