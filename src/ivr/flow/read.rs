//! Reads a flow's head and those nodes that ask nothing.

use super::node::{Branch, Fetch, Hangup, Node, NodeIndex, Phrases, Queue, Say, SwitchLanguage};
use super::words::WordsReader;
use super::{Flow, Known, Timing, check, read_question, unreachable_flow};
use crate::event::QueueRefusal;
use document::section::{Section, Value};
use domain::fault::{Faults, did_you_mean};
use domain::prompt::Language;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use toml_edit::Table;

/// Values that every conversation has.
pub(crate) const BUILT_IN: [&str; 9] = [
    "caller",
    "caller_number",
    "caller_verstat",
    "caller_attestation",
    "dialled_number",
    "means",
    "first",
    "second",
    "callback_number",
];

/// The kinds of node.
const KINDS: [&str; 10] =
    ["say", "ask", "menu", "collect", "fetch", "branch", "queue", "callback", "language", "hangup"];

/// What the readers of nodes need to know of the whole.
pub(super) struct Reader<'a> {
    pub words: WordsReader<'a>,
    pub known: &'a Known,
    pub nodes: BTreeMap<&'a str, NodeIndex>,
    /// Variables set by the file or by configuration, not by callers or services.
    pub configured: BTreeSet<String>,
}

/// Reads the whole document. Where anything is wrong, a fault is added and some flow is returned
/// that nobody will see.
pub(super) fn flow(name: &str, root: &Table, known: &Known, faults: &RefCell<Faults>) -> Flow {
    let head = Section::new(root, String::new(), 0, faults);
    let version = u32::try_from(version(&head)).unwrap_or(0);
    let languages = languages(&head);
    let variables = variables(&head);
    let timing = timing(&head);
    let start = head.required("start", "\"name_of_the_first_node\"");
    let nodes = head.required("nodes", "a table of nodes: [nodes.NAME]");
    head.finish();
    let entries = nodes.and_then(|nodes| nodes.section()).map_or_else(Vec::new, |s| s.entries());
    if entries.is_empty() || entries.len() > Flow::NODES_MAX {
        let problem = format!("the flow has {} nodes", entries.len());
        let remedy = format!("write 1 to {}", Flow::NODES_MAX);
        faults.borrow_mut().add(0, "nodes", problem, remedy);
        return unreachable_flow();
    }
    let mut names: BTreeSet<String> = BUILT_IN.iter().map(ToString::to_string).collect();
    let configured = variables.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
    names.extend(configured.iter().cloned());
    names.extend(known.intent_sets.values().flat_map(|set| set.slots.iter().cloned()));
    names.extend(entries.iter().flat_map(|(_, node)| names_set_by(node)));
    let reader = Reader {
        words: WordsReader {
            languages: languages.clone(),
            variables: names,
            recordings: &known.recordings,
            faults,
            fixed: RefCell::default(),
        },
        known,
        nodes: entries.iter().enumerate().map(|(at, (name, _))| (*name, NodeIndex(at))).collect(),
        configured,
    };
    let start = start.map_or(NodeIndex(0), |start| reader.node_named(&start));
    let read = |(name, value): &(&str, Value<'_>)| (Arc::from(*name), reader.read_node(value));
    let nodes = entries.iter().map(read).collect();
    let fixed_prompts = reader.words.fixed.borrow().iter().cloned().collect();
    let flow = Flow {
        name: name.into(),
        version,
        languages,
        start,
        variables,
        timing,
        nodes,
        fixed_prompts,
    };
    if faults.borrow().is_empty() {
        let offsets: Vec<usize> = entries.iter().map(|(_, value)| value.offset).collect();
        check::check(&flow, &offsets, faults);
    }
    flow
}

fn version(head: &Section<'_>) -> i64 {
    head.required("version", "1");
    head.integer("version", 1..=i64::from(u32::MAX), 1)
}

fn languages(head: &Section<'_>) -> Vec<Language> {
    let Some(value) = head.required("languages", "[\"en\"]") else {
        return vec![Language::English];
    };
    let mut languages = Vec::new();
    for element in value.list() {
        match element.value.as_str().and_then(Language::from_code) {
            Some(language) if !languages.contains(&language) => languages.push(language),
            Some(language) => value.fault(format!("names {language} twice"), "once".to_owned()),
            None => value.fault(
                format!("{} is no language", element.value.to_string().trim()),
                "known: en, zh".to_owned(),
            ),
        }
    }
    if languages.is_empty() {
        value.fault("names no language".to_owned(), "write [\"en\"] or [\"zh\"]".to_owned());
        languages.push(Language::English);
    }
    languages
}

fn variables(head: &Section<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(section) = head.optional("variables").and_then(|value| value.section()) else {
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for (name, value) in section.entries() {
        if BUILT_IN.contains(&name) {
            let problem = format!("`{name}` is set by the program");
            value.fault(problem, "choose another name".to_owned());
        }
        variables.insert(name.into(), value.text().unwrap_or_default().into());
    }
    variables
}

fn timing(head: &Section<'_>) -> Timing {
    let default = Timing::default();
    let Some(section) = head.optional("timing").and_then(|value| value.section()) else {
        return default;
    };
    let milliseconds = |key, default: Duration| {
        let default = i64::try_from(default.as_millis()).unwrap_or(i64::MAX);
        duration(section.integer(key, 200..=60_000, default))
    };
    let timing = Timing {
        no_input: milliseconds("no_input_ms", default.no_input),
        inter_digit: milliseconds("inter_digit_ms", default.inter_digit),
        hearing: milliseconds("hearing_ms", default.hearing),
        classify: milliseconds("classify_ms", default.classify),
    };
    section.finish();
    timing
}

/// The variables that a node sets, found before the nodes are read, since any may use them.
fn names_set_by(node: &Value<'_>) -> Vec<String> {
    let Some(table) = node.item.as_table_like() else { return Vec::new() };
    let into = table.get("into").and_then(|item| item.as_str()).map(str::to_owned);
    let take = table.get("take").and_then(|item| item.as_table_like());
    let taken = take.into_iter().flat_map(|take| take.iter().map(|(name, _)| name.to_owned()));
    into.into_iter().chain(taken).collect()
}

/// A duration from milliseconds already checked to be positive.
pub(super) fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

impl Reader<'_> {
    fn read_node(&self, value: &Value<'_>) -> Node {
        let Some(section) = value.section() else { return Node::hangup() };
        let kind = section.required("kind", "\"say\" or another kind of node");
        let text = kind.as_ref().and_then(Value::text);
        let node = match text {
            Some("say") => Node::Say(self.say(&section)),
            Some("ask") => Node::Ask(Box::new(read_question::ask(self, &section))),
            Some("menu") => Node::Menu(read_question::menu(self, &section)),
            Some("collect") => Node::Collect(Box::new(read_question::collect(self, &section))),
            Some("fetch") => Node::Fetch(self.fetch(&section)),
            Some("branch") => Node::Branch(self.branch(&section)),
            Some("queue") => Node::Queue(self.queue(&section)),
            Some("callback") => Node::Callback(Box::new(read_question::callback(self, &section))),
            Some("language") => Node::Language(self.language(&section)),
            Some("hangup") => Node::Hangup(Hangup {
                say: self.words.optional(&section, "say").unwrap_or_default(),
            }),
            Some(other) => {
                let problem = format!("`{other}` is no kind of node");
                kind.inspect(|kind| kind.fault(problem, did_you_mean(other, KINDS)));
                // Its keys are not judged: by the rules of which kind?
                return Node::hangup();
            }
            None => return Node::hangup(),
        };
        section.finish();
        node
    }

    fn say(&self, section: &Section<'_>) -> Say {
        Say { say: self.words.required(section, "say"), next: self.node(section, "next") }
    }

    fn fetch(&self, section: &Section<'_>) -> Fetch {
        let url = section.required("url", "\"https://example.org/orders/{order_number}\"");
        if let Some(url) = &url {
            self.check_url(url);
        }
        let template = url.as_ref().map(|url| self.words.template(url)).unwrap_or_default();
        let take = section.required("take", "{ variable = \"path.in.the.answer\" }");
        let entries = take.and_then(|take| take.section()).map_or_else(Vec::new, |s| s.entries());
        let path = |(name, value): &(&str, Value<'_>)| {
            (Arc::from(*name), Arc::from(value.text().unwrap_or_default()))
        };
        Fetch {
            url: template,
            take: entries.iter().map(path).collect(),
            timeout: duration(section.integer("timeout_ms", 100..=30_000, 3_000)),
            say: self.words.optional(section, "say"),
            next: self.node(section, "next"),
            on_failure: self.node(section, "on_failure"),
        }
    }

    /// The host must be the writer's or the configuration's choice, never a caller's.
    fn check_url(&self, url: &Value<'_>) {
        let Some(text) = url.text() else { return };
        let variable = text.strip_prefix('{').and_then(|rest| rest.split('}').next());
        let fine = match variable {
            Some(name) => self.configured.contains(name),
            None => ["http://", "https://"].iter().any(|scheme| {
                let host = text.strip_prefix(scheme).map(|rest| rest.split('/').next());
                host.flatten().is_some_and(|host| !host.is_empty() && !host.contains('{'))
            }),
        };
        if !fine {
            let remedy = "begin with http://host/, https://host/ or a variable of [variables]";
            url.fault("does not say which host is asked".to_owned(), remedy.to_owned());
        }
    }

    fn branch(&self, section: &Section<'_>) -> Branch {
        let variable = section.required("variable", "\"name\"");
        let name = variable.as_ref().and_then(Value::text).unwrap_or_default();
        if let Some(variable) = variable.filter(|_| !self.words.variables.contains(name)) {
            let remedy = did_you_mean(name, self.words.variables.iter().map(String::as_str));
            variable.fault(format!("there is no variable `{name}`"), remedy);
        }
        let cases = section.required("cases", "{ value = \"node\" }");
        let entries =
            cases.and_then(|cases| cases.section()).map_or_else(Vec::new, |s| s.entries());
        let case = |(text, value): &(&str, Value<'_>)| (Arc::from(*text), self.node_named(value));
        Branch {
            variable: name.into(),
            cases: entries.iter().map(case).collect(),
            otherwise: self.node(section, "otherwise"),
        }
    }

    fn queue(&self, section: &Section<'_>) -> Queue {
        let queue = self.queue_named(section);
        let priority = section.integer("priority", 0..=255, 0);
        let say = self.words.optional(section, "say");
        let refused = section.required("refused", "{ otherwise = \"node\" }");
        let refused = refused.and_then(|refused| refused.section());
        let (mut by_reason, mut otherwise) = (BTreeMap::new(), NodeIndex(0));
        if let Some(refused) = refused {
            for (key, reason) in REFUSALS {
                if let Some(value) = refused.optional(key) {
                    by_reason.insert(reason, self.node_named(&value));
                }
            }
            otherwise = self.node(&refused, "otherwise");
            refused.finish();
        }
        let priority = u8::try_from(priority).unwrap_or(0);
        Queue { queue, priority, say, refused: by_reason, otherwise }
    }

    fn language(&self, section: &Section<'_>) -> SwitchLanguage {
        let to = section.required("to", "\"zh\"");
        let code = to.as_ref().and_then(Value::text).unwrap_or_default();
        let language = Language::from_code(code).filter(|l| self.words.languages.contains(l));
        if let (Some(to), None) = (to, language) {
            let codes = self.words.languages.iter().map(|language| language.code());
            let problem = format!("`{code}` is no language of this flow");
            to.fault(problem, did_you_mean(code, codes));
        }
        SwitchLanguage { to: language.unwrap_or_default(), next: self.node(section, "next") }
    }

    /// The queue under `queue`, which must exist.
    pub fn queue_named(&self, section: &Section<'_>) -> Arc<str> {
        let value = section.required("queue", "\"name of a queue\"");
        let name = value.as_ref().and_then(Value::text).unwrap_or_default();
        if let Some(value) = value.filter(|_| !self.known.queues.contains(name)) {
            let remedy = did_you_mean(name, self.known.queues.iter().map(String::as_str));
            value.fault(format!("there is no queue `{name}`"), remedy);
        }
        name.into()
    }

    /// The node that `key` leads to.
    pub fn node(&self, section: &Section<'_>, key: &'static str) -> NodeIndex {
        section.required(key, "\"name_of_a_node\"").map_or(NodeIndex(0), |v| self.node_named(&v))
    }

    /// The node that the text of `value` names.
    pub fn node_named(&self, value: &Value<'_>) -> NodeIndex {
        let name = value.text().unwrap_or_default();
        if let Some(index) = self.nodes.get(name) {
            return *index;
        }
        if value.item.as_str().is_some() {
            let remedy = did_you_mean(name, self.nodes.keys().copied());
            value.fault(format!("there is no node `{name}`"), remedy);
        }
        NodeIndex(0)
    }

    /// The phrases after silence and misunderstanding, and where giving up leads.
    pub fn phrases(&self, section: &Section<'_>) -> Phrases {
        Phrases {
            no_input: self.words.list(section, "no_input"),
            no_match: self.words.list(section, "no_match"),
            give_up: self.node(section, "give_up"),
        }
    }
}

const REFUSALS: [(&str, QueueRefusal); 5] = [
    ("full", QueueRefusal::Full),
    ("closed", QueueRefusal::Closed),
    ("nobody", QueueRefusal::NobodyThere),
    ("too_long", QueueRefusal::TooLong),
    ("unknown", QueueRefusal::Unknown),
];
