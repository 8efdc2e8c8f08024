//! Which version of IP something speaks.

use std::net::IpAddr;

/// A version of IP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum IpVersion {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// That of an address. An IPv4 address as IPv6 maps it (RFC 4291 §2.5.5.2) is spoken to by IPv6
    /// sockets alone.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// The versions that we have an address of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct IpVersions {
    v4: bool,
    v6: bool,
}

impl IpVersions {
    /// Those of these addresses.
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut versions = Self::default();
        for address in addresses {
            match IpVersion::of(address) {
                IpVersion::V4 => versions.v4 = true,
                IpVersion::V6 => versions.v6 = true,
            }
        }
        versions
    }

    /// Whether this one is among them.
    pub fn has(self, version: IpVersion) -> bool {
        match version {
            IpVersion::V4 => self.v4,
            IpVersion::V6 => self.v6,
        }
    }

    /// The one wanted if we have it, else the one we have.
    pub fn nearest(self, wanted: IpVersion) -> IpVersion {
        if self.has(wanted) { wanted } else { wanted.other() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_replaced_by_what_is() {
        use IpVersion::{V4, V6};
        let versions = |addresses: &[&str]| {
            IpVersions::of(addresses.iter().map(|address| address.parse().unwrap()))
        };
        for (addresses, nearest) in [
            (&["192.0.2.1"][..], [V4, V4]),
            (&["2001:db8::1"], [V6, V6]),
            (&["192.0.2.1", "2001:db8::1"], [V4, V6]),
        ] {
            let found = versions(addresses);
            assert_eq!([V4, V6].map(|wanted| found.nearest(wanted)), nearest, "{addresses:?}");
        }
        assert_eq!(V4.other(), V6);
    }
}
