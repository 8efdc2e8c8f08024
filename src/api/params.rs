//! Path and query, with refusals as problems.

use crate::nearest::nearest;
use crate::problem::{Kind, Problem};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The path's variable parts.
#[derive(Debug)]
pub struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new(Kind::ParameterInvalid, error.body_text())),
        }
    }
}

/// The query's parameters; give the form `deny_unknown_fields`.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new(Kind::ParameterInvalid, explain(&error.body_text()))),
        }
    }
}

/// Adds the nearest known name to the text about an unknown parameter.
fn explain(text: &str) -> String {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let words: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    match (text.contains("unknown field"), words.split_first()) {
        (true, Some((found, known))) => match nearest(found, known.iter().copied()) {
            Some(near) => format!("there is no parameter {found:?}; did you mean {near:?}?"),
            None => format!("there is no parameter {found:?}; known are {}", known.join(", ")),
        },
        _ => text.to_owned(),
    }
}

/// Where a page begins and how long it is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The `next` of the page before; absent: from the beginning.
    #[serde(default)]
    pub after: u64,
    /// How many items at most, 1 to 1,000; absent: 100.
    #[serde(default = "usual_page")]
    pub limit: u32,
}

/// Where a page of a list with the newest first begins and how long it is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PastQuery {
    /// The `next` of the page before; absent: from the newest on.
    #[serde(default)]
    pub before: Option<u64>,
    /// How many items at most, 1 to 1,000; absent: 100.
    #[serde(default = "usual_page")]
    pub limit: u32,
}

impl PastQuery {
    /// The limit, within its range.
    pub fn limit(&self) -> u32 {
        self.limit.clamp(1, 1_000)
    }
}

pub(crate) fn usual_page() -> u32 {
    100
}

impl PageQuery {
    /// The limit, within its range.
    pub fn limit(&self) -> u32 {
        self.limit.clamp(1, 1_000)
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items in their order.
    pub items: Vec<T>,
    /// Give it as `after` (as `before` where the newest come first) for the next page; null: this
    /// is the last for now.
    pub next: Option<u64>,
}

impl<T> Page<T> {
    /// A page of rows: there may be a next one if it is full.
    pub fn of<R>(rows: Vec<R>, limit: u32, cursor: fn(&R) -> u64, view: fn(R) -> T) -> Self {
        let full = rows.len() >= limit as usize;
        let next = rows.last().filter(|_| full).map(cursor);
        Self { items: rows.into_iter().map(view).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_told_its_neighbour() {
        let text = "Failed to deserialize query string: limt: unknown field `limt`, expected `after` or `limit`";
        assert_eq!(explain(text), "there is no parameter \"limt\"; did you mean \"limit\"?");
        assert_eq!(explain("limit: invalid digit"), "limit: invalid digit");
    }

    #[test]
    fn a_full_page_has_a_next_one() {
        let page = Page::of(vec![4_u64, 7], 2, |row| *row, |row| row);
        assert_eq!((page.items, page.next), (vec![4, 7], Some(7)));
        assert_eq!(Page::of(vec![4_u64], 2, |row| *row, |row| row).next, None);
    }
}
