use super::*;
use crate::campaign_table::{AddContacts, CreateCampaign, NewContact};
use crate::claim::Claim;
use crate::fact::StoreFacts;
use crate::ledger::{Ledger, StoreConfig};
use crate::permit::{Permit, PermitDecision};
use crate::test_kit::{Folder, Kit, START_MS, definition, number};
use campaign::event::CampaignState;
use domain::cause::EndedBy;
use queue::event::CallbackState;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;
use switchboard::event::Fact;

/// Claims and permits one contact for each attempt; those in `sent` are also marked as sent.
fn dial(kit: &Kit, campaign: CampaignId, attempts: &[u64], sent: &[u64]) {
    for attempt in attempts {
        let claim = Claim { campaign, count: 1 };
        let contact = kit.ledger().perform(claim).unwrap().contacts.remove(0);
        let permit = Permit { campaign, attempt: AttemptId(*attempt), contact };
        let decision = kit.ledger().perform(permit).unwrap();
        assert!(matches!(decision, PermitDecision::Granted { .. }));
        if sent.contains(attempt) {
            kit.ledger().mark_sent(AttemptId(*attempt)).unwrap();
        }
    }
}

fn states(kit: &Kit) -> String {
    kit.value(
        "SELECT group_concat(state || attempts || disposition) FROM
             (SELECT * FROM contact ORDER BY id)",
    )
}

#[test]
fn leases_come_back_at_once_and_the_first_start_says_so() {
    let mut kit = Kit::new();
    assert!(kit.ledger().recovery().first_start);
    let campaign = kit.campaign(3);
    let leased = kit.ledger().perform(Claim { campaign, count: 2 }).unwrap().contacts;
    kit.crash();
    let expected = Recovery { log_trusted: true, leases_returned: 2, ..Recovery::default() };
    assert_eq!(*kit.ledger().recovery(), expected);
    // What the dead process held is worth nothing.
    let permit = Permit { campaign, attempt: AttemptId(1), contact: leased[0].clone() };
    let refused = PermitDecision::Refused { reason: "lease_lost".into() };
    assert_eq!(kit.ledger().perform(permit), Ok(refused));
    assert_eq!(kit.ledger().perform(Claim { campaign, count: 9 }).unwrap().contacts.len(), 3);
}

#[test]
fn what_provably_never_left_is_dialled_and_the_rest_is_in_doubt() {
    let mut kit = Kit::new();
    let campaign = kit.campaign(3);
    dial(&kit, campaign, &[11, 12], &[12]);
    kit.crash();
    let recovery = kit.ledger().recovery().clone();
    assert_eq!((recovery.rearmed, recovery.in_doubt), (1, 1));
    assert_eq!(states(&kit), "ready0,ready1in_doubt,ready0");
    assert_eq!(kit.value::<String>("SELECT state FROM attempt WHERE id = 11"), "not_sent");
    // The one in doubt is not due before its gap; its record and its webhook are written.
    let due = kit.value::<u64>("SELECT next_at FROM contact WHERE attempts = 1");
    assert_eq!(due, START_MS + 3_600_000);
    let record = "SELECT role || ' ' || callee || ' ' || cause FROM leg";
    assert_eq!(kit.value::<String>(record), "contact +4930000002 silent");
    let told = "SELECT json_extract(payload, '$.data.disposition') FROM outbox";
    assert_eq!(kit.value::<String>(told), "in_doubt");
    // The unsent one is leased again as the same attempt number, under a new attempt.
    let again = kit.ledger().perform(Claim { campaign, count: 1 }).unwrap().contacts.remove(0);
    assert_eq!((again.number.as_str(), again.attempt_number), ("+4930000001", 1));
    let permit = Permit { campaign, attempt: AttemptId(13), contact: again };
    assert!(matches!(kit.ledger().perform(permit), Ok(PermitDecision::Granted { .. })));
    assert_eq!(kit.value::<u32>("SELECT count(*) FROM attempt WHERE n = 1"), 3);
}

#[test]
fn without_a_log_of_this_boot_every_open_attempt_is_in_doubt_and_the_last_one_is_final() {
    for damage in ["log", "boot"] {
        let mut kit = Kit::new();
        let campaign = kit.campaign(1);
        for attempt in [1, 2] {
            dial(&kit, campaign, &[attempt], &[]);
            kit.ledger().close();
            if damage == "log" {
                std::fs::remove_file(kit.folder.path("sent.log")).unwrap();
            } else {
                let file = rusqlite::Connection::open(kit.ledger().path()).unwrap();
                file.execute("UPDATE node SET boot_id = 'another'", []).unwrap();
            }
            kit.crash();
            let recovery = kit.ledger().recovery().clone();
            assert_eq!((recovery.log_trusted, recovery.in_doubt), (false, 1), "{damage}");
            kit.pass(Duration::from_secs(3600));
        }
        assert_eq!(states(&kit), "final2in_doubt");
        assert_eq!(kit.value::<u32>("SELECT count(DISTINCT id) FROM leg"), 2);
    }
}

#[test]
fn promises_under_way_wait_again_with_their_try_counted() {
    let mut kit = Kit::new();
    let promise = |id, state, tries| Promise {
        id: CallbackId(id),
        queue: QueueId::new(&TenantId::default(), "sales"),
        number: number("+4930777"),
        arrived_wall_ms: START_MS + id,
        not_before_wall_ms: START_MS,
        expires_wall_ms: START_MS + 86_400_000,
        tries,
        state,
    };
    let agent = AgentId::new(&TenantId::default(), "anna");
    let paused = AgentState::Paused { reason: "lunch".into() };
    kit.store(vec![
        Fact::Promise(promise(3, CallbackState::Promised, 0)),
        Fact::Promise(promise(2, CallbackState::Reserved, 0)),
        Fact::Promise(promise(1, CallbackState::Dialling, 1)),
        Fact::Promise(promise(4, CallbackState::Kept, 1)),
        Fact::Agent { agent: agent.clone(), state: paused.clone() },
        Fact::Agent { agent: agent.clone(), state: AgentState::WrapUp },
    ]);
    kit.crash();
    let expected = [
        promise(1, CallbackState::Promised, 1),
        promise(2, CallbackState::Promised, 1),
        promise(3, CallbackState::Promised, 0),
    ];
    assert_eq!(kit.restored.promises, expected);
    assert_eq!(kit.restored.agents, [(agent, paused)]);
    assert_eq!(kit.ledger().recovery().promises_resumed, 2);
}

const CHILD_FOLDER: &str = "TRUNKLINE_STORE_TEST_FOLDER";
const CHILD_SHIFT: &str = "TRUNKLINE_STORE_TEST_SHIFT_MS";

/// The process that is killed: dials all that is due, telling each INVITE to its parent, which
/// plays the carrier. Without a parent it has nothing to do.
#[test]
fn child() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else { return };
    let shift: u64 = std::env::var(CHILD_SHIFT).unwrap().parse().unwrap();
    let mut config = StoreConfig::in_folder(folder);
    let clock = config.clock;
    config.clock = std::sync::Arc::new(move || clock() + shift);
    let mut ids = IdSource::starting_at((config.clock)());
    let (ledger, restored) = Ledger::open(config).unwrap();
    let campaign = restored.campaigns[0].rules.id;
    loop {
        let claimed = ledger.perform(Claim { campaign, count: 20 }).unwrap();
        if claimed.contacts.is_empty() {
            break;
        }
        for contact in claimed.contacts {
            let attempt = AttemptId(ids.next_number());
            let permit = Permit { campaign, attempt, contact: contact.clone() };
            let PermitDecision::Granted { call_id } = ledger.perform(permit).unwrap() else {
                panic!("a leased contact gets its permit");
            };
            ledger.mark_sent(attempt).unwrap();
            let line = format!("INVITE {} {} {call_id}\n", contact.contact, contact.attempt_number);
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            let closed = answered(campaign, attempt, contact);
            ledger.submit(StoreFacts::patient(vec![closed]), |_| ()).unwrap();
        }
    }
}

fn answered(campaign: CampaignId, attempt: AttemptId, contact: LeasedContact) -> Fact {
    Fact::AttemptClosed(AttemptClosed {
        attempt,
        campaign,
        contact,
        call: None,
        disposition: Disposition::Answered,
        outcome: Outcome {
            cause: Cause::normal(EndedBy::Peer),
            answered: true,
            message_heard: true,
            key: None,
            asked_for_agent: false,
            joined_agent: false,
        },
        retry_wall_ms: None,
        answered_wall_ms: None,
        ended_wall_ms: 0,
    })
}

/// Runs the child until it has sent `invites`, then kills it (`None`: until it ends by itself).
fn run_child(folder: &Folder, shift_ms: u64, invites: Option<usize>) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recovery::tests::child", "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder.root())
        .env(CHILD_SHIFT, shift_ms.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines.map(Result::unwrap).filter(|line| line.starts_with("INVITE ")) {
        seen.push(line);
        if Some(seen.len()) == invites {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(invites.is_some() || status.success(), "{status}");
    seen
}

/// The process is killed again and again in the middle of its work. Nobody is rung twice for one
/// attempt, nobody is lost, and each end is told exactly once.
#[test]
fn a_killed_gateway_loses_nobody_and_calls_nobody_twice() {
    const CONTACTS: u32 = 300;
    let folder = Folder::new();
    let (ledger, _) = Ledger::open(StoreConfig::in_folder(folder.root())).unwrap();
    let made = ledger.perform(CreateCampaign { definition: definition() }).unwrap();
    let campaign = made.rules.id;
    let rows = (0..CONTACTS)
        .map(|count| NewContact {
            key: None,
            number: number(&format!("+49{count:06}")),
            priority: 0,
            payload: None,
        })
        .collect();
    let tenant = TenantId::default();
    ledger.perform(AddContacts { tenant, campaign, rows }).unwrap();
    let running = Fact::CampaignState { campaign, state: CampaignState::Running };
    ledger.perform(StoreFacts::new(vec![running])).unwrap();
    drop(ledger);
    let mut invites: BTreeMap<String, u32> = BTreeMap::new();
    let kills = [1, 7, 23, 2, 41, 13];
    // Each start is later than the one before, as its attempts' numbers need.
    for (start, kill) in kills.map(Some).into_iter().chain([None, None]).enumerate() {
        let hours_after_the_kills = start.saturating_sub(kills.len()) as u64;
        let shift_ms = start as u64 * 1_000 + hours_after_the_kills * 2 * 3_600_000;
        for line in run_child(&folder, shift_ms, kill) {
            let (contact_and_number, _) = line.rsplit_once(' ').unwrap();
            *invites.entry(contact_and_number.to_owned()).or_default() += 1;
        }
    }
    let twice: Vec<_> = invites.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let reader = crate::sqlite::open_reader(&folder.path("ledger.db"), Duration::ZERO).unwrap();
    let value = |sql: &str| -> u32 { reader.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(value("SELECT count(*) FROM contact WHERE state = 'final'"), CONTACTS);
    assert_eq!(value("SELECT count(*) FROM attempt WHERE state = 'dialling'"), 0);
    let ended = value("SELECT count(*) FROM attempt WHERE state = 'closed'");
    assert_eq!(value("SELECT count(*) FROM outbox WHERE topic = 'attempt.closed'"), ended);
    // Every INVITE that the carrier saw has its attempt's end.
    assert!(usize::try_from(ended).unwrap() >= invites.len());
    let in_doubt = value("SELECT count(*) FROM attempt WHERE disposition = 'in_doubt'");
    assert_eq!(ended, CONTACTS + in_doubt);
    assert!(in_doubt >= 1 && in_doubt <= 20 * u32::try_from(kills.len()).unwrap(), "{in_doubt}");
}
