//! A file of intents: example sentences by language, and the values to look for in a sentence.
//!
//! The format is described for its writers in `docs/write-a-flow.md`.

use crate::slot::{Slot, SlotKind};
use domain::fault::{Fault, Faults, did_you_mean};
use domain::prompt::Language;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml_edit::{ImDocument, Item, TableLike};

/// Intents and their example sentences.
#[derive(Clone, Debug, Default)]
pub struct IntentSet {
    pub(crate) name: Arc<str>,
    pub(crate) version: u32,
    pub(crate) intents: BTreeMap<Arc<str>, Sentences>,
    /// Sentences that are none of these.
    pub(crate) background: Sentences,
    pub(crate) slots: Vec<Slot>,
}

/// Sentences by language.
pub(crate) type Sentences = BTreeMap<Language, Vec<Arc<str>>>;

/// As many intents as one set may have.
const INTENTS_MAX: usize = 500;

/// As many sentences as one set may have.
const SENTENCES_MAX: usize = 50_000;

/// Fewer examples than these cannot show what an intent is.
const EXAMPLES_MIN: usize = 3;

impl IntentSet {
    /// Reads a file of intents. `file_name` is used in faults, and its stem is the set's name.
    ///
    /// # Errors
    /// Every fault found, in the order of the file; a fault of TOML's own grammar hides the others.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new(file_name, text);
        let mut set = Self { name: stem(file_name).into(), ..Self::default() };
        match ImDocument::parse(text) {
            Ok(document) => Reader { faults: &mut faults }.set(document.as_table(), &mut set),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let problem = error.message().trim().replace('\n', ", ");
                faults.add(offset, "", problem, "write it as TOML 1.0".to_owned());
            }
        }
        faults.into_result(set)
    }

    /// A set made of `(sentence, intent)`, for sets that come from elsewhere than a file; `None` is
    /// a sentence of no intent. All are taken as `language`.
    pub fn from_examples<'a>(
        name: &str,
        language: Language,
        examples: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Self {
        let mut set = Self { name: name.into(), version: 1, ..Self::default() };
        for (sentence, intent) in examples.into_iter().take(SENTENCES_MAX) {
            let sentences = match intent {
                Some(intent) => set.intents.entry(intent.into()).or_default(),
                None => &mut set.background,
            };
            sentences.entry(language).or_default().push(sentence.into());
        }
        set
    }

    /// The set's name: the stem of its file.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The version its writer gave it.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The names of its intents, in alphabetical order.
    pub fn intents(&self) -> impl Iterator<Item = &Arc<str>> {
        self.intents.keys()
    }

    /// The names of the values it looks for.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<str>> {
        self.slots.iter().map(|slot| &slot.name)
    }

    /// All example sentences of a language, for the recogniser's grammar; empty where the set has
    /// none.
    pub fn phrases(&self, language: Language) -> Arc<[Arc<str>]> {
        let sentences = self.intents.values().filter_map(|sentences| sentences.get(&language));
        sentences.flatten().cloned().collect()
    }

    /// The languages of its examples.
    pub fn languages(&self) -> Vec<Language> {
        let has = |language: &Language| {
            self.intents.values().any(|sentences| sentences.contains_key(language))
        };
        [Language::English, Language::Mandarin].into_iter().filter(has).collect()
    }
}

/// The file's name without folder and ending.
fn stem(file_name: &str) -> &str {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    name.strip_suffix(".toml").unwrap_or(name)
}

/// Walks the document and collects faults.
struct Reader<'f> {
    faults: &'f mut Faults,
}

impl Reader<'_> {
    fn set(&mut self, root: &dyn TableLike, set: &mut IntentSet) {
        self.refuse_unknown(root, "", &["version", "intents", "slots", "background"]);
        let version = root.get("version");
        match version.and_then(Item::as_integer).map(u32::try_from) {
            Some(Ok(version)) if version > 0 => set.version = version,
            _ => self.fault(version, "version", "is no version", "write version = 1"),
        }
        let intents = root.get("intents");
        for (name, item) in self.entries(intents, "intents") {
            let sentences = self.sentences(item, &format!("intents.{name}"));
            let examples: usize = sentences.values().map(Vec::len).sum();
            if examples < EXAMPLES_MIN {
                let problem = format!("has {examples} examples");
                let remedy = format!("write at least {EXAMPLES_MIN}, better 20");
                self.fault(Some(item), &format!("intents.{name}"), &problem, &remedy);
            }
            set.intents.insert(name.into(), sentences);
        }
        if !(2..=INTENTS_MAX).contains(&set.intents.len()) {
            let problem = format!("has {} intents", set.intents.len());
            let remedy = format!("write 2 to {INTENTS_MAX}: [intents.NAME]");
            self.fault(intents, "intents", &problem, &remedy);
        }
        if let Some(background) = root.get("background") {
            set.background = self.sentences(background, "background");
        }
        if let Some(slots) = root.get("slots") {
            for (name, item) in self.entries(Some(slots), "slots") {
                set.slots.extend(self.slot(name, item));
            }
        }
        self.refuse_doubles(root, set);
    }

    /// The sentences of one intent or of the background: a list for each language.
    fn sentences(&mut self, item: &Item, path: &str) -> Sentences {
        let mut sentences = Sentences::new();
        for (code, list) in self.entries(Some(item), path) {
            let path = format!("{path}.{code}");
            let Some(language) = Language::from_code(code) else {
                let remedy = did_you_mean(code, ["en", "zh"]);
                self.fault(Some(list), &path, "is no language", &remedy);
                continue;
            };
            let Some(list) = list.as_array() else {
                self.fault(Some(list), &path, "is no list", "write [\"a sentence\", …]");
                continue;
            };
            for value in list {
                let offset = value.span().map_or(0, |span| span.start);
                match value.as_str().filter(|text| !text.trim().is_empty()) {
                    Some(text) => sentences.entry(language).or_default().push(text.into()),
                    None => self.faults.add(
                        offset,
                        &path,
                        "is no sentence".to_owned(),
                        "write a text in quotes".to_owned(),
                    ),
                }
            }
        }
        sentences
    }

    fn slot(&mut self, name: &str, item: &Item) -> Option<Slot> {
        let path = format!("slots.{name}");
        let Some(table) = item.as_table_like() else {
            self.fault(Some(item), &path, "is no table", "write { kind = \"digits\" }");
            return None;
        };
        self.refuse_unknown(table, &path, &["kind", "digits_min", "digits_max"]);
        let word = table.get("kind").and_then(Item::as_str).unwrap_or_default();
        let Some(kind) = SlotKind::from_word(word) else {
            let remedy = did_you_mean(word, SlotKind::WORDS);
            let at = table.get("kind").or(Some(item));
            self.fault(at, &format!("{path}.kind"), &format!("`{word}` is no kind"), &remedy);
            return None;
        };
        let mut length = |key: &str, default: u8| {
            let Some(item) = table.get(key) else { return default };
            let number = item.as_integer().and_then(|number| u8::try_from(number).ok());
            match number.filter(|number| (1..=32).contains(number)) {
                Some(number) => number,
                None => {
                    let path = format!("{path}.{key}");
                    self.fault(Some(item), &path, "is out of range", "write 1 to 32");
                    default
                }
            }
        };
        let (digits_min, digits_max) = (length("digits_min", 1), length("digits_max", 32));
        Some(Slot { name: name.into(), kind, digits_min, digits_max })
    }

    /// The same sentence under two intents teaches nothing.
    fn refuse_doubles(&mut self, root: &dyn TableLike, set: &IntentSet) {
        let mut seen: BTreeMap<Vec<String>, &Arc<str>> = BTreeMap::new();
        for (intent, sentences) in &set.intents {
            for sentence in sentences.values().flatten() {
                let words = crate::normalize::words(sentence);
                match seen.insert(words, intent).filter(|other| *other != intent) {
                    None => (),
                    Some(other) => {
                        let intents = root.get("intents").and_then(Item::as_table_like);
                        let at = intents.and_then(|intents| intents.get(intent));
                        let problem = format!("\"{sentence}\" is an example of `{other}` too");
                        let path = format!("intents.{intent}");
                        self.fault(at, &path, &problem, "leave it to one of them");
                    }
                }
            }
        }
    }

    fn entries<'a>(&mut self, item: Option<&'a Item>, path: &str) -> Vec<(&'a str, &'a Item)> {
        match item.and_then(Item::as_table_like) {
            Some(table) => table.iter().collect(),
            None => {
                self.fault(item, path, "is no table", &format!("write [{path}]"));
                Vec::new()
            }
        }
    }

    fn refuse_unknown(&mut self, table: &dyn TableLike, path: &str, known: &[&str]) {
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(key)) {
            let span = table.get_key_value(key).and_then(|(key, _)| key.span());
            let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let remedy = did_you_mean(key, known.iter().copied());
            let problem = "is no key of this table".to_owned();
            self.faults.add(span.map_or(0, |span| span.start), &path, problem, remedy);
        }
    }

    fn fault(&mut self, at: Option<&Item>, path: &str, problem: &str, remedy: &str) {
        let offset = at.and_then(Item::span).map_or(0, |span| span.start);
        self.faults.add(offset, path, problem.to_owned(), remedy.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
version = 2
[intents.a]
en = ["one of a", "two of a", "three of a"]
zh = ["甲一"]
[intents.b]
en = ["one of b", "two of b", "three of b"]
[background]
en = ["something else"]
[slots.order_number]
kind = "digits"
digits_min = 4
"#;

    #[test]
    fn a_good_file_is_read_whole() {
        let set = IntentSet::parse("config/intents/test.toml", GOOD).unwrap();
        assert_eq!((&**set.name(), set.version()), ("test", 2));
        assert_eq!(set.intents().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(set.phrases(Language::Mandarin).len(), 1);
        assert_eq!(set.phrases(Language::English).len(), 6);
        assert_eq!(set.slots().map(|name| &**name).collect::<Vec<_>>(), ["order_number"]);
        assert_eq!(set.languages(), [Language::English, Language::Mandarin]);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let bad = GOOD
            .replace("version = 2", "version = 0\nverzion = 1")
            .replace("two of b", "two of a")
            .replace("zh = [", "fr = [")
            .replace("\"digits\"", "\"digit\"")
            .replace("digits_min = 4", "digits_min = 40")
            .replace("\"something else\"", "7");
        let faults = IntentSet::parse("t.toml", &bad).unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let expected = [
            "t.toml:2:11: version: is no version; write version = 1",
            "t.toml:3:1: verzion: is no key of this table; did you mean `version`?",
            "t.toml:6:6: intents.a.fr: is no language; known: en, zh",
            "t.toml:7:1: intents.b: \"two of a\" is an example of `a` too; leave it to one of them",
            "t.toml:10:7: background.en: is no sentence; write a text in quotes",
            "t.toml:12:8: slots.order_number.kind: `digit` is no kind; did you mean `digits`?",
        ];
        assert_eq!(told, expected);
        let faults = IntentSet::parse("t.toml", "version = ").unwrap_err();
        assert_eq!(faults.len(), 1);
    }
}
