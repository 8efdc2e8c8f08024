//! How many sentences with a MUST (MUST NOT, SHALL, REQUIRED) each section of an RFC has, counted
//! in its text, so that the table forgets none.

use std::collections::BTreeMap;

/// By section, the count; sections without any are left out.
pub fn musts(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut section: Option<String> = None;
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !is_page_edge(line)) {
        if let Some(number) = heading(line) {
            count(section.replace(number), &lines, &mut counts);
            lines.clear();
        } else {
            lines.push(line);
        }
    }
    count(section, &lines, &mut counts);
    counts
}

fn count(section: Option<String>, lines: &[&str], counts: &mut BTreeMap<String, usize>) {
    let found = sentences(lines).iter().filter(|sentence| is_normative(sentence)).count();
    if let Some(number) = section.filter(|_| found > 0) {
        *counts.entry(number).or_default() += found;
    }
}

/// `Rosenberg, et. al.   Standards Track   [Page 35]`, `RFC 3261   SIP   June 2002`.
fn is_page_edge(line: &str) -> bool {
    let ends_in_year = line
        .get(line.len().saturating_sub(4)..)
        .is_some_and(|end| end.bytes().all(|byte| byte.is_ascii_digit()) && end.len() == 4);
    let is_foot = line.contains("[Page ") && line.ends_with(']') && !line.starts_with(' ');
    is_foot || (line.starts_with("RFC ") && ends_in_year) || line.contains('\u{c}')
}

/// The number of a section whose heading the line is; headings stand at the margin.
fn heading(line: &str) -> Option<String> {
    let end = line.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(line.len());
    let (number, title) = line.split_at(end);
    let number = number.trim_end_matches('.');
    let is_number = number.starts_with(|c: char| c.is_ascii_digit()) && !number.contains("..");
    let in_contents = line.contains("....") || line.contains(". . .");
    let has_title = title.starts_with([' ', '\t']) && !title.trim().is_empty();
    (is_number && has_title && !in_contents && line.len() < 75).then(|| number.to_owned())
}

/// Sentences end at a full stop with a capital behind it. A paragraph that a page has torn is put
/// together again.
fn sentences(lines: &[&str]) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    for block in lines.split(|line| line.trim().is_empty()).filter(|block| !block.is_empty()) {
        let words: Vec<&str> = block.iter().flat_map(|line| line.split_whitespace()).collect();
        let text = words.join(" ");
        let goes_on = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '(');
        match paragraphs.last_mut() {
            Some(last) if goes_on && !last.ends_with(['.', ':', ';']) => {
                last.push(' ');
                last.push_str(&text);
            }
            _ => paragraphs.push(text),
        }
    }
    paragraphs.iter().flat_map(|paragraph| split(paragraph)).collect()
}

fn split(paragraph: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut sentence = String::new();
    let mut words = paragraph.split(' ').peekable();
    while let Some(word) = words.next() {
        sentence.push_str(word);
        let begins = |next: &&str| {
            next.starts_with(|c: char| c.is_ascii_uppercase() || c == '"' || c == '(')
        };
        if word.ends_with(['.', '!', '?']) && words.peek().is_some_and(begins) {
            found.push(std::mem::take(&mut sentence));
        } else {
            sentence.push(' ');
        }
    }
    found.push(sentence);
    found
}

/// The sentence that explains the key words is not one of the rules.
fn is_normative(sentence: &str) -> bool {
    let is_key = |word: &str| matches!(word, "MUST" | "SHALL" | "REQUIRED");
    let explains = sentence.contains("\"MUST\"") || sentence.contains("key words");
    !explains && sentence.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_key)
}

#[test]
fn musts_are_counted_by_sentence_and_section() {
    let text = "1. Contents\n\n8 General ........ 3\n\n8 General\n\n   A MUST b. It MUST NOT\n   \
        c, and MUST d. No.\n\nX, et al.   Track   [Page 3]\n\u{c}\nRFC 1   T   June 2002\n\n\
        8.1 Part\n\n   The client, as it\n\nX, et al.   Track   [Page 4]\n\n   is, SHALL e.\n   \
        MUSTARD is none. The key words \"MUST\" neither.\n";
    let expected = [("8".to_owned(), 2), ("8.1".to_owned(), 1)];
    assert_eq!(musts(text), expected.into());
}
