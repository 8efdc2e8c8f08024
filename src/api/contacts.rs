//! `/v1/campaigns/{id}/contacts`: lists come in whole or in part, and can be read back.
//!
//! A list is checked once from end to end (its form and its length) before its first row is kept;
//! then rows go to the ledger 2,000 at a time, so that dialling is never held up behind it. The
//! reply is stored with the last of them.

use crate::auth::Caller;
use crate::body;
use crate::campaigns;
use crate::contact_rows::{self, ContactForm, Place};
use crate::idempotency;
use crate::metrics;
use crate::params::{Asked, At, Page, PageQuery};
use crate::problem::{Fault, Kind, Problem};
use crate::state::{Shared, internal};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::id::{CampaignId, ContactId, TenantId};
use serde::Serialize;
use std::time::Duration;
use store::campaign_table::{AddContacts, ContactFault, ContactsAdded, NewContact};
use store::error::StoreError;
use store::idempotency::{Answer, IdempotencyKey, Once, StoredReply};
use store::ledger::Ledger;
use store::operation::{Operation, Turn};
use store::reader::campaigns::{ContactState, ContactView as Stored};
use switchboard::event::Command;
use trunk::number::{DialPlan, NumberKind};
use utoipa::ToSchema;

/// Rows of one transaction: about 20 ms of writing.
const BATCH_ROWS: usize = 2_000;
/// Faulty rows named in a reply.
const FAULTS_MAX: usize = 1_000;

/// What became of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct ListReport {
    /// Rows that are contacts now.
    pub added: u64,
    /// Rows left out because their number or key is in the campaign already.
    pub duplicates: u64,
    /// Rows left out because they are faulty.
    pub refused: u64,
    /// The rows left out, each with its place; at most 1,000.
    pub errors: Vec<Fault>,
    /// Further rows left out and not named.
    pub errors_not_named: u64,
}

impl ListReport {
    fn fault(&mut self, fault: Fault) {
        if self.errors.len() < FAULTS_MAX {
            self.errors.push(fault);
        } else {
            self.errors_not_named += 1;
        }
    }

    fn take(&mut self, added: &ContactsAdded, places: &[Place]) {
        self.added += u64::from(added.added);
        for left_out in &added.faults {
            self.duplicates += 1;
            let Some(place) = places.get(left_out.row) else { continue };
            self.fault(place.fault(match left_out.fault {
                ContactFault::NumberTaken => "this number is in the campaign already",
                ContactFault::KeyTaken => "this key is in the campaign already",
            }));
        }
    }
}

/// A contact as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactView {
    /// Its number in the ledger.
    id: u64,
    /// The name you gave it.
    key: String,
    /// Whom to call.
    number: String,
    /// Higher is sooner.
    priority: i32,
    /// `ready`, `leased`, `dialling` or `final`.
    state: &'static str,
    /// Attempts so far.
    attempts: u8,
    /// The word on its last attempt.
    disposition: Option<&'static str>,
    /// Why it was given up undialled, such as `do_not_call`.
    reason: Option<String>,
    /// When it comes due (RFC 3339); null: at once, or not waiting.
    due_at: Option<String>,
    /// What you gave with it.
    payload: Option<serde_json::Value>,
}

/// Adds contacts. Faulty rows are named in the reply with their line (CSV) or place (JSON), the
/// rest is kept. CSV: the first line names the columns `number`, and if wanted `key` and
/// `priority`; all other columns come back in reports as the payload.
#[utoipa::path(post, path = "/v1/campaigns/{id}/contacts", operation_id = "add_contacts", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number."),
        ("Idempotency-Key" = String, Header, description = "A fresh random value; the same value for a repetition.")),
    request_body(content((Vec<ContactForm> = "application/json"), (String = "text/csv"))),
    responses((status = 200, description = "What became of the rows.", body = ListReport)))]
pub async fn add(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = body::media_type(request.headers());
    let (read, bytes_max): (ReadRows, usize) = match kind.as_str() {
        "application/json" => (contact_rows::read_json, state.limits.json_list_bytes),
        "text/csv" => (contact_rows::read_csv, state.limits.csv_list_bytes),
        other => return Err(body::media_type_unknown(other, "application/json, text/csv")),
    };
    let place = state.lists.clone().try_acquire_owned().map_err(|_| {
        metrics::overload_rejected("lists");
        let detail = "as many lists are being read as may be";
        Problem::new(Kind::Busy, detail).retry_after(2)
    })?;
    let (key, text) = idempotency::body(&caller, request, bytes_max).await?;
    let held = state.in_flight.enter(&key)?;
    if let Some(reply) = earlier_reply(&state, key.clone()).await? {
        return Ok(idempotency::send(&reply, true));
    }
    campaigns::find(&state, &caller, id).await?;
    let plan = state.tenants.get(&caller.tenant);
    let intake = Intake {
        ledger: state.ledger.clone(),
        tenant: caller.tenant,
        campaign: CampaignId(id),
        plan: plan.map(|rules| rules.plan.clone()),
        rows: Vec::new(),
        places: Vec::new(),
        report: ListReport::default(),
    };
    let rows_max = state.limits.list_rows;
    let work = tokio::task::spawn_blocking(move || {
        // Both are held to the end of the work, even if the client goes away.
        let (_place, _held) = (place, held);
        take_list(intake, read, &text, rows_max, key)
    });
    let (reply, added) = work.await.map_err(|error| internal(&error))??;
    if added > 0 {
        state.herald.tell(Command::ContactsAdded { campaign: CampaignId(id) }).await;
    }
    Ok(idempotency::send(&reply, false))
}

type ReadRows = fn(&[u8], contact_rows::Take<'_>) -> Result<(), Problem>;

/// Reads the list twice: to check it, and to keep it.
fn take_list(
    mut intake: Intake,
    read: ReadRows,
    text: &Bytes,
    rows_max: u64,
    key: IdempotencyKey,
) -> Result<(StoredReply, u64), Problem> {
    let mut rows = 0;
    read(text, &mut |_, _| {
        rows += 1;
        if rows > rows_max { Err(contact_rows::too_many(rows_max)) } else { Ok(()) }
    })?;
    read(text, &mut |place, row| intake.row(place, row))?;
    intake.finish(key)
}

/// The reply to an earlier request with this key, if there was one.
async fn earlier_reply(
    state: &Shared,
    key: IdempotencyKey,
) -> Result<Option<StoredReply>, Problem> {
    /// Fails, so that nothing is stored when there is no earlier reply.
    struct Nothing;
    const NONE: &str = "no earlier reply";
    impl Operation for Nothing {
        type Receipt = ();
        fn apply(&mut self, _: &Turn<'_>) -> Result<(), StoreError> {
            Err(StoreError::Conflict { reason: NONE.to_owned() })
        }
    }
    let reply = Box::new(|(): &()| idempotency::reply(StatusCode::OK, &()));
    match state.write(Once { key: Some(key), operation: Nothing, reply }).await {
        Ok(Answer::Replayed(reply) | Answer::Fresh { reply, .. }) => Ok(Some(reply)),
        Err(problem) if problem.detail == NONE => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// A list on its way into the ledger.
struct Intake {
    ledger: Ledger,
    tenant: TenantId,
    campaign: CampaignId,
    /// How the tenant's numbers are read.
    plan: Option<DialPlan>,
    rows: Vec<NewContact>,
    places: Vec<Place>,
    report: ListReport,
}

impl Intake {
    fn row(&mut self, place: Place, row: Result<NewContact, Fault>) -> Result<(), Problem> {
        match row {
            Ok(contact) if self.calls_for_help(&contact) => {
                self.report.refused += 1;
                self.report.fault(place.fault("a campaign calls no emergency service"));
            }
            Ok(contact) => {
                self.rows.push(contact);
                self.places.push(place);
            }
            Err(fault) => {
                self.report.refused += 1;
                self.report.fault(fault);
            }
        }
        if self.rows.len() == BATCH_ROWS {
            let batch = self.batch();
            let added = patiently(|| self.ledger.perform(batch.clone()))?;
            self.report.take(&added, &self.places);
            self.places.clear();
        }
        Ok(())
    }

    /// No route leads a campaign there: the contact would stay for ever.
    fn calls_for_help(&self, contact: &NewContact) -> bool {
        let kind = self.plan.as_ref().map(|plan| plan.read(&contact.number.to_string()).kind);
        kind == Some(NumberKind::Emergency)
    }

    fn batch(&mut self) -> AddContacts {
        let rows = std::mem::take(&mut self.rows);
        AddContacts { tenant: self.tenant.clone(), campaign: self.campaign, rows }
    }

    fn finish(mut self, key: IdempotencyKey) -> Result<(StoredReply, u64), Problem> {
        let contacts = self.batch();
        let last = LastBatch { contacts, places: self.places, report: self.report };
        let answer = patiently(|| {
            let (key, operation) = (Some(key.clone()), last.clone());
            self.ledger.perform(Once { key, operation, reply: Box::new(listed) })
        })?;
        Ok(match answer {
            Answer::Fresh { receipt, reply } => (reply, receipt.added),
            Answer::Replayed(reply) => (reply, 0),
        })
    }
}

fn listed(report: &ListReport) -> StoredReply {
    idempotency::reply(StatusCode::OK, report)
}

/// The last rows of a list, with what became of the others.
#[derive(Clone)]
struct LastBatch {
    contacts: AddContacts,
    places: Vec<Place>,
    report: ListReport,
}

impl Operation for LastBatch {
    type Receipt = ListReport;

    fn rows(&self) -> usize {
        self.contacts.rows()
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<ListReport, StoreError> {
        let added = self.contacts.apply(turn)?;
        let mut report = self.report.clone();
        report.take(&added, &self.places);
        Ok(report)
    }
}

/// Tries for five seconds to get a batch into a ledger that is full just now; only on threads
/// that may wait.
fn patiently<T>(mut work: impl FnMut() -> Result<T, StoreError>) -> Result<T, Problem> {
    for _ in 0..50 {
        match work() {
            Err(StoreError::Overloaded) => std::thread::sleep(Duration::from_millis(100)),
            done => return done.map_err(Problem::from),
        }
    }
    Err(StoreError::Overloaded.into())
}

/// Lists the contacts in the order they were added.
#[utoipa::path(get, path = "/v1/campaigns/{id}/contacts", operation_id = "list_contacts", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number."), PageQuery),
    responses((status = 200, description = "A page.", body = Page<ContactView>)))]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
    Asked(page): Asked<PageQuery>,
) -> Result<Json<Page<ContactView>>, Problem> {
    campaigns::find(&state, &caller, id).await?;
    let limit = page.limit();
    let rows = state
        .read(move |reader| {
            let after = ContactId(page.after);
            reader.contacts(&caller.tenant, CampaignId(id), after, limit)
        })
        .await?;
    Ok(Json(Page::of(rows, limit, |row| row.id.0, view)))
}

fn view(row: Stored) -> ContactView {
    ContactView {
        id: row.id.0,
        key: row.key.to_string(),
        number: row.number.to_string(),
        priority: row.priority,
        state: match row.state {
            ContactState::Ready => "ready",
            ContactState::Leased => "leased",
            ContactState::Dialling => "dialling",
            ContactState::Final => "final",
        },
        attempts: row.attempts,
        disposition: row.disposition.map(store::words::disposition),
        reason: row.refusal.map(|reason| reason.to_string()),
        due_at: (row.state == ContactState::Ready && row.next_wall_ms > 0)
            .then(|| crate::time::print(row.next_wall_ms)),
        payload: row.payload.as_deref().and_then(|text| serde_json::from_str(text).ok()),
    }
}
