//! A section of the user's file laid over the same section of the embedded one: what the user left
//! out is taken from there.

use document::section::{Section, Value};
use std::ops::RangeInclusive;

/// Two sections, one over the other.
pub(super) struct Layered<'a> {
    own: Option<Section<'a>>,
    default: Section<'a>,
}

impl<'a> Layered<'a> {
    pub(super) fn root(own: Section<'a>, default: Section<'a>) -> Self {
        Self { own: Some(own), default }
    }

    /// Lays `own`, a table of free name such as `[queues.support]`, over the defaults of its kind.
    pub(super) fn over(own: Section<'a>, default: Section<'a>) -> Self {
        Self { own: Some(own), default }
    }

    /// A section inside this one.
    pub(super) fn section(&self, key: &'static str) -> Layered<'a> {
        let own = self.own.as_ref().and_then(|own| own.optional(key)).and_then(|own| own.section());
        Layered { own, default: self.default_section(key) }
    }

    /// The embedded section inside this one.
    pub(super) fn default_section(&self, key: &'static str) -> Section<'a> {
        self.default
            .optional(key)
            .and_then(|value| value.section())
            .expect("the embedded configuration has every section")
    }

    /// The value: the user's, or the embedded one.
    pub(super) fn value(&self, key: &'static str) -> Value<'a> {
        self.own
            .as_ref()
            .and_then(|own| own.optional(key))
            .or_else(|| self.default.optional(key))
            .expect("the embedded configuration has every key")
    }

    /// A value that has no default, such as a trunk's address.
    pub(super) fn required(&self, key: &'static str, what: &str) -> Option<Value<'a>> {
        match &self.own {
            Some(own) => own.required(key, what),
            None => self.default.optional(key),
        }
    }

    /// A whole number in `range`.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<i64>) -> i64 {
        let default = self.default.integer(key, range.clone(), *range.start());
        match &self.own {
            Some(own) => own.integer(key, range, default),
            None => default,
        }
    }

    /// A whole number in `range`, as an unsigned one.
    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<i64>) -> u32 {
        u32::try_from(self.integer(key, range)).unwrap_or(u32::MAX)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str) -> bool {
        let default = self.default.boolean(key, false);
        match &self.own {
            Some(own) => own.boolean(key, default),
            None => default,
        }
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
        match &self.own {
            Some(own) => own.entries(),
            None => self.default.entries(),
        }
    }

    /// Refuses keys that nobody asked for. To be called last.
    pub(super) fn finish(self) {
        if let Some(own) = self.own {
            own.finish();
        }
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
