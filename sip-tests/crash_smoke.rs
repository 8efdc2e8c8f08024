//! A small crash trial with each run of the tests (`make crash` is the large one), and proof that its
//! judge finds what he is there to find.

use crate::crash::carrier::{Book, Dialling};
use crate::crash::judge::Verdict;
use crate::crash::trial::{self, Options};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn three_kills_lose_nobody_and_dial_nobody_twice() {
    let options = Options { kills: 3, contacts: 300, rate: 1_500, callers: 2, attempts_max: 1 };
    let outcome = trial::run(options).unwrap();
    outcome.tell();
    assert_eq!(outcome.kills, 3);
    assert!(outcome.is_clean(), "lost, dialled twice or forgotten: see above");
    assert_eq!(outcome.dispositions.values().sum::<u64>(), 300);
}

fn seen(number: &str, after_ms: u64, final_status: Option<u16>) -> Dialling {
    // Only the order counts.
    let first_seen = Instant::now() + Duration::from_millis(after_ms);
    Dialling { number: number.to_owned(), first_seen, invites: 1, final_status }
}

fn attempt(number: &str, attempt_number: u8, call_id: &str, disposition: &str) -> Value {
    json!({
        "contact": 1, "number": number, "attempt_number": attempt_number,
        "sip_call_id": call_id, "disposition": disposition,
    })
}

fn contact(number: &str, state: &str, disposition: Option<&str>) -> Value {
    json!({
        "number": number, "state": state, "attempts": 1, "disposition": disposition,
        "due_at": (state == "ready").then_some("2027-01-15T08:00:00.000Z"),
    })
}

/// `(lost, dialled twice)` as the judge says.
fn judged(contacts: &[Value], attempts: &[Value], book: &[(&str, Dialling)]) -> (usize, usize) {
    let book: Book =
        book.iter().map(|(call_id, seen)| ((*call_id).to_owned(), seen.clone())).collect();
    let mut verdict = Verdict::default();
    let numbers = ["+491".to_owned()];
    verdict.contacts(contacts, &numbers);
    verdict.attempts(attempts, &numbers, &book);
    (verdict.lost.len(), verdict.twice.len())
}

#[test]
fn the_judge_finds_what_is_lost_and_what_is_dialled_twice() {
    let busy = || seen("+491", 0, Some(486));
    let fine = [contact("+491", "final", Some("busy"))];
    let once = [attempt("+491", 1, "a", "busy")];
    assert_eq!(judged(&fine, &once, &[("a", busy())]), (0, 0));
    let waits = [contact("+491", "ready", Some("in_doubt"))];
    assert_eq!(judged(&waits, &[attempt("+491", 1, "a", "in_doubt")], &[]), (0, 0));

    assert_eq!(judged(&[], &once, &[("a", busy())]), (1, 0), "a contact is in no list");
    let stuck = [contact("+491", "dialling", Some("busy"))];
    assert_eq!(judged(&stuck, &once, &[("a", busy())]), (1, 0), "a contact is stuck");
    let never = [contact("+491", "ready", None)];
    assert_eq!(judged(&never, &once, &[("a", busy())]), (1, 0), "a contact was never called");
    assert_eq!(judged(&fine, &once, &[]), (1, 0), "a result without a call");

    let two = [once[0].clone(), attempt("+491", 1, "b", "busy")];
    let book = [("a", busy()), ("b", busy())];
    assert_eq!(judged(&fine, &two, &book), (0, 1), "one attempt with two Call-IDs");
    assert_eq!(judged(&fine, &once, &book), (0, 1), "a call without an attempt");
    let again = [once[0].clone(), attempt("+491", 2, "b", "busy")];
    assert_eq!(judged(&fine, &again, &book), (0, 0), "a second attempt after a busy line");
    let book = [("a", seen("+491", 0, Some(200))), ("b", seen("+491", 50, Some(486)))];
    assert_eq!(judged(&fine, &again, &book), (0, 0), "an answer that came too late");
    for word in ["answered", "in_doubt"] {
        let again = [attempt("+491", 1, "a", word), again[1].clone()];
        assert_eq!(judged(&fine, &again, &book), (0, 1), "called again after an answer");
    }
}
