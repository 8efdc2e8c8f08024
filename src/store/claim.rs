//! Leasing due contacts, and giving them back.
//!
//! ```text
//! ready ──Claim──► leased ──Permit──► dialling ──AttemptClosed──► ready (later) or final
//!   ▲                │
//!   └─Return, lease over, crash
//! ```
//!
//! Each lease turns the row's fence; whoever comes with an older fence is refused.

use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::{self, id, ms};
use campaign::event::LeasedContact;
use domain::id::{CampaignId, ContactId};
use rusqlite::params;
use std::cmp::Reverse;

/// How long a lease lasts, in milliseconds.
pub const LEASE_MS: u64 = 60_000;
/// The most contacts of one claim.
pub const CLAIM_MAX: u32 = 500;

/// Leases up to `count` due contacts of a campaign, those due longest first, then by priority,
/// then by number of their row.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// At most how many; more than [`CLAIM_MAX`] gives [`CLAIM_MAX`].
    pub count: u32,
}

/// What a claim brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claimed {
    /// The leased contacts, in the order in which to call them.
    pub contacts: Vec<LeasedContact>,
    /// The earliest time at which another comes due. A leased one comes due again when its lease
    /// ends: should its order be lost on the way, its campaign does not finish without it. `None`
    /// when all contacts are final or being called.
    pub next_due_wall_ms: Option<u64>,
}

/// Gives leased contacts back undialled. Those whose fence has moved on are left alone.
#[derive(Clone, Debug)]
pub struct Return {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// Which.
    pub contacts: Vec<LeasedContact>,
}

impl Operation for Claim {
    type Receipt = Claimed;

    fn rows(&self) -> usize {
        self.count.min(CLAIM_MAX) as usize
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<Claimed, StoreError> {
        let campaign = id(self.campaign.0);
        turn.sql
            .prepare_cached(
                "UPDATE contact SET state = 'ready', lease_until = NULL
                 WHERE campaign = ?1 AND state = 'leased' AND lease_until <= ?2",
            )?
            .execute(params![campaign, ms(turn.now_ms)])?;
        let mut lease = turn.sql.prepare_cached(
            "UPDATE contact SET state = 'leased', fence = fence + 1, lease_until = ?3
             WHERE id IN (SELECT id FROM contact INDEXED BY contact_due
                          WHERE campaign = ?1 AND state = 'ready' AND next_at <= ?2
                          ORDER BY next_at, priority DESC, id LIMIT ?4)
             RETURNING id, number, attempts, fence, next_at, priority",
        )?;
        let until = ms(turn.now_ms.saturating_add(LEASE_MS));
        let count = self.count.min(CLAIM_MAX);
        let mut leased = lease
            .query_map(params![campaign, ms(turn.now_ms), until, count], |columns| {
                let order = (columns.get::<_, i64>("next_at")?, columns.get::<_, i64>("priority")?);
                Ok((order, leased_contact(columns)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        // RETURNING gives the rows in the order of their change, which is not ours.
        leased.sort_by_key(|((next_at, priority), it)| (*next_at, Reverse(*priority), it.contact));
        let next_due: Option<i64> = turn
            .sql
            .prepare_cached(
                "SELECT min(at) FROM (
                     SELECT * FROM (SELECT next_at AS at FROM contact INDEXED BY contact_due
                                    WHERE campaign = ?1 AND state = 'ready'
                                    ORDER BY next_at LIMIT 1)
                     UNION ALL
                     SELECT * FROM (SELECT lease_until FROM contact INDEXED BY contact_leased
                                    WHERE campaign = ?1 AND state = 'leased'
                                    ORDER BY lease_until LIMIT 1))",
            )?
            .query_row([campaign], |columns| columns.get(0))?;
        Ok(Claimed {
            contacts: leased.into_iter().map(|(_, contact)| contact).collect(),
            next_due_wall_ms: next_due.map(|ms| u64::try_from(ms).unwrap_or(0)),
        })
    }
}

fn leased_contact(columns: &rusqlite::Row<'_>) -> rusqlite::Result<LeasedContact> {
    Ok(LeasedContact {
        contact: ContactId(row::get_id(columns, "id")?),
        number: row::get_number(columns, "number")?,
        attempt_number: columns.get::<_, u8>("attempts")?.saturating_add(1),
        fence: row::get_id(columns, "fence")?,
    })
}

impl Operation for Return {
    type Receipt = ();

    fn rows(&self) -> usize {
        self.contacts.len()
    }

    fn essential(&self) -> bool {
        true
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        for contact in &self.contacts {
            release(turn, self.campaign, contact)?;
        }
        Ok(())
    }
}

/// Puts one leased contact back as it was.
pub(crate) fn release(
    turn: &Turn<'_>,
    campaign: CampaignId,
    contact: &LeasedContact,
) -> Result<(), StoreError> {
    turn.sql
        .prepare_cached(
            "UPDATE contact SET state = 'ready', lease_until = NULL
             WHERE id = ?1 AND campaign = ?2 AND fence = ?3 AND state = 'leased'",
        )?
        .execute(params![id(contact.contact.0), id(campaign.0), id(contact.fence)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign_table::{AddContacts, NewContact};
    use crate::permit::Permit;
    use crate::test_kit::{Kit, START_MS, contact};
    use domain::id::{AttemptId, TenantId};
    use std::time::Duration;

    fn claim(kit: &Kit, campaign: CampaignId, count: u32) -> Claimed {
        kit.ledger().perform(Claim { campaign, count }).unwrap()
    }

    fn numbers(claimed: &Claimed) -> Vec<&str> {
        claimed.contacts.iter().map(|contact| contact.number.as_str()).collect()
    }

    #[test]
    fn higher_priority_comes_first_then_the_order_of_the_list() {
        let kit = Kit::new();
        let campaign = kit.campaign(2);
        let urgent = NewContact { priority: 5, ..contact("+499") };
        let tenant = TenantId::default();
        kit.ledger().perform(AddContacts { tenant, campaign, rows: vec![urgent] }).unwrap();
        let first = claim(&kit, campaign, 2);
        assert_eq!(numbers(&first), ["+499", "+4930000001"]);
        assert_eq!(first.contacts[0].attempt_number, 1);
        assert_eq!(first.next_due_wall_ms, Some(0));
        let second = claim(&kit, campaign, 2);
        assert_eq!(numbers(&second), ["+4930000002"]);
        assert_eq!(second.next_due_wall_ms, Some(START_MS + LEASE_MS));
    }

    #[test]
    fn a_returned_contact_can_be_leased_again_and_an_old_fence_returns_nothing() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        let first = claim(&kit, campaign, 1).contacts;
        let give_back = Return { campaign, contacts: first.clone() };
        kit.ledger().perform(give_back.clone()).unwrap();
        let second = claim(&kit, campaign, 1).contacts;
        assert_eq!(second[0].fence, first[0].fence + 1);
        kit.ledger().perform(give_back).unwrap();
        assert_eq!(claim(&kit, campaign, 1).contacts, []);
    }

    #[test]
    fn nothing_comes_due_when_all_are_final_or_being_called() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        let contact = claim(&kit, campaign, 1).contacts.remove(0);
        let permit = Permit { campaign, attempt: AttemptId(1), contact };
        kit.ledger().perform(permit).unwrap();
        assert_eq!(claim(&kit, campaign, 1), Claimed::default());
    }

    #[test]
    fn a_lease_ends_by_itself_after_a_minute() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        assert_eq!(claim(&kit, campaign, 1).contacts.len(), 1);
        kit.pass(Duration::from_millis(LEASE_MS - 1));
        let early = claim(&kit, campaign, 1);
        assert_eq!((early.contacts.len(), early.next_due_wall_ms), (0, Some(START_MS + LEASE_MS)));
        kit.pass(Duration::from_millis(1));
        assert_eq!(claim(&kit, campaign, 1).contacts.len(), 1);
    }
}
