//! Session descriptions (RFC 8866) and the agreement on them (RFC 3264).
//!
//! ```text
//! their offer ─► parse ─► negotiate::Negotiation::answer ─► our answer, MediaPlan
//! our offer ◄─ Negotiation::offer        their answer ─► Negotiation::accept ─► MediaPlan
//! ```

mod audio;
pub mod negotiate;
mod parse;
mod print;
#[cfg(test)]
mod tests;

use domain::media_plan::Direction;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

/// The most `m=` lines read; a description with more is malformed.
pub const MEDIA_MAX: usize = 32;

/// The most attributes kept over the whole description; the rest are left out. Browsers send
/// some 200, and none of ours stands that far behind.
pub const ATTRIBUTES_MAX: usize = 1024;

/// The most formats kept of one medium: there are no more payload types (RFC 3551 §3). The rest
/// are left out.
pub const FORMATS_MAX: usize = 128;

/// Where a description could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed session description at line {line}")]
pub struct SdpError {
    /// Counted from 1; one more than there are lines when something is missing at the end.
    pub line: u32,
}

/// An attribute: `a=name` or `a=name:value`.
pub type Attribute<'a> = (&'a str, Option<&'a str>);

/// A description, borrowed from the body it came in. Lines of no use to telephony (`i`, `u`, `e`,
/// `p`, `b`, `r`, `z`, `k`) and unknown ones are left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Session<'a> {
    /// `o=` as it stands: user, id, version, address.
    pub origin: &'a str,
    /// `s=` as it stands; `-` when it was missing or empty.
    pub name: &'a str,
    /// The first `t=` as it stands: when it begins and ends; `0 0` when it was missing.
    pub time: &'a str,
    /// `c=` for all media that have none of their own.
    pub connection: Option<Connection<'a>>,
    /// `a=` for all media.
    pub attributes: Vec<Attribute<'a>>,
    /// In order: an answer has the same ones in the same order (RFC 3264 §6).
    pub media: Vec<Media<'a>>,
}

/// `c=`: where media is to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection<'a> {
    /// An address.
    Ip(IpAddr),
    /// A name, or an address of another network: the whole value as it stands.
    Named(&'a str),
}

/// One `m=` line with what follows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Media<'a> {
    /// `audio`, `video`, `image`…
    pub kind: &'a str,
    /// 0 means that the medium is refused or over (RFC 3264 §5.1, §6).
    pub port: u16,
    /// `RTP/AVP`, `udptl`…
    pub protocol: &'a str,
    /// Payload types for RTP, in the sender's order of preference.
    pub formats: Vec<&'a str>,
    /// `c=` of its own.
    pub connection: Option<Connection<'a>>,
    /// `a=` of its own.
    pub attributes: Vec<Attribute<'a>>,
}

impl<'a> Session<'a> {
    /// Reads a description.
    ///
    /// Lenient where senders are known to err: bare line feeds, missing `s=` and `t=`, unknown
    /// lines, any order before the first `m=`, text that is no UTF-8 in lines of no use here.
    ///
    /// # Errors
    /// [`SdpError`] tells the line: no `v=0` in front, no `o=`, a `c=` or `m=` that cannot be
    /// read, more than [`MEDIA_MAX`] media.
    pub fn parse(body: &'a [u8]) -> Result<Self, SdpError> {
        parse::session(body)
    }

    /// The description as text, each line ended by CRLF.
    pub fn print(&self) -> String {
        print::session(self)
    }

    /// Where a medium of this description is to be sent.
    pub fn connection_of(&self, media: &Media<'a>) -> Option<Connection<'a>> {
        media.connection.or(self.connection)
    }

    /// Who sends, seen from the describing side; the medium's word stands over the session's,
    /// and without any both send (RFC 8866 §6.7).
    pub fn direction_of(&self, media: &Media<'a>) -> Direction {
        let find = |attributes: &[Attribute<'a>]| {
            attributes.iter().find_map(|(name, value)| match (*name, value) {
                ("sendrecv", None) => Some(Direction::SendRecv),
                ("sendonly", None) => Some(Direction::SendOnly),
                ("recvonly", None) => Some(Direction::RecvOnly),
                ("inactive", None) => Some(Direction::Inactive),
                _ => None,
            })
        };
        find(&media.attributes).or(find(&self.attributes)).unwrap_or(Direction::SendRecv)
    }
}

impl<'a> Media<'a> {
    /// The value of the first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut values = self.attributes.iter().filter(|(found, _)| *found == name);
        values.find_map(|(_, value)| *value)
    }

    /// What `a=rtpmap` says of each payload type: of several for one the first that can be read.
    /// Made in one pass, since a description may have a thousand of them.
    pub fn rtpmaps(&self) -> BTreeMap<u8, RtpMap<'a>> {
        let mut maps = BTreeMap::new();
        for (name, value) in &self.attributes {
            let Some(value) = value.filter(|_| *name == "rtpmap") else { continue };
            let Some((number, encoding)) = value.split_once(' ') else { continue };
            if let Ok(number) = number.parse()
                && let Entry::Vacant(place) = maps.entry(number)
                && let Some(map) = RtpMap::parse(encoding)
            {
                place.insert(map);
            }
        }
        maps
    }
}

/// `PCMU/8000`, as `a=rtpmap` has it behind the payload type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RtpMap<'a> {
    /// The encoding, in any case.
    pub name: &'a str,
    /// The clock rate in hertz.
    pub rate: u32,
    /// 1 where nothing else is said.
    pub channels: u32,
}

impl<'a> RtpMap<'a> {
    fn parse(encoding: &'a str) -> Option<Self> {
        let mut parts = encoding.trim().split('/');
        let (name, rate) = (parts.next()?, parts.next()?.parse().ok()?);
        let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok())?;
        Some(Self { name, rate, channels })
    }
}
