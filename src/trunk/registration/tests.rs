use super::*;
use domain::hop::Transport;
use domain::now::epoch;

fn hop(last: u8) -> Hop {
    Hop::at(Transport::Udp, ([192, 0, 2, last], 5060).into())
}

struct Lab {
    registration: Registration,
    hops: Vec<Hop>,
    random: Random,
    now: Instant,
    out: Vec<Order>,
}

impl Lab {
    fn new(hops: &[u8]) -> Self {
        let registration = Registration::new(RegistrationRules::default());
        let hops = hops.iter().map(|last| hop(*last)).collect();
        let now = epoch().instant;
        let mut lab = Self { registration, hops, random: Random::new(5), now, out: Vec::new() };
        lab.registration.start(Duration::ZERO, now);
        lab
    }

    /// Goes on to the next deadline; how long that took, and what is asked then.
    fn next(&mut self) -> (Duration, Vec<Order>) {
        let at = self.registration.deadline().expect("something is due");
        let waited = at - self.now;
        self.now = at;
        self.registration.handle_deadline(&self.hops, at, &mut self.random, &mut self.out);
        (waited, std::mem::take(&mut self.out))
    }

    fn accept(&mut self, last: u8, granted_s: u64) {
        let granted = Duration::from_secs(granted_s);
        let values = (vec!["<sip:edge.example;lr>".into()], Vec::new());
        self.registration.accepted(hop(last), granted, values, self.now, &mut self.random);
    }

    /// It fails; what is asked at once.
    fn fail(&mut self, status: Option<u16>, retry_after_s: Option<u64>) -> Vec<Order> {
        let retry_after = retry_after_s.map(Duration::from_secs);
        let failure = RegisterFailure { status, retry_after, min_expires: None };
        let (now, random) = (self.now, &mut self.random);
        self.registration.failed(&failure, &self.hops, now, random, &mut self.out);
        std::mem::take(&mut self.out)
    }
}

fn register(last: u8, expires_s: u64) -> Vec<Order> {
    vec![Order::Register(hop(last), Duration::from_secs(expires_s))]
}

#[test]
fn it_is_refreshed_at_80_to_90_percent_of_what_was_granted() {
    let mut lab = Lab::new(&[1, 2]);
    assert_eq!(lab.next(), (Duration::ZERO, register(1, 600)));
    for granted in [600, 120, 3_600] {
        lab.accept(1, granted);
        assert!(lab.registration.is_registered(lab.now));
        let (waited, orders) = lab.next();
        assert_eq!(orders, register(1, 600));
        let share = waited.as_secs_f64() / granted as f64;
        assert!((0.8..=0.9).contains(&share), "{share}");
    }
    assert_eq!(lab.registration.service_route(lab.now), [Arc::from("<sip:edge.example;lr>")]);
    let later = lab.now + Duration::from_secs(3_600);
    assert_eq!(lab.registration.service_route(later), [], "it has run out");
    // A registrar that grants nothing is not asked every second.
    lab.accept(1, 0);
    assert!(lab.next().0 >= Duration::from_secs(8));
}

/// RFC 5626 §4.5: with a base of 30 s, W is 60, 120, 240 … 1800 s, and the wait 50 to 100 % of it.
#[test]
fn failures_are_spaced_as_the_rfc_says() {
    let mut lab = Lab::new(&[1]);
    lab.next();
    for most in [60, 120, 240, 480, 960, 1_800, 1_800, 1_800] {
        assert_eq!(lab.fail(None, None), []);
        let (waited, orders) = lab.next();
        let most = Duration::from_secs(most);
        assert!(waited >= most / 2 && waited <= most, "{waited:?} of {most:?}");
        assert_eq!(orders, register(1, 600));
    }
    lab.accept(1, 600);
    lab.next();
    lab.fail(Some(500), None);
    assert!(lab.next().0 <= Duration::from_secs(60), "counted anew after a success");
}

#[test]
fn the_next_hop_is_asked_at_once_and_a_refusal_is_not_passed_around() {
    let mut lab = Lab::new(&[1, 2, 3]);
    lab.next();
    assert_eq!(lab.fail(None, None), register(2, 600));
    assert_eq!(lab.fail(Some(503), None), register(3, 600));
    assert_eq!(lab.fail(Some(500), None), []);
    assert_eq!(lab.next().1, register(1, 600), "a new round");
    // A wrong password is wrong everywhere.
    assert_eq!(lab.fail(Some(403), None), []);
    let standing = lab.registration.standing(lab.now);
    assert!(matches!(standing, Standing::Failed { alarm: true, .. }), "{standing:?}");
    let (waited, _) = lab.next();
    assert!((1_620..=1_980).contains(&waited.as_secs()), "{waited:?}");
    // 503 with Retry-After is waited out.
    assert_eq!(lab.fail(Some(503), Some(4_000)), []);
    assert_eq!(lab.next().0, Duration::from_secs(4_000));
}

/// RFC 3261 §10.2.8.
#[test]
fn what_is_too_brief_is_asked_for_longer() {
    let mut lab = Lab::new(&[1]);
    lab.next();
    let too_brief = |least| RegisterFailure {
        status: Some(423),
        retry_after: None,
        min_expires: Some(Duration::from_secs(least)),
    };
    let mut fail = |least| {
        let (now, random) = (lab.now, &mut lab.random);
        lab.registration.failed(&too_brief(least), &lab.hops, now, random, &mut lab.out);
        std::mem::take(&mut lab.out)
    };
    assert_eq!(fail(1_800), register(1, 1_800));
    assert_eq!(fail(1_800), [], "asked for that long already");
    assert!(lab.next().0 >= Duration::from_secs(30));
}

#[test]
fn it_lasts_until_it_runs_out_and_follows_the_hops() {
    let mut lab = Lab::new(&[1, 2]);
    lab.next();
    lab.accept(1, 600);
    let accepted = lab.now;
    lab.next();
    lab.fail(None, None);
    lab.fail(None, None);
    assert!(lab.registration.is_registered(accepted + Duration::from_secs(599)));
    assert!(!lab.registration.is_registered(accepted + Duration::from_secs(600)));
    // Registered again; then its hop goes away.
    lab.next();
    lab.accept(1, 600);
    lab.hops.remove(0);
    lab.registration.hops_changed(&lab.hops, lab.now);
    assert_eq!(lab.next(), (Duration::ZERO, register(2, 600)));
    lab.accept(2, 600);
    assert_eq!(lab.registration.hop(lab.now), Some(&hop(2)));
}

#[test]
fn nothing_is_asked_before_the_trunk_is_located() {
    let mut lab = Lab::new(&[]);
    assert_eq!(lab.next().1, []);
    lab.hops.push(hop(1));
    lab.registration.hops_changed(&lab.hops, lab.now);
    assert_eq!(lab.next(), (Duration::ZERO, register(1, 600)));
}

#[test]
fn it_is_taken_back_and_stays_so() {
    let mut lab = Lab::new(&[1]);
    lab.next();
    lab.accept(1, 600);
    lab.registration.leave(&mut lab.out);
    assert_eq!(std::mem::take(&mut lab.out), [Order::Unregister(hop(1))]);
    assert_eq!(lab.registration.deadline(), None);
    lab.accept(1, 600);
    assert!(!lab.registration.is_registered(lab.now), "an answer that came late");
    lab.registration.left();
    assert_eq!(lab.registration.standing(lab.now), Standing::Left);
    let mut never = Lab::new(&[1]);
    never.registration.leave(&mut never.out);
    assert_eq!(never.out, []);
}

/// The endpoint forgets to answer: it goes on nevertheless.
#[test]
fn a_lost_request_is_a_failed_one() {
    let mut lab = Lab::new(&[1, 2]);
    lab.next();
    assert_eq!(lab.next(), (REQUEST_MAX, register(2, 600)));
}
