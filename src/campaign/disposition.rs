//! The final word on an attempt, and the words of campaigns as the API and the store write them.
//!
//! Calls nothing. Called by the switchboard, the store and the API.

use crate::event::{CampaignState, Disposition, Outcome};
use domain::cause::CauseKind;

impl Disposition {
    const ALL: [Self; 10] = [
        Self::Answered,
        Self::AnsweredBriefly,
        Self::Transferred,
        Self::Abandoned,
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::InvalidNumber,
        Self::Failed,
        Self::InDoubt,
    ];

    /// The word on an attempt that ended so.
    pub fn of(outcome: &Outcome) -> Self {
        if outcome.answered {
            return if outcome.joined_agent {
                Self::Transferred
            } else if outcome.asked_for_agent {
                Self::Abandoned
            } else if outcome.message_heard || outcome.key.is_some() {
                Self::Answered
            } else {
                Self::AnsweredBriefly
            };
        }
        match outcome.cause.kind {
            CauseKind::Busy => Self::Busy,
            // Cancelled by us before an answer: it rang and nobody took it in that time.
            CauseKind::NoAnswer | CauseKind::Cancelled => Self::NoAnswer,
            // Somebody took the call as we gave it up: he was reached, and heard nothing.
            CauseKind::AnsweredLate => Self::AnsweredBriefly,
            CauseKind::Declined => Self::Declined,
            CauseKind::InvalidNumber => Self::InvalidNumber,
            // No final response: the INVITE may have arrived and rung.
            CauseKind::Silent => Self::InDoubt,
            // A talk that ended in the ordinary way without an answer does not exist; it is
            // counted as what it would be, a fault.
            CauseKind::Failed
            | CauseKind::Unreachable
            | CauseKind::NotAdmitted
            | CauseKind::Normal => Self::Failed,
        }
    }

    /// The word, such as `no_answer`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::AnsweredBriefly => "answered_briefly",
            Self::Transferred => "transferred",
            Self::Abandoned => "abandoned",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::InvalidNumber => "invalid_number",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
        }
    }

    /// The disposition of that word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|disposition| disposition.as_str() == word)
    }

    /// Whether somebody was reached.
    pub fn is_answered(self) -> bool {
        match self {
            Self::Answered | Self::AnsweredBriefly | Self::Transferred | Self::Abandoned => true,
            Self::Busy
            | Self::NoAnswer
            | Self::Declined
            | Self::InvalidNumber
            | Self::Failed
            | Self::InDoubt => false,
        }
    }
}

impl CampaignState {
    const ALL: [Self; 5] =
        [Self::Draft, Self::Running, Self::Paused, Self::Cancelled, Self::Finished];

    /// The word, such as `running`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
        }
    }

    /// The state of that word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing comes after it.
    pub fn is_final(self) -> bool {
        match self {
            Self::Cancelled | Self::Finished => true,
            Self::Draft | Self::Running | Self::Paused => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cause::{Cause, EndedBy};

    fn unanswered(cause: Cause) -> Outcome {
        Outcome {
            cause,
            answered: false,
            message_heard: false,
            key: None,
            asked_for_agent: false,
            joined_agent: false,
        }
    }

    #[test]
    fn the_cause_decides_where_nobody_answered() {
        let cases = [
            (Cause::from_status(486), Disposition::Busy),
            (Cause::from_status(600), Disposition::Busy),
            (Cause::from_status(480), Disposition::NoAnswer),
            (Cause::rang_out(), Disposition::NoAnswer),
            (Cause::from_status(487), Disposition::NoAnswer),
            (Cause::from_status(603), Disposition::Declined),
            (Cause::from_status(404), Disposition::InvalidNumber),
            (Cause::from_status(484), Disposition::InvalidNumber),
            (Cause::from_status(503), Disposition::Failed),
            (Cause::not_admitted(), Disposition::Failed),
            (Cause::silent(), Disposition::InDoubt),
            // The answer crossed our CANCEL: whoever gave it is never called again.
            (Cause::answered_late(), Disposition::AnsweredBriefly),
        ];
        for (cause, expected) in cases {
            assert_eq!(Disposition::of(&unanswered(cause)), expected, "{cause}");
        }
    }

    #[test]
    fn what_was_done_decides_where_somebody_answered() {
        let answered = Outcome { answered: true, ..unanswered(Cause::normal(EndedBy::Peer)) };
        let asked = Outcome { asked_for_agent: true, key: Some('1'), ..answered };
        let cases = [
            (answered, Disposition::AnsweredBriefly),
            (Outcome { message_heard: true, ..answered }, Disposition::Answered),
            (Outcome { key: Some('9'), ..answered }, Disposition::Answered),
            (asked, Disposition::Abandoned),
            (Outcome { joined_agent: true, ..asked }, Disposition::Transferred),
            // Answered counts, even if the network broke the call afterwards.
            (Outcome { cause: Cause::silent(), ..answered }, Disposition::AnsweredBriefly),
        ];
        for (outcome, expected) in cases {
            assert_eq!(Disposition::of(&outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn each_word_reads_back_as_what_it_was() {
        for disposition in Disposition::ALL {
            assert_eq!(Disposition::parse(disposition.as_str()), Some(disposition));
        }
        for state in CampaignState::ALL {
            assert_eq!(CampaignState::parse(state.as_str()), Some(state));
        }
        assert_eq!(Disposition::parse("maybe"), None);
        assert_eq!(CampaignState::parse("Running"), None);
    }
}
