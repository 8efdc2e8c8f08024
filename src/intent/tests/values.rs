//! Values found in outside sentences.

use super::corpora::{assert_at_least, folder, read};
use crate::slot::{Slot, SlotKind};
use serde_json::Value;
use std::path::PathBuf;

/// The cases of a file that have exactly one value, as `(text, value)`.
fn cases(file: PathBuf) -> Vec<(String, Value)> {
    let json: Value = serde_json::from_str(&read(file)).unwrap();
    let case = |case: &Value| {
        let text = case["Input"].as_str()?.to_owned();
        let [result] = case["Results"].as_array()?.as_slice() else { return None };
        Some((text, result["Resolution"]["value"].clone()))
    };
    json.as_array().unwrap().iter().filter_map(case).collect()
}

fn measure(
    name: &str,
    kind: SlotKind,
    cases: &[(String, Value)],
    wanted: impl Fn(&Value) -> Option<String>,
) -> f64 {
    let slot = Slot { name: "x".into(), kind, digits_min: 1, digits_max: 32 };
    let (mut right, mut all) = (0.0, 0.0_f64);
    for (text, value) in cases {
        let Some(wanted) = wanted(value) else { continue };
        all += 1.0;
        right += if slot.find(text) == Some(wanted) { 1.0 } else { 0.0 };
    }
    eprintln!("{name}: {:.1} % of {all}", 100.0 * right / all.max(1.0));
    right / all.max(1.0)
}

#[test]
fn values_of_outside_sentences() {
    let Some(folder) = folder("entities-recognizers") else { return };
    let yes_no =
        |value: &Value| value.as_bool().map(|yes| if yes { "yes" } else { "no" }.to_owned());
    // Whole numbers that a caller may say; fractions and millions are not looked for.
    let whole = |value: &Value| {
        let number: u32 = value.as_str()?.parse().ok()?;
        (number < 1_000_000).then(|| number.to_string())
    };
    let phone = |value: &Value| {
        let kept = |c: &char| c.is_ascii_digit() || *c == '+';
        Some(value.as_str()?.chars().filter(kept).collect::<String>())
    };
    for (language, floors) in [("English", [0.9, 0.5, 0.93]), ("Chinese", [0.7, 0.7, 0.92])] {
        let file = |model: &str| cases(folder.join(language).join(format!("{model}.json")));
        let measured = [
            measure("yes and no", SlotKind::YesNo, &file("Choice.BooleanModel"), yes_no),
            measure("numbers", SlotKind::Number, &file("Number.NumberModel"), whole),
            measure("telephone", SlotKind::Phone, &file("Sequence.PhoneNumberModel"), phone),
        ];
        for (measured, floor) in measured.into_iter().zip(floors) {
            assert_at_least(language, measured, floor);
        }
    }
}
