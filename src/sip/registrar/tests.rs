use super::*;
use crate::event::Transport;
use crate::message::method::Method;
use domain::id::TenantId;
use domain::ip_version::IpVersion;
use domain::now::epoch;

fn agent(name: &str) -> AgentId {
    AgentId::new(&TenantId::default(), name)
}

fn flow(port: u16) -> Flow {
    Flow {
        transport: Transport::Tcp,
        local: ([192, 0, 2, 1], 5060).into(),
        remote: ([203, 0, 113, 9], port).into(),
    }
}

fn request(call_id: &str, cseq: u32, contacts: &[&str], expires: &str) -> Request {
    let mut request = Request::new(Method::Register, Uri::parse("sip:x.example").unwrap());
    request.headers.push(Name::CallId, call_id);
    request.headers.push(Name::CSeq, &format!("{cseq} REGISTER"));
    for contact in contacts {
        request.headers.push(Name::Contact, contact);
    }
    if !expires.is_empty() {
        request.headers.push(Name::Expires, expires);
    }
    request
}

struct Desk {
    registrar: Registrar,
    now: Instant,
    events: Vec<LegEvent>,
}

impl Desk {
    fn new() -> Self {
        Self { registrar: Registrar::new(3), now: epoch().instant, events: Vec::new() }
    }

    fn register(&mut self, request: &Request) -> (u16, Vec<String>) {
        let ann = agent("ann");
        let response = self.registrar.register(&ann, request, flow(1), self.now, &mut self.events);
        (response.status, response.headers.all(Name::Contact).map(str::to_owned).collect())
    }

    fn target(&self) -> Option<String> {
        let found = self.registrar.target(&agent("ann"), self.now);
        found.map(|way| way.contact.as_str().to_owned())
    }
}

#[test]
fn lifetimes_are_chosen_by_the_registrar() {
    for (contact, expires, status, left) in [
        ("<sip:a@192.0.2.5>;expires=120", "600", 200, "120"),
        ("<sip:a@192.0.2.5>", "600", 200, "600"),
        ("<sip:a@192.0.2.5>", "", 200, "3600"),
        ("<sip:a@192.0.2.5>", "soon", 200, "3600"),
        ("<sip:a@192.0.2.5>", "86400", 200, "3600"),
        ("<sip:a@192.0.2.5>", "59", 423, ""),
        ("<sip:a@192.0.2.5>;expires=1", "", 423, ""),
        ("<tel:+49301>", "", 400, ""),
        ("*", "600", 400, ""),
        ("*", "", 400, ""),
    ] {
        let mut desk = Desk::new();
        let answer = desk.register(&request("c", 1, &[contact], expires));
        let contacts: Vec<_> = match left {
            "" => vec![],
            left => vec![format!("<sip:a@192.0.2.5>;expires={left}")],
        };
        assert_eq!(answer, (status, contacts), "{contact} {expires}");
    }
}

/// RFC 3261 §10.3 step 7: an older REGISTER of the same client undoes nothing, and nothing of a
/// refused request is done.
#[test]
fn a_request_out_of_order_is_refused_whole() {
    let mut desk = Desk::new();
    desk.register(&request("c", 5, &["<sip:a@192.0.2.5>"], ""));
    let both = ["<sip:b@192.0.2.6>", "<sip:a@192.0.2.5>;expires=0"];
    assert_eq!(desk.register(&request("c", 5, &both, "")).0, 500);
    assert_eq!(desk.register(&request("c", 4, &["*"], "0")).0, 500);
    let (status, contacts) = desk.register(&request("c", 6, &[], ""));
    assert_eq!((status, contacts.len()), (200, 1), "a query lists what is there");
    // Another Call-ID: the telephone was started again.
    assert_eq!(desk.register(&request("d", 1, &both, "")).0, 200);
    assert_eq!(desk.target().as_deref(), Some("sip:b@192.0.2.6"));
}

/// The same Contact written differently is one binding; the one longest unused goes first.
#[test]
fn contacts_are_few_and_the_last_one_is_called() {
    let mut desk = Desk::new();
    for (cseq, contact) in
        ["<sip:a@192.0.2.5>", "<sip:b@192.0.2.5>", "<sip:%61@192.0.2.5>", "<sip:c@192.0.2.5>"]
            .iter()
            .enumerate()
    {
        desk.register(&request("c", cseq as u32 + 1, &[contact], ""));
    }
    assert_eq!(desk.target().as_deref(), Some("sip:c@192.0.2.5"));
    let (_, contacts) = desk.register(&request("c", 9, &["<sip:d@192.0.2.5>"], ""));
    let users: Vec<_> = contacts.iter().map(|contact| &contact[5..6]).collect();
    assert_eq!(users, ["%", "c", "d"]);
    let many = vec!["<sip:x@192.0.2.5>"; 17];
    assert_eq!(desk.register(&request("c", 10, &many, "")).0, 400);
    assert_eq!(desk.events, [LegEvent::Registered { agent: agent("ann"), ip: IpVersion::V4 }]);
}

/// Our port for its sound must be of the version of IP that the telephone called speaks.
#[test]
fn a_telephone_called_over_another_version_of_ip_is_told_of() {
    let mut desk = Desk::new();
    desk.register(&request("c", 1, &["<sip:a@192.0.2.5>"], ""));
    let six = Flow {
        local: "[2001:db8::1]:5060".parse().unwrap(),
        remote: "[2001:db8::9]:5060".parse().unwrap(),
        ..flow(1)
    };
    let second = request("d", 1, &["<sip:b@[2001:db8::9]>;expires=60"], "");
    desk.registrar.register(&agent("ann"), &second, six, desk.now, &mut desk.events);
    desk.registrar.handle_deadline(desk.now + Duration::from_secs(60), &mut desk.events);
    let told = [IpVersion::V4, IpVersion::V6, IpVersion::V4]
        .map(|ip| LegEvent::Registered { agent: agent("ann"), ip });
    assert_eq!(desk.events, told);
}

#[test]
fn bindings_expire_one_by_one_and_leave_nothing() {
    let mut desk = Desk::new();
    let both = ["<sip:a@192.0.2.5>;expires=60", "<sip:b@192.0.2.5>;expires=90"];
    desk.register(&request("c", 1, &both, ""));
    for (seconds, events) in [(59, 1), (60, 1), (90, 2)] {
        let at = desk.now + Duration::from_secs(seconds);
        desk.registrar.handle_deadline(at, &mut desk.events);
        assert_eq!(desk.events.len(), events, "{seconds}");
    }
    assert_eq!(desk.events[1], LegEvent::Unregistered { agent: agent("ann") });
    assert!(desk.registrar.by_flow.is_empty() && desk.registrar.deadline().is_none());
    assert_eq!(desk.registrar.len(), 0);
}

/// RFC 5626 §4.4.2 has a NAT's way used every 24 to 29 s; only datagrams from behind one need it.
#[test]
fn a_way_through_a_nat_is_kept_open() {
    let datagram = Flow { transport: Transport::Udp, ..flow(61_000) };
    let direct = Flow { remote: ([10, 0, 0, 1], 5060).into(), ..datagram };
    for (from, expected) in [(datagram, vec![datagram]), (direct, vec![]), (flow(61_000), vec![])] {
        let mut registrar = Registrar::new(3);
        let (start, mut events) = (epoch().instant, Vec::new());
        let register = request("c", 1, &["<sip:a@10.0.0.1>"], "600");
        registrar.register(&agent("ann"), &register, from, start, &mut events);
        let mut kept = Vec::new();
        registrar.keep_alives(start + Duration::from_secs(24), &mut kept);
        assert_eq!(kept, []);
        for round in 1..=3u32 {
            registrar.keep_alives(start + KEEP_ALIVE_EVERY * round, &mut kept);
            assert_eq!(kept, expected);
            kept.clear();
        }
        let gone = start + Duration::from_secs(600);
        registrar.handle_deadline(gone, &mut events);
        registrar.keep_alives(gone, &mut kept);
        assert_eq!((kept, registrar.deadline()), (vec![], None));
    }
}

/// RFC 3261 §10.2.1.2, §20.10: the one preferred most is called, of equals the newest.
#[test]
fn the_preferred_telephone_is_called() {
    for (first, second, called) in [
        ("", "", "sip:b@192.0.2.6"),
        (";q=0.5", ";q=0.4", "sip:a@192.0.2.5"),
        (";q=0.5", ";q=0.500", "sip:b@192.0.2.6"),
        ("", ";q=0.999", "sip:a@192.0.2.5"),
        (";q=0", ";q=1.000", "sip:b@192.0.2.6"),
    ] {
        let mut desk = Desk::new();
        let contacts = [format!("<sip:a@192.0.2.5>{first}"), format!("<sip:b@192.0.2.6>{second}")];
        let contacts = contacts.each_ref().map(|contact| &**contact);
        assert_eq!(desk.register(&request("c", 1, &contacts, "")).0, 200);
        assert_eq!(desk.target().as_deref(), Some(called), "{first} {second}");
    }
    for wrong in ["2", "1.001", "0.1234", "x", "-1", "0.", ".5"] {
        let contact = format!("<sip:a@192.0.2.5>;q={wrong}");
        let status = Desk::new().register(&request("c", 1, &[&contact], "")).0;
        assert_eq!(status, if wrong == "0." { 200 } else { 400 }, "{wrong}");
    }
    let (_, listed) = Desk::new().register(&request("c", 1, &["<sip:a@192.0.2.5>;q=0.25"], ""));
    assert_eq!(listed, ["<sip:a@192.0.2.5>;q=0.250;expires=3600"]);
}

/// RFC 3327 §5.3: the path is kept with the binding and told back.
#[test]
fn a_path_is_kept_and_told() {
    let mut desk = Desk::new();
    let mut register = request("c", 1, &["<sip:a@192.0.2.5>"], "");
    register.headers.push(Name::Path, "<sip:p1.example;lr>, <sip:p2.example;lr>");
    let ann = agent("ann");
    let response = desk.registrar.register(&ann, &register, flow(1), desk.now, &mut desk.events);
    assert_eq!(response.headers.get(Name::Path), register.headers.get(Name::Path));
    let way = desk.registrar.target(&ann, desk.now).unwrap();
    let path: Vec<_> = way.path.iter().map(Uri::as_str).collect();
    assert_eq!(path, ["sip:p1.example;lr", "sip:p2.example;lr"]);
    let many = ["<sip:p.example;lr>"; PATH_MAX + 1].join(",");
    for wrong in ["<<>", &many] {
        let mut register = request("c", 2, &["<sip:a@192.0.2.5>"], "");
        register.headers.push(Name::Path, wrong);
        let flow = flow(1);
        let status = desk.registrar.register(&ann, &register, flow, desk.now, &mut desk.events);
        assert_eq!(status.status, 400);
    }
}

/// RFC 3261 §26.2.2: a telephone spoken to under TLS is not found without it; and by its user alone only
/// where it can be taken for the same.
#[test]
fn a_telephone_that_lost_its_connection_is_found_as_safe_as_it_was() {
    let at = |transport, port| Flow { transport, ..flow(port) };
    for (lost, bindings, expected) in [
        // This very Contact, whatever else there is.
        (
            Transport::Tls,
            &[("a@192.0.2.5", Transport::Tls), ("a@192.0.2.6", Transport::Tls)][..],
            Some(0),
        ),
        (
            Transport::Tcp,
            &[("a@192.0.2.5", Transport::Udp), ("a@192.0.2.6", Transport::Tcp)],
            Some(0),
        ),
        // Not without TLS.
        (Transport::Tls, &[("a@192.0.2.5", Transport::Udp)], None),
        (Transport::Wss, &[("a@192.0.2.6", Transport::Tcp)], None),
        (
            Transport::Tls,
            &[("a@192.0.2.6", Transport::Wss), ("a@192.0.2.5", Transport::Udp)],
            Some(0),
        ),
        // By its user: over the same transport, the last one, or where there is no other.
        (
            Transport::Tls,
            &[
                ("a@192.0.2.6", Transport::Tls),
                ("a@192.0.2.7", Transport::Tls),
                ("a@192.0.2.8", Transport::Wss),
            ],
            Some(1),
        ),
        (Transport::Tcp, &[("a@192.0.2.6", Transport::Tls)], Some(0)),
        (Transport::Tcp, &[("a@192.0.2.6", Transport::Tls), ("a@192.0.2.7", Transport::Udp)], None),
        (Transport::Tcp, &[("b@192.0.2.6", Transport::Tcp)], None),
    ] {
        let (mut registrar, mut events) = (Registrar::new(9), Vec::new());
        for (port, (contact, transport)) in (0..).zip(bindings) {
            let request = request("c", 1, &[&format!("<sip:{contact}>")], "600");
            let (ann, now) = (agent("ann"), epoch().instant);
            registrar.register(&ann, &request, at(*transport, port), now, &mut events);
        }
        let contact = Uri::parse("sip:a@192.0.2.5").unwrap();
        let found = registrar.flow_of(&agent("ann"), &contact, at(lost, 99));
        assert_eq!(found.map(|flow| flow.remote.port()), expected, "{lost:?} {bindings:?}");
    }
}
