//! linphone as an agent's telephone, told what to do line by line: hold and resume, transfers without and after asking, and
//! registration and calls over TLS.

use super::baresip::{Baresip, Role};
use super::events::Events;
use super::http;
use super::installation::{Gateway, Installation, PASSWORD, Plan};
use super::ports;
use super::process::{Folder, Process};
use super::sound;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{ChildStdin, Command};

const CALLERS_HERTZ: f64 = 650.0;
const BENS_HERTZ: f64 = 1_000.0;

/// A linphone at work.
struct Linphone {
    process: Process,
    input: ChildStdin,
    /// Kept until the process is gone.
    _folder: Folder,
}

impl Linphone {
    /// Starts one that registers as anna, the first to do so, and answers what comes. `secure` is
    /// where the gateway takes TLS and the file of who vouches for its certificate; else it is UDP.
    fn start(gateway: &Gateway, secure: Option<(SocketAddr, &str)>) -> Self {
        let folder = Folder::new("linphone");
        // Without these it opens no port.
        for home in [".local/share/linphone/.keep", ".config/linphone/.keep"] {
            folder.write(home, "");
        }
        let (udp, tls) = match secure {
            Some(_) => (0, ports::free()),
            None => (ports::free(), 0),
        };
        let config = format!(
            "[sip]\nsip_port={udp}\nsip_tcp_port=0\nsip_tls_port={tls}\nuse_ipv6=0\nipv6=0\n\
             verify_server_cn=0\nroot_ca={}\n[rtp]\naudio_rtp_port={}\n\
             [misc]\nlog_collection=0\n[video]\nautomatically_initiate=0\nautomatically_accept=0\n",
            secure.map_or("", |(_, authority)| authority),
            ports::media(),
        );
        let config = folder.write("linphonerc", &config);
        let mut command = Command::new("linphonec");
        command.arg("-a").arg("-c").arg(&config).env("HOME", &folder.0);
        let (process, input) = Process::start_told("linphone", &folder.0, &mut command);
        let mut linphone = Self { process, input, _folder: folder };
        linphone.process.wait_line(|line| line.contains("video is disabled").then_some(()));
        linphone.tell("soundcard use files");
        let (address, way) = match secure {
            Some((address, _)) => (address, ";transport=tls"),
            None => (gateway.sip, ""),
        };
        linphone.tell(&format!("register sip:anna@{address} sip:{address}{way} {PASSWORD}"));
        super::process::wait_for("the registration", || {
            let figures = http::request(gateway.operations, "GET", "/metrics", "", b"").ok()?.text;
            figures.contains("gw_agents_registered 1").then_some(())
        });
        linphone
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("linphone takes orders");
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        // It unregisters; should it have gone already, nothing is lost.
        let _ = writeln!(self.input, "quit");
    }
}

/// A caller who is bridged with anna; the number of the call.
fn bridged(gateway: &Gateway, installation: &Installation, events: &mut Events) -> (Baresip, u64) {
    for says in ["log_in", "ready"] {
        gateway.agent_says("anna", says);
    }
    let tone = installation.folder.at("caller.wav");
    sound::write_tone(&tone, CALLERS_HERTZ, 60);
    let mut caller = Baresip::start(gateway.sip, Role::Caller("+49301110002"), &tone);
    caller.dial(gateway.sip, "4100");
    let call = events.call();
    assert_eq!(events.of(call, "call.bridged")["agent"], "anna");
    (caller, call)
}

/// Hold drops no call: the direction is answered rightly, and the sound comes back.
#[test]
fn an_agents_hold_keeps_the_call_and_resume_brings_the_sound_back() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut anna = Linphone::start(&gateway, None);
    let mut events = gateway.events();
    let (mut caller, call) = bridged(&gateway, &installation, &mut events);
    anna.process.wait_line(|line| line.contains("connected").then_some(()));
    anna.tell("pause 1");
    anna.process.wait_line(|line| line.contains("paused").then_some(()));
    installation.trace(call, &["INVITE"]);
    let full = |wanted: &str| {
        super::process::wait_for(wanted, || {
            let output = installation.run(&["trace", &call.to_string(), "--full"]);
            let text = super::installation::text(&output.stdout);
            text.contains(wanted).then_some(())
        })
    };
    full("a=sendonly");
    // Hold is answered by its other half (RFC 3264 §8.4).
    full("a=recvonly");
    anna.tell("resume 1");
    super::process::wait_for("the sound to come back", || {
        let said = anna.process.output();
        (said.matches("Media streams established").count() > 1).then_some(())
    });
    caller.hang_up();
    let ended = events.of(call, "call.ended");
    assert_eq!((&ended["cause"], &ended["by"]), (&"normal".into(), &"peer".into()), "{ended}");
}

#[test]
fn an_agent_transfers_a_caller_to_a_colleague() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut anna = Linphone::start(&gateway, None);
    let tone = installation.folder.at("ben.wav");
    sound::write_tone(&tone, BENS_HERTZ, 60);
    let mut ben = Baresip::start(gateway.sip, Role::Answering("ben"), &tone);
    let mut events = gateway.events();
    let (mut caller, call) = bridged(&gateway, &installation, &mut events);
    anna.process.wait_line(|line| line.contains("connected").then_some(()));
    anna.tell(&format!("transfer 1 sip:ben@{}", gateway.sip));
    ben.wait("CALL_ESTABLISHED");
    super::process::wait_for("the colleague's tone", || {
        (sound::seconds_of(&caller.heard(), BENS_HERTZ) >= 1.0).then_some(())
    });
    caller.hang_up();
    events.of(call, "call.ended");
    ben.wait("CALL_CLOSED");
}

/// After asking him: the second call takes the caller's first place in it (RFC 3891), the agent leaves
/// both, and nobody else is cut off.
#[test]
fn an_agent_asks_a_colleague_and_then_hands_the_caller_over() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut anna = Linphone::start(&gateway, None);
    let tone = installation.folder.at("ben.wav");
    sound::write_tone(&tone, BENS_HERTZ, 60);
    let mut ben = Baresip::start(gateway.sip, Role::Answering("ben"), &tone);
    let mut events = gateway.events();
    let (mut caller, call) = bridged(&gateway, &installation, &mut events);
    anna.process.wait_line(|line| line.contains("connected").then_some(()));
    anna.tell("pause 1");
    anna.process.wait_line(|line| line.contains("paused").then_some(()));
    anna.tell(&format!("call sip:ben@{}", gateway.sip));
    ben.wait("CALL_ESTABLISHED");
    super::process::wait_for("her second call", || {
        (anna.process.output().matches("connected").count() > 1).then_some(())
    });
    assert_eq!(sound::seconds_of(&caller.heard(), BENS_HERTZ), 0.0, "he is on hold");
    anna.tell("transfer 1 --to-call 2");
    super::process::wait_for("the colleague's tone", || {
        (sound::seconds_of(&caller.heard(), BENS_HERTZ) >= 1.0).then_some(())
    });
    super::process::wait_for("the caller's tone", || {
        (sound::seconds_of(&ben.heard(), CALLERS_HERTZ) >= 1.0).then_some(())
    });
    caller.hang_up();
    events.of(call, "call.ended");
    ben.wait("CALL_CLOSED");
    installation.trace(call, &["REFER", "202"]);
}

#[test]
fn a_telephone_registers_and_talks_over_tls() {
    let (installation, certificates) = super::tls::installation();
    let gateway = installation.start();
    let authority = certificates.0.text("ca.pem");
    let secure = super::tls::listeners(&gateway, "TLS")[2];
    let mut anna = Linphone::start(&gateway, Some((secure, &authority)));
    let mut events = gateway.events();
    let (mut caller, call) = bridged(&gateway, &installation, &mut events);
    anna.process.wait_line(|line| line.contains("connected").then_some(()));
    anna.tell("terminate all");
    assert_eq!(events.of(call, "call.ended")["cause"], "normal");
    caller.wait("CALL_CLOSED");
}
