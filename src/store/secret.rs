//! Random keys from the system, and their hashes.

use crate::error::StoreError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// `N` random bytes from the system's generator.
///
/// # Errors
/// `File` when the system has none to give.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; N];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|fault| StoreError::file(path, &fault))?;
    Ok(bytes)
}

/// `N` random bytes as hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> Result<String, StoreError> {
    Ok(hex(&random::<N>()?))
}

/// Hexadecimal digits, two for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256, as keys are stored.
pub(crate) fn sha256(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// A webhook secret as receivers are given it (Standard Webhooks): `whsec_` and base64.
pub(crate) fn webhook_secret_text(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// The Call-ID of an attempt's INVITE: the same after any crash, and not to be guessed by others
/// (RFC 3261 §8.1.1.4 asks for cryptographic randomness).
pub(crate) fn call_id(call_key: &[u8; 32], attempt: u64) -> String {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(call_key)
        .expect("HMAC takes a key of any length (RFC 2104 §2)");
    mac.update(&attempt.to_be_bytes());
    let code = mac.finalize().into_bytes();
    format!("{}@trunkline", hex(&code[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_depends_on_key_and_attempt_alone() {
        let first = call_id(&[1; 32], 7);
        assert_eq!(first, call_id(&[1; 32], 7));
        assert_ne!(first, call_id(&[1; 32], 8));
        assert_ne!(first, call_id(&[2; 32], 7));
        assert_eq!(first.len(), 32 + "@trunkline".len());
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
