//! Records of calls: one row for each leg (CDR).

use super::campaigns::cause_from_row;
use super::{Reader, page, rows};
use crate::error::StoreError;
use crate::row::{get_id, get_ms, get_ms_if_any, get_text, get_text_if_any, get_word, id, ms};
use crate::words;
use domain::id::{AgentId, CallId, LegId, QueueId, TenantId, TrunkId};
use media::event::QualityReport;
use rusqlite::{Row, params};
use switchboard::event::LegRecord;

/// Where a page of calls went on: the last row of the page before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CallCursor {
    /// Its start, Unix milliseconds.
    pub started_wall_ms: u64,
    /// Its leg.
    pub leg: LegId,
}

impl Reader {
    /// All legs of a call that have ended, in the order of their starts.
    pub fn legs(&self, tenant: &TenantId, call: CallId) -> Result<Vec<LegRecord>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM leg INDEXED BY leg_of_call WHERE call = ?2 AND tenant = ?1
                 ORDER BY started_ms, id LIMIT 1000",
                params![tenant.0, id(call.0)],
                leg_from_row,
            )
        })
    }

    /// The legs with this SIP Call-ID, as found in a carrier's complaint or a packet trace.
    pub fn legs_by_call_id(
        &self,
        tenant: &TenantId,
        sip_call_id: &str,
    ) -> Result<Vec<LegRecord>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM leg WHERE sip_call_id = ?2 AND tenant = ?1 ORDER BY id LIMIT 1000",
                params![tenant.0, sip_call_id],
                leg_from_row,
            )
        })
    }

    /// A tenant's ended calls, newest first, those before the cursor (`None`: from the newest on).
    /// Each is given by its first leg: the caller, the callback's caller or the contact.
    pub fn calls(
        &self,
        tenant: &TenantId,
        before: Option<CallCursor>,
        limit: u32,
    ) -> Result<Vec<LegRecord>, StoreError> {
        let (started, leg) =
            before.map_or((i64::MAX, i64::MAX), |it| (ms(it.started_wall_ms), id(it.leg.0)));
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM leg INDEXED BY leg_by_time
                 WHERE tenant = ?1 AND role <> 'agent' AND role <> 'callee'
                     AND (started_ms, id) < (?2, ?3)
                 ORDER BY started_ms DESC, id DESC LIMIT ?4",
                params![tenant.0, started, leg, page(limit)],
                leg_from_row,
            )
        })
    }
}

fn leg_from_row(row: &Row<'_>) -> rusqlite::Result<LegRecord> {
    let tenant = TenantId(get_text(row, "tenant")?);
    let name = |column| get_text_if_any(row, column);
    Ok(LegRecord {
        leg: LegId(get_id(row, "id")?),
        call: CallId(get_id(row, "call")?),
        role: get_word(row, "role", words::leg_role_from)?,
        sip_call_id: get_text(row, "sip_call_id")?,
        trunk: name("trunk")?.map(|name| TrunkId { tenant: tenant.clone(), name }),
        from: get_text(row, "caller")?,
        to: get_text(row, "callee")?,
        agent: name("agent")?.map(|name| AgentId { tenant: tenant.clone(), name }),
        queue: name("queue")?.map(|name| QueueId { tenant: tenant.clone(), name }),
        intent: name("intent")?,
        started_wall_ms: get_ms(row, "started_ms")?,
        answered_wall_ms: get_ms_if_any(row, "answered_ms")?,
        ended_wall_ms: get_ms(row, "ended_ms")?,
        cause: cause_from_row(row)?,
        quality: QualityReport {
            sent: get_id(row, "packets_sent")?,
            received: get_id(row, "packets_received")?,
            lost: get_id(row, "packets_lost")?,
            refused: get_id(row, "packets_refused")?,
            jitter_us: row.get("jitter_us")?,
            mos: row.get("mos")?,
        },
        verstat: name("verstat")?,
        attestation: name("attestation")?,
        tenant,
    })
}
