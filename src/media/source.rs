//! Who may send to a leg: the address agreed on, or one that differs in the port alone, once.
//!
//! ```text
//!            first packet from the agreed IP
//! Expected ─────────────────────────────────► Locked ── the agreed port speaks ──► Locked for good
//! ```
//!
//! Behind a NAT the description names an address that nobody reaches, and the sound comes from the
//! host that the signalling comes from: that one is admitted, too (RFC 7362 §4).
//!
//! Whatever comes from elsewhere is refused and counted: a stranger can neither be heard nor have
//! the sound sent to it ("RTP bleed"), since what is sent goes to the locked address (RFC 4961).
//!
//! Calls nothing. Called by `leg`.

use std::net::{IpAddr, SocketAddr};

/// The other end as it was agreed on, and as it turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    agreed: SocketAddr,
    /// The other host that counts as theirs.
    also: Option<IpAddr>,
    locked: Option<SocketAddr>,
}

impl Source {
    /// Expects packets from `agreed`, or else from the host `also`.
    pub fn expect(agreed: SocketAddr, also: Option<IpAddr>) -> Self {
        let also = also.map(|ip| ip.to_canonical());
        Self { agreed: canonical(agreed), also, locked: None }
    }

    /// Takes a new agreement; the lock stays if the addresses are the same.
    pub fn expect_anew(&mut self, agreed: SocketAddr, also: Option<IpAddr>) {
        let fresh = Self::expect(agreed, also);
        if (fresh.agreed, fresh.also) != (self.agreed, self.also) {
            *self = fresh;
        }
    }

    /// Whether a packet from `from` is to be taken. The first one locks.
    pub fn admits(&mut self, from: SocketAddr) -> bool {
        if self.locked == Some(from) {
            return true;
        }
        let from = canonical(from);
        if !self.admits_host(from) {
            return false;
        }
        match self.locked {
            // Behind a NAT the port is often another one; only the first such packet is believed.
            None => self.locked = Some(from),
            // The agreed address itself is better evidence than a guess from the first packet.
            Some(_) if from == self.agreed => self.locked = Some(from),
            Some(locked) => return locked == from,
        }
        true
    }

    /// Whether a control packet (RTCP) from `from` is to be taken: from any port of the host.
    pub fn admits_host(&self, from: SocketAddr) -> bool {
        let from = canonical(from).ip();
        let theirs = from == self.agreed.ip() || Some(from) == self.also;
        theirs && !self.agreed.ip().is_unspecified()
    }

    /// Where to send; `None` when the agreement says that nothing is to be sent.
    pub fn remote(&self) -> Option<SocketAddr> {
        if self.agreed.port() == 0 || self.agreed.ip().is_unspecified() {
            return None;
        }
        Some(self.locked.unwrap_or(self.agreed))
    }

    /// Where to send RTCP: the next port (RFC 3550 §11).
    pub fn control_remote(&self) -> Option<SocketAddr> {
        let mut remote = self.remote()?;
        remote.set_port(remote.port().checked_add(1)?);
        Some(remote)
    }
}

/// An IPv4 address seen through an IPv6 socket is the IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => SocketAddr::new(ip.to_canonical(), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_port_of_the_agreed_host_locks_and_strangers_stay_out() {
        let good = "192.0.2.1:4000";
        let other_port = "192.0.2.1:4444";
        let third_port = "192.0.2.1:5555";
        let stranger = "198.51.100.9:4000";
        let cases: [(&[(&str, bool)], &str); 5] = [
            (&[(good, true), (other_port, false), (stranger, false)], good),
            (&[(other_port, true), (other_port, true), (third_port, false)], other_port),
            (&[(other_port, true), (good, true), (other_port, false)], good),
            (&[(stranger, false), (other_port, true)], other_port),
            (&[("[::ffff:192.0.2.1]:4000", true), (other_port, false)], good),
        ];
        for (packets, sends_to) in cases {
            let mut source = Source::expect(address(good), None);
            for (from, admitted) in packets {
                assert_eq!(source.admits(address(from)), *admitted, "{packets:?}");
            }
            assert_eq!(source.remote(), Some(address(sends_to)), "{packets:?}");
        }
    }

    /// A telephone behind a NAT: its description names a private address, its messages come from
    /// the public one, and so does its sound.
    #[test]
    fn the_host_of_the_signalling_is_no_stranger() {
        let signalling = address("203.0.113.5:5060").ip();
        let mut source = Source::expect(address("192.168.1.2:4000"), Some(signalling));
        assert!(!source.admits(address("198.51.100.9:4000")));
        assert!(source.admits(address("203.0.113.5:61000")));
        assert!(!source.admits(address("203.0.113.5:61002")));
        assert_eq!(source.remote(), Some(address("203.0.113.5:61000")));
        // The address of the description, should it speak after all, is the better one.
        assert!(source.admits(address("192.168.1.2:4000")));
        assert!(!source.admits(address("203.0.113.5:61000")));
    }

    #[test]
    fn a_new_agreement_unlocks_and_the_same_one_does_not() {
        let mut source = Source::expect(address("192.0.2.1:4000"), None);
        assert!(source.admits(address("192.0.2.1:4444")));
        source.expect_anew(address("192.0.2.1:4000"), None);
        assert!(!source.admits(address("192.0.2.1:5555")));
        source.expect_anew(address("192.0.2.2:4000"), None);
        assert!(!source.admits(address("192.0.2.1:4444")));
        assert_eq!(source.control_remote(), Some(address("192.0.2.2:4001")));
    }

    #[test]
    fn no_address_means_no_sound_either_way() {
        for held in ["0.0.0.0:4000", "192.0.2.1:0"] {
            assert_eq!(Source::expect(address(held), None).remote(), None);
        }
        let held = address("0.0.0.0:4000");
        assert!(!Source::expect(held, held.ip().into()).admits(held));
        assert_eq!(Source::expect(address("192.0.2.1:65535"), None).control_remote(), None);
    }
}
