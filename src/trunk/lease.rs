//! Who holds which channel: of its trunk and of its tenant, each by direction. A channel is leased to
//! a leg, so that giving it back twice, or for a leg that has none, does nothing.
//!
//! Calls `cap`. Called by `trunks`.

use crate::cap::TrunkCap;
use crate::rules::Caps;
use domain::hop::Hop;
use domain::id::{LegId, TenantId, TrunkId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Who began a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Way {
    /// The trunk did.
    Incoming,
    /// We did.
    Outgoing,
}

/// A channel in use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// Of which trunk.
    pub trunk: TrunkId,
    /// Of which tenant.
    pub tenant: TenantId,
    /// Who began the call.
    pub way: Way,
    /// To which target it went; `None` for a call that came.
    pub hop: Option<Hop>,
    /// Since when.
    pub since: Instant,
    /// How long after that its ringing was heard.
    pub rang_after: Option<Duration>,
    /// Whether it was answered.
    pub answered: bool,
    /// What its final response asked us to wait (RFC 3261 §20.33).
    pub retry_after: Option<Duration>,
}

/// Which cap is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// Calls per second; a channel of it is free at this instant, `None`: never.
    Rate(Option<Instant>),
    /// Calls at once.
    Channels,
}

/// Whose cap it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// The trunk's.
    Trunk,
    /// The tenant's.
    Tenant,
}

/// What one trunk or tenant uses of its caps.
#[derive(Clone, Debug)]
pub struct Share {
    incoming: TrunkCap,
    outgoing: TrunkCap,
    channels_max: u32,
}

impl Share {
    /// Nothing in use.
    pub fn new(caps: &Caps) -> Self {
        Self {
            incoming: TrunkCap::new(caps.incoming_per_second, caps.incoming),
            outgoing: TrunkCap::new(caps.outgoing_per_second, caps.outgoing),
            channels_max: caps.channels,
        }
    }

    /// Whether another call may begin.
    ///
    /// # Errors
    /// Which cap stands against it.
    pub fn room(&self, way: Way, now: Instant) -> Result<(), Full> {
        let cap = self.cap(way);
        if !cap.has_channel() || self.channels() >= self.channels_max {
            return Err(Full::Channels);
        }
        match cap.next(now) {
            Some(at) if at <= now => Ok(()),
            next => Err(Full::Rate(next)),
        }
    }

    /// Channels in use, of both directions.
    pub fn channels(&self) -> u32 {
        self.incoming.channels().saturating_add(self.outgoing.channels())
    }

    /// Channels in use by calls of one direction.
    pub fn channels_of(&self, way: Way) -> u32 {
        self.cap(way).channels()
    }

    /// Calls begun in the last second, of one direction.
    pub fn rate_of(&self, way: Way, now: Instant) -> u32 {
        self.cap(way).rate(now)
    }

    /// When the next call may begin, as far as the calls per second go; `None`: never.
    pub fn next(&self, way: Way, now: Instant) -> Option<Instant> {
        self.cap(way).next(now)
    }

    fn cap(&self, way: Way) -> &TrunkCap {
        match way {
            Way::Incoming => &self.incoming,
            Way::Outgoing => &self.outgoing,
        }
    }

    fn cap_mut(&mut self, way: Way) -> &mut TrunkCap {
        match way {
            Way::Incoming => &mut self.incoming,
            Way::Outgoing => &mut self.outgoing,
        }
    }
}

/// All channels in use, and the caps they count against.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    trunks: BTreeMap<TrunkId, Share>,
    tenants: BTreeMap<TenantId, Share>,
    /// As many as there are legs, which the endpoint bounds.
    held: BTreeMap<LegId, Lease>,
}

impl Leases {
    /// Nothing in use, under these caps.
    pub fn new(
        trunks: impl Iterator<Item = (TrunkId, Caps)>,
        tenants: impl Iterator<Item = (TenantId, Caps)>,
    ) -> Self {
        Self {
            trunks: trunks.map(|(id, caps)| (id, Share::new(&caps))).collect(),
            tenants: tenants.map(|(id, caps)| (id, Share::new(&caps))).collect(),
            held: BTreeMap::new(),
        }
    }

    /// What a trunk uses.
    pub fn trunk(&self, trunk: &TrunkId) -> Option<&Share> {
        self.trunks.get(trunk)
    }

    /// What a tenant uses; `None`: it has no caps.
    pub fn tenant(&self, tenant: &TenantId) -> Option<&Share> {
        self.tenants.get(tenant)
    }

    /// Leases a channel to `leg`, which has none yet. With `always` no cap stands against it.
    ///
    /// # Errors
    /// A cap is full: whose, and which.
    pub fn take(&mut self, leg: LegId, lease: Lease, always: bool) -> Result<(), (Whose, Full)> {
        if self.held.contains_key(&leg) {
            return Err((Whose::Trunk, Full::Channels));
        }
        let shares =
            [(Whose::Trunk, self.trunk(&lease.trunk)), (Whose::Tenant, self.tenant(&lease.tenant))];
        for (whose, share) in shares {
            let room = share.map_or(Ok(()), |share| share.room(lease.way, lease.since));
            room.or_else(|full| if always { Ok(()) } else { Err((whose, full)) })?;
        }
        let now = lease.since;
        let shares = [self.trunks.get_mut(&lease.trunk), self.tenants.get_mut(&lease.tenant)];
        for share in shares.into_iter().flatten() {
            share.cap_mut(lease.way).take_always(now);
        }
        self.held.insert(leg, lease);
        Ok(())
    }

    /// The lease of a leg.
    pub fn of(&mut self, leg: LegId) -> Option<&mut Lease> {
        self.held.get_mut(&leg)
    }

    /// Gives a leg's channel back.
    pub fn release(&mut self, leg: LegId) -> Option<Lease> {
        let lease = self.held.remove(&leg)?;
        let shares = [self.trunks.get_mut(&lease.trunk), self.tenants.get_mut(&lease.tenant)];
        for share in shares.into_iter().flatten() {
            share.cap_mut(lease.way).release();
        }
        Some(lease)
    }

    /// All of them, by leg.
    pub fn held(&self) -> impl Iterator<Item = (LegId, &Lease)> {
        self.held.iter().map(|(leg, lease)| (*leg, lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    fn lease(way: Way, since: Instant) -> Lease {
        let tenant = TenantId::default();
        let trunk = TrunkId::new(&tenant, "carrier");
        Lease {
            trunk,
            tenant,
            way,
            hop: None,
            since,
            rang_after: None,
            answered: false,
            retry_after: None,
        }
    }

    fn leases(trunk: Caps, tenant: Caps) -> Leases {
        let id = TenantId::default();
        let trunks = std::iter::once((TrunkId::new(&id, "carrier"), trunk));
        Leases::new(trunks, std::iter::once((id, tenant)))
    }

    /// Each cap stands on its own: of a direction, of both together, of the tenant.
    #[test]
    fn every_cap_is_kept() {
        let now = epoch().instant;
        let cases = [
            (Caps { outgoing: 2, ..Caps::NONE }, Caps::NONE, 2, 10),
            (Caps { incoming: 3, ..Caps::NONE }, Caps::NONE, 10, 3),
            (Caps { channels: 12, ..Caps::NONE }, Caps::NONE, 10, 2),
            (Caps { outgoing_per_second: 4, ..Caps::NONE }, Caps::NONE, 4, 10),
            (Caps { incoming_per_second: 5, ..Caps::NONE }, Caps::NONE, 10, 5),
            (Caps::NONE, Caps { channels: 7, ..Caps::NONE }, 7, 0),
            (Caps::NONE, Caps { incoming: 1, ..Caps::NONE }, 10, 1),
        ];
        for (trunk, tenant, outgoing, incoming) in cases {
            let mut leases = leases(trunk, tenant);
            let mut take = |way, first: u64| {
                let legs = (first..first + 10).map(LegId);
                legs.filter(|leg| leases.take(*leg, lease(way, now), false).is_ok()).count()
            };
            let taken = (take(Way::Outgoing, 0), take(Way::Incoming, 100));
            assert_eq!(taken, (outgoing, incoming), "{trunk:?} {tenant:?}");
            // An emergency call is let through, and nothing is lost in giving all back.
            assert!(leases.take(LegId(1_000), lease(Way::Outgoing, now), true).is_ok());
            for leg in (0..2_000).map(LegId) {
                leases.release(leg);
                leases.release(leg);
            }
            let id = TenantId::default();
            assert_eq!(leases.tenant(&id).map(Share::channels), Some(0));
            assert_eq!(leases.trunk(&TrunkId::new(&id, "carrier")).map(Share::channels), Some(0));
        }
    }

    #[test]
    fn a_leg_has_one_channel() {
        let now = epoch().instant;
        let mut leases = leases(Caps { outgoing: 1, ..Caps::NONE }, Caps::NONE);
        assert!(leases.take(LegId(2), lease(Way::Outgoing, now), false).is_ok());
        assert!(leases.take(LegId(2), lease(Way::Outgoing, now), true).is_err());
        let full = leases.trunk(&TrunkId::new(&TenantId::default(), "carrier")).unwrap();
        assert_eq!(full.room(Way::Outgoing, now), Err(Full::Channels));
        assert_eq!(full.room(Way::Incoming, now), Ok(()));
        assert_eq!(leases.held().count(), 1);
    }
}
