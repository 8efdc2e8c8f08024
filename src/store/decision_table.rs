//! Decisions on calls into rows and back: what was chosen, what was not, and why.

use crate::error::StoreError;
use crate::operation::Turn;
use crate::reader::{Reader, rows};
use crate::row::{get_id, get_ms, get_text, id, ms, strange};
use domain::id::{CallId, TenantId};
use rusqlite::{Row, params};
use serde_json::{Value, json};
use switchboard::event::{Decision, REJECTED_MAX, Rejected};

/// Puts a decision on disk; once more does no harm.
pub(crate) fn put(turn: &Turn<'_>, decision: &Decision) -> Result<(), StoreError> {
    let rejected: Vec<Value> = decision.rejected.iter().map(to_json).collect();
    turn.sql
        .prepare_cached(
            "INSERT OR IGNORE INTO decision
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            id(decision.id),
            decision.tenant.0,
            id(decision.call.map_or(0, |call| call.0)),
            decision.sip_call_id,
            ms(decision.at_wall_ms),
            decision.source,
            decision.from,
            decision.to,
            decision.chosen,
            decision.status,
            Value::from(rejected).to_string(),
        ])?;
    Ok(())
}

/// One alternative as readers of the ledger and of `explain --json` find it.
pub fn to_json(rejected: &Rejected) -> Value {
    json!({
        "candidate": &*rejected.candidate,
        "test": &*rejected.test,
        "why": &*rejected.why,
    })
}

impl Reader {
    /// The decisions on a call, in the order they were taken. `None` for `tenant`: of any tenant,
    /// for the operator.
    pub fn decisions_on_call(
        &self,
        tenant: Option<&TenantId>,
        call: CallId,
    ) -> Result<Vec<Decision>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM decision WHERE call = ?2 AND call <> 0
                     AND (?1 IS NULL OR tenant = ?1) ORDER BY at_ms, id LIMIT 1000",
                params![tenant.map(|it| &*it.0), id(call.0)],
                from_row,
            )
        })
    }

    /// The decisions on the INVITE with this SIP Call-ID, whether it became a call or was refused,
    /// and on the call whose leg has it.
    pub fn decisions_by_call_id(
        &self,
        tenant: Option<&TenantId>,
        sip_call_id: &str,
    ) -> Result<Vec<Decision>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM decision WHERE (?1 IS NULL OR tenant = ?1) AND (sip_call_id = ?2
                     OR (call <> 0 AND call IN (SELECT call FROM leg WHERE sip_call_id = ?2)))
                 ORDER BY at_ms, id LIMIT 1000",
                params![tenant.map(|it| &*it.0), sip_call_id],
                from_row,
            )
        })
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let call = get_id(row, "call")?;
    let list = get_text(row, "rejected")?;
    let read: Value = serde_json::from_str(&list).map_err(|_| strange("rejected", &list))?;
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().into();
    let rejected = read.as_array().into_iter().flatten().take(REJECTED_MAX);
    Ok(Decision {
        id: get_id(row, "id")?,
        call: (call != 0).then_some(CallId(call)),
        sip_call_id: get_text(row, "sip_call_id")?,
        tenant: TenantId(get_text(row, "tenant")?),
        at_wall_ms: get_ms(row, "at_ms")?,
        source: get_text(row, "source")?,
        from: get_text(row, "caller")?,
        to: get_text(row, "callee")?,
        chosen: get_text(row, "chosen")?,
        status: row.get("status")?,
        rejected: rejected
            .map(|item| Rejected {
                candidate: text(item, "candidate"),
                test: text(item, "test"),
                why: text(item, "why"),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::Kit;
    use switchboard::event::Fact;

    fn decision(number: u64, call: Option<u64>, sip_call_id: &str) -> Decision {
        Decision {
            id: number,
            call: call.map(CallId),
            sip_call_id: sip_call_id.into(),
            tenant: TenantId::default(),
            at_wall_ms: 1_000 + number,
            source: "trunk carrier".into(),
            from: "+49301".into(),
            to: "4000".into(),
            chosen: "trunk backup".into(),
            status: 0,
            rejected: vec![Rejected {
                candidate: "trunk carrier".into(),
                test: "caps".into(),
                why: "all 5 channels are in use".into(),
            }],
        }
    }

    #[test]
    fn decisions_are_found_by_call_and_by_sips_own_id() {
        let kit = Kit::new();
        let all =
            [decision(1, Some(7), "a"), decision(2, Some(7), ""), decision(3, None, "refused")];
        for _ in 0..2 {
            kit.store(all.iter().cloned().map(Fact::Decision).collect());
        }
        let reader = Reader::open(kit.ledger().path(), 1).unwrap();
        let of_call = reader.decisions_on_call(None, CallId(7)).unwrap();
        assert_eq!(of_call, all[..2]);
        assert_eq!(reader.decisions_by_call_id(None, "refused").unwrap(), all[2..]);
        assert_eq!(reader.decisions_by_call_id(None, "a").unwrap(), all[..1]);
        let other = TenantId("other".into());
        assert_eq!(reader.decisions_by_call_id(Some(&other), "a").unwrap(), []);
        assert_eq!(reader.decisions_on_call(None, CallId(0)).unwrap(), []);
    }
}
