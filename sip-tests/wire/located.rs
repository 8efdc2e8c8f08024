//! A carrier that is named by its domain alone: NAPTR leads to SRV, SRV to two hosts, and calls go to
//! the second while the first is gone (RFC 3263 §4).

use super::builtin::builtin;
use super::installation::{Gateway, Installation, Plan, text};
use super::name_server::{self, Data};
use super::ports;
use super::process::{Process, wait_for};
use super::sipp::{self, Scenario};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// A carrier of two hosts, and an installation that knows its domain.
struct Carrier {
    installation: Installation,
    /// The ports of both.
    hosts: [u16; 2],
    transport: &'static str,
}

impl Carrier {
    /// `service` is what NAPTR prefers, `domain` where its SRV records stand; `rules` are the trunk's.
    fn new(
        (service, domain, transport): (&'static str, &'static str, &'static str),
        rules: &str,
    ) -> Self {
        let hosts = [ports::free(), ports::free()];
        let zone = vec![
            ("carrier.test", Data::Naptr(20, "SIP+D2S", "_sip._sctp.carrier.test")),
            ("carrier.test", Data::Naptr(10, service, domain)),
            // The second stands first: priority decides, not the order of the records.
            (domain, Data::Srv(20, hosts[1], "two.carrier.test")),
            (domain, Data::Srv(10, hosts[0], "one.carrier.test")),
            ("one.carrier.test", Data::A(Ipv4Addr::LOCALHOST)),
            ("two.carrier.test", Data::A(Ipv4Addr::LOCALHOST)),
        ];
        let server = name_server::start(zone);
        let more = format!(
            "[dns]\nservers = [\"{server}\"]\n[trunks.far]\naddress = \"carrier.test\"\n{rules}\n\
             [routes.onward]\ntrunks = [\"far\"]\n\
             [[numbers]]\ndialled = \"00*\"\ntrunk = \"carrier\"\nroute = \"onward\"\n"
        );
        let installation = Installation::new(&Plan { more, ..Plan::default() });
        Self { installation, hosts, transport }
    }

    /// Starts the gateway and waits until it has found both.
    fn found(&self) -> Gateway {
        let gateway = self.installation.start();
        wait_figure(&gateway, "gw_trunk_targets", 2);
        gateway
    }

    /// A call through the gateway, from its INVITE to the end; the ports whose hosts were asked.
    fn call(&self, gateway: &Gateway) -> Vec<u16> {
        let mut events = gateway.events();
        let target = gateway.sip.to_string();
        let more = ["-s", "0049891234567", "-m", "1", "-d", "200", &target];
        builtin(&self.installation.folder, "uac", ports::free(), &more).wait_success();
        let call = events.call();
        events.of(call, "call.ended");
        self.installation.trace(call, &["BYE"]);
        let traced = self.installation.run(&["trace", &call.to_string(), "--full"]);
        let traced = text(&traced.stdout);
        let mut asked = Vec::new();
        let mut lines = traced.lines();
        while let Some(line) = lines.next() {
            let port = line.strip_prefix("--- sent to ").and_then(|rest| {
                let (_, port) = rest.split_once("127.0.0.1:")?;
                port.trim_end_matches(')').parse().ok()
            });
            if let Some(port) = port
                && lines.next().is_some_and(|line| line.starts_with("INVITE "))
                && asked.last() != Some(&port)
            {
                asked.push(port);
            }
        }
        asked
    }

    /// A host that answers OPTIONS and calls, until it is dropped.
    fn host(&self, index: usize) -> Process {
        let scenario = Scenario {
            name: "answers-options-too",
            port: self.hosts[index],
            transport: self.transport,
            count: 1_000_000,
            ..Scenario::default()
        };
        let host = sipp::start(&self.installation.folder, &scenario);
        let address = (Ipv4Addr::LOCALHOST, self.hosts[index]);
        wait_for("the host to listen", || match self.transport {
            "u1" => UdpSocket::bind(address).err(),
            _ => TcpListener::bind(address).err(),
        });
        host
    }
}

/// Waits until a gauge of the trunk has this value.
fn wait_figure(gateway: &Gateway, name: &str, value: u32) {
    let line = format!("{name}{{tenant=\"default\",trunk=\"far\"}} {value}");
    wait_for(&line, || {
        let operations = gateway.operations;
        let page = super::http::request(operations, "GET", "/metrics", "", b"").ok()?.text;
        page.lines().any(|found| found == line).then_some(())
    });
}

const UDP: (&str, &str, &str) = ("SIP+D2U", "_sip._udp.carrier.test", "u1");

/// OPTIONS tell that the first host has died, and that it is back: meanwhile calls go to the second
/// at once.
#[test]
fn calls_go_to_the_second_host_of_a_domain_until_the_first_is_back() {
    let rules = "probe_s = 1\nprobe_within_s = 3\ndown_after = 1\nup_after = 1\ntrial_s = 3600";
    let carrier = Carrier::new(UDP, rules);
    let [one, two] = carrier.hosts;
    let _second = carrier.host(1);
    let first = carrier.host(0);
    let gateway = carrier.found();
    // On a busy machine it may be late with its first answer.
    wait_for("the first host", || (carrier.call(&gateway) == [one]).then_some(()));
    drop(first);
    wait_figure(&gateway, "gw_trunk_targets_down", 1);
    assert_eq!(carrier.call(&gateway), [two]);
    let _first = carrier.host(0);
    wait_for("the first host again", || (carrier.call(&gateway) == [one]).then_some(()));
}

/// The first host takes a call and dies. The next call hears nothing from it within a second and goes
/// on to the other; once the first is back, a call that tries it makes it the first again.
#[test]
fn a_call_that_hears_nothing_of_a_host_goes_to_the_next_one() {
    let carrier = Carrier::new(UDP, "down_after = 1\ntrial_s = 2\nheard_within_s = 1");
    let [one, two] = carrier.hosts;
    let _second = carrier.host(1);
    let first = carrier.host(0);
    let gateway = carrier.found();
    assert_eq!(carrier.call(&gateway), [one]);
    drop(first);
    assert_eq!(carrier.call(&gateway), [one, two]);
    let _first = carrier.host(0);
    wait_for("a trial", || (carrier.call(&gateway) == [one]).then_some(()));
    assert_eq!(carrier.call(&gateway), [one]);
}

/// The domain prefers TCP. Its first host has no room (503), so the same call goes to the second at
/// once, by TCP as well.
#[test]
fn a_host_of_a_domain_that_answers_503_hands_its_call_to_the_next() {
    let carrier = Carrier::new(("SIP+D2T", "_sip._tcp.carrier.test", "t1"), "");
    let [one, two] = carrier.hosts;
    let mut full = sipp::start(
        &carrier.installation.folder,
        &Scenario {
            name: "refuses",
            status: "503",
            port: one,
            transport: "t1",
            ..Scenario::default()
        },
    );
    wait_for("the host to listen", || TcpListener::bind((Ipv4Addr::LOCALHOST, one)).err());
    let _second = carrier.host(1);
    let gateway = carrier.found();
    assert_eq!(carrier.call(&gateway), [one, two]);
    full.wait_success();
}
