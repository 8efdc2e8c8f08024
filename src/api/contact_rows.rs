//! Contact lists, row by row: CSV or a JSON array. A faulty row is handed on as a fault with its
//! place, and reading goes on behind it. Nothing is kept of a row after it was handed on.

use crate::body;
use crate::nearest::nearest;
use crate::problem::{Fault, Kind, Problem};
use domain::phone_number::PhoneNumber;
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use store::campaign_table::NewContact;
use utoipa::ToSchema;

/// Columns of a CSV list.
const COLUMNS_MAX: usize = 64;
/// Letters of a contact's own name.
const KEY_LETTERS_MAX: usize = 200;
/// Bytes of what comes back in reports.
const PAYLOAD_BYTES_MAX: usize = 4_096;
/// Bytes of one element of a JSON list.
const ELEMENT_BYTES_MAX: usize = 16_384;
/// Lines of one CSV row; more means that a quotation mark was left open.
const ROW_LINES_MAX: u64 = 50;

/// The place of a row in its list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// The line of a CSV list, from 1; the header is line 1.
    Line(u64),
    /// The index in a JSON array, from 0.
    Index(u64),
}

impl Place {
    /// A fault here.
    pub fn fault(self, detail: impl Into<String>) -> Fault {
        match self {
            Self::Line(line) => Fault { pointer: None, line: Some(line), detail: detail.into() },
            Self::Index(index) => Fault::at(format!("/{index}"), detail),
        }
    }
}

/// Takes the rows one after the other; an `Err` ends the reading.
pub type Take<'a> = &'a mut dyn FnMut(Place, Result<NewContact, Fault>) -> Result<(), Problem>;

/// One contact of a JSON list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewContact)]
pub struct ContactForm {
    /// Whom to call: digits with an optional `+` and separators.
    number: String,
    /// Your own name for the contact, unique in the campaign; absent: the number.
    #[serde(default)]
    key: Option<String>,
    /// Higher is called sooner among those due at the same time; absent: 0.
    #[serde(default)]
    priority: i32,
    /// Anything of up to 4,096 bytes that is wanted back in reports.
    #[serde(default)]
    payload: Option<serde_json::Value>,
}

/// Reads a JSON array of contacts.
///
/// # Errors
/// 400 when it is not JSON, 422 when it is no array, and what `take` returns.
pub fn read_json(text: &[u8], take: Take<'_>) -> Result<(), Problem> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let mut ended = None;
    let rows = Elements { take, ended: &mut ended };
    let read = serde::Deserializer::deserialize_seq(&mut reader, rows);
    if let Some(problem) = ended {
        return Err(problem);
    }
    match read.and_then(|()| reader.end()) {
        Ok(()) => Ok(()),
        Err(error) if error.is_data() => {
            Err(Problem::invalid(vec![Fault::at("", "the list is a JSON array of contacts")]))
        }
        Err(error) => Err(body::malformed(&error)),
    }
}

struct Elements<'a, 'b> {
    take: Take<'a>,
    ended: &'b mut Option<Problem>,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of contacts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            let place = Place::Index(index);
            if let Err(problem) = (self.take)(place, json_contact(index, element.get())) {
                *self.ended = Some(problem);
                return Err(serde::de::Error::custom("ended"));
            }
            index += 1;
        }
        Ok(())
    }
}

fn json_contact(index: u64, text: &str) -> Result<NewContact, Fault> {
    let place = Place::Index(index);
    if text.len() > ELEMENT_BYTES_MAX {
        return Err(place.fault(format!("a contact has at most {ELEMENT_BYTES_MAX} bytes")));
    }
    let form: ContactForm = body::json(text.as_bytes()).map_err(|problem| {
        let inner = problem.faults.first().and_then(|fault| fault.pointer.as_deref());
        Fault::at(format!("/{index}{}", inner.unwrap_or_default()), problem.detail)
    })?;
    let payload = form.payload.map(|payload| payload.to_string());
    contact(&form.number, form.key.as_deref(), form.priority, payload)
        .map_err(|(field, detail)| Fault::at(format!("/{index}/{field}"), detail))
}

/// Puts a contact together; the error names the field.
fn contact(
    number: &str,
    key: Option<&str>,
    priority: i32,
    payload: Option<String>,
) -> Result<NewContact, (&'static str, String)> {
    let number = PhoneNumber::parse(number).map_err(|error| ("number", error.to_string()))?;
    if key.is_some_and(|key| key.is_empty() || key.chars().nth(KEY_LETTERS_MAX).is_some()) {
        return Err(("key", format!("a key has 1 to {KEY_LETTERS_MAX} letters")));
    }
    if payload.as_ref().is_some_and(|payload| payload.len() > PAYLOAD_BYTES_MAX) {
        return Err(("payload", format!("a payload has at most {PAYLOAD_BYTES_MAX} bytes")));
    }
    Ok(NewContact { key: key.map(Into::into), number, priority, payload: payload.map(Into::into) })
}

/// Reads a CSV list (RFC 4180) in UTF-8. The first line names the columns: `number` is required,
/// `key` and `priority` are known, all others come back in reports as the payload. The separator is
/// `,` or `;`, whichever the first line has more of.
///
/// # Errors
/// 422 for an unusable first line, and what `take` returns.
pub fn read_csv(text: &[u8], take: Take<'_>) -> Result<(), Problem> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator| first_line.iter().filter(|byte| **byte == separator).count();
    let separator = if count(b';') > count(b',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text);
    let columns = Columns::read(&mut reader)?;
    let mut record = csv::ByteRecord::new();
    let mut lines = Lines { text, line: 1, counted_to: 0 };
    loop {
        let read = reader.read_byte_record(&mut record);
        let start = record.position().map_or(0, csv::Position::byte);
        let (line, spans) = lines.of(start, reader.position().byte());
        let place = Place::Line(line);
        match read {
            Ok(false) => return Ok(()),
            Ok(true) => (),
            Err(error) => return Err(Problem::invalid(vec![place.fault(error.to_string())])),
        }
        let contact = columns.contact(&record, spans);
        take(place, contact.map_err(|detail| place.fault(detail)))?;
    }
}

/// Counts lines by their line feeds. (The reader takes a carriage return for the end of a row and
/// so puts the line feed behind it at the beginning of the next.)
struct Lines<'a> {
    text: &'a [u8],
    line: u64,
    counted_to: usize,
}

impl Lines<'_> {
    /// The line on which the row from byte `start` to `end` begins, and how many lines it fills.
    fn of(&mut self, start: u64, end: u64) -> (u64, u64) {
        let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        let (start, end) = (place(start), place(end));
        let row = &self.text[start.min(end)..end];
        let start = end - row.trim_ascii_start().len();
        let feeds = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.line += feeds(&self.text[self.counted_to.min(start)..start]);
        self.counted_to = start;
        (self.line, 1 + feeds(self.text[start..end].trim_ascii_end()))
    }
}

struct Columns {
    names: Vec<String>,
    number: usize,
    key: Option<usize>,
    priority: Option<usize>,
}

impl Columns {
    fn read(reader: &mut csv::Reader<&[u8]>) -> Result<Self, Problem> {
        let fault = |detail: String| Problem::invalid(vec![Place::Line(1).fault(detail)]);
        let names: Vec<String> = match reader.headers() {
            Ok(names) => names.iter().map(|name| name.to_lowercase()).collect(),
            Err(_) => return Err(fault("the first line is not UTF-8".into())),
        };
        if names.len() > COLUMNS_MAX {
            return Err(fault(format!("a list has at most {COLUMNS_MAX} columns")));
        }
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(fault(format!("the column {name:?} is there twice")));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let Some(number) = find("number") else {
            let near = nearest("number", names.iter().map(String::as_str));
            let hint = near.map(|name| format!("; rename {name:?}?")).unwrap_or_default();
            return Err(fault(format!("the first line names no column \"number\"{hint}")));
        };
        let (key, priority) = (find("key"), find("priority"));
        Ok(Self { number, key, priority, names })
    }

    fn contact(&self, record: &csv::ByteRecord, spans: u64) -> Result<NewContact, String> {
        if spans > ROW_LINES_MAX {
            let hint = "is a quotation mark left open?";
            return Err(format!("the row goes on over {spans} lines: {hint}"));
        }
        if record.len() != self.names.len() {
            let (found, named) = (record.len(), self.names.len());
            return Err(format!("{found} values, but the first line names {named} columns"));
        }
        let mut values = Vec::with_capacity(record.len());
        for (value, name) in record.iter().zip(&self.names) {
            let value = std::str::from_utf8(value);
            values.push(value.map_err(|_| format!("column {name:?} is not UTF-8"))?);
        }
        let filled =
            |column: Option<usize>| column.map(|at| values[at]).filter(|it| !it.is_empty());
        let priority = match filled(self.priority) {
            Some(text) => text
                .parse()
                .map_err(|_| format!("column \"priority\": {text:?} is not a whole number"))?,
            None => 0,
        };
        contact(values[self.number], filled(self.key), priority, self.payload(&values))
            .map_err(|(field, detail)| format!("column {field:?}: {detail}"))
    }

    /// The columns that we do not know, as a JSON object; `None` if there are none.
    fn payload(&self, values: &[&str]) -> Option<String> {
        let known = [Some(self.number), self.key, self.priority];
        let mut object = serde_json::Map::new();
        for (index, (name, value)) in self.names.iter().zip(values).enumerate() {
            if !known.contains(&Some(index)) {
                object.insert(name.clone(), (*value).into());
            }
        }
        (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
    }
}

/// The refusal of a list longer than `rows_max`.
pub fn too_many(rows_max: u64) -> Problem {
    Problem::new(Kind::TooManyRows, format!("a list has at most {rows_max} rows"))
}

#[cfg(test)]
mod tests;
