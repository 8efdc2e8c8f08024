use super::traffic::{Judgement, Traffic};
use super::*;
use crate::event::Sound;
use domain::now::epoch;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn reply(status: Option<u16>, retry_after_s: Option<u64>) -> ProbeReply {
    let round_trip = Duration::from_millis(20);
    ProbeReply { status, round_trip, retry_after: retry_after_s.map(Duration::from_secs) }
}

fn ended(end: End, rang: bool) -> Outcome {
    Outcome { end, rang, retry_after: None }
}

struct Lab {
    target: Target,
    rules: HealthRules,
    random: Random,
    start: Instant,
}

impl Lab {
    fn new() -> Self {
        let (rules, mut random, start) = (HealthRules::default(), Random::new(3), epoch().instant);
        Self { target: Target::new(&rules, start, &mut random), rules, random, start }
    }

    fn probed(&mut self, status: Option<u16>, seconds: u64) -> &'static str {
        let now = at(self.start, seconds);
        self.target.probe_now(now);
        assert!(self.target.take_probe(&self.rules, now, &mut self.random));
        self.target.probed(&reply(status, None), &self.rules, now);
        self.target.state().word()
    }

    fn called(&mut self, end: End, rang: bool, seconds: u64) -> &'static str {
        let now = at(self.start, seconds);
        self.target.called(&ended(end, rang), now, &self.rules, now);
        self.target.state().word()
    }
}

/// Three failures in a row take it down, two good ones bring it back; anything but 503, 408 and
/// silence shows that somebody is there (RFC 3261 §11: 405, 404, 481 too).
#[test]
fn probes_take_a_target_down_and_bring_it_back() {
    let mut lab = Lab::new();
    let (up, down) = ("up", "down");
    for (at_s, status, state) in [
        (0, Some(200), up),
        (30, None, up),
        (60, Some(408), up),
        (90, Some(405), up),
        (120, None, up),
        (150, Some(503), up),
        (180, None, down),
        (210, None, down),
        (240, Some(404), down),
        (270, None, down),
        (300, Some(481), down),
        (330, Some(200), up),
    ] {
        assert_eq!(lab.probed(status, at_s), state, "{status:?} at {at_s}");
    }
    assert_eq!(lab.target.round_trip(), Some(Duration::from_millis(20)));
}

#[test]
fn probes_are_spaced_with_jitter_and_one_at_a_time() {
    let mut lab = Lab::new();
    let mut firsts = Vec::new();
    for seed in 0..50 {
        let target = Target::new(&lab.rules, lab.start, &mut Random::new(seed));
        firsts.push(target.probe_at().unwrap() - lab.start);
    }
    assert!(firsts.iter().all(|first| *first <= Duration::from_secs(3)));
    assert!(
        firsts.iter().max().unwrap().as_millis() - firsts.iter().min().unwrap().as_millis() > 2_000
    );
    let mut take = |seconds| {
        let now = at(lab.start, seconds);
        lab.target.take_probe(&lab.rules, now, &mut lab.random)
    };
    assert!(take(3));
    assert!(!take(4), "one is under way");
    let next = at(lab.start, 3 + 33);
    // Unanswered it counts after 5 s, though its transaction goes on; three in a row are enough.
    assert_eq!(lab.target.probe_at(), Some(at(lab.start, 8)));
    for (seconds, down) in [(8, false), (41, false), (79, false), (84, true)] {
        let now = at(lab.start, seconds);
        lab.target.take_probe(&lab.rules, now, &mut lab.random);
        assert!(lab.target.probe_at().is_some_and(|due| due > now || due < next));
        assert_eq!(lab.target.is_down(), down, "{seconds}");
    }
    // The transaction's own end fails it no second time, and a late answer is one all the same.
    lab.target.probed(&reply(None, None), &lab.rules, at(lab.start, 100));
    lab.target.probed(&reply(Some(200), None), &lab.rules, at(lab.start, 101));
    lab.target.probed(&reply(Some(200), None), &lab.rules, at(lab.start, 102));
    assert!(!lab.target.is_down());
    let never = HealthRules { probe_every: Duration::ZERO, ..HealthRules::default() };
    assert_eq!(Target::new(&never, lab.start, &mut Random::new(1)).probe_at(), None);
}

#[test]
fn calls_take_a_target_down_and_bring_it_back() {
    let mut lab = Lab::new();
    let (up, down) = ("up", "down");
    for (at_s, end, rang, state) in [
        (0, End::Silent, false, up),
        (1, End::NotSent, false, up),
        // A response of any kind shows that it is there, and so does ringing.
        (2, End::Status(500), false, up),
        (3, End::Silent, false, up),
        (4, End::EarlyFailover, false, up),
        (5, End::Silent, true, up),
        (6, End::Status(503), false, up),
        (7, End::Silent, false, up),
        // We gave up: nothing is shown.
        (8, End::GivenUp, false, up),
        (9, End::EarlyFailover, false, down),
        // A trial call brings it back at once.
        (50, End::Status(486), false, up),
    ] {
        assert_eq!(lab.called(end, rang, at_s), state, "{end:?} at {at_s}");
    }
}

/// While it is down one call per `trial_every` may try it; `Retry-After` is waited out first
/// (RFC 3261 §21.5.4), though not for ever.
#[test]
fn trials_are_rare_and_retry_after_is_honoured() {
    let mut lab = Lab::new();
    let start = lab.start;
    let refused = |seconds| Outcome {
        retry_after: Some(Duration::from_secs(seconds)),
        ..ended(End::Status(503), false)
    };
    lab.target.called(&refused(120), start, &lab.rules, start);
    assert!(lab.target.is_down());
    assert!(!lab.target.is_trial_due(at(start, 119)));
    assert!(lab.target.is_trial_due(at(start, 120)));
    lab.target.trial_begun(&lab.rules, at(start, 120));
    assert!(!lab.target.is_trial_due(at(start, 149)));
    assert!(lab.target.is_trial_due(at(start, 150)));
    lab.target.called(&refused(1_000_000), at(start, 150), &lab.rules, at(start, 150));
    assert!(lab.target.is_trial_due(at(start, 150 + 3_600)));
    let since = match lab.target.state() {
        State::Down { since, .. } => since,
        State::Up | State::Degraded { .. } => panic!("it is down"),
    };
    assert_eq!(since, start, "it has been down since the first");
    lab.target.heard(at(start, 4_000));
    assert_eq!(lab.target.state(), State::Up);
    // The same said to a probe.
    let answer = reply(Some(503), Some(60));
    lab.target.probed(&answer, &lab.rules, at(start, 4_100));
    assert!(lab.target.is_down() && !lab.target.is_trial_due(at(start, 4_159)));
}

/// RFC 3261 §21.5.4: until it is over, neither a probe nor a registration nor an older call is another
/// word; only the answer to a call begun since is.
#[test]
fn retry_after_outlasts_what_is_not_said_of_new_calls() {
    let refused =
        Outcome { retry_after: Some(Duration::from_secs(120)), ..ended(End::Status(503), false) };
    let down = || {
        let mut lab = Lab::new();
        lab.target.called(&refused, lab.start, &lab.rules, lab.start);
        lab
    };
    let mut lab = down();
    assert_eq!(lab.probed(Some(200), 30), "down");
    assert_eq!(lab.probed(Some(200), 60), "down");
    lab.target.registered(at(lab.start, 90));
    lab.target.heard(lab.start);
    assert!(lab.target.is_down(), "what was begun before says nothing");
    // A call for help tries it all the same, and makes the wait no shorter.
    lab.target.trial_begun(&lab.rules, at(lab.start, 60));
    assert!(!lab.target.is_trial_due(at(lab.start, 119)));
    assert!(lab.target.is_trial_due(at(lab.start, 120)));
    assert_eq!(lab.probed(Some(200), 121), "up");
    let mut lab = down();
    lab.target.registered(at(lab.start, 120));
    assert!(!lab.target.is_down());
    let mut lab = down();
    lab.target.heard(at(lab.start, 1));
    assert!(!lab.target.is_down(), "its own answer to a new call");
}

#[test]
fn traffic_is_judged_over_the_window_and_forgotten_after_it() {
    let rules = HealthRules { answer_ratio_min_pct: 30, ..HealthRules::default() };
    let start = epoch().instant;
    let judge = |outcomes: &[(u32, Option<Outcome>)]| {
        let mut traffic = Traffic::default();
        for (count, outcome) in outcomes {
            (0..*count).for_each(|_| traffic.over(outcome.as_ref(), &rules, start));
        }
        traffic.judge(&rules, start)
    };
    let status = |status| Some(ended(End::Status(status), false));
    let degraded = |why: &str| Judgement::Degraded(why.into());
    let table = [
        (vec![(10, None), (9, status(503))], Judgement::Good, "too few to judge"),
        (vec![(10, None), (10, status(486))], Judgement::Good, "half are answered"),
        (
            vec![(4, None), (16, status(486))],
            degraded("answered 20 % of 20 calls, below 30 %"),
            "busy is carried, but not answered",
        ),
        (
            vec![(8, None), (12, status(404))],
            degraded("carried 40 % of 20 calls, below 50 %"),
            "wrong numbers are not carried",
        ),
        (
            vec![(3, None), (9, status(500)), (8, Some(ended(End::Silent, false)))],
            Judgement::Failing("85 % of its last 20 calls failed, over 80 %".into()),
            "5xx and silence are failures",
        ),
        (
            vec![(10, None), (10, status(486)), (90, Some(ended(End::GivenUp, false)))],
            Judgement::Good,
            "what we gave up tells nothing",
        ),
    ];
    for (outcomes, expected, why) in table {
        assert_eq!(judge(&outcomes), expected, "{why}");
    }
}

#[test]
fn the_window_slides_and_holds_no_more_than_its_pieces() {
    let rules = HealthRules::default();
    let start = epoch().instant;
    let mut traffic = Traffic::default();
    for second in 0..3_000 {
        traffic.over(None, &rules, at(start, second));
        let figures = traffic.figures(&rules, at(start, second));
        assert!(figures.calls <= 300 && (second < 270 || figures.calls >= 270), "{figures:?}");
    }
    assert_eq!(traffic.figures(&rules, at(start, 3_300)).calls, 0);
    traffic.expire(&rules, at(start, 3_300));
    assert_eq!(traffic.deadline(&rules), None);
    let later = at(start, 4_000);
    (0..30).for_each(|_| traffic.ringing(Duration::from_secs(11), &rules, later));
    (0..30).for_each(|_| traffic.over(None, &rules, later));
    let slow = Judgement::Degraded("rings after 11000 ms, over 10000 ms".into());
    assert_eq!(traffic.judge(&rules, later), slow);
    traffic.sounded(&Sound { received: 990, lost: 10, jitter_us: 4_000 }, &rules, later);
    let figures = traffic.figures(&rules, later);
    assert_eq!(figures.loss(), Some(0.01));
    assert_eq!(figures.mean_jitter(), Some(Duration::from_millis(4)));
    assert_eq!((figures.answer_ratio(), figures.effectiveness()), (Some(1.0), Some(1.0)));
}
