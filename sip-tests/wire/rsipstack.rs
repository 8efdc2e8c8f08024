//! rsipstack, a SIP stack that nobody here wrote, as an agent's telephone, as a caller through a
//! trunk, and as the carrier that a campaign calls through.

use super::PATIENCE;
use super::builtin::campaign;
use super::installation::{Installation, PASSWORD, Plan};
use super::sipp::{self, Scenario};
use super::spoilt::offer;
use rsipstack::EndpointBuilder;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::TerminatedReason;
use rsipstack::dialog::dialog::{Dialog, DialogState, DialogStateReceiver, DialogStateSender};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::dialog::registration::Registration;
use rsipstack::platform::CancellationToken;
use rsipstack::sip::{Header, HeadersExt, Method, Response, StatusCode, Uri};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transport::TransportLayer;
use rsipstack::transport::udp::UdpConnection;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A user agent with one socket for SIP and one for sound; what happens to its calls is told in
/// order.
struct UserAgent {
    runtime: Runtime,
    layer: Arc<DialogLayer>,
    name: String,
    at: SocketAddr,
    sound: UdpSocket,
    rung: UnboundedReceiver<InviteDialog>,
    states: DialogStateReceiver,
    tell: DialogStateSender,
}

impl UserAgent {
    /// Starts one whose contact has this name.
    fn start(name: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let token = CancellationToken::new();
        let loopback = "127.0.0.1:0".parse().unwrap();
        let udp = UdpConnection::create_connection(loopback, None, Some(token.child_token()));
        let udp = runtime.block_on(udp).expect("a port on loopback");
        let at = udp.get_addr().get_socketaddr().unwrap();
        let transport = TransportLayer::new(token);
        transport.add_transport(udp.into());
        let endpoint = EndpointBuilder::new().with_transport_layer(transport).build();
        let layer = Arc::new(DialogLayer::new(endpoint.inner.clone()));
        let (tell, states) = unbounded_channel();
        let (ring, rung) = unbounded_channel();
        let incoming = endpoint.incoming_transactions().unwrap();
        runtime.spawn(async move { endpoint.serve().await });
        let contact = uri(&format!("sip:{name}@{at}"));
        runtime.spawn(serve(layer.clone(), contact, incoming, tell.clone(), ring));
        let sound = UdpSocket::bind("127.0.0.1:0").unwrap();
        sound.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { runtime, layer, name: name.to_owned(), at, sound, rung, states, tell }
    }

    /// Lets `work` go on as long as patience lasts.
    #[track_caller]
    fn wait<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        within(&self.runtime, what, work)
    }

    /// Registers under its name, with the password of the agents' telephones.
    fn register(&self, gateway: SocketAddr) {
        let credential = Credential {
            username: self.name.clone(),
            password: PASSWORD.to_owned(),
            ..Credential::default()
        };
        let mut registration = Registration::new(self.layer.endpoint.clone(), Some(credential));
        let registrar = uri(&format!("sip:{gateway}"));
        let response = self.wait("registration", registration.register(registrar, Some(300)));
        let response = response.expect("an answer");
        assert_eq!(response.status_code, StatusCode::OK, "{response}");
        // RFC 3261 §10.3: nobody is registered who was not challenged first.
        assert_eq!(registration.last_seq, 2, "{response}");
        assert!((1..=300).contains(&registration.expires()), "{response}");
    }

    /// Waits until it is rung.
    #[track_caller]
    fn rung(&mut self) -> InviteDialog {
        within(&self.runtime, "a call", self.rung.recv()).expect("it serves as long as it lives")
    }

    /// Waits until a call of its own is in a state that `wanted` takes.
    #[track_caller]
    fn state(&mut self, what: &str, wanted: impl Fn(&DialogState) -> bool) {
        loop {
            let state = within(&self.runtime, what, self.states.recv());
            if wanted(&state.expect("it tells as long as it lives")) {
                return;
            }
        }
    }

    /// Answers with a description of its sound.
    fn answer(&self, dialog: &InviteDialog) {
        dialog.accept(Some(sdp()), Some(self.description().into_bytes())).expect("it is rung");
    }

    fn description(&self) -> String {
        offer(self.sound.local_addr().unwrap().port())
    }

    /// Waits for a packet of sound in the codec it described (RFC 3551 §6: type 0 is PCMU).
    fn hears(&self) {
        let mut packet = [0; 2_048];
        let length = self.sound.recv(&mut packet).expect("sound comes");
        assert!(length > 12, "{length} bytes are no RTP with sound");
        assert_eq!((packet[0] >> 6, packet[1] & 0x7f), (2, 0));
    }

    /// Calls `number` without proving who it is; gives the dialog and the final response.
    fn call(&self, gateway: SocketAddr, number: &str) -> (InviteDialog, Response) {
        let invitation = InviteOption {
            caller: uri(&format!("sip:{}@{}", self.name, self.at)),
            callee: uri(&format!("sip:{number}@{gateway}")),
            contact: uri(&format!("sip:{}@{}", self.name, self.at)),
            offer: Some(self.description().into_bytes()),
            ..InviteOption::default()
        };
        let called = self.layer.do_invite(invitation, self.tell.clone());
        let (dialog, response) = self.wait("a final response", called).expect("it is sent");
        (dialog, response.expect("an answer"))
    }

    /// Offers the same sound again with this direction; gives the answer.
    fn offer_again(&self, dialog: &InviteDialog, version: u8, direction: &str) -> String {
        let same = self.description().replace("o=- 1 1", &format!("o=- 1 {version}"));
        let body = format!("{same}a={direction}\r\n").into_bytes();
        let answer = self.wait("the answer", dialog.reinvite(Some(sdp()), Some(body)));
        let answer = answer.expect("it is sent").expect("a response");
        assert_eq!(answer.status_code, StatusCode::OK, "{answer}");
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// Hangs up and hears that it was heard.
    fn hang_up(&self, dialog: &InviteDialog) {
        self.wait("the answer to BYE", dialog.bye()).expect("it is answered");
    }
}

#[track_caller]
fn within<T>(runtime: &Runtime, what: &str, work: impl Future<Output = T>) -> T {
    let worked = runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
    worked.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Gives each request from outside to its dialog; an INVITE of none makes one, which is told.
async fn serve(
    layer: Arc<DialogLayer>,
    contact: Uri,
    mut incoming: TransactionReceiver,
    tell: DialogStateSender,
    ring: UnboundedSender<InviteDialog>,
) {
    while let Some(mut transaction) = incoming.recv().await {
        let inside =
            transaction.original.to_header().is_ok_and(|to| to.tag().is_ok_and(|it| it.is_some()));
        let dialog = match transaction.original.method {
            _ if inside => match layer.match_dialog(&transaction) {
                Some(Dialog::Invite(dialog)) => Some(dialog),
                _ => None,
            },
            Method::Invite => {
                let (tell, contact) = (tell.clone(), Some(contact.clone()));
                let made = layer.get_or_create_server_invite(&transaction, tell, None, contact);
                made.ok().inspect(|dialog| drop(ring.send(dialog.clone())))
            }
            _ => None,
        };
        tokio::spawn(async move {
            // Whatever goes wrong here, the test waits in vain for what comes of it.
            let _ = match dialog {
                Some(mut dialog) => dialog.handle(&mut transaction).await,
                // RFC 3261 §12.2.2: of no dialog of ours.
                None if inside => transaction.reply(StatusCode::CallTransactionDoesNotExist).await,
                // RFC 3261 §11.2: a probe is answered as a call would be.
                None => transaction.reply(StatusCode::OK).await,
            };
        });
    }
}

fn uri(text: &str) -> Uri {
    Uri::try_from(text).expect("a URI")
}

fn sdp() -> Vec<Header> {
    vec![Header::ContentType("application/sdp".into())]
}

/// The record of the leg with this role.
fn leg<'a>(legs: &'a [Value], role: &str) -> &'a Value {
    legs.iter().find(|leg| leg["role"] == role).expect("a leg of each")
}

/// A telephone proves itself by digest, is rung at its contact, hears the caller and hangs up.
#[test]
fn an_agents_telephone_registers_is_rung_and_hangs_up() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let mut telephone = UserAgent::start("anna");
    telephone.register(gateway.sip);
    gateway.agent_says("anna", "log_in");
    gateway.agent_says("anna", "ready");
    std::fs::write(installation.folder.at("tone.al"), vec![0x55_u8; 8_000]).unwrap();
    let scenario = Scenario {
        name: "is-hung-up",
        calls: Some((gateway.sip, "4100")),
        keys: &[("number", "+49301110010")],
        ..Scenario::default()
    };
    let mut caller = sipp::start(&installation.folder, &scenario);
    let call = events.call();
    let dialog = telephone.rung();
    let target = dialog.initial_request().uri.to_string();
    assert!(target.starts_with(&format!("sip:anna@{}", telephone.at)), "{target}");
    dialog.ringing(None, None).unwrap();
    telephone.answer(&dialog);
    telephone.state("our ACK", |state| matches!(state, DialogState::Confirmed(..)));
    assert_eq!(events.of(call, "call.bridged")["agent"], "anna");
    telephone.hears();
    telephone.hang_up(&dialog);
    caller.wait_success();
    events.of(call, "call.ended");
    let legs = gateway.legs(call, 2);
    let (callers, agents) = (leg(&legs, "caller"), leg(&legs, "agent"));
    assert_eq!((&callers["ended_by"], &callers["cause"]), (&"us".into(), &"normal".into()));
    assert_eq!((&agents["ended_by"], &agents["cause"]), (&"peer".into(), &"normal".into()));
    assert_eq!(agents["agent"], "anna", "{agents}");
    assert!(callers["packets_received"].as_u64().unwrap() > 0, "{callers}");
    assert!(agents["packets_sent"].as_u64().unwrap() > 0, "{agents}");
}

/// A caller through the trunk: answered with a description, heard by INFO, held, resumed, gone.
#[test]
fn a_caller_through_a_trunk_presses_holds_resumes_and_hangs_up() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let caller = UserAgent::start("+49301110011");
    let (dialog, response) = caller.call(gateway.sip, "4000");
    assert_eq!(response.status_code, StatusCode::OK, "{response}");
    let answer = String::from_utf8_lossy(&response.body);
    assert!(answer.contains("m=audio ") && answer.contains(" RTP/AVP 0"), "{response}");
    let call = events.call();
    caller.hears();
    let relay = vec![Header::ContentType("application/dtmf-relay".into())];
    let digit = dialog.info(Some(relay), Some(b"Signal=9\r\nDuration=160\r\n".to_vec()));
    let digit = caller.wait("the answer to INFO", digit).unwrap().expect("a response");
    assert_eq!(digit.status_code, StatusCode::OK, "{digit}");
    assert_eq!(events.of(call, "call.key")["digit"], "9");
    // RFC 3264 §8.4: held by sendonly, which is answered recvonly; resumed by sendrecv.
    let held = caller.offer_again(&dialog, 2, "sendonly");
    assert!(held.contains("a=recvonly"), "{held}");
    let resumed = caller.offer_again(&dialog, 3, "sendrecv");
    for direction in ["a=recvonly", "a=sendonly", "a=inactive"] {
        assert!(!resumed.contains(direction), "{resumed}");
    }
    caller.hang_up(&dialog);
    events.of(call, "call.ended");
    let legs = gateway.legs(call, 1);
    let leg = leg(&legs, "caller");
    assert_eq!((&leg["trunk"], &leg["ended_by"]), (&"carrier".into(), &"peer".into()), "{leg}");
    assert_eq!((&leg["from"], &leg["to"]), (&"+49301110011".into(), &"4000".into()), "{leg}");
}

/// The far side of a trunk: one who is busy, and one who answers and hears the message to its end.
#[test]
fn a_carrier_refuses_one_call_of_a_campaign_and_answers_another() {
    let mut carrier = UserAgent::start("carrier");
    let installation = Installation::new(&Plan { carrier: carrier.at.port(), ..Plan::default() });
    let gateway = installation.start();
    let mut events = gateway.events();
    let (answers, busy) = ("+49302220101", "+49302220102");
    let campaign = campaign(&gateway, "carrier", &[answers, busy]);
    for _ in 0..2 {
        let dialog = carrier.rung();
        let called = dialog.initial_request().uri.to_string();
        match called.contains(busy) {
            true => dialog.reject(Some(StatusCode::BusyHere), None).unwrap(),
            false => {
                assert!(called.contains(answers), "{called}");
                dialog.ringing(None, None).unwrap();
                carrier.answer(&dialog);
            }
        }
    }
    carrier.state("our ACK", |state| matches!(state, DialogState::Confirmed(..)));
    carrier.hears();
    let by_us =
        |state: &DialogState| matches!(state, DialogState::Terminated(_, TerminatedReason::UacBye));
    carrier.state("our BYE", by_us);
    events.count("attempt.closed", 2);
    let results = gateway.get(&format!("/v1/campaigns/{campaign}/results")).expect(200);
    let row = |number: &str| {
        let rows = results["items"].as_array().unwrap();
        rows.iter().find(|row| row["number"] == number).expect("a row of each").clone()
    };
    for (number, disposition, status) in [(answers, "answered", 0), (busy, "busy", 486)] {
        let row = row(number);
        assert_eq!(
            (&row["disposition"], &row["sip_status"]),
            (&disposition.into(), &status.into())
        );
        let legs = gateway.legs(row["call"].as_u64().unwrap(), 1);
        assert_eq!(leg(&legs, "contact")["trunk"], "carrier");
    }
}
