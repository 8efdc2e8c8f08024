//! How many connections there may be: in total, and from one source, so that nobody takes all.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The places for connections.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total_max: usize,
    per_source_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// All are taken.
    Total,
    /// The source has all that one may have.
    Source,
}

/// A place taken, given back when dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    source: Option<IpAddr>,
}

impl Places {
    /// With these bounds.
    pub fn new(total_max: usize, per_source_max: usize) -> Self {
        Self(Arc::new(Shared { total_max, per_source_max, taken: Mutex::default() }))
    }

    /// Takes a place for a connection from `source`; `None`: for one that we open.
    ///
    /// # Errors
    /// [`Full`] says which bound is reached.
    pub fn take(&self, source: Option<IpAddr>) -> Result<Place, Full> {
        let source = source.map(network);
        let mut taken = self.0.taken.lock();
        if taken.total >= self.0.total_max {
            return Err(Full::Total);
        }
        if let Some(source) = source {
            let of_source = taken.by_source.entry(source).or_default();
            if *of_source >= self.0.per_source_max {
                return Err(Full::Source);
            }
            *of_source += 1;
        }
        taken.total += 1;
        Ok(Place { shared: self.0.clone(), source })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.taken.lock().total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.total -= 1;
        if let Some(source) = self.source
            && let Some(of_source) = taken.by_source.get_mut(&source)
        {
            *of_source -= 1;
            if *of_source == 0 {
                taken.by_source.remove(&source);
            }
        }
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host may choose from
/// (RFC 4291 §2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_in_total_and_fewer_for_one_source() {
        let places = Places::new(3, 2);
        let from = |text: &str| Some(text.parse().unwrap());
        let first = places.take(from("2001:db8::1")).unwrap();
        let _second = places.take(from("2001:db8::2")).unwrap();
        assert_eq!(places.take(from("2001:db8::3")).unwrap_err(), Full::Source);
        let other = places.take(from("2001:db8:0:1::3")).unwrap();
        assert_eq!(places.take(None).unwrap_err(), Full::Total);
        drop(first);
        assert_eq!(places.taken(), 2);
        places.take(from("2001:db8::3")).unwrap();
        drop(other);
        assert_eq!(places.0.taken.lock().by_source.len(), 1);
    }
}
