//! Kamailio in front: as record-routing proxy in both directions, and as the registrar at which a
//! trunk registers.

use super::builtin::{campaign, dispositions};
use super::installation::{Gateway, Installation, Plan};
use super::ports;
use super::process::{Folder, Process, wait_for};
use super::sipp::{self, Scenario};
use super::spoilt::Peer;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

/// A Kamailio at work.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    /// Kept until the process is gone.
    _folder: Folder,
}

/// Modules, bounds and log, the same in every role. What it relays is told by `xlog`.
fn head(address: SocketAddr) -> String {
    format!(
        "debug=-1\nlog_stderror=yes\nfork=yes\nchildren=1\ndisable_tcp=yes\nauto_aliases=no\n\
         listen=udp:{address}\n\
         loadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"rr.so\"\nloadmodule \"maxfwd.so\"\n\
         loadmodule \"siputils.so\"\nloadmodule \"textops.so\"\nloadmodule \"pv.so\"\nloadmodule \"xlog.so\"\n\
         loadmodule \"usrloc.so\"\nloadmodule \"registrar.so\"\nloadmodule \"auth.so\"\n"
    )
}

/// Relays what comes from `gateway` to `far`, and everything else to `gateway`.
fn proxy(address: SocketAddr, gateway: SocketAddr, far: SocketAddr) -> String {
    head(address)
        + &format!(
            r#"
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{
        xlog("L_ALERT", "in dialog: $rm $hdr(Route)\n");
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK") && t_check_trans()) {{ t_relay(); }}
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    t_check_trans();
    record_route();
    if ($si == "{}" && $sp == {}) {{ $du = "sip:{far}"; }} else {{ $du = "sip:{gateway}"; }}
    t_relay();
    exit;
}}
"#,
            gateway.ip(),
            gateway.port()
        )
}

/// A registrar that challenges, with one user and this password; calls to the user go to his contact.
fn registrar(address: SocketAddr, password: &str) -> String {
    head(address)
        + &format!(
            r#"
modparam("usrloc", "db_mode", 0)
request_route {{
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("carrier.example", "{password}", "0")) {{
            www_challenge("carrier.example", "1");
            exit;
        }}
        consume_credentials();
        save("location");
        xlog("L_ALERT", "registered: $tU expires $hdr(Expires)\n");
        exit;
    }}
    if (is_method("OPTIONS") && !has_totag()) {{ sl_send_reply("200", "OK"); exit; }}
    if (has_totag()) {{ if (loose_route()) {{ t_relay(); }} exit; }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
    exit;
}}
"#
        )
}

impl Kamailio {
    /// Starts one by a configuration and waits until it answers.
    fn start(address: SocketAddr, configuration: &str) -> Self {
        let folder = Folder::new("kamailio");
        let file = folder.write("kamailio.cfg", configuration);
        let mut command = Command::new("kamailio");
        command.arg("-f").arg(&file).args(["-DD", "-E", "-m", "64", "-M", "8"]);
        command.arg("-Y").arg(&folder.0).arg("-P").arg(folder.at("pid"));
        let process = Process::start("kamailio", &folder.0, &mut command);
        let kamailio = Self { process, _folder: folder };
        let peer = Peer::at(address);
        // A request that its own route refuses at once: it is there.
        peer.ask(&peer.request("OPTIONS", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
        kamailio
    }

    /// Waits until it has told this.
    fn wait_told(&self, words: &str) {
        wait_for(words, || self.process.errors().contains(words).then_some(()));
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its children end with it when it is told to, not when it is killed.
        self.process.signal("TERM");
        let _ = self.process.wait_exit();
    }
}

fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()))
}

fn installation(trunk: SocketAddr) -> (Installation, Gateway) {
    let plan = Plan { carrier: trunk.port(), ..Plan::default() };
    let installation = Installation::new(&plan);
    let gateway = installation.start();
    (installation, gateway)
}

/// Caller → proxy → us: ACK and BYE come by the Record-Route; ours go back the same way.
#[test]
fn calls_pass_a_record_routing_proxy_in_both_directions() {
    let (address, far) = (free(), free());
    let (installation, gateway) = installation(address);
    let kamailio = Kamailio::start(address, &proxy(address, gateway.sip, far));
    let mut events = gateway.events();
    let keys = [("number", "+49301110001"), ("first", "5"), ("second", "1"), ("third", "5")];
    let scenario = Scenario {
        name: "presses-keys",
        calls: Some((address, "4000")),
        keys: &keys,
        ..Scenario::default()
    };
    let mut caller = sipp::start(&installation.folder, &scenario);
    let call = events.call();
    events.said(call, "Monday to Friday");
    caller.wait_success();
    assert_eq!(events.of(call, "call.ended")["by"], "peer");
    kamailio.wait_told("in dialog: BYE");
    // And outwards: the campaign's message ends, so the BYE is ours and must name the proxy's route.
    let mut called = super::builtin::builtin(&installation.folder, "uas", far.port(), &["-m", "1"]);
    let id = campaign(&gateway, "carrier", &["+49302220001"]);
    events.count("attempt.closed", 1);
    called.wait_success();
    assert_eq!(dispositions(&gateway, id), ["answered"]);
    let route = format!("in dialog: BYE <sip:127.0.0.1:{}", address.port());
    kamailio.wait_told(&route);
}

/// A trunk registers with credentials, is called at the contact it gave, and registers anew as soon as
/// the gateway is back: the address is the one it had, and the registrar still knows the old one.
#[test]
fn a_trunk_registers_at_kamailio_is_called_there_and_registers_again_after_a_restart() {
    const SECRET: &str = "carrier-secret";
    /// Less than the shortest back-off after a failure (30 s), so that nothing failed at first.
    const AT_ONCE: Duration = Duration::from_secs(10);
    let address = free();
    let kamailio = Kamailio::start(address, &registrar(address, SECRET));
    let more = "[trunks.registrar]\naddress = \"ADDRESS\"\nallow = [\"127.0.0.0/8\"]\nuser = \"hotline\"\n\
                realm = \"carrier.example\"\nregister = true\n\
                [[numbers]]\ndialled = \"hotline\"\nflow = \"hotline\"\n"
        .replace("ADDRESS", &address.to_string());
    let installation = Installation::new(&Plan { more, sip: ports::free(), ..Plan::default() });
    let set = installation.run_with(&["secret", "set", "trunk/registrar"], &format!("{SECRET}\n"));
    assert!(set.status.success(), "{set:?}");
    std::fs::write(installation.folder.at("tone.al"), vec![0x55_u8; 8_000]).unwrap();
    for _ in 0..2 {
        let told = kamailio.process.errors().matches("registered: hotline").count();
        let gateway = installation.start();
        let started = Instant::now();
        wait_for("the registration", || {
            (kamailio.process.errors().matches("registered: hotline").count() > told).then_some(())
        });
        assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
        let mut events = gateway.events();
        // The registrar asks for the user that it knows, so that is the number dialled. The caller
        // keeps to the route that was recorded, without which his ACK would not reach us.
        let scenario = Scenario {
            name: "calls-with-sound",
            calls: Some((address, "hotline")),
            pause_ms: 300,
            keys: &[("number", "+49301110001")],
            ..Scenario::default()
        };
        sipp::start(&installation.folder, &scenario).wait_success();
        assert_eq!(events.kind("call.ended")["by"], "peer");
    }
}
