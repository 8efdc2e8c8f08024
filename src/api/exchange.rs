//! The way from the API into the exchange: an order in, its reply out.

use crate::problem::{Kind, Problem};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::{Command, Reply};
use switchboard::lead::WouldLead;
use tokio::sync::Semaphore;

/// Why an order was not taken. Nothing of it has happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Busy {
    /// As many orders wait as may.
    #[error("the exchange has as many orders waiting as it may")]
    Full,
    /// The program is being shut down.
    #[error("the program is being shut down")]
    Stopping,
}

/// A reply to come.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Busy>> + Send + 'a>>;

/// Who is banned, to come.
pub type Bans<'a> = Pin<Box<dyn Future<Output = Result<Vec<Ban>, Busy>> + Send + 'a>>;

/// A source whose messages are left unread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ban {
    /// Its address; with IPv6 the first of its network of 64 bits.
    pub source: IpAddr,
    /// How long it still lasts.
    pub left: Duration,
    /// How many messages were left unread.
    pub dropped: u64,
}

/// Takes orders. The gateway has it over a bounded channel into the signalling loop; tests have a
/// fake. It must never wait for room: a full channel is [`Busy::Full`].
pub trait Exchange: Send + Sync + 'static {
    /// Gives the order; the reply comes after what it says is on disk.
    fn command(&self, command: Command) -> Answer<'_>;

    /// Who is banned now, by address.
    fn bans(&self) -> Bans<'_>;

    /// Ends the ban of a source: [`Reply::NotFound`] where there is none.
    fn unban(&self, source: IpAddr) -> Answer<'_>;
}

/// The longest wait for a reply: a commit takes milliseconds, a failing disk is noticed in seconds.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// Gives an order and turns every outcome but [`Reply::Done`] into a problem; `what` and `name` say
/// what is missing when the exchange does not know it.
pub async fn order(
    exchange: &dyn Exchange,
    command: Command,
    what: &str,
    name: &str,
) -> Result<(), Problem> {
    settled(exchange.command(command), what, name).await
}

/// Waits for a reply and turns it into a problem as [`order`] does.
pub async fn settled(reply: Answer<'_>, what: &str, name: &str) -> Result<(), Problem> {
    reply_to(reply, what, name).await.map(|_| ())
}

/// Where a call would be led.
///
/// # Errors
/// As [`order`].
pub async fn would_lead(
    exchange: &dyn Exchange,
    question: Command,
    name: &str,
) -> Result<Vec<WouldLead>, Problem> {
    match reply_to(exchange.command(question), "source", name).await? {
        Reply::WouldLead(steps) => Ok(steps),
        _ => Ok(Vec::new()),
    }
}

async fn reply_to(reply: Answer<'_>, what: &str, name: &str) -> Result<Reply, Problem> {
    match tokio::time::timeout(REPLY_WITHIN, reply).await {
        Ok(Ok(reply @ (Reply::Done | Reply::WouldLead(_)))) => Ok(reply),
        Ok(Ok(Reply::NotFound)) => Err(Problem::not_found(what, name)),
        Ok(Ok(Reply::Conflict { reason })) => Err(Problem::new(Kind::Conflict, &*reason)),
        Ok(Ok(Reply::StoreFailed { reason })) => {
            Err(Problem::new(Kind::StoreFailed, &*reason).retry_after(5))
        }
        Ok(Err(busy)) => Err(refused(busy)),
        Err(_) => Err(silent()),
    }
}

/// Who is banned now.
///
/// # Errors
/// As [`order`].
pub async fn bans(exchange: &dyn Exchange) -> Result<Vec<Ban>, Problem> {
    match tokio::time::timeout(REPLY_WITHIN, exchange.bans()).await {
        Ok(bans) => bans.map_err(refused),
        Err(_) => Err(silent()),
    }
}

fn silent() -> Problem {
    Problem::new(Kind::ExchangeSilent, "no reply within 10 s")
}

fn refused(busy: Busy) -> Problem {
    crate::metrics::overload_rejected("commands");
    match busy {
        Busy::Full => Problem::new(Kind::Busy, busy.to_string()).retry_after(1),
        Busy::Stopping => Problem::new(Kind::Stopping, busy.to_string()).retry_after(10),
    }
}

/// Tells the exchange of what is already on disk. Such news must arrive although the exchange may
/// be full just now, so it is said again until it is taken; a restart reads it from the ledger.
#[derive(Clone)]
pub struct Herald {
    exchange: Arc<dyn Exchange>,
    waiting: Arc<Semaphore>,
}

/// News that may wait at once; beyond it, it is left to the order that needs it (a campaign's start
/// tells of the campaign first) or to the next start.
const NEWS_WAITING_MAX: usize = 1_024;
/// Gaps between sayings: doubled from the first to the last.
const FIRST_GAP: Duration = Duration::from_millis(100);
const LAST_GAP: Duration = Duration::from_secs(5);

impl Herald {
    /// A herald to this exchange.
    pub fn new(exchange: Arc<dyn Exchange>) -> Self {
        Self { exchange, waiting: Arc::new(Semaphore::new(NEWS_WAITING_MAX)) }
    }

    /// Says it once now and goes on in the background if it was not taken.
    pub async fn tell(&self, command: Command) {
        match tokio::time::timeout(REPLY_WITHIN, self.exchange.command(command.clone())).await {
            Ok(Ok(_)) | Err(_) | Ok(Err(Busy::Stopping)) => return,
            Ok(Err(Busy::Full)) => (),
        }
        let Ok(place) = self.waiting.clone().try_acquire_owned() else {
            // Not the news itself: a promise bears a telephone number.
            tracing::error!(
                "news for the exchange dropped, too much of it waits; a restart reads it"
            );
            return;
        };
        let exchange = self.exchange.clone();
        tokio::spawn(async move {
            let mut gap = FIRST_GAP;
            loop {
                tokio::time::sleep(gap).await;
                match exchange.command(command.clone()).await {
                    Ok(_) | Err(Busy::Stopping) => break,
                    Err(Busy::Full) => gap = (gap * 2).min(LAST_GAP),
                }
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::CallId;
    use parking_lot::Mutex;

    /// Full for the first `full` orders.
    struct Stubborn {
        full: Mutex<u32>,
        taken: Mutex<Vec<Command>>,
    }

    impl Exchange for Stubborn {
        fn command(&self, command: Command) -> Answer<'_> {
            let mut full = self.full.lock();
            if *full > 0 {
                *full -= 1;
                return Box::pin(async { Err(Busy::Full) });
            }
            self.taken.lock().push(command);
            Box::pin(async { Ok(Reply::Done) })
        }

        fn bans(&self) -> Bans<'_> {
            Box::pin(async { Err(Busy::Full) })
        }

        fn unban(&self, _: IpAddr) -> Answer<'_> {
            Box::pin(async { Err(Busy::Full) })
        }
    }

    /// Silent for ever.
    struct Silent;

    impl Exchange for Silent {
        fn command(&self, _: Command) -> Answer<'_> {
            Box::pin(std::future::pending())
        }

        fn bans(&self) -> Bans<'_> {
            Box::pin(std::future::pending())
        }

        fn unban(&self, _: IpAddr) -> Answer<'_> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn news_is_said_until_it_is_taken() {
        let exchange = Arc::new(Stubborn { full: Mutex::new(4), taken: Mutex::new(Vec::new()) });
        let herald = Herald::new(exchange.clone());
        herald.tell(Command::HangUp(CallId(7))).await;
        assert_eq!(*exchange.taken.lock(), []);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(*exchange.taken.lock(), [Command::HangUp(CallId(7))]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_refusal_are_told_apart() {
        let silent = order(&Silent, Command::HangUp(CallId(1)), "call", "1").await.unwrap_err();
        assert_eq!(silent.kind, Kind::ExchangeSilent);
        assert_eq!(bans(&Silent).await.unwrap_err().kind, Kind::ExchangeSilent);
        let full = Stubborn { full: Mutex::new(1), taken: Mutex::new(Vec::new()) };
        let full = order(&full, Command::HangUp(CallId(1)), "call", "1").await.unwrap_err();
        assert_eq!((full.kind, full.retry_after_s), (Kind::Busy, Some(1)));
        let full = Stubborn { full: Mutex::new(0), taken: Mutex::default() };
        assert_eq!(bans(&full).await.unwrap_err().kind, Kind::Busy);
    }
}
