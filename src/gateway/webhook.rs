//! Delivers the outbox: claims due letters from the ledger, sends each once, tells the ledger how
//! they fared. At least once, and in order within an aggregate, for the ledger gives out a later
//! letter of it only when the earlier one is settled.
//!
//! A crash or an aborted task costs nothing: a claimed letter that nobody settles is given out
//! again after a minute.

pub mod address;
pub mod destination;
pub mod letter;

use address::{CheckedResolver, check_url};
use destination::Destinations;
use letter::Tried;
use reqwest::Client;
use std::sync::Arc;
use std::time::Duration;
use store::error::StoreError;
use store::ledger::{Clock, Ledger};
use store::outbox::{ClaimLetters, DueLetter, LetterFate, SettleLetters};
use store::reader::Reader;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// Letters on their way at once.
const IN_FLIGHT_MAX: usize = 64;
/// So much room makes it worth asking the ledger for more.
const CLAIM_FROM: usize = 8;
/// How often the outbox is looked at when nothing is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the age of the oldest letter is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// Sends the webhooks of a ledger.
pub struct WebhookSender {
    ledger: Ledger,
    reader: Reader,
    client: Client,
    clock: Clock,
    allow_private: bool,
    destinations: Destinations,
    on_their_way: JoinSet<(Arc<str>, Tried)>,
    settled: Vec<(u64, LetterFate)>,
    /// The receivers after this one come first in the next claim.
    last_served: Arc<str>,
}

impl WebhookSender {
    /// `allow_private` lets webhooks go to loopback and private addresses and without encryption
    /// (`webhooks.allow_private`).
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(
        ledger: Ledger,
        reader: Reader,
        clock: Clock,
        allow_private: bool,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would connect to addresses that we have not checked.
            .no_proxy()
            .connect_timeout(letter::TRY_FOR)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(16)
            .dns_resolver(Arc::new(CheckedResolver { allow_private }))
            .build()?;
        Ok(Self {
            ledger,
            reader,
            client,
            clock,
            allow_private,
            destinations: Destinations::default(),
            on_their_way: JoinSet::new(),
            settled: Vec::new(),
            last_served: "".into(),
        })
    }

    /// Delivers until the ledger is closed or the task is aborted.
    pub async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut measured = Instant::now();
        loop {
            let room = IN_FLIGHT_MAX - self.on_their_way.len();
            if room >= CLAIM_FROM {
                match self.claim(room).await {
                    Ok(letters) => letters.into_iter().for_each(|letter| self.dispatch(letter)),
                    Err(StoreError::Stopped) => return,
                    // The ledger is out of order or busy, and has said so itself.
                    Err(fault) => tracing::debug!(%fault, "no webhooks could be claimed"),
                }
            }
            self.settle();
            if measured.elapsed() >= MEASURE_EVERY {
                measured = Instant::now();
                self.measure();
            }
            tokio::select! {
                Some(done) = self.on_their_way.join_next() => self.take(done),
                _ = look.tick() => (),
            }
            while let Some(done) = self.on_their_way.try_join_next() {
                self.take(done);
            }
        }
    }

    async fn claim(&mut self, room: usize) -> Result<Vec<DueLetter>, StoreError> {
        let claim = ClaimLetters {
            count: u32::try_from(room).unwrap_or(u32::MAX),
            each: destination::IN_FLIGHT_MAX as u32,
            skip: self.destinations.closed((self.clock)()),
            after: Arc::clone(&self.last_served),
        };
        let (sender, receiver) = oneshot::channel();
        self.ledger.submit(claim, move |result| {
            // An aborted task does not wait any more; the letters come again.
            let _ = sender.send(result);
        })?;
        let letters = receiver.await.unwrap_or(Err(StoreError::Stopped))?;
        if let Some(last) = letters.last() {
            self.last_served = Arc::clone(&last.url);
        }
        Ok(letters)
    }

    /// Sends a letter, or puts it off or gives it up at once.
    fn dispatch(&mut self, letter: DueLetter) {
        let now_ms = (self.clock)();
        let url = match check_url(&letter.url, self.allow_private) {
            Ok(url) => url,
            Err(forbidden) => {
                let fate = LetterFate::Dead { status: 0, error: forbidden.to_string() };
                return self.note(letter.id, fate);
            }
        };
        if let Err(at_wall_ms) = self.destinations.begin(&letter.url, now_ms) {
            return self.note(letter.id, LetterFate::Deferred { at_wall_ms });
        }
        let client = self.client.clone();
        self.on_their_way.spawn(async move {
            let tried = letter::send(&client, &letter, url, now_ms).await;
            (letter.url, tried)
        });
    }

    fn take(&mut self, done: Result<(Arc<str>, Tried), tokio::task::JoinError>) {
        match done {
            Ok((receiver, tried)) => {
                self.destinations.ended(&receiver, tried.answered, (self.clock)());
                self.note(tried.id, tried.fate);
            }
            // Its letter comes again after a minute.
            Err(error) => tracing::error!(%error, "a webhook's task ended badly"),
        }
    }

    /// Counts a fate and keeps it for the next settling.
    fn note(&mut self, id: u64, fate: LetterFate) {
        let word = match &fate {
            LetterFate::Delivered { .. } => "delivered",
            LetterFate::Retry { status, error, .. } => {
                tracing::info!(letter = id, status, error, "a webhook was not taken; later again");
                "failed"
            }
            LetterFate::Deferred { .. } => "deferred",
            LetterFate::Dead { status, error } => {
                tracing::warn!(letter = id, status, error, "a webhook is given up");
                "dead"
            }
        };
        metrics::counter!("gw_webhooks_total", "result" => word).increment(1);
        self.settled.push((id, fate));
    }

    fn settle(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        let letters = std::mem::take(&mut self.settled);
        let submitted = self.ledger.submit(SettleLetters { letters }, |result| {
            if let Err(fault) = result {
                tracing::warn!(%fault, "webhooks will be sent once more");
            }
        });
        if let Err(fault) = submitted {
            tracing::warn!(%fault, "webhooks will be sent once more");
        }
    }

    /// Measures how long the oldest letter has waited, off the async threads.
    fn measure(&self) {
        let (reader, now_ms) = (self.reader.clone(), (self.clock)());
        tokio::task::spawn_blocking(move || match reader.oldest_letter() {
            Ok(oldest) => {
                let age_ms = oldest.map_or(0, |made_ms| now_ms.saturating_sub(made_ms));
                api::metrics::outbox_lag(Duration::from_millis(age_ms));
            }
            Err(fault) => tracing::debug!(%fault, "the outbox could not be measured"),
        });
    }
}

#[cfg(test)]
mod tests;
