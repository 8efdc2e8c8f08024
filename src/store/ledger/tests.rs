use super::*;
use crate::do_not_call::SetDoNotCall;
use crate::error::DiskFault;
use crate::fact::StoreFacts;
use crate::operation::Turn;
use crate::test_kit::{Folder, Kit, number};
use domain::id::{AgentId, TenantId};
use queue::event::AgentState;
use rusqlite::Connection;
use std::sync::mpsc::channel;
use switchboard::event::Fact;

/// Suppresses one number: a small operation that can be counted.
fn small(count: u32) -> SetDoNotCall {
    SetDoNotCall {
        tenant: TenantId::default(),
        number: number(&format!("+49{count:05}")),
        source: Some("test".into()),
    }
}

fn suppressed(kit: &Kit) -> u32 {
    kit.value("SELECT count(*) FROM dnc")
}

fn paused_agent(name: &str) -> Vec<Fact> {
    let agent = AgentId::new(&TenantId::default(), name);
    vec![Fact::Agent { agent, state: AgentState::Paused { reason: "lunch".into() } }]
}

/// Keeps the writer busy until told to go on.
struct Block {
    go_on: std::sync::mpsc::Receiver<()>,
}

impl Operation for Block {
    type Receipt = ();

    fn apply(&mut self, _: &Turn<'_>) -> Result<(), StoreError> {
        self.go_on.recv().map_err(|_| StoreError::Stopped)
    }
}

/// Writes a row, then panics as a bug would.
struct Buggy;

impl Operation for Buggy {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        small(99_999).apply(turn)?;
        panic!("a bug, for the test");
    }
}

/// Lets the file grow by so many pages only, then asks for more: what a full disk does.
struct Fill {
    pages: u32,
}

impl Operation for Fill {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let used: u32 = turn.sql.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        turn.sql.pragma_update(None, "max_page_count", used + self.pages)?;
        let bytes = (self.pages + 1) * 4096;
        turn.sql.execute("INSERT INTO probe (body) VALUES (zeroblob(?1))", [bytes])?;
        Ok(())
    }
}

/// Holds the file's write lock, as a foreign tool would.
fn foreign_lock(kit: &Kit) -> Connection {
    let foreign = Connection::open(kit.ledger().path()).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    foreign
}

fn kit_with(change: impl FnOnce(&mut StoreConfig)) -> (Folder, Ledger) {
    let folder = Folder::new();
    let mut config = StoreConfig::in_folder(folder.root());
    change(&mut config);
    let (ledger, _) = Ledger::open(config).unwrap();
    (folder, ledger)
}

#[test]
fn what_waits_together_shares_one_commit_and_is_receipted_after_it() {
    let kit = Kit::new();
    let (go, go_on) = channel();
    let (receipts, received) = channel();
    let commits_before = kit.ledger().stats().commit_us.count;
    kit.ledger().submit(Block { go_on }, |_| ()).unwrap();
    for count in 0..100 {
        let receipts = receipts.clone();
        let path = kit.ledger().path().to_owned();
        kit.ledger()
            .submit(small(count), move |result| {
                // Seen by another connection at the moment of the receipt: it was committed.
                let reader = crate::sqlite::open_reader(&path, Duration::ZERO).unwrap();
                let rows: u32 =
                    reader.query_row("SELECT count(*) FROM dnc", [], |row| row.get(0)).unwrap();
                receipts.send((result, rows)).unwrap();
            })
            .unwrap();
    }
    assert!(received.try_recv().is_err());
    go.send(()).unwrap();
    for _ in 0..100 {
        assert_eq!(received.recv().unwrap(), (Ok(true), 100));
    }
    let stats = kit.ledger().stats();
    // The blocked batch may have taken in the first few, the rest is at most one more.
    assert!(stats.commit_us.count - commits_before <= 2, "{stats:?}");
    assert!(stats.batch.max >= 50 && stats.operations >= 101);
}

#[test]
fn a_refused_or_panicking_operation_does_not_spoil_its_batch() {
    let kit = Kit::new();
    let (go, go_on) = channel();
    let (receipts, received) = channel();
    kit.ledger().submit(Block { go_on }, |_| ()).unwrap();
    kit.ledger().submit(small(1), |_| ()).unwrap();
    let sink = receipts.clone();
    kit.ledger().submit(Buggy, move |result| sink.send(result).unwrap()).unwrap();
    let strange = crate::api_key::RevokeApiKey { tenant: TenantId::default(), id: 77 };
    kit.ledger().submit(strange, move |result| receipts.send(result).unwrap()).unwrap();
    go.send(()).unwrap();
    assert_eq!(kit.ledger().perform(small(2)), Ok(true));
    let panicked = StoreError::Statement { detail: "an operation panicked".to_owned() };
    assert_eq!(received.recv().unwrap(), Err(panicked));
    assert_eq!(received.recv().unwrap(), Err(StoreError::NotFound { what: "api key" }));
    assert_eq!(suppressed(&kit), 2);
    assert!(kit.ledger().works());
}

#[test]
fn new_work_beyond_the_bound_is_refused_and_facts_still_go_in() {
    let (_folder, ledger) = kit_with(|config| config.queue_max = 4);
    let (go, go_on) = channel();
    let (started, has_started) = channel();
    struct Announce(std::sync::mpsc::Sender<()>, Block);
    impl Operation for Announce {
        type Receipt = ();
        fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
            self.0.send(()).map_err(|_| StoreError::Stopped)?;
            self.1.apply(turn)
        }
    }
    ledger.submit(Announce(started, Block { go_on }), |_| ()).unwrap();
    has_started.recv().unwrap();
    for count in 0..4 {
        ledger.submit(small(count), |_| ()).unwrap();
    }
    assert_eq!(ledger.submit(small(5), |_| ()), Err(StoreError::Overloaded));
    for _ in 0..12 {
        ledger.submit(StoreFacts::patient(paused_agent("anna")), |_| ()).unwrap();
    }
    let full = ledger.submit(StoreFacts::patient(paused_agent("anna")), |_| ());
    assert_eq!(full, Err(StoreError::Overloaded));
    assert_eq!(ledger.stats().overloaded, 2);
    go.send(()).unwrap();
    // The queue empties, and the figures with it.
    while ledger.stats().queue_depth > 0 {
        std::thread::yield_now();
    }
    assert_eq!(ledger.perform(small(6)), Ok(true));
}

#[test]
fn a_held_file_fails_new_work_keeps_facts_and_heals_by_itself() {
    let (health, told) = channel();
    let mut kit = Kit::new();
    kit.reopen_with(|config| {
        config.busy_timeout = Duration::from_millis(20);
        let health = health.clone();
        config.on_health = Box::new(move |works| health.send(works).unwrap());
    });
    let foreign = foreign_lock(&kit);
    let (receipt, kept) = channel();
    kit.ledger()
        .submit(StoreFacts::patient(paused_agent("anna")), move |result| {
            receipt.send(result).unwrap();
        })
        .unwrap();
    assert!(!told.recv().unwrap());
    assert!(!kit.ledger().works());
    let refused = kit.ledger().perform(small(1));
    assert!(matches!(refused, Err(StoreError::Disk { fault: DiskFault::Held, .. })), "{refused:?}");
    // A fact that somebody waits for is not kept either: he must not be promised anything.
    assert!(kit.ledger().perform(StoreFacts::new(paused_agent("ben"))).is_err());
    assert_eq!(kit.ledger().stats().kept, 1);
    assert!(kept.try_recv().is_err());
    foreign.execute_batch("ROLLBACK").unwrap();
    assert!(told.recv().unwrap());
    assert!(kept.recv().unwrap().is_ok());
    assert_eq!(kit.ledger().perform(small(2)), Ok(true));
    assert_eq!(kit.value::<String>("SELECT group_concat(agent) FROM agent_state"), "anna");
    assert_eq!(kit.ledger().stats().faults, 1);
}

#[test]
fn a_full_disk_loses_nothing_that_was_receipted() {
    let (health, told) = channel();
    let mut kit = Kit::new();
    kit.reopen_with(|config| {
        let health = health.clone();
        config.on_health = Box::new(move |works| health.send(works).unwrap());
    });
    assert_eq!(kit.ledger().perform(small(1)), Ok(true));
    let full = kit.ledger().perform(Fill { pages: 100 });
    assert!(matches!(full, Err(StoreError::Disk { fault: DiskFault::Full, .. })), "{full:?}");
    // There is room for less than that: the probe passes.
    assert_eq!((told.recv().unwrap(), told.recv().unwrap()), (false, true));
    assert_eq!(kit.ledger().perform(small(2)), Ok(true));
    kit.crash();
    assert_eq!(suppressed(&kit), 2);
}

#[test]
fn a_second_gateway_is_refused_while_the_first_lives_and_close_frees_the_folder() {
    let kit = Kit::new();
    let second = Ledger::open(kit.config()).map(|_| ());
    assert_eq!(second, Err(StoreError::Held { path: kit.folder.path("ledger.lock") }));
    kit.ledger().close();
    assert_eq!(kit.ledger().perform(small(1)), Err(StoreError::Stopped));
    assert_eq!(kit.ledger().mark_sent(AttemptId(1)), Err(StoreError::Stopped));
    assert!(Ledger::open(kit.config()).is_ok());
}

#[test]
fn the_last_handle_may_be_dropped_by_a_receipt() {
    let (folder, ledger) = kit_with(|_| ());
    let (dropped, is_dropped) = channel();
    let (go, go_on) = channel();
    let handle = ledger.clone();
    ledger
        .submit(Block { go_on }, move |_| {
            drop(handle);
            dropped.send(()).unwrap();
        })
        .unwrap();
    drop(ledger);
    go.send(()).unwrap();
    is_dropped.recv().unwrap();
    // The writer ends on its own and frees the folder.
    while matches!(
        Ledger::open(StoreConfig::in_folder(folder.root())),
        Err(StoreError::Held { .. })
    ) {
        std::thread::yield_now();
    }
}
