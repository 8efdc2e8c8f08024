//! Which rule of which RFC is shown by which test: the table is held against the sources, against
//! the RFCs' texts where they are at hand, and against the page made from it.
//!
//! The RFC texts lie beside the corpora: `TRUNKLINE_CORPORA=/path/to/corpora` finds them in
//! `/path/to/rfc`. Without it that check is skipped and says so.

#![allow(clippy::disallowed_methods)] // Not the core: the test of it.

mod page;
mod rfc;
mod sources;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use table::root;

#[test]
fn every_test_named_in_the_table_exists() {
    let parts = table::parts();
    let rules = parts.iter().flat_map(|part| &part.sections).flat_map(|section| &section.rules);
    let names = rules.flat_map(|rule| rule.tests());
    let mut missing: Vec<_> = names.filter(|name| !sources::has_test(name)).collect();
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(!sources::has_test("sip::leg::dialog::tests::nothing_of_the_kind"));
}

/// The sections of RFC 3261 that are about what we do; of the others all are.
fn is_wanted(rfc: u32, section: &str) -> bool {
    let top = section.split('.').next().unwrap_or("");
    let wanted = ["8", "9", "10", "11", "12", "13", "14", "15", "17", "18", "19", "20", "22"];
    rfc != 3261 || wanted.contains(&top)
}

#[test]
fn no_must_of_the_rfcs_is_forgotten() {
    let Ok(corpora) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("skipped: TRUNKLINE_CORPORA is not set");
        return;
    };
    let mut tables: BTreeMap<u32, BTreeMap<String, usize>> = BTreeMap::new();
    for part in table::parts() {
        for section in part.sections {
            let number = section.number;
            let rules = section.rules.len();
            let double = tables.entry(part.rfc).or_default().insert(number.clone(), rules);
            assert_eq!(double, None, "RFC {} §{number} stands twice", part.rfc);
        }
    }
    let mut faults = Vec::new();
    for (rfc, table) in tables {
        let path = PathBuf::from(&corpora).join("../rfc").join(format!("rfc{rfc}.txt"));
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut musts = rfc::musts(&String::from_utf8_lossy(&text));
        musts.retain(|section, _| is_wanted(rfc, section));
        for section in musts.keys().chain(table.keys()) {
            let (rows, found) =
                (table.get(section).unwrap_or(&0), musts.get(section).unwrap_or(&0));
            if rows != found {
                faults.push(format!("RFC {rfc} §{section}: {found} rules, {rows} rows"));
            }
        }
    }
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_page_is_made_from_the_table() {
    let path = root().join("docs/conformance.md");
    let page = page::page(&table::parts());
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, page).expect("the page can be written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let hint =
        "docs/conformance.md is stale: UPDATE_CONFORMANCE=1 cargo test -p sip --test conformance";
    assert!(found == page, "{hint}");
}

/// A mutant whose place has changed would break nothing, and so prove nothing.
#[test]
fn every_mutant_breaks_one_place_and_a_rule_with_tests() {
    let parts = table::parts();
    let mut faults = Vec::new();
    for mutant in table::mutants() {
        let text = fs::read_to_string(root().join(&mutant.file)).unwrap_or_default();
        let places = text.matches(&mutant.find).count();
        let rule = table::find_rule(&parts, &mutant.breaks);
        let tests = rule.map_or(0, |rule| rule.tests().len());
        if places != 1 || tests == 0 || mutant.find == mutant.put {
            faults.push(format!("{}: {places} places, {tests} tests", mutant.breaks));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
