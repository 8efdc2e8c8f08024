//! Which addresses a webhook may go to. A URL given through the API must not reach what stands
//! behind the firewall (server-side request forgery).
//!
//! A name is resolved once for a connection, every address is checked, and the connection goes to
//! the checked ones: a name that changes its answer in between gains nothing.

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why a URL is not called at all.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Forbidden {
    /// It is no URL of a web server.
    #[error("this is no http or https address")]
    NoWebAddress,
    /// It is not encrypted.
    #[error("webhooks go to https only")]
    NotEncrypted,
    /// It leads to an address that is not public.
    #[error("{0} is not a public address")]
    NotPublic(IpAddr),
}

/// Checks what can be checked before the name is resolved. `allow_private` takes everything that
/// is http or https.
pub fn check_url(text: &str, allow_private: bool) -> Result<Url, Forbidden> {
    let url = Url::parse(text).map_err(|_| Forbidden::NoWebAddress)?;
    match url.scheme() {
        "https" => (),
        "http" if allow_private => (),
        "http" => return Err(Forbidden::NotEncrypted),
        _ => return Err(Forbidden::NoWebAddress),
    }
    let host = url.host_str().ok_or(Forbidden::NoWebAddress)?;
    // The URL parser has made one form of all spellings: decimal, octal, short.
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if !allow_private && !is_public(address) => Err(Forbidden::NotPublic(address)),
        _ => Ok(url),
    }
}

/// Resolves names for the HTTP client and passes on public addresses only.
#[derive(Debug)]
pub struct CheckedResolver {
    /// Whether private addresses are passed on too.
    pub allow_private: bool,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            // One bad address spoils the name: else the client would fall back to it.
            let bad = addresses.iter().find(|address| !is_public(address.ip()));
            if let (false, Some(bad)) = (allow_private, bad) {
                return Err(Forbidden::NotPublic(bad.ip()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an address may be anybody's on the Internet (IANA special-purpose registries,
/// RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64) // Shared by carriers, RFC 6598.
        || (a == 192 && b == 0 && c == 0) // Protocol assignments, RFC 6890.
        || (a == 192 && b == 88 && c == 99) // 6to4 relays, RFC 7526.
        || (a == 198 && b & 0xfe == 18); // Benchmarks, RFC 2544.
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // NAT64 (RFC 6052 §2.1) and 6to4 (RFC 3056) lead to the address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments and Teredo 2001::/23, documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0000..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => {
            false
        }
        // Global unicast is 2000::/3 (RFC 4291 §2.4); the rest, with ::1, v4-mapped, unique local,
        // link-local and multicast, is not for us.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_may_be_called() {
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff:1::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "223.255.255.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001::200e",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_literal_address_is_seen_through_every_spelling() {
        let loopback = Forbidden::NotPublic(Ipv4Addr::LOCALHOST.into());
        for text in [
            "https://127.0.0.1/hook",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1:8443/",
        ] {
            assert_eq!(check_url(text, false).unwrap_err(), loopback, "{text}");
        }
        for text in ["https://[::1]/", "https://[::ffff:7f00:1]/", "https://[fe80::1]/"] {
            assert!(matches!(check_url(text, false), Err(Forbidden::NotPublic(_))), "{text}");
        }
        assert_eq!(check_url("http://example.com/", false), Err(Forbidden::NotEncrypted));
        assert_eq!(check_url("ftp://example.com/", true), Err(Forbidden::NoWebAddress));
        assert_eq!(check_url("nonsense", true), Err(Forbidden::NoWebAddress));
        assert!(check_url("https://example.com:8443/hook?a=1", false).is_ok());
        assert!(check_url("http://127.0.0.1:9000/", true).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(CheckedResolver { allow_private: false }.resolve(name()).await.is_err());
        assert!(CheckedResolver { allow_private: true }.resolve(name()).await.is_ok());
    }
}
