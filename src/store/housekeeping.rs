//! Clears away what has served its purpose, a little at a time so that commits stay short.

use crate::error::StoreError;
use crate::row::ms;
use rusqlite::Connection;

/// Delivered and dead webhooks are kept this long for support: seven days.
const LETTERS_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// The most rows of one table cleared at once. Called each minute: 33 a second.
const ROWS: u32 = 2_000;

/// Why a call went where is asked within weeks: 30 days.
const DECISIONS_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// There is one for each call and more: 330 a second.
const DECISION_ROWS: u32 = 20_000;

/// Removes expired idempotency keys, settled webhooks and old decisions.
pub(crate) fn clean(connection: &Connection, now_ms: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM idempotency WHERE (tenant, key) IN
                 (SELECT tenant, key FROM idempotency WHERE expires_ms <= ?1 LIMIT ?2)",
        )?
        .execute((ms(now_ms), ROWS))?;
    connection
        .prepare_cached(
            "DELETE FROM outbox WHERE id IN
                 (SELECT id FROM outbox WHERE state <> 'pending' AND settled_ms <= ?1 LIMIT ?2)",
        )?
        .execute((ms(now_ms.saturating_sub(LETTERS_KEPT_MS)), ROWS))?;
    connection
        .prepare_cached(
            "DELETE FROM decision WHERE id IN
                 (SELECT id FROM decision WHERE at_ms <= ?1 ORDER BY at_ms LIMIT ?2)",
        )?
        .execute((ms(now_ms.saturating_sub(DECISIONS_KEPT_MS)), DECISION_ROWS))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::Folder;
    use std::time::Duration;

    #[test]
    fn old_rows_go_and_young_and_waiting_ones_stay() {
        let folder = Folder::new();
        let path = folder.path("ledger.db");
        let mut connection = crate::sqlite::open_writer(&path, Duration::ZERO).unwrap();
        crate::schema::migrate(&mut connection).unwrap();
        connection
            .execute_batch(
                "INSERT INTO idempotency VALUES ('t', 'old', x'00', 200, '', 5),
                                                ('t', 'young', x'00', 200, '', 999999999999);
                 INSERT INTO outbox (id, tenant, aggregate, topic, event_id, url, payload, state,
                                     next_at, created_ms, settled_ms)
                 VALUES (1, 't', 'a', 'x', 'e1', 'u', '', 'delivered', 0, 0, 5),
                        (2, 't', 'a', 'x', 'e2', 'u', '', 'pending', 0, 0, NULL),
                        (3, 't', 'a', 'x', 'e3', 'u', '', 'dead', 0, 0, 999999999);
                 INSERT INTO decision VALUES (1, 't', 0, 'old', 5, '', '', '', '', 404, '[]'),
                     (2, 't', 0, 'young', 2000000000, '', '', '', '', 404, '[]');",
            )
            .unwrap();
        clean(&connection, 10 + LETTERS_KEPT_MS).unwrap();
        let left: String = connection
            .query_row(
                "SELECT (SELECT group_concat(key) FROM idempotency) || ' ' ||
                        (SELECT group_concat(id) FROM outbox) || ' ' ||
                        (SELECT group_concat(sip_call_id) FROM decision)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(left, "young 2,3 old,young");
        clean(&connection, 10 + DECISIONS_KEPT_MS).unwrap();
        let of_calls = "SELECT group_concat(sip_call_id) FROM decision";
        let left: String = connection.query_row(of_calls, [], |row| row.get(0)).unwrap();
        assert_eq!(left, "young");
    }
}
