//! The tables, as a list of migrations: `PRAGMA user_version` says how many have been applied.
//!
//! A migration once released is never edited; a change is a new one at the end. Every table but
//! `node` (this installation) names the tenant. Times are Unix milliseconds, states are the words
//! of `words.rs`, so that the file can be read with any SQLite tool.

use crate::error::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// All migrations, in order.
const MIGRATIONS: &[&str] = &[FIRST, DECISIONS, CALLER_VERIFIED];

/// How many migrations this program knows.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Brings the file to the newest schema, each migration in its own transaction.
///
/// # Errors
/// `SchemaTooNew` when a newer program wrote it; disk faults.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::SchemaTooNew { found, known: SCHEMA_VERSION });
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The first schema.
///
/// `contact.state` is `ready` (due at `next_at`), `leased`, `dialling` or `final`. `attempt.state`
/// is `dialling`, `closed` or `not_sent` (a crash before the INVITE left). `tally` counts the
/// contacts of a campaign by state and disposition; a trigger keeps it (new ones are added once
/// for each request), so progress is read without counting a million rows.
const FIRST: &str = "
CREATE TABLE node (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    session TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    call_key BLOB NOT NULL,
    started_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE probe (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE tenant (
    name TEXT PRIMARY KEY,
    webhook_secret BLOB NOT NULL,
    webhook_url TEXT,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE campaign (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    definition TEXT NOT NULL,
    trunk TEXT NOT NULL,
    attempts_max INTEGER NOT NULL,
    in_doubt_after_ms INTEGER NOT NULL,
    window_from INTEGER NOT NULL,
    window_to INTEGER NOT NULL,
    utc_offset_min INTEGER NOT NULL,
    webhook_url TEXT,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX campaign_of_tenant ON campaign (tenant, id);
CREATE TABLE contact (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    key TEXT NOT NULL,
    number TEXT NOT NULL,
    priority INTEGER NOT NULL,
    payload TEXT,
    state TEXT NOT NULL CHECK (state IN ('ready', 'leased', 'dialling', 'final')),
    next_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    disposition TEXT NOT NULL DEFAULT '',
    reason TEXT,
    UNIQUE (campaign, key),
    UNIQUE (campaign, number)
) STRICT;
CREATE INDEX contact_due ON contact (campaign, next_at, priority DESC, id) WHERE state = 'ready';
CREATE INDEX contact_leased ON contact (campaign, lease_until) WHERE state = 'leased';
CREATE INDEX contact_page ON contact (campaign, id);
CREATE TABLE tally (
    campaign INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    state TEXT NOT NULL,
    disposition TEXT NOT NULL,
    contacts INTEGER NOT NULL,
    PRIMARY KEY (campaign, state, disposition)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER contact_moved AFTER UPDATE OF state, disposition ON contact
WHEN old.state <> new.state OR old.disposition <> new.disposition BEGIN
    UPDATE tally SET contacts = contacts - 1
        WHERE campaign = old.campaign AND state = old.state AND disposition = old.disposition;
    INSERT INTO tally VALUES (new.campaign, new.tenant, new.state, new.disposition, 1)
        ON CONFLICT DO UPDATE SET contacts = contacts + 1;
END;
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    campaign INTEGER NOT NULL,
    contact INTEGER NOT NULL REFERENCES contact (id),
    n INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('dialling', 'closed', 'not_sent')),
    call_id TEXT NOT NULL UNIQUE,
    call INTEGER,
    dialling_ms INTEGER NOT NULL,
    answered_ms INTEGER,
    ended_ms INTEGER,
    disposition TEXT,
    cause TEXT,
    sip_status INTEGER,
    q850 INTEGER,
    ended_by TEXT,
    answered INTEGER NOT NULL DEFAULT 0,
    message_heard INTEGER NOT NULL DEFAULT 0,
    key TEXT,
    asked_for_agent INTEGER NOT NULL DEFAULT 0,
    joined_agent INTEGER NOT NULL DEFAULT 0,
    retry_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX attempt_once ON attempt (contact, n) WHERE state <> 'not_sent';
CREATE INDEX attempt_open ON attempt (id) WHERE state = 'dialling';
CREATE INDEX attempt_of_campaign ON attempt (campaign, id);
CREATE TABLE callback (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    queue TEXT NOT NULL,
    number TEXT NOT NULL,
    arrived_ms INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    state TEXT NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX callback_of_tenant ON callback (tenant, id);
CREATE INDEX callback_open ON callback (tenant, queue, number)
    WHERE state IN ('promised', 'reserved', 'dialling');
CREATE TABLE leg (
    id INTEGER PRIMARY KEY,
    call INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    role TEXT NOT NULL,
    sip_call_id TEXT NOT NULL,
    trunk TEXT,
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    agent TEXT,
    queue TEXT,
    intent TEXT,
    started_ms INTEGER NOT NULL,
    answered_ms INTEGER,
    ended_ms INTEGER NOT NULL,
    cause TEXT NOT NULL,
    sip_status INTEGER NOT NULL,
    q850 INTEGER NOT NULL,
    ended_by TEXT NOT NULL,
    packets_sent INTEGER NOT NULL,
    packets_received INTEGER NOT NULL,
    packets_lost INTEGER NOT NULL,
    packets_refused INTEGER NOT NULL,
    jitter_us INTEGER NOT NULL,
    mos REAL NOT NULL
) STRICT;
CREATE INDEX leg_of_call ON leg (call);
CREATE INDEX leg_by_call_id ON leg (sip_call_id);
CREATE INDEX leg_by_time ON leg (tenant, started_ms, id) WHERE role <> 'agent';
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    topic TEXT NOT NULL,
    event_id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    next_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    last_status INTEGER,
    last_error TEXT,
    created_ms INTEGER NOT NULL,
    settled_ms INTEGER
) STRICT;
CREATE INDEX outbox_due ON outbox (url, next_at, id) WHERE state = 'pending';
CREATE INDEX outbox_order ON outbox (aggregate, id) WHERE state = 'pending';
CREATE INDEX outbox_oldest ON outbox (id) WHERE state = 'pending';
CREATE INDEX outbox_settled ON outbox (settled_ms) WHERE state <> 'pending';
CREATE INDEX outbox_of_tenant ON outbox (tenant, id);
CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_ms);
CREATE TABLE api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;
CREATE TABLE dnc (
    tenant TEXT NOT NULL,
    digits TEXT NOT NULL,
    source TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, digits)
) STRICT, WITHOUT ROWID;
CREATE TABLE agent_state (
    tenant TEXT NOT NULL,
    agent TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    since_ms INTEGER,
    PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;
";

/// Why calls were led where they were. `call` is 0 for what was refused before it became a call,
/// `rejected` a list of JSON objects.
const DECISIONS: &str = "
CREATE TABLE decision (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    call INTEGER NOT NULL,
    sip_call_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    chosen TEXT NOT NULL,
    status INTEGER NOT NULL,
    rejected TEXT NOT NULL
) STRICT;
CREATE INDEX decision_of_call ON decision (call) WHERE call <> 0;
CREATE INDEX decision_by_call_id ON decision (sip_call_id);
CREATE INDEX decision_by_time ON decision (at_ms);
";

/// What was verified of a caller's number (RFC 8224, RFC 8588).
const CALLER_VERIFIED: &str = "
ALTER TABLE leg ADD COLUMN verstat TEXT;
ALTER TABLE leg ADD COLUMN attestation TEXT;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gets_every_table_and_a_second_start_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for table in ["attempt", "callback", "campaign", "contact", "dnc", "leg", "outbox"] {
            assert!(tables.iter().any(|name| name == table), "{table} in {tables:?}");
            let columns: Vec<String> = connection
                .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(columns.iter().any(|column| column == "tenant"), "{table} has no tenant");
        }
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        assert_eq!(
            migrate(&mut connection),
            Err(StoreError::SchemaTooNew { found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION })
        );
    }
}
