//! The words that stand for states and causes in the ledger's columns and in webhook bodies. They
//! are a promise: files written today are read for years, so none is ever renamed.

use campaign::event::{CampaignState, Disposition};
use domain::cause::{CauseKind, EndedBy};
use queue::event::CallbackState;
use switchboard::event::LegRole;

macro_rules! words {
    ($($(#[$doc:meta])* $print:ident, $read:ident: $type:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        pub fn $print(value: $type) -> &'static str {
            match value { $($type::$variant => $word),* }
        }

        /// Reads the word back; `None` for a word we do not have.
        pub fn $read(word: &str) -> Option<$type> {
            match word { $($word => Some($type::$variant),)* _ => None }
        }
    )*};
}

words! {
    /// A campaign's state.
    campaign_state, campaign_state_from: CampaignState {
        Draft = "draft", Running = "running", Paused = "paused", Cancelled = "cancelled",
        Finished = "finished",
    }
    /// The final word on an attempt.
    disposition, disposition_from: Disposition {
        Answered = "answered", AnsweredBriefly = "answered_briefly", Transferred = "transferred",
        Abandoned = "abandoned", Busy = "busy", NoAnswer = "no_answer", Declined = "declined",
        InvalidNumber = "invalid_number", Failed = "failed", InDoubt = "in_doubt",
    }
    /// A promise's state.
    callback_state, callback_state_from: CallbackState {
        Promised = "promised", Reserved = "reserved", Dialling = "dialling", Kept = "kept",
        Broken = "broken", Cancelled = "cancelled",
    }
    /// What a leg's end means.
    cause_kind, cause_kind_from: CauseKind {
        Normal = "normal", Busy = "busy", NoAnswer = "no_answer", Declined = "declined",
        InvalidNumber = "invalid_number", Silent = "silent", Cancelled = "cancelled",
        AnsweredLate = "answered_late", Failed = "failed", NotAdmitted = "not_admitted", Unreachable = "unreachable",
    }
    /// Which side ended a leg.
    ended_by, ended_by_from: EndedBy { Us = "us", Peer = "peer", Network = "network" }
    /// A leg's role.
    leg_role, leg_role_from: LegRole {
        Caller = "caller", Agent = "agent", Callback = "callback", Contact = "contact",
        Callee = "callee",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_strange_ones_do_not() {
        for word in ["draft", "running", "paused", "cancelled", "finished"] {
            assert_eq!(campaign_state_from(word).map(campaign_state), Some(word));
        }
        for word in ["answered", "answered_briefly", "busy", "in_doubt", "invalid_number"] {
            assert_eq!(disposition_from(word).map(disposition), Some(word));
        }
        assert_eq!(callback_state_from("kept"), Some(CallbackState::Kept));
        assert_eq!(leg_role_from("bystander"), None);
        assert_eq!(cause_kind_from(""), None);
        assert_eq!(ended_by_from("network").map(ended_by), Some("network"));
    }
}
