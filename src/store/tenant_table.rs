//! Tenants and where their webhooks go.

use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::ms;
use crate::secret;
use domain::id::TenantId;
use rusqlite::params;
use std::sync::Arc;

/// Makes the tenant unless it is there. Its signing secret is random, 32 bytes.
#[derive(Clone, Debug)]
pub struct EnsureTenant {
    /// Which.
    pub tenant: TenantId,
}

/// Sets where the tenant's webhooks go that have no address of their own (callbacks, campaigns
/// without one).
#[derive(Clone, Debug)]
pub struct SetWebhook {
    /// Whose.
    pub tenant: TenantId,
    /// Where to; `None` sends none.
    pub url: Option<Arc<str>>,
}

/// Replaces the tenant's signing secret with a new random one, which is the receipt.
#[derive(Clone, Debug)]
pub struct RenewWebhookSecret {
    /// Whose.
    pub tenant: TenantId,
}

impl Operation for EnsureTenant {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        ensure(turn.sql, &self.tenant, turn.now_ms)
    }
}

pub(crate) fn ensure(
    sql: &rusqlite::Connection,
    tenant: &TenantId,
    now_ms: u64,
) -> Result<(), StoreError> {
    let secret = secret::random::<32>()?;
    sql.prepare_cached(
        "INSERT INTO tenant (name, webhook_secret, created_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![tenant.0, secret, ms(now_ms)])?;
    Ok(())
}

impl Operation for SetWebhook {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        ensure(turn.sql, &self.tenant, turn.now_ms)?;
        turn.sql
            .prepare_cached("UPDATE tenant SET webhook_url = ?2 WHERE name = ?1")?
            .execute(params![self.tenant.0, self.url])?;
        Ok(())
    }
}

impl Operation for RenewWebhookSecret {
    /// The new secret in the form receivers are given: `whsec_` and base64.
    type Receipt = String;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<String, StoreError> {
        let secret = secret::random::<32>()?;
        let renewed = turn
            .sql
            .prepare_cached("UPDATE tenant SET webhook_secret = ?2 WHERE name = ?1")?
            .execute(params![self.tenant.0, secret])?;
        if renewed == 0 {
            return Err(StoreError::NotFound { what: "tenant" });
        }
        Ok(secret::webhook_secret_text(&secret))
    }
}
