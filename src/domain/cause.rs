//! Why a leg ended: in SIP's words, in Q.850's, and in ours.

use std::fmt;

/// Which side ended it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndedBy {
    /// We did.
    Us,
    /// The other end did.
    Peer,
    /// Nobody: time ran out or the transport failed.
    Network,
}

/// What the end means for what comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum CauseKind {
    /// A talk that ended in the ordinary way.
    Normal,
    /// The line was busy (486, 600, and 6xx that nobody knows: RFC 3261 §8.1.3.2 takes them for 600).
    Busy,
    /// It rang and nobody answered (408 after ringing, 480, our own ring limit).
    NoAnswer,
    /// Somebody declined (403, 603, 607, 608).
    Declined,
    /// No such number (404, 410, 484, 604).
    InvalidNumber,
    /// No final answer at all to what has left (Timer B, transport failure).
    Silent,
    /// We gave up before an answer (487 to our CANCEL, or the caller's own).
    Cancelled,
    /// We had given up when the answer came, and hung up on whoever gave it (RFC 3261 §9.1): somebody
    /// was reached.
    AnsweredLate,
    /// The network or the far end had a fault (4xx else, 5xx, 606).
    Failed,
    /// It could not be sent, so that nothing of it left.
    Unreachable,
    /// Held back before it left: by our own limits, or because the next hop wants no calls now.
    NotAdmitted,
}

/// Why a leg ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cause {
    /// What it means.
    pub kind: CauseKind,
    /// The SIP status, 0 when none was seen (a BYE, a timeout).
    pub status: u16,
    /// The Q.850 cause (RFC 3398 §8.2.6.1 where the peer gave none in `Reason`).
    pub q850: u8,
    /// Which side ended it.
    pub by: EndedBy,
}

impl Cause {
    /// A talk ended by a BYE of `by`.
    pub fn normal(by: EndedBy) -> Self {
        Self { kind: CauseKind::Normal, status: 0, q850: 16, by }
    }

    /// No final answer came: Timer B (RFC 3261 §17.1.1.2), or the transport failed when something had
    /// left already.
    pub fn silent() -> Self {
        Self { kind: CauseKind::Silent, status: 0, q850: 102, by: EndedBy::Network }
    }

    /// Given up by us before anything was sent, or before anybody answered.
    pub fn cancelled() -> Self {
        Self { kind: CauseKind::Cancelled, status: 0, q850: 16, by: EndedBy::Us }
    }

    /// Rung for as long as allowed, then cancelled by us.
    pub fn rang_out() -> Self {
        Self { kind: CauseKind::NoAnswer, status: 487, q850: 19, by: EndedBy::Us }
    }

    /// Answered in the moment in which we gave up: hung up at once.
    pub fn answered_late() -> Self {
        Self { kind: CauseKind::AnsweredLate, status: 200, q850: 16, by: EndedBy::Us }
    }

    /// The INVITE could not be sent, and nothing of it has left: as good as a 503 (RFC 3261 §8.1.3.1), and
    /// nobody's telephone has rung.
    pub fn unreachable() -> Self {
        Self { kind: CauseKind::Unreachable, status: 503, q850: 38, by: EndedBy::Network }
    }

    /// Held back before anything left.
    pub fn not_admitted() -> Self {
        Self { kind: CauseKind::NotAdmitted, status: 503, q850: 34, by: EndedBy::Us }
    }

    /// Whether it ended before anything of it left, so that it says nothing of whoever was to be
    /// called: not admitted, or of a number that makes no URI.
    pub fn is_unsent(&self) -> bool {
        self.by == EndedBy::Us
            && matches!(self.kind, CauseKind::NotAdmitted | CauseKind::InvalidNumber)
    }

    /// The peer's final response `status` (300–699) to our INVITE. Q.850 by RFC 3398 §8.2.6.1.
    pub fn from_status(status: u16) -> Self {
        let (kind, q850) = match status {
            486 | 600 => (CauseKind::Busy, 17),
            408 => (CauseKind::NoAnswer, 102),
            480 => (CauseKind::NoAnswer, 18),
            487 => (CauseKind::Cancelled, 127),
            404 | 604 => (CauseKind::InvalidNumber, 1),
            410 => (CauseKind::InvalidNumber, 22),
            484 => (CauseKind::InvalidNumber, 28),
            403 | 603 | 607 | 608 => (CauseKind::Declined, 21),
            503 => (CauseKind::Failed, 41),
            504 => (CauseKind::Failed, 102),
            488 | 606 => (CauseKind::Failed, 65),
            // RFC 3261 §8.1.3.2: an unknown status counts as the first of its class.
            601.. => (CauseKind::Busy, 17),
            _ => (CauseKind::Failed, 127),
        };
        Self { kind, status, q850, by: EndedBy::Peer }
    }
}

/// What a Q.850 cause means, in the words of ITU-T Q.850 table 1; `None` for those that calls seldom
/// end with.
pub fn q850_text(value: u8) -> Option<&'static str> {
    Some(match value {
        1 => "Unallocated number",
        16 => "Normal call clearing",
        17 => "User busy",
        18 => "No user responding",
        19 => "No answer from user",
        20 => "Subscriber absent",
        21 => "Call rejected",
        22 => "Number changed",
        27 => "Destination out of order",
        28 => "Invalid number format",
        31 => "Normal, unspecified",
        34 => "No circuit available",
        38 => "Network out of order",
        41 => "Temporary failure",
        65 => "Bearer capability not implemented",
        102 => "Recovery on timer expiry",
        127 => "Interworking, unspecified",
        _ => return None,
    })
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            CauseKind::Normal => "hung up",
            CauseKind::Busy => "busy",
            CauseKind::NoAnswer => "no answer",
            CauseKind::Declined => "declined",
            CauseKind::InvalidNumber => "no such number",
            CauseKind::Silent => "no response at all",
            CauseKind::Cancelled => "cancelled",
            CauseKind::AnsweredLate => "answered as it was given up",
            CauseKind::Failed => "failed",
            CauseKind::Unreachable => "no connection",
            CauseKind::NotAdmitted => "not admitted",
        };
        let by = match self.by {
            EndedBy::Us => "us",
            EndedBy::Peer => "the far end",
            EndedBy::Network => "the network",
        };
        write!(f, "{word}, by {by}")?;
        if self.status != 0 {
            write!(f, " (SIP {})", self.status)?;
        }
        Ok(())
    }
}
