//! How far a caller is vouched for (RFC 8588 §4), decided by rule and never raised.

/// The three levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Attestation {
    /// C: the call only passes through; nothing is known of who began it.
    Gateway,
    /// B: the caller is our customer, the number is not known to be his.
    Partial,
    /// A: the caller is our customer and may use this number.
    Full,
}

impl Attestation {
    /// Reads `A`, `B` or `C`.
    pub fn parse(letter: &str) -> Option<Self> {
        match letter {
            "A" => Some(Self::Full),
            "B" => Some(Self::Partial),
            "C" => Some(Self::Gateway),
            _ => None,
        }
    }

    /// `A`, `B` or `C`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Full => "A",
            Self::Partial => "B",
            Self::Gateway => "C",
        }
    }
}

/// Who began a call that is to be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Beginner {
    /// The tenant itself: a campaign, a callback, an agent known by digest.
    Customer,
    /// It came in by another trunk and is passed on.
    PassedOn,
}

/// Decides by rule: A only when the customer shows one of his `verified` numbers, both in canonical
/// form; B when he shows another; C when the call is not his.
pub fn attestation(beginner: Beginner, shown: &str, verified: &[Box<str>]) -> Attestation {
    match beginner {
        Beginner::PassedOn => Attestation::Gateway,
        Beginner::Customer if verified.iter().any(|number| **number == *shown) => Attestation::Full,
        Beginner::Customer => Attestation::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_attestation_needs_a_customer_and_a_verified_number() {
        let verified = ["12155551212".into(), "12155551213".into()];
        for (beginner, shown, verified, expected) in [
            (Beginner::Customer, "12155551212", verified.as_slice(), Attestation::Full),
            (Beginner::Customer, "12155551213", &verified, Attestation::Full),
            (Beginner::Customer, "12155551214", &verified, Attestation::Partial),
            (Beginner::Customer, "2155551212", &verified, Attestation::Partial),
            (Beginner::Customer, "", &verified, Attestation::Partial),
            (Beginner::Customer, "12155551212", &[], Attestation::Partial),
            (Beginner::PassedOn, "12155551212", &verified, Attestation::Gateway),
            (Beginner::PassedOn, "12155551214", &verified, Attestation::Gateway),
        ] {
            assert_eq!(attestation(beginner, shown, verified), expected, "{beginner:?} {shown}");
        }
    }
}
