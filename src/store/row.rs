//! Between the ledger's columns and our words.

use crate::error::StoreError;
use domain::phone_number::PhoneNumber;
use rusqlite::types::Type;
use std::sync::Arc;

/// A number as stored: SQLite's integers are signed, ours are not; the bits are the same.
pub(crate) fn id(number: u64) -> i64 {
    number.cast_signed()
}

/// A time as stored; the far future is clipped, so that it still sorts last.
pub(crate) fn ms(wall_ms: u64) -> i64 {
    i64::try_from(wall_ms).unwrap_or(i64::MAX)
}

/// A stored id.
pub(crate) fn get_id(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// A stored time.
pub(crate) fn get_ms(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A stored time that may be missing.
pub(crate) fn get_ms_if_any(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.map(|ms| u64::try_from(ms).unwrap_or(0)))
}

/// A stored text, shared.
pub(crate) fn get_text(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Arc<str>> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

/// A stored text that may be missing.
pub(crate) fn get_text_if_any(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<Arc<str>>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map(Into::into))
}

/// A stored telephone number.
pub(crate) fn get_number(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<PhoneNumber> {
    let text = row.get_ref(column)?.as_str()?;
    PhoneNumber::parse(text).map_err(|_| strange(column, text))
}

/// A stored word of `words.rs`.
pub(crate) fn get_word<T>(
    row: &rusqlite::Row<'_>,
    column: &str,
    read: fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    read(text).ok_or_else(|| strange(column, text))
}

/// A value that this program never wrote there.
pub(crate) fn strange(column: &str, text: &str) -> rusqlite::Error {
    let what = StoreError::Statement { detail: format!("column {column} has {text:?}") };
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(what))
}
