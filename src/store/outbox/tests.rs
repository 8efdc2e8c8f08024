use super::*;
use crate::tenant_table::SetWebhook;
use crate::test_kit::{Kit, START_MS, number};
use domain::id::{CallbackId, QueueId};
use queue::event::{CallbackState, Promise};
use std::time::Duration;
use switchboard::event::Fact;

/// A ledger with a webhook for each of these callbacks.
fn with_letters(callbacks: &[u64]) -> Kit {
    let kit = Kit::new();
    let tenant = TenantId::default();
    let url = Some("https://example.com/a".into());
    kit.ledger().perform(SetWebhook { tenant: tenant.clone(), url }).unwrap();
    let facts = callbacks.iter().map(|id| {
        Fact::Promise(Promise {
            id: CallbackId(*id),
            queue: QueueId::new(&tenant, "sales"),
            number: number("+4930777"),
            arrived_wall_ms: START_MS,
            not_before_wall_ms: START_MS,
            expires_wall_ms: START_MS,
            tries: 1,
            state: CallbackState::Kept,
        })
    });
    kit.store(facts.collect());
    kit
}

/// Puts further letters of one aggregate in, by hand.
struct More(&'static str, &'static str, Option<&'static str>);

impl Operation for More {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let letter = Letter {
            tenant: &TenantId::default(),
            aggregate: self.0.to_owned(),
            topic: "callback.kept",
            event_id: self.1.to_owned(),
            url: self.2.map(Into::into),
        };
        put(turn, &letter, |_| "{}".to_owned())
    }
}

fn claim(kit: &Kit) -> Vec<DueLetter> {
    let claim = ClaimLetters { count: 10, each: 10, ..ClaimLetters::default() };
    kit.ledger().perform(claim).unwrap()
}

fn claimed(kit: &Kit) -> Vec<String> {
    claim(kit).iter().map(|letter| letter.event_id.to_string()).collect()
}

fn settle(kit: &Kit, letters: Vec<(u64, LetterFate)>) {
    kit.ledger().perform(SettleLetters { letters }).unwrap();
}

#[test]
fn a_claimed_letter_comes_again_only_if_nobody_settles_it() {
    let kit = with_letters(&[1]);
    let letter = claim(&kit).remove(0);
    assert_eq!(&*letter.event_id, "callback-1-kept");
    assert_eq!((letter.tries, letter.secret.len()), (0, 32));
    let reader = crate::reader::Reader::open(kit.ledger().path(), 1).unwrap();
    assert_eq!(reader.oldest_letter(), Ok(Some(START_MS)));
    assert_eq!(claim(&kit), []);
    kit.pass(Duration::from_millis(DELIVERY_MS));
    assert_eq!(claimed(&kit), ["callback-1-kept"]);
    settle(&kit, vec![(letter.id, LetterFate::Delivered { status: 204 })]);
    assert_eq!(reader.oldest_letter(), Ok(None));
    kit.pass(Duration::from_millis(DELIVERY_MS));
    assert_eq!(claim(&kit), []);
}

#[test]
fn letters_of_one_aggregate_go_one_after_another_and_others_pass_them() {
    let kit = with_letters(&[1, 2]);
    kit.ledger().perform(More("callback:1", "later", None)).unwrap();
    let first = claim(&kit);
    assert_eq!(first.len(), 2);
    assert_eq!(claim(&kit), []);
    let at_wall_ms = START_MS + 5_000;
    let failed = LetterFate::Retry { status: 500, error: "said 500".to_owned(), at_wall_ms };
    settle(&kit, vec![(first[0].id, failed), (first[1].id, LetterFate::Delivered { status: 200 })]);
    // The first of callback 1 waits, so its second waits behind it.
    assert_eq!(claim(&kit), []);
    kit.pass(Duration::from_secs(5));
    let again = claim(&kit);
    assert_eq!((again.len(), again[0].tries), (1, 1));
    settle(&kit, vec![(again[0].id, LetterFate::Delivered { status: 200 })]);
    assert_eq!(claimed(&kit), ["later"]);
}

#[test]
fn a_deferred_letter_keeps_its_tries_and_a_dead_one_can_be_revived() {
    let kit = with_letters(&[1]);
    let id = claim(&kit)[0].id;
    settle(&kit, vec![(id, LetterFate::Deferred { at_wall_ms: START_MS + 1 })]);
    kit.pass(Duration::from_millis(1));
    assert_eq!(claim(&kit)[0].tries, 0);
    settle(&kit, vec![(id, LetterFate::Dead { status: 0, error: "no route".to_owned() })]);
    kit.pass(Duration::from_secs(3600));
    assert_eq!(claim(&kit), []);
    let revive =
        |tenant: &str| kit.ledger().perform(ReviveLetter { tenant: TenantId(tenant.into()), id });
    assert_eq!(revive("other"), Err(StoreError::NotFound { what: "dead webhook" }));
    assert_eq!(revive("default"), Ok(()));
    assert_eq!(claim(&kit)[0].tries, 0);
}

#[test]
fn a_claimed_letter_is_sent_again_after_a_crash() {
    let mut kit = with_letters(&[1]);
    claim(&kit);
    kit.crash();
    kit.pass(Duration::from_millis(DELIVERY_MS));
    assert_eq!(claimed(&kit), ["callback-1-kept"]);
}

#[test]
fn each_receiver_gets_its_share_in_turn_and_those_left_alone_get_none() {
    let kit = with_letters(&[1, 2, 3]); // To https://example.com/a.
    let b = Some("https://example.com/b");
    for (aggregate, event) in [("x", "b1"), ("y", "b2"), ("z", "b3")] {
        kit.ledger().perform(More(aggregate, event, b)).unwrap();
    }
    let claim = |count, each, skip: &[&str], after: &str| -> Vec<String> {
        let skip = skip.iter().map(|url| Arc::from(*url)).collect();
        let claim = ClaimLetters { count, each, skip, after: after.into() };
        let due = kit.ledger().perform(claim).unwrap();
        due.iter().map(|letter| letter.event_id.to_string()).collect()
    };
    let (a, b) = ("https://example.com/a", "https://example.com/b");
    assert_eq!(claim(9, 1, &[], ""), ["callback-1-kept", "b1"]);
    assert_eq!(claim(1, 9, &[], a), ["b2"]);
    assert_eq!(claim(9, 9, &[a], ""), ["b3"]);
    assert_eq!(claim(9, 9, &[a, b], b), [""; 0]);
    assert_eq!(claim(9, 9, &[], b), ["callback-2-kept", "callback-3-kept"]);
}
