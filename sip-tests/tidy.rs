//! Order as a test: sizes of files and functions, who may name whom, no clock in the cores, every
//! configuration key explained.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Who may name whom; the same table stands in `src/ARCHITECTURE.md`.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("document", &["domain"]),
    ("sip", &["domain"]),
    ("trunk", &["domain"]),
    ("stir", &[]),
    ("media", &["domain"]),
    ("ivr", &["domain", "document"]),
    ("intent", &["domain", "document"]),
    ("queue", &["domain"]),
    ("campaign", &["domain"]),
    (
        "switchboard",
        &["domain", "sip", "trunk", "stir", "media", "ivr", "intent", "queue", "campaign"],
    ),
    (
        "sim",
        &[
            "domain",
            "sip",
            "trunk",
            "stir",
            "media",
            "ivr",
            "intent",
            "queue",
            "campaign",
            "switchboard",
        ],
    ),
    ("store", &["domain", "campaign", "queue", "switchboard", "media", "sip"]),
    ("speech", &["domain"]),
    ("api", &["domain", "switchboard", "store", "queue", "campaign", "media", "sip", "trunk"]),
    (
        "gateway",
        &[
            "domain",
            "document",
            "sip",
            "trunk",
            "stir",
            "media",
            "ivr",
            "intent",
            "queue",
            "campaign",
            "switchboard",
            "store",
            "speech",
            "api",
        ],
    ),
];

/// The crates that are told the time.
const CORES: &[&str] = &[
    "domain",
    "document",
    "sip",
    "trunk",
    "stir",
    "media",
    "ivr",
    "intent",
    "queue",
    "campaign",
    "switchboard",
    "sim",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn all_rust_files() -> Vec<PathBuf> {
    ["src", "sip-tests", "benches"].iter().flat_map(|part| rust_files(&root().join(part))).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn files_and_functions_are_short_enough_to_be_read() {
    let mut faults = Vec::new();
    for path in all_rust_files() {
        let text = fs::read_to_string(&path).expect("a source file is readable");
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            faults.push(format!("{}: {} lines", shown(&path), lines.len()));
        }
        for (name, line, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                faults.push(format!("{}:{line}: fn {name} has {length} lines", shown(&path)));
            }
        }
    }
    assert!(faults.is_empty(), "too long:\n{}", faults.join("\n"));
}

/// Each function with its first line (from 1) and its length; found by the indentation that the
/// formatter guarantees.
fn functions(lines: &[&str]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
        let qualifiers = ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern"];
        let plain = |word: &&str| qualifiers.contains(word) || word.starts_with("pub(in");
        if at + 1 >= words.len() || !words[..at].iter().all(plain) {
            continue;
        }
        let name: String =
            words[at + 1].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let signature_ends = |line: &&&str| line.ends_with(['{', ';', '}']);
        // A trait's function without a body, or one whose body stands on its line.
        if !lines[index..].iter().find(signature_ends).is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[index..].iter().position(|line| *line == end) {
            found.push((name, index + 1, length + 1));
        }
    }
    found
}

#[test]
fn function_lengths_are_measured() {
    let text = "trait Y {\n    fn b(&self);\n}\n\
                impl X {\n    pub fn a(\n        b: u8,\n    ) {\n        c();\n    }\n}\n";
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(functions(&lines), [("a".to_owned(), 5, 5)]);
}

#[test]
fn crates_name_only_whom_they_may() {
    let table: BTreeMap<&str, BTreeSet<&str>> =
        MAY_NAME.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("src")).expect("src is there").flatten() {
        let manifest = entry.path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(may) = table.get(name.as_str()) else {
            faults.push(format!("{name} stands not in the table of sip-tests/tidy.rs"));
            continue;
        };
        for line in text.lines() {
            let Some((dependency, _)) = line.split_once(".workspace = true") else { continue };
            if table.contains_key(dependency) && !may.contains(dependency) {
                faults.push(format!("{name} must not name {dependency}"));
            }
            if dependency == "tokio" && CORES.contains(&name.as_str()) {
                faults.push(format!("{name} is a core and must not name tokio"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_cores_ask_nobody_for_the_time() {
    let asked = ["Instant::now(", "SystemTime::now(", "thread::sleep", "UdpSocket::", "std::fs::"];
    let mut faults = Vec::new();
    for core in CORES {
        for path in rust_files(&root().join("src").join(core)) {
            let text = fs::read_to_string(&path).expect("a source file is readable");
            let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
            // Tests that read the outside corpora stand in files of their own.
            let outside = ["tests", "corpora", "captures", "examples"];
            let is_test = outside.iter().any(|word| shown(&path).contains(word));
            for (number, line) in text[..tests].lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let found = asked.iter().find(|asked| code.contains(**asked));
                // `domain::now::epoch` is where tests and the simulator begin to count.
                if let Some(found) = found
                    && !is_test
                    && !shown(&path).ends_with("domain/now.rs")
                {
                    faults.push(format!("{}:{}: {found}", shown(&path), number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "a core touches the world:\n{}", faults.join("\n"));
}

#[test]
fn every_configuration_key_is_explained() {
    let text = fs::read_to_string(root().join("config/gateway.toml")).expect("the file is there");
    let sample = ["[trunks.", "[[numbers", "[queues.", "[agents.", "[feature_codes.", "[variables"];
    let (mut faults, mut explained, mut in_sample) = (Vec::new(), false, false);
    for (number, line) in text.lines().enumerate() {
        match line.trim() {
            "" => explained = false,
            comment if comment.starts_with('#') => explained = true,
            header if header.starts_with('[') => {
                in_sample = sample.iter().any(|name| header.starts_with(name));
                explained = false;
            }
            // One comment may stand over a group of keys.
            _ if explained || in_sample => (),
            key => faults.push(format!("config/gateway.toml:{}: {key}", number + 1)),
        }
    }
    assert!(faults.is_empty(), "keys without a comment:\n{}", faults.join("\n"));
}

#[test]
fn rfcs_cited_in_the_code_are_listed() {
    let listed = fs::read_to_string(root().join("src/ARCHITECTURE.md")).expect("it is there");
    let mut missing = BTreeSet::new();
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("a source file is readable");
        for (at, _) in text.match_indices("RFC ") {
            let number: String = text[at + 4..].chars().take_while(char::is_ascii_digit).collect();
            if number.len() >= 3 && !listed.contains(&number) {
                missing.insert(number);
            }
        }
    }
    assert!(missing.is_empty(), "src/ARCHITECTURE.md does not list RFC {missing:?}");
}

#[test]
fn the_repository_names_no_machine() {
    let mut faults = Vec::new();
    let mut paths = all_rust_files();
    for extra in ["README.md", "Makefile", "src/ARCHITECTURE.md", "config/gateway.toml"] {
        paths.push(root().join(extra));
    }
    let homes = ["/ho", "/ro", "/wo"].map(String::from);
    let forbidden =
        [format!("{}me/", homes[0]), format!("{}ot/", homes[1]), format!("{}rk/", homes[2])];
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for word in &forbidden {
            if text.contains(word.as_str()) {
                faults.push(format!("{}: {word}", shown(&path)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
