//! Offer and answer (RFC 3264): one sound per call, G.711 with telephone events (RFC 4733).
//!
//! ```text
//!              offer()                      accept(answer)
//!   Idle ───────────────► Offered ───────────────────────► Agreed
//!    │                      ▲  └── the offer was refused ─►  (as before)
//!    └── answer(offer) ─────┼──────────────────────────────► Agreed ─┐
//!                           └──── offer() ──────────────────────┘◄───┘ answer(offer)
//! ```
//!
//! Who may have an offer open at which time is the leg's business (RFC 3261 §14); here is only
//! what stands in it. Of each offer the first audio that we can use is accepted, all else is
//! refused with port 0 in its place. Calls nothing but the parser; called by `leg`.

use crate::sdp::audio::{Formats, PTIME_MS, plan_of, remote_of};
use crate::sdp::print::{self, Address};
use crate::sdp::{Connection, Media, SdpError, Session};
use bytes::Bytes;
use domain::ip_version::IpVersions;
use domain::media_plan::{Codec, Direction, MediaPlan};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The payload type of telephone events in our offers; answers echo that of the offer.
const EVENT_PAYLOAD_TYPE: u8 = 101;

/// Why an offer could not be answered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The body did not parse; answer 400.
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// No audio that is not refused already, only fax or video perhaps; answer 488.
    #[error("the offer has no audio")]
    NoAudio,
    /// No audio codec in common; answer 488 (RFC 3261 §21.4.26).
    #[error("no common audio codec: the offer has {offered:?}")]
    NoCommonCodec {
        /// The formats of the audio, as far as they are payload types.
        offered: Vec<u8>,
    },
    /// The offer asks for SRTP, which there is none here; answer 488.
    #[error("the offer asks for encryption")]
    EncryptionRequired,
    /// Its media address is missing, a name, multicast, or of the other address family
    /// (RFC 6157); answer 488.
    #[error("the media address cannot be sent to")]
    Address,
}

impl OfferError {
    /// The status this refusal is sent with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::NoAudio | Self::NoCommonCodec { .. } => 488,
            Self::EncryptionRequired | Self::Address => 488,
        }
    }
}

/// Why an answer to our offer is of no use. The call cannot go on: it is ended with a BYE
/// (RFC 3261 §13.2.2.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The body did not parse.
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// We have no offer open.
    #[error("an answer without an offer")]
    NoOffer,
    /// Our audio is not there or refused with port 0.
    #[error("the audio was refused")]
    Refused,
    /// None of the codecs offered.
    #[error("the answer has none of the codecs offered")]
    ForeignCodec,
    /// Its media address is missing, a name, multicast, or of the other address family.
    #[error("the media address cannot be sent to")]
    Address,
}

/// A medium in its place: places never move and never vanish (RFC 3264 §8).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    kind: String,
    protocol: String,
    formats: String,
}

/// The sound of one leg over all its offers and answers.
#[derive(Clone, Debug)]
pub struct Negotiation {
    codecs: Vec<Codec>,
    /// `o=`: one id for the life of the leg, and a version one higher for each change.
    id: u64,
    version: u64,
    /// The last description sent, for whether the next is another.
    sent: String,
    places: Vec<Place>,
    audio_at: usize,
    plan: Option<MediaPlan>,
    /// The description that was agreed on last.
    agreed: String,
    /// Whether we hold the other end: we may send it music, and hear nothing of it.
    held: bool,
    offered: Option<Offered>,
}

/// Our offer that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Offered {
    held: bool,
    /// What telephone events may come with.
    event: Option<u8>,
}

impl Negotiation {
    /// `id` is for `o=`, new for each leg and below 2⁶³ (RFC 3264 §5). `codecs` are ours in order
    /// of preference.
    pub fn new(id: u64, codecs: &[Codec]) -> Self {
        Self {
            codecs: codecs.to_vec(),
            id: id & (u64::MAX >> 1),
            version: 0,
            sent: String::new(),
            places: Vec::new(),
            audio_at: 0,
            plan: None,
            agreed: String::new(),
            held: false,
            offered: None,
        }
    }

    /// Whether the other end is on hold, as far as agreed on.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// What was agreed on last.
    pub fn plan(&self) -> Option<&MediaPlan> {
        self.plan.as_ref()
    }

    /// Whether an offer of ours waits for its answer.
    pub fn is_offering(&self) -> bool {
        self.offered.is_some()
    }

    /// Tells what [`Negotiation::answer`] would agree on, before our port is known: it has to be of
    /// the version of IP that the plan's `remote` has. `ours` are those that we have ports of.
    ///
    /// # Errors
    /// [`OfferError`] as it would be then.
    pub fn preview(&self, offer: &[u8], ours: IpVersions) -> Result<MediaPlan, OfferError> {
        let session = Session::parse(offer)?;
        self.choose(&session, ours).map(|(_, plan, _)| plan)
    }

    /// Answers an offer: the description to send, and what is agreed on from now. `local` is
    /// where we receive.
    ///
    /// # Errors
    /// [`OfferError`] knows its status; what was agreed on before stays agreed on.
    pub fn answer(
        &mut self,
        offer: &[u8],
        local: SocketAddr,
    ) -> Result<(Bytes, MediaPlan), OfferError> {
        let session = Session::parse(offer)?;
        let (audio_at, plan, protocol) = self.choose(&session, IpVersions::of([local.ip()]))?;
        let attributes = AudioText::new(&[(plan.codec, plan.payload_type)], &plan);
        let mut audio = attributes.media(local.port(), protocol);
        let refused = |media: &Media<'_>| Place {
            kind: media.kind.to_owned(),
            protocol: media.protocol.to_owned(),
            formats: media.formats.join(" "),
        };
        let places: Vec<_> = session.media.iter().map(refused).collect();
        let mut media: Vec<_> = places.iter().map(Place::refused).collect();
        std::mem::swap(&mut media[audio_at], &mut audio);
        // RFC 3264 §6: the answer's `t=` is that of the offer.
        let text = describe(local.ip(), session.time, media);
        let body = self.version_of(text, local.ip());
        self.places = places;
        self.audio_at = audio_at;
        self.plan = Some(plan.clone());
        self.agreed.clone_from(&self.sent);
        self.offered = None;
        Ok((body, plan))
    }

    /// The answer that refuses each medium of an offer that must be answered though it is of no use
    /// (RFC 3261 §13.2.2.4); `None` when it cannot be read.
    pub fn reject(&mut self, offer: &[u8], local: IpAddr) -> Option<Bytes> {
        let session = Session::parse(offer).ok()?;
        let refused = session.media.iter().map(|media| Media {
            kind: media.kind,
            port: 0,
            protocol: media.protocol,
            formats: media.formats.clone(),
            ..Media::default()
        });
        let text = describe(local, session.time, refused.collect());
        Some(self.version_of(text, local))
    }

    /// Makes an offer: the codec agreed on before, if any, in front, and the payload types used
    /// before (RFC 3264 §8.3.2). The same text goes out again under the same version.
    pub fn offer(&mut self, local: SocketAddr) -> Bytes {
        self.offer_held(local, self.held)
    }

    /// As [`Negotiation::offer`], holding the other end or not (RFC 3264 §8.4): held, only we send.
    pub fn offer_held(&mut self, local: SocketAddr, held: bool) -> Bytes {
        let mut codecs: Vec<_> =
            self.codecs.iter().map(|codec| (*codec, codec.static_payload_type())).collect();
        let mut plan = MediaPlan {
            remote: local,
            also_from: None,
            codec: Codec::Pcmu,
            payload_type: 0,
            event_payload_type: Some(EVENT_PAYLOAD_TYPE),
            event_receive_type: None,
            direction: limit(held),
            ptime_ms: PTIME_MS,
        };
        if let Some(agreed) = &self.plan {
            codecs.retain(|(codec, _)| *codec != agreed.codec);
            codecs.insert(0, (agreed.codec, agreed.payload_type));
            plan.ptime_ms = agreed.ptime_ms;
            // RFC 3264 §8.3.2: a type once bound to a format stays so.
            plan.event_payload_type = agreed.event_receive_type.or(plan.event_payload_type);
        }
        let attributes = AudioText::new(&codecs, &plan);
        let mut media: Vec<_> = self.places.iter().map(Place::refused).collect();
        let protocol = self.places.get(self.audio_at).map_or("RTP/AVP", |place| &place.protocol);
        let audio = attributes.media(local.port(), protocol);
        match media.get_mut(self.audio_at) {
            Some(place) => *place = audio,
            None => media.push(audio),
        }
        let text = describe(local.ip(), "0 0", media);
        self.offered = Some(Offered { held, event: plan.event_payload_type });
        self.version_of(text, local.ip())
    }

    /// Offers once more what was agreed on last, under the same version if nothing else was sent
    /// meanwhile: the session is to stay as it is (RFC 4028 §7.4).
    pub fn offer_again(&mut self, local: SocketAddr) -> Bytes {
        if self.agreed.is_empty() {
            return self.offer(local);
        }
        let event = self.plan.as_ref().and_then(|plan| plan.event_receive_type);
        self.offered = Some(Offered { held: self.held, event });
        self.version_of(self.agreed.clone(), local.ip())
    }

    /// Forgets our open offer: it was refused, and what was agreed on before still holds
    /// (RFC 3261 §14.1).
    pub fn withdraw_offer(&mut self) {
        self.offered = None;
    }

    /// Takes the answer to our offer. An answer in a provisional response that is repeated later
    /// (RFC 3261 §13.2.1) may be taken again with [`Negotiation::accept_again`].
    ///
    /// # Errors
    /// [`AnswerError`] says what is wrong; the offer stays open.
    pub fn accept(&mut self, answer: &[u8], local: IpAddr) -> Result<MediaPlan, AnswerError> {
        if self.offered.is_none() {
            return Err(AnswerError::NoOffer);
        }
        let plan = self.accept_again(answer, local)?;
        self.offered = None;
        Ok(plan)
    }

    /// Takes an answer whether or not our offer still waits for one: of several early answers
    /// (forking, or a 183 and then a 200) the last counts.
    ///
    /// # Errors
    /// As [`Negotiation::accept`].
    pub fn accept_again(&mut self, answer: &[u8], local: IpAddr) -> Result<MediaPlan, AnswerError> {
        let session = Session::parse(answer)?;
        let audio = session.media.get(self.audio_at).filter(|media| media.kind == "audio");
        let audio = audio.filter(|media| media.port != 0).ok_or(AnswerError::Refused)?;
        let formats = Formats::read(audio, &self.codecs);
        let keep = self.plan.as_ref().map(|plan| plan.codec);
        let chosen = formats.choose(keep).ok_or(AnswerError::ForeignCodec)?;
        let remote =
            remote_of(&session, audio, IpVersions::of([local])).ok_or(AnswerError::Address)?;
        let mut plan = plan_of(&session, audio, remote, chosen, formats.event);
        if let Some(offered) = self.offered {
            self.held = offered.held;
            plan.event_receive_type = offered.event.filter(|_| plan.event_payload_type.is_some());
        } else if let Some(before) = &self.plan {
            // The answer to the same offer once more.
            let theirs = plan.event_payload_type;
            plan.event_receive_type = theirs.and(before.event_receive_type.or(theirs));
        }
        // Who answers more than was offered gets what was offered (RFC 3264 §6.1).
        plan.direction = plan.direction.within(limit(self.held));
        if self.places.is_empty() {
            self.places.push(Place {
                kind: "audio".into(),
                protocol: "RTP/AVP".into(),
                formats: "0".into(),
            });
        }
        self.plan = Some(plan.clone());
        self.agreed.clone_from(&self.sent);
        Ok(plan)
    }

    /// Finds the first audio we can use: its place, the plan, and its protocol. If none, why the
    /// first one that was wanted is of no use.
    fn choose<'a>(
        &self,
        session: &Session<'a>,
        ours: IpVersions,
    ) -> Result<(usize, MediaPlan, &'a str), OfferError> {
        let mut refusal = None;
        for (at, media) in session.media.iter().enumerate() {
            if media.kind != "audio" || media.port == 0 {
                continue;
            }
            match self.usable(session, media, ours) {
                Ok(plan) => return Ok((at, plan, media.protocol)),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or(OfferError::NoAudio))
    }

    fn usable(
        &self,
        session: &Session<'_>,
        media: &Media<'_>,
        ours: IpVersions,
    ) -> Result<MediaPlan, OfferError> {
        match media.protocol {
            // RFC 4585 §3: feedback is a profile of its own, whose answers may leave it unused.
            "RTP/AVP" | "RTP/AVPF" => (),
            protocol if protocol.contains("SAVP") => return Err(OfferError::EncryptionRequired),
            _ => return Err(OfferError::NoAudio),
        }
        let formats = Formats::read(media, &self.codecs);
        let keep = self.plan.as_ref().map(|plan| plan.codec);
        let Some(chosen) = formats.choose(keep) else {
            let offered = media.formats.iter().filter_map(|format| format.parse().ok()).collect();
            return Err(OfferError::NoCommonCodec { offered });
        };
        let remote = remote_of(session, media, ours).ok_or(OfferError::Address)?;
        let mut plan = plan_of(session, media, remote, chosen, formats.event);
        plan.direction = plan.direction.within(limit(self.held));
        Ok(plan)
    }

    /// Puts `o=` in front: the version rises by one when the rest is not what was sent before
    /// (RFC 3264 §8).
    fn version_of(&mut self, text: String, local: IpAddr) -> Bytes {
        if self.sent != text {
            self.version += 1;
            self.sent = text;
        }
        let (id, version, rest) = (self.id, self.version, &self.sent);
        let address = Address(local);
        // RFC 8866 §5.2 allows `-` for the user; some readers (SIPp's own scenario) want a word.
        let mut body = String::with_capacity(rest.len() + 96);
        let _ = write!(body, "v=0\r\no=trunkline {id} {version} IN {address}\r\n");
        body.push_str(rest);
        body.into()
    }
}

impl Place {
    /// The medium refused: port 0, its formats as they came (RFC 3264 §6).
    fn refused(&self) -> Media<'_> {
        Media {
            kind: &self.kind,
            port: 0,
            protocol: &self.protocol,
            formats: self.formats.split(' ').collect(),
            ..Media::default()
        }
    }
}

/// The texts that our audio line borrows.
struct AudioText {
    formats: Vec<String>,
    attributes: Vec<(&'static str, Option<String>)>,
}

impl AudioText {
    fn new(codecs: &[(Codec, u8)], plan: &MediaPlan) -> Self {
        let mut formats: Vec<_> = codecs.iter().map(|(_, number)| number.to_string()).collect();
        let mut attributes: Vec<_> = codecs
            .iter()
            .map(|(codec, number)| ("rtpmap", Some(format!("{number} {}/8000", codec.name()))))
            .collect();
        if let Some(event) = plan.event_payload_type {
            formats.push(event.to_string());
            attributes.push(("rtpmap", Some(format!("{event} telephone-event/8000"))));
            // RFC 4733 §2.4.1: the sixteen keys.
            attributes.push(("fmtp", Some(format!("{event} 0-15"))));
        }
        attributes.push(("ptime", Some(plan.ptime_ms.to_string())));
        let direction = match plan.direction {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        };
        attributes.push((direction, None));
        Self { formats, attributes }
    }

    fn media<'a>(&'a self, port: u16, protocol: &'a str) -> Media<'a> {
        let attributes = self.attributes.iter();
        Media {
            kind: "audio",
            port,
            protocol,
            formats: self.formats.iter().map(String::as_str).collect(),
            connection: None,
            attributes: attributes.map(|(name, value)| (*name, value.as_deref())).collect(),
        }
    }
}

/// What we allow ourselves: to a held one we may send.
fn limit(held: bool) -> Direction {
    if held { Direction::SendOnly } else { Direction::SendRecv }
}

/// Everything behind `o=`.
fn describe(local: IpAddr, time: &str, media: Vec<Media<'_>>) -> String {
    let connection = Some(Connection::Ip(local));
    print::behind_origin(&Session { name: "-", time, connection, media, ..Session::default() })
}
