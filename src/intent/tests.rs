//! The classifier as a whole: on a small set written here, and on outside sets where they are.

mod corpora;
mod hotline;
mod values;

use crate::classifier::Classifier;
use crate::intent_set::IntentSet;

const SMALL: &str = r#"
version = 1
[intents.order_status]
en = ["where is my order", "track my package", "when will my parcel arrive", "has order been shipped",
      "delivery status of my order", "my parcel has not arrived yet"]
zh = ["我的订单到哪了", "查询物流", "快递什么时候到", "包裹还没收到", "查一下订单状态"]
[intents.refund]
en = ["i want my money back", "i would like a refund", "refund my purchase", "send the item back",
      "how do i return this", "when do i get my refund"]
zh = ["我要退款", "我想退货", "钱什么时候退给我", "申请退款", "退货怎么办理"]
[intents.opening_hours]
en = ["when are you open", "what are your opening hours", "are you open on sunday",
      "what time do you close", "are you open today"]
zh = ["你们几点开门", "营业时间是什么时候", "周末上班吗", "几点关门", "今天营业吗"]
[slots.order_number]
kind = "digits"
digits_min = 4
digits_max = 12
"#;

fn small() -> Classifier {
    Classifier::train(&IntentSet::parse("small.toml", SMALL).unwrap())
}

#[test]
fn unseen_sentences_find_their_intent_in_both_languages() {
    let classifier = small();
    let table = [
        ("Where's my order?", "order_status"),
        ("can you tell me when my package will arrive", "order_status"),
        ("I'd like to have my money back please", "refund"),
        ("how can I return an item", "refund"),
        ("are you open on saturday", "opening_hours"),
        ("我的包裹到哪里了", "order_status"),
        ("查詢訂單狀態", "order_status"),
        ("我想退款", "refund"),
        ("你们周末几点开门", "opening_hours"),
    ];
    for (text, expected) in table {
        let understanding = classifier.classify(text);
        assert_eq!(understanding.intent.as_deref(), Some(expected), "{text}: {understanding:?}");
        assert!((0.33..=1.0).contains(&understanding.confidence));
    }
}

/// Three intents with eleven sentences each know little of the world: of what is strange to them
/// most gets no intent, and nothing gets one that would be acted on without asking.
#[test]
fn what_has_nothing_to_do_with_it_gets_no_intent() {
    let classifier = small();
    let strange = [
        "",
        "?!",
        "what's for breakfast",
        "tell me about the history of rome",
        "嗯嗯",
        "zzz qqq",
        "my dog ate a sandwich",
        "今天股票涨了吗",
        "thanks for watching",
        "is it raining in london",
    ];
    let mut named = 0;
    for text in strange {
        let understanding = classifier.classify(text);
        let sure = understanding.intent.is_some() && understanding.confidence > 0.7;
        assert!(!sure, "{text}: {understanding:?}");
        named += u32::from(understanding.intent.is_some());
    }
    assert!(named <= 3, "{named} of {} got an intent", strange.len());
}

#[test]
fn slots_come_with_the_intent_and_without() {
    let classifier = small();
    let slots = |text| {
        let slots = classifier.classify(text).slots;
        slots.first().map(|(name, value)| (name.to_string(), value.to_string()))
    };
    let order = Some(("order_number".to_owned(), "4711".to_owned()));
    assert_eq!(slots("where is order four seven one one"), order);
    assert_eq!(slots("4711"), order);
    assert_eq!(slots("where is my order"), None);
}

/// The example of the manual is a whole set of intents.
#[test]
fn the_example_of_the_manual_is_without_fault() {
    let manual = include_str!("../../docs/write-a-flow.md");
    let example = manual.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next());
    let set = IntentSet::parse("hotline.toml", example.unwrap()).unwrap();
    assert_eq!(set.intents().count(), 2);
}

#[test]
fn training_twice_gives_the_same_answers() {
    let (one, other) = (small(), small());
    for text in ["where is it", "money", "open", "我要退", "something else entirely"] {
        assert_eq!(one.classify(text), other.classify(text));
    }
}
