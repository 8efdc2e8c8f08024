//! What the endpoint is told at its start: its addresses, who may call, and its limits.

use super::defence::DefenceRules;
use crate::digest::Algorithm;
use crate::event::{Flow, Transport};
use crate::identity::border::{Border, Methods};
use crate::message::uri::parse_ip;
use crate::message::via::Via;
use domain::id::{AgentId, LegId, TrunkId};
use domain::ip_version::IpVersions;
use domain::media_plan::Codec;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Everything the endpoint must know.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Where we listen; the first of a transport and family is used for what we begin, unless a
    /// trunk names another.
    pub listeners: Vec<Listener>,
    /// The name agents' telephones register under, and the realm of our challenges.
    pub realm: Arc<str>,
    /// What agents are challenged with, the most wanted first; not empty. MD5 alone is what old
    /// telephones know; some take only the first challenge they see.
    pub digest_algorithms: Vec<Algorithm>,
    /// What is answered to those who are neither a trunk nor a registered telephone.
    pub strangers: Strangers,
    /// The methods that all but trunks may use.
    pub methods: Methods,
    /// Fields whose name starts so are ours: they are taken out of what comes in and goes out.
    /// Empty: there are none.
    pub internal_headers: Arc<str>,
    /// The agents' accounts.
    pub agents: Vec<AgentAccount>,
    /// The carriers and PBXs.
    pub trunks: Vec<TrunkAccess>,
    /// Which extensions the sessions of agents' telephones use.
    pub agent_sessions: SessionPolicy,
    /// The versions of IP that there are ports for sound of.
    pub sound_ip: IpVersions,
    /// What we speak, the preferred first; not empty.
    pub codecs: Vec<Codec>,
    /// `User-Agent` and `Server`.
    pub user_agent: Arc<str>,
    /// What we take on at most.
    pub limits: Limits,
    /// What keeps us standing under attack and overload.
    pub defence: DefenceRules,
    /// The number of the first incoming leg; odd.
    pub first_leg: LegId,
}

/// What strangers are answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strangers {
    /// Refused: 401 for our names, 403 for others, the same whether there is such a user or not.
    Refuse,
    /// Nothing at all, unless their From has our realm as its host.
    Ignore,
}

/// One address we listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// What trunks call it; several transports may share a name.
    pub name: Arc<str>,
    /// How.
    pub transport: Transport,
    /// The address bound, as `Flow::local` has it.
    pub local: SocketAddr,
    /// The address others reach it under: what Via and Contact say.
    pub advertised: SocketAddr,
    /// The host name that Via and Contact say in place of the address, the port being that of
    /// `advertised`: what TLS peers compare with our certificate (RFC 5922 §7.3).
    pub host: Option<Arc<str>>,
}

impl Listener {
    /// A listener of one address, which is also the one others reach it under.
    pub fn at(transport: Transport, local: SocketAddr) -> Self {
        Self { name: "listen".into(), transport, local, advertised: local, host: None }
    }

    /// Host and port that others reach it under, as Via and URIs have them.
    fn sent_by(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}:{}", self.advertised.port()),
            None => self.advertised.to_string(),
        }
    }
}

/// An agent's account.
#[derive(Clone, Debug)]
pub struct AgentAccount {
    /// Whose.
    pub agent: AgentId,
    /// The user name: user part of the address and digest `username`.
    pub user: Arc<str>,
    /// The password.
    pub password: Arc<str>,
}

/// A carrier's or PBX's access.
#[derive(Clone, Debug)]
pub struct TrunkAccess {
    /// Whose.
    pub trunk: TrunkId,
    /// Where its calls come from. A call from elsewhere is refused.
    pub networks: Vec<Network>,
    /// The domains that its certificate may be for (RFC 5922 §7): a call over a connection with
    /// such a certificate is its own wherever it comes from. Empty: known by `networks` alone.
    pub tls_names: Vec<Arc<str>>,
    /// The listener that calls to it leave from; `None`: the first that can reach it.
    pub listener: Option<Arc<str>>,
    /// What answers its challenges to our calls, if it makes any.
    pub credentials: Option<Credentials>,
    /// What holds at the border to it.
    pub border: Border,
    /// Which extensions its sessions use.
    pub session: SessionPolicy,
    /// What is spoken with it, the preferred first; empty: what the house speaks.
    pub codecs: Vec<Codec>,
}

/// Which extensions sessions with a peer use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionPolicy {
    /// Reliable provisional responses, both ways.
    pub reliable: Reliable,
    /// The session interval we ask for, in seconds (RFC 4028); 0: we ask for none, but keep what is
    /// asked of us. Below 90 it counts as 90.
    pub interval_s: u32,
    /// Whether our INVITE leaves the offer to the other end (RFC 3261 §13.2.1).
    pub late_offer: bool,
}

/// Whether provisional responses are acknowledged (RFC 3262).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reliable {
    /// Never; who insists on it is refused with 420.
    Off,
    /// Where the other end can.
    Supported,
    /// Always; who cannot is refused with 421.
    Required,
}

impl SessionPolicy {
    /// None of them: what the oldest telephone understands.
    pub const PLAIN: Self = Self { reliable: Reliable::Off, interval_s: 0, late_offer: false };
}

/// A user name and password for one trunk, never shown to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    /// Digest `username`.
    pub user: Arc<str>,
    /// The password.
    pub password: Arc<str>,
    /// The only realm whose challenges are answered; `None`: any that the trunk sends us, also those
    /// it relays from behind it.
    pub realm: Option<Arc<str>>,
}

/// What we take on at most. Beyond, requests are refused with 503 and `Retry-After` before
/// anything is kept of them, and `Dial` ends with `Cause::not_admitted()`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Transactions of both kinds, absorbing ones included.
    pub transactions: usize,
    /// Legs, incoming and outgoing.
    pub legs: usize,
    /// Contacts of one agent; the one longest unused goes when another comes.
    pub contacts: usize,
    /// What `Retry-After` says, in seconds.
    pub retry_after_s: u32,
}

/// A range of addresses, such as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `address/prefix`, or an address alone. `None` when it is neither, or the prefix is
    /// longer than the address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    /// Whether an address lies in it. An IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = |bits: u8| u32::from(bits - self.prefix);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(shift(32)).unwrap_or(0);
                (ours.to_bits() ^ theirs.to_bits()) & mask == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(shift(128)).unwrap_or(0);
                (ours.to_bits() ^ theirs.to_bits()) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl EndpointConfig {
    /// The address others reach us under, for a message over `flow`.
    pub(crate) fn advertised(&self, flow: Flow) -> SocketAddr {
        self.listener(flow).map_or(flow.local, |listener| listener.advertised)
    }

    /// The host and port others reach us under, for a message over `flow`.
    pub(crate) fn sent_by(&self, flow: Flow) -> String {
        self.listener(flow).map_or_else(|| flow.local.to_string(), Listener::sent_by)
    }

    /// The host of [`sent_by`](Self::sent_by), IPv6 in brackets.
    pub(crate) fn sent_by_host(&self, flow: Flow) -> String {
        let sent_by = self.sent_by(flow);
        let host = sent_by.rsplit_once(':').map_or(&*sent_by, |(host, _)| host);
        host.to_owned()
    }

    /// The flow of calls to a trunk at `remote`, from the listener that it names.
    pub(crate) fn flow_to(
        &self,
        trunk: &TrunkId,
        transport: Transport,
        remote: SocketAddr,
    ) -> Option<Flow> {
        let listener = self.access(trunk).and_then(|access| access.listener.as_deref());
        self.flow_from((listener, None), transport, remote)
    }

    /// The trunk whose networks an address lies in.
    pub(crate) fn trunk_at(&self, address: IpAddr) -> Option<&TrunkAccess> {
        let lies_in =
            |trunk: &&TrunkAccess| trunk.networks.iter().any(|network| network.contains(address));
        self.trunks.iter().find(lies_in)
    }

    /// Which extensions sessions with a trunk use. One that is not known uses none.
    pub(crate) fn session_with(&self, trunk: &TrunkId) -> SessionPolicy {
        let found = self.trunks.iter().find(|access| access.trunk == *trunk);
        found.map_or(SessionPolicy::PLAIN, |access| access.session)
    }

    /// What is spoken with a trunk, or with a telephone of ours, the preferred first.
    pub(crate) fn codecs_with(&self, trunk: Option<&TrunkId>) -> &[Codec] {
        let own = trunk.and_then(|trunk| self.access(trunk)).map(|access| &access.codecs);
        own.filter(|codecs| !codecs.is_empty()).unwrap_or(&self.codecs)
    }

    /// What answers the challenges of a trunk.
    pub(crate) fn credentials_of(&self, trunk: &TrunkId) -> Option<Credentials> {
        self.access(trunk)?.credentials.clone()
    }

    /// Whether a Via has a sent-by that we put into requests (RFC 3261 §18.1.2).
    pub(crate) fn is_our_sent_by(&self, via: &Via<'_>) -> bool {
        let ip = parse_ip(via.host);
        let is_it = |listener: &Listener| {
            let port = via.port.unwrap_or(listener.transport.default_port());
            let is_host = match &listener.host {
                Some(host) => host.eq_ignore_ascii_case(via.host),
                None => Some(listener.advertised.ip()) == ip,
            };
            is_host && listener.advertised.port() == port
        };
        self.listeners.iter().any(is_it)
    }

    /// Whether a host names us: our realm, or an address we are reached under.
    pub(crate) fn is_our_host(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = bare.parse().ok();
        let names = |listener: &Listener| match address {
            Some(address) => listener.advertised.ip() == address || listener.local.ip() == address,
            None => listener.host.as_ref().is_some_and(|name| host.eq_ignore_ascii_case(name)),
        };
        host.eq_ignore_ascii_case(&self.realm) || self.listeners.iter().any(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_their_prefix_says() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.6"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("128.0.0.0/1", "255.0.0.1", "127.0.0.1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
        assert!(Network::parse("0.0.0.0/0").unwrap().contains([8, 8, 8, 8].into()));
        assert!(Network::parse("::/0").unwrap().contains(IpAddr::from([1; 16])));
        for wrong in ["", "192.0.2.0/33", "192.0.2.0/-1", "x/8", "2001:db8::/129"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
