//! Which pair of sockets serves which leg, on one worker.
//!
//! A pair keeps its place, and stays watched, when its leg ends: it rests there (see `net::rtp`).

use super::system::Poller;
use crate::net::rtp::{ByIp, HeldPairs, PortPair, PortRange};
use domain::id::LegId;
use domain::ip_version::IpVersion;
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Packets thrown away at most when a rested pair is used again; a flood does not hold up a call.
const STALE_MAX: usize = 256;

#[derive(Debug)]
struct Seat {
    pair: PortPair,
    leg: Option<LegId>,
}

/// Where a packet arrived.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    /// The socket to read.
    pub(super) socket: &'a UdpSocket,
    /// Whose it is; `None` while the pair rests.
    pub(super) leg: Option<LegId>,
    /// Whether it is the RTCP socket.
    pub(super) is_control: bool,
}

/// The pairs of one worker.
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    /// Looked up, never walked.
    places: HashMap<LegId, usize>,
    held: ByIp<HeldPairs<usize>>,
    /// Until when no pair is tried to be bound.
    barren_until: ByIp<Option<Instant>>,
}

/// How long no pair is tried to be bound after one could not be.
const BARREN: Duration = Duration::from_secs(1);

/// A pair for a leg to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lent {
    /// Its place.
    pub(super) place: usize,
    /// Its RTP address.
    pub(super) local: SocketAddr,
    /// Whether the port had rested, or was never used.
    pub(super) rested: bool,
}

/// A pair found for a leg.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seated {
    /// Its RTP address.
    pub(super) local: SocketAddr,
    /// Whether the port had rested, or was never used.
    pub(super) rested: bool,
}

impl Seats {
    /// Finds a pair of `range` for `leg`: a rested one, else a new one, else the one that rested
    /// longest.
    pub(super) fn open(
        &mut self,
        leg: LegId,
        range: &PortRange,
        poller: &Poller,
        now: Instant,
    ) -> Option<Seated> {
        let lent = self.lend(range, poller, now).map(|lent| (lent.place, lent.rested));
        let any = |seats: &mut Self| Some((seats.held.of(range.ip()).take_any()?, false));
        let (place, rested) = lent.or_else(|| any(self))?;
        Some(Seated { local: self.occupy(place, leg)?, rested })
    }

    /// A pair of `range` for a leg to come: a rested one, else a new one, else one that has rested for
    /// a while.
    pub(super) fn lend(
        &mut self,
        range: &PortRange,
        poller: &Poller,
        now: Instant,
    ) -> Option<Lent> {
        let rested = self.held.of(range.ip()).take_rested(now);
        let good = rested.or_else(|| self.bind(range, poller, now));
        let place = good.or_else(|| self.held.of(range.ip()).take_resting(now))?;
        let local = self.seats[place].as_ref()?.pair.local;
        Some(Lent { place, local, rested: good.is_some() })
    }

    /// Binds a new pair. Where none can be bound, none is tried for a while: each try is many calls of
    /// the system for nothing.
    fn bind(&mut self, range: &PortRange, poller: &Poller, now: Instant) -> Option<usize> {
        let barren = self.barren_until.of(range.ip());
        if barren.is_some_and(|until| now < until) {
            return None;
        }
        let pair = range.bind();
        *barren = pair.is_none().then(|| now + BARREN);
        self.sit(pair?, None, poller)
    }

    /// Gives a pair to `leg`; its RTP address.
    pub(super) fn occupy(&mut self, place: usize, leg: LegId) -> Option<SocketAddr> {
        let seat = self.seats.get_mut(place)?.as_mut()?;
        throw_away(&seat.pair);
        seat.leg = Some(leg);
        self.places.insert(leg, place);
        Some(seat.pair.local)
    }

    /// Takes back a pair that was lent for nothing.
    pub(super) fn take_back(&mut self, place: usize, now: Instant) {
        if let Some(seat) = &self.seats[place] {
            self.held.of(seat.pair.ip()).release(place, now);
        }
    }

    /// Seats a pair that came with a leg from another worker.
    pub(super) fn adopt(&mut self, leg: LegId, pair: PortPair, poller: &Poller) -> bool {
        let Some(place) = self.sit(pair, Some(leg), poller) else { return false };
        self.places.insert(leg, place);
        true
    }

    fn sit(&mut self, pair: PortPair, leg: Option<LegId>, poller: &Poller) -> Option<usize> {
        let place = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        let token = 2 * place as u64;
        let watched = poller.add(&pair.rtp, token).and_then(|()| poller.add(&pair.rtcp, token + 1));
        if watched.is_err() {
            // Closing the pair ends the watch of the one that succeeded.
            self.free.push(place);
            return None;
        }
        self.seats[place] = Some(Seat { pair, leg });
        Some(place)
    }

    /// Lets the pair of `leg` rest.
    pub(super) fn release(&mut self, leg: LegId, now: Instant) {
        if let Some(place) = self.places.remove(&leg)
            && let Some(seat) = &mut self.seats[place]
        {
            seat.leg = None;
            self.held.of(seat.pair.ip()).release(place, now);
        }
    }

    /// Takes the pair of `leg` out, to go with it to another worker.
    pub(super) fn take(&mut self, leg: LegId, poller: &Poller) -> Option<PortPair> {
        let place = self.places.remove(&leg)?;
        let seat = self.seats[place].take()?;
        self.free.push(place);
        poller.remove(&seat.pair.rtp);
        poller.remove(&seat.pair.rtcp);
        Some(seat.pair)
    }

    /// Closes a pair of each version of IP that nobody has needed for long, if there is one.
    pub(super) fn close_unneeded(&mut self, now: Instant) {
        for ip in [IpVersion::V4, IpVersion::V6] {
            if let Some(place) = self.held.of(ip).take_unneeded(now) {
                self.seats[place] = None;
                self.free.push(place);
            }
        }
    }

    /// The socket that `token` stands for.
    pub(super) fn at(&self, token: u64) -> Option<Arrival<'_>> {
        let place = usize::try_from(token / 2).ok()?;
        let seat = self.seats.get(place)?.as_ref()?;
        let is_control = token % 2 == 1;
        let socket = if is_control { &seat.pair.rtcp } else { &seat.pair.rtp };
        Some(Arrival { socket, leg: seat.leg, is_control })
    }

    /// The sockets of `leg`.
    pub(super) fn pair_of(&self, leg: LegId) -> Option<&PortPair> {
        let seat = self.seats[*self.places.get(&leg)?].as_ref()?;
        Some(&seat.pair)
    }

    /// The legs seated, in the order of their seats.
    pub(super) fn legs(&self) -> Vec<LegId> {
        self.seats.iter().flatten().filter_map(|seat| seat.leg).collect()
    }

    /// Whether there is neither a leg nor a resting pair.
    pub(super) fn is_empty(&self) -> bool {
        self.seats.len() == self.free.len()
    }
}

/// Empties both sockets of what came while the pair rested: packets of an earlier call may come
/// from the very host that the next one expects.
fn throw_away(pair: &PortPair) {
    let mut byte = [0; 1];
    for socket in [&pair.rtp, &pair.rtcp] {
        let stale = std::iter::repeat_with(|| socket.recv_from(&mut byte));
        let _ = stale.take(STALE_MAX).take_while(Result::is_ok).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::rtp::HOLD;
    use std::net::Ipv4Addr;

    #[test]
    fn a_pair_rests_and_is_emptied_before_it_serves_again() {
        let mut poller = Poller::new().unwrap();
        let range = PortRange::new(Ipv4Addr::LOCALHOST.into(), (42_000, 42_003));
        let mut seats = Seats::default();
        let start = Instant::now();
        let open = |leg, seats: &mut Seats, now| seats.open(leg, &range, &poller, now);
        let first = open(LegId(1), &mut seats, start).unwrap();
        let second = open(LegId(2), &mut seats, start).unwrap();
        assert!(first.rested && second.rested && first.local != second.local);
        assert_eq!(open(LegId(3), &mut seats, start), None);
        seats.release(LegId(1), start);
        let late = UdpSocket::bind("127.0.0.1:0").unwrap();
        late.send_to(b"late", first.local).unwrap();
        // Nothing else is free: the port serves before it has rested.
        let third = open(LegId(3), &mut seats, start).unwrap();
        assert_eq!(third, Seated { rested: false, ..first });
        seats.release(LegId(3), start);
        let fourth = open(LegId(4), &mut seats, start + HOLD).unwrap();
        assert_eq!(fourth, first);
        let mut tokens = Vec::new();
        poller.ready(&mut tokens);
        assert!(tokens.is_empty(), "the late packet is gone");
        assert_eq!(seats.legs(), [LegId(4), LegId(2)]);
    }

    /// Each try to bind is many calls of the system: after one in vain there is none for a while.
    #[test]
    fn what_cannot_be_bound_is_not_tried_for_every_call() {
        let poller = Poller::new().unwrap();
        let range = PortRange::new(Ipv4Addr::LOCALHOST.into(), (42_020, 42_021));
        let mut seats = Seats::default();
        let now = Instant::now();
        assert!(seats.open(LegId(1), &range, &poller, now).is_some());
        assert_eq!(seats.open(LegId(2), &range, &poller, now), None);
        drop(seats.take(LegId(1), &poller));
        assert_eq!(seats.open(LegId(2), &range, &poller, now), None, "not tried");
        assert!(seats.open(LegId(2), &range, &poller, now + BARREN).is_some());
    }

    #[test]
    fn a_leg_takes_its_pair_to_another_worker() {
        let mut pollers = [Poller::new().unwrap(), Poller::new().unwrap()];
        let range = PortRange::new(Ipv4Addr::LOCALHOST.into(), (42_010, 42_011));
        let [mut here, mut there] = [Seats::default(), Seats::default()];
        let now = Instant::now();
        let local = here.open(LegId(1), &range, &pollers[0], now).unwrap().local;
        let pair = here.take(LegId(1), &pollers[0]).unwrap();
        assert!(here.is_empty() && here.pair_of(LegId(1)).is_none());
        assert!(there.adopt(LegId(1), pair, &pollers[1]));
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", local).unwrap();
        let ready = pollers.each_mut().map(|poller| {
            let mut tokens = Vec::new();
            poller.ready(&mut tokens);
            tokens
        });
        assert_eq!(ready, [vec![], vec![0]]);
        let arrival = there.at(0).unwrap();
        assert_eq!((arrival.leg, arrival.is_control), (Some(LegId(1)), false));
        there.release(LegId(1), now);
        there.close_unneeded(now + HOLD);
        assert!(!there.is_empty());
        there.close_unneeded(now + 10 * HOLD);
        assert!(there.is_empty() && there.at(0).is_none());
    }
}
