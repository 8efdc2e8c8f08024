//! The same request sent twice is done once: the reply is stored in the transaction of the work,
//! and given again for the same key.

use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::ms;
use domain::id::TenantId;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

/// How long a reply is kept, in milliseconds: one day.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// What the asker sent to recognise a repetition by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyKey {
    /// Whose.
    pub tenant: TenantId,
    /// The `Idempotency-Key` header; its length is limited by the API.
    pub key: Arc<str>,
    /// SHA-256 over method, path and body.
    pub request_hash: [u8; 32],
}

/// A reply as it was, or will be, sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Arc<str>,
}

/// Does an operation once for a key.
pub struct Once<O: Operation> {
    /// The key; without one it is simply done.
    pub key: Option<IdempotencyKey>,
    /// What to do.
    pub operation: O,
    /// Makes the reply from the receipt. Pure and short: it runs inside the transaction.
    pub reply: ReplyMaker<O::Receipt>,
}

/// Makes the reply to be sent from a receipt.
pub type ReplyMaker<R> = Box<dyn Fn(&R) -> StoredReply + Send>;

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer<R> {
    /// Done now.
    Fresh {
        /// The operation's receipt.
        receipt: R,
        /// The reply to send.
        reply: StoredReply,
    },
    /// Done before: the same reply again.
    Replayed(StoredReply),
}

impl<O: Operation> Operation for Once<O> {
    type Receipt = Answer<O::Receipt>;

    fn rows(&self) -> usize {
        self.operation.rows() + 1
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<Self::Receipt, StoreError> {
        if let Some(key) = &self.key
            && let Some(reply) = stored_reply(turn, key)?
        {
            return Ok(Answer::Replayed(reply));
        }
        let receipt = self.operation.apply(turn)?;
        let reply = (self.reply)(&receipt);
        if let Some(key) = &self.key {
            remember(turn, key, &reply)?;
        }
        Ok(Answer::Fresh { receipt, reply })
    }
}

fn stored_reply(turn: &Turn<'_>, key: &IdempotencyKey) -> Result<Option<StoredReply>, StoreError> {
    let found: Option<([u8; 32], StoredReply)> = turn
        .sql
        .prepare_cached(
            "SELECT request_hash, status, body FROM idempotency
             WHERE tenant = ?1 AND key = ?2 AND expires_ms > ?3",
        )?
        .query_row(params![key.tenant.0, key.key, ms(turn.now_ms)], |row| {
            let reply = StoredReply { status: row.get("status")?, body: row.get("body")? };
            Ok((row.get("request_hash")?, reply))
        })
        .optional()?;
    match found {
        None => Ok(None),
        Some((hash, reply)) if hash == key.request_hash => Ok(Some(reply)),
        Some(_) => Err(StoreError::KeyReused),
    }
}

fn remember(turn: &Turn<'_>, key: &IdempotencyKey, reply: &StoredReply) -> Result<(), StoreError> {
    turn.sql
        .prepare_cached("INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            key.tenant.0,
            key.key,
            key.request_hash,
            reply.status,
            reply.body,
            ms(turn.now_ms.saturating_add(KEPT_MS)),
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign_table::CreateCampaign;
    use crate::test_kit::{Kit, definition};
    use std::time::Duration;
    use switchboard::event::CampaignDefinition;

    fn reply(created: &Arc<CampaignDefinition>) -> StoredReply {
        let body = format!(r#"{{"id":{}}}"#, created.rules.id);
        StoredReply { status: 201, body: body.into() }
    }

    fn create(kit: &Kit, key: &str, hash: u8) -> Result<Option<StoredReply>, StoreError> {
        let once = Once {
            key: Some(IdempotencyKey {
                tenant: TenantId::default(),
                key: key.into(),
                request_hash: [hash; 32],
            }),
            operation: CreateCampaign { definition: definition() },
            reply: Box::new(reply),
        };
        kit.ledger().perform(once).map(|answer| match answer {
            Answer::Fresh { .. } => None,
            Answer::Replayed(reply) => Some(reply),
        })
    }

    #[test]
    fn the_same_request_again_gets_the_same_reply_even_after_a_crash() {
        let mut kit = Kit::new();
        assert_eq!(create(&kit, "k1", 1), Ok(None));
        kit.crash();
        let stored = StoredReply { status: 201, body: r#"{"id":1}"#.into() };
        assert_eq!(create(&kit, "k1", 1), Ok(Some(stored)));
        assert_eq!(create(&kit, "k1", 2), Err(StoreError::KeyReused));
        assert_eq!(create(&kit, "k2", 2), Ok(None));
        assert_eq!(kit.value::<u32>("SELECT count(*) FROM campaign"), 2);
    }

    #[test]
    fn a_key_is_forgotten_after_a_day() {
        let kit = Kit::new();
        assert_eq!(create(&kit, "k", 1), Ok(None));
        kit.pass(Duration::from_millis(KEPT_MS));
        assert_eq!(create(&kit, "k", 2), Ok(None));
    }
}
