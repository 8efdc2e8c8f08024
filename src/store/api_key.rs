//! Keys of the API. Only their SHA-256 is stored: they are random, so a plain hash is enough.

use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::{id, ms};
use crate::secret;
use domain::id::TenantId;
use rusqlite::params;
use std::sync::Arc;

/// What every key begins with, so that leaked ones can be searched for.
pub const KEY_PREFIX: &str = "tk_";

/// Makes a key for a tenant.
#[derive(Clone, Debug)]
pub struct CreateApiKey {
    /// Whose.
    pub tenant: TenantId,
    /// For people: who uses it.
    pub name: Arc<str>,
}

/// A key just made. The text is shown once and stored nowhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewApiKey {
    /// Its number, to revoke it by.
    pub id: u64,
    /// The key itself: `tk_` and 64 hexadecimal digits.
    pub text: String,
}

/// Ends a key. It is refused from the next request on.
#[derive(Clone, Debug)]
pub struct RevokeApiKey {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: u64,
}

impl Operation for CreateApiKey {
    type Receipt = NewApiKey;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<NewApiKey, StoreError> {
        let text = format!("{KEY_PREFIX}{}", secret::random_hex::<32>()?);
        turn.sql
            .prepare_cached(
                "INSERT INTO api_key (tenant, name, hash, created_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                self.tenant.0,
                self.name,
                secret::sha256(text.as_bytes()),
                ms(turn.now_ms)
            ])?;
        Ok(NewApiKey { id: turn.sql.last_insert_rowid().cast_unsigned(), text })
    }
}

impl Operation for RevokeApiKey {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let known = turn
            .sql
            .prepare_cached(
                "UPDATE api_key SET revoked_ms = coalesce(revoked_ms, ?3)
                 WHERE id = ?1 AND tenant = ?2",
            )?
            .execute(params![id(self.id), self.tenant.0, ms(turn.now_ms)])?;
        if known == 0 { Err(StoreError::NotFound { what: "api key" }) } else { Ok(()) }
    }
}
