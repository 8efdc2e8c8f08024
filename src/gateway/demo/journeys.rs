//! The three journeys, one after the other, each judged by what was seen and heard.

use super::carrier::{self, Deed, Subscriber};
use super::service;
use super::stage::{Stage, until};
use crate::config::Config;
use crate::documents::Documents;
use crate::run::{Running, Setup};
use crate::secrets::Secrets;
use crate::telephone::{Account, Happening, Order, Telephone, WhenRung};
use domain::id::TenantId;
use domain::prompt::{Language, Prompt};
use media::clip::Clip;
use speech::synthesizer::Synthesizer;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::api_key::CreateApiKey;
use switchboard::event::Live;
use tokio::sync::mpsc::UnboundedReceiver;

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Ports of the demo's own telephones; the gateway's are the configured ones.
const PHONE_PORTS: (u16, u16) = (31_000, 36_999);
/// Contacts of the campaign.
pub(super) const CONTACTS: u64 = 40;

/// Everything the journeys play on.
pub(super) struct Scene {
    pub(super) gateway: Running,
    pub(super) stage: Stage,
    pub(super) key: String,
    pub(super) service: service::Service,
    pub(super) http: reqwest::Client,
    voices: Synthesizer,
    anna: (Telephone, UnboundedReceiver<Happening>),
    anna_account: Account,
}

/// Plays all journeys; `true` when each came to its end as it should. Without `once` it then stays
/// up until it is interrupted.
///
/// # Errors
/// When the gateway or a telephone could not be started.
pub async fn all(once: bool) -> Result<bool, Failure> {
    let folder = std::env::temp_dir().join(format!("trunkline-demo-{}", std::process::id()));
    let mut scene = Scene::set(folder.clone()).await?;
    let mut outcomes = Vec::new();
    scene.stage.heading("Journey a: a caller asks a question and is answered");
    outcomes.push(("a  self-service by speech", scene.self_service().await?));
    scene.stage.heading("Journey a: a caller with a complaint reaches an agent");
    outcomes.push(("a  question, queue, agent", scene.agent().await?));
    scene.stage.heading("Journey b: the queue is full, and the caller is called back");
    outcomes.push(("b  callback promised and kept", scene.callback().await?));
    scene.stage.heading("Journey c: a campaign of 40 contacts, started by the API");
    outcomes.push(("c  campaign with key answers", scene.campaign().await?));
    let good = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    scene.close(&outcomes, once);
    if !once {
        tokio::signal::ctrl_c().await?;
    }
    scene.gateway.stop();
    scene.gateway.finished().await?;
    // What is left behind is only the demo's.
    let _ = std::fs::remove_dir_all(folder);
    Ok(good)
}

/// What came of a journey: what was seen, or what was missing.
pub(super) type Outcome = Result<String, String>;

fn random_secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

pub(super) fn wait_s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Scene {
    async fn set(data: PathBuf) -> Result<Self, Failure> {
        let carrier = carrier::start(Box::new(subscriber), PHONE_PORTS).await?;
        let service = service::start().await?;
        let config = config(data, carrier, service.address)?;
        let documents = Documents::read(&config).map_err(|faults| {
            faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })?;
        let password = random_secret();
        let secrets = Secrets::of([("agent/anna".to_owned(), password.clone())]);
        let gateway = Running::start(Setup { config, documents, secrets }).await?;
        let stage = Stage::new(gateway.live.subscribe());
        stage.tell(&format!(
            "SIP {}, API http://{}/v1, metrics http://{}/metrics",
            gateway.sip, gateway.api, gateway.operations
        ));
        let tenant = TenantId::default();
        let key = gateway.ledger.perform(CreateApiKey { tenant, name: "demo".into() })?.text;
        let anna_account = Account {
            registrar: gateway.sip,
            domain: "trunkline".into(),
            user: "anna".into(),
            password: password.into(),
        };
        let mut anna = Telephone::start(
            "127.0.0.1:0".parse()?,
            Some(anna_account.clone()),
            WhenRung::Answer(Duration::from_millis(1_500)),
            PHONE_PORTS,
        )
        .await?;
        if !until(&mut anna.1, wait_s(5), |it| *it == Happening::Registered).await {
            return Err("anna's telephone could not register".into());
        }
        stage.phone("anna", "her telephone is registered");
        let voices = crate::engines::synthesizer("rms")?;
        let mut scene = Self {
            gateway,
            stage,
            key,
            service,
            http: reqwest::Client::new(),
            voices,
            anna,
            anna_account,
        };
        scene.wait_for_engines().await;
        Ok(scene)
    }

    /// Models load in the background; the demo waits for them so that it can show speech.
    async fn wait_for_engines(&mut self) {
        for _ in 0..100 {
            if !self.gateway.engines.recognizer.status().is_loading() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for line in self.gateway.engines.recognizer.status().keys_only() {
            self.stage.tell(&line);
        }
    }

    fn clip(&self, text: &str) -> Result<Arc<Clip>, Failure> {
        let samples = self.voices.synthesize(&Prompt::text(Language::English, text))?;
        Ok(Arc::new(Clip::encode(&samples, media::SAMPLE_RATE)?))
    }

    async fn caller(
        &self,
        from: &str,
    ) -> Result<(Telephone, UnboundedReceiver<Happening>), Failure> {
        let listen = "127.0.0.1:0".parse()?;
        let phone = Telephone::start(listen, None, WhenRung::Refuse(486), PHONE_PORTS).await?;
        let (address, user, from) = (self.gateway.sip, "4000".into(), from.into());
        phone.0.order(Order::Dial { address, user, from });
        Ok(phone)
    }

    /// Waits until the hotline says something with `words` in it.
    async fn said(&mut self, words: &str, within: Duration) -> bool {
        let said = |live: &Live| match live {
            Live::Said { text, .. } if text.contains(words) => Some(()),
            _ => None,
        };
        self.stage.wait(within, said).await.is_some()
    }

    async fn understood(&mut self, within: Duration) -> Option<String> {
        let understood = |live: &Live| match live {
            Live::Understood { understanding, .. } => {
                let intent = understanding.intent.as_deref().unwrap_or("nothing");
                Some(format!("{intent} ({:.2})", understanding.confidence))
            }
            _ => None,
        };
        self.stage.wait(within, understood).await
    }

    async fn call_over(&mut self, within: Duration) -> bool {
        let over = |live: &Live| matches!(live, Live::CallEnded { .. }).then_some(());
        self.stage.wait(within, over).await.is_some()
    }

    async fn bridged(&mut self, within: Duration) -> bool {
        let bridged = |live: &Live| matches!(live, Live::Bridged { .. }).then_some(());
        self.stage.wait(within, bridged).await.is_some()
    }

    /// The closing table.
    fn close(&self, outcomes: &[(&str, Outcome)], once: bool) {
        let mut table = comfy_table::Table::new();
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        table.set_width(79);
        table.set_header(["journey", "outcome", "seen"]);
        for (journey, outcome) in outcomes {
            let (word, seen) = match outcome {
                Ok(seen) => ("done", seen),
                Err(missing) => ("FAILED", missing),
            };
            table.add_row([*journey, word, seen.as_str()]);
        }
        println!("\n{table}");
        if !once {
            let Running { sip, api, operations, .. } = &self.gateway;
            println!(
                "\nStill up: ring sip:4000@{sip} with any SIP telephone or `trunkline call`.\n\
                 API http://{api}/v1 with key {}\n\
                 OpenAPI http://{api}/v1/openapi.json, metrics http://{operations}/metrics\n\
                 Ctrl-C ends it.",
                self.key
            );
        }
    }

    async fn self_service(&mut self) -> Result<Outcome, Failure> {
        let question = self.clip("Hello, could you please tell me where my parcel is?")?;
        let (phone, _happenings) = self.caller("+49301110001").await?;
        if !self.said("in a few words", wait_s(20)).await {
            return Ok(Err("the hotline did not ask".into()));
        }
        self.stage.pause(1.2).await;
        self.stage.phone("caller", "interrupts: “… could you please tell me where my parcel is?”");
        phone.order(Order::Play(question));
        let Some(intent) = self.understood(wait_s(15)).await else {
            return Ok(Err("the sentence was not understood".into()));
        };
        if !self.said("order number", wait_s(10)).await {
            return Ok(Err(format!("{intent}, but no order number was asked for")));
        }
        self.stage.pause(1.5).await;
        self.stage.phone("caller", "presses 4711#");
        phone.order(Order::Keys("4711#".into()));
        if !self.said("Is that right", wait_s(10)).await {
            return Ok(Err("the order number was not read back".into()));
        }
        self.stage.pause(2.5).await;
        phone.order(Order::Keys("1".into()));
        let answered = self.said("on its way", wait_s(10)).await;
        self.stage.pause(2.0).await;
        phone.order(Order::HangUp);
        self.call_over(wait_s(10)).await;
        phone.order(Order::Leave);
        Ok(match answered {
            true => Ok(format!("heard {intent}; answered over HTTP")),
            false => Err("the order's state was not said".into()),
        })
    }

    /// Anna dials a feature code from a telephone of hers.
    async fn anna_dials(&mut self, code: &str) -> bool {
        let (address, user) = (self.gateway.sip, code.into());
        let from = self.anna_account.user.clone();
        self.stage.phone("anna", &format!("dials {code}"));
        self.anna.0.order(Order::Dial { address, user, from });
        // The end of an earlier call may still be told before this one's beginning.
        let connected = |it: &Happening| *it == Happening::Connected;
        let over = |it: &Happening| matches!(it, Happening::Ended(_));
        while self.anna.1.try_recv().is_ok() {}
        self.stage.meanwhile(until(&mut self.anna.1, wait_s(15), connected)).await
            && self.stage.meanwhile(until(&mut self.anna.1, wait_s(15), over)).await
    }

    async fn agent(&mut self) -> Result<Outcome, Failure> {
        if !self.anna_dials("*63").await {
            return Ok(Err("the feature code was not answered".into()));
        }
        let complaint = self.clip("Your driver was very rude and I want to make a complaint.")?;
        let greeting = self.clip("Hello, this is Anna speaking. What can I do for you?")?;
        let thanks = self.clip("Thank you, that is all I wanted to hear today. Goodbye.")?;
        let (phone, mut happenings) = self.caller("+49301110002").await?;
        if !self.said("in a few words", wait_s(20)).await {
            return Ok(Err("the hotline did not ask".into()));
        }
        self.stage.pause(4.0).await;
        self.stage.phone("caller", "“Your driver was very rude and I want to make a complaint.”");
        phone.order(Order::Play(complaint));
        let Some(intent) = self.understood(wait_s(15)).await else {
            return Ok(Err("the sentence was not understood".into()));
        };
        if !self.bridged(wait_s(40)).await {
            return Ok(Err(format!("{intent}, but no agent was joined")));
        }
        // Silence first, so that what is heard next is the other side and not the music before.
        self.stage.pause(2.0).await;
        while happenings.try_recv().is_ok() {}
        while self.anna.1.try_recv().is_ok() {}
        self.stage.phone("anna", "“Hello, this is Anna speaking …”");
        self.anna.0.order(Order::Play(greeting));
        let speaking = |it: &Happening| *it == Happening::Speaking;
        let caller_heard = self.stage.meanwhile(until(&mut happenings, wait_s(8), speaking)).await;
        self.stage.pause(3.0).await;
        phone.order(Order::Play(thanks));
        let agent_heard = self.stage.meanwhile(until(&mut self.anna.1, wait_s(8), speaking)).await;
        self.stage.pause(4.0).await;
        phone.order(Order::HangUp);
        self.call_over(wait_s(10)).await;
        phone.order(Order::Leave);
        Ok(match (caller_heard, agent_heard) {
            (true, true) => Ok(format!("heard {intent}; both sides heard each other")),
            (false, _) => Err("the caller did not hear the agent".into()),
            (true, false) => Err("the agent did not hear the caller".into()),
        })
    }

    async fn callback(&mut self) -> Result<Outcome, Failure> {
        if !self.anna_dials("*64").await {
            return Ok(Err("the feature code was not answered".into()));
        }
        let (first, _first_happenings) = self.caller("+49301110003").await?;
        if !self.said("in a few words", wait_s(20)).await {
            return Ok(Err("the hotline did not ask".into()));
        }
        first.order(Order::Keys("0".into()));
        let queued = |live: &Live| matches!(live, Live::Queued { .. }).then_some(());
        if self.stage.wait(wait_s(20), queued).await.is_none() {
            return Ok(Err("the first caller was not queued".into()));
        }
        let (second, mut happenings) = self.caller("+49301110004").await?;
        if !self.said("in a few words", wait_s(20)).await {
            return Ok(Err("the hotline did not ask".into()));
        }
        second.order(Order::Keys("0".into()));
        if !self.said("call you back", wait_s(20)).await {
            return Ok(Err("no callback was offered".into()));
        }
        self.stage.pause(1.5).await;
        self.stage.phone("caller", "presses 1: yes");
        second.order(Order::Keys("1".into()));
        let promised = |live: &Live| match live {
            Live::CallbackChanged(promise) => Some(promise.number.to_string()),
            _ => None,
        };
        let Some(number) = self.stage.wait(wait_s(20), promised).await else {
            return Ok(Err("nothing was promised".into()));
        };
        let over = |it: &Happening| matches!(it, Happening::Ended(_));
        self.stage.meanwhile(until(&mut happenings, wait_s(20), over)).await;
        second.order(Order::Leave);
        self.stage.phone("caller", "has hung up and waits; anna comes back");
        if !self.anna_dials("*63").await || !self.bridged(wait_s(30)).await {
            return Ok(Err("the first caller was not joined".into()));
        }
        self.stage.pause(2.0).await;
        first.order(Order::HangUp);
        let kept = |live: &Live| match live {
            Live::CallbackChanged(promise) if promise.state.is_final() => {
                Some(promise.state.as_str())
            }
            _ => None,
        };
        let state = self.stage.wait(wait_s(60), kept).await;
        first.order(Order::Leave);
        self.call_over(wait_s(20)).await;
        Ok(match state {
            Some("kept") => Ok(format!("promised to {number}, called back, joined")),
            Some(state) => Err(format!("the promise to {number} is {state}")),
            None => Err(format!("the promise to {number} was not kept in a minute")),
        })
    }
}

/// Who has which number: the last digits say what happens.
fn subscriber(number: &str) -> Subscriber {
    let after = Duration::from_millis(700);
    let hangs_up = |seconds| (wait_s(seconds), Deed::HangsUp);
    let last: u64 = number.get(number.len().saturating_sub(2)..).unwrap_or("").parse().unwrap_or(0);
    match last {
        // The caller of journey b: stays until he has been joined for a while.
        4 if number.ends_with("1110004") => {
            Subscriber::Answers { after, deeds: vec![hangs_up(12)] }
        }
        7 => {
            let press = (wait_s(3), Deed::Keys("1".into()));
            Subscriber::Answers { after, deeds: vec![press, hangs_up(12)] }
        }
        number if number % 8 == 3 => Subscriber::Refuses(486),
        number if number % 8 == 5 => Subscriber::Absent,
        21 => Subscriber::Refuses(404),
        _ => Subscriber::Answers { after, deeds: vec![hangs_up(60)] },
    }
}

fn config(data: PathBuf, carrier: SocketAddr, service: SocketAddr) -> Result<Config, Failure> {
    let text = format!(
        r#"
        [sip]
        listen = "127.0.0.1:0"
        [media]
        port_first = 37000
        port_last = 39999
        [http]
        api = "127.0.0.1:0"
        operations = "127.0.0.1:0"
        [webhooks]
        allow_private = true
        [trunks.carrier]
        address = "{carrier}"
        allow = ["127.0.0.0/8"]
        caller_id = "+4930555000"
        calls_per_second_max = 50
        [queues.support]
        agents = ["anna"]
        length_max = 1
        wrap_up_s = 2
        callback_trunk = "carrier"
        callback_caller_id = "+4930555000"
        [queues.sales]
        agents = ["anna"]
        [agents.anna]
        [variables]
        service = "http://{service}"
        "#
    );
    let mut config = Config::parse("demo", &text, None)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    config.data = data;
    Ok(config)
}
