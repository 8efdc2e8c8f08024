//! Who vouches for a caller's number: STIR (RFC 8224, 8225, 8226) with SHAKEN's claims (RFC 8588).
//!
//! ```text
//! Identity values ─► identity ─► passport ─┐
//!                                          ├─► verify ─► verdict ─► verstat, attestation, status
//! certificates ───► certificate ─► chain ──┘
//!
//! attest (A, B or C by rule) ─► sign ─► Identity value
//! ```
//!
//! Calls nothing and waits for nothing: whoever asks has fetched the certificates
//! ([`identity::Identity::info`] says where from) and tells the time; a signature's randomness is
//! handed in.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod attest;
pub mod certificate;
pub mod chain;
mod der;
pub mod identity;
pub mod number;
pub mod passport;
pub mod sign;
pub mod time;
pub mod tn_list;
pub mod verdict;
pub mod verify;

#[cfg(test)]
mod test_kit;
#[cfg(test)]
mod tests;
