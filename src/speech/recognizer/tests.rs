//! The recogniser with engines made for the test: what reaches which, and that every utterance
//! that ended has exactly one result. Waits for other threads, never for time.

use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};

const LEG: LegId = LegId(1);
const ORDER: OrderId = OrderId(7);

/// Answers by the first sample of the utterance: what the test says there.
struct Scripted {
    name: &'static str,
    /// Received from before each answer, if any: holds the engine.
    gate: Option<Mutex<Receiver<()>>>,
}

const SURE: i16 = 1;
const UNSURE: i16 = 2;
const FAIL: i16 = 3;
const PANIC: i16 = 4;

impl Engine for Scripted {
    fn recognise(&self, samples: &[i16], _: &Hearing) -> Result<Recognised, SpeechError> {
        if let Some(gate) = &self.gate {
            gate.lock().recv().unwrap();
        }
        let transcript = Transcript { text: self.name.into(), confidence: 0.5, engine: self.name };
        match samples[0] {
            SURE => Ok(Recognised { transcript, certain: true }),
            UNSURE => Ok(Recognised { transcript, certain: false }),
            FAIL => Err(SpeechError::EngineFailed { engine: self.name, reason: "asked to".into() }),
            other => panic!("the engine is asked to panic by {other}"),
        }
    }
}

fn ready(name: &'static str) -> Loader {
    Box::new(move || Ok(Arc::new(Scripted { name, gate: None })))
}

fn held(name: &'static str) -> (Loader, Sender<()>) {
    let (opener, gate) = channel();
    (Box::new(move || Ok(Arc::new(Scripted { name, gate: Some(Mutex::new(gate)) }))), opener)
}

fn missing() -> Loader {
    Box::new(|| Err(SpeechError::ModelMissing { path: "nowhere".into() }))
}

fn start(grammar: Loader, open: Loader) -> (Recognizer, Receiver<RecognizerEvent>) {
    let (sender, results) = channel();
    let on_result: OnResult = Box::new(move |event| {
        // A test that has seen enough no longer receives.
        let _ = sender.send(event);
    });
    (Recognizer::with_engines((grammar, 1), (open, 1), on_result), results)
}

fn hearing(language: Language, expect: Expect) -> Hearing {
    Hearing { language, expect }
}

fn open_with_phrases() -> Expect {
    Expect::Open { phrases: ["where is my parcel".into()].into() }
}

fn say(recognizer: &Recognizer, leg: LegId, hearing: &Hearing, script: i16) {
    recognizer.listen(leg, ORDER, hearing.clone());
    recognizer.started(leg, ORDER);
    recognizer.frame(leg, ORDER, &[script; 160]);
    recognizer.ended(leg, ORDER);
}

/// The result without its delay: the engine's name, or why not.
fn outcome(results: &Receiver<RecognizerEvent>) -> Result<String, NotHeardReason> {
    match results.recv().unwrap() {
        RecognizerEvent::Heard { transcript, .. } => Ok(transcript.text.to_string()),
        RecognizerEvent::NotHeard { reason, .. } => Err(reason),
    }
}

#[test]
fn each_question_reaches_its_engine() {
    use Expect::{Digits, YesNo};
    use Language::{English, Mandarin};
    let bare = Expect::Open { phrases: Arc::from([]) };
    // (language, expected, script, with both engines, without the open one, without the closed one)
    let none = Err(NotHeardReason::NoEngine);
    let failed = Err(NotHeardReason::EngineFailed);
    let (closed, open) = (Ok("closed"), Ok("open"));
    let table = [
        (English, YesNo, SURE, closed, closed, open),
        (English, YesNo, UNSURE, open, closed, open),
        (English, Digits, SURE, closed, closed, open),
        (English, open_with_phrases(), SURE, closed, closed, open),
        (English, open_with_phrases(), UNSURE, open, none, open),
        (English, bare, SURE, open, none, open),
        (Mandarin, YesNo, SURE, open, none, open),
        (English, YesNo, FAIL, failed, failed, failed),
        (English, YesNo, PANIC, failed, failed, failed),
        // Whoever panicked works on.
        (English, YesNo, SURE, closed, closed, open),
    ];
    let (both, both_results) = start(ready("closed"), ready("open"));
    let (no_open, no_open_results) = start(ready("closed"), missing());
    let (no_closed, no_closed_results) = start(missing(), ready("open"));
    for (language, expect, script, with_both, without_open, without_closed) in table {
        let hearing = hearing(language, expect);
        let cases = [
            (&both, &both_results, with_both),
            (&no_open, &no_open_results, without_open),
            (&no_closed, &no_closed_results, without_closed),
        ];
        for (recognizer, results, expected) in cases {
            say(recognizer, LEG, &hearing, script);
            let expected: Result<&str, NotHeardReason> = expected;
            assert_eq!(outcome(results), expected.map(str::to_owned), "{hearing:?} {script}");
        }
    }
}

#[test]
fn an_end_without_a_beginning_has_its_result_too() {
    let (recognizer, results) = start(ready("closed"), ready("open"));
    recognizer.ended(LEG, ORDER);
    assert_eq!(outcome(&results), Err(NotHeardReason::NotListening));
}

#[test]
fn a_full_queue_refuses_and_stopping_answers_all_that_waits() {
    let (loader, opener) = held("closed");
    let (recognizer, results) = start(loader, ready("open"));
    let yes_no = hearing(Language::English, Expect::YesNo);
    // One is with the engine (or about to be), as many as may wait, and 5 too many.
    let said = lane::WAITING_MAX as u64 + 6;
    for leg in 0..said {
        say(&recognizer, LegId(leg), &yes_no, SURE);
    }
    drop(opener);
    drop(recognizer);
    let all: Vec<RecognizerEvent> = results.iter().collect();
    assert_eq!(all.len() as u64, said, "exactly one result each");
    let overloaded = all
        .iter()
        .filter(|event| {
            matches!(event, RecognizerEvent::NotHeard { reason: NotHeardReason::Overloaded, .. })
        })
        .count();
    assert!((5..=6).contains(&overloaded), "{overloaded} refused");
}

#[test]
fn what_waits_is_dropped_with_its_order() {
    let (loader, opener) = held("open");
    let (recognizer, results) = start(ready("closed"), loader);
    let open = hearing(Language::English, open_with_phrases());
    let mandarin = hearing(Language::Mandarin, open_with_phrases());
    say(&recognizer, LegId(1), &mandarin, SURE);
    say(&recognizer, LegId(2), &mandarin, SURE);
    recognizer.dropped(LegId(2), ORDER);
    // The engine is held by the first, or not even awake: the second still waited.
    assert_eq!(outcome(&results), Err(NotHeardReason::Dropped));
    say(&recognizer, LegId(3), &open, SURE);
    assert_eq!(outcome(&results), Ok("closed".to_owned()), "the other lane is not delayed");
    opener.send(()).unwrap();
    assert_eq!(outcome(&results), Ok("open".to_owned()));
}

#[test]
fn who_waits_too_long_is_given_up() {
    let lane = Lane::loading();
    let utterance = Utterance {
        leg: LEG,
        order: ORDER,
        hearing: hearing(Language::English, Expect::YesNo),
        samples: vec![SURE; 160],
    };
    let long_ago = Instant::now() - WAIT_MAX;
    let job = Job { utterance, ended_at: long_ago, guess: None };
    lane.push(job).unwrap();
    assert!(matches!(lane.next(), Turn::GiveUp(_)), "even while the engine is loading");
    lane.close();
    assert!(matches!(lane.next(), Turn::Stop));
}

#[test]
fn status_says_what_keys_must_do() {
    let (recognizer, _results) = start(missing(), missing());
    while recognizer.status().open == EngineState::Loading
        || recognizer.status().grammar == EngineState::Loading
    {
        std::thread::yield_now();
    }
    let status = recognizer.status();
    assert_eq!(status.keys_only().len(), 6);
    assert!(
        status.keys_only()[0].starts_with("yes or no in English: keys only (nowhere is missing")
    );
    let half = Status { grammar: EngineState::Ready, ..status };
    assert!(half.hears(Language::English, &Expect::Digits));
    assert!(!half.hears(Language::Mandarin, &Expect::Digits));
    assert_eq!(half.keys_only().len(), 4);
    let whole = Status { open: EngineState::Loading, ..half };
    assert_eq!(whole.keys_only(), Vec::<String>::new());
}
