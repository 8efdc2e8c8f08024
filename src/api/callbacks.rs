//! `/v1/callbacks`: calls that we promise to make.

use crate::auth::Caller;
use crate::campaign_form::unknown_name;
use crate::idempotency;
use crate::params::{Asked, At, Page, PastQuery};
use crate::problem::{Fault, Kind, Problem};
use crate::state::Shared;
use crate::time;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::id::{CallbackId, IdSource, QueueId};
use domain::phone_number::PhoneNumber;
use queue::event::{CallbackState, Promise};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use store::callback_table::{CallbackTaken, CreateCallback};
use store::error::StoreError;
use store::idempotency::StoredReply;
use store::operation::{Operation, Turn};
use store::reader::callbacks::{CallbackFilter, CallbackView as Stored};
use store::words;
use switchboard::event::Command;
use utoipa::ToSchema;

/// A promise is good for a day if nothing else is said.
const USUAL_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// The farthest expiry from now.
const LIFE_MAX_MS: u64 = 30 * USUAL_LIFE_MS;

/// Numbers of the promises made here. They are the exchange's numbers of the same moment, shifted
/// right by 4 bits: unique across restarts for a million promises a second, and since the
/// exchange's have been above 2^48 from July 2025 on and these stay below it until the year 2033,
/// the two cannot meet (nor later: the exchange gave out its numbers above 2^48 before 2027).
#[derive(Debug)]
pub struct CallbackIds(AtomicU64);

impl CallbackIds {
    /// Numbers of a process started at `wall_ms`.
    pub fn starting_at(wall_ms: u64) -> Self {
        Self(AtomicU64::new(IdSource::starting_at(wall_ms).next_number() >> 4))
    }

    fn next(&self) -> CallbackId {
        CallbackId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A call to be promised.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCallback {
    /// Whose agents call: the queue's name.
    pub queue: String,
    /// Whom to call.
    pub number: String,
    /// Not to be called before this time (RFC 3339); absent: at once.
    #[serde(default)]
    pub not_before: Option<String>,
    /// Given up after this time (RFC 3339), at most 30 days ahead; absent: a day after `not_before`.
    #[serde(default)]
    pub expires: Option<String>,
}

/// A promised call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Callback)]
pub struct CallbackView {
    /// Its number.
    id: u64,
    /// Whose agents call.
    queue: String,
    /// Whom to call.
    number: String,
    /// `promised`, `reserved`, `dialling`, `kept`, `broken` or `cancelled`.
    state: &'static str,
    /// Tries begun so far.
    tries: u8,
    /// The place in the queue: when the caller arrived.
    arrived_at: String,
    /// Not to be called before.
    not_before: String,
    /// Given up after.
    expires: String,
}

impl CallbackView {
    fn of(promise: &Promise) -> Self {
        Self {
            id: promise.id.0,
            queue: promise.queue.to_string(),
            number: promise.number.to_string(),
            state: words::callback_state(promise.state),
            tries: promise.tries,
            arrived_at: time::print(promise.arrived_wall_ms),
            not_before: time::print(promise.not_before_wall_ms),
            expires: time::print(promise.expires_wall_ms),
        }
    }
}

impl NewCallback {
    fn check(
        &self,
        id: CallbackId,
        caller: &Caller,
        queues: &[String],
        now_ms: u64,
    ) -> Result<Promise, Problem> {
        let mut faults = Vec::new();
        let mut time = |pointer: &str, text: &Option<String>, absent: u64| match text {
            None => absent,
            Some(text) => time::parse(text).unwrap_or_else(|| {
                let detail = "it is no time such as \"2027-01-15T08:00:00Z\"";
                faults.push(Fault::at(pointer, detail));
                absent
            }),
        };
        let not_before_wall_ms = time("/not_before", &self.not_before, now_ms).max(now_ms);
        let usual = not_before_wall_ms.saturating_add(USUAL_LIFE_MS);
        let expires_wall_ms = time("/expires", &self.expires, usual);
        if expires_wall_ms <= not_before_wall_ms {
            faults.push(Fault::at("/expires", "it is not later than now and `not_before`"));
        }
        if expires_wall_ms > now_ms.saturating_add(LIFE_MAX_MS) {
            faults.push(Fault::at("/expires", "it is more than 30 days ahead"));
        }
        if !queues.contains(&self.queue) {
            faults.push(Fault::at("/queue", unknown_name("queue", &self.queue, queues)));
        }
        let number = match PhoneNumber::parse(&self.number) {
            Ok(number) if faults.is_empty() => number,
            Ok(_) => return Err(Problem::invalid(faults)),
            Err(error) => {
                faults.push(Fault::at("/number", error.to_string()));
                return Err(Problem::invalid(faults));
            }
        };
        Ok(Promise {
            id,
            queue: QueueId::new(&caller.tenant, &self.queue),
            number,
            arrived_wall_ms: now_ms,
            not_before_wall_ms,
            expires_wall_ms,
            tries: 0,
            state: CallbackState::Promised,
        })
    }
}

/// A promise put on disk; one number waits for one call of a queue.
struct MakeCallback(Promise);

impl Operation for MakeCallback {
    type Receipt = Promise;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<Promise, StoreError> {
        match (CreateCallback { promise: self.0.clone() }).apply(turn)? {
            CallbackTaken::New => Ok(self.0.clone()),
            CallbackTaken::AlreadyPromised(id) => Err(StoreError::Conflict {
                reason: format!(
                    "this number waits for a call of this queue already: callback {id}"
                ),
            }),
        }
    }
}

/// Promises a call. It takes its place in the queue now; an agent is reserved before the telephone
/// rings.
#[utoipa::path(post, path = "/v1/callbacks", tag = "callbacks", request_body = NewCallback,
    params(("Idempotency-Key" = String, Header, description = "A fresh random value; the same value for a repetition.")),
    responses((status = 201, description = "Promised, and on disk.", body = CallbackView)))]
pub async fn create(
    State(state): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (key, form): (_, NewCallback) = idempotency::form(&caller, request).await?;
    let queues = state.queues_of(&caller);
    let promise = form.check(state.callback_ids.next(), &caller, &queues, time::now_ms())?;
    let (reply, made) = idempotency::once(&state, key, MakeCallback(promise), promised).await?;
    let replayed = made.is_none();
    if let Some(promise) = made {
        state.herald.tell(Command::AdoptCallback(promise)).await;
    }
    Ok(idempotency::send(&reply, replayed))
}

fn promised(promise: &Promise) -> StoredReply {
    idempotency::reply(StatusCode::CREATED, &CallbackView::of(promise))
}

/// Lists the promises, newest first.
#[utoipa::path(get, path = "/v1/callbacks", tag = "callbacks", params(PastQuery),
    responses((status = 200, description = "A page.", body = Page<CallbackView>)))]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Asked(page): Asked<PastQuery>,
) -> Result<Json<Page<CallbackView>>, Problem> {
    let limit = page.limit();
    let before = page.before.map(CallbackId);
    let rows = state
        .read(move |reader| {
            reader.callbacks(&caller.tenant, CallbackFilter::default(), before, limit)
        })
        .await?;
    let view = |row: Stored| CallbackView::of(&row.promise);
    Ok(Json(Page::of(rows, limit, |row| row.promise.id.0, view)))
}

/// Shows one promise.
#[utoipa::path(get, path = "/v1/callbacks/{id}", tag = "callbacks",
    params(("id" = u64, Path, description = "The callback's number.")),
    responses((status = 200, description = "The promise.", body = CallbackView)))]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CallbackView>, Problem> {
    Ok(Json(CallbackView::of(&find(&state, &caller, id).await?)))
}

/// Withdraws a promise.
#[utoipa::path(delete, path = "/v1/callbacks/{id}", tag = "callbacks",
    params(("id" = u64, Path, description = "The callback's number.")),
    responses((status = 204, description = "Withdrawn.")))]
pub async fn cancel(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<StatusCode, Problem> {
    let promise = find(&state, &caller, id).await?;
    match promise.state {
        CallbackState::Promised | CallbackState::Reserved | CallbackState::Dialling => (),
        CallbackState::Kept | CallbackState::Broken | CallbackState::Cancelled => {
            let detail = format!("it is {}", words::callback_state(promise.state));
            return Err(Problem::new(Kind::Conflict, detail));
        }
    }
    let command = Command::CancelCallback(CallbackId(id));
    state.order(command, "open callback", &id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(state: &Shared, caller: &Caller, id: u64) -> Result<Promise, Problem> {
    let tenant = caller.tenant.clone();
    let found = state.read(move |reader| reader.callback(&tenant, CallbackId(id))).await?;
    found.map(|row| row.promise).ok_or_else(|| Problem::not_found("callback", id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;

    fn check(form: serde_json::Value) -> Result<Promise, Vec<String>> {
        let caller = Caller::for_tests(TenantId::default());
        let form: NewCallback = serde_json::from_value(form).unwrap();
        let now_ms = 1_800_000_000_000; // 2027-01-15T08:00:00Z.
        form.check(CallbackId(1), &caller, &["support".into()], now_ms).map_err(|problem| {
            problem.faults.into_iter().filter_map(|fault| fault.pointer).collect()
        })
    }

    #[test]
    fn times_are_checked_against_now_and_each_other() {
        let promise = check(serde_json::json!({"queue": "support", "number": "+49 30 1"})).unwrap();
        assert_eq!(promise.not_before_wall_ms, 1_800_000_000_000);
        assert_eq!(promise.expires_wall_ms, 1_800_000_000_000 + USUAL_LIFE_MS);
        for (not_before, expires, expected) in [
            ("2027-01-16T08:00:00Z", "2027-01-16T09:00:00Z", vec![]),
            ("2027-01-16T08:00:00Z", "2027-01-16T08:00:00Z", vec!["/expires"]),
            ("2026-01-16T08:00:00Z", "2026-01-16T09:00:00Z", vec!["/expires"]),
            ("tomorrow", "2028-01-16T09:00:00Z", vec!["/not_before", "/expires"]),
        ] {
            let form = serde_json::json!({"queue": "support", "number": "110",
                "not_before": not_before, "expires": expires});
            assert_eq!(check(form).err().unwrap_or_default(), expected, "{not_before} {expires}");
        }
        let wrong = serde_json::json!({"queue": "suport", "number": "x"});
        assert_eq!(check(wrong).unwrap_err(), ["/queue", "/number"]);
    }

    #[test]
    fn numbers_made_here_never_meet_those_of_the_exchange() {
        let now_ms = 1_800_000_000_000;
        let ours = CallbackIds::starting_at(now_ms).next().0;
        assert!(ours < 1 << 48);
        assert!(IdSource::starting_at(now_ms).next_number() > 1 << 48);
        assert!(CallbackIds::starting_at(now_ms + 1_000).next().0 >= ours + 1_000_000);
    }
}
