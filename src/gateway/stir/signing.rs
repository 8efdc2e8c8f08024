//! Signs outgoing calls: the loop's only use of a private key. A signature takes some tens of
//! microseconds, so it is made within the turn.

use ring::rand::{SecureRandom, SystemRandom};
use std::sync::Arc;
use stir::sign::{Signer, ToSign, origin_id};
use switchboard::exchange::{SignCalls, Vouched};

/// The tenant's key.
pub struct Signing {
    signer: Arc<Signer>,
    random: SystemRandom,
}

impl Signing {
    /// Signs with `signer`.
    pub fn new(signer: Arc<Signer>) -> Self {
        Self { signer, random: SystemRandom::new() }
    }
}

impl SignCalls for Signing {
    fn sign(&mut self, call: &Vouched) -> Option<Arc<str>> {
        let mut random = [0; 16];
        self.random.fill(&mut random).ok()?;
        // RFC 8588 §10: each call has its own, so that nobody but us can join two of them.
        let origin_id = origin_id(random);
        let call = ToSign {
            attestation: call.attestation,
            origin: &call.origin,
            destination: &call.destination,
            origin_id: &origin_id,
            issued_at_s: call.issued_at_s,
        };
        let identity = self.signer.sign(&call, &self.random);
        if identity.is_none() {
            tracing::warn!(
                "a call goes out unsigned: the certificate of [stir] is out of its time"
            );
        }
        let outcome = if identity.is_some() { call.attestation.letter() } else { "unsigned" };
        metrics::counter!("gw_stir_signed_total", "attestation" => outcome).increment(1);
        identity.map(Arc::from)
    }
}
