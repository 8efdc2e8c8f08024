//! `/v1/do-not-call`: numbers that the tenant must not call; looked up at the moment of dialling.

use crate::auth::Caller;
use crate::body;
use crate::params::{Asked, At, usual_page};
use crate::problem::{Fault, Kind, Problem};
use crate::state::Shared;
use crate::time;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use domain::phone_number::PhoneNumber;
use serde::{Deserialize, Serialize};
use store::do_not_call::SetDoNotCall;
use utoipa::{IntoParams, ToSchema};

/// On whose word a number is listed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedBy {
    /// Such as `asked by letter`, 1 to 200 letters.
    source: String,
}

/// Whether a number may be called.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedView {
    /// Its digits.
    number: String,
    /// Whether it is on the list.
    listed: bool,
}

/// A number on the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoNotCallView {
    /// Its digits; `+49…` and `49…` are one.
    number: String,
    /// On whose word.
    source: String,
    /// Since when (RFC 3339).
    since: String,
}

/// The numbers in the order of their digits.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoNotCallPage {
    /// The numbers.
    items: Vec<DoNotCallView>,
    /// Give it as `after` for the next page; null: this is the last.
    next: Option<String>,
}

/// Where a page begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DigitsQuery {
    /// The `next` of the page before; absent: from the beginning.
    #[serde(default)]
    after: String,
    /// How many numbers at most, 1 to 1,000; absent: 100.
    #[serde(default = "usual_page")]
    limit: u32,
}

fn number(text: &str) -> Result<PhoneNumber, Problem> {
    PhoneNumber::parse(text)
        .map_err(|error| Problem::new(Kind::ParameterInvalid, error.to_string()))
}

/// Lists the numbers.
#[utoipa::path(get, path = "/v1/do-not-call", tag = "do-not-call", params(DigitsQuery),
    responses((status = 200, description = "A page.", body = DoNotCallPage)))]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Asked(query): Asked<DigitsQuery>,
) -> Result<Json<DoNotCallPage>, Problem> {
    let limit = query.limit.clamp(1, 1_000);
    let rows =
        state.read(move |reader| reader.suppressed(&caller.tenant, &query.after, limit)).await?;
    let full = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| full).map(|row| row.digits.to_string());
    let items = rows.into_iter().map(|row| DoNotCallView {
        number: row.digits.to_string(),
        source: row.source.to_string(),
        since: time::print(row.since_wall_ms),
    });
    Ok(Json(DoNotCallPage { items: items.collect(), next }))
}

/// Puts a number on the list; once it is there, a repetition changes nothing. The body may be left
/// out: the source is then `api`.
#[utoipa::path(put, path = "/v1/do-not-call/{number}", tag = "do-not-call", request_body = Option<ListedBy>,
    params(("number" = String, Path, description = "The number, with `+` or without.")),
    responses((status = 204, description = "It is on the list, on disk.")))]
pub async fn put(
    State(state): State<Shared>,
    caller: Caller,
    At(text): At<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let number = number(&text)?;
    let source = match request.headers().contains_key(header::CONTENT_TYPE) {
        true => body::form::<ListedBy>(request).await?.source,
        false => "api".to_owned(),
    };
    if source.trim().is_empty() || source.chars().nth(200).is_some() {
        return Err(Problem::invalid(vec![Fault::at("/source", "it has 1 to 200 letters")]));
    }
    let source = Some(source.trim().into());
    state.write(SetDoNotCall { tenant: caller.tenant, number, source }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether a number is on the list.
#[utoipa::path(get, path = "/v1/do-not-call/{number}", tag = "do-not-call",
    params(("number" = String, Path, description = "The number, with `+` or without.")),
    responses((status = 200, description = "Whether it is.", body = ListedView)))]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    At(text): At<String>,
) -> Result<Json<ListedView>, Problem> {
    let number = number(&text)?;
    let digits = number.digits().to_owned();
    let listed = state.read(move |reader| reader.is_suppressed(&caller.tenant, &number)).await?;
    Ok(Json(ListedView { number: digits, listed }))
}

/// Takes a number off the list.
#[utoipa::path(delete, path = "/v1/do-not-call/{number}", tag = "do-not-call",
    params(("number" = String, Path, description = "The number, with `+` or without.")),
    responses((status = 204, description = "It may be called again.")))]
pub async fn remove(
    State(state): State<Shared>,
    caller: Caller,
    At(text): At<String>,
) -> Result<StatusCode, Problem> {
    let number = number(&text)?;
    match state.write(SetDoNotCall { tenant: caller.tenant, number, source: None }).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("listed number", text)),
    }
}
