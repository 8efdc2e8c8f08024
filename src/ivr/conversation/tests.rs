//! Whole conversations as tables, in virtual time.

mod property;
mod script;

use script::Call;

const FLOW: &str = include_str!("tests/flow.toml");

#[test]
fn by_speech_from_question_to_spoken_answer() {
    let mut call = Call::new(FLOW, Some("+4930123456"));
    call.table(&[
        ("start", "say 1 Welcome."),
        ("end", "say 2 What is it about? | listen 3 open"),
        ("end", ""),
        ("speech", ""),
        ("silence", ""),
        ("heard where is order 4711", "stop listening | classify 4 where is order 4711"),
        (
            "understood order_status 0.93 order_number=4711",
            "say 5 Order four, seven, one, one? | listen 6 yes-no",
        ),
        ("end", ""),
        ("heard yes it is", "stop listening | say 7 One moment. | fetch 8 http://svc/orders/4711"),
        ("fetched status=shipped expected=12 May", ""),
        ("end", "say 9 On its way, twelve May."),
        ("end", "finish"),
        ("key 1", ""),
        ("start", ""),
    ]);
    assert_eq!(call.conversation.intent().map(|intent| &**intent), Some("order_status"));
    assert!(call.conversation.is_over());
    assert_eq!(call.conversation.deadline(), None);
}

#[test]
fn by_keys_alone_with_barge_in_and_typing_ahead() {
    let mut call = Call::new(FLOW, None);
    call.table(&[
        ("start", "say 1 Welcome."),
        // Pressed during the welcome: kept, and given to the question.
        ("key 1", ""),
        (
            "end",
            "say 2 What is it about? | listen 3 open | stop saying | stop listening \
                 | say 4 Your order number? | listen 5 digits",
        ),
        ("key 4", "stop saying"),
        ("key 7", ""),
        ("key 1", ""),
        ("key #", "stop listening | say 6 Too short. | listen 7 digits"),
        ("end", ""),
        ("key 4", ""),
        ("key 7", ""),
        ("key 1", ""),
        ("key 1", ""),
        // The inter-digit deadline, 3 s after the last key, ends the number.
        ("wait 3000", "stop listening | say 8 Order four, seven, one, one? | listen 9 yes-no"),
        (
            "key 1",
            "stop saying | stop listening | say 10 One moment. | fetch 11 http://svc/orders/4711",
        ),
        ("end", ""),
        ("fetch failed", "say 12 Cannot look it up."),
        ("end", "enqueue support 0"),
        ("queued", ""),
        ("wait none", ""),
    ]);
    assert_eq!(call.conversation.progress().first_key, Some('1'));
    assert_eq!(&*call.conversation.progress().asked_for_queue.as_ref().unwrap().name, "support");
}

#[test]
fn a_number_complete_without_its_hash_forgives_the_hash() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "key 1"]);
    call.quietly(&["key 1", "key 2", "key 3", "key 4", "key 5"]);
    call.table(&[
        (
            "key 6",
            "stop listening | say 6 Order one, two, three, four, five, six? | listen 7 yes-no",
        ),
        ("key #", ""),
        ("key 2", "stop saying | stop listening | say 8 Too short. | listen 9 digits"),
    ]);
}

#[test]
fn silence_climbs_its_ladder_and_gives_up() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end"]);
    call.table(&[
        // The deadline begins when the prompt ends: 5 s.
        ("end", ""),
        ("wait 5000", "stop listening | say 4 Silent once. | listen 5 open"),
        ("end", ""),
        ("wait 5000", "stop listening | say 6 Silent twice. | listen 7 open"),
        ("end", ""),
        ("wait 5000", "stop listening | enqueue support 0"),
        ("refused nobody", "say 8 Nobody there."),
        ("end", "finish"),
    ]);
}

#[test]
fn misunderstanding_climbs_its_own_ladder() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "end", "heard blah"]);
    call.table(&[
        ("understood none 0.9", "say 5 I do orders and refunds. | listen 6 open"),
        ("end", ""),
        ("heard order hmm", "stop listening | classify 7 order hmm"),
        ("understood order_status 0.2", "say 8 Missed twice. | listen 9 open"),
        ("key 8", "stop saying | stop listening | enqueue support 0"),
    ]);
}

#[test]
fn a_doubtful_intent_is_confirmed() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "end", "heard money"]);
    call.table(&[
        ("understood refund 0.55", "say 5 Is it about a refund? | listen 6 yes-no"),
        ("end", ""),
        ("heard hmm", "stop listening | say 7 Is it about a refund? | listen 8 yes-no"),
        ("end", ""),
        ("heard no", "stop listening | say 9 Missed once. | listen 10 open"),
        ("end", ""),
        ("heard money back", "stop listening | classify 11 money back"),
        ("understood refund 0.6", "say 12 Is it about a refund? | listen 13 yes-no"),
        ("key 1", "stop saying | stop listening | enqueue support 5"),
    ]);
}

#[test]
fn a_sentence_hardly_heard_is_confirmed_however_sure_its_intent() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "end", "heard-badly money"]);
    call.table(&[("understood refund 0.99", "say 5 Is it about a refund? | listen 6 yes-no")]);
}

#[test]
fn two_near_intents_are_put_to_the_caller() {
    let either = "say 5 The state of an order, or a refund? | listen 6 open";
    for (choice, expected) in [
        ("key 2", "stop saying | stop listening | enqueue support 5"),
        ("heard two", "stop saying | stop listening | enqueue support 5"),
        ("key 1", "stop saying | stop listening | say 7 Your order number? | listen 8 digits"),
        ("key 7", "stop saying | stop listening | say 7 Missed once. | listen 8 open"),
    ] {
        let mut call = Call::new(FLOW, None);
        call.quietly(&["start", "end", "end", "heard my order money"]);
        call.table(&[("understood order_status 0.5 runner-up=refund:0.45", either)]);
        call.table(&[(choice, expected)]);
    }
}

#[test]
fn a_deaf_recogniser_hands_over_to_keys() {
    for (events, last) in [
        (&["speech", "silence"][..], "wait 4000"),
        (&["speech"], "not heard"),
        (&["heard money"], "wait 2000"),
    ] {
        let mut call = Call::new(FLOW, None);
        call.quietly(&["start", "end", "end"]);
        call.quietly(events);
        let trace = call.step(last);
        let rest = trace.trim_start_matches("stop listening | ");
        let (say, listen) = rest.split_once(" | ").unwrap();
        assert!(say.ends_with("Press 1, 2 or 8.") && listen.ends_with("keys"), "{trace}");
    }
}

#[test]
fn a_full_queue_leads_to_a_promise_told_only_when_it_is_on_disk() {
    let mut call = Call::new(FLOW, Some("+4930123456"));
    call.quietly(&["start", "end", "key 2"]);
    call.table(&[
        ("refused full", "say 4 Call you back? | listen 5 yes-no"),
        ("heard yes please", "stop saying | stop listening | promise support +4930123456"),
        ("stored", "say 6 Promised four, nine, three, zero, one, two, three, four, five, six."),
        ("end", "finish"),
    ]);
    assert!(call.conversation.progress().promised);
}

#[test]
fn a_hidden_number_is_asked_for_and_read_back() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "key 2"]);
    call.table(&[
        ("queued", ""),
        ("refused too_long", "say 4 Call you back? | listen 5 yes-no"),
        ("key 1", "stop saying | stop listening | say 6 Which number? | listen 7 keys"),
        ("end", ""),
        ("wait 5000", "stop listening | say 8 No number yet. | listen 9 keys"),
    ]);
    call.quietly(&["key 0", "key 3", "key 0", "key 1", "key 2"]);
    call.table(&[
        ("key #", "stop listening | say 10 zero, three, zero, one, two, right? | listen 11 yes-no"),
        ("key 2", "stop saying | stop listening | say 12 Wrong number. | listen 13 keys"),
    ]);
    call.quietly(&["key 0", "key 3", "key 0", "key 1", "key 9"]);
    call.table(&[
        (
            "wait 3000",
            "stop listening | say 14 zero, three, zero, one, nine, right? | listen 15 yes-no",
        ),
        ("heard correct", "stop saying | stop listening | promise support 03019"),
        ("unstored", "say 16 No promise."),
        ("end", "finish"),
    ]);
    assert!(!call.conversation.progress().promised);
}

#[test]
fn who_wants_no_callback_gets_none() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "key 2", "refused full"]);
    call.table(&[("heard no thanks", "stop saying | stop listening | finish")]);
}

#[test]
fn late_and_stale_events_change_nothing() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end"]);
    call.table(&[
        ("ended 1", ""),
        ("heard-of 1 refund", ""),
        ("understood-of 9 refund", ""),
        ("stored", ""),
        ("refused full", ""),
        ("fetched status=shipped", ""),
        ("queued", ""),
        ("end", ""),
        ("heard refund", "stop listening | classify 4 refund"),
        ("understood-of 3 order_status", ""),
        ("understood refund 0.9", "enqueue support 5"),
        ("understood refund 0.9", ""),
    ]);
}

#[test]
fn a_fetch_without_an_answer_fails_by_its_deadline() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end", "end", "heard order 4711"]);
    call.quietly(&["understood order_status 0.9 order_number=4711", "key 1", "end"]);
    // 3 s of its own and 2 s of grace, of which nothing has passed.
    call.table(&[("wait 5000", "say 9 Cannot look it up.")]);
}

#[test]
fn a_message_reports_what_was_heard_and_pressed() {
    let mut call = Call::message(3_000);
    call.table(&[
        ("start", "say 1 Your car {is} ready. | listen 2 keys"),
        ("end", ""),
        ("wait 3000", "stop listening | finish"),
    ]);
    assert!(call.conversation.progress().message_heard);

    let mut call = Call::message(3_000);
    call.table(&[
        ("start", "say 1 Your car {is} ready. | listen 2 keys"),
        ("key 9", "stop saying | stop listening | say 3 Your car {is} ready. | listen 4 keys"),
        ("ended 1", ""),
        ("key 5", "stop saying | stop listening | say 5 Your car {is} ready. | listen 6 keys"),
        ("key 2", "stop saying | stop listening | say 7 Thank you."),
        ("end", "finish"),
    ]);
    let progress = call.conversation.progress();
    assert_eq!((progress.message_heard, progress.first_key), (false, Some('9')));

    let mut call = Call::message(0);
    call.quietly(&["start", "end"]);
    call.table(&[("wait 0", "stop listening | finish")]);

    let mut call = Call::message(3_000);
    call.quietly(&["start"]);
    call.table(&[
        ("key 1", "stop saying | stop listening | enqueue sales 0"),
        ("refused full", "say 3 Sorry, nobody is free at the moment. Goodbye."),
        ("end", "finish"),
    ]);
    assert!(call.conversation.progress().asked_for_queue.is_some());
}

#[test]
fn mandarin_is_spoken_after_the_switch() {
    let mut call = Call::new(FLOW, None);
    call.quietly(&["start", "end"]);
    call.table(&[
        ("key *", "stop saying | stop listening | say 4 请说。 | listen 5 open zh"),
        ("end", ""),
        ("heard 二", "stop listening | enqueue support 5"),
        ("refused full", "say 6 要回电吗？ | listen 7 yes-no zh"),
        ("heard 不用", "stop saying | stop listening | finish"),
    ]);
}
