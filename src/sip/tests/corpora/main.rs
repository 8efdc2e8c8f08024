//! Our readers against outside test material: the torture messages of RFC 4475 and RFC 5118, and
//! what other stacks test themselves with. The folder comes by `TRUNKLINE_CORPORA`; without it
//! these tests say so on one line and pass.

mod answers;
#[allow(dead_code)] // What the endpoint of the fuzz target is read with.
#[path = "../fuzz/input.rs"]
mod input;
mod others;
mod pcaps;
mod refusals;
mod torture;
#[allow(dead_code)] // Its configuration is all that is wanted here.
#[path = "../fuzz/endpoint.rs"]
mod world;

use std::path::{Path, PathBuf};

/// All files below a folder of the corpora, sorted; `None`, with one line said, without them.
fn files(folder: &str) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    #[allow(clippy::disallowed_methods)] // Not the core: the test of it.
    let Ok(root) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("TRUNKLINE_CORPORA is not set: {folder} was not run");
        return None;
    };
    let mut found = Vec::new();
    walk(&Path::new(&root).join(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} has no files");
    Some(found)
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    for entry in entries {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            #[allow(clippy::disallowed_methods)] // Not the core: the test of it.
            let content = std::fs::read(&path).expect("the file can be read");
            found.push((path, content));
        }
    }
}

/// The file's name without folder and `.dat`.
fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).unwrap_or("")
}

/// Line feeds alone become CRLF.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\n' && (at == 0 || text[at - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}
