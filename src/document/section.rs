//! One table of a configuration file while it is read: gives typed values, collects faults instead of
//! stopping, and at the end refuses the keys that nobody asked for.

use domain::fault::{Faults, did_you_mean};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use toml_edit::{Item, TableLike};

/// A table and its place. Missing and wrong values are reported and answered by a stand-in, so that
/// reading goes on; a document with faults is never used.
pub struct Section<'a> {
    table: &'a dyn TableLike,
    path: String,
    offset: usize,
    faults: &'a RefCell<Faults>,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// One value and its place.
#[derive(Clone)]
pub struct Value<'a> {
    /// What stands there.
    pub item: &'a Item,
    /// The path of its key.
    pub path: String,
    /// Where it begins, in bytes of the file.
    pub offset: usize,
    faults: &'a RefCell<Faults>,
}

impl<'a> Value<'a> {
    /// Reports a fault at this value.
    pub fn fault(&self, problem: String, remedy: String) {
        self.faults.borrow_mut().add(self.offset, &self.path, problem, remedy);
    }

    /// The text of a string; anything else is a fault.
    pub fn text(&self) -> Option<&'a str> {
        let text = self.item.as_str();
        if text.is_none() {
            self.wrong_type("a text in quotes");
        }
        text
    }

    /// The table as a section; anything else is a fault.
    pub fn section(&self) -> Option<Section<'a>> {
        let Some(table) = self.item.as_table_like() else {
            self.wrong_type("a table");
            return None;
        };
        Some(Section::new(table, self.path.clone(), self.offset, self.faults))
    }

    /// The elements of a list; anything else is a fault.
    pub fn list(&self) -> Vec<ListElement<'a>> {
        let Some(list) = self.item.as_array() else {
            self.wrong_type("a list in brackets");
            return Vec::new();
        };
        let place = |(index, value): (usize, &'a toml_edit::Value)| ListElement {
            value,
            path: format!("{}[{index}]", self.path),
            offset: value.span().map_or(self.offset, |span| span.start),
        };
        list.iter().enumerate().map(place).collect()
    }

    /// Reports that the value has another type than `wanted`.
    pub fn wrong_type(&self, wanted: &str) {
        let found = self.item.type_name();
        self.fault(format!("is a value of type {found}"), format!("write {wanted}"));
    }

    /// The list in which faults of this file are collected.
    pub fn faults(&self) -> &'a RefCell<Faults> {
        self.faults
    }
}

/// One element of a list and its place.
pub struct ListElement<'a> {
    /// What stands there.
    pub value: &'a toml_edit::Value,
    /// The path of its key with its index.
    pub path: String,
    /// Where it begins, in bytes of the file.
    pub offset: usize,
}

impl<'a> Section<'a> {
    /// The table at `path`; `offset` is where it begins, for what is missing in it.
    pub fn new(
        table: &'a dyn TableLike,
        path: String,
        offset: usize,
        faults: &'a RefCell<Faults>,
    ) -> Self {
        Self { table, path, offset, faults, asked: RefCell::default() }
    }

    /// The path of `key` in this section.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports a fault of the section as a whole.
    pub fn fault(&self, problem: String, remedy: String) {
        self.faults.borrow_mut().add(self.offset, &self.path, problem, remedy);
    }

    fn value_of(&self, key: &str, name: &'a toml_edit::Key, item: &'a Item) -> Value<'a> {
        let key_offset = name.span().map_or(self.offset, |span| span.start);
        let offset = match item {
            Item::Value(value) => value.span().map_or(key_offset, |span| span.start),
            Item::None | Item::Table(_) | Item::ArrayOfTables(_) => {
                item.span().map_or(key_offset, |span| span.start)
            }
        };
        Value { item, path: self.path_of(key), offset, faults: self.faults }
    }

    /// The value of `key`, if it is there.
    pub fn optional(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().insert(key);
        let (name, item) = self.table.get_key_value(key)?;
        Some(self.value_of(key, name, item))
    }

    /// The value of `key`; its absence is a fault.
    pub fn required(&self, key: &'static str, what: &str) -> Option<Value<'a>> {
        let value = self.optional(key);
        if value.is_none() {
            self.faults.borrow_mut().add(
                self.offset,
                &self.path_of(key),
                "is missing".to_owned(),
                format!("write `{key}` = {what}"),
            );
        }
        value
    }

    /// All entries, for a section whose keys are free names.
    pub fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let value = |(key, _): (&'a str, &'a Item)| {
            let (name, item) = self.table.get_key_value(key)?;
            Some((key, self.value_of(key, name, item)))
        };
        self.table.iter().filter_map(value).collect()
    }

    /// A whole number in `range`, or `default` where the key is absent.
    pub fn integer(&self, key: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.optional(key) else { return default };
        match value.item.as_integer() {
            Some(number) if range.contains(&number) => return number,
            Some(number) => value.fault(
                format!("{number} is out of range"),
                format!("write {} to {}", range.start(), range.end()),
            ),
            None => value.wrong_type("a whole number"),
        }
        default
    }

    /// A number from 0 to 1, or `default` where the key is absent.
    pub fn fraction(&self, key: &'static str, default: f32) -> f32 {
        let Some(value) = self.optional(key) else { return default };
        let integer = || value.item.as_integer().and_then(|number| i8::try_from(number).ok());
        let number = value.item.as_float().or_else(|| integer().map(f64::from));
        match number {
            // Nothing in this file needs more digits than an f32 has.
            #[allow(clippy::cast_possible_truncation)]
            Some(number) if (0.0..=1.0).contains(&number) => return number as f32,
            Some(number) => {
                value.fault(format!("{number} is out of range"), "write 0.0 to 1.0".to_owned());
            }
            None => value.wrong_type("a number from 0.0 to 1.0"),
        }
        default
    }

    /// `true` or `false`, or `default` where the key is absent.
    pub fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.optional(key) else { return default };
        value.item.as_bool().unwrap_or_else(|| {
            value.wrong_type("true or false");
            default
        })
    }

    /// Refuses every key that was not asked for. To be called last.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter() {
            if asked.contains(key) {
                continue;
            }
            let offset = self
                .table
                .get_key_value(key)
                .and_then(|(name, _)| name.span())
                .map_or(self.offset, |span| span.start);
            let remedy = did_you_mean(key, asked.iter().copied());
            let problem = "is no key of this table".to_owned();
            self.faults.borrow_mut().add(offset, &self.path_of(key), problem, remedy);
        }
    }
}
