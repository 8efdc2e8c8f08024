//! What a start settles before anything is dialled: leases of the dead process, attempts that were
//! open, promises that were under way. All of it is one transaction.
//!
//! ```text
//! contact leased                       ─► ready (nothing was dialled)
//! attempt dialling, provably unsent    ─► attempt not_sent, contact ready, same attempt number
//! attempt dialling, otherwise          ─► attempt closed as in_doubt; contact later or final
//! promise reserved or dialling         ─► promised, its try counted
//! ```

use crate::definition;
use crate::error::StoreError;
use crate::fact::{close_attempt, put_leg, rearm};
use crate::gauge::Gauge;
use crate::operation::Turn;
use crate::row::{get_id, get_ms, get_number, get_text, get_word, id, ms, strange};
use crate::sent_log::{Evidence, boot_id};
use crate::{secret, tenant_table, words};
use campaign::event::{Disposition, LeasedContact, Outcome};
use domain::cause::Cause;
use domain::id::{
    AgentId, AttemptId, CallId, CallbackId, CampaignId, ContactId, IdSource, LegId, QueueId,
    TenantId, TrunkId,
};
use media::event::QualityReport;
use queue::event::{AgentState, Promise};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use switchboard::event::{AttemptClosed, AttemptUnsent, LegRecord, LegRole, Restored};

/// What a start found and settled.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// The file was new.
    pub first_start: bool,
    /// The log of sent attempts could be trusted: same boot, same session, whole.
    pub log_trusted: bool,
    /// Leases given back.
    pub leases_returned: u64,
    /// Attempts that provably never left; their contacts are ready again.
    pub rearmed: u64,
    /// Attempts that may have rung; never dialled again as the same attempt.
    pub in_doubt: u64,
    /// Promises that were under way and wait again.
    pub promises_resumed: u64,
}

/// What the ledger needs to begin.
pub(crate) struct Start {
    pub(crate) recovery: Recovery,
    pub(crate) restored: Restored,
    pub(crate) call_key: [u8; 32],
}

/// Settles the last session and begins `session`. The folder's lock is held: the last writer is
/// gone, not merely stopped.
pub(crate) fn recover(
    connection: &mut Connection,
    folder: &Path,
    session: &str,
    now_ms: u64,
) -> Result<Start, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last = last_session(&transaction)?;
    let boot = boot_id();
    let mut recovery = Recovery { first_start: last.is_none(), ..Recovery::default() };
    let (call_key, evidence) = match last {
        None => (secret::random::<32>()?, Evidence::None),
        Some(last) if last.boot == boot && !boot.is_empty() => {
            (last.call_key, Evidence::read(folder, &last.session))
        }
        Some(last) => (last.call_key, Evidence::None),
    };
    recovery.log_trusted = evidence != Evidence::None;
    tenant_table::ensure(&transaction, &TenantId::default(), now_ms)?;
    recovery.leases_returned = return_leases(&transaction)?;
    let gauge = Gauge::default();
    let turn = Turn { sql: &transaction, now_ms, call_key: &call_key, gauge: &gauge };
    settle_attempts(&turn, &evidence, &mut recovery)?;
    recovery.promises_resumed = resume_promises(&transaction, now_ms)?;
    transaction.execute(
        "INSERT OR REPLACE INTO node VALUES (1, ?1, ?2, ?3, ?4)",
        params![session, boot, call_key, ms(now_ms)],
    )?;
    let restored = restore(&transaction)?;
    transaction.commit()?;
    Ok(Start { recovery, restored, call_key })
}

struct LastSession {
    session: String,
    boot: String,
    call_key: [u8; 32],
}

fn last_session(sql: &Connection) -> Result<Option<LastSession>, StoreError> {
    Ok(sql
        .query_row("SELECT session, boot_id, call_key FROM node", [], |row| {
            Ok(LastSession { session: row.get(0)?, boot: row.get(1)?, call_key: row.get(2)? })
        })
        .optional()?)
}

fn return_leases(sql: &Connection) -> Result<u64, StoreError> {
    let returned = sql.execute(
        "UPDATE contact SET state = 'ready', lease_until = NULL, fence = fence + 1
         WHERE state = 'leased'",
        [],
    )?;
    Ok(returned as u64)
}

/// An attempt that was open when the last process ended.
struct OpenAttempt {
    closed: AttemptClosed,
    tenant: TenantId,
    call_id: Arc<str>,
    trunk: Arc<str>,
    caller_id: Arc<str>,
    dialling_ms: u64,
}

fn settle_attempts(
    turn: &Turn<'_>,
    evidence: &Evidence,
    recovery: &mut Recovery,
) -> Result<(), StoreError> {
    let mut ids = IdSource::starting_at(turn.now_ms).next_number();
    for open in open_attempts(turn)? {
        let attempt = open.closed.attempt.0;
        if evidence.proves_unsent(attempt) {
            rearm(turn, &unsent(&open.closed))?;
            recovery.rearmed += 1;
        } else {
            // The numbers just below this start's: the last process did not live to give them out.
            ids -= 1;
            put_record(turn, &open, ids)?;
            close_attempt(turn, &open.closed)?;
            recovery.in_doubt += 1;
        }
        // Whatever the dead process may still say is refused.
        turn.sql
            .prepare_cached("UPDATE contact SET fence = fence + 1 WHERE id = ?1")?
            .execute([id(open.closed.contact.contact.0)])?;
    }
    Ok(())
}

fn unsent(closed: &AttemptClosed) -> AttemptUnsent {
    AttemptUnsent {
        attempt: closed.attempt,
        campaign: closed.campaign,
        contact: closed.contact.clone(),
        // At once, in its old place.
        due_wall_ms: 0,
        ended_wall_ms: closed.ended_wall_ms,
    }
}

fn open_attempts(turn: &Turn<'_>) -> Result<Vec<OpenAttempt>, StoreError> {
    let mut select = turn.sql.prepare(
        "SELECT attempt.id, attempt.tenant, attempt.campaign, attempt.contact, attempt.n,
             attempt.fence, attempt.call_id, attempt.dialling_ms, contact.number, campaign.trunk,
             campaign.attempts_max, campaign.in_doubt_after_ms,
             json_extract(campaign.definition, '$.caller_id') AS caller_id
         FROM attempt INDEXED BY attempt_open
             JOIN contact ON contact.id = attempt.contact
             JOIN campaign ON campaign.id = attempt.campaign
         WHERE attempt.state = 'dialling' ORDER BY attempt.id",
    )?;
    let open = select.query_map([], |row| {
        let n: u8 = row.get("n")?;
        let attempts_left = n < row.get::<_, u8>("attempts_max")?;
        let retry_at = turn.now_ms.saturating_add(get_ms(row, "in_doubt_after_ms")?);
        Ok(OpenAttempt {
            closed: AttemptClosed {
                attempt: AttemptId(get_id(row, "id")?),
                campaign: CampaignId(get_id(row, "campaign")?),
                contact: LeasedContact {
                    contact: ContactId(get_id(row, "contact")?),
                    number: get_number(row, "number")?,
                    attempt_number: n,
                    fence: get_id(row, "fence")?,
                },
                call: None,
                disposition: Disposition::InDoubt,
                outcome: Outcome {
                    cause: Cause::silent(),
                    answered: false,
                    message_heard: false,
                    key: None,
                    asked_for_agent: false,
                    joined_agent: false,
                },
                retry_wall_ms: attempts_left.then_some(retry_at),
                answered_wall_ms: None,
                ended_wall_ms: turn.now_ms,
            },
            tenant: TenantId(get_text(row, "tenant")?),
            call_id: get_text(row, "call_id")?,
            trunk: get_text(row, "trunk")?,
            caller_id: get_text(row, "caller_id")?,
            dialling_ms: get_ms(row, "dialling_ms")?,
        })
    })?;
    Ok(open.collect::<Result<_, _>>()?)
}

/// The record (CDR) of an attempt in doubt, unless its leg was recorded before the crash.
fn put_record(turn: &Turn<'_>, open: &OpenAttempt, number: u64) -> Result<(), StoreError> {
    let recorded = turn
        .sql
        .prepare_cached("SELECT 1 FROM leg WHERE sip_call_id = ?1")?
        .exists([&open.call_id])?;
    if recorded {
        return Ok(());
    }
    let record = LegRecord {
        leg: LegId(number << 1),
        call: CallId(number),
        tenant: open.tenant.clone(),
        role: LegRole::Contact,
        sip_call_id: Arc::clone(&open.call_id),
        trunk: Some(TrunkId { tenant: open.tenant.clone(), name: Arc::clone(&open.trunk) }),
        from: Arc::clone(&open.caller_id),
        to: open.closed.contact.number.as_str().into(),
        agent: None,
        queue: None,
        intent: None,
        started_wall_ms: open.dialling_ms,
        answered_wall_ms: None,
        ended_wall_ms: turn.now_ms,
        cause: Cause::silent(),
        quality: QualityReport::default(),
        verstat: None,
        attestation: None,
    };
    put_leg(turn, &record)
}

/// Promises under way at the crash wait again. A try is counted when it is begun, so one that was
/// dialling has its count; one for which only an agent was held gets it now.
fn resume_promises(sql: &Connection, now_ms: u64) -> Result<u64, StoreError> {
    let resumed = sql.execute(
        "UPDATE callback INDEXED BY callback_open
         SET tries = CASE state WHEN 'reserved' THEN tries + 1 ELSE tries END,
             state = 'promised', changed_ms = ?1
         WHERE state IN ('promised', 'reserved', 'dialling') AND state <> 'promised'",
        [ms(now_ms)],
    )?;
    Ok(resumed as u64)
}

fn restore(sql: &Connection) -> Result<Restored, StoreError> {
    let promises = sql
        .prepare(
            "SELECT * FROM callback INDEXED BY callback_open
             WHERE state IN ('promised', 'reserved', 'dialling') ORDER BY arrived_ms, id",
        )?
        .query_map([], promise_from_row)?
        .collect::<Result<_, _>>()?;
    let campaigns = sql
        .prepare(&format!(
            "SELECT {} FROM campaign WHERE state NOT IN ('cancelled', 'finished') ORDER BY id",
            definition::COLUMNS
        ))?
        .query_map([], |row| definition::from_row(row).map(Arc::new))?
        .collect::<Result<_, _>>()?;
    let agents = sql
        .prepare("SELECT * FROM agent_state ORDER BY tenant, agent")?
        .query_map([], agent_from_row)?
        .collect::<Result<_, _>>()?;
    Ok(Restored { promises, campaigns, agents })
}

/// Reads a promise from all columns of `callback`.
pub(crate) fn promise_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Promise> {
    let tenant = TenantId(get_text(row, "tenant")?);
    Ok(Promise {
        id: CallbackId(get_id(row, "id")?),
        queue: QueueId { tenant, name: get_text(row, "queue")? },
        number: get_number(row, "number")?,
        arrived_wall_ms: get_ms(row, "arrived_ms")?,
        not_before_wall_ms: get_ms(row, "not_before_ms")?,
        expires_wall_ms: get_ms(row, "expires_ms")?,
        tries: row.get("tries")?,
        state: get_word(row, "state", words::callback_state_from)?,
    })
}

fn agent_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(AgentId, AgentState)> {
    let tenant = TenantId(get_text(row, "tenant")?);
    let state = get_text(row, "state")?;
    let state = match &*state {
        "logged_out" => AgentState::LoggedOut,
        "available" => AgentState::Available { since_wall_ms: get_ms(row, "since_ms")? },
        "paused" => AgentState::Paused { reason: get_text(row, "reason")? },
        other => return Err(strange("agent_state.state", other)),
    };
    Ok((AgentId { tenant, name: get_text(row, "agent")? }, state))
}

#[cfg(test)]
mod tests;
