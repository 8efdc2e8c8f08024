//! A fault in a file that a person wrote: where, what is wrong, what would be right.

use std::fmt;
use std::sync::Arc;

/// One fault in a configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The file, as it was named to the reader.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The path of the key, such as `nodes.open.next`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Collects the faults of one file, so that a reader goes on after the first.
#[derive(Clone, Debug)]
pub struct Faults {
    file: Arc<str>,
    text: Arc<str>,
    list: Vec<Fault>,
}

impl Faults {
    /// As many faults as one file is told of; further ones are dropped, since nobody reads them.
    pub const MAX: usize = 200;

    /// No fault yet in `file`, whose whole content is `text`.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), list: Vec::new() }
    }

    /// Adds a fault at the byte `offset` of the text.
    pub fn add(&mut self, offset: usize, key: &str, problem: String, remedy: String) {
        if self.list.len() >= Self::MAX {
            return;
        }
        let (line, column) = place(&self.text, offset);
        let file = self.file.clone();
        self.list.push(Fault { file, line, column, key: key.to_owned(), problem, remedy });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `value` if nothing was wrong, else the faults in the order of their places.
    ///
    /// # Errors
    /// The faults added, without repetitions.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Vec<Fault>> {
        if self.list.is_empty() {
            return Ok(value);
        }
        self.list.sort_by_key(|fault| (fault.line, fault.column));
        self.list.dedup();
        Err(self.list)
    }
}

/// Line and column (both from 1, the column in characters) of a byte `offset`; an offset beyond the
/// end is the end.
pub fn place(text: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    (count(line + 1), count(before[line_start..].chars().count() + 1))
}

/// The name among `known` that `wrong` was most likely meant to be; `None` if none is near.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The sentence that helps somebody who wrote `wrong`: the nearest name, or all if they are few.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    /// More names than this are a list that nobody reads.
    const LISTED_MAX: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(wrong, known.iter().copied()) {
        return format!("did you mean `{name}`?");
    }
    match known.len() {
        0 => "there is none".to_owned(),
        1..=LISTED_MAX => format!("known: {}", known.join(", ")),
        more => format!("none of the {more} known names is near"),
    }
}

/// How many letters must be added, dropped, changed or swapped with their neighbour to make one
/// word of the other (optimal string alignment distance). Words over 64 letters are far.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_guessed_and_a_strange_word_is_not() {
        let known = ["open", "close", "agent"];
        assert_eq!(nearest("opne", known), Some("open"));
        assert_eq!(nearest("clos", known), Some("close"));
        assert_eq!(nearest("weather", known), None);
        assert_eq!(did_you_mean("agnet", known), "did you mean `agent`?");
        assert_eq!(did_you_mean("weather", known), "known: open, close, agent");
        assert_eq!(did_you_mean("x", []), "there is none");
    }

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "ab\n订单x\n";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, 3), (2, 1));
        assert_eq!(place(text, 9), (2, 3));
        assert_eq!(place(text, 4), (2, 1));
        assert_eq!(place(text, 999), (3, 1));
    }

    #[test]
    fn faults_come_in_the_order_of_the_file() {
        let mut faults = Faults::new("a.toml", "x\ny\n");
        faults.add(2, "y", "is wrong".into(), "write z".into());
        faults.add(0, "x", "is wrong".into(), String::new());
        let told = faults.into_result(()).unwrap_err();
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["a.toml:1:1: x: is wrong", "a.toml:2:1: y: is wrong; write z"]);
        assert_eq!(Faults::new("a.toml", "").into_result(7), Ok(7));
    }
}
