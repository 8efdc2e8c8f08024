//! `docs/conformance.md`, made from the table.

use crate::table::{Part, Standing};
use std::fmt::Write as _;

/// The whole page.
pub fn page(parts: &[Part]) -> String {
    let mut out = String::from(
        "# Conformance\n\n\
         For every sentence with a MUST, MUST NOT, SHALL or REQUIRED of RFC 3261 §8–§15, §17–§20 and \
         §22, and of RFC 3262, 3264, 3311, 3515, 3891 and 4028: the test that fails when the rule is \
         broken, or why the rule does not apply to Trunkline, or why Trunkline departs from it. The \
         rules are in our words; their order is that of the RFC, so that the third row of a section is \
         its third such sentence.\n\n\
         This page is generated from `src/sip/tests/conformance/rules`: \
         `UPDATE_CONFORMANCE=1 cargo test -p sip --test conformance` writes it anew. The same test checks \
         that each test named here exists and, where the RFC texts are at hand, that no MUST is \
         forgotten. `make mutate` breaks a sample of the rules in the code, one at a time, and \
         expects their tests to fail; `make mutate ARGS=--all` does so with all that \
         `mutants.toml` has.\n\n",
    );
    summary(parts, &mut out);
    let mut rfc = 0;
    for part in parts {
        if part.rfc != rfc {
            rfc = part.rfc;
            let _ = writeln!(out, "\n## RFC {rfc}");
        }
        let _ = writeln!(out, "\n### {}", part.title);
        for section in &part.sections {
            let _ = writeln!(out, "\n#### §{} {}\n", section.number, section.title);
            out.push_str("| Rule | Shown by, or why not |\n|---|---|\n");
            for rule in &section.rules {
                let _ = writeln!(out, "| {} | {} |", cell(&rule.says), standing(&rule.standing));
            }
        }
    }
    out
}

fn summary(parts: &[Part], out: &mut String) {
    out.push_str("| RFC | Rules | Shown by tests | Do not apply | Departed from |\n");
    out.push_str("|---|---:|---:|---:|---:|\n");
    let mut rfcs: Vec<u32> = parts.iter().map(|part| part.rfc).collect();
    rfcs.dedup();
    for rfc in rfcs {
        let mut counts = [0; 3];
        let of_rfc = parts.iter().filter(|part| part.rfc == rfc);
        for rule in of_rfc.flat_map(|part| &part.sections).flat_map(|section| &section.rules) {
            counts[match rule.standing {
                Standing::Shown(_) => 0,
                Standing::DoesNotApply(_) => 1,
                Standing::Departs { .. } => 2,
            }] += 1;
        }
        let [shown, not, departs] = counts;
        let all = shown + not + departs;
        let _ = writeln!(out, "| {rfc} | {all} | {shown} | {not} | {departs} |");
    }
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Shown(tests) => names(tests),
        Standing::DoesNotApply(why) => format!("Does not apply: {}", cell(why)),
        Standing::Departs { why, tests } if tests.is_empty() => format!("Departs: {}", cell(why)),
        Standing::Departs { why, tests } => format!("Departs: {} {}", cell(why), names(tests)),
    }
}

fn names(tests: &[String]) -> String {
    tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
