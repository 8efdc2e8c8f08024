//! Legs: one INVITE's usage each, from its first message to its last (RFC 3261 §13–§15).
//!
//! ```text
//! INVITE from a peer ─► Inbound ── Answer: 2xx ──┐
//!                          │                     ├─► Confirmed ── BYE ─► Over
//! Dial ───────────────► Outbound ── 2xx: ACK ────┘
//!                          └── refused, cancelled, silent ─► Over
//! ```
//!
//! A leg is told what happened with the messages of its dialog and says what to do by
//! [`Action`]s; `endpoint` performs them with the transactions. Legs know no transport.

pub(crate) mod answering;
pub(crate) mod change;
pub(crate) mod confirmed;
pub(crate) mod dialog;
pub(crate) mod early;
pub(crate) mod fork;
pub(crate) mod inbound;
pub(crate) mod info;
pub(crate) mod multipart;
pub(crate) mod outbound;
pub(crate) mod refer;
pub(crate) mod referral;
pub(crate) mod referring;
pub(crate) mod reinvite;
pub(crate) mod reliable;
pub(crate) mod session_timer;
pub(crate) mod transfer;
pub(crate) mod trunk_login;

use crate::event::{Flow, LegEvent};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Headers, Request, Response};
use crate::transaction::clients::{Failure, Others};
use crate::transaction::servers::ServerId;
use confirmed::Confirmed;
use dialog::{Destination, Dialog};
use domain::cause::{Cause, EndedBy};
use domain::id::LegId;
use inbound::Inbound;
use outbound::Outbound;
use rand::{Rng, RngCore};
use reliable::Rack;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A leg in one of its three lives.
#[derive(Debug)]
pub(crate) enum Leg {
    /// The peer's INVITE, not yet answered.
    Inbound(Box<Inbound>),
    /// Our INVITE, not yet answered.
    Outbound(Box<Outbound>),
    /// Answered.
    Confirmed(Box<Confirmed>),
    /// Nothing is left to do.
    Over,
}

/// What happens to a leg.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// Ordered: send a provisional response.
    Progress {
        /// Which.
        status: u16,
        /// Our RTP address, for early media.
        local_media: Option<SocketAddr>,
    },
    /// Ordered: send 200.
    Answer {
        /// Our RTP address.
        local_media: SocketAddr,
    },
    /// Ordered: send a refusal.
    Refuse {
        /// 300–699.
        status: u16,
        /// For `Retry-After`.
        retry_after_s: Option<u32>,
        /// For `Reason`.
        q850: Option<u8>,
    },
    /// Ordered: hold the other end, or take it back.
    Hold {
        /// Which of both.
        on: bool,
    },
    /// Ordered: offer our sound anew.
    Offer {
        /// Our RTP address.
        local_media: SocketAddr,
    },
    /// Ordered: end it.
    HangUp {
        /// The Q.850 cause to be shown.
        q850: Option<u8>,
    },
    /// Ordered: send a REFER.
    Transfer {
        /// The value of `Refer-To`.
        refer_to: &'a str,
    },
    /// Ordered: tell how the call goes that their REFER asked for.
    ReferProgress {
        /// 100–699.
        status: u16,
    },
    /// Ordered: refuse their REFER.
    RefuseRefer {
        /// 400–699.
        status: u16,
    },
    /// A request inside the dialog, other than ACK and CANCEL.
    Request {
        /// Its transaction.
        server: ServerId,
        /// The request.
        request: &'a Request,
        /// Whence it came.
        flow: Flow,
    },
    /// An ACK to a 2xx.
    Ack {
        /// The ACK.
        request: &'a Request,
    },
    /// The caller wants the unanswered call no more.
    Cancel {
        /// The CANCEL, which is answered already; or his ACK to a refusal that nothing was kept of.
        request: &'a Request,
    },
    /// A response to a request of the leg.
    Response {
        /// The response.
        response: &'a Response,
    },
    /// A request of the leg will get no final response.
    Failed {
        /// Which.
        method: &'a Method,
        /// The whole, where it can be read: what a peer wrote into it may be too long.
        request: Option<&'a Request>,
        /// Why.
        failure: Failure,
    },
    /// Nothing of the call that we make was sent, nor will be.
    Unsent {
        /// How it ends.
        cause: Cause,
    },
    /// The leg's deadline has come.
    Deadline,
}

/// What a leg wants done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Answer a request.
    Respond {
        /// Which.
        to: ServerId,
        /// With this.
        response: Response,
    },
    /// Send a request, without its Via.
    Send {
        /// The request.
        request: Request,
        /// Where to.
        to: Destination,
    },
    /// Acknowledge a 2xx to the leg's last INVITE, now and at each repetition.
    Acknowledge {
        /// The tag of the fork.
        to_tag: Box<str>,
        /// The ACK, without its Via.
        ack: Request,
        /// Where to.
        to: Destination,
        /// What is known of the INVITE's other forks.
        others: Option<Others>,
    },
    /// Cancel the leg's INVITE.
    Cancel {
        /// Why, for `Reason`.
        q850: u8,
    },
    /// Do not send the leg's INVITE over another connection: nobody wants it any more.
    AskNoMore,
    /// Forget the leg's INVITE, which was cancelled in vain.
    Abandon,
    /// The call is refused; the PRACK to a response of ours may still come (RFC 3262 §3).
    AwaitPrack {
        /// What it will name.
        rack: Rack,
        /// The Call-ID.
        call_id: Arc<str>,
        /// The caller's tag.
        remote_tag: Arc<str>,
    },
    /// Tell the layer above.
    Up(LegEvent),
    /// Tell the layer above whom they refer us to.
    Referred(refer::Refer),
}

/// What a leg is given with each event.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut dyn RngCore,
    pub(crate) out: &'a mut Vec<Action>,
}

impl Turn<'_> {
    fn up(&mut self, event: LegEvent) {
        self.out.push(Action::Up(event));
    }

    fn ended(&mut self, leg: LegId, cause: Cause) {
        self.up(LegEvent::Ended { leg, cause });
    }

    fn respond(&mut self, to: ServerId, response: Response) {
        self.out.push(Action::Respond { to, response });
    }

    /// Answers a request inside the dialog with a bare status.
    fn respond_status(&mut self, to: ServerId, request: &Request, status: u16) {
        self.respond(to, request.response(status, None));
    }

    /// RFC 3261 §14.2: another negotiation is under way; come again in 0 to 10 s.
    fn respond_busy(&mut self, to: ServerId, request: &Request) {
        let mut response = request.response(500, None);
        let seconds: u32 = self.rng.random_range(0..=10);
        response.headers.push(Name::RetryAfter, &seconds.to_string());
        self.respond(to, response);
    }

    /// RFC 5589 §6: only who has answered can be transferred.
    fn transfer_too_early(&mut self, leg: LegId) {
        self.up(LegEvent::TransferProgress { leg, status: 491 });
    }

    fn send(&mut self, request: Request, to: Destination) {
        self.out.push(Action::Send { request, to });
    }
}

impl Leg {
    /// Takes one event.
    pub(crate) fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) {
        let next = match self {
            Self::Inbound(leg) => leg.handle(event, turn),
            Self::Outbound(leg) => leg.handle(event, turn),
            Self::Confirmed(leg) => leg.handle(event, turn),
            Self::Over => None,
        };
        if let Some(next) = next {
            *self = next;
        }
    }

    /// When [`Event::Deadline`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Inbound(leg) => leg.deadline(),
            Self::Outbound(leg) => leg.deadline(),
            Self::Confirmed(leg) => leg.deadline(),
            Self::Over => None,
        }
    }

    /// Whether it may be forgotten.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Whether a message with this Call-ID and remote tag belongs to the leg's dialog.
    pub(crate) fn is_with(&self, call_id: &str, remote_tag: &str) -> bool {
        match self {
            Self::Inbound(leg) => leg.early.dialog.is_with(call_id, remote_tag),
            // Which of the forks it is, the leg finds out.
            Self::Outbound(leg) => leg.call_id() == Some(call_id),
            Self::Confirmed(leg) => leg.dialog.is_with(call_id, remote_tag),
            Self::Over => false,
        }
    }

    /// The dialog, once it is confirmed.
    pub(crate) fn confirmed_dialog(&self) -> Option<&Dialog> {
        match self {
            Self::Confirmed(leg) => Some(&leg.dialog),
            Self::Inbound(_) | Self::Outbound(_) | Self::Over => None,
        }
    }

    /// Whether a 2xx to the leg's INVITE is its own to take; else it is of a surplus fork.
    pub(crate) fn takes_answer(&self, response: &Response) -> bool {
        match self {
            Self::Outbound(_) => true,
            Self::Confirmed(leg) => leg.awaits_answer(response),
            Self::Inbound(_) | Self::Over => false,
        }
    }
}

/// The methods we understand, for `Allow`.
pub(crate) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE";

/// The extensions we understand, for `Supported`.
pub(crate) const SUPPORTED: &str = "timer, replaces, norefersub, 100rel";

/// What our requests say where provisional responses are not to be acknowledged.
pub(crate) const SUPPORTED_PLAIN: &str = "timer, replaces, norefersub";

/// Whether a `Supported` of ours offers to acknowledge provisional responses (RFC 3262 §4).
pub(crate) fn offers_reliability(supported: &str) -> bool {
    supported == SUPPORTED
}

/// Whether we understand an extension that somebody insists on (RFC 3261 §8.2.2.3).
pub(crate) fn is_supported(option: &str) -> bool {
    SUPPORTED.split(", ").any(|ours| ours.eq_ignore_ascii_case(option))
}

/// The type of session descriptions.
pub(crate) const SDP: &str = "application/sdp";

/// Says what we can (RFC 3261 §11.2).
pub(crate) fn add_capabilities(headers: &mut Headers) {
    headers.push(Name::Allow, ALLOW);
    headers.push(Name::Accept, SDP);
    headers.push(Name::Supported, SUPPORTED);
}

/// Leaves out the body of a request that may carry a description, where it is none and need not be
/// understood (RFC 3261 §8.2.3).
pub(crate) fn leave_out_optional_body(request: &mut Request) {
    let carries =
        matches!(request.method, Method::Invite | Method::Update | Method::Prack | Method::Ack);
    let kind = request.headers.content_type();
    let is_sdp = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(SDP));
    if carries && !is_sdp && request.headers.body_is_optional() {
        request.body.clear();
        request.headers.remove(Name::ContentType);
    }
}

/// Whether the body of a request that may carry an offer is one we can read. `to_tag` is for the
/// refusal, outside a dialog.
///
/// # Errors
/// The 415 to send (RFC 3261 §8.2.3), with what we take instead.
pub(crate) fn check_body(request: &Request, to_tag: Option<&str>) -> Result<(), Box<Response>> {
    let headers = &request.headers;
    let is_sdp = headers.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(SDP));
    let encoding = headers.get(Name::ContentEncoding).unwrap_or("identity");
    let is_plain = encoding.eq_ignore_ascii_case("identity");
    if request.body.is_empty() || (is_sdp && is_plain) {
        return Ok(());
    }
    let mut response = request.response(415, to_tag);
    response.headers.push(Name::Accept, SDP);
    if !is_plain {
        response.headers.push(Name::AcceptEncoding, "identity");
    }
    Err(Box::new(response))
}

/// A method that has no business inside a dialog of ours.
fn method_refused(request: &Request) -> Response {
    let mut response = request.response(405, None);
    // RFC 3261 §21.4.6: a 405 lists what is allowed.
    response.headers.push(Name::Allow, ALLOW);
    response
}

/// Answers an INFO (RFC 6086 §4.2.2 for types that are not understood) and tells the digit.
fn handle_info(leg: LegId, to: ServerId, request: &Request, turn: &mut Turn<'_>) {
    match info::read(request) {
        info::Info::Digit(digit) => {
            turn.respond_status(to, request, 200);
            turn.up(LegEvent::InfoDigit { leg, digit });
        }
        info::Info::Empty => turn.respond_status(to, request, 200),
        info::Info::Unknown => {
            let mut response = request.response(415, None);
            response.headers.push(Name::Accept, info::ACCEPT);
            turn.respond(to, response);
        }
    }
}

/// The cause with the peer's own Q.850 value, if it gave one in `Reason` (RFC 3326).
pub(crate) fn with_reason(cause: Cause, headers: &Headers) -> Cause {
    let told = headers
        .reasons()
        .filter(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"))
        .find_map(|reason| reason.cause)
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=127).contains(value));
    Cause { q850: told.unwrap_or(cause.q850), ..cause }
}

/// The value of `Reason` for a Q.850 cause (RFC 3326 §2).
pub(crate) fn reason(q850: u8) -> String {
    match domain::cause::q850_text(q850) {
        Some(text) => format!("Q.850;cause={q850};text=\"{text}\""),
        None => format!("Q.850;cause={q850}"),
    }
}

/// A refusal that we gave.
pub(crate) fn refused_by_us(status: u16) -> Cause {
    Cause { by: EndedBy::Us, ..Cause::from_status(status) }
}
