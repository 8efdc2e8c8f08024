//! How a message travels, and the next place it is sent to.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// How a message travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Transport {
    /// Datagrams: unreliable, so transactions retransmit.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS (RFC 3261 §26.2.1).
    Tls,
    /// WebSocket frames (RFC 7118).
    Ws,
    /// WebSocket frames within TLS.
    Wss,
}

impl Transport {
    /// Every transport, in the order they are counted and listed.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Whether the transport repeats what is lost (RFC 3261 §17, RFC 7118 §5): everything but
    /// datagrams. A reliable transport has connections.
    pub fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls | Self::Ws | Self::Wss => true,
        }
    }

    /// Whether nobody on the way can read or change what is sent: what `sips` asks of each hop
    /// (RFC 3261 §26.2.2).
    pub fn is_secure(self) -> bool {
        match self {
            Self::Tls | Self::Wss => true,
            Self::Udp | Self::Tcp | Self::Ws => false,
        }
    }

    /// Whether a message is one WebSocket frame and the peer cannot be connected to (RFC 7118 §5).
    pub fn is_web_socket(self) -> bool {
        match self {
            Self::Ws | Self::Wss => true,
            Self::Udp | Self::Tcp | Self::Tls => false,
        }
    }

    /// The word in `Via` (RFC 3261 §20.42, RFC 7118 §5.1).
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The port that is meant where none is written (RFC 3261 §19.1.2, RFC 7118 §5.5).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// The value of the `transport` parameter of a `sip` URI (RFC 3261 §19.1.1, RFC 7118 §5.2). Over
    /// TLS it is `tls`: RFC 3261 §26.2.2 deprecates the word, but without it a `sip` URI leads
    /// everybody to plain TCP, and it is what carriers and telephones write and read.
    ///
    /// Both WebSocket transports are `ws` (RFC 7118 §5.2: whether it is secure is the scheme's word).
    pub fn uri_param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// The transport that a `transport` parameter names. `None`: one we do not know (sctp).
    pub fn of_uri_param(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.uri_param().eq_ignore_ascii_case(value))
    }
}

/// The next place a request is sent to (RFC 3263 §4): what a target was resolved to.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Hop {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The domain it was located by, with its port if one was written: the host of request URI and
    /// To. `None`: it was given as an address.
    pub host: Option<Arc<str>>,
}

impl Hop {
    /// A hop that was given as an address.
    pub fn at(transport: Transport, address: SocketAddr) -> Self {
        Self { transport, address, host: None }
    }

    /// The name that its certificate must bear (RFC 5922 §7.1); `None`: its address.
    pub fn server_name(&self) -> Option<&str> {
        let host = self.host.as_deref()?;
        Some(host.split_once(':').map_or(host, |(name, _)| name))
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.via_name().to_ascii_lowercase(), self.address)?;
        match &self.host {
            Some(host) => write!(f, " ({host})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Transport::{self, Tcp, Tls, Udp, Ws, Wss};

    /// RFC 3261 §18, §20.42 and §26.2.2, RFC 7118 §5.
    #[test]
    fn transports_differ_as_their_rfcs_say() {
        let table = [
            (Udp, "UDP", "udp", 5060, false, false),
            (Tcp, "TCP", "tcp", 5060, true, false),
            (Tls, "TLS", "tls", 5061, true, true),
            (Ws, "WS", "ws", 80, true, false),
            (Wss, "WSS", "ws", 443, true, true),
        ];
        assert_eq!(table.map(|row| row.0), Transport::ALL);
        for (transport, via, param, port, reliable, secure) in table {
            let found = (transport.via_name(), transport.uri_param(), transport.default_port());
            assert_eq!(found, (via, param, port));
            let found = (transport.is_reliable(), transport.is_secure());
            assert_eq!(found, (reliable, secure), "{transport:?}");
        }
        assert_eq!(Transport::of_uri_param("TLS"), Some(Tls));
        assert_eq!(Transport::of_uri_param("ws"), Some(Ws));
        assert_eq!(Transport::of_uri_param("sctp"), None);
    }
}
