//! Numbers that have asked not to be called. Looked up at the moment of dialling.

use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::ms;
use domain::id::TenantId;
use domain::phone_number::PhoneNumber;
use rusqlite::params;
use std::sync::Arc;

/// Puts a number on the tenant's list, or takes it off.
#[derive(Clone, Debug)]
pub struct SetDoNotCall {
    /// Whose list.
    pub tenant: TenantId,
    /// Which number; compared by its digits, so `+49…` and `49…` are one.
    pub number: PhoneNumber,
    /// On whose word it is listed, such as `api` or `pressed 9`; `None` takes it off the list.
    pub source: Option<Arc<str>>,
}

impl Operation for SetDoNotCall {
    /// Whether the list changed.
    type Receipt = bool;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<bool, StoreError> {
        let digits = self.number.digits();
        let changed = match &self.source {
            Some(source) => turn
                .sql
                .prepare_cached("INSERT INTO dnc VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
                .execute(params![self.tenant.0, digits, source, ms(turn.now_ms)])?,
            None => turn
                .sql
                .prepare_cached("DELETE FROM dnc WHERE tenant = ?1 AND digits = ?2")?
                .execute(params![self.tenant.0, digits])?,
        };
        Ok(changed == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::{Kit, number};

    #[test]
    fn a_number_is_listed_once_and_can_be_taken_off() {
        let kit = Kit::new();
        let set = |text: &str, source: Option<&str>| {
            kit.ledger()
                .perform(SetDoNotCall {
                    tenant: TenantId::default(),
                    number: number(text),
                    source: source.map(Into::into),
                })
                .unwrap()
        };
        assert!(set("+49301", Some("api")));
        assert!(!set("49301", Some("api")));
        assert!(set("+49301", None));
        assert!(!set("+49301", None));
    }
}
