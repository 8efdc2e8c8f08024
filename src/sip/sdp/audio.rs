//! What an audio line means for us: its codecs, where it is sent, and the plan made of it.

use crate::sdp::{Connection, FORMATS_MAX, Media, RtpMap, Session};
use domain::ip_version::{IpVersion, IpVersions};
use domain::media_plan::{Codec, Direction, MediaPlan};
use std::net::{IpAddr, SocketAddr};

/// The packet time we send unless asked otherwise (RFC 3551 §4.2).
pub(super) const PTIME_MS: u16 = 20;

/// What of an audio line is ours.
pub(super) struct Formats {
    /// In the sender's order.
    codecs: Vec<(Codec, u8)>,
    /// The payload type of telephone events (RFC 4733).
    pub event: Option<u8>,
}

impl Formats {
    pub(super) fn read(media: &Media<'_>, ours: &[Codec]) -> Self {
        let mut codecs = Vec::new();
        let mut event = None;
        let maps = media.rtpmaps();
        for number in media.formats.iter().filter_map(|format| format.parse::<u8>().ok()) {
            // RFC 3551 §3: payload types have seven bits.
            if usize::from(number) >= FORMATS_MAX {
                continue;
            }
            match maps.get(&number) {
                Some(RtpMap { name, rate: 8000, channels: 1 }) => {
                    let codec = ours.iter().find(|codec| codec.name().eq_ignore_ascii_case(name));
                    codecs.extend(codec.map(|codec| (*codec, number)));
                    if name.eq_ignore_ascii_case("telephone-event") {
                        event = event.or(Some(number));
                    }
                }
                Some(_) => (),
                // RFC 3551 §6: static numbers need no rtpmap.
                None => {
                    let codec = ours.iter().find(|codec| codec.static_payload_type() == number);
                    codecs.extend(codec.map(|codec| (*codec, number)));
                }
            }
        }
        Self { codecs, event }
    }

    /// The codec in use if it is there, else the sender's first (RFC 3264 §6.1).
    pub(super) fn choose(&self, keep: Option<Codec>) -> Option<(Codec, u8)> {
        let kept = self.codecs.iter().find(|(codec, _)| Some(*codec) == keep);
        kept.or(self.codecs.first()).copied()
    }
}

/// Where the medium is to be sent; `None` where we, with addresses of these versions of IP, cannot.
/// An unspecified address is one: it says that nothing is to be sent.
pub(super) fn remote_of(
    session: &Session<'_>,
    media: &Media<'_>,
    ours: IpVersions,
) -> Option<SocketAddr> {
    let Connection::Ip(ip) = session.connection_of(media)? else { return None };
    let reachable = ours.has(IpVersion::of(ip)) || ip.is_unspecified();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    (reachable && !ip.is_multicast() && !broadcast).then_some(SocketAddr::new(ip, media.port))
}

pub(super) fn plan_of(
    session: &Session<'_>,
    media: &Media<'_>,
    remote: SocketAddr,
    (codec, payload_type): (Codec, u8),
    event_payload_type: Option<u8>,
) -> MediaPlan {
    let direction = match session.direction_of(media) {
        // RFC 3264 §8.4: the hold of RFC 2543, an unspecified address, means sendonly.
        Direction::SendRecv | Direction::SendOnly if remote.ip().is_unspecified() => {
            Direction::RecvOnly
        }
        Direction::RecvOnly if remote.ip().is_unspecified() => Direction::Inactive,
        Direction::SendRecv => Direction::SendRecv,
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        Direction::Inactive => Direction::Inactive,
    };
    let ptime_ms = ptime_of(media);
    MediaPlan {
        remote,
        also_from: None,
        codec,
        payload_type,
        event_payload_type,
        // An answer echoes the offer's type; of an answer to us, the negotiation knows what we offered.
        event_receive_type: event_payload_type,
        direction,
        ptime_ms,
    }
}

/// The packet time asked for, in whole tens of milliseconds from 10 to 60 and not above
/// `maxptime`.
fn ptime_of(media: &Media<'_>) -> u16 {
    let read = |name| -> Option<u16> {
        let text = media.attribute(name)?;
        let whole = text.split('.').next().unwrap_or(text);
        whole.trim().parse().ok().filter(|value| *value > 0)
    };
    let wanted = read("ptime").unwrap_or(PTIME_MS).min(read("maxptime").unwrap_or(u16::MAX));
    (wanted / 10 * 10).clamp(10, 60)
}
