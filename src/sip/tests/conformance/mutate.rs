//! Breaks rules in the code, one at a time, and expects their tests to fail.
//!
//! `make mutate` tries a sample of `mutants.toml` (`ARGS="--count 20 --seed 7"`, `ARGS=--all`, `ARGS="--only
//! §17"`), each in a copy of the sources below the target folder. A mutant that does not compile
//! proves nothing and fails the run, as one that survives does. The last line is JSON:
//! `{"mutants":…,"killed":…,"survived":[…]}`.

#![allow(clippy::disallowed_methods)] // Not the core: the test of it.

#[allow(dead_code)] // Reads what it needs of the table.
#[path = "table.rs"]
mod table;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use table::{Mutant, Part, root};

/// How many are tried when nothing is said.
const SAMPLE: usize = 12;

/// Tests that take longer than this hang, which is a way to fail.
const TESTS_MAX: Duration = Duration::from_secs(120);

struct Wish {
    count: usize,
    seed: u64,
    only: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Killed,
    Survived,
    DoesNotCompile,
}

fn main() -> ExitCode {
    let Some(wish) = wish(std::env::args().skip(1).collect()) else {
        eprintln!("usage: mutate [--all | --count N] [--seed N] [--only TEXT]");
        return ExitCode::from(2);
    };
    let parts = table::parts();
    let mut mutants = table::mutants();
    if let Some(only) = &wish.only {
        mutants.retain(|mutant| mutant.breaks.contains(only));
    }
    mutants.shuffle(&mut StdRng::seed_from_u64(wish.seed));
    mutants.truncate(wish.count);
    if mutants.is_empty() {
        eprintln!("mutate: there is no such mutant");
        return ExitCode::from(2);
    }
    let scratch = Scratch::new();
    println!("mutate: {} mutants, seed {}; building", mutants.len(), wish.seed);
    if !scratch.is_sound(&parts, &mutants) {
        println!("mutate: the tests fail without any mutant");
        return ExitCode::FAILURE;
    }
    let mut survived = Vec::new();
    let mut killed = 0;
    for (at, mutant) in mutants.iter().enumerate() {
        let start = Instant::now();
        let verdict = scratch.try_mutant(&parts, mutant);
        let seconds = start.elapsed().as_secs();
        let number = at + 1;
        println!("{number:>3}/{} {verdict:?} in {seconds} s: {}", mutants.len(), mutant.breaks);
        match verdict {
            Verdict::Killed => killed += 1,
            Verdict::Survived | Verdict::DoesNotCompile => survived.push(&mutant.breaks),
        }
    }
    let names: Vec<_> = survived.iter().map(|name| format!("\"{name}\"")).collect();
    println!(
        "{{\"mutants\":{},\"killed\":{killed},\"survived\":[{}]}}",
        mutants.len(),
        names.join(",")
    );
    if survived.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wish(args: Vec<String>) -> Option<Wish> {
    let mut wish = Wish { count: SAMPLE, seed: 1, only: None };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--all" => wish.count = usize::MAX,
            "--count" => wish.count = args.next()?.parse().ok()?,
            "--seed" => wish.seed = args.next()?.parse().ok()?,
            "--only" => {
                wish.only = Some(args.next()?);
                wish.count = usize::MAX;
            }
            // Cargo says this to every bench.
            "--bench" => (),
            _ => return None,
        }
    }
    Some(wish)
}

/// A copy of the sources, with a target folder of its own.
struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let base = target.unwrap_or_else(|| root().join("target")).join("mutate");
        let tree = base.join("tree");
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root())
            .output()
            .expect("git lists the sources");
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            copy_if_newer(&root().join(name), &tree.join(name));
        }
        Self { tree, target: base.join("build") }
    }

    /// Whether the tests of all these pass before anything is broken.
    fn is_sound(&self, parts: &[Part], mutants: &[Mutant]) -> bool {
        let tests = mutants.iter().flat_map(|mutant| tests_of(parts, mutant));
        let mut binaries: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
        for (binary, names) in tests {
            binaries.entry(binary).or_default().extend(names);
        }
        binaries.iter().all(|(binary, names)| {
            self.builds(binary) && self.passes(binary, &names.iter().cloned().collect::<Vec<_>>())
        })
    }

    fn try_mutant(&self, parts: &[Part], mutant: &Mutant) -> Verdict {
        let path = self.tree.join(&mutant.file);
        let sound = fs::read_to_string(&path).expect("the file of a mutant is there");
        assert_eq!(sound.matches(&mutant.find).count(), 1, "{}", mutant.breaks);
        fs::write(&path, sound.replace(&mutant.find, &mutant.put)).expect("the copy is ours");
        let mut verdict = Verdict::Survived;
        for (binary, names) in tests_of(parts, mutant) {
            if !self.builds(&binary) {
                verdict = Verdict::DoesNotCompile;
                break;
            }
            if !self.passes(&binary, &names) {
                verdict = Verdict::Killed;
                break;
            }
        }
        fs::write(&path, sound).expect("the copy is ours");
        verdict
    }

    fn cargo(&self, binary: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        // Built quickly: these tests run for milliseconds.
        command
            .args(["test", "--quiet"])
            .args(binary)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn builds(&self, binary: &[String]) -> bool {
        let status = self.cargo(binary).arg("--no-run").status();
        status.is_ok_and(|status| status.success())
    }

    fn passes(&self, binary: &[String], tests: &[String]) -> bool {
        let mut command = self.cargo(binary);
        let mut child = command.args(["--", "--exact"]).args(tests).spawn().expect("cargo runs");
        let start = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) if start.elapsed() < TESTS_MAX => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(None) | Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return false;
                }
            }
        }
    }
}

/// The rule's tests by test binary: arguments of `cargo test`, and names inside it. Those that go
/// over the wire are left out: the machines have theirs.
fn tests_of(parts: &[Part], mutant: &Mutant) -> Vec<(Vec<String>, Vec<String>)> {
    let rule = table::find_rule(parts, &mutant.breaks).expect("the table was tested");
    let mut found: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for test in rule.tests().iter().filter(|test| !test.starts_with("sip-tests::")) {
        let (place, name) = test.split_once("::").expect("a test stands in a crate");
        let binary = match place.split_once('/') {
            Some((in_crate, binary)) => ["-p", in_crate, "--test", binary].to_vec(),
            None => ["-p", place, "--lib"].to_vec(),
        };
        found
            .entry(binary.iter().map(|arg| (*arg).to_owned()).collect())
            .or_default()
            .push(name.into());
    }
    found.into_iter().collect()
}

/// Copies what has changed, so that little is built again.
fn copy_if_newer(from: &Path, to: &Path) {
    let Ok(content) = fs::read(from) else { return };
    if fs::read(to).is_ok_and(|there| there == content) {
        return;
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).expect("the target folder is ours");
    }
    fs::write(to, content).expect("the target folder is ours");
}
