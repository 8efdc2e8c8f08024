//! `/v1/campaigns/{id}/results`: one row for each attempt that is over.
//!
//! Attempts are read in the order of their beginning, and a page never reaches beyond one that is
//! still under way: who asks again and again with the last `next` sees each attempt once, with its
//! final word, and misses none.

use crate::auth::Caller;
use crate::campaigns;
use crate::params::{Asked, At, Page};
use crate::problem::{Kind, Problem};
use crate::state::Shared;
use crate::time;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::id::{AttemptId, CampaignId};
use serde::{Deserialize, Serialize};
use store::reader::campaigns::{AttemptState, AttemptView};
use store::words;
use utoipa::{IntoParams, ToSchema};

/// The header that bears `next` beside a CSV page.
pub const NEXT: &str = "trunkline-next";

/// Which results, and how written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResultsQuery {
    /// The `next` of the page before; absent: from the beginning.
    #[serde(default)]
    after: u64,
    /// How many attempts at most, 1 to 1,000; absent: 100.
    #[serde(default = "crate::params::usual_page")]
    limit: u32,
    /// `json` or `csv`; absent: as the header Accept asks, else JSON.
    #[serde(default)]
    format: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptResult)]
pub struct ResultView {
    /// Its number.
    attempt: u64,
    /// The contact's number in the ledger.
    contact: u64,
    /// The name you gave the contact.
    key: String,
    /// Whom it called.
    number: String,
    /// Which attempt at the contact it was, from 1.
    attempt_number: u8,
    /// `answered`, `answered_briefly`, `transferred`, `abandoned`, `busy`, `no_answer`, `declined`,
    /// `invalid_number`, `failed` or `in_doubt`.
    disposition: &'static str,
    /// The key pressed, if any.
    key_pressed: Option<char>,
    /// Whether the message was heard to its end.
    message_heard: bool,
    /// When it began (RFC 3339).
    started_at: String,
    /// When it was answered.
    answered_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// When the contact is tried again; null: never.
    retry_at: Option<String>,
    /// The network's word: `normal`, `busy`, `no_answer` …
    cause: &'static str,
    /// The SIP status, 0 when none was seen.
    sip_status: u16,
    /// The Q.850 cause.
    q850: u8,
    /// The call, if one was made; see `/v1/calls/{id}`.
    call: Option<u64>,
    /// SIP's Call-ID of its INVITE: the word for it that the carrier has, too.
    sip_call_id: String,
}

/// Shows the attempts that are over, in the order of their beginning. A page ends before the first
/// attempt that is still under way, so polling with `next` misses none and repeats none.
#[utoipa::path(get, path = "/v1/campaigns/{id}/results", operation_id = "list_results", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number."), ResultsQuery),
    responses((status = 200, description = "A page. As CSV, `next` is in the header Trunkline-Next.",
        content((Page<ResultView> = "application/json"), (String = "text/csv")))))]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
    Asked(query): Asked<ResultsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let as_csv = wants_csv(&query, &headers)?;
    campaigns::find(&state, &caller, id).await?;
    let (campaign, after) = (CampaignId(id), AttemptId(query.after));
    let limit = query.limit.clamp(1, 1_000);
    let rows =
        state.read(move |reader| reader.attempts(&caller.tenant, campaign, after, limit)).await?;
    let page = settled(rows);
    if !as_csv {
        return Ok(Json(page).into_response());
    }
    let mut response = print_csv(&page.items).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Some(next) = page.next {
        headers.insert(NEXT, HeaderValue::from(next));
    }
    Ok(response)
}

fn wants_csv(query: &ResultsQuery, headers: &HeaderMap) -> Result<bool, Problem> {
    match query.format.as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(other) => {
            let detail = format!("there is no format {other:?}; known are json, csv");
            Err(Problem::new(Kind::ParameterInvalid, detail))
        }
        None => {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            Ok(accept.is_some_and(|accept| accept.trim_start().starts_with("text/csv")))
        }
    }
}

/// The attempts before the first one under way. Any progress gives a `next`, so that a poller goes
/// on behind it.
fn settled(rows: Vec<AttemptView>) -> Page<ResultView> {
    let (mut items, mut next) = (Vec::with_capacity(rows.len()), None);
    for row in rows {
        match row.state {
            AttemptState::Dialling => break,
            AttemptState::Closed => items.push(view(&row)),
            // A crash came before its INVITE left: nobody was called.
            AttemptState::NotSent => (),
        }
        next = Some(row.id.0);
    }
    Page { items, next }
}

fn view(row: &AttemptView) -> ResultView {
    ResultView {
        attempt: row.id.0,
        contact: row.contact.0,
        key: row.contact_key.to_string(),
        number: row.number.to_string(),
        attempt_number: row.attempt_number,
        disposition: row.disposition.map_or("", words::disposition),
        key_pressed: row.key,
        message_heard: row.message_heard,
        started_at: time::print(row.dialling_wall_ms),
        answered_at: row.answered_wall_ms.map(time::print),
        ended_at: row.ended_wall_ms.map(time::print),
        retry_at: row.retry_wall_ms.map(time::print),
        cause: row.cause.map_or("", |cause| words::cause_kind(cause.kind)),
        sip_status: row.cause.map_or(0, |cause| cause.status),
        q850: row.cause.map_or(0, |cause| cause.q850),
        call: row.call.map(|call| call.0),
        sip_call_id: row.sip_call_id.to_string(),
    }
}

/// Prints a page as CSV (RFC 4180), with the names of the JSON fields in the first line.
fn print_csv(items: &[ResultView]) -> String {
    const COLUMNS: [&str; 17] = [
        "attempt",
        "contact",
        "key",
        "number",
        "attempt_number",
        "disposition",
        "key_pressed",
        "message_heard",
        "started_at",
        "answered_at",
        "ended_at",
        "retry_at",
        "cause",
        "sip_status",
        "q850",
        "call",
        "sip_call_id",
    ];
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .has_headers(false)
        .from_writer(Vec::new());
    let why = "memory takes every byte and all rows have the same columns";
    writer.write_record(COLUMNS).expect(why);
    for item in items {
        writer.serialize(item).expect(why);
    }
    String::from_utf8(writer.into_inner().expect(why)).expect("it was put together from text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::event::Disposition;
    use domain::cause::Cause;
    use domain::id::ContactId;
    use domain::phone_number::PhoneNumber;

    fn row(id: u64, state: AttemptState) -> AttemptView {
        AttemptView {
            id: AttemptId(id),
            contact: ContactId(1),
            contact_key: "a,b".into(),
            number: PhoneNumber::parse("+4930123").unwrap(),
            attempt_number: 1,
            state,
            sip_call_id: "x".into(),
            call: None,
            dialling_wall_ms: 1_800_000_000_000,
            answered_wall_ms: None,
            ended_wall_ms: Some(1_800_000_001_000),
            disposition: Some(Disposition::Busy),
            cause: Some(Cause::from_status(486)),
            key: None,
            message_heard: false,
            asked_for_agent: false,
            joined_agent: false,
            retry_wall_ms: None,
        }
    }

    #[test]
    fn a_page_ends_before_the_first_attempt_under_way() {
        use AttemptState::{Closed, Dialling, NotSent};
        let rows = |states: &[AttemptState]| {
            settled((1..).zip(states).map(|(id, state)| row(id, *state)).collect())
        };
        let ids = |page: &Page<ResultView>| -> Vec<u64> {
            page.items.iter().map(|item| item.attempt).collect()
        };
        let page = rows(&[Closed, NotSent, Closed, NotSent, Dialling, Closed]);
        assert_eq!((ids(&page), page.next), (vec![1, 3], Some(4)));
        let page = rows(&[Dialling, Closed]);
        assert_eq!((ids(&page), page.next), (vec![], None));
    }

    #[test]
    fn csv_has_a_first_line_and_quotes_what_needs_it() {
        let text = print_csv(&[view(&row(7, AttemptState::Closed))]);
        let expected = "attempt,contact,key,number,attempt_number,disposition,key_pressed,\
            message_heard,started_at,answered_at,ended_at,retry_at,cause,sip_status,q850,call,\
            sip_call_id\r\n\
            7,1,\"a,b\",+4930123,1,busy,,false,2027-01-15T08:00:00.000Z,,\
            2027-01-15T08:00:01.000Z,,busy,486,17,,x\r\n";
        assert_eq!(text, expected);
    }
}
