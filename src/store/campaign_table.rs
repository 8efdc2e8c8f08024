//! Campaigns and their contacts, as the API writes them.

use crate::definition;
use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::{id, ms};
use crate::words;
use campaign::event::CampaignState;
use domain::id::{CampaignId, TenantId};
use domain::phone_number::PhoneNumber;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;
use switchboard::event::CampaignDefinition;

/// The most contacts of one [`AddContacts`]: about a tenth of a second of writing.
pub const CONTACTS_MAX: usize = 10_000;

/// Takes a campaign into the ledger. The receipt is the definition with its number, ready for
/// `Command::AdoptCampaign`.
#[derive(Clone, Debug)]
pub struct CreateCampaign {
    /// The campaign; the number in its rules is ignored.
    pub definition: CampaignDefinition,
}

/// Adds contacts to a campaign. Rows at fault are left out and named in the receipt.
#[derive(Clone, Debug)]
pub struct AddContacts {
    /// Whose campaign.
    pub tenant: TenantId,
    /// Which; neither cancelled nor finished.
    pub campaign: CampaignId,
    /// At most [`CONTACTS_MAX`].
    pub rows: Vec<NewContact>,
}

/// One contact to be called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewContact {
    /// The merchant's own name for it, unique in the campaign; `None` takes the number.
    pub key: Option<Arc<str>>,
    /// Whom to call; unique in the campaign.
    pub number: PhoneNumber,
    /// Higher is sooner among contacts that are due at the same time.
    pub priority: i32,
    /// Anything the merchant wants back in reports, usually JSON.
    pub payload: Option<Arc<str>>,
}

/// What became of an [`AddContacts`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContactsAdded {
    /// How many were added.
    pub added: u32,
    /// The rows left out, by their place in the list, from 0.
    pub faults: Vec<RowFault>,
}

/// A row left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowFault {
    /// Its place in the list, from 0.
    pub row: usize,
    /// Why.
    pub fault: ContactFault,
}

/// Why a contact was not added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContactFault {
    /// Its key is in the campaign already.
    KeyTaken,
    /// Its number is in the campaign already.
    NumberTaken,
}

impl Operation for CreateCampaign {
    type Receipt = Arc<CampaignDefinition>;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<Self::Receipt, StoreError> {
        let definition = &self.definition;
        let rules = &definition.rules;
        turn.sql
            .prepare_cached(
                "INSERT INTO campaign (tenant, name, state, definition, trunk, attempts_max,
                     in_doubt_after_ms, window_from, window_to, utc_offset_min, webhook_url,
                     created_ms, changed_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)",
            )?
            .execute(params![
                definition.tenant.0,
                definition.name,
                words::campaign_state(definition.state),
                definition::to_json(definition)?,
                rules.trunk.name,
                rules.retry.attempts_max,
                ms(definition::millis(rules.retry.in_doubt_after)),
                rules.window_minutes.0,
                rules.window_minutes.1,
                rules.utc_offset_min,
                definition.webhook_url,
                ms(turn.now_ms),
            ])?;
        let mut stored = definition.clone();
        stored.rules.id = CampaignId(turn.sql.last_insert_rowid().cast_unsigned());
        Ok(Arc::new(stored))
    }
}

impl Operation for AddContacts {
    type Receipt = ContactsAdded;

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<Self::Receipt, StoreError> {
        if self.rows.len() > CONTACTS_MAX {
            return Err(StoreError::TooMany { what: "contacts", max: CONTACTS_MAX });
        }
        expect_open(turn, &self.tenant, self.campaign)?;
        let mut insert = turn.sql.prepare_cached(
            "INSERT INTO contact (tenant, campaign, key, number, priority, payload, state, next_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'ready', 0) ON CONFLICT DO NOTHING",
        )?;
        let mut receipt = ContactsAdded::default();
        for (row, contact) in self.rows.iter().enumerate() {
            let number = contact.number.as_str();
            let key = contact.key.as_deref().unwrap_or(number);
            let added = insert.execute(params![
                self.tenant.0,
                id(self.campaign.0),
                key,
                number,
                contact.priority,
                contact.payload,
            ])?;
            if added == 1 {
                receipt.added += 1;
            } else {
                let fault = why_taken(turn, self.campaign, number)?;
                receipt.faults.push(RowFault { row, fault });
            }
        }
        turn.sql
            .prepare_cached(
                "INSERT INTO tally VALUES (?1, ?2, 'ready', '', ?3)
                 ON CONFLICT DO UPDATE SET contacts = contacts + ?3",
            )?
            .execute(params![id(self.campaign.0), self.tenant.0, receipt.added])?;
        Ok(receipt)
    }
}

/// Refuses a campaign that is another tenant's, unknown, or over.
fn expect_open(turn: &Turn<'_>, tenant: &TenantId, campaign: CampaignId) -> Result<(), StoreError> {
    let state: Option<String> = turn
        .sql
        .prepare_cached("SELECT state FROM campaign WHERE id = ?1 AND tenant = ?2")?
        .query_row(params![id(campaign.0), tenant.0], |row| row.get(0))
        .optional()?;
    match state.as_deref().map(words::campaign_state_from) {
        None => Err(StoreError::NotFound { what: "campaign" }),
        Some(Some(CampaignState::Cancelled)) => {
            Err(StoreError::conflict("the campaign is cancelled"))
        }
        Some(Some(CampaignState::Finished)) => {
            Err(StoreError::conflict("the campaign has finished"))
        }
        Some(_) => Ok(()),
    }
}

fn why_taken(
    turn: &Turn<'_>,
    campaign: CampaignId,
    number: &str,
) -> Result<ContactFault, StoreError> {
    let number_taken = turn
        .sql
        .prepare_cached("SELECT 1 FROM contact WHERE campaign = ?1 AND number = ?2")?
        .exists(params![id(campaign.0), number])?;
    Ok(if number_taken { ContactFault::NumberTaken } else { ContactFault::KeyTaken })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::{Kit, contact, definition, number};
    use switchboard::event::Fact;

    #[test]
    fn a_campaign_comes_back_after_a_restart_as_it_was_given() {
        let mut kit = Kit::new();
        let created = kit.ledger().perform(CreateCampaign { definition: definition() }).unwrap();
        let mut expected = definition();
        expected.rules.id = created.rules.id;
        assert_eq!(*created, expected);
        kit.crash();
        assert_eq!(kit.restored.campaigns, [created]);
    }

    #[test]
    fn rows_with_a_taken_key_or_number_are_named_and_the_rest_goes_in() {
        let kit = Kit::new();
        let campaign = kit.campaign(0);
        let keyed = |key: &str, digits: &str| NewContact {
            key: Some(key.into()),
            number: number(digits),
            priority: 0,
            payload: Some(r#"{"name":"Li"}"#.into()),
        };
        let rows = vec![
            keyed("a", "+491"),
            keyed("b", "+491"),
            keyed("a", "+492"),
            contact("+493"),
            contact("+493"),
        ];
        let add = AddContacts { tenant: TenantId::default(), campaign, rows };
        let fault = |row, fault| RowFault { row, fault };
        let expected = ContactsAdded {
            added: 2,
            faults: vec![
                fault(1, ContactFault::NumberTaken),
                fault(2, ContactFault::KeyTaken),
                fault(4, ContactFault::NumberTaken),
            ],
        };
        assert_eq!(kit.ledger().perform(add.clone()), Ok(expected));
        // The whole request again: nothing is added twice.
        assert_eq!(kit.ledger().perform(add).unwrap().added, 0);
    }

    #[test]
    fn foreign_finished_and_oversized_requests_are_refused() {
        let kit = Kit::new();
        let campaign = kit.campaign(0);
        let add = |tenant: &str, count| AddContacts {
            tenant: TenantId(tenant.into()),
            campaign,
            rows: vec![contact("+491"); count],
        };
        let perform = |operation| kit.ledger().perform(operation);
        assert_eq!(perform(add("other", 1)), Err(StoreError::NotFound { what: "campaign" }));
        assert!(matches!(
            perform(add("default", CONTACTS_MAX + 1)),
            Err(StoreError::TooMany { .. })
        ));
        kit.store(vec![Fact::CampaignState { campaign, state: CampaignState::Finished }]);
        assert!(matches!(perform(add("default", 1)), Err(StoreError::Conflict { .. })));
    }
}
