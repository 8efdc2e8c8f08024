//! `[sip] listen`, `[sip.listeners]`, `[tls]`, and what a trunk says of TLS.

use super::layered::{Layered, parsed};
use super::parts::{ADDRESS, at, texts};
use crate::net::certificate::Fingerprint;
use crate::net::tls::{ClientCertificate, KeyFiles, TlsConfig, TrunkTls};
use document::section::Value;
use sip::event::Transport;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TRANSPORTS: &str = "write udp, tcp, tls, ws or wss";

/// One address that SIP is listened for at.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// What trunks call it: the key of its table, `listen` for `[sip] listen`.
    pub name: Arc<str>,
    /// The address bound.
    pub address: SocketAddr,
    /// How; one connection-oriented transport at most, since they would share the port.
    pub transports: Vec<Transport>,
    /// Written into Via and Contact instead of the address bound; port 0: the port bound.
    pub advertise: Option<SocketAddr>,
    /// A name written there instead of the address.
    pub host: Option<Arc<str>>,
    /// What peers must show over TLS.
    pub client_certificate: ClientCertificate,
}

/// All listeners: `[sip] listen` first, then those of `[sip.listeners]`.
pub(super) fn listeners(
    sip: &Layered<'_>,
    defaults: &Layered<'_>,
    has_certificate: bool,
) -> Vec<ListenerConfig> {
    let mut all = Vec::new();
    let listen = sip.value("listen");
    let beneath = defaults.section("listener");
    if sip.text("listen").is_empty() {
        // Read all the same, so that its faults are told.
        listener(&beneath, "listen", SocketAddr::from(([127, 0, 0, 1], 0)), has_certificate);
    } else if let Some(address) = parsed(&listen, ADDRESS, str::parse) {
        let mut read = listener(&beneath, "listen", address, has_certificate);
        read.advertise = advertised(sip).or(read.advertise);
        all.push(read);
    }
    beneath.finish();
    for (name, value) in sip.section("listeners").entries() {
        let Some(own) = value.section() else { continue };
        let section = defaults.section("listener").under(own);
        let address = section
            .required("address", "\"192.0.2.1:5061\"")
            .and_then(|value| parsed(&value, ADDRESS, str::parse::<SocketAddr>));
        if let Some(address) = address {
            all.push(listener(&section, name, address, has_certificate));
        }
        section.finish();
    }
    if all.is_empty() && sip.text("listen").is_empty() {
        let problem = "is empty, and there are no [sip.listeners]".to_owned();
        listen.fault(problem, ADDRESS.to_owned());
    }
    all
}

fn listener(
    section: &Layered<'_>,
    name: &str,
    address: SocketAddr,
    has_certificate: bool,
) -> ListenerConfig {
    let value = section.value("transports");
    let transports = texts(&value, TRANSPORTS, transport);
    if transports.is_empty() {
        value.fault("names no transport".into(), TRANSPORTS.into());
    }
    if transports.iter().filter(|transport| transport.is_reliable()).count() > 1 {
        let problem = "tcp, tls, ws and wss cannot share a port".to_owned();
        value.fault(problem, "give each a listener of its own; udp goes with any".to_owned());
    }
    if transports.iter().any(|transport| transport.is_secure()) && !has_certificate {
        let problem = "has TLS, and there is no certificate".to_owned();
        value.fault(problem, "set certificate and key in [tls]".to_owned());
    }
    let client = |word: &str| match word {
        "none" => Ok(ClientCertificate::None),
        "asked" => Ok(ClientCertificate::Asked),
        "demanded" => Ok(ClientCertificate::Demanded),
        _ => Err("is no such rule"),
    };
    let client = section.parsed("client_certificate", "write none, asked or demanded", client);
    let host = section.text("host");
    ListenerConfig {
        name: name.into(),
        address,
        transports,
        advertise: advertised(section),
        host: Some(host).filter(|host| !host.is_empty()).map(Into::into),
        client_certificate: client.unwrap_or(ClientCertificate::Asked),
    }
}

/// `advertise`: an address, with or without a port.
fn advertised(section: &Layered<'_>) -> Option<SocketAddr> {
    let read = |text: &str| match text.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, 0)),
        Err(_) => text.parse(),
    };
    match section.text("advertise") {
        "" => None,
        _ => section.parsed("advertise", "write an IP address, address:port or \"\"", read),
    }
}

/// Reads the name of a transport.
///
/// # Errors
/// It is none.
pub(super) fn transport(name: &str) -> Result<Transport, &'static str> {
    match name {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        "ws" => Ok(Transport::Ws),
        "wss" => Ok(Transport::Wss),
        _ => Err("is no transport we speak"),
    }
}

/// `[tls]`.
pub(super) fn tls(root: &Layered<'_>, folder: Option<&Path>) -> TlsConfig {
    let tls = root.section("tls");
    let config = TlsConfig {
        own: key_files(&tls, "certificate", "key", folder),
        authorities: file(&tls, "ca", folder),
        handshake: Duration::from_secs(tls.count("handshake_s", 1..=60).into()),
        look_every: Duration::from_secs(tls.count("look_every_s", 1..=86_400).into()),
    };
    tls.finish();
    config
}

/// What a trunk says of TLS.
pub(super) fn trunk_tls(trunk: &Layered<'_>, folder: Option<&Path>) -> TrunkTls {
    let name = |name: &str| match name.contains('*') {
        true => Err("RFC 5922 knows no wildcards"),
        false => Ok(Arc::from(name.to_lowercase())),
    };
    let remedy = "write domains such as \"sip.example.com\"";
    let pins = trunk.value("tls_pins");
    TrunkTls {
        names: texts(&trunk.value("tls_names"), remedy, name),
        authorities: file(trunk, "tls_ca", folder),
        pins: texts(&pins, "write what `openssl x509 -noout -fingerprint -sha256` prints", pin),
        own: key_files(trunk, "tls_certificate", "tls_key", folder),
    }
}

fn file(section: &Layered<'_>, key: &'static str, folder: Option<&Path>) -> Option<PathBuf> {
    Some(section.text(key)).filter(|path| !path.is_empty()).map(|path| at(folder, path))
}

fn key_files(
    section: &Layered<'_>,
    certificate: &'static str,
    key: &'static str,
    folder: Option<&Path>,
) -> Option<KeyFiles> {
    let alone = |value: Value<'_>, other: &str| {
        value.fault(format!("stands alone: `{other}` is empty"), "set both or neither".to_owned());
        None
    };
    match (file(section, certificate, folder), file(section, key, folder)) {
        (Some(certificate), Some(key)) => Some(KeyFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => alone(section.value(certificate), key),
        (None, Some(_)) => alone(section.value(key), certificate),
    }
}

/// A fingerprint as openssl prints it, with or without colons and what stands before it.
fn pin(text: &str) -> Result<Fingerprint, &'static str> {
    let digits = text.rsplit('=').next().unwrap_or(text).replace(':', "");
    let octet = |at: usize| {
        digits.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let octets: Option<Vec<u8>> = (0..digits.len().div_ceil(2)).map(octet).collect();
    let wrong = "is no SHA-256 fingerprint of 64 hexadecimal digits";
    octets.and_then(|octets| octets.try_into().ok()).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn faults(text: &str) -> Vec<String> {
        let faults = Config::parse("own.toml", text, None).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
    }

    #[test]
    fn listeners_have_addresses_names_and_transports_of_their_own() {
        let text = "[sip]\nlisten = \"0.0.0.0:5060\"\nadvertise = \"203.0.113.5\"\n\
            [sip.listeners.inside]\naddress = \"[2001:db8::1]:5061\"\ntransports = [\"tls\"]\n\
            advertise = \"[2001:db8::5]:6061\"\nhost = \"gw.example\"\n\
            client_certificate = \"demanded\"\n\
            [tls]\ncertificate = \"c.pem\"\nkey = \"/k.pem\"\n";
        let config = Config::parse("own.toml", text, Some(Path::new("/etc/t"))).unwrap();
        let [first, second] = &config.sip.listeners[..] else { panic!() };
        assert_eq!(
            (&*first.name, &first.transports[..]),
            ("listen", &[Transport::Udp, Transport::Tcp][..])
        );
        assert_eq!(first.advertise, Some(([203, 0, 113, 5], 0).into()));
        assert_eq!((&*second.name, &second.transports[..]), ("inside", &[Transport::Tls][..]));
        assert_eq!(second.advertise, "[2001:db8::5]:6061".parse().ok());
        assert_eq!(second.host.as_deref(), Some("gw.example"));
        assert_eq!(second.client_certificate, ClientCertificate::Demanded);
        let own = config.tls.own.unwrap();
        assert_eq!(own.certificate, Path::new("/etc/t/c.pem"));
        assert_eq!(own.key, Path::new("/k.pem"));
    }

    #[test]
    fn what_cannot_be_listened_for_is_told() {
        let cases = [
            ("[sip]\nlisten = \"\"\n", "sip.listen: is empty, and there are no [sip.listeners]"),
            (
                "[sip.listeners.a]\naddress = \"127.0.0.1:1\"\ntransports = [\"tls\"]\n",
                "sip.listeners.a.transports: has TLS, and there is no certificate",
            ),
            (
                "[sip.listeners.a]\naddress = \"127.0.0.1:1\"\ntransports = [\"tcp\", \"ws\"]\n",
                "sip.listeners.a.transports: tcp, tls, ws and wss cannot share a port",
            ),
            ("[tls]\nkey = \"k\"\n", "tls.key: stands alone: `certificate` is empty"),
            ("[sip.listeners.a]\n", "sip.listeners.a.address: is missing"),
        ];
        for (text, fault) in cases {
            assert_eq!(faults(text), [fault], "{text}");
        }
    }

    #[test]
    fn a_pin_is_what_openssl_prints() {
        let bare = "0a".repeat(32);
        let colons = vec!["0A"; 32].join(":");
        for text in [&bare, &colons, &format!("sha256 Fingerprint={colons}")] {
            assert_eq!(pin(text), Ok([10; 32]), "{text}");
        }
        for text in ["", "0a", &"0a".repeat(33), &"0g".repeat(32), "é"] {
            assert!(pin(text).is_err(), "{text}");
        }
    }
}
