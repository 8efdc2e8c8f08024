//! Goodput of a modelled server in virtual time, and the words that neighbours exchange.

use super::neighbours::Neighbours;
use super::*;
use crate::message::via::Via;
use domain::now::epoch;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;

const RULES: OverloadRules = OverloadRules { backlog_max: Duration::from_millis(50) };

/// What a call costs: this server can take 5,000 a second.
const CALL: Duration = Duration::from_micros(200);
/// What a refusal costs, its ACK included, in the same proportion as on a real machine.
const REFUSAL: Duration = Duration::from_micros(18);
/// What it costs to read a datagram from its socket.
const READ: Duration = Duration::from_micros(2);
/// A caller who has heard nothing for so long asks again, and then after twice as long (RFC 3261 T1).
const T1: Duration = Duration::from_millis(500);
/// Datagrams that the socket's buffer holds.
const BUFFER: usize = 8_000;
const SECONDS: u32 = 10;
/// Until then the overload begins.
const IGNORED: Duration = Duration::from_secs(2);

/// Who comes: when, and how long he then waits before he comes again.
type Caller = (Instant, Duration);

/// A server to which new calls come at an even rate for ten seconds, and again as long as they have
/// heard nothing.
struct Server {
    control: Control<Caller>,
    start: Instant,
    clock: Instant,
    coming: BinaryHeap<Reverse<Caller>>,
    buffer: VecDeque<Caller>,
    served: u32,
}

impl Server {
    /// The share of its capacity that it serves before the caller comes again.
    fn goodput(offered_per_second: u32, rules: OverloadRules, start: Instant) -> f64 {
        let gap = Duration::from_secs(1) / offered_per_second;
        let coming = (0..offered_per_second * SECONDS).map(|it| Reverse((start + gap * it, T1)));
        let coming = coming.collect();
        let control = Control::new(rules, 0, start);
        let mut server =
            Self { control, start, clock: start, coming, buffer: VecDeque::new(), served: 0 };
        let end = start + Duration::from_secs(SECONDS.into());
        while server.clock < end {
            server.arrive();
            server.read();
            if !server.take_next() {
                let Some(Reverse((at, _))) = server.coming.peek() else { break };
                server.clock = server.clock.max(*at);
            }
        }
        let seconds = (end - start - IGNORED).as_secs_f64();
        f64::from(server.served) * CALL.as_secs_f64() / seconds
    }

    /// Whoever is not served comes again.
    fn again(&mut self, (arrived, wait): Caller) {
        self.coming.push(Reverse((arrived + wait, wait * 2)));
    }

    fn arrive(&mut self) {
        while let Some(Reverse(caller)) = self.coming.peek().copied()
            && caller.0 <= self.clock
        {
            self.coming.pop();
            match self.buffer.len() < BUFFER {
                true => self.buffer.push_back(caller),
                false => self.again(caller),
            }
        }
    }

    /// As the loop does: all that is there, up to a bound, before the next call is taken.
    fn read(&mut self) {
        let count = self.buffer.len().min(128);
        for _ in 0..count {
            let Some(caller) = self.buffer.pop_front() else { return };
            self.clock += READ;
            match self.control.sort(self.clock) {
                Place::Waits => self.control.enter(caller, self.clock - caller.0, self.clock),
                Place::Refused => self.clock += REFUSAL,
                Place::Dropped => self.again(caller),
            }
        }
    }

    fn take_next(&mut self) -> bool {
        let Some((arrived, wait)) = self.control.next(self.clock) else { return false };
        let counts = self.clock - arrived < wait && arrived >= self.start + IGNORED;
        self.served += u32::from(counts);
        self.clock += CALL;
        true
    }
}

/// What is not served goes into refusals: one for each call served takes 8 % of the server.
#[test]
fn goodput_holds_at_many_times_the_capacity() {
    let now = epoch().instant;
    for (offered, least) in [
        (2_500, 0.49),
        (4_500, 0.89),
        (5_000, 0.95),
        (7_500, 0.90),
        (10_000, 0.85),
        (25_000, 0.60),
        (50_000, 0.40),
    ] {
        let share = Server::goodput(offered, RULES, now);
        assert!(share >= least && share <= 1.0, "{offered} offered: {share}");
    }
    // Without a bound on the wait all are served, and nearly all too late.
    let patient = OverloadRules { backlog_max: Duration::from_secs(60) };
    assert!(Server::goodput(10_000, patient, now) < 0.2);
}

/// A server that is kept from its processor for 300 ms each second takes what has come meanwhile, and
/// then all that comes: there is no overload.
#[test]
fn a_loop_that_is_held_up_refuses_nobody() {
    let start = epoch().instant;
    let mut control = Control::new(RULES, 0, start);
    let mut clock = start;
    for number in 0..20_000_u32 {
        let arrived = start + Duration::from_millis(2) * number;
        clock = clock.max(arrived);
        let in_second = (clock - start).as_millis() % 1_000;
        if in_second < 300 {
            clock += Duration::from_millis(300 - u64::try_from(in_second).unwrap());
        }
        assert_eq!(control.sort(clock), Place::Waits, "after {:?}", arrived - start);
        control.enter(number, clock - arrived, clock);
        assert_eq!(control.next(clock), Some(number));
        clock += Duration::from_micros(200);
    }
}

/// However long all have waited, as many may wait as were taken, refusals have their share, and the rest
/// is dropped.
#[test]
fn who_finds_no_place_is_refused_or_dropped() {
    let start = epoch().instant;
    let mut control = Control::new(RULES, 0, start);
    let long = Duration::from_secs(1);
    let (mut taken, mut refused) = (0_u32, 0_u32);
    for ms in 0..40_000 {
        let now = start + Duration::from_millis(ms);
        for number in 0..6 {
            match control.sort(now) {
                Place::Waits => control.enter(number, long, now),
                Place::Refused => refused += 1,
                Place::Dropped => (),
            }
        }
        taken += u32::from(control.next(now).is_some());
    }
    assert_eq!(taken, 40_000, "one each time");
    assert!((3 * taken - 1_000..=3 * taken + 1_000).contains(&refused), "{refused} of {taken}");
    let waiting = control.waiting.len();
    assert!(waiting <= 51, "{waiting}: 1,000 a second are taken, and 50 ms is the longest wait");
    assert_eq!(usize::try_from(control.refused()).unwrap() + waiting, 5 * 40_000);
}

#[test]
fn what_follows_a_call_keeps_its_place() {
    let start = epoch().instant;
    let mut control = Control::new(RULES, 0, start);
    assert_eq!(control.enter_behind(0), Some(0), "nobody waits");
    while control.sort(start) == Place::Waits {
        control.enter(1, Duration::ZERO, start);
    }
    assert_eq!((control.waiting.len(), control.refused()), (WAITING_MAX, 1));
    assert_eq!(control.enter_behind(2), Some(2), "no place");
    assert_eq!(control.next(start), Some(1));
    assert_eq!(control.enter_behind(3), None);
    let turns: Vec<_> = std::iter::from_fn(|| control.next(start)).collect();
    assert_eq!((turns.len(), turns.last()), (WAITING_MAX, Some(&3)));
    assert!(!control.has_waiting());
}

#[test]
fn overload_ends_when_the_load_does() {
    let start = epoch().instant;
    let mut control = Control::new(RULES, 1_000, start);
    let at = |ms| start + Duration::from_millis(ms);
    assert_eq!(
        control.advice(start),
        Advice { loss_percent: 0, validity_ms: 0, sequence: 100_000 }
    );
    for ms in 0..1_000 {
        for _ in 0..10 {
            if control.sort(at(ms)) == Place::Waits {
                control.enter((), Duration::from_millis(ms), at(ms));
            }
        }
        control.next(at(ms));
    }
    let advice = control.advice(at(1_000));
    assert!((85..=95).contains(&advice.loss_percent) && advice.validity_ms == 500, "{advice:?}");
    while control.next(at(1_000)).is_some() {}
    assert!(control.refused() > 0 && control.loss_percent() > 0);
    let mut ended = None;
    for ms in (1_000..36_000).step_by(10) {
        assert_eq!(control.sort(at(ms)), Place::Waits);
        control.enter((), Duration::ZERO, at(ms));
        assert_eq!(control.next(at(ms)), Some(()));
        let later = control.advice(at(ms));
        assert!(later.sequence >= advice.sequence);
        if later.validity_ms == 0 {
            ended = Some(ms);
            break;
        }
    }
    assert!(ended.is_some_and(|ms| ms <= 3_100), "{ended:?}");
}

fn via(parameters: &str) -> String {
    format!("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1{parameters}")
}

/// How many of a hundred calls go, one for each value of chance.
fn passing(neighbours: &mut Neighbours, to: SocketAddr, now: Instant) -> u32 {
    (0..100).map(|random| u32::from(neighbours.takes_call(to, random, now))).sum()
}

#[test]
fn a_neighbours_word_counts_until_it_runs_out_or_is_taken_back() {
    let start = epoch().instant;
    let to: SocketAddr = "192.0.2.9:5060".parse().unwrap();
    let at = |ms| start + Duration::from_millis(ms);
    let mut neighbours = Neighbours::default();
    // 80 of 100 requests are calls, so 10 % of all are 12.5 % of the calls.
    for (parameters, at_ms, passed) in [
        ("", 0, 100),
        (";oc", 0, 100),
        (";oc=10;oc-algo=\"loss\";oc-validity=1000;oc-seq=1.5", 0, 88),
        (";oc=50;oc-algo=\"loss\";oc-validity=1000;oc-seq=1.4", 999, 88), // older
        (";oc=50;oc-algo=\"rate\";oc-validity=1000;oc-seq=1.6", 999, 88), // another kind
        (";oc=101;oc-seq=1.6", 999, 88),
        (";oc=10;oc-seq=16", 999, 88),
        ("", 1_000, 100),                                  // run out
        (";oc=100;oc-algo=\"loss\";oc-seq=1.7", 1_000, 0), // 500 ms is meant
        ("", 1_499, 0),
        (";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=1.8", 1_499, 100), // §5.7
    ] {
        neighbours.heard(to, &Via::parse(&via(parameters)).unwrap(), at(at_ms));
        assert_eq!(passing(&mut neighbours, to, at(at_ms)), passed, "{parameters} at {at_ms}");
    }
}

#[test]
fn what_we_print_is_what_we_read() {
    let start = epoch().instant;
    let to: SocketAddr = "192.0.2.9:5060".parse().unwrap();
    let advice = Advice { loss_percent: 100, validity_ms: 500, sequence: 123_456_789 };
    assert_eq!(advice.print(), ";oc=100;oc-algo=\"loss\";oc-validity=500;oc-seq=1234.56789");
    let mut neighbours = Neighbours::default();
    neighbours.heard(to, &Via::parse(&via(&advice.print())).unwrap(), start);
    assert_eq!(passing(&mut neighbours, to, start), 0);
}

#[test]
fn retry_after_keeps_calls_from_one_neighbour_and_not_for_ever() {
    let start = epoch().instant;
    let to: SocketAddr = "192.0.2.9:5060".parse().unwrap();
    let other: SocketAddr = "192.0.2.9:5061".parse().unwrap();
    let mut neighbours = Neighbours::default();
    neighbours.told_to_wait(to, 10, start);
    assert_eq!(passing(&mut neighbours, other, start), 100);
    for (at_s, passed) in [(0, 0), (9, 0), (10, 100)] {
        assert_eq!(passing(&mut neighbours, to, start + Duration::from_secs(at_s)), passed);
    }
    neighbours.told_to_wait(to, u32::MAX, start);
    assert_eq!(passing(&mut neighbours, to, start + Duration::from_secs(301)), 100);
}
