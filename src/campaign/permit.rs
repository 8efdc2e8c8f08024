//! May this number be dialled now? Facts in; granted, or refused with the reason.
//!
//! The store calls this inside the transaction that makes the attempt durable, with facts read in
//! that transaction: the check and the dial are one step, and nothing can change between them.
//!
//! Calls nothing. Called by the store.

/// What the store knows at the moment of dialling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PermitFacts {
    /// The campaign is running.
    pub running: bool,
    /// The lease is still ours: the contact's fence is the one that was leased.
    pub lease_held: bool,
    /// The contact has had its final word.
    pub contact_final: bool,
    /// An attempt at this contact is in flight.
    pub already_dialling: bool,
    /// Attempts so far, those in doubt included.
    pub attempts_so_far: u8,
    /// As many as there may be.
    pub attempts_max: u8,
    /// The number has asked not to be called.
    pub do_not_call: bool,
    /// It is within the lawful hours.
    pub window_open: bool,
}

/// Why a number is not dialled.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum PermitRefusal {
    /// The campaign was paused, cancelled or has ended.
    NotRunning,
    /// Another node or a later lease has the contact.
    LeaseLost,
    /// The contact has had its final word.
    ContactFinal,
    /// An attempt at it is in flight.
    AlreadyDialling,
    /// The number has asked not to be called.
    DoNotCall,
    /// All attempts are used up.
    AttemptsUsedUp,
    /// Outside the lawful hours.
    WindowClosed,
}

/// What becomes of a contact whose permit was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consequence {
    /// It is due again at once; the campaign waits for its hours or its start.
    DueAgain,
    /// It has had its final word: never called by this campaign.
    Final,
    /// Not ours to change: somebody else holds it, or it is final already.
    Untouched,
}

/// Decides.
///
/// # Errors
/// The first reason that holds, the gravest for the contact first among those that are ours.
pub fn decide(facts: PermitFacts) -> Result<(), PermitRefusal> {
    let reasons = [
        (!facts.lease_held, PermitRefusal::LeaseLost),
        (facts.contact_final, PermitRefusal::ContactFinal),
        (facts.already_dialling, PermitRefusal::AlreadyDialling),
        (facts.do_not_call, PermitRefusal::DoNotCall),
        (facts.attempts_so_far >= facts.attempts_max, PermitRefusal::AttemptsUsedUp),
        (!facts.running, PermitRefusal::NotRunning),
        (!facts.window_open, PermitRefusal::WindowClosed),
    ];
    match reasons.into_iter().find(|(holds, _)| *holds) {
        Some((_, refusal)) => Err(refusal),
        None => Ok(()),
    }
}

impl PermitRefusal {
    const ALL: [Self; 7] = [
        Self::NotRunning,
        Self::LeaseLost,
        Self::ContactFinal,
        Self::AlreadyDialling,
        Self::DoNotCall,
        Self::AttemptsUsedUp,
        Self::WindowClosed,
    ];

    /// What becomes of the contact.
    pub fn consequence(self) -> Consequence {
        match self {
            Self::NotRunning | Self::WindowClosed => Consequence::DueAgain,
            Self::DoNotCall | Self::AttemptsUsedUp => Consequence::Final,
            Self::LeaseLost | Self::ContactFinal | Self::AlreadyDialling => Consequence::Untouched,
        }
    }

    /// The word, such as `do_not_call`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::LeaseLost => "lease_lost",
            Self::ContactFinal => "contact_final",
            Self::AlreadyDialling => "already_dialling",
            Self::DoNotCall => "do_not_call",
            Self::AttemptsUsedUp => "attempts_used_up",
            Self::WindowClosed => "window_closed",
        }
    }

    /// The refusal of that word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: PermitFacts = PermitFacts {
        running: true,
        lease_held: true,
        contact_final: false,
        already_dialling: false,
        attempts_so_far: 2,
        attempts_max: 3,
        do_not_call: false,
        window_open: true,
    };

    #[test]
    fn each_fact_alone_refuses() {
        use Consequence::{DueAgain, Final, Untouched};
        assert_eq!(decide(GOOD), Ok(()));
        let cases = [
            (PermitFacts { running: false, ..GOOD }, PermitRefusal::NotRunning, DueAgain),
            (PermitFacts { lease_held: false, ..GOOD }, PermitRefusal::LeaseLost, Untouched),
            (PermitFacts { contact_final: true, ..GOOD }, PermitRefusal::ContactFinal, Untouched),
            (
                PermitFacts { already_dialling: true, ..GOOD },
                PermitRefusal::AlreadyDialling,
                Untouched,
            ),
            (PermitFacts { attempts_so_far: 3, ..GOOD }, PermitRefusal::AttemptsUsedUp, Final),
            (PermitFacts { do_not_call: true, ..GOOD }, PermitRefusal::DoNotCall, Final),
            (PermitFacts { window_open: false, ..GOOD }, PermitRefusal::WindowClosed, DueAgain),
        ];
        for (facts, refusal, consequence) in cases {
            assert_eq!(decide(facts), Err(refusal));
            assert_eq!(refusal.consequence(), consequence);
            assert_eq!(PermitRefusal::parse(refusal.as_str()), Some(refusal));
        }
    }

    /// What belongs to somebody else is never touched, whatever else is wrong with it.
    #[test]
    fn a_lost_lease_comes_before_every_other_reason() {
        let facts = PermitFacts {
            lease_held: false,
            do_not_call: true,
            running: false,
            attempts_so_far: 9,
            ..GOOD
        };
        assert_eq!(decide(facts), Err(PermitRefusal::LeaseLost));
    }
}
