//! The words of queues, agents and promises as the API and the store write them.

use crate::event::{AgentSays, AgentState, CallbackState, Refusal};
use std::sync::Arc;

impl CallbackState {
    const ALL: [Self; 6] =
        [Self::Promised, Self::Reserved, Self::Dialling, Self::Kept, Self::Broken, Self::Cancelled];

    /// The word, such as `promised`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promised => "promised",
            Self::Reserved => "reserved",
            Self::Dialling => "dialling",
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing comes after it.
    pub fn is_final(self) -> bool {
        match self {
            Self::Kept | Self::Broken | Self::Cancelled => true,
            Self::Promised | Self::Reserved | Self::Dialling => false,
        }
    }
}

impl Refusal {
    const ALL: [Self; 5] =
        [Self::Full, Self::Closed, Self::NobodyThere, Self::TooLong, Self::Unknown];

    /// The word, such as `nobody_there`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Closed => "closed",
            Self::NobodyThere => "nobody_there",
            Self::TooLong => "too_long",
            Self::Unknown => "unknown_queue",
        }
    }

    /// The refusal of that word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.as_str() == word)
    }
}

impl AgentState {
    /// The word, such as `wrap_up`; ticket and reason stand beside it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::Available { .. } => "available",
            Self::Reserved { .. } => "reserved",
            Self::Ringing { .. } => "ringing",
            Self::Talking { .. } => "talking",
            Self::WrapUp => "wrap_up",
            Self::Paused { .. } => "paused",
        }
    }

    /// The state of that word, of those that outlive a restart: `logged_out`, `available` with its
    /// beginning, `paused` with its reason. `None` for any other.
    pub fn parse_kept(word: &str, since_wall_ms: u64, reason: &str) -> Option<Self> {
        match word {
            "logged_out" => Some(Self::LoggedOut),
            "available" => Some(Self::Available { since_wall_ms }),
            "paused" => Some(Self::Paused { reason: reason.into() }),
            _ => None,
        }
    }

    /// What the agent would say to come into this state: the events of a restart. A call does not
    /// outlive one, so its agent is ready again.
    pub fn said(&self) -> Vec<AgentSays> {
        match self {
            Self::LoggedOut => vec![],
            Self::Paused { reason } => {
                vec![AgentSays::LogIn, AgentSays::Pause { reason: reason.clone() }]
            }
            Self::Available { .. }
            | Self::Reserved { .. }
            | Self::Ringing { .. }
            | Self::Talking { .. }
            | Self::WrapUp => vec![AgentSays::LogIn, AgentSays::Ready],
        }
    }
}

impl AgentSays {
    /// The word, such as `ready`; the reason of a pause stands beside it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::LogIn => "log_in",
            Self::LogOut => "log_out",
            Self::Ready => "ready",
            Self::Pause { .. } => "pause",
            Self::ExtendWrapUp => "extend_wrap_up",
        }
    }

    /// What that word says; `reason` matters for `pause` alone. `None` for any other word.
    pub fn parse(word: &str, reason: &str) -> Option<Self> {
        match word {
            "log_in" => Some(Self::LogIn),
            "log_out" => Some(Self::LogOut),
            "ready" => Some(Self::Ready),
            "pause" => Some(Self::Pause { reason: Arc::from(reason) }),
            "extend_wrap_up" => Some(Self::ExtendWrapUp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TicketId;

    #[test]
    fn each_word_reads_back_as_what_it_was() {
        for state in CallbackState::ALL {
            assert_eq!(CallbackState::parse(state.as_str()), Some(state));
        }
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::parse(refusal.as_str()), Some(refusal));
        }
        for says in [
            AgentSays::LogIn,
            AgentSays::LogOut,
            AgentSays::Ready,
            AgentSays::Pause { reason: "lunch".into() },
            AgentSays::ExtendWrapUp,
        ] {
            assert_eq!(AgentSays::parse(says.as_str(), "lunch"), Some(says));
        }
        for state in [
            AgentState::LoggedOut,
            AgentState::Available { since_wall_ms: 5 },
            AgentState::Paused { reason: "lunch".into() },
        ] {
            assert_eq!(AgentState::parse_kept(state.as_str(), 5, "lunch"), Some(state));
        }
        assert_eq!(AgentState::parse_kept("talking", 5, ""), None);
        assert_eq!(CallbackState::parse("Kept"), None);
        assert_eq!(Refusal::parse(""), None);
        assert_eq!(AgentSays::parse("pause ", ""), None);
    }

    #[test]
    fn a_restart_makes_those_who_talked_ready_again() {
        let talking = AgentState::Talking { ticket: TicketId(1) };
        assert_eq!(talking.said(), [AgentSays::LogIn, AgentSays::Ready]);
        assert_eq!(AgentState::LoggedOut.said(), []);
    }
}
