//! Reading and checking files.

use super::{Flow, Known, KnownIntents};
use domain::prompt::Language;
use std::collections::BTreeSet;

/// What the sample flows may name.
pub(crate) fn known() -> Known {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let intents = names(&[
        "order_status",
        "refund",
        "complaint",
        "sales",
        "opening_hours",
        "speak_to_agent",
        "goodbye",
    ]);
    let phrases = [(Language::English, ["where is my order".into()].into())].into();
    let hotline = KnownIntents { intents, slots: names(&["order_number"]), phrases };
    Known {
        recordings: names(&["welcome.wav"]),
        queues: names(&["support", "sales"]),
        intent_sets: [("hotline".to_owned(), hotline)].into(),
    }
}

pub(crate) fn parse(text: &str) -> Flow {
    Flow::parse("test.toml", text, &known()).unwrap_or_else(|faults| panic!("{}", lines(&faults)))
}

fn lines(faults: &[domain::fault::Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

fn faults_of(text: &str) -> Vec<String> {
    let faults = Flow::parse("test.toml", text, &known()).expect_err("it has faults");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn the_samples_are_without_fault() {
    let samples = [
        ("hotline.toml", include_str!("../../../config/flows/hotline.toml"), Language::English),
        (
            "hotline-zh.toml",
            include_str!("../../../config/flows/hotline-zh.toml"),
            Language::Mandarin,
        ),
    ];
    for (file, text, language) in samples {
        let flow = Flow::parse(file, text, &known()).unwrap_or_else(|f| panic!("{}", lines(&f)));
        assert_eq!(flow.languages(), [language]);
        assert_eq!(flow.version(), 1);
        assert_eq!(Some(&**flow.name()), file.strip_suffix(".toml"));
        assert!(flow.variables().contains_key("service"));
        assert!(flow.node_names().any(|name| &**name == "offer_callback"));
    }
}

/// The example of the manual is a whole flow and a whole set of intents.
#[test]
fn the_example_of_the_manual_is_without_fault() {
    let manual = include_str!("../../../docs/write-a-flow.md");
    let example = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let flow = Flow::parse("example.toml", example.unwrap(), &known());
    let flow = flow.unwrap_or_else(|faults| panic!("{}", lines(&faults)));
    assert_eq!(flow.languages().len(), 2);
}

const HEAD: &str = "version = 1\nlanguages = [\"en\"]\nstart = \"open\"\n";

#[test]
fn a_misspelled_node_is_guessed_and_reading_goes_on() {
    let text = format!(
        "{HEAD}verson = 1\n[nodes.open]\nkind = \"say\"\nsay = \"Hello {{nmae}}\"\nnext = \"qeue\"\n\
         [nodes.queue]\nkind = \"queue\"\nqueue = \"suport\"\nprioritty = 1\n\
         refused = {{ full = \"opne\", otherwise = \"end\" }}\n\
         [nodes.end]\nkind = \"hangpu\"\n[variables]\nname = \"x\"\n"
    );
    let expected = [
        "test.toml:4:1: verson: is no key of this table; did you mean `version`?",
        "test.toml:7:7: nodes.open.say: there is no variable `nmae`; did you mean `name`?",
        "test.toml:8:8: nodes.open.next: there is no node `qeue`; did you mean `queue`?",
        "test.toml:11:9: nodes.queue.queue: there is no queue `suport`; did you mean `support`?",
        "test.toml:12:1: nodes.queue.prioritty: is no key of this table; did you mean `priority`?",
        "test.toml:13:20: nodes.queue.refused.full: there is no node `opne`; did you mean `open`?",
        "test.toml:15:8: nodes.end.kind: `hangpu` is no kind of node; did you mean `hangup`?",
    ];
    assert_eq!(faults_of(&text), expected);
}

#[test]
fn what_is_missing_wrong_or_out_of_range_is_told() {
    let table = [
        ("", "nodes: the flow has 0 nodes"),
        ("[nodes.open]\nkind = \"say\"\nnext = \"open\"\n", "nodes.open.say: is missing"),
        (
            "[nodes.open]\nkind = \"hangup\"\nsay = 7\n",
            "nodes.open.say: is nothing that can be said",
        ),
        (
            "[nodes.open]\nkind = \"hangup\"\nsay = { recorded = \"welcom.wav\" }\n",
            "there is no recording `welcom.wav`; did you mean `welcome.wav`?",
        ),
        (
            "[nodes.open]\nkind = \"hangup\"\nsay = { en = \"x\", zh = \"y\" }\n",
            "nodes.open.say.zh: `zh` is no language of this flow",
        ),
        ("[nodes.open]\nkind = \"hangup\"\nsay = \"a } b\"\n", "a brace without its partner"),
        (
            "[nodes.open]\nkind = \"hangup\"\nsay = \"{caller:words}\"\n",
            "`words` is no way of reading",
        ),
        (
            "[timing]\nno_input_ms = 5\n[nodes.open]\nkind = \"hangup\"\n",
            "5 is out of range; write 200 to 60000",
        ),
        (
            "[nodes.open]\nkind = \"fetch\"\nurl = \"{caller_number}\"\ntake = {}\nnext = \"e\"\non_failure = \"e\"\n[nodes.e]\nkind = \"hangup\"\n",
            "nodes.open.url: does not say which host is asked",
        ),
        (
            "[nodes.open]\nkind = \"collect\"\nsay = \"a\"\ninto = \"x\"\ndigits_min = 9\ndigits_max = 3\nnext = \"e\"\ngive_up = \"e\"\n[nodes.e]\nkind = \"hangup\"\n",
            "digits_min 9 is over digits_max 3",
        ),
        (
            "[nodes.open]\nkind = \"menu\"\nsay = \"a\"\nkeys = { 12 = \"e\" }\ngive_up = \"e\"\n[nodes.e]\nkind = \"hangup\"\n",
            "`12` is no key",
        ),
        (
            "[variables]\ncaller = \"x\"\n[nodes.open]\nkind = \"hangup\"\n",
            "`caller` is set by the program",
        ),
    ];
    for (rest, expected) in table {
        let told = faults_of(&format!("{HEAD}{rest}")).join("\n");
        assert!(told.contains(expected), "{rest}\n{told}");
    }
}

#[test]
fn a_question_must_be_answerable() {
    let ask = |rest: &str| {
        format!(
            "{HEAD}[nodes.open]\nkind = \"ask\"\nsay = \"a\"\nsay_keys = \"b\"\nconfirm = \"c\"\n\
             intents = \"hotline\"\ngive_up = \"open2\"\n{rest}\n[nodes.open2]\nkind = \"hangup\"\n"
        )
    };
    let asks = [
        (
            "on = { refnd = { key = \"1\", means = \"x\", next = \"open2\" } }",
            "did you mean `refund`?",
        ),
        ("on = { refund = { means = \"x\", next = \"open2\" } }", "cannot be answered by keys"),
        (
            "keys = { 1 = \"open2\" }\non = { refund = { key = \"1\", means = \"x\", next = \"open2\" } }",
            "key 1 of `refund` means something else too",
        ),
        (
            "accept_above = 1.5\non = { refund = { key = \"1\", means = \"x\", next = \"open2\" } }",
            "1.5 is out of range",
        ),
        (
            "accept_above = 0.3\non = { refund = { key = \"1\", means = \"x\", next = \"open2\" } }",
            "is over accept_above",
        ),
        ("on = { refund = { key = \"12\", means = \"x\", next = \"open2\" } }", "`12` is no key"),
    ];
    for (rest, expected) in asks {
        let told = faults_of(&ask(rest)).join("\n");
        assert!(told.contains(expected), "{rest}\n{told}");
    }
}

#[test]
fn every_language_has_every_text() {
    let text = "version = 1\nlanguages = [\"en\", \"zh\"]\nstart = \"a\"\n[nodes.a]\nkind = \"say\"\n\
                say = { en = \"hello\" }\nnext = \"b\"\n[nodes.b]\nkind = \"hangup\"\nsay = \"bye\"\n";
    assert_eq!(
        faults_of(text),
        [
            "test.toml:6:7: nodes.a.say: has no text in language `zh`; write zh = \"…\"",
            "test.toml:10:7: nodes.b.say: is one text, and the flow speaks several languages; \
             write { en = \"…\", zh = \"…\" }",
        ]
    );
    let fine = text.replace("{ en = \"hello\" }", "{ en = \"hello\", zh = \"你好\" }");
    parse(&fine.replace("say = \"bye\"", "say = { recorded = \"welcome.wav\" }"));
}

#[test]
fn circles_without_the_caller_and_nodes_out_of_reach_are_found() {
    let say = |name: &str, next: &str| {
        format!("[nodes.{name}]\nkind = \"say\"\nsay = \"x\"\nnext = \"{next}\"\n")
    };
    let text = format!("{HEAD}{}{}{}", say("open", "b"), say("b", "open"), say("alone", "b"));
    assert_eq!(
        faults_of(&text),
        [
            "test.toml:4:1: nodes.open: leads in a circle without the caller: open → b → open; \
             let one of these lead elsewhere, such as to a queue or an end",
            "test.toml:12:1: nodes.alone: is never reached from the start; \
             lead to it from another node, or remove it",
        ]
    );
    // A silent caller must not be led in a circle either; one who presses a key may.
    let menu = |give_up: &str| {
        format!(
            "{HEAD}[nodes.open]\nkind = \"menu\"\nsay = \"x\"\nkeys = {{ 1 = \"open\" }}\n\
             give_up = \"{give_up}\"\n[nodes.end]\nkind = \"hangup\"\n"
        )
    };
    assert!(faults_of(&menu("open")).join("").contains("open → open"));
    parse(&menu("end"));
}

#[test]
fn broken_toml_is_a_fault_with_a_place() {
    let faults = Flow::parse("x/test.toml", "version = 1\nstart = \n", &known()).unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 2));
    assert_eq!(&*faults[0].file, "x/test.toml");
}
