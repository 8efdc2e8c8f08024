//! Lists as merchants send them: good rows, faulty rows, and files that are no lists at all.

use super::*;

type Rows = Vec<Result<(u64, String, Option<String>), Fault>>;

fn read(reader: fn(&[u8], Take<'_>) -> Result<(), Problem>, text: &[u8]) -> Result<Rows, Problem> {
    let mut rows = Vec::new();
    reader(text, &mut |place, row| {
        let at = match place {
            Place::Line(at) | Place::Index(at) => at,
        };
        rows.push(row.map(|row| {
            (at, row.number.to_string(), row.payload.map(|payload| payload.to_string()))
        }));
        Ok(())
    })?;
    Ok(rows)
}

fn line(line: u64, detail: &str) -> Result<(u64, String, Option<String>), Fault> {
    Err(Place::Line(line).fault(detail))
}

#[test]
fn a_csv_list_keeps_its_good_rows_and_names_the_lines_of_the_others() {
    let text = b"\xef\xbb\xbfName; Number ;Priority\r\n\
        Anna;+49 (30) 123-456;\r\n\
        \"Bert; the \n second\";110;5\r\n\
        Carl;12x4;1\r\n\
        Dora;+4930\r\n\
        Emil;+4930777;soon\r\n\
        F\xff;+4930778;1\r\n";
    let expected: Rows = vec![
        Ok((2, "+4930123456".into(), Some(r#"{"name":"Anna"}"#.into()))),
        Ok((3, "110".into(), Some(r#"{"name":"Bert; the \n second"}"#.into()))),
        line(5, "column \"number\": a telephone number has no 'x'"),
        line(6, "2 values, but the first line names 3 columns"),
        line(7, "column \"priority\": \"soon\" is not a whole number"),
        line(8, "column \"name\" is not UTF-8"),
    ];
    assert_eq!(read(read_csv, text), Ok(expected));
}

#[test]
fn an_unusable_first_line_is_refused_with_the_likely_column() {
    for (text, expected) in [
        ("", "the first line names no column \"number\""),
        ("numbr\n110", "the first line names no column \"number\"; rename \"numbr\"?"),
        ("number,number\n1,2", "the column \"number\" is there twice"),
        ("n\u{ff},number", "the first line is not UTF-8"),
    ] {
        let text: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
        assert_eq!(read(read_csv, &text).unwrap_err().detail, expected);
    }
    let many = (0..65).map(|count| format!("c{count},")).collect::<String>() + "number\n";
    let refused = read(read_csv, many.as_bytes()).unwrap_err();
    assert_eq!(refused.detail, "a list has at most 64 columns");
}

#[test]
fn an_open_quotation_mark_is_suspected_where_a_row_never_ends() {
    let text = format!("number,name\n110,\"Anna\n{}", "110,Bert\n".repeat(60));
    let rows = read(read_csv, text.as_bytes()).unwrap();
    let detail = "the row goes on over 61 lines: is a quotation mark left open?";
    assert_eq!(rows, vec![line(2, detail)]);
}

#[test]
fn a_json_list_keeps_its_good_elements_and_points_at_the_others() {
    let long = "7".repeat(20_000);
    let text = format!(
        r#"[{{"number":"+49 30 1","payload":{{"a":1}}}}, {{"number":110}}, 5,
            {{"nubmer":"110"}}, {{"number":"x"}}, {{"number":"{long}"}},
            {{"number":"112","key":""}}, {{"number":"112","priority":3,"key":"k"}}]"#
    );
    let at = |pointer: &str, detail: &str| Err(Fault::at(pointer, detail));
    let expected: Rows = vec![
        Ok((0, "+49301".into(), Some(r#"{"a":1}"#.into()))),
        at("/1/number", "invalid type: integer `110`, expected a string"),
        at("/2", "invalid type: integer `5`, expected struct ContactForm"),
        at("/3/nubmer", "there is no field \"nubmer\"; did you mean \"number\"?"),
        at("/4/number", "a telephone number has no 'x'"),
        at("/5", "a contact has at most 16384 bytes"),
        at("/6/key", "a key has 1 to 200 letters"),
        Ok((7, "112".into(), None)),
    ];
    assert_eq!(read(read_json, text.as_bytes()), Ok(expected));
}

#[test]
fn what_is_no_json_list_is_refused_as_a_whole() {
    let kind = |text: &str| read(read_json, text.as_bytes()).unwrap_err().kind;
    assert_eq!(kind(r#"{"number":"110"}"#), Kind::Invalid);
    assert_eq!(kind(r#"[{"number":"110"}"#), Kind::JsonMalformed);
    assert_eq!(kind(r#"[{"number":"110"}] x"#), Kind::JsonMalformed);
    assert_eq!(kind(""), Kind::JsonMalformed);
    // Depth is bounded by the reader, not by our stack.
    assert_eq!(kind(&"[".repeat(1_000_000)), Kind::JsonMalformed);
}

#[test]
fn the_reading_ends_when_the_taker_says_so() {
    for (reader, text) in [
        (read_csv as fn(&[u8], Take<'_>) -> Result<(), Problem>, "number\n110\n112\n"),
        (read_json, r#"[{"number":"110"},{"number":"112"}]"#),
    ] {
        let mut seen = 0;
        let ended = reader(text.as_bytes(), &mut |_, _| {
            seen += 1;
            Err(too_many(0))
        });
        assert_eq!((ended.unwrap_err().kind, seen), (Kind::TooManyRows, 1));
    }
}
