//! The last step before an INVITE: the permit is decided and the attempt stored as dialling in one
//! transaction, so that nothing can change between the check and the dial.

use crate::claim::release;
use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::{get_id, id, ms};
use crate::secret;
use campaign::calling_window;
use campaign::event::LeasedContact;
use campaign::permit::{Consequence, PermitFacts, PermitRefusal, decide};
use domain::id::{AttemptId, CampaignId};
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

/// Asks whether this leased contact may be dialled now, as this attempt.
#[derive(Clone, Debug)]
pub struct Permit {
    /// Of which campaign.
    pub campaign: CampaignId,
    /// The new attempt.
    pub attempt: AttemptId,
    /// For whom.
    pub contact: LeasedContact,
}

/// What was decided; it is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PermitDecision {
    /// The attempt is stored as dialling.
    Granted {
        /// The Call-ID that its INVITE must bear: the same if it is asked again.
        call_id: Arc<str>,
    },
    /// It must not be dialled. The contact's row says why where that is final.
    Refused {
        /// Why, as a word such as `do_not_call`.
        reason: Arc<str>,
    },
}

impl Operation for Permit {
    type Receipt = PermitDecision;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<PermitDecision, StoreError> {
        let Some((tenant, facts)) = self.facts(turn)? else {
            return Ok(refused(PermitRefusal::LeaseLost));
        };
        match decide(facts) {
            Ok(()) => self.grant(turn, &tenant),
            Err(refusal) => {
                self.refuse(turn, refusal)?;
                Ok(refused(refusal))
            }
        }
    }
}

fn refused(refusal: PermitRefusal) -> PermitDecision {
    PermitDecision::Refused { reason: refusal.as_str().into() }
}

impl Permit {
    /// What is true of the contact at this moment; `None` if it is not in the campaign.
    fn facts(&self, turn: &Turn<'_>) -> Result<Option<(Arc<str>, PermitFacts)>, StoreError> {
        let mut select = turn.sql.prepare_cached(
            "SELECT contact.tenant, contact.state, contact.fence, contact.attempts,
                 campaign.state = 'running' AS running, campaign.attempts_max,
                 campaign.window_from, campaign.window_to, campaign.utc_offset_min,
                 EXISTS (SELECT 1 FROM dnc
                         WHERE dnc.tenant = contact.tenant AND dnc.digits = ?3) AS suppressed
             FROM contact JOIN campaign ON campaign.id = contact.campaign
             WHERE contact.id = ?1 AND contact.campaign = ?2",
        )?;
        let keys =
            params![id(self.contact.contact.0), id(self.campaign.0), self.contact.number.digits(),];
        let facts = select.query_row(keys, |row| {
            let state = row.get_ref("state")?.as_str()?;
            let window = (row.get("window_from")?, row.get("window_to")?);
            let offset = row.get("utc_offset_min")?;
            let facts = PermitFacts {
                running: row.get("running")?,
                // A contact that is ready again was returned, or its lease ran out.
                lease_held: get_id(row, "fence")? == self.contact.fence && state != "ready",
                contact_final: state == "final",
                already_dialling: state == "dialling",
                attempts_so_far: row.get("attempts")?,
                attempts_max: row.get("attempts_max")?,
                do_not_call: row.get("suppressed")?,
                window_open: calling_window::is_open(window, offset, turn.now_ms),
            };
            Ok((row.get("tenant")?, facts))
        });
        Ok(facts.optional()?)
    }

    fn grant(&self, turn: &Turn<'_>, tenant: &str) -> Result<PermitDecision, StoreError> {
        let call_id = secret::call_id(turn.call_key, self.attempt.0);
        let inserted = turn
            .sql
            .prepare_cached(
                "INSERT INTO attempt (id, tenant, campaign, contact, n, fence, state, call_id,
                     dialling_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'dialling', ?7, ?8) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                id(self.attempt.0),
                tenant,
                id(self.campaign.0),
                id(self.contact.contact.0),
                self.contact.attempt_number,
                id(self.contact.fence),
                call_id,
                ms(turn.now_ms),
            ])?;
        if inserted == 0 {
            // A number given out twice would dial two people under one Call-ID.
            tracing::error!(attempt = %self.attempt, "this attempt's number was used before");
            release(turn, self.campaign, &self.contact)?;
            return Ok(PermitDecision::Refused { reason: "attempt_number_used".into() });
        }
        turn.sql
            .prepare_cached(
                "UPDATE contact SET state = 'dialling', attempts = ?2, lease_until = NULL
                 WHERE id = ?1",
            )?
            .execute(params![id(self.contact.contact.0), self.contact.attempt_number])?;
        Ok(PermitDecision::Granted { call_id: call_id.into() })
    }

    fn refuse(&self, turn: &Turn<'_>, refusal: PermitRefusal) -> Result<(), StoreError> {
        match refusal.consequence() {
            Consequence::Untouched => Ok(()),
            Consequence::DueAgain => release(turn, self.campaign, &self.contact),
            Consequence::Final => {
                turn.sql
                    .prepare_cached(
                        "UPDATE contact SET state = 'final', lease_until = NULL, reason = ?2,
                             disposition = CASE attempts WHEN 0 THEN 'not_called'
                                                         ELSE disposition END
                         WHERE id = ?1",
                    )?
                    .execute(params![id(self.contact.contact.0), refusal.as_str()])?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{Claim, Return};
    use crate::do_not_call::SetDoNotCall;
    use crate::test_kit::Kit;
    use campaign::event::CampaignState;
    use domain::id::TenantId;
    use switchboard::event::Fact;

    fn lease(kit: &Kit, campaign: CampaignId) -> LeasedContact {
        kit.ledger().perform(Claim { campaign, count: 1 }).unwrap().contacts.remove(0)
    }

    fn ask(kit: &Kit, campaign: CampaignId, attempt: u64, contact: &LeasedContact) -> String {
        let attempt = AttemptId(attempt);
        let permit = Permit { campaign, attempt, contact: contact.clone() };
        match kit.ledger().perform(permit).unwrap() {
            PermitDecision::Granted { call_id } => {
                assert!(call_id.ends_with("@trunkline") && call_id.len() == 42);
                "granted".to_owned()
            }
            PermitDecision::Refused { reason } => reason.to_string(),
        }
    }

    #[test]
    fn a_contact_is_dialled_once_for_one_lease() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        let contact = lease(&kit, campaign);
        assert_eq!(ask(&kit, campaign, 1, &contact), "granted");
        assert_eq!(ask(&kit, campaign, 2, &contact), "already_dialling");
        assert_eq!(kit.value::<u32>("SELECT count(*) FROM attempt"), 1);
        assert_eq!(kit.value::<String>("SELECT state FROM contact"), "dialling");
    }

    #[test]
    fn a_returned_lease_and_a_strange_contact_get_no_permit() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        let contact = lease(&kit, campaign);
        kit.ledger().perform(Return { campaign, contacts: vec![contact.clone()] }).unwrap();
        assert_eq!(ask(&kit, campaign, 1, &contact), "lease_lost");
        let later = lease(&kit, campaign);
        assert_eq!(ask(&kit, campaign, 1, &contact), "lease_lost");
        assert_eq!(ask(&kit, CampaignId(99), 1, &later), "lease_lost");
        assert_eq!(ask(&kit, campaign, 1, &later), "granted");
    }

    #[test]
    fn a_number_suppressed_after_loading_is_final_and_the_row_says_why() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        let contact = lease(&kit, campaign);
        let suppress = SetDoNotCall {
            tenant: TenantId::default(),
            number: contact.number.clone(),
            source: Some("pressed 9".into()),
        };
        kit.ledger().perform(suppress).unwrap();
        assert_eq!(ask(&kit, campaign, 1, &contact), "do_not_call");
        let row = "SELECT state || ' ' || disposition || ' ' || reason FROM contact";
        assert_eq!(kit.value::<String>(row), "final not_called do_not_call");
    }

    #[test]
    fn a_paused_campaign_keeps_its_contact_ready() {
        let kit = Kit::new();
        let campaign = kit.campaign(1);
        let contact = lease(&kit, campaign);
        kit.store(vec![Fact::CampaignState { campaign, state: CampaignState::Paused }]);
        assert_eq!(ask(&kit, campaign, 1, &contact), "not_running");
        assert_eq!(kit.value::<String>("SELECT state FROM contact"), "ready");
        assert_eq!(kit.value::<u32>("SELECT attempts FROM contact"), 0);
    }

    #[test]
    fn an_attempt_number_given_out_twice_dials_nobody() {
        let kit = Kit::new();
        let campaign = kit.campaign(2);
        let (first, second) = (lease(&kit, campaign), lease(&kit, campaign));
        assert_eq!(ask(&kit, campaign, 7, &first), "granted");
        assert_eq!(ask(&kit, campaign, 7, &second), "attempt_number_used");
        assert_eq!(lease(&kit, campaign).contact, second.contact);
    }
}
