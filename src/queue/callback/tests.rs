use super::*;
use domain::id::TenantId;
use domain::now::epoch;

/// A book with its clock; tickets are numbered by an `IdSource`, told here as t1, t2 …
struct Bench {
    book: Callbacks,
    now: Now,
    ids: IdSource,
    tickets: Vec<TicketId>,
    out: Vec<Action>,
}

fn rules() -> CallbackRules {
    CallbackRules {
        gap: Duration::from_secs(300),
        tries_max: 3,
        lifetime: Duration::from_secs(86_400),
        ring_for: Duration::from_secs(25),
        priority: 0,
        open_max: 100,
    }
}

impl Bench {
    fn new(rules: CallbackRules) -> Self {
        let now = epoch();
        let ids = IdSource::starting_at(now.wall_ms);
        Self { book: Callbacks::new(rules), now, ids, tickets: vec![], out: vec![] }
    }

    /// A wish to be called, place taken two minutes ago, `after` seconds from now at the earliest.
    fn wish(&self, id: u64, number: &str, after: u64) -> Promise {
        Promise {
            id: CallbackId(id),
            queue: QueueId::new(&TenantId::default(), "sales"),
            number: PhoneNumber::parse(number).unwrap(),
            arrived_wall_ms: self.now.wall_ms - 120_000,
            not_before_wall_ms: self.now.wall_ms + after * 1000,
            expires_wall_ms: 0,
            tries: 0,
            state: CallbackState::Promised,
        }
    }

    fn promise(&mut self, id: u64, number: &str, after: u64) -> Result<Made, BookFull> {
        let wish = self.wish(id, number, after);
        self.book.promise(wish, self.now, &mut self.out)
    }

    /// A promise on disk whose first ticket has just arrived.
    fn with_ticket(mut self, id: u64) -> Self {
        self.promise(id, "+4930123", 0).unwrap();
        self.handle(Event::Stored(CallbackId(id)));
        self.wait(0);
        self.told();
        self
    }

    fn handle(&mut self, event: Event) {
        self.book.handle(event, self.now, &mut self.out);
    }

    fn wait(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        while let Some(at) = self.book.deadline().filter(|at| *at <= end.instant) {
            self.now = self.now.after(at.saturating_duration_since(self.now.instant));
            self.book.handle_deadline(self.now, &mut self.ids, &mut self.out);
        }
        self.now = end;
    }

    fn last_ticket(&self) -> TicketId {
        *self.tickets.last().unwrap()
    }

    fn told(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for action in std::mem::take(&mut self.out) {
            lines.push(match action {
                Action::Save(promise) => {
                    format!("{} {}, {} tries", promise.id, promise.state.as_str(), promise.tries)
                }
                Action::Arrive(ticket) => {
                    assert!(!self.tickets.contains(&ticket.id), "a ticket used twice");
                    self.tickets.push(ticket.id);
                    let ago = (self.now.wall_ms - ticket.arrived_wall_ms) / 1000;
                    format!("t{} arrives, from {ago} s ago", self.tickets.len())
                }
                Action::Leave(ticket) => {
                    let index = self.tickets.iter().position(|other| *other == ticket).unwrap();
                    format!("t{} leaves", index + 1)
                }
                Action::Dial { number, .. } => format!("dial {number}"),
            });
        }
        lines
    }
}

#[test]
fn a_promise_on_disk_takes_a_ticket_in_its_old_place_and_is_kept() {
    let mut bench = Bench::new(rules());
    assert!(matches!(bench.promise(1, "+4930123", 60), Ok(Made::New(_))));
    assert_eq!(bench.told(), ["1 promised, 0 tries"]);
    // Not on disk: never due, however long it takes.
    bench.wait(100);
    assert_eq!((bench.told(), bench.book.deadline()), (vec![], None));
    bench.handle(Event::Stored(CallbackId(1)));
    bench.wait(0);
    assert_eq!(bench.told(), ["t1 arrives, from 220 s ago"]);
    bench.handle(Event::AgentReserved(bench.last_ticket()));
    assert_eq!(bench.told(), ["1 reserved, 0 tries", "dial +4930123"]);
    bench.handle(Event::Dialling(bench.last_ticket()));
    bench.handle(Event::Joined(bench.last_ticket()));
    assert_eq!(bench.told(), ["1 dialling, 1 tries", "1 kept, 1 tries"]);
    assert!(bench.book.is_empty() && bench.book.deadline().is_none());
}

#[test]
fn a_promise_that_could_not_be_stored_was_never_made() {
    let mut bench = Bench::new(rules());
    bench.promise(1, "+4930123", 0).unwrap();
    bench.told();
    bench.handle(Event::NotStored(CallbackId(1)));
    bench.wait(90_000);
    assert_eq!(bench.told(), [""; 0]);
    assert!(bench.book.is_empty());
}

#[test]
fn it_waits_for_the_time_it_was_wished_for() {
    let mut bench = Bench::new(rules());
    bench.promise(1, "+4930123", 3_600).unwrap();
    bench.handle(Event::Stored(CallbackId(1)));
    bench.told();
    bench.wait(3_599);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait(1);
    assert_eq!(bench.told(), ["t1 arrives, from 3720 s ago"]);
}

/// Three tries five minutes apart, then Broken: the reason is reported, nothing is left behind.
#[test]
fn after_the_last_try_it_is_reported_broken() {
    let mut bench = Bench::new(rules()).with_ticket(1);
    for attempt in 1..=3 {
        bench.handle(Event::AgentReserved(bench.last_ticket()));
        bench.handle(Event::Dialling(bench.last_ticket()));
        bench.wait(25);
        bench.told();
        bench.handle(Event::TryFailed(bench.last_ticket()));
        if attempt < 3 {
            assert_eq!(bench.told(), [format!("1 promised, {attempt} tries")]);
            bench.wait(299);
            assert_eq!(bench.told(), [""; 0]);
            bench.wait(1);
            assert!(bench.told()[0].starts_with(&format!("t{} arrives", attempt + 1)));
        }
    }
    assert_eq!(bench.told(), ["1 broken, 3 tries"]);
    assert!(bench.book.is_empty() && bench.book.deadline().is_none());
}

#[test]
fn a_try_that_could_not_be_dialled_does_not_count() {
    let mut bench = Bench::new(rules()).with_ticket(1);
    bench.handle(Event::AgentReserved(bench.last_ticket()));
    bench.told();
    bench.handle(Event::TryFailed(bench.last_ticket()));
    assert_eq!(bench.told(), ["1 promised, 0 tries"]);
}

#[test]
fn expiry_breaks_what_waits_and_lets_a_try_under_way_go_on() {
    let short = CallbackRules { lifetime: Duration::from_secs(100), ..rules() };
    // In line: withdrawn.
    let mut bench = Bench::new(short.clone()).with_ticket(1);
    bench.wait(99);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait(1);
    assert_eq!(bench.told(), ["t1 leaves", "1 broken, 0 tries"]);
    // Being rung: it may still be kept, and if it fails there is no other try.
    for (word, last) in [
        (Event::Joined as fn(TicketId) -> Event, "1 kept, 1 tries"),
        (Event::TryFailed, "1 broken, 1 tries"),
    ] {
        let mut bench = Bench::new(short.clone()).with_ticket(1);
        bench.wait(90);
        bench.handle(Event::AgentReserved(bench.last_ticket()));
        bench.handle(Event::Dialling(bench.last_ticket()));
        bench.told();
        bench.wait(20);
        assert_eq!(bench.told(), [""; 0]);
        bench.handle(word(bench.last_ticket()));
        assert_eq!(bench.told(), [last]);
    }
}

#[test]
fn one_person_has_one_place_in_a_queue() {
    let mut bench = Bench::new(rules());
    let Ok(Made::New(first)) = bench.promise(1, "+49 30 123", 0) else { panic!("not new") };
    bench.told();
    let again = bench.promise(2, "+4930123", 0);
    assert_eq!(again, Ok(Made::Present { promise: first.clone(), stored: false }));
    bench.handle(Event::Stored(CallbackId(1)));
    let again = bench.promise(3, "+4930123", 500);
    assert_eq!(again, Ok(Made::Present { promise: first.clone(), stored: true }));
    assert_eq!(bench.told(), [""; 0]);
    // Another queue is another place; so is another number.
    let mut other = bench.wish(4, "+4930123", 0);
    other.queue = QueueId::new(&TenantId::default(), "help");
    assert!(matches!(bench.book.promise(other, bench.now, &mut bench.out), Ok(Made::New(_))));
    assert!(matches!(bench.promise(5, "+4930124", 0), Ok(Made::New(_))));
    assert_eq!(bench.book.find(&first.queue, &first.number), Some(&first));
    // Through the API: the row it made is cancelled.
    bench.told();
    let row = bench.wish(6, "+4930123", 0);
    let adopted = bench.book.adopt(row, bench.now, &mut bench.out);
    assert_eq!(adopted, Ok(Made::Present { promise: first, stored: true }));
    assert_eq!(bench.told(), ["6 cancelled, 0 tries"]);
}

#[test]
fn a_full_book_promises_nothing_and_restores_everything() {
    let mut bench = Bench::new(CallbackRules { open_max: 1, ..rules() });
    bench.promise(1, "+4930001", 0).unwrap();
    assert_eq!(bench.promise(2, "+4930002", 0), Err(BookFull));
    bench.told();
    let row = bench.wish(3, "+4930003", 0);
    assert_eq!(bench.book.adopt(row, bench.now, &mut bench.out), Err(BookFull));
    assert_eq!(bench.told(), ["3 cancelled, 0 tries"]);
    let mut row = bench.wish(4, "+4930004", 0);
    row.expires_wall_ms = bench.now.wall_ms + 1_000_000;
    bench.book.restore(row, bench.now, &mut bench.out);
    bench.wait(0);
    assert_eq!(bench.told(), ["t1 arrives, from 120 s ago"]);
}

/// At the crash it was being dialled: on disk with its try counted. The caller may have been
/// reached, so the gap is kept.
#[test]
fn after_a_restart_a_try_in_doubt_waits_the_gap_and_a_used_up_one_is_broken() {
    let mut bench = Bench::new(rules());
    for (id, tries) in [(1, 0), (2, 1), (3, 3)] {
        let mut row = bench.wish(id, &format!("+493000{id}"), 0);
        row.expires_wall_ms = bench.now.wall_ms + 1_000_000;
        row.tries = tries;
        bench.book.restore(row, bench.now, &mut bench.out);
    }
    let mut expired = bench.wish(4, "+4930004", 0);
    expired.expires_wall_ms = bench.now.wall_ms - 1;
    bench.book.restore(expired, bench.now, &mut bench.out);
    bench.wait(0);
    assert_eq!(
        bench.told(),
        ["3 broken, 3 tries", "4 broken, 0 tries", "t1 arrives, from 120 s ago"]
    );
    bench.wait(299);
    assert_eq!(bench.told(), [""; 0]);
    bench.wait(1);
    assert_eq!(bench.told(), ["t2 arrives, from 420 s ago"]);
}

#[test]
fn cancelling_withdraws_the_ticket_and_late_words_are_ignored() {
    let mut bench = Bench::new(rules()).with_ticket(1);
    let ticket = bench.last_ticket();
    bench.handle(Event::AgentReserved(ticket));
    bench.handle(Event::Dialling(ticket));
    // The caller is on the line and gets a second agent: nothing is dialled again.
    bench.told();
    bench.handle(Event::AgentReserved(ticket));
    bench.handle(Event::Dialling(ticket));
    assert_eq!(bench.told(), [""; 0]);
    bench.handle(Event::Cancel(CallbackId(1)));
    assert_eq!(bench.told(), ["t1 leaves", "1 cancelled, 1 tries"]);
    for event in [
        Event::Joined(ticket),
        Event::TryFailed(ticket),
        Event::Refused(ticket),
        Event::AgentReserved(ticket),
        Event::Cancel(CallbackId(1)),
        Event::Stored(CallbackId(1)),
    ] {
        bench.handle(event);
    }
    assert_eq!(bench.told(), [""; 0]);
}

/// The wall clock is set an hour forward, then the book wakes within a minute.
#[test]
fn a_clock_set_forward_is_noticed_within_a_minute() {
    let mut bench = Bench::new(rules());
    bench.promise(1, "+4930123", 3_600).unwrap();
    bench.handle(Event::Stored(CallbackId(1)));
    bench.told();
    bench.now.wall_ms += 3_600_000;
    bench.wait(60);
    assert_eq!(bench.told(), ["t1 arrives, from 3780 s ago"]);
}

/// Random lives of promises: each ends exactly once, as Kept, Broken or Cancelled.
#[test]
fn every_promise_ends_exactly_once() {
    for seed in 0..50_u64 {
        let mut random = seed;
        let mut roll = move |sides: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11);
            (random >> 33) % sides
        };
        let mut bench = Bench::new(rules());
        let mut states: BTreeMap<CallbackId, CallbackState> = BTreeMap::new();
        let mut unstored = Vec::new();
        for step in 0..400 {
            if step < 200 && roll(4) == 0 {
                let number = format!("+49300{}", 100 + roll(20));
                if let Ok(Made::New(made)) = bench.promise(step, &number, roll(900)) {
                    unstored.push(made.id);
                }
            }
            if let Some(id) = (roll(2) == 0).then(|| unstored.pop()).flatten() {
                let lost = roll(5) == 0;
                if lost {
                    states.remove(&id);
                }
                bench.handle(if lost { Event::NotStored(id) } else { Event::Stored(id) });
            }
            if let Some(ticket) = bench.tickets.get(roll(60) as usize).copied() {
                bench.handle(match roll(8) {
                    0..=2 => Event::AgentReserved(ticket),
                    3..=4 => Event::Dialling(ticket),
                    5 => Event::TryFailed(ticket),
                    6 => Event::Joined(ticket),
                    _ => Event::Cancel(CallbackId(roll(200))),
                });
            }
            bench.wait(if step < 399 { roll(60) } else { 100_000 });
            for action in &bench.out {
                let Action::Save(promise) = action else { continue };
                let before = states.insert(promise.id, promise.state);
                let ended = before.is_some_and(CallbackState::is_final);
                assert!(!ended, "seed {seed}: {} was {before:?}", promise.id);
                assert!(promise.tries <= 3, "seed {seed}: {} tried too often", promise.id);
            }
            bench.told();
        }
        // Expired by now, unless a try was left under way for ever or the store never answered.
        for promise in bench.book.iter() {
            let stuck = promise.state != CallbackState::Promised || unstored.contains(&promise.id);
            assert!(stuck, "seed {seed}: {} is still open", promise.id);
        }
        // Nothing is left behind of those that ended.
        let book = &bench.book;
        let with_ticket = book.open.values().filter(|open| open.ticket.is_some()).count();
        assert_eq!((book.by_ticket.len(), book.by_person.len()), (with_ticket, book.open.len()));
        assert!(book.due.len() <= book.open.len());
        assert!(states.values().any(|state| *state == CallbackState::Kept));
    }
}
