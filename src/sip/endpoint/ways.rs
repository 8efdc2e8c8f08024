//! The ways out: from which listener a message leaves, and which connections that peers opened
//! carry requests of ours back to them (RFC 5923).
//!
//! ```text
//! shell ─ connected, closed ─► Ways ◄─ note_alias ─ requests with `alias` in their Via
//! send ─ onward ─► Ways ─► the flow to use
//! ```
//!
//! Bounded by the shell's bound on connections: each has one entry and at most one alias. Calls
//! nothing.

use super::config::{EndpointConfig, Listener, TrunkAccess};
use super::{Endpoint, Entry, FarEnd};
use crate::event::{Action, Flow, Transport};
use crate::leg::dialog::Destination;
use crate::message::uri::{Uri, parse_ip};
use crate::message::via::Via;
use domain::id::{LegId, TrunkId};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is known of open connections.
#[derive(Debug, Default)]
pub(super) struct Ways {
    connections: HashMap<Flow, Connection>,
    /// RFC 5923 §5: the address that a peer advertises, and the connection that leads there.
    aliases: HashMap<(Transport, SocketAddr), Flow>,
    /// Where no stream could be opened, and until when none is tried in place of a datagram.
    without_streams: BTreeMap<SocketAddr, Instant>,
}

#[derive(Debug)]
struct Connection {
    /// The domains its certificate is good for; `None`: it showed none.
    names: Option<Vec<Arc<str>>>,
    alias: Option<SocketAddr>,
}

/// How long large requests go as datagrams to a peer that took no stream.
const STREAM_RETRY: Duration = Duration::from_secs(600);

/// Peers remembered to take no streams; at the next one all are tried again.
const WITHOUT_STREAMS_MAX: usize = 1_024;

impl Ways {
    /// A connection is open. `names`: the domains of the certificate shown, checked by the shell.
    pub(super) fn connected(&mut self, flow: Flow, names: Option<Vec<Arc<str>>>) {
        self.connections.insert(flow, Connection { names, alias: None });
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, flow: Flow) {
        let Some(gone) = self.connections.remove(&flow) else { return };
        if let Some(alias) = gone.alias {
            let key = (flow.transport, alias);
            if self.aliases.get(&key) == Some(&flow) {
                self.aliases.remove(&key);
            }
        }
    }

    /// The domains that the certificate of a connection is good for; `None`: it showed none.
    pub(super) fn names(&self, flow: Flow) -> Option<&[Arc<str>]> {
        self.connections.get(&flow)?.names.as_deref()
    }

    /// A request came with `alias` in its top Via: requests to the address in it may go back over
    /// `flow`, if the sender has shown that the address is its own (RFC 5923 §8.2, §9): over TLS by
    /// a certificate, over TCP by speaking from it. Otherwise the word is ignored (§8.2).
    pub(super) fn note_alias(&mut self, via: &Via<'_>, flow: Flow) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        let names = connection.names.as_deref();
        let host = parse_ip(via.host);
        let is_own = match (flow.transport, host) {
            (Transport::Tls, Some(ip)) => names.is_some() && ip == flow.remote.ip(),
            (Transport::Tls, None) => names.is_some_and(|names| is_named(names, via.host)),
            (Transport::Tcp, Some(ip)) => ip == flow.remote.ip(),
            (Transport::Tcp, None) => false,
            // A datagram has no connection, and to a WebSocket there is no other way anyhow.
            (Transport::Udp | Transport::Ws | Transport::Wss, _) => false,
        };
        if !is_own {
            return;
        }
        let port = via.port.unwrap_or(flow.transport.default_port());
        let address = SocketAddr::new(flow.remote.ip(), port);
        if let Some(old) = connection.alias.replace(address).filter(|old| *old != address) {
            self.aliases.remove(&(flow.transport, old));
        }
        self.aliases.insert((flow.transport, address), flow);
    }

    /// The connection to use in place of a new one. Of a trunk whose certificate must bear certain
    /// names, only one whose certificate does (RFC 5923 §8.1).
    fn alias_of(&self, wanted: Flow, trunk: Option<&TrunkAccess>) -> Option<Flow> {
        let flow = *self.aliases.get(&(wanted.transport, wanted.remote))?;
        let demanded = trunk.map_or(&[][..], |trunk| &trunk.tls_names);
        let names = self.names(flow).unwrap_or_default();
        let fits = !flow.transport.is_secure()
            || demanded.is_empty()
            || demanded.iter().any(|name| is_named(names, name));
        fits.then_some(flow)
    }

    /// A stream could not be opened in place of a datagram.
    pub(super) fn took_no_stream(&mut self, remote: SocketAddr, now: Instant) {
        if self.without_streams.len() >= WITHOUT_STREAMS_MAX {
            self.without_streams.clear();
        }
        self.without_streams.insert(remote, now + STREAM_RETRY);
    }

    fn takes_streams(&self, remote: SocketAddr, now: Instant) -> bool {
        self.without_streams.get(&remote).is_none_or(|until| *until <= now)
    }
}

/// RFC 5922 §7.2: the whole name, whatever its case; a wildcard stands for nothing but itself.
fn is_named(names: &[Arc<str>], host: &str) -> bool {
    let host = host.trim_end_matches('.');
    names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

impl EndpointConfig {
    /// The listener that a flow leaves from.
    pub(super) fn listener(&self, flow: Flow) -> Option<&Listener> {
        let same = |listener: &&Listener| {
            listener.transport == flow.transport && listener.local == flow.local
        };
        self.listeners.iter().find(same)
    }

    /// The trunk that a certificate is of.
    pub(super) fn trunk_named(&self, names: &[Arc<str>]) -> Option<&TrunkAccess> {
        let is_of = |trunk: &&TrunkAccess| trunk.tls_names.iter().any(|name| is_named(names, name));
        self.trunks.iter().find(is_of)
    }

    /// The access of a trunk.
    pub(super) fn access(&self, trunk: &TrunkId) -> Option<&TrunkAccess> {
        self.trunks.iter().find(|access| access.trunk == *trunk)
    }

    /// The flow to `remote`: from the listener `name` if there is one of that name, else from one
    /// at `near`, else from the first that can reach it.
    pub(super) fn flow_from(
        &self,
        (name, near): (Option<&str>, Option<IpAddr>),
        transport: Transport,
        remote: SocketAddr,
    ) -> Option<Flow> {
        let reaches = |listener: &&Listener| {
            listener.transport == transport && listener.local.is_ipv4() == remote.is_ipv4()
        };
        let all = || self.listeners.iter().filter(reaches);
        let named = || all().find(|listener| Some(&*listener.name) == name);
        let beside = || all().find(|listener| Some(listener.local.ip()) == near);
        let local = named().or_else(beside).or_else(|| all().next())?.local;
        Some(Flow { transport, local, remote })
    }
}

impl Endpoint {
    /// A connection is open, whoever opened it. `names` are the SIP domains of the certificate that
    /// the peer showed and the shell has checked (RFC 5922 §7.1); `None` when it showed none.
    pub fn connected(&mut self, flow: Flow, names: Option<Vec<Arc<str>>>) {
        self.ways.connected(flow, names);
    }

    /// The flow that a request of `leg` to `target` leaves by, wanted to go to `to`: over a connection
    /// the peer shares (RFC 5923 §8.1), from a listener of ours that speaks the transport, or, when we
    /// have none, by the flow that the leg was made on. What asks for TLS never goes without
    /// (RFC 3261 §26.2.2).
    pub(super) fn onward(&self, leg: Option<LegId>, to: Destination, target: &Uri) -> Flow {
        let entry = leg.and_then(|leg| self.legs.get(&leg));
        let wanted = self.reopened(entry, to, target);
        let trunk = entry.and_then(|entry| entry.far_end.trunk());
        let access = trunk.and_then(|trunk| self.config.access(trunk));
        if let Some(flow) = self.ways.alias_of(wanted, access) {
            return flow;
        }
        if self.config.listener(wanted).is_some() {
            return wanted;
        }
        let made_on = entry.map(|entry| entry.made_on);
        let near = made_on.map(|flow| flow.local.ip());
        let found = self.config.flow_from((None, near), wanted.transport, wanted.remote);
        let safe = |flow: &Flow| flow.transport.is_secure() || !wanted.transport.is_secure();
        found.or(made_on.filter(safe)).unwrap_or(wanted)
    }

    /// A flow whose connection the peer had opened leads nowhere once that is gone: then a telephone is
    /// where it has registered since (RFC 5626 §5.3), and a trunk where it listens (RFC 3261 §18.1.1).
    fn reopened(&self, entry: Option<&Entry>, to: Destination, target: &Uri) -> Flow {
        let Destination { flow, listens_at } = to;
        if !flow.transport.is_reliable() || self.ways.connections.contains_key(&flow) {
            return flow;
        }
        match entry.map(|entry| &entry.far_end) {
            Some(FarEnd::Agent(agent)) => {
                self.registrar.flow_of(agent, target, flow).unwrap_or(flow)
            }
            Some(FarEnd::Trunk { .. }) | None => Flow { remote: listens_at, ..flow },
        }
    }

    /// Whose certificate the connection of `flow` must bear, if it has to be opened now.
    pub(super) fn expect(&self, leg: Option<LegId>, flow: Flow, out: &mut Vec<Action>) {
        let far_end = leg.and_then(|leg| Some(&self.legs.get(&leg)?.far_end));
        if let Some(FarEnd::Trunk { trunk, host }) = far_end
            && flow.transport.is_secure()
        {
            let (trunk, host) = (trunk.clone(), host.clone());
            out.push(Action::Expect { flow, trunk, host });
        }
    }

    /// The stream that a request too large for a datagram goes by (RFC 3261 §18.1.1). Only to
    /// trunks: a telephone is where its registration came from, and nowhere else.
    pub(super) fn stream_instead(
        &self,
        leg: Option<LegId>,
        flow: Flow,
        now: Instant,
    ) -> Option<Flow> {
        let entry = self.legs.get(&leg?)?;
        let is_trunk = entry.far_end.trunk().is_some();
        let is_tried = is_trunk && self.ways.takes_streams(flow.remote, now);
        let near = (None, Some(flow.local.ip()));
        self.config.flow_from(near, Transport::Tcp, flow.remote).filter(|_| is_tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(transport: Transport, port: u16) -> Flow {
        let local = ([192, 0, 2, 1], transport.default_port()).into();
        Flow { transport, local, remote: ([192, 0, 2, 7], port).into() }
    }

    /// RFC 5923 §8.2 and §9: who may have requests sent back over the connection he opened.
    #[test]
    fn an_alias_counts_for_whoever_has_shown_that_it_is_his() {
        let named = || Some(vec![Arc::from("pbx.example")]);
        let table = [
            (Transport::Tcp, "192.0.2.7:5070", None, true),
            (Transport::Tcp, "192.0.2.8:5070", None, false),
            (Transport::Tcp, "pbx.example:5070", None, false),
            (Transport::Tls, "pbx.example:5070", named(), true),
            (Transport::Tls, "PBX.example:5070", named(), true),
            (Transport::Tls, "other.example:5070", named(), false),
            (Transport::Tls, "192.0.2.7:5070", named(), true),
            (Transport::Tls, "192.0.2.7:5070", None, false),
            (Transport::Ws, "192.0.2.7:5070", None, false),
        ];
        for (transport, sent_by, names, expected) in table {
            let mut ways = Ways::default();
            let open = flow(transport, 40_000);
            ways.connected(open, names);
            let text = format!("SIP/2.0/{} {sent_by};branch=z9hG4bK1;alias", transport.via_name());
            ways.note_alias(&Via::parse(&text).unwrap(), open);
            let found = ways.alias_of(flow(transport, 5070), None);
            assert_eq!(found, expected.then_some(open), "{text}");
            ways.closed(open);
            assert_eq!(ways.alias_of(flow(transport, 5070), None), None);
            assert!(ways.aliases.is_empty() && ways.connections.is_empty());
        }
    }

    #[test]
    fn a_peer_without_streams_is_asked_again_later() {
        let now = domain::now::epoch().instant;
        let mut ways = Ways::default();
        let remote = flow(Transport::Udp, 5060).remote;
        assert!(ways.takes_streams(remote, now));
        ways.took_no_stream(remote, now);
        assert!(!ways.takes_streams(remote, now + STREAM_RETRY - Duration::from_secs(1)));
        assert!(ways.takes_streams(remote, now + STREAM_RETRY));
    }
}
