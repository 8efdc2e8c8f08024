use super::NumberKind::{Emergency, Extension, International, Short, Unknown};
use super::*;

fn germany() -> DialPlan {
    DialPlan {
        country_code: "49".into(),
        national_prefix: "0".into(),
        extension_digits_max: 5,
        short: vec!["116*".into(), "19222".into()],
        emergency: vec!["110".into(), "112".into()],
        ..DialPlan::default()
    }
}

fn america() -> DialPlan {
    DialPlan {
        country_code: "1".into(),
        national_prefix: "1".into(),
        international_prefix: "011".into(),
        emergency: vec!["911".into()],
        ..DialPlan::default()
    }
}

/// Written, meant, and of which kind.
type Row = (&'static str, &'static str, NumberKind);

fn check(plan: &DialPlan, table: &[Row]) {
    for (raw, normalised, kind) in table {
        let read = plan.read(raw);
        let expected = Number { raw: (*raw).into(), normalised: (*normalised).into(), kind: *kind };
        assert_eq!(read, expected);
    }
}

#[test]
fn numbers_are_read_as_their_country_writes_them() {
    let row = |raw, normalised, kind| (raw, normalised, kind);
    check(
        &germany(),
        &[
            row("+4930123456", "+4930123456", International),
            row("+49 (30) 123-456", "+4930123456", International),
            row("004930123456", "+4930123456", International),
            row("030 123456", "+4930123456", International),
            row("+49112", "112", Emergency),
            row("0049112", "112", Emergency),
            row("112;phone-context=+49", "112", Emergency),
            row("112;phone-context=+4930", "112", Emergency),
            row("112;phone-context=house.example", "112", Emergency),
            row("112", "112", Emergency),
            row("+49116117", "116117", Short),
            row("0049-116117", "116117", Short),
            row("116117;phone-context=+49", "116117", Short),
            row("+491161234567", "+491161234567", International),
            row("+49 (0)30 123456", "+4930123456", International),
            row("0049 (0) 30 123456", "+4930123456", International),
            row("0049(0)30 123456", "+4930123456", International),
            row("+44 (0)20 7946 0000", "+442079460000", International),
            row("(0)30 123456", "+4930123456", International),
            row("116117", "116117", Short),
            row("19222", "19222", Short),
            row("4000", "4000", Extension),
            row("30123456;npdi", "+4930123456", International),
            row("30123456;phone-context=+49", "+4930123456", International),
            row("+4930123456789012", "+4930123456789012", Unknown),
            row("+0301234567", "+0301234567", Unknown),
            row("00", "00", Extension),
            row("alice", "alice", Unknown),
            row("anonymous", "anonymous", Unknown),
            row("*61", "*61", Unknown),
            row("", "", Unknown),
            row("+", "+", Unknown),
            row("١٢٣٤٥٦٧", "١٢٣٤٥٦٧", Unknown),
        ],
    );
    check(
        &america(),
        &[
            row("2125551234", "+12125551234", International),
            row("12125551234", "+12125551234", International),
            row("011493012345", "+493012345", International),
            row("911", "911", Emergency),
            row("+1911", "911", Emergency),
            row("5551234", "+15551234", International),
        ],
    );
}

#[test]
fn plans_say_what_digits_without_a_prefix_are() {
    let local = DialPlan { area_code: "30".into(), ..germany() };
    assert_eq!(&*local.read("123456").normalised, "+4930123456");
    let bare = DialPlan { digits_are_international: true, ..germany() };
    assert_eq!(&*bare.read("33123456789").normalised, "+33123456789");
    assert_eq!(&*bare.read("030123456").normalised, "+4930123456");
    // An extension of as many digits comes first.
    assert_eq!(bare.read("49112").kind, Extension);
    let bare = DialPlan { extension_digits_max: 4, ..bare };
    assert_eq!(bare.read("49112").kind, Emergency);
    assert_eq!(bare.emergency_forms().len(), 8);
    for form in bare.emergency_forms() {
        assert_eq!(bare.read(&form).kind, Emergency, "{form}");
    }
    let italy = DialPlan { country_code: "39".into(), ..DialPlan::default() };
    assert_eq!(&*italy.read("+39 (0)6 1234567").normalised, "+39061234567", "it is dialled there");
    assert_eq!(
        DialPlan { short: vec!["1*".into()], ..DialPlan::default() }.read("+1234567").kind,
        International
    );
    let stateless = DialPlan::default();
    assert_eq!(stateless.read("030123456").kind, Unknown);
    assert_eq!(&*stateless.read("0033123456789").normalised, "+33123456789");
}

#[test]
fn numbers_are_written_as_each_trunk_wants_them() {
    let plan = germany();
    let form = |style| NumberForm { style, ..NumberForm::default() };
    let (home, away) = (plan.read("030 123456"), plan.read("+33 1 23456789"));
    let table = [
        (NumberStyle::E164, "+4930123456", "+33123456789"),
        (NumberStyle::Digits, "4930123456", "33123456789"),
        (NumberStyle::International, "004930123456", "0033123456789"),
        (NumberStyle::National, "030123456", "0033123456789"),
        (NumberStyle::Raw, "030 123456", "+33 1 23456789"),
    ];
    for (style, at_home, abroad) in table {
        assert_eq!(&*form(style).write(&home, &plan), at_home);
        assert_eq!(&*form(style).write(&away, &plan), abroad);
        for untouched in ["112", "116117", "4000", "alice"] {
            assert_eq!(&*form(style).write(&plan.read(untouched), &plan), untouched);
        }
    }
    let tech = NumberForm { strip: "+49".into(), prefix: "9900".into(), ..NumberForm::default() };
    assert_eq!(&*tech.write(&home, &plan), "990030123456");
    assert_eq!(&*tech.write(&away, &plan), "9900+33123456789");
    assert_eq!(&*tech.write(&plan.read("110"), &plan), "110");
}

/// Every example number of every region, dialled nationally, internationally and with its `+`, is
/// the same number; and written nationally again it is what was dialled.
#[test]
#[allow(clippy::disallowed_methods)] // The corpus lies outside the repository.
fn the_examples_of_all_regions_are_read() {
    let Some(folder) = std::env::var_os("TRUNKLINE_CORPORA") else { return };
    let path = std::path::Path::new(&folder).join("e164/examples.jsonl");
    let text = std::fs::read_to_string(path).expect("the corpus has its examples");
    let (mut read, mut short) = (0, 0);
    for line in text.lines() {
        let field = |name: &str| {
            let start = line.find(&format!("\"{name}\": \"")).expect(name) + name.len() + 5;
            line[start..].split('"').next().unwrap_or_default().to_owned()
        };
        let (national, e164) = (field("national"), field("e164"));
        if !DIGITS.contains(&(e164.len() - 1)) {
            short += 1;
            continue;
        }
        // Where there is more than one, the corpus has an expression; where there is none, nothing.
        let international_prefix = match field("intl_prefix") {
            prefix if prefix.parse::<u32>().is_ok() => prefix,
            _ => "0011".into(),
        };
        let plan = DialPlan {
            country_code: field("cc").into(),
            national_prefix: field("national_prefix").into(),
            international_prefix: international_prefix.into(),
            ..DialPlan::default()
        };
        let dialled = format!("{}{national}", plan.national_prefix);
        let abroad = format!("{}{}", plan.international_prefix, &e164[1..]);
        for raw in [&e164, &dialled, &abroad] {
            let number = plan.read(raw);
            assert_eq!((&*number.normalised, number.kind), (&*e164, International), "{line}");
        }
        let form = NumberForm { style: NumberStyle::National, ..NumberForm::default() };
        assert_eq!(&*form.write(&plan.read(&e164), &plan), dialled, "{line}");
        read += 1;
    }
    assert!(read > 500 && short < 20, "{read} read, {short} too short");
}
