//! Bodies: read within a limit and a time, then taken strictly.

use crate::nearest::nearest;
use crate::problem::{Fault, Kind, Problem};
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use std::time::Duration;

/// Bodies that describe one thing.
pub const FORM_BYTES_MAX: usize = 64 << 10;
/// The longest wait for a whole body.
const READ_FOR: Duration = Duration::from_secs(30);

/// Reads a whole body of at most `bytes_max` bytes.
///
/// # Errors
/// 413 when it is longer, 408 when it does not come within 30 s, 400 when it breaks off.
pub async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Kind::BodyTooLarge, format!("the body may have {bytes_max} bytes"));
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    let reading = axum::body::to_bytes(request.into_body(), bytes_max);
    match tokio::time::timeout(READ_FOR, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // The only other reason is a connection that breaks off; then nobody reads the answer.
        Ok(Err(error)) if error.to_string().contains("length limit") => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Kind::BodyUnreadable, error.to_string())),
        Err(_) => Err(Problem::new(Kind::BodyTooSlow, "the body did not come within 30 s")),
    }
}

/// The body's media type without parameters, in lower case; empty if none is named.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Checks that the body calls itself JSON.
///
/// # Errors
/// 415 naming the type that is understood.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers).as_str() {
        "application/json" => Ok(()),
        found => Err(media_type_unknown(found, "application/json")),
    }
}

/// The refusal of a body of type `found` where `known` is understood.
pub fn media_type_unknown(found: &str, known: &str) -> Problem {
    let found = if found.is_empty() { "no type" } else { found };
    Problem::new(Kind::MediaTypeUnknown, format!("the body has {found}; understood: {known}"))
}

/// Reads a JSON form: right type, right size, no unknown field.
///
/// # Errors
/// 415, 413, 408, 400 with line and column for a text that is not JSON, 422 with the place for one
/// that does not fit.
pub async fn form<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    require_json(request.headers())?;
    json(&read(request, FORM_BYTES_MAX).await?)
}

/// Takes a JSON text strictly.
///
/// # Errors
/// As for [`form`].
pub fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| refusal(&pointer(error.path()), error.inner()))?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// A text that is not JSON.
pub fn malformed(error: &serde_json::Error) -> Problem {
    let at = format!("line {}, column {}", error.line(), error.column());
    Problem::new(Kind::JsonMalformed, format!("{at}: {}", bare_message(error)))
}

fn refusal(pointer: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let message = bare_message(error);
    let (pointer, detail) = match unknown_field(&message) {
        Some((field, known)) => {
            let detail = match nearest(field, known.iter().copied()) {
                Some(near) => format!("there is no field {field:?}; did you mean {near:?}?"),
                None => format!("there is no field {field:?}; known are {}", known.join(", ")),
            };
            (with_field(pointer, field), detail)
        }
        None => (pointer.to_owned(), message),
    };
    let line = Some(error.line() as u64);
    Problem::invalid(vec![Fault { pointer: Some(pointer), line, detail }])
}

/// The message without the place that serde_json appends.
fn bare_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

/// Takes "unknown field `x`, expected one of `a`, `b`" apart.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once("`, ")?;
    Some((field, rest.split('`').skip(1).step_by(2).collect()))
}

/// `pointer` with `field` as its last step.
fn with_field(pointer: &str, field: &str) -> String {
    let step = escaped(field);
    match pointer.strip_suffix(step.as_str()).is_some_and(|parent| parent.ends_with('/')) {
        true => pointer.to_owned(),
        false => format!("{pointer}/{step}"),
    }
}

/// RFC 6901 §3: `~` and `/` in a step are escaped.
fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

fn pointer(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => text.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => (),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        name: String,
        count: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[test]
    fn each_fault_of_a_body_is_named_with_its_place() {
        let problem = |text: &str| json::<Outer>(text.as_bytes()).expect_err(text);
        for (text, kind, pointer, detail) in [
            ("{", Kind::JsonMalformed, None, "line 1, column 1: EOF while parsing an object"),
            ("{} x", Kind::Invalid, Some(""), "missing field `inner`"),
            (
                r#"{"inner":[]} x"#,
                Kind::JsonMalformed,
                None,
                "line 1, column 14: trailing characters",
            ),
            (
                r#"{"inner":[{"nmae":"x"}]}"#,
                Kind::Invalid,
                Some("/inner/0/nmae"),
                r#"there is no field "nmae"; did you mean "name"?"#,
            ),
            (
                r#"{"inner":[{"colour~/":"x"}]}"#,
                Kind::Invalid,
                Some("/inner/0/colour~0~1"),
                r#"there is no field "colour~/"; known are name, count"#,
            ),
            (
                r#"{"inner":[{"name":"x","count":300}]}"#,
                Kind::Invalid,
                Some("/inner/0/count"),
                "invalid value: integer `300`, expected u8",
            ),
        ] {
            let found = problem(text);
            let place = found.faults.first().and_then(|fault| fault.pointer.as_deref());
            assert_eq!((found.kind, place, found.detail.as_str()), (kind, pointer, detail));
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_announced_or_not() {
        let announced = Request::builder().header("content-length", "11").body("".into()).unwrap();
        assert_eq!(read(announced, 10).await.unwrap_err().kind, Kind::BodyTooLarge);
        let silent = Request::new("12345678901".into());
        assert_eq!(read(silent, 10).await.unwrap_err().kind, Kind::BodyTooLarge);
        let fits = Request::new("1234567890".into());
        assert_eq!(read(fits, 10).await.unwrap(), "1234567890");
    }
}
