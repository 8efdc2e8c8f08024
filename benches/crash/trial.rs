//! The trial: start, kill at a random moment, start again, until enough kills count; then let all
//! come to its end and judge.

use super::callers::{Agent, Callers};
use super::carrier::Carrier;
use super::judge::Verdict;
use super::tones;
use crate::common::Failure;
use crate::common::installation::Installation;
use indicatif::{ProgressBar, ProgressStyle};
use rand::Rng;
use serde_json::{Value, json};
use std::ops::Deref;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The gateway lives between these two after its first dialling.
const LIFE_MS: std::ops::Range<u64> = 20..2_500;
/// How long diallings are waited for before another campaign is begun.
const DIALLINGS_MAX: Duration = Duration::from_secs(6);
/// How long the rest may take beyond what its rate needs: the gap after a busy line is a minute.
const END_MAX: Duration = Duration::from_secs(240);

const FLOW: &str = r#"
version = 1
languages = ["en"]
start = "offer"

[nodes.offer]
kind = "callback"
queue = "support"
offer = { recorded = "offer.wav" }
ask_number = "Please key in the number."
confirm_number = "Is that right?"
promised = { recorded = "promised.wav" }
no_input = ["Please press a key."]
no_match = ["Please press a key."]
declined = "goodbye"
refused = "goodbye"
give_up = "goodbye"
next = "goodbye"

[nodes.goodbye]
kind = "hangup"
say = { recorded = "offer.wav" }
"#;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Kills that count.
    pub kills: u64,
    /// Contacts of the campaign.
    pub contacts: u64,
    /// Diallings a minute.
    pub rate: u64,
    /// Callers at once who are promised a call.
    pub callers: u64,
    /// Attempts at a contact.
    pub attempts_max: u64,
}

/// What came of it.
pub struct Outcome {
    /// Kills with diallings in flight.
    pub kills: u64,
    /// Kills without: they do not count.
    pub idle_kills: u64,
    /// Diallings in flight at the kills, together.
    pub in_flight: u64,
    /// Call-IDs the carrier saw.
    pub dialled: usize,
    /// Calls of callers who were not told of a promise.
    pub unconfirmed: u64,
    /// The longest start.
    pub start_max: Duration,
    verdict: Verdict,
}

impl Deref for Outcome {
    type Target = Verdict;

    fn deref(&self) -> &Verdict {
        &self.verdict
    }
}

impl Outcome {
    /// Whether nothing was lost, dialled twice or forgotten.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.twice.is_empty() && self.promises_lost.is_empty()
    }

    /// Prints it for people: counts, and the first cases of each fault.
    pub fn tell(&self) {
        println!(
            "kills            {} with {} diallings in flight together, {} without any",
            self.kills, self.in_flight, self.idle_kills
        );
        println!("starts           the longest took {} ms", self.start_max.as_millis());
        println!("carrier          saw {} diallings", self.dialled);
        println!("attempts         {:?}", self.dispositions);
        println!("promises heard   {:?}; {} callers heard none", self.promises, self.unconfirmed);
        println!("in doubt         {} attempts", self.in_doubt);
        for (what, cases) in [
            ("lost", &self.lost),
            ("dialled twice", &self.twice),
            ("promises lost", &self.promises_lost),
        ] {
            println!("{what:<16} {}", cases.len());
            cases.iter().take(10).for_each(|case| println!("  {case}"));
        }
    }
}

/// Runs the trial.
///
/// # Errors
/// When the gateway does not start, or its API does not answer in time.
pub fn run(options: Options) -> Result<Outcome, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async { Trial::begin(options).await?.play().await });
    // Telephones whose BYE nobody answered are not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

struct Trial {
    options: Options,
    gateway: Installation,
    carrier: Carrier,
    agent: Agent,
    campaigns: Vec<(u64, Vec<String>)>,
    born: Instant,
    start_max: Duration,
}

impl Trial {
    async fn begin(options: Options) -> Result<Self, Failure> {
        let carrier = Carrier::start()?;
        let (offer, promised) = (tones::offer()?, tones::confirmation()?);
        let files: [(&str, &[u8]); 3] = [
            ("flows/promise.toml", FLOW.as_bytes()),
            ("prompts/offer.wav", &offer),
            ("prompts/promised.wav", &promised),
        ];
        let gateway = Installation::lay_out(&config(&carrier), &files)?;
        let password = format!("{:032x}", rand::random::<u128>());
        gateway.set_secret("agent/anna", &password)?;
        let agent = Agent::new(gateway.sip, "anna", &password);
        let campaigns = Vec::new();
        let (born, start_max) = (Instant::now(), Duration::ZERO);
        let mut trial = Self { options, gateway, carrier, agent, campaigns, born, start_max };
        trial.start().await?;
        for state in ["log_in", "ready"] {
            trial.gateway.api.put("/v1/agents/anna/state", &json!({ "state": state })).await?;
        }
        trial.add_campaign().await?;
        Ok(trial)
    }

    async fn play(mut self) -> Result<Outcome, Failure> {
        let bar = bar(self.options.kills)?;
        let recordings = self.gateway.path("recordings");
        std::fs::create_dir_all(&recordings)?;
        let callers = Callers::start(self.options.callers, self.gateway.sip, &recordings);
        let (mut kills, mut idle_kills, mut in_flight) = (0, 0, 0);
        while kills < self.options.kills {
            let struck = self.live_and_die().await?;
            match struck {
                0 => idle_kills += 1,
                _ => kills += 1,
            }
            in_flight += struck as u64;
            bar.set_position(kills);
            let (dialled, promised) = (self.carrier.dialled(), callers.confirmed());
            bar.set_message(format!("{struck} in flight, {dialled} dialled, {promised} promised"));
            self.start().await?;
        }
        let heard = callers.finish().await;
        self.settle(&bar).await?;
        bar.finish();
        let mut verdict = Verdict::default();
        // The judge reads the carrier's book when nothing comes in any more.
        let book = self.carrier.close();
        for (campaign, numbers) in &self.campaigns {
            verdict.campaign(&self.gateway.api, *campaign, numbers, &book).await?;
        }
        verdict.promises(&self.gateway.api, &heard.confirmed).await?;
        Ok(Outcome {
            kills,
            idle_kills,
            in_flight,
            dialled: book.len(),
            unconfirmed: heard.unconfirmed,
            start_max: self.start_max,
            verdict,
        })
    }

    async fn start(&mut self) -> Result<(), Failure> {
        self.start_max = self.start_max.max(self.gateway.start()?);
        self.born = Instant::now();
        self.agent.register().await
    }

    /// Waits for diallings, then for a random while, and kills; gives how many were in flight.
    async fn live_and_die(&mut self) -> Result<usize, Failure> {
        let mut waited = Instant::now();
        while self.carrier.in_flight(self.born) == 0 {
            if waited.elapsed() > DIALLINGS_MAX {
                self.add_campaign().await?;
                waited = Instant::now();
            }
            sleep(Duration::from_millis(2)).await;
        }
        let life = rand::rng().random_range(LIFE_MS);
        sleep(Duration::from_millis(life)).await;
        self.gateway.kill()?;
        // Looked at afterwards: whatever was answered in the meantime does not count.
        Ok(self.carrier.in_flight(self.born))
    }

    async fn add_campaign(&mut self) -> Result<(), Failure> {
        let which = self.campaigns.len();
        let numbers: Vec<String> =
            (0..self.options.contacts).map(|it| format!("+4930{}{it:06}", 20 + which)).collect();
        let definition = definition(&self.options);
        let id = self.gateway.api.campaign(&definition, &numbers).await?;
        self.gateway.api.begin(id).await?;
        self.campaigns.push((id, numbers));
        Ok(())
    }

    /// Waits until every contact is final or waits after an attempt in doubt, which takes an hour.
    async fn settle(&self, bar: &ProgressBar) -> Result<(), Failure> {
        let needed = self.options.contacts * self.options.attempts_max * 60 / self.options.rate;
        let latest = Instant::now() + Duration::from_secs(needed) + END_MAX;
        for (campaign, _) in &self.campaigns {
            loop {
                let path = format!("/v1/campaigns/{campaign}/progress");
                let progress = self.gateway.api.get(&path).await?;
                let number = |value: &Value| value.as_u64().unwrap_or(0);
                let in_doubt = number(&progress["waiting_by_disposition"]["in_doubt"]);
                let open = number(&progress["ready"]) - in_doubt + number(&progress["dialling"]);
                if open == 0 || Instant::now() > latest {
                    break;
                }
                bar.set_message(format!("campaign {campaign}: {open} contacts to be called"));
                sleep(Duration::from_millis(500)).await;
            }
        }
        Ok(())
    }
}

fn bar(kills: u64) -> Result<ProgressBar, Failure> {
    let style =
        ProgressStyle::with_template("{elapsed_precise}  [{bar:30}] {pos}/{len} kills  {msg}")?;
    Ok(ProgressBar::new(kills).with_style(style))
}

fn config(carrier: &Carrier) -> String {
    format!(
        r#"
        [media]
        port_first = 10000
        port_last = 15999
        [callbacks]
        gap_s = 1
        tries_max = 20
        [trunks.carrier]
        address = "{}"
        allow = ["127.0.0.0/8"]
        caller_id = "+4930555000"
        calls_per_second_max = 200
        [[numbers]]
        dialled = "4000"
        flow = "promise"
        [queues.support]
        agents = ["anna"]
        wrap_up_s = 0
        ring_s = 3
        missed_rings_max = 100
        callback_trunk = "carrier"
        callback_caller_id = "+4930555000"
        [agents.anna]
        "#,
        carrier.address
    )
}

fn definition(options: &Options) -> Value {
    json!({
        "name": "Crash", "trunk": "carrier", "caller_id": "+4930555000",
        "rate_per_minute_max": options.rate, "channels_max": 400, "ring_s": 5,
        "window": { "from": "00:00", "to": "24:00", "utc_offset_min": 0 },
        "retry": {
            "attempts_max": options.attempts_max, "busy_after_min": 1, "no_answer_after_min": 1,
            "failed_after_min": 1, "in_doubt_after_min": 60,
        },
        "message": { "language": "en", "text": "Hello." },
    })
}
