//! Opens what the configuration says SIP is listened for at, and says under which addresses others
//! reach it.

use crate::config::Config;
use crate::config::listeners::ListenerConfig;
use crate::net::figures::Figures;
use crate::net::places::Places;
use crate::net::streams::{Rules, StreamEvent, Streams};
use crate::net::tls::{Tls, TlsError};
use crate::net::udp::{self, Datagrams};
use crate::run::StartError;
use crate::signalling::LoopRuntime;
use sip::endpoint::config::Listener;
use sip::event::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How often another port is tried where any will do.
const PORT_TRIES: u32 = 20;

/// Everything that SIP comes in by.
pub struct Doors {
    /// Datagram sockets.
    pub datagrams: Arc<Datagrams>,
    /// Connections.
    pub streams: Streams,
    /// What they tell.
    pub events: mpsc::Receiver<StreamEvent>,
    /// As the endpoint has them.
    pub listeners: Vec<Listener>,
    /// Certificates, when there are any to be used.
    pub tls: Arc<Tls>,
}

/// Reads the certificates of a configuration.
///
/// # Errors
/// The first file that cannot be used.
pub fn certificates(config: &Config) -> Result<Tls, TlsError> {
    let trunks = config.trunks.iter().map(|(id, trunk)| (id.clone(), trunk.tls.clone()));
    Tls::load(config.tls.clone(), trunks.collect())
}

/// Opens all listeners. To be called within the runtime that is to serve the connections; datagrams
/// are served by `runtime`.
///
/// # Errors
/// A certificate that cannot be used, or an address that cannot be bound.
pub fn open(config: &Config, runtime: &LoopRuntime) -> Result<Doors, StartError> {
    let tls = Arc::new(certificates(config)?);
    let sip = &config.sip;
    let (streams, events) = Streams::new(Rules {
        places: Places::new(sip.connections_max, sip.connections_per_source_max),
        tls: Some(tls.clone()),
        handshake: tls.handshake(),
        figures: Arc::new(Figures::default()),
    });
    let (mut sockets, mut listeners) = (Vec::new(), Vec::new());
    for listener in &sip.listeners {
        let opened = open_one(listener, sip.receive_buffer, runtime, &streams);
        let (socket, local) = opened.map_err(|error| StartError::Listen {
            key: match &*listener.name {
                "listen" => "[sip] listen".to_owned(),
                name => format!("[sip.listeners.{name}] address"),
            },
            address: listener.address,
            error,
        })?;
        sockets.extend(socket.map(|socket| (local, socket)));
        listeners.extend(advertised(listener, local));
    }
    let datagrams = Arc::new(Datagrams::new(sockets));
    Ok(Doors { datagrams, streams, events, listeners, tls })
}

type Opened = (Option<tokio::net::UdpSocket>, SocketAddr);

fn open_one(
    listener: &ListenerConfig,
    receive_buffer: usize,
    runtime: &LoopRuntime,
    streams: &Streams,
) -> io::Result<Opened> {
    let mut tries = 1..PORT_TRIES;
    loop {
        match try_one(listener, receive_buffer, runtime, streams) {
            // Where any port will do, the one that the system gave for datagrams may be somebody
            // else's for streams.
            Err(error)
                if listener.address.port() == 0
                    && error.kind() == io::ErrorKind::AddrInUse
                    && tries.next().is_some() => {}
            opened => return opened,
        }
    }
}

fn try_one(
    listener: &ListenerConfig,
    receive_buffer: usize,
    runtime: &LoopRuntime,
    streams: &Streams,
) -> io::Result<Opened> {
    let mut local = listener.address;
    let mut socket = None;
    if listener.transports.contains(&Transport::Udp) {
        let _on_its_runtime = runtime.enter();
        let bound = udp::bind(local, receive_buffer)?;
        local = bound.local_addr()?;
        socket = Some(bound);
    }
    for transport in listener.transports.iter().filter(|transport| transport.is_reliable()) {
        local = streams.listen(*transport, local, listener.client_certificate)?;
    }
    Ok((socket, local))
}

/// The listener as the endpoint has it, once for each transport.
fn advertised(listener: &ListenerConfig, local: SocketAddr) -> impl Iterator<Item = Listener> {
    let mut reached = listener.advertise.unwrap_or(SocketAddr::new(local.ip(), 0));
    if reached.ip().is_unspecified() {
        reached.set_ip(outward(reached.ip()));
        let (name, address) = (&listener.name, reached.ip());
        tracing::info!(%name, %address, "others are told this address; `advertise` names another");
    }
    if reached.port() == 0 {
        reached.set_port(local.port());
    }
    listener.transports.iter().map(move |transport| Listener {
        name: listener.name.clone(),
        transport: *transport,
        local,
        advertised: reached,
        host: listener.host.clone(),
    })
}

/// The address of this machine towards the outside: the one that packets to a documentation address
/// (RFC 5737, RFC 3849) would leave from. None is sent. Loopback when there is no way out.
fn outward(wildcard: IpAddr) -> IpAddr {
    let (any, outside, loopback): (SocketAddr, SocketAddr, IpAddr) = match wildcard {
        IpAddr::V4(_) => (
            (Ipv4Addr::UNSPECIFIED, 0).into(),
            ([198, 51, 100, 1], 9).into(),
            Ipv4Addr::LOCALHOST.into(),
        ),
        IpAddr::V6(_) => (
            (Ipv6Addr::UNSPECIFIED, 0).into(),
            (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
            Ipv6Addr::LOCALHOST.into(),
        ),
    };
    let look = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect(outside)?;
        io::Result::Ok(socket.local_addr()?.ip())
    };
    look().ok().filter(|found| !found.is_unspecified()).unwrap_or(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::ClientCertificate;

    #[test]
    fn a_wildcard_is_never_told_to_others() {
        let told = |listen: &str, advertise: Option<&str>| {
            let address: SocketAddr = listen.parse().unwrap();
            let listener = ListenerConfig {
                name: "listen".into(),
                address,
                transports: vec![Transport::Udp, Transport::Tcp],
                advertise: advertise.and_then(|text| text.parse().ok()),
                host: None,
                client_certificate: ClientCertificate::Asked,
            };
            let all: Vec<_> = advertised(&listener, address).collect();
            assert_eq!(all.len(), 2);
            assert!(all.iter().all(|it| it.local == address && it.advertised == all[0].advertised));
            all[0].advertised
        };
        for wildcard in ["0.0.0.0:5060", "[::]:5060"] {
            let told = told(wildcard, None);
            assert!(!told.ip().is_unspecified() && told.port() == 5060, "{told}");
        }
        let outside = "203.0.113.5";
        assert_eq!(
            told("0.0.0.0:5060", Some("203.0.113.5:0")).to_string(),
            format!("{outside}:5060")
        );
        assert_eq!(
            told("192.0.2.1:5060", Some("203.0.113.5:70")).to_string(),
            format!("{outside}:70")
        );
        assert_eq!(told("192.0.2.1:5060", None).to_string(), "192.0.2.1:5060");
    }
}
