//! What a verification says, in the words of the telephone network and of RFC 8224 §6.2.2.

use crate::attest::Attestation;
use std::sync::Arc;

/// What came of a call's Identity values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// One of them is valid and names this caller and this callee.
    Passed {
        /// How far the signer vouches; `None` for a PASSporT that is not SHAKEN's.
        attestation: Option<Attestation>,
        /// `origid`, if the signer gave one.
        origin_id: Option<Arc<str>>,
        /// The signer's service provider code, if its certificate names one.
        provider: Option<Arc<str>>,
        /// Where the signer's certificate is.
        certificate_url: Arc<str>,
    },
    /// None is.
    Failed(Fault),
}

/// Why no Identity value of a call is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is none.
    #[error("the call has no Identity header")]
    NoIdentity,
    /// All are of kinds that are not known here.
    #[error("the call's PASSporTs are of unknown kinds")]
    UnsupportedKind,
    /// The caller shows no number that could be verified.
    #[error("the caller shows no telephone number")]
    NoCallerNumber,
    /// The certificate cannot be had.
    #[error("the certificate cannot be had: {0}")]
    BadInfo(InfoFault),
    /// The certificate cannot be relied on.
    #[error("the certificate is not relied on: {0}")]
    Credential(CredentialFault),
    /// `Date` or `iat` is too old, or lies in the future.
    #[error("the signature is not of this minute")]
    Stale,
    /// The header is malformed, or a part of its PASSporT is.
    #[error("the Identity header is malformed")]
    Malformed,
    /// The signing algorithm is not ES256.
    #[error("the PASSporT is not signed by ES256")]
    UnsupportedAlgorithm,
    /// `alg`, `ppt` or `x5u` differ from the header's parameters, or `typ` is not `passport`.
    #[error("the PASSporT contradicts its header")]
    HeaderMismatch,
    /// A SHAKEN PASSporT has no `attest` or no `origid`, or is compact (RFC 8588 §3).
    #[error("the PASSporT lacks claims that SHAKEN requires")]
    MissingClaims,
    /// The certificate does not permit these claims (RFC 8226 §8).
    #[error("the certificate does not permit these claims")]
    ForbiddenClaims,
    /// Another caller is signed.
    #[error("the signature is of another caller")]
    CallerMismatch,
    /// Another callee is signed.
    #[error("the signature is of another callee")]
    CalledMismatch,
    /// The compact form needs `Date` (RFC 8224 §6.2 step 4), which is missing or malformed.
    #[error("the compact form came without a date")]
    NoDate,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    BadSignature,
}

/// Why a certificate cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoFault {
    /// It is not at an `https` address of port 443 or 8443, or the address is malformed.
    #[error("its address is not https on port 443 or 8443")]
    BadAddress,
    /// The host may not be asked: not allowed by the operator, or not a public address.
    #[error("its host may not be asked")]
    HostNotAllowed,
    /// The host did not hand it out in time.
    #[error("it did not come in time")]
    TimedOut,
    /// The host refused, or the connection failed.
    #[error("its host did not hand it out")]
    Unreachable,
}

/// Why a certificate is not relied on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialFault {
    /// It is none, or an extension of it is malformed.
    #[error("malformed")]
    Malformed,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYetValid,
    /// No path leads to an anchor of ours.
    #[error("no path to a trusted authority")]
    Untrusted,
    /// Its key is not one of P-256.
    #[error("its key is not of P-256")]
    UnsupportedKey,
    /// It has no TN Authorization List.
    #[error("it has no list of telephone numbers")]
    NoTnList,
    /// Its authority was not allowed to give it these numbers (RFC 8226 §9).
    #[error("it holds numbers that its authority does not have")]
    BeyondAuthority,
    /// The caller's number is not on its list.
    #[error("it does not hold the caller's number")]
    NumberNotCovered,
}

/// The words of `verstat` (ATIS-1000074, 3GPP TS 24.229 §7.2A.20).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verstat {
    /// A signature was checked and holds.
    Passed,
    /// A signature was checked and does not hold.
    Failed,
    /// There was nothing to check, or it could not be checked.
    NotValidated,
}

impl Verstat {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "TN-Validation-Passed",
            Self::Failed => "TN-Validation-Failed",
            Self::NotValidated => "No-TN-Validation",
        }
    }
}

impl Verdict {
    /// In one of three words.
    pub fn verstat(&self) -> Verstat {
        match self {
            Self::Passed { .. } => Verstat::Passed,
            Self::Failed(fault) => fault.verstat(),
        }
    }

    /// The attestation of a valid signature.
    pub fn attestation(&self) -> Option<Attestation> {
        match self {
            Self::Passed { attestation, .. } => *attestation,
            Self::Failed(_) => None,
        }
    }
}

impl Fault {
    /// The status a call is refused with where a valid identity is required (RFC 8224 §6.2.2).
    pub fn status(self) -> u16 {
        match self {
            Self::Stale => 403,
            Self::NoIdentity | Self::UnsupportedKind => 428,
            // RFC 5079 §4: an anonymous caller where anonymity is not allowed.
            Self::NoCallerNumber => 433,
            Self::BadInfo(_) => 436,
            Self::Credential(_) => 437,
            Self::Malformed
            | Self::UnsupportedAlgorithm
            | Self::HeaderMismatch
            | Self::MissingClaims
            | Self::ForbiddenClaims
            | Self::CallerMismatch
            | Self::CalledMismatch
            | Self::NoDate
            | Self::BadSignature => 438,
        }
    }

    /// Its verstat: what was checked has failed, what could not be checked has not.
    pub fn verstat(self) -> Verstat {
        match self.status() {
            428 | 433 | 436 => Verstat::NotValidated,
            _ => Verstat::Failed,
        }
    }

    /// Which of several faults is told (RFC 8224 §6.2.2): 437 when at least one certificate was not
    /// supported, 436 only when none could be had; the largest wins.
    pub(crate) fn weight(self) -> u8 {
        match self.status() {
            437 => 5,
            403 => 4,
            438 => 3,
            436 => 2,
            433 => 1,
            _ => 0,
        }
    }
}
