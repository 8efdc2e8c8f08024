//! What is said, as it stands in the file: per language a list of texts and recordings, the texts
//! with `{variables}`.

use crate::spoken::{self, Reading};
use document::section::{ListElement, Section, Value};
use domain::fault::{Faults, did_you_mean};
use domain::prompt::{Language, Prompt};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The longest text said in one piece, in characters: about two minutes.
const TEXT_MAX: usize = 2_000;

/// Variables as a conversation has them.
pub(crate) type Variables = BTreeMap<Arc<str>, Arc<str>>;

/// Something to say, in every language of the flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(BTreeMap<Language, Vec<Piece>>);

#[derive(Clone, Debug)]
enum Piece {
    Text(Template),
    Recorded(Arc<str>),
}

impl Words {
    /// A text taken as it is: braces in it mean nothing.
    pub fn literal(language: Language, text: &str) -> Self {
        let template = Template(vec![Part::Literal(text.into())]);
        Self(BTreeMap::from([(language, vec![Piece::Text(template)])]))
    }

    /// The prompts in `language`, with variables filled in; none where nothing is to be said.
    pub fn prompts(&self, language: Language, variables: &Variables) -> Vec<Prompt> {
        let prompt = |piece: &Piece| match piece {
            Piece::Text(template) => {
                Prompt::Text { language, text: template.spoken(language, variables).into() }
            }
            Piece::Recorded(file) => Prompt::Recorded { file: file.clone() },
        };
        let said = |prompt: &Prompt| !matches!(prompt, Prompt::Text { text, .. } if text.trim().is_empty());
        let pieces = self.0.get(&language).map_or(&[][..], Vec::as_slice);
        pieces.iter().map(prompt).filter(said).collect()
    }

    /// The prompts that are the same in every conversation: recordings and texts without variables.
    fn fixed(&self) -> impl Iterator<Item = Prompt> {
        self.0.iter().flat_map(|(language, pieces)| {
            pieces.iter().filter_map(|piece| match piece {
                Piece::Recorded(file) => Some(Prompt::Recorded { file: file.clone() }),
                Piece::Text(Template(parts)) => match &parts[..] {
                    [Part::Literal(text)] => Some(Prompt::text(*language, text)),
                    _ => None,
                },
            })
        })
    }

    /// The texts alone, to be put into another text.
    pub fn text(&self, language: Language, variables: &Variables) -> String {
        let pieces = self.0.get(&language).map_or(&[][..], Vec::as_slice);
        let texts = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(template) => Some(template.spoken(language, variables)),
            Piece::Recorded(_) => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// A text with variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Literal(Arc<str>),
    Variable { name: Arc<str>, reading: Reading },
}

impl Template {
    /// The text with values read out as words of `language`; an unset variable is silent.
    pub fn spoken(&self, language: Language, variables: &Variables) -> String {
        self.fill(|name, reading| {
            let value = variables.get(name)?;
            Some(spoken::read_out(language, value, reading))
        })
    }

    /// The text as a URL: values are percent-encoded, except where one begins the URL, since it is
    /// then the address of the service, given by configuration.
    pub fn url(&self, variables: &Variables) -> String {
        let mut at_start = true;
        self.fill(|name, _| {
            let value = variables.get(name)?;
            let address = std::mem::replace(&mut at_start, false) && self.begins_with(name);
            Some(if address { value.to_string() } else { percent_encoded(value) })
        })
    }

    fn begins_with(&self, variable: &str) -> bool {
        matches!(self.0.first(), Some(Part::Variable { name, .. }) if **name == *variable)
    }

    fn fill(&self, mut value: impl FnMut(&str, Reading) -> Option<String>) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Variable { name, reading } => {
                    filled.push_str(&value(name, *reading).unwrap_or_default());
                }
            }
        }
        filled
    }

    /// Reads a text; `variables` are the names that may stand in it.
    ///
    /// # Errors
    /// `(problem, remedy)` for the first fault of the text.
    fn parse(text: &str, variables: &BTreeSet<String>) -> Result<Self, (String, String)> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let no_pair = || {
                let remedy = "write a variable as {name}".to_owned();
                ("a brace without its partner".to_owned(), remedy)
            };
            let (before, after) = (&rest[..open], &rest[open + 1..]);
            let close = after.find('}').filter(|_| rest[open..].starts_with('{'));
            let inside = &after[..close.ok_or_else(no_pair)?];
            rest = &after[inside.len() + 1..];
            if !before.is_empty() {
                parts.push(Part::Literal(before.into()));
            }
            let (name, reading) = match inside.split_once(':') {
                None => (inside, Reading::Plain),
                Some((name, "digits")) => (name, Reading::Digits),
                Some((name, "number")) => (name, Reading::Number),
                Some((_, other)) => {
                    let remedy = did_you_mean(other, ["digits", "number"]);
                    return Err((format!("`{other}` is no way of reading a value"), remedy));
                }
            };
            if !variables.contains(name) {
                let remedy = did_you_mean(name, variables.iter().map(String::as_str));
                return Err((format!("there is no variable `{name}`"), remedy));
            }
            parts.push(Part::Variable { name: name.into(), reading });
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts))
    }
}

/// All but the unreserved characters as `%XX` (RFC 3986 §2.1, §2.3). A value of dots alone would
/// climb up the path (§5.2.4), encoded or not, and becomes nothing.
fn percent_encoded(value: &str) -> String {
    if value.bytes().all(|byte| byte == b'.') {
        return String::new();
    }
    let mut encoded = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// What a text of the file may refer to.
pub(crate) struct WordsReader<'a> {
    pub languages: Vec<Language>,
    pub variables: BTreeSet<String>,
    pub recordings: &'a BTreeSet<String>,
    pub faults: &'a RefCell<Faults>,
    /// The prompts read so far that are the same in every conversation.
    pub fixed: RefCell<BTreeSet<Prompt>>,
}

impl WordsReader<'_> {
    /// The words under `key`; its absence is a fault.
    pub fn required(&self, section: &Section<'_>, key: &'static str) -> Words {
        section.required(key, "\"the text to say\"").map_or_else(Words::default, |v| self.words(&v))
    }

    /// The words under `key`, if there are any.
    pub fn optional(&self, section: &Section<'_>, key: &'static str) -> Option<Words> {
        section.optional(key).map(|value| self.words(&value))
    }

    /// The list of words under `key`; absent is empty.
    pub fn list(&self, section: &Section<'_>, key: &'static str) -> Vec<Words> {
        let Some(value) = section.optional(key) else { return Vec::new() };
        let list = value.list();
        if list.len() > 5 {
            value.fault("has more than 5 phrases".to_owned(), "nobody listens to a 6th".to_owned());
        }
        let words =
            |element: &ListElement<'_>| self.words_of(element.value, &element.path, element.offset);
        let list: Vec<Words> = list.iter().map(words).collect();
        self.fixed.borrow_mut().extend(list.iter().flat_map(Words::fixed));
        list
    }

    /// The template in the text of `value`.
    pub fn template(&self, value: &Value<'_>) -> Template {
        let text = value.text().unwrap_or_default();
        self.template_of(text, &value.path, value.offset)
    }

    fn words(&self, value: &Value<'_>) -> Words {
        let words = self.read_words(value);
        self.fixed.borrow_mut().extend(words.fixed());
        words
    }

    fn read_words(&self, value: &Value<'_>) -> Words {
        if let Some(inner) = value.item.as_value() {
            return self.words_of(inner, &value.path, value.offset);
        }
        match value.item.as_table_like() {
            Some(table) => self.words_of_table(table, &value.path, value.offset),
            None => {
                value.wrong_type("a text, or a text for each language");
                Words::default()
            }
        }
    }

    fn words_of(&self, value: &toml_edit::Value, path: &str, offset: usize) -> Words {
        if let Some(table) = value.as_inline_table() {
            return self.words_of_table(table, path, offset);
        }
        if self.languages.len() > 1 && !has_no_text(value) {
            let codes: Vec<_> = self.languages.iter().map(|language| language.code()).collect();
            let problem = "is one text, and the flow speaks several languages".to_owned();
            let each: Vec<String> = codes.iter().map(|code| format!("{code} = \"…\"")).collect();
            self.fault(offset, path, problem, format!("write {{ {} }}", each.join(", ")));
        }
        let pieces = self.pieces(value, path, offset);
        Words(self.languages.iter().map(|language| (*language, pieces.clone())).collect())
    }

    fn words_of_table(&self, table: &dyn toml_edit::TableLike, path: &str, offset: usize) -> Words {
        if let Some(recorded) = table.get("recorded").and_then(|item| item.as_value()) {
            let pieces = vec![self.recorded(recorded, table.len(), path, offset)];
            return Words(self.languages.iter().map(|l| (*l, pieces.clone())).collect());
        }
        let mut words = BTreeMap::new();
        for (code, item) in table.iter() {
            let path = format!("{path}.{code}");
            let offset = item.span().map_or(offset, |span| span.start);
            let language = Language::from_code(code).filter(|l| self.languages.contains(l));
            match (language, item.as_value()) {
                (Some(language), Some(value)) => {
                    words.insert(language, self.pieces(value, &path, offset));
                }
                (Some(_), None) => self.wrong_piece(&path, offset),
                (None, _) => {
                    let codes = self.languages.iter().map(|language| language.code());
                    let remedy = did_you_mean(code, codes.chain(["recorded"]));
                    let problem = format!("`{code}` is no language of this flow");
                    self.fault(offset, &path, problem, remedy);
                }
            }
        }
        for language in self.languages.iter().filter(|language| !words.contains_key(language)) {
            let problem = format!("has no text in language `{language}`");
            self.fault(offset, path, problem, format!("write {language} = \"…\""));
        }
        Words(words)
    }

    fn pieces(&self, value: &toml_edit::Value, path: &str, offset: usize) -> Vec<Piece> {
        match value {
            toml_edit::Value::Array(list) => {
                let pieces = list.iter().map(|value| {
                    let offset = value.span().map_or(offset, |span| span.start);
                    self.piece(value, path, offset)
                });
                pieces.flatten().collect()
            }
            other => self.piece(other, path, offset).into_iter().collect(),
        }
    }

    fn piece(&self, value: &toml_edit::Value, path: &str, offset: usize) -> Option<Piece> {
        if let Some(text) = value.as_str() {
            return Some(Piece::Text(self.template_of(text, path, offset)));
        }
        let table = value.as_inline_table();
        if let Some((table, file)) = table.and_then(|t| Some((t, t.get("recorded")?))) {
            return Some(self.recorded(file, table.len(), path, offset));
        }
        self.wrong_piece(path, offset);
        None
    }

    fn recorded(&self, file: &toml_edit::Value, keys: usize, path: &str, offset: usize) -> Piece {
        let offset = file.span().map_or(offset, |span| span.start);
        let name = file.as_str().unwrap_or_default();
        if keys > 1 {
            let problem = "has other keys beside `recorded`".to_owned();
            self.fault(offset, path, problem, "write { recorded = \"file.wav\" } alone".to_owned());
        }
        if !self.recordings.contains(name) {
            let remedy = did_you_mean(name, self.recordings.iter().map(String::as_str));
            self.fault(offset, path, format!("there is no recording `{name}`"), remedy);
        }
        Piece::Recorded(name.into())
    }

    fn template_of(&self, text: &str, path: &str, offset: usize) -> Template {
        if text.chars().count() > TEXT_MAX {
            let problem = format!("is longer than {TEXT_MAX} characters");
            self.fault(offset, path, problem, "say less, or in several nodes".to_owned());
        }
        Template::parse(text, &self.variables).unwrap_or_else(|(problem, remedy)| {
            self.fault(offset, path, problem, remedy);
            Template(Vec::new())
        })
    }

    fn wrong_piece(&self, path: &str, offset: usize) {
        let remedy = "write a text, { recorded = \"file.wav\" }, or a list of these".to_owned();
        self.fault(offset, path, "is nothing that can be said".to_owned(), remedy);
    }

    fn fault(&self, offset: usize, path: &str, problem: String, remedy: String) {
        self.faults.borrow_mut().add(offset, path, problem, remedy);
    }
}

/// Whether the value needs no translation: recordings alone, or nothing.
fn has_no_text(value: &toml_edit::Value) -> bool {
    match value {
        toml_edit::Value::Array(list) => list.iter().all(has_no_text),
        toml_edit::Value::String(text) => text.value().is_empty(),
        _ => false,
    }
}
