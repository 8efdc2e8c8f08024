use super::*;
use domain::now::epoch;

/// A zone: question, TTL in seconds, records. What is not in it does not exist.
struct Zone(Vec<(RecordKind, &'static str, u64, Vec<Record>)>);

impl Zone {
    fn answer(&self, question: &Question) -> Answer {
        let found = self
            .0
            .iter()
            .find(|(kind, name, ..)| (*kind, *name) == (question.kind, &*question.name));
        match found {
            Some((_, _, ttl, records)) => {
                Answer::Found { records: records.clone(), ttl: Duration::from_secs(*ttl) }
            }
            None => Answer::Nothing { ttl: Duration::from_secs(60) },
        }
    }
}

fn naptr(order: u16, preference: u16, services: &str, replacement: &str) -> Record {
    Record::Naptr {
        order,
        preference,
        flags: "s".into(),
        services: services.into(),
        regexp: "".into(),
        replacement: replacement.into(),
    }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Record {
    Record::Srv { priority, weight, port, target: target.into() }
}

fn address(text: &str) -> Vec<Record> {
    text.split(' ').map(|text| Record::Address(text.parse().unwrap())).collect()
}

fn rules() -> LocateRules {
    LocateRules::default()
}

/// Resolves to the end; the questions in their order, and the hops as `udp:192.0.2.1:5060`.
fn resolve(place: Place, rules: LocateRules, zone: &Zone) -> (Vec<String>, Vec<String>) {
    let now = epoch().instant;
    let mut locator = Locator::new(place, rules);
    let (mut open, mut asked) = (Vec::new(), Vec::new());
    locator.start(now, &mut open);
    while !open.is_empty() {
        let question = open.remove(0);
        asked.push(format!("{:?} {}", question.kind, question.name));
        locator.answer(&question, zone.answer(&question), now, &mut open);
    }
    (asked, written(&locator))
}

fn written(locator: &Locator) -> Vec<String> {
    let hop = |hop: Hop| Hop { host: None, ..hop }.to_string();
    locator.hops(1).into_iter().map(hop).collect()
}

fn place(text: &str) -> Place {
    Place::parse(text).unwrap()
}

/// The records of RFC 3263 §4.1, with addresses for its two servers.
fn example() -> Zone {
    use RecordKind::{A, Aaaa, Naptr, Srv};
    Zone(vec![
        (
            Naptr,
            "example.com",
            3_600,
            vec![
                naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com"),
                naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
                naptr(100, 50, "SIP+D2U", "_sip._udp.example.com"),
            ],
        ),
        (Srv, "_sip._tcp.example.com", 60, vec![srv(1, 1, 5060, "server1.example.com")]),
        (Srv, "_sip._udp.example.com", 60, vec![srv(0, 1, 5060, "server1.example.com")]),
        (
            Srv,
            "_sips._tcp.example.com",
            60,
            vec![srv(1, 1, 5061, "server1.example.com."), srv(0, 2, 5071, "Server2.example.com")],
        ),
        (A, "server1.example.com", 60, address("192.0.2.1")),
        (A, "server2.example.com", 60, address("192.0.2.2 192.0.2.22")),
        (Aaaa, "server2.example.com", 60, address("2001:db8::2")),
        (A, "example.com", 60, address("192.0.2.9")),
        (A, "plain.example.com", 60, address("192.0.2.7")),
    ])
}

/// RFC 3263 §4.1 and §4.2, row by row.
#[test]
fn each_way_of_writing_a_target_asks_what_the_rfc_says() {
    use Transport::{Tcp, Tls, Udp};
    let with = |text, transport, secure| Place { transport, secure, ..place(text) };
    let no_tls = || LocateRules { transports: vec![Udp, Tcp], ..rules() };
    let v4 = |rules: LocateRules| LocateRules { ipv6: false, ..rules };
    let tls = ["tls:[2001:db8::2]:5071", "tls:192.0.2.2:5071", "tls:192.0.2.22:5071"];
    let first = |count, rest: &[&'static str]| [&tls[..count], rest].concat();
    let table: Vec<(Place, LocateRules, usize, Vec<&str>)> = vec![
        // NAPTR: the most preferred transport that we speak, here TLS.
        (place("example.com"), rules(), 6, first(3, &["tls:192.0.2.1:5061"])),
        // Without TLS, TCP is the most preferred.
        (place("example.com"), v4(no_tls()), 3, vec!["tcp:192.0.2.1:5060"]),
        // A transport given: no NAPTR.
        (with("example.com", Some(Udp), false), v4(rules()), 2, vec!["udp:192.0.2.1:5060"]),
        (
            with("example.com", Some(Tls), false),
            v4(rules()),
            3,
            vec![tls[1], tls[2], "tls:192.0.2.1:5061"],
        ),
        // A port given: neither NAPTR nor SRV; UDP, or TLS for sips.
        (place("example.com:5080"), v4(rules()), 1, vec!["udp:192.0.2.9:5080"]),
        (with("example.com:5080", None, true), v4(rules()), 1, vec!["tls:192.0.2.9:5080"]),
        // sips: TLS alone, though it were not preferred.
        (with("example.com", None, true), rules(), 6, first(3, &["tls:192.0.2.1:5061"])),
        // Neither NAPTR nor SRV: the addresses of the name, at the default port.
        (place("plain.example.com"), v4(rules()), 5, vec!["udp:192.0.2.7:5060"]),
        (with("plain.example.com", None, true), v4(rules()), 3, vec!["tls:192.0.2.7:5061"]),
        // Addresses need no DNS.
        (place("192.0.2.5"), rules(), 0, vec!["udp:192.0.2.5:5060"]),
        (place("192.0.2.5:5070"), rules(), 0, vec!["udp:192.0.2.5:5070"]),
        (with("[2001:db8::1]", Some(Tls), false), rules(), 0, vec!["tls:[2001:db8::1]:5061"]),
        (with("2001:db8::1", Some(Tcp), false), rules(), 0, vec!["tcp:[2001:db8::1]:5060"]),
        // No such thing at all.
        (place("nowhere.invalid"), rules(), 6, vec![]),
    ];
    for (place, rules, questions, expected) in table {
        let (asked, hops) = resolve(place.clone(), rules, &example());
        assert_eq!(hops, expected, "{place:?}: {asked:?}");
        assert_eq!(asked.len(), questions, "{place:?}: {asked:?}");
    }
}

#[test]
fn records_that_do_not_apply_are_left_out() {
    use RecordKind::{A, Naptr, Srv};
    let mut odd = naptr(1, 1, "SIP+D2U", "_sip._udp.other.example");
    if let Record::Naptr { regexp, .. } = &mut odd {
        *regexp = "!^.*$!sip:evil@example.net!".into();
    }
    let zone = Zone(vec![
        (
            Naptr,
            "a.example",
            60,
            vec![
                odd,
                naptr(1, 1, "SIP+D2S", "_sip._sctp.a.example"),
                naptr(1, 2, "E2U+sip", "_sip._udp.a.example"),
                naptr(2, 1, "sip+d2u", "_sip._udp.gone.example"),
                naptr(3, 1, "SIP+D2T", "_sip._tcp.b.example"),
            ],
        ),
        (Srv, "_sip._udp.gone.example", 60, vec![srv(0, 0, 0, ".")]),
        (Srv, "_sip._tcp.b.example", 60, vec![srv(0, 0, 5062, "b.example")]),
        (A, "b.example", 60, address("192.0.2.3")),
        // RFC 2782: a service decidedly not offered has no address either.
        (Srv, "_sip._udp.closed.example", 60, vec![srv(0, 0, 5060, ".")]),
        (A, "closed.example", 60, address("192.0.2.4")),
    ]);
    assert_eq!(resolve(place("a.example"), rules(), &zone).1, ["tcp:192.0.2.3:5062"]);
    assert_eq!(resolve(place("closed.example"), rules(), &zone).1, [""; 0]);
}

/// An answer of any size costs as much as is looked at.
#[test]
fn huge_answers_are_bounded() {
    use RecordKind::{A, Srv};
    let many = (0..500).map(|_| srv(0, 1, 5060, "h.example")).collect();
    let addresses = (0..500_u32).map(|n| Record::Address(std::net::Ipv4Addr::from_bits(n).into()));
    let zone = Zone(vec![
        (Srv, "_sip._udp.a.example", 60, many),
        (A, "h.example", 60, addresses.collect()),
    ]);
    let udp = Place { transport: Some(Transport::Udp), ..place("a.example") };
    assert_eq!(resolve(udp, rules(), &zone).1.len(), 8);
}

#[test]
fn places_are_read_as_configuration_writes_them() {
    let read = |text| Place::parse(text).map(|place| (place.host, place.port));
    let name = |text: &str| Host::Name(text.into());
    let ip = |text: &str| Host::Address(text.parse().unwrap());
    for (text, expected) in [
        ("sip.Example.com", Some((name("sip.example.com"), None))),
        ("sip.example.com:5070", Some((name("sip.example.com"), Some(5070)))),
        ("localhost", Some((name("localhost"), None))),
        ("192.0.2.1:5060", Some((ip("192.0.2.1"), Some(5060)))),
        ("[2001:db8::1]:5061", Some((ip("2001:db8::1"), Some(5061)))),
        ("[2001:db8::1]", Some((ip("2001:db8::1"), None))),
        ("2001:db8::1", Some((ip("2001:db8::1"), None))),
        ("192.0.2.256", None),
        ("192.0.2.1:0", None),
        ("[2001:db8::1]x", None),
        ("[2001:db8::1", None),
        ("sip:example.com", None),
        ("a..b", None),
        ("", None),
        ("a b.example", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// Answers everything asked, until nothing is.
fn settle(
    locator: &mut Locator,
    zone: Option<&Zone>,
    open: &mut Vec<Question>,
    now: Instant,
) -> usize {
    let mut asked = 0;
    while !open.is_empty() {
        let question = open.remove(0);
        let answer = zone.map_or(Answer::Failed, |zone| zone.answer(&question));
        locator.answer(&question, answer, now, open);
        asked += 1;
    }
    asked
}

/// Answers hold for their TTL and not longer; while DNS fails the old ones serve on, which is said;
/// after `stale_max` they do not.
#[test]
fn answers_run_out_are_asked_again_and_serve_while_dns_fails() {
    let start = epoch().instant;
    let rules = LocateRules { ipv6: false, ..rules() };
    let place = Place { transport: Some(Transport::Udp), ..place("example.com") };
    let mut locator = Locator::new(place, rules);
    let mut open = Vec::new();
    locator.start(start, &mut open);
    assert_eq!(locator.deadline(), Some(at(start, 20)), "a question unanswered has failed");
    settle(&mut locator, Some(&example()), &mut open, start);
    assert_eq!(locator.deadline(), Some(at(start, 60)));
    assert!(!locator.handle_deadline(at(start, 59), &mut open) && open.is_empty());

    // The server moved.
    let moved = Zone(vec![
        (RecordKind::Srv, "_sip._udp.example.com", 30, vec![srv(0, 0, 5064, "new.example.com")]),
        (RecordKind::A, "new.example.com", 30, address("192.0.2.44")),
    ]);
    locator.handle_deadline(at(start, 60), &mut open);
    assert_eq!(open.len(), 2, "SRV and A have run out together");
    assert_eq!(written(&locator), ["udp:192.0.2.1:5060"], "the old one serves until then");
    settle(&mut locator, Some(&moved), &mut open, at(start, 60));
    assert_eq!(written(&locator), ["udp:192.0.2.44:5064"]);
    assert!(!locator.is_stale());

    // DNS fails from now on.
    let mut now = locator.deadline().unwrap();
    assert_eq!(now, at(start, 90));
    locator.handle_deadline(now, &mut open);
    assert!(settle(&mut locator, None, &mut open, now) > 0);
    assert_eq!(written(&locator), ["udp:192.0.2.44:5064"]);
    assert!(locator.is_stale());
    while locator.is_located() {
        now = locator.deadline().unwrap();
        assert!(now <= at(start, 90 + 24 * 3_600 + 20), "it serves for a day");
        locator.handle_deadline(now, &mut open);
        settle(&mut locator, None, &mut open, now);
    }
    assert!(now >= at(start, 90 + 24 * 3_600));

    // And comes back.
    now = locator.deadline().unwrap();
    locator.handle_deadline(now, &mut open);
    settle(&mut locator, Some(&moved), &mut open, now);
    assert_eq!(written(&locator), ["udp:192.0.2.44:5064"]);
    assert!(!locator.is_stale());
}

/// A TTL of 0 and a name that is not there are not asked about all the time.
#[test]
fn questions_are_spaced() {
    let start = epoch().instant;
    let zone = Zone(vec![(RecordKind::A, "example.com", 0, address("192.0.2.9"))]);
    let rules = LocateRules { ipv6: false, ..rules() };
    let mut locator = Locator::new(place("example.com:5060"), rules.clone());
    let mut open = Vec::new();
    locator.start(start, &mut open);
    settle(&mut locator, Some(&zone), &mut open, start);
    assert_eq!(locator.deadline(), Some(start + rules.ttl_min));
    let mut nowhere = Locator::new(place("nowhere.invalid:5060"), rules);
    nowhere.start(start, &mut open);
    settle(&mut nowhere, Some(&zone), &mut open, start);
    assert_eq!(nowhere.deadline(), Some(at(start, 60)));
    assert!(!nowhere.is_located() && !nowhere.is_searching());
    // A refresh, because a target is dead, comes soon, but not at once.
    let zone = example();
    let mut found =
        Locator::new(place("example.com:5060"), LocateRules { ipv6: false, ..self::rules() });
    found.start(start, &mut open);
    settle(&mut found, Some(&zone), &mut open, start);
    found.refresh(at(start, 1), &mut open);
    assert!(open.is_empty());
    assert_eq!(found.deadline(), Some(at(start, 6)));
    // An answer nobody asked for is ignored.
    let stray = Question { kind: RecordKind::A, name: "example.com".into() };
    assert!(!found.answer(&stray, Answer::Failed, start, &mut open));
}

/// However badly an answer comes (never, or not at all), the next is asked.
#[test]
fn a_lost_question_is_asked_again() {
    let start = epoch().instant;
    let mut locator = Locator::new(place("example.com:5060"), rules());
    let mut open = Vec::new();
    locator.start(start, &mut open);
    assert_eq!(open.len(), 2);
    open.clear();
    locator.handle_deadline(at(start, 20), &mut open);
    assert!(open.is_empty() && !locator.is_located());
    locator.handle_deadline(at(start, 30), &mut open);
    assert_eq!(open.len(), 2);
    settle(&mut locator, Some(&example()), &mut open, at(start, 30));
    assert_eq!(written(&locator), ["udp:192.0.2.9:5060"]);
}
