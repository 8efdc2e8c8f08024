use super::administration::LetterState;
use super::callbacks::CallbackFilter;
use super::calls::CallCursor;
use super::campaigns::{AttemptState, ContactState};
use super::*;
use crate::api_key::{CreateApiKey, RevokeApiKey};
use crate::callback_table::{CallbackTaken, CreateCallback};
use crate::claim::Claim;
use crate::do_not_call::SetDoNotCall;
use crate::permit::Permit;
use crate::tenant_table::{EnsureTenant, RenewWebhookSecret, SetWebhook};
use crate::test_kit::{Folder, Kit, START_MS, number};
use domain::cause::{Cause, EndedBy};
use domain::id::{AttemptId, CallId, CallbackId, CampaignId, ContactId, LegId, QueueId, TenantId};
use media::event::QualityReport;
use queue::event::{CallbackState, Promise};
use switchboard::event::{Fact, LegRecord, LegRole};

fn reader(kit: &Kit) -> Reader {
    Reader::open(kit.ledger().path(), 2).unwrap()
}

fn other() -> TenantId {
    TenantId("other".into())
}

#[test]
fn a_campaign_is_listed_with_its_progress_to_its_own_tenant_only() {
    let kit = Kit::new();
    let (first, second) = (kit.campaign(3), kit.campaign(0));
    let tenant = TenantId::default();
    kit.ledger().perform(Claim { campaign: first, count: 2 }).unwrap();
    let reader = reader(&kit);
    let view = reader.campaign(&tenant, first).unwrap().unwrap();
    let progress = (view.progress.contacts, view.progress.ready, view.progress.leased);
    assert_eq!(progress, (3, 1, 2));
    assert_eq!(reader.campaign(&other(), first), Ok(None));
    let ids = |before, limit| -> Vec<CampaignId> {
        let page = reader.campaigns(&tenant, before, limit).unwrap();
        page.iter().map(|view| view.definition.rules.id).collect()
    };
    assert_eq!(ids(None, 1), [second]);
    assert_eq!(ids(Some(second), 1), [first]);
    assert_eq!(ids(Some(first), 1), []);
    assert_eq!(reader.campaigns(&other(), None, 10), Ok(vec![]));
}

#[test]
fn contacts_and_attempts_come_in_pages() {
    let kit = Kit::new();
    let campaign = kit.campaign(3);
    let tenant = TenantId::default();
    let leased = kit.ledger().perform(Claim { campaign, count: 2 }).unwrap().contacts;
    for (attempt, contact) in (1..).map(AttemptId).zip(leased) {
        kit.ledger().perform(Permit { campaign, attempt, contact }).unwrap();
    }
    let reader = reader(&kit);
    let first = reader.contacts(&tenant, campaign, ContactId(0), 2).unwrap();
    let second = reader.contacts(&tenant, campaign, first[1].id, 2).unwrap();
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!((first[0].state, second[0].state), (ContactState::Dialling, ContactState::Ready));
    let page = reader.attempts(&tenant, campaign, AttemptId(1), 10).unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!((page[0].id, page[0].state), (AttemptId(2), AttemptState::Dialling));
    assert_eq!((page[0].disposition, page[0].cause), (None, None));
    assert_eq!(reader.attempts(&other(), campaign, AttemptId(0), 10), Ok(vec![]));
    assert_eq!(reader.contacts(&other(), campaign, ContactId(0), 10), Ok(vec![]));
    assert_eq!(reader.depths().unwrap().attempts_open, 2);
}

#[test]
fn calls_are_listed_by_their_first_leg_newest_first() {
    let kit = Kit::new();
    let leg = |leg, call, role, started_wall_ms| {
        Fact::Leg(LegRecord {
            leg: LegId(leg),
            call: CallId(call),
            tenant: TenantId::default(),
            role,
            sip_call_id: "x".into(),
            trunk: None,
            from: "1".into(),
            to: "2".into(),
            agent: None,
            queue: None,
            intent: None,
            started_wall_ms,
            answered_wall_ms: None,
            ended_wall_ms: started_wall_ms,
            cause: Cause::normal(EndedBy::Us),
            quality: QualityReport::default(),
            verstat: None,
            attestation: None,
        })
    };
    kit.store(vec![
        leg(1, 1, LegRole::Caller, START_MS),
        leg(2, 1, LegRole::Agent, START_MS + 5),
        leg(3, 2, LegRole::Contact, START_MS),
        leg(5, 3, LegRole::Callback, START_MS + 9),
    ]);
    let reader = reader(&kit);
    let calls = |before| -> Vec<u64> {
        let page = reader.calls(&TenantId::default(), before, 2).unwrap();
        page.iter().map(|leg| leg.call.0).collect()
    };
    assert_eq!(calls(None), [3, 2]);
    assert_eq!(calls(Some(CallCursor { started_wall_ms: START_MS, leg: LegId(3) })), [1]);
    assert_eq!(reader.legs(&TenantId::default(), CallId(1)).unwrap().len(), 2);
}

#[test]
fn a_number_is_promised_once_and_promises_are_filtered() {
    let kit = Kit::new();
    let promise = |id, digits: &str, state| Promise {
        id: CallbackId(id),
        queue: QueueId::new(&TenantId::default(), "sales"),
        number: number(digits),
        arrived_wall_ms: START_MS,
        not_before_wall_ms: START_MS,
        expires_wall_ms: START_MS,
        tries: 0,
        state,
    };
    let make = |id| {
        let promise = promise(id, "+491", CallbackState::Promised);
        kit.ledger().perform(CreateCallback { promise }).unwrap()
    };
    assert_eq!(make(1), CallbackTaken::New);
    assert_eq!(make(2), CallbackTaken::AlreadyPromised(CallbackId(1)));
    kit.store(vec![Fact::Promise(promise(1, "+491", CallbackState::Cancelled))]);
    assert_eq!(make(3), CallbackTaken::New);
    let reader = reader(&kit);
    let tenant = TenantId::default();
    let list = |queue, state| -> Vec<u64> {
        let page = reader.callbacks(&tenant, CallbackFilter { queue, state }, None, 10).unwrap();
        page.iter().map(|view| view.promise.id.0).collect()
    };
    assert_eq!(list(None, None), [3, 1]);
    assert_eq!(list(Some("sales"), Some(CallbackState::Promised)), [3]);
    assert_eq!(list(Some("service"), None), [0; 0]);
    assert!(reader.callback(&tenant, CallbackId(3)).unwrap().is_some());
    assert_eq!(reader.callback(&other(), CallbackId(3)), Ok(None));
}

#[test]
fn a_key_opens_until_it_is_revoked_and_its_text_is_nowhere_in_the_file() {
    let kit = Kit::new();
    let tenant = TenantId::default();
    let create = CreateApiKey { tenant: tenant.clone(), name: "crm".into() };
    let key = kit.ledger().perform(create).unwrap();
    assert!(key.text.starts_with("tk_") && key.text.len() == 67);
    let reader = reader(&kit);
    assert_eq!(reader.verify_api_key(&key.text).unwrap().unwrap().tenant, tenant);
    assert_eq!(reader.verify_api_key("tk_0"), Ok(None));
    let revoke = |tenant: TenantId| kit.ledger().perform(RevokeApiKey { tenant, id: key.id });
    assert_eq!(revoke(other()), Err(StoreError::NotFound { what: "api key" }));
    assert_eq!(revoke(tenant.clone()), Ok(()));
    assert_eq!(reader.verify_api_key(&key.text), Ok(None));
    assert_eq!(reader.api_keys(&tenant, 10).unwrap()[0].revoked_wall_ms, Some(START_MS));
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(kit.folder.path(file)).unwrap();
        let needle = key.text.as_bytes();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{file}");
    }
}

#[test]
fn tenants_have_their_own_secret_and_list() {
    let kit = Kit::new();
    kit.ledger().perform(EnsureTenant { tenant: other() }).unwrap();
    kit.ledger().perform(EnsureTenant { tenant: other() }).unwrap();
    let url = Some("https://example.com".into());
    kit.ledger().perform(SetWebhook { tenant: other(), url }).unwrap();
    let reader = reader(&kit);
    let tenants = reader.tenants().unwrap();
    assert_eq!(tenants.len(), 2);
    assert_ne!(tenants[0].webhook_secret, tenants[1].webhook_secret);
    assert!(tenants[1].webhook_secret.starts_with("whsec_") && tenants[1].webhook_url.is_some());
    let renewed = kit.ledger().perform(RenewWebhookSecret { tenant: other() }).unwrap();
    assert_eq!(reader.tenants().unwrap()[1].webhook_secret, renewed);
    let list =
        SetDoNotCall { tenant: other(), number: number("+4930"), source: Some("api".into()) };
    kit.ledger().perform(list).unwrap();
    assert_eq!(reader.is_suppressed(&other(), &number("4930")), Ok(true));
    assert_eq!(reader.is_suppressed(&TenantId::default(), &number("4930")), Ok(false));
    assert_eq!(reader.suppressed(&other(), "", 10).unwrap().len(), 1);
    assert_eq!(reader.suppressed(&other(), "4930", 10), Ok(vec![]));
    assert_eq!(reader.letters(&other(), Some(LetterState::Dead), None, 10), Ok(vec![]));
}

#[test]
fn a_file_without_our_tables_is_refused() {
    let folder = Folder::new();
    let path = folder.path("empty.db");
    assert!(Reader::open(&path, 1).err().unwrap().is_disk());
    drop(crate::sqlite::open_writer(&path, Duration::ZERO).unwrap());
    assert!(matches!(Reader::open(&path, 1), Err(StoreError::Conflict { .. })));
}
