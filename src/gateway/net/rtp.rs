//! RTP ports: pairs of sockets on an even port and the odd one above it (RFC 3550 §11).
//!
//! ```text
//! free ─ bound ─► in use ─ released ─► held (still bound; 5 s, less where there is no other)
//!                    ▲                   │
//!                    └───────────────────┴─► closed
//! ```
//!
//! A port is chosen at random among the free ones, so that nobody can guess where the next call's
//! sound goes. A released pair stays bound for a while: what comes late is read and thrown away by
//! its worker instead of reaching the next call, and the next call saves the cost of binding.

use domain::ip_version::IpVersion;
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a released pair is not used: late packets of its last call have passed by then.
pub const HOLD: Duration = Duration::from_secs(5);

/// How long it is not used where there is no other: a BYE that is lost once is repeated after half a
/// second (RFC 3261 §17.1.2.2), and until it comes the other end sends.
const HOLD_LEAST: Duration = Duration::from_millis(600);

/// How long a pair that nobody needs is kept bound.
const KEEP: Duration = Duration::from_secs(30);

/// Ports that may be taken by other programs before a bind is given up.
const TRIES: usize = 32;

/// Expedited forwarding (RFC 3246), as the upper six bits of the TOS byte.
const EXPEDITED: u32 = 0xb8;

/// Two sockets of a leg. Closing them frees their port.
#[derive(Debug)]
pub struct PortPair {
    /// For RTP.
    pub rtp: UdpSocket,
    /// For RTCP.
    pub rtcp: UdpSocket,
    /// The RTP address.
    pub local: SocketAddr,
    range: PortRange,
}

impl PortPair {
    /// Of which version of IP it is.
    pub fn ip(&self) -> IpVersion {
        self.range.ip()
    }
}

impl Drop for PortPair {
    fn drop(&mut self) {
        self.range.free.lock().push(self.local.port());
        self.range.room.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ports of one address, for all workers.
#[derive(Clone, Debug)]
pub struct PortRange {
    address: IpAddr,
    /// Even ports, shuffled.
    free: Arc<Mutex<Vec<u16>>>,
    pairs: usize,
    /// How many more pairs may be bound, of all ranges together.
    room: Arc<AtomicUsize>,
}

impl PortRange {
    /// The pairs between `first` and `last`, both included, on `address`.
    pub fn new(address: IpAddr, (first, last): (u16, u16)) -> Self {
        let even = first.saturating_add(first % 2)..last;
        let mut free: Vec<u16> = even.step_by(2).filter(|port| *port > 0).collect();
        free.shuffle(&mut rand::rng());
        let room = Arc::new(AtomicUsize::new(usize::MAX / 2));
        Self { address, pairs: free.len(), free: Arc::new(Mutex::new(free)), room }
    }

    /// Of which version of IP they are.
    pub fn ip(&self) -> IpVersion {
        IpVersion::of(self.address)
    }

    /// How many pairs there are in all.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Binds a pair of free ports. `None` when there is none, as many are bound as may be, or other
    /// programs have too many.
    pub fn bind(&self) -> Option<PortPair> {
        let less = |room: usize| room.checked_sub(1);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        let bound = self.bind_any();
        if bound.is_none() {
            self.room.fetch_add(1, Ordering::Relaxed);
        }
        bound
    }

    fn bind_any(&self) -> Option<PortPair> {
        let mut taken = Vec::new();
        let mut bound = None;
        while bound.is_none() && taken.len() < TRIES {
            let Some(port) = self.take() else { break };
            match self.bind_at(port) {
                Ok(pair) => bound = Some(pair),
                Err(error) => {
                    taken.push(port);
                    // No other port would do better.
                    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                        break;
                    }
                }
            }
        }
        // Another program's port may be free later.
        self.free.lock().append(&mut taken);
        bound
    }

    fn take(&self) -> Option<u16> {
        let mut free = self.free.lock();
        if free.is_empty() {
            return None;
        }
        let place = rand::random_range(0..free.len());
        Some(free.swap_remove(place))
    }

    fn bind_at(&self, port: u16) -> io::Result<PortPair> {
        let local = SocketAddr::new(self.address, port);
        let rtp = bind_socket(local)?;
        let rtcp = bind_socket(SocketAddr::new(self.address, port + 1))?;
        Ok(PortPair { rtp, rtcp, local, range: self.clone() })
    }
}

/// One for each version of IP.
#[derive(Debug, Default)]
pub struct ByIp<T> {
    v4: T,
    v6: T,
}

impl<T> ByIp<T> {
    /// That of this version.
    pub fn of(&mut self, ip: IpVersion) -> &mut T {
        match ip {
            IpVersion::V4 => &mut self.v4,
            IpVersion::V6 => &mut self.v6,
        }
    }
}

/// The ports of each address, of which there is one of a version of IP at most.
#[derive(Clone, Debug)]
pub struct PortRanges(Vec<PortRange>);

impl PortRanges {
    /// The pairs between `first` and `last`, both included, on each of `addresses`; at most `bound_max`
    /// of them are bound at once.
    pub fn new(addresses: &[IpAddr], ports: (u16, u16), bound_max: usize) -> Self {
        let room = Arc::new(AtomicUsize::new(bound_max));
        let range =
            |address: &IpAddr| PortRange { room: room.clone(), ..PortRange::new(*address, ports) };
        Self(addresses.iter().map(range).collect())
    }

    /// Those of this version of IP, else those there are; `None`: there is no address at all.
    pub fn nearest(&self, ip: IpVersion) -> Option<&PortRange> {
        self.0.iter().find(|range| range.ip() == ip).or(self.0.first())
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &PortRange> {
        self.0.iter()
    }

    /// How many pairs there are at least, whichever version is asked for.
    pub fn pairs(&self) -> usize {
        self.iter().map(PortRange::pairs).min().unwrap_or(0)
    }
}

fn bind_socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    // A wish: a network that ignores it loses nothing.
    match local {
        SocketAddr::V4(_) => drop(socket.set_tos_v4(EXPEDITED)),
        SocketAddr::V6(_) => {
            drop(socket.set_tclass_v6(EXPEDITED));
            // The same port may be somebody else's over IPv4.
            socket.set_only_v6(true)?;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// The released pairs of one worker, the longest released first. `T` names a pair.
#[derive(Debug)]
pub struct HeldPairs<T> {
    held: VecDeque<(Instant, T)>,
}

impl<T> Default for HeldPairs<T> {
    fn default() -> Self {
        Self { held: VecDeque::new() }
    }
}

impl<T> HeldPairs<T> {
    /// Holds a pair released at `now`.
    pub fn release(&mut self, pair: T, now: Instant) {
        self.held.push_back((now, pair));
    }

    /// Takes a pair that was held long enough.
    pub fn take_rested(&mut self, now: Instant) -> Option<T> {
        self.take_held_for(HOLD, now)
    }

    /// Takes a pair that was held for a while at least.
    pub fn take_resting(&mut self, now: Instant) -> Option<T> {
        self.take_held_for(HOLD_LEAST, now)
    }

    /// Takes the pair held longest, though it was not held long enough: better than no call.
    pub fn take_any(&mut self) -> Option<T> {
        self.held.pop_front().map(|(_, pair)| pair)
    }

    /// Takes a pair that nobody has needed for long, to be closed.
    pub fn take_unneeded(&mut self, now: Instant) -> Option<T> {
        self.take_held_for(KEEP, now)
    }

    fn take_held_for(&mut self, time: Duration, now: Instant) -> Option<T> {
        let (since, _) = self.held.front()?;
        if now.saturating_duration_since(*since) < time { None } else { self.take_any() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn pairs_are_even_and_odd_and_come_back() {
        let range = PortRange::new(Ipv4Addr::LOCALHOST.into(), (41_001, 41_009));
        assert_eq!(range.free.lock().len(), 4);
        let pairs: Vec<PortPair> = std::iter::from_fn(|| range.bind()).collect();
        assert!(!pairs.is_empty() && pairs.len() <= 4);
        for pair in &pairs {
            assert_eq!(pair.local.port() % 2, 0);
            let control = pair.rtcp.local_addr().unwrap().port();
            assert_eq!(control, pair.local.port() + 1);
            assert!((41_002..=41_008).contains(&pair.local.port()));
        }
        drop(pairs);
        assert_eq!(range.free.lock().len(), 4);
        assert!(range.bind().is_some());
    }

    /// The same port serves both versions of IP; what is not there is replaced by what is.
    #[test]
    fn each_version_of_ip_has_ports_of_its_own() {
        let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let ranges = PortRanges::new(&both, (41_020, 41_021), 2);
        let pairs = [IpVersion::V4, IpVersion::V6].map(|ip| {
            let pair = ranges.nearest(ip).unwrap().bind().unwrap();
            assert_eq!(pair.ip(), ip);
            pair
        });
        assert_eq!(pairs.map(|pair| pair.local.port()), [41_020, 41_020]);
        let alone = PortRanges::new(&both[1..], (41_020, 41_021), 2);
        assert_eq!(alone.nearest(IpVersion::V4).unwrap().ip(), IpVersion::V6);
        assert_eq!((ranges.pairs(), PortRanges::new(&[], (1, 9), 2).pairs()), (1, 0));
    }

    #[test]
    fn no_more_are_bound_than_may_be() {
        let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let ranges = PortRanges::new(&both, (41_030, 41_037), 2);
        let bind = |ip| ranges.nearest(ip).unwrap().bind();
        let pairs = (bind(IpVersion::V4).unwrap(), bind(IpVersion::V6).unwrap());
        assert!(bind(IpVersion::V4).is_none() && bind(IpVersion::V6).is_none());
        drop(pairs.0);
        assert!(bind(IpVersion::V6).is_some(), "given back, and again");
        assert!(bind(IpVersion::V4).is_some());
    }

    #[test]
    fn ranges_without_a_pair_are_empty() {
        for ports in [(41_000, 41_000), (41_001, 41_002), (65_535, 65_535), (9, 3)] {
            let range = PortRange::new(Ipv4Addr::LOCALHOST.into(), ports);
            assert!(range.bind().is_none(), "{ports:?}");
        }
    }

    #[test]
    fn a_released_pair_rests_for_five_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut held = HeldPairs::default();
        held.release('a', at(0));
        held.release('b', at(3));
        assert_eq!(held.take_rested(at(4)), None);
        assert_eq!(held.take_rested(at(5)), Some('a'));
        assert_eq!(held.take_rested(at(5)), None);
        assert_eq!(held.take_unneeded(at(32)), None);
        assert_eq!(held.take_unneeded(at(33)), Some('b'));
        held.release('c', at(40));
        assert_eq!([held.take_any(), held.take_any()], [Some('c'), None]);
    }
}
