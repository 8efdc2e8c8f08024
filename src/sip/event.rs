//! What passes between SIP and the layers above and below it.

pub mod trunk;

use bytes::Bytes;
use domain::cause::Cause;
use domain::hop::Hop;
use domain::id::{AgentId, LegId, TrunkId};
use domain::ip_version::IpVersion;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a message travels: a word of every layer, so it lives in `domain`.
pub type Transport = domain::hop::Transport;

/// Between which two addresses a message travels. For TCP and TLS, a flow with no open connection is
/// opened by the shell on the first `Transmit`; a WebSocket's peer cannot be connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Our listener's address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// Who sent an INVITE, as far as we trust it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A carrier or PBX, known by its address.
    Trunk(TrunkId),
    /// An agent's telephone, known by digest.
    Agent(AgentId),
}

/// Where a call goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// To a carrier or PBX.
    Trunk {
        /// Which, for the record and its profile.
        trunk: TrunkId,
        /// Where the INVITE is sent; its host, if it has one, names the trunk in request URI and To.
        hop: Hop,
        /// The user part of the request URI: the number.
        user: Arc<str>,
    },
    /// To an agent's registered telephone; fails at once with 480 when none is registered.
    Agent(AgentId),
}

impl Target {
    /// The trunk, if it is one.
    pub fn trunk(&self) -> Option<&TrunkId> {
        match self {
            Self::Trunk { trunk, .. } => Some(trunk),
            Self::Agent(_) => None,
        }
    }
}

/// What an INVITE from outside says. Texts are as long as its headers at most.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IncomingCall {
    /// The user part of `From`; empty or `anonymous` when hidden (RFC 3323 §4.1.1.3).
    pub from_user: Arc<str>,
    /// The display name of `From`; empty when there is none.
    pub from_display: Arc<str>,
    /// The user part of the request URI: what was dialled.
    pub dialled: Arc<str>,
    /// The user part of `To`: what was dialled at first, before anybody redirected the call.
    pub to_user: Arc<str>,
    /// SIP's Call-ID, for records and traces.
    pub call_id: Arc<str>,
    /// The user part of `P-Asserted-Identity`, where the sender is trusted to assert it
    /// (RFC 3325 §5).
    pub asserted: Option<Arc<str>>,
    /// Whether the caller asks not to be shown (RFC 3323 §4.2, RFC 3325 §7).
    pub private: bool,
    /// `Max-Forwards` as it came; [`MAX_FORWARDS`] when it was missing.
    pub max_forwards: u8,
    /// The values of `Identity`, at most [`IDENTITIES_MAX`] (RFC 8224 §4).
    pub identity: Vec<Arc<str>>,
    /// The value of `Date`, which the passports are held against (RFC 8224 §6.2.2).
    pub date: Option<Arc<str>>,
    /// The user part of the last one who redirected the call: `Diversion` (RFC 5806), or
    /// `History-Info` (RFC 7044).
    pub diversion: Option<Arc<str>>,
    /// The leg of ours whose place it shall take (RFC 3891): once this one is answered, that one is
    /// to be ended. Whether the caller may do so is for the layer above to decide.
    pub replaces: Option<LegId>,
    /// Of which version of IP our port for its sound must be.
    pub sound_ip: IpVersion,
}

/// Who calls: what an INVITE of ours says of it. How much of it the callee is told depends on
/// whether the target is trusted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Caller {
    /// The user part of `From`: the number shown. Empty: none is known, so `From` is anonymous.
    pub user: Arc<str>,
    /// The display name of `From`, if any.
    pub display: Option<Arc<str>>,
    /// Whether it must not be shown: `From` is anonymous (RFC 3323 §4.1.1.3), `Privacy` says so.
    pub private: bool,
    /// The user part of `P-Asserted-Identity`, for trusted targets only (RFC 3325 §9.1).
    pub asserted: Option<Arc<str>>,
    /// The value of `Identity`: a signed passport (RFC 8224 §4).
    pub identity: Option<Arc<str>>,
    /// The value of `Referred-By`, when a REFER asks for the call (RFC 3892 §2.3).
    pub referred_by: Option<Arc<str>>,
    /// The value of `Date`, which a signed call has (RFC 8224 §6.1 step 3).
    pub date: Option<Arc<str>>,
}

impl Caller {
    /// A caller who is shown with this number, or anonymous when it is empty.
    pub fn shown(user: impl Into<Arc<str>>) -> Self {
        Self { user: user.into(), ..Self::default() }
    }

    /// Whether `From` is to be the anonymous one.
    pub fn is_hidden(&self) -> bool {
        self.private || self.user.is_empty()
    }
}

/// What `Max-Forwards` begins with (RFC 3261 §8.1.1.6).
pub const MAX_FORWARDS: u8 = 70;

/// Further `Identity` values are left out: each costs the verifier a certificate.
pub const IDENTITIES_MAX: usize = 4;

/// An order to a leg. Legs that exist no more ignore orders.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a box for each call costs more than the room")]
pub enum LegCommand {
    /// Sends an INVITE with an offer.
    Dial {
        /// The new leg, numbered by the switchboard.
        leg: LegId,
        /// Where to.
        target: Target,
        /// Who calls, as the callee may be told.
        caller: Caller,
        /// Our RTP address for the offer.
        local_media: SocketAddr,
        /// How long to wait for an answer; then CANCEL and `Ended(Cause::rang_out())`.
        ring_for: Duration,
        /// How long to wait until anything at all is heard; then `Ended(Cause::silent())`, and what
        /// is heard later is cancelled or ended unseen. `None`: as long as Timer B says (32 s).
        heard_within: Option<Duration>,
        /// A Call-ID fixed beforehand (a campaign's dialling is on disk under it); else a random one.
        call_id: Option<Arc<str>>,
        /// `Max-Forwards`: [`MAX_FORWARDS`] where the call is our own, one less than it came with
        /// where it passes through (RFC 3261 §16.6 step 3).
        max_forwards: u8,
        /// The proxies that the INVITE passes first, each as an address in brackets (RFC 3608 §6.1);
        /// none for agents. A list with one that is no loose router is left aside.
        service_route: Vec<Arc<str>>,
    },
    /// Sends a provisional response: with early media where `local_media` is given (RFC 3960 §3.2),
    /// reliably where that is agreed (RFC 3262).
    Progress {
        /// Which leg.
        leg: LegId,
        /// 180–183; anything else is sent as 183.
        status: u16,
        /// Our RTP address for the answer (or the offer, when the INVITE had none). What was once
        /// given stands until the call is answered.
        local_media: Option<SocketAddr>,
    },
    /// Sends 200 OK, again until the ACK (RFC 3261 §13.3.1.4).
    Answer {
        /// Which leg.
        leg: LegId,
        /// Our RTP address for the answer (or the offer, when the INVITE had none).
        local_media: SocketAddr,
    },
    /// Sends a final refusal (300–699).
    Refuse {
        /// Which leg.
        leg: LegId,
        /// The status.
        status: u16,
        /// `Retry-After` in seconds, if any (RFC 3261 §20.33).
        retry_after_s: Option<u32>,
        /// The Q.850 cause shown in `Reason` (RFC 3326, RFC 6432); `None`: none is.
        q850: Option<u8>,
    },
    /// Puts the other end on hold, or takes it back (RFC 3264 §8.4), by a re-INVITE.
    Hold {
        /// Which leg.
        leg: LegId,
        /// Whether it is to be held.
        on: bool,
    },
    /// Offers our sound anew, at another address or as it is: by re-INVITE, before the answer by
    /// UPDATE where that is possible.
    Offer {
        /// Which leg.
        leg: LegId,
        /// Our RTP address from now on.
        local_media: SocketAddr,
    },
    /// Ends the leg in whatever way its state asks for: CANCEL, refusal (480) or BYE.
    HangUp {
        /// Which leg.
        leg: LegId,
        /// The Q.850 cause shown in `Reason` (RFC 3326); `None`: normal clearing, or why we gave up.
        q850: Option<u8>,
    },
    /// Asks the other end by REFER to call somebody else instead (RFC 5589). What comes of it is
    /// told by [`LegEvent::TransferProgress`].
    Transfer {
        /// Which leg.
        leg: LegId,
        /// Whom it shall call.
        to: TransferTo,
    },
    /// How far the call has come that the other end asked for by REFER. The first word accepts the
    /// REFER (202), a final status (200–699) is the last.
    ReferProgress {
        /// The leg whose other end asked.
        leg: LegId,
        /// As the callee would answer an INVITE: 100–199 under way, 200 it is done, else why not.
        status: u16,
    },
    /// Refuses a REFER that was neither accepted nor refused yet.
    RefuseRefer {
        /// The leg whose other end asked.
        leg: LegId,
        /// 400–699.
        status: u16,
    },
}

/// Whom a REFER leads to (RFC 3515 §2.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferTo {
    /// The user part, escapes undone; of a `tel` URI the number. Empty when there is none.
    pub user: Arc<str>,
    /// The host as it stands; empty for `tel`.
    pub host: Arc<str>,
    /// Whether the host is one of ours, or left open as in `tel`.
    pub is_here: bool,
    /// The whole URI, without its headers.
    pub uri: Arc<str>,
    /// The leg of ours whose place the new call shall take (RFC 3891): an attended transfer.
    pub replaces: Option<LegId>,
}

/// Whom the other end of a leg is asked to call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TransferTo {
    /// A number or user at the other end's own host.
    User(Arc<str>),
    /// A whole URI.
    Uri(Arc<str>),
    /// Whoever is at the other end of this leg, taking our place there (RFC 3891).
    Leg(LegId),
}

/// What happened to a leg.
#[derive(Clone, Debug, PartialEq)]
pub enum LegEvent {
    /// A call comes in; it was checked and identified, and 100 has been sent.
    Incoming {
        /// The new leg, numbered by the endpoint (odd numbers; those of the switchboard are even).
        leg: LegId,
        /// Who sent it.
        source: Source,
        /// What the INVITE says of the call.
        call: Box<IncomingCall>,
        /// What was agreed on from their offer; `None` when they left the offer to us.
        plan: Option<MediaPlan>,
    },
    /// An INVITE of ours left for the first time, under this Call-ID.
    Dialled {
        /// Which leg.
        leg: LegId,
        /// SIP's Call-ID.
        call_id: Arc<str>,
    },
    /// A provisional answer to our INVITE (101–199).
    Ringing {
        /// Which leg.
        leg: LegId,
        /// The status.
        status: u16,
        /// Early media, if its SDP agreed on some.
        plan: Option<MediaPlan>,
    },
    /// Both ends have agreed: ours on their ACK, theirs on their 2xx.
    Established {
        /// Which leg.
        leg: LegId,
        /// The agreed sound.
        plan: MediaPlan,
    },
    /// A re-INVITE changed the sound (hold, another address or codec).
    Changed {
        /// Which leg.
        leg: LegId,
        /// The agreed sound from now on.
        plan: MediaPlan,
    },
    /// A digit sent as INFO `application/dtmf-relay`, or `application/dtmf`.
    InfoDigit {
        /// Which leg.
        leg: LegId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// The other end asks by REFER that somebody be called in its place. Answered by
    /// `ReferProgress` or `RefuseRefer`; without either it is refused after some seconds.
    Referred {
        /// Which leg.
        leg: LegId,
        /// Whom to call.
        to: ReferTo,
        /// `Referred-By`, to be repeated in the new INVITE (RFC 3892 §2.3).
        referred_by: Option<Arc<str>>,
    },
    /// What came of our REFER so far. Of a final status (200–699) there is one for each `Transfer`.
    TransferProgress {
        /// Which leg.
        leg: LegId,
        /// 100–199 under way, 200–299 done, else why not: the REFER itself was refused, or the call
        /// it led to, or nothing was heard of it (408).
        status: u16,
    },
    /// An INVITE from outside was refused before it was a call (a challenge is no refusal): nothing
    /// follows, it is told for the record.
    Refused {
        /// The trunk whose address it came from; `None`: nobody's.
        trunk: Option<TrunkId>,
        /// The address it came from.
        remote: SocketAddr,
        /// What the INVITE says of the call.
        call: Box<IncomingCall>,
        /// The status that it was refused with, 300–699.
        status: u16,
        /// The reason in our response.
        why: Arc<str>,
    },
    /// The final response that ends a leg of ours asks for a pause (RFC 3261 §20.33): told just
    /// before `Ended`.
    RetryAfter {
        /// Which leg.
        leg: LegId,
        /// How long.
        after: Duration,
    },
    /// The leg is over. Exactly once for each leg that was Incoming or dialled.
    Ended {
        /// Which leg.
        leg: LegId,
        /// Why.
        cause: Cause,
    },
    /// An agent's telephone is registered; told on each change of it, not on each refresh.
    Registered {
        /// Whose.
        agent: AgentId,
        /// Which version of IP the one that is called speaks.
        ip: IpVersion,
    },
    /// An agent's last binding was removed or expired.
    Unregistered {
        /// Whose.
        agent: AgentId,
    },
}

/// What the endpoint wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put these bytes on the wire.
    Transmit {
        /// Between which addresses.
        flow: Flow,
        /// One whole message.
        message: Bytes,
        /// The leg it belongs to, for the trace.
        leg: Option<LegId>,
    },
    /// The message just received belongs to this leg (for the trace).
    Matched {
        /// Which leg.
        leg: LegId,
    },
    /// Tell the layer above.
    Up(LegEvent),
    /// A connection that is opened for this flow must lead to this trunk: its certificate is checked
    /// by what is configured of the trunk. Comes before the `Transmit` that may open it.
    Expect {
        /// Between which addresses.
        flow: Flow,
        /// Whose it must be.
        trunk: TrunkId,
        /// The name it was located by, which is the one its certificate must bear (RFC 5922 §7.3)
        /// where the configuration names no other.
        host: Option<Arc<str>>,
    },
    /// Tell the layer above what came of an order that belongs to no leg.
    Trunk(trunk::TrunkEvent),
    /// Close this stream: its framing is lost or its limits are broken.
    Close {
        /// Which one.
        flow: Flow,
    },
}
