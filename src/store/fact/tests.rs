use super::*;
use crate::claim::Claim;
use crate::permit::{Permit, PermitDecision};
use crate::tenant_table::SetWebhook;
use crate::test_kit::{Kit, START_MS, number};
use campaign::event::{Disposition, LeasedContact, Outcome};
use domain::cause::{Cause, EndedBy};
use domain::id::{CallId, CallbackId, LegId, QueueId, TrunkId};
use media::event::QualityReport;
use switchboard::event::LegRole;

/// Leases and permits the next contact as this attempt.
fn dial(kit: &Kit, campaign: CampaignId, attempt: u64) -> LeasedContact {
    let claim = Claim { campaign, count: 1 };
    let contact = kit.ledger().perform(claim).unwrap().contacts.remove(0);
    let permit = Permit { campaign, attempt: AttemptId(attempt), contact: contact.clone() };
    let decision = kit.ledger().perform(permit).unwrap();
    assert!(matches!(decision, PermitDecision::Granted { .. }));
    contact
}

fn closed(campaign: CampaignId, attempt: u64, contact: &LeasedContact) -> AttemptClosed {
    AttemptClosed {
        attempt: AttemptId(attempt),
        campaign,
        contact: contact.clone(),
        call: Some(CallId(900)),
        disposition: Disposition::Answered,
        outcome: Outcome {
            cause: Cause::normal(EndedBy::Peer),
            answered: true,
            message_heard: true,
            key: Some('1'),
            asked_for_agent: false,
            joined_agent: false,
        },
        retry_wall_ms: None,
        answered_wall_ms: Some(START_MS + 5_000),
        ended_wall_ms: START_MS + 20_000,
    }
}

fn promise(state: CallbackState) -> Promise {
    Promise {
        id: CallbackId(5),
        queue: QueueId::new(&TenantId::default(), "sales"),
        number: number("+4930777"),
        arrived_wall_ms: START_MS,
        not_before_wall_ms: START_MS + 1,
        expires_wall_ms: START_MS + 86_400_000,
        tries: 1,
        state,
    }
}

fn leg(answered: Option<u64>) -> LegRecord {
    let tenant = TenantId::default();
    LegRecord {
        leg: LegId(42),
        call: CallId(21),
        role: LegRole::Contact,
        sip_call_id: "abc@trunkline".into(),
        trunk: Some(TrunkId::new(&tenant, "carrier")),
        from: "+49301234567".into(),
        to: "+4930777".into(),
        agent: None,
        queue: Some(QueueId::new(&tenant, "sales")),
        intent: Some("billing".into()),
        started_wall_ms: START_MS,
        answered_wall_ms: answered,
        ended_wall_ms: START_MS + 9,
        cause: Cause::from_status(486),
        quality: QualityReport {
            sent: 1,
            received: 2,
            lost: 3,
            refused: 4,
            jitter_us: 5,
            mos: 4.25,
        },
        verstat: Some("TN-Validation-Passed".into()),
        attestation: Some("B".into()),
        tenant,
    }
}

/// What was not sent does not count: its contact is due again, a little later, with the same number.
#[test]
fn an_attempt_that_was_not_sent_is_taken_back() {
    let kit = Kit::new();
    let campaign = kit.campaign(1);
    let contact = dial(&kit, campaign, 11);
    let unsent = |fence| {
        let contact = LeasedContact { fence, ..contact.clone() };
        let (due_wall_ms, ended_wall_ms) = (START_MS + 5_000, START_MS);
        let attempt = AttemptId(11);
        Fact::AttemptUnsent(AttemptUnsent {
            attempt,
            campaign,
            contact,
            due_wall_ms,
            ended_wall_ms,
        })
    };
    kit.store(vec![unsent(contact.fence + 1)]);
    assert_eq!(kit.value::<String>("SELECT state FROM attempt WHERE id = 11"), "dialling");
    kit.store(vec![unsent(contact.fence)]);
    assert_eq!(kit.value::<String>("SELECT state FROM attempt WHERE id = 11"), "not_sent");
    let claim = || Claim { campaign, count: 1 };
    let due = kit.ledger().perform(claim()).unwrap();
    assert_eq!((due.contacts.len(), due.next_due_wall_ms), (0, Some(START_MS + 5_000)));
    kit.pass(std::time::Duration::from_secs(5));
    let again = kit.ledger().perform(claim()).unwrap().contacts.remove(0);
    assert_eq!((again.contact, again.attempt_number), (contact.contact, 1));
}

#[test]
fn an_outcome_is_written_once_with_its_contact_and_one_webhook() {
    let kit = Kit::new();
    let campaign = kit.campaign(1);
    let contact = dial(&kit, campaign, 1);
    let fact = Fact::AttemptClosed(closed(campaign, 1, &contact));
    kit.store(vec![fact.clone()]);
    kit.store(vec![fact]);
    let row = "SELECT state || ' ' || disposition || ' ' || attempts FROM contact";
    assert_eq!(kit.value::<String>(row), "final answered 1");
    let row = "SELECT state || ' ' || disposition || ' ' || key || ' ' || cause FROM attempt";
    assert_eq!(kit.value::<String>(row), "closed answered 1 normal");
    assert_eq!(kit.value::<u32>("SELECT count(*) FROM outbox"), 1);
    let data = "SELECT json_extract(payload, '$.data.contact_key', '$.data.key') FROM outbox";
    assert_eq!(kit.value::<String>(data), r#"["+4930000001","1"]"#);
}

#[test]
fn an_outcome_with_an_old_fence_is_refused_and_its_neighbours_are_kept() {
    let kit = Kit::new();
    let campaign = kit.campaign(1);
    let contact = dial(&kit, campaign, 1);
    let late = LeasedContact { fence: contact.fence - 1, ..contact.clone() };
    let facts = vec![Fact::AttemptClosed(closed(campaign, 1, &late)), Fact::Leg(leg(None))];
    let stored = kit.ledger().perform(StoreFacts::new(facts)).unwrap();
    assert_eq!(stored.fenced_off, [AttemptId(1)]);
    assert_eq!(kit.value::<String>("SELECT state FROM contact"), "dialling");
    assert_eq!(kit.value::<u32>("SELECT count(*) FROM leg"), 1);
    assert_eq!(kit.value::<u32>("SELECT count(*) FROM outbox"), 0);
    assert_eq!(kit.ledger().stats().fenced_off, 1);
    // An attempt that was never permitted has no outcome either.
    let unknown = Fact::AttemptClosed(closed(campaign, 99, &contact));
    let stored = kit.ledger().perform(StoreFacts::new(vec![unknown])).unwrap();
    assert_eq!(stored.fenced_off, [AttemptId(99)]);
}

#[test]
fn a_busy_contact_comes_due_again_as_the_next_attempt() {
    let kit = Kit::new();
    let campaign = kit.campaign(1);
    let contact = dial(&kit, campaign, 1);
    let mut busy = closed(campaign, 1, &contact);
    busy.disposition = Disposition::Busy;
    busy.retry_wall_ms = Some(START_MS + 600_000);
    kit.store(vec![Fact::AttemptClosed(busy)]);
    let claimed = kit.ledger().perform(Claim { campaign, count: 1 }).unwrap();
    assert_eq!(claimed.contacts, []);
    assert_eq!(claimed.next_due_wall_ms, Some(START_MS + 600_000));
    kit.pass(std::time::Duration::from_secs(600));
    let again = dial(&kit, campaign, 2);
    assert_eq!((again.attempt_number, again.fence), (2, contact.fence + 1));
}

#[test]
fn the_tally_counts_what_the_contacts_are() {
    let kit = Kit::new();
    let campaign = kit.campaign(4);
    let first = dial(&kit, campaign, 1);
    kit.store(vec![Fact::AttemptClosed(closed(campaign, 1, &first))]);
    let second = dial(&kit, campaign, 2);
    let mut busy = closed(campaign, 2, &second);
    busy.disposition = Disposition::Busy;
    busy.retry_wall_ms = Some(START_MS + 1);
    kit.store(vec![Fact::AttemptClosed(busy)]);
    dial(&kit, campaign, 3);
    let lines =
        |select: &str| kit.value::<String>(&format!("SELECT group_concat(line) FROM ({select})"));
    let counted = lines(
        "SELECT state || disposition || count(*) AS line FROM contact
         GROUP BY state, disposition ORDER BY state, disposition",
    );
    let kept = lines(
        "SELECT state || disposition || contacts AS line FROM tally WHERE contacts > 0
         ORDER BY state, disposition",
    );
    assert_eq!(counted, kept);
    assert_eq!(counted, "dialling1,finalanswered1,ready1,readybusy1");
}

#[test]
fn the_end_of_a_campaign_is_told_once_with_its_counts_and_is_the_end() {
    let kit = Kit::new();
    let campaign = kit.campaign(1);
    let contact = dial(&kit, campaign, 1);
    kit.store(vec![Fact::AttemptClosed(closed(campaign, 1, &contact))]);
    for state in [CampaignState::Finished, CampaignState::Finished, CampaignState::Running] {
        kit.store(vec![Fact::CampaignState { campaign, state }]);
    }
    assert_eq!(kit.value::<String>("SELECT state FROM campaign"), "finished");
    let body = "SELECT group_concat(json_extract(payload, '$.data')) FROM outbox
                WHERE topic = 'campaign.finished'";
    assert_eq!(
        kit.value::<String>(body),
        r#"{"campaign_id":1,"name":"renewals","contacts":1,"dispositions":{"answered":1},"not_called":0}"#
    );
}

#[test]
fn a_promise_is_replaced_until_it_ends_and_its_end_goes_to_the_tenants_address() {
    let kit = Kit::new();
    kit.store(vec![Fact::Promise(promise(CallbackState::Kept))]);
    assert_eq!(kit.value::<u32>("SELECT count(*) FROM outbox"), 0); // Nowhere to go.
    let url = Some("https://example.com/tenant".into());
    kit.ledger().perform(SetWebhook { tenant: TenantId::default(), url }).unwrap();
    let mut second = promise(CallbackState::Promised);
    second.id = CallbackId(6);
    kit.store(vec![Fact::Promise(second.clone())]);
    for (state, tries) in [
        (CallbackState::Dialling, 2),
        (CallbackState::Broken, 3),
        (CallbackState::Broken, 3),
        (CallbackState::Promised, 0),
    ] {
        (second.state, second.tries) = (state, tries);
        kit.store(vec![Fact::Promise(second.clone())]);
    }
    let row = "SELECT state || tries FROM callback WHERE id = 6";
    assert_eq!(kit.value::<String>(row), "broken3");
    let sent = "SELECT group_concat(event_id || ' ' || url) FROM outbox";
    assert_eq!(kit.value::<String>(sent), "callback-6-broken https://example.com/tenant");
}

#[test]
fn a_legs_record_reads_back_as_it_was_and_the_later_one_stands() {
    let kit = Kit::new();
    kit.store(vec![Fact::Leg(leg(None)), Fact::Leg(leg(Some(START_MS + 3)))]);
    let reader = crate::reader::Reader::open(kit.ledger().path(), 1).unwrap();
    let tenant = TenantId::default();
    assert_eq!(reader.legs(&tenant, CallId(21)), Ok(vec![leg(Some(START_MS + 3))]));
    assert_eq!(reader.legs_by_call_id(&tenant, "abc@trunkline").unwrap().len(), 1);
    assert_eq!(reader.legs(&TenantId("other".into()), CallId(21)), Ok(vec![]));
}

#[test]
fn facts_of_one_order_are_stored_all_or_none() {
    let kit = Kit::new();
    let mut broken = leg(None);
    broken.sip_call_id = "kept?".into();
    // A leg id is unique, a campaign's row is there or it is not: an unknown campaign ends quietly,
    // so the fault is made by a column that the table refuses.
    let poison = Fact::CampaignState { campaign: CampaignId(1), state: CampaignState::Finished };
    kit.campaign(0);
    rusqlite::Connection::open(kit.ledger().path())
        .unwrap()
        .execute("UPDATE campaign SET definition = 'no json'", [])
        .unwrap();
    let stored = kit.ledger().perform(StoreFacts::new(vec![Fact::Leg(broken), poison]));
    assert!(matches!(stored, Err(StoreError::Statement { .. })), "{stored:?}");
    assert_eq!(kit.value::<u32>("SELECT count(*) FROM leg"), 0);
    assert_eq!(kit.value::<String>("SELECT state FROM campaign"), "running");
}
