//! Where a test named in the tables stands in the sources.

use crate::table::root;
use std::fs;
use std::path::PathBuf;

/// Whether `name` is a test: `sip::leg::dialog::tests::requests_bear_the_dialog` of a crate,
/// `sip/corpora::torture::…` of a crate's `tests/corpora`, or `sip-tests::wire::…`.
pub fn has_test(name: &str) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    let mut segments = module.split("::");
    let first = segments.next().unwrap_or("");
    let mut folder = match first.split_once('/') {
        Some((in_crate, binary)) => root().join("src").join(in_crate).join("tests").join(binary),
        None if first == "sip-tests" => root().join(first),
        None => root().join("src").join(first),
    };
    let mut files = vec![folder.join("lib.rs"), folder.join("main.rs")];
    for segment in segments {
        // The module's own file, or, for one written inline, still that of its parent.
        let own = [folder.join(format!("{segment}.rs")), folder.join(segment).join("mod.rs")];
        if own.iter().any(|file| file.is_file()) {
            files = own.into();
        }
        folder.push(segment);
    }
    files.iter().any(|file| stands_in(file, test))
}

fn stands_in(file: &PathBuf, test: &str) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let mut is_test = false;
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && line.contains("fn ") {
            if line.contains(&format!("fn {test}(")) {
                return true;
            }
            is_test = false;
        }
    }
    false
}
