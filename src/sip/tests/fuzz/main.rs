//! What the fuzz targets in `fuzz/` do with one input, run here on the corpora and on inputs made
//! by a seeded generator, so that a target that is broken, or a fault that is easily found, is
//! seen by `cargo test`. `make fuzz` looks for the others.
//!
//! The corpora come from the environment: `TRUNKLINE_CORPORA=/path/to/corpora`. Without it that
//! part is skipped and says so.

#![allow(clippy::disallowed_methods)] // Not the core: the test of it.

mod endpoint;
mod framing;
mod input;
mod message;
mod sdp;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the corpora that are seeds of the targets.
const SEEDS: &[&str] =
    &["sip-torture-4475", "sip-torture-5118", "sip-messages", "sip-libosip2", "sdp"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn run_all(data: &[u8]) {
    framing::run(data);
    message::run(data);
    sdp::run(data);
    endpoint::run(data);
}

#[test]
fn the_corpora_pass_all_targets() {
    let Ok(corpora) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("skipped: TRUNKLINE_CORPORA is not set");
        return;
    };
    let mut found = Vec::new();
    for folder in SEEDS {
        files(&Path::new(&corpora).join(folder), &mut found);
    }
    found.sort();
    assert!(found.len() > 200, "{}", found.len());
    for path in found {
        run_all(&fs::read(path).expect("a corpus file is readable"));
    }
}

/// Programs for the endpoint that nobody chose; the others get them as bytes without sense.
#[test]
fn inputs_of_a_generator_pass_all_targets() {
    let mut luck = StdRng::seed_from_u64(3);
    let mut talks = 0;
    for _ in 0..3_000 {
        let length = luck.random_range(0..400);
        let data: Vec<u8> = (0..length).map(|_| luck.random()).collect();
        talks += endpoint::run(&data);
        framing::run(&data);
        message::run(&data);
        sdp::run(&data);
    }
    assert!(talks > 20, "the programs are about calls: {talks}");
}
