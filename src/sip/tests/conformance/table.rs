//! The rules of the RFCs, read from `rules/`, and the mutants, read from `mutants.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table, Value};

/// One file of `rules/`: an RFC, or a part of a long one.
#[derive(Debug)]
pub struct Part {
    pub rfc: u32,
    pub title: String,
    pub sections: Vec<Section>,
}

#[derive(Debug)]
pub struct Section {
    /// `8.1.1.7`
    pub number: String,
    pub title: String,
    pub rules: Vec<Rule>,
}

/// One sentence of the RFC that has a MUST in it, in our own words.
#[derive(Debug)]
pub struct Rule {
    pub says: String,
    pub standing: Standing,
}

/// How we stand to a rule.
#[derive(Debug)]
pub enum Standing {
    /// Kept, and these tests fail when it is not.
    Shown(Vec<String>),
    /// About a part of SIP that we do not play.
    DoesNotApply(String),
    /// Not kept, on purpose; the tests show what is done instead.
    Departs { why: String, tests: Vec<String> },
}

impl Rule {
    pub fn tests(&self) -> &[String] {
        match &self.standing {
            Standing::Shown(tests) | Standing::Departs { tests, .. } => tests,
            Standing::DoesNotApply(_) => &[],
        }
    }
}

/// A way to break one rule.
#[derive(Debug)]
pub struct Mutant {
    /// `3261 §8.1.1.7 (3)`: RFC, section, and which of its rules, counted from 1.
    pub breaks: String,
    /// From the root of the repository.
    pub file: String,
    /// What stands there, exactly once.
    pub find: String,
    /// What is put instead.
    pub put: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn document(path: &Path) -> DocumentMut {
    let text = fs::read_to_string(path).expect("the table is readable");
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(item: Option<&Item>, what: &str) -> String {
    let found = item.and_then(Item::as_str);
    found.unwrap_or_else(|| panic!("{what} is missing or no text")).to_owned()
}

/// All parts, in the order of their RFCs.
pub fn parts() -> Vec<Part> {
    let entries = fs::read_dir(folder().join("rules")).expect("the rules are there");
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().map(|path| part(&document(path))).collect()
}

fn part(document: &DocumentMut) -> Part {
    let reasons: BTreeMap<String, String> = match document.get("reasons").and_then(Item::as_table) {
        Some(table) => {
            let reason = |(key, item): (&str, &Item)| (key.to_owned(), text(Some(item), key));
            table.iter().map(reason).collect()
        }
        None => BTreeMap::new(),
    };
    let rfc = document.get("rfc").and_then(Item::as_integer).expect("rfc is a number");
    let sections = document.get("section").and_then(Item::as_array_of_tables);
    let sections = sections.expect("there are sections");
    Part {
        rfc: u32::try_from(rfc).expect("an RFC's number"),
        title: text(document.get("title"), "title"),
        sections: sections.iter().map(|table| section(table, &reasons)).collect(),
    }
}

fn section(table: &Table, reasons: &BTreeMap<String, String>) -> Section {
    let number = text(table.get("number"), "number");
    let rules = table.get("rules").and_then(Item::as_array).expect("rules are a list");
    Section {
        title: text(table.get("title"), &number),
        rules: rules.iter().map(|value| rule(value, &number, reasons)).collect(),
        number,
    }
}

fn rule(value: &Value, number: &str, reasons: &BTreeMap<String, String>) -> Rule {
    let table = value.as_inline_table().expect("a rule is a table");
    let get = |key: &str| table.get(key).and_then(Value::as_str);
    let reason = |key: &str| reasons.get(key).cloned().unwrap_or_else(|| key.to_owned());
    let says = get("says").unwrap_or_else(|| panic!("§{number}: `says` is missing")).to_owned();
    let list = table.get("shown_by").and_then(Value::as_array);
    let tests: Vec<String> = list
        .into_iter()
        .flatten()
        .map(|test| test.as_str().expect("a test's name").to_owned())
        .collect();
    let known = ["says", "shown_by", "does_not_apply", "departs"];
    for (key, _) in table {
        assert!(known.contains(&key), "§{number}: {key} is unknown");
    }
    let standing = match (get("does_not_apply"), get("departs"), tests.is_empty()) {
        (None, None, false) => Standing::Shown(tests),
        (Some(why), None, true) => Standing::DoesNotApply(reason(why)),
        (None, Some(why), _) => Standing::Departs { why: reason(why), tests },
        _ => panic!("§{number}: one of shown_by, does_not_apply, departs: {says}"),
    };
    Rule { says, standing }
}

/// All mutants, in order.
pub fn mutants() -> Vec<Mutant> {
    let document = document(&folder().join("mutants.toml"));
    let tables = document.get("mutant").and_then(Item::as_array_of_tables);
    let mutant = |table: &Table| Mutant {
        breaks: text(table.get("breaks"), "breaks"),
        file: text(table.get("file"), "file"),
        find: text(table.get("find"), "find"),
        put: text(table.get("put"), "put"),
    };
    tables.expect("there are mutants").iter().map(mutant).collect()
}

/// The rule that a mutant breaks.
pub fn find_rule<'a>(parts: &'a [Part], name: &str) -> Option<&'a Rule> {
    let (rfc, rest) = name.split_once(" §")?;
    let (number, ordinal) = rest.split_once(" (")?;
    let ordinal: usize = ordinal.strip_suffix(')')?.parse().ok()?;
    let of_rfc = parts.iter().filter(|part| part.rfc.to_string() == rfc);
    let section = of_rfc.flat_map(|part| &part.sections).find(|found| found.number == number)?;
    section.rules.get(ordinal.checked_sub(1)?)
}
