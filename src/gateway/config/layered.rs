//! A section of the user's file laid over the same section of the embedded one: what the user left
//! out is taken from there.
//!
//! ```text
//! [queues.support] ─ over ─ [defaults.queue] of the user ─ over ─ [defaults.queue] embedded
//! ```

use document::section::{Section, Value};
use std::ops::RangeInclusive;

/// Sections laid over one another.
pub(super) struct Layered<'a> {
    /// The user's, the uppermost first.
    own: Vec<Section<'a>>,
    default: Section<'a>,
}

impl<'a> Layered<'a> {
    pub(super) fn root(own: Section<'a>, default: Section<'a>) -> Self {
        Self { own: vec![own], default }
    }

    /// This section beneath `entry`, a table of free name such as `[queues.support]`.
    pub(super) fn under(mut self, entry: Section<'a>) -> Self {
        self.own.insert(0, entry);
        self
    }

    /// A section inside this one.
    pub(super) fn section(&self, key: &'static str) -> Layered<'a> {
        let inside = |own: &Section<'a>| own.optional(key).and_then(|value| value.section());
        let own = self.own.iter().filter_map(inside).collect();
        let default = self
            .default
            .optional(key)
            .and_then(|value| value.section())
            .expect("the embedded configuration has every section");
        Layered { own, default }
    }

    /// The value: the user's, or the embedded one.
    pub(super) fn value(&self, key: &'static str) -> Value<'a> {
        // All are asked, so that each knows the key.
        let asked = |own: &Section<'a>| own.optional(key);
        let lowest_first = self.own.iter().rev().filter_map(asked);
        lowest_first
            .last()
            .or_else(|| self.default.optional(key))
            .expect("the embedded configuration has every key")
    }

    /// A value that has no default, such as a trunk's address.
    pub(super) fn required(&self, key: &'static str, what: &str) -> Option<Value<'a>> {
        match self.own.first() {
            Some(own) => own.required(key, what),
            None => self.default.optional(key),
        }
    }

    /// A whole number in `range`.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<i64>) -> i64 {
        let default = self.default.integer(key, range.clone(), *range.start());
        let lower = |default, own: &Section<'a>| own.integer(key, range.clone(), default);
        self.own.iter().rev().fold(default, lower)
    }

    /// A whole number in `range`, as an unsigned one.
    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<i64>) -> u32 {
        u32::try_from(self.integer(key, range)).unwrap_or(u32::MAX)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str) -> bool {
        let default = self.default.boolean(key, false);
        self.own.iter().rev().fold(default, |default, own| own.boolean(key, default))
    }

    /// A text; empty where it has another type, which is reported.
    pub(super) fn text(&self, key: &'static str) -> &'a str {
        self.value(key).text().unwrap_or_default()
    }

    /// A text read by `parse`; what it refuses is reported with `remedy`.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        key: &'static str,
        remedy: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        parsed(&self.value(key), remedy, parse)
    }

    /// The entries of a section whose keys are free names: the user's if he has any.
    pub(super) fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        self.own.first().unwrap_or(&self.default).entries()
    }

    /// Refuses keys that nobody asked for. To be called last.
    pub(super) fn finish(self) {
        self.own.into_iter().for_each(Section::finish);
    }
}

/// A text read by `parse`; what it refuses is reported with `remedy`.
pub(super) fn parsed<T, E: std::fmt::Display>(
    value: &Value<'_>,
    remedy: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    let text = value.text()?;
    match parse(text) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            value.fault(format!("`{text}`: {error}"), remedy.to_owned());
            None
        }
    }
}
