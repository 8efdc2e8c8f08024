//! DNS: the questions of the trunks put to the system's resolvers, or to those of the configuration.
//! The hosts file is asked first. What is cached is decided by whoever asks.

use crate::signalling::Inbox;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver as Hickory, TokioResolver};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard::event::Event;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use trunk::locate::{Answer, Locator, Question, Record, RecordKind};

/// Questions under way at once; a further one fails at once, and is asked again soon.
const QUESTIONS_MAX: usize = 256;
/// How long one server may take, and how often it is asked.
const SERVER_MAX: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// How long a question may take in all: less than its asker waits.
const QUESTION_MAX: Duration = Duration::from_secs(15);
/// Records of an answer; what stands behind is left out.
const RECORDS_MAX: usize = 64;
/// How long "there is none" holds where no SOA says it (RFC 2308 §5 leaves it to us).
const NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// Asks DNS.
#[derive(Clone)]
pub struct Resolver {
    inner: Option<TokioResolver>,
    room: Arc<Semaphore>,
    inbox: Inbox,
    runtime: Handle,
}

impl Resolver {
    /// Asks these servers, or the system's where there are none; the present runtime does the work.
    /// Where the system has no configuration that can be read, every question fails.
    pub fn new(servers: &[SocketAddr], inbox: Inbox) -> Self {
        let inner =
            build(servers).inspect_err(|error| tracing::error!(%error, "DNS cannot be asked")).ok();
        let (room, runtime) = (Arc::new(Semaphore::new(QUESTIONS_MAX)), Handle::current());
        Self { inner, room, inbox, runtime }
    }

    /// Starts a question; its `Located` follows, whatever happens.
    pub fn resolve(&self, question: Question) {
        let inbox = self.inbox.clone();
        let failed = |question| Event::Located { question, answer: Answer::Failed };
        let (Some(resolver), Ok(place)) =
            (self.inner.clone(), self.room.clone().try_acquire_owned())
        else {
            return inbox.event(failed(question));
        };
        self.runtime.spawn(async move {
            let asked = tokio::time::timeout(QUESTION_MAX, ask(&resolver, &question)).await;
            drop(place);
            let answer = asked.unwrap_or(Answer::Failed);
            inbox.event(Event::Located { question, answer });
        });
    }
}

/// Answers each question of one search, for a command that waits for its end. `None`: DNS cannot be
/// asked at all.
pub async fn locate(servers: &[SocketAddr], mut locator: Locator) -> Option<Locator> {
    let resolver = build(servers).ok()?;
    let mut questions = Vec::new();
    locator.start(Instant::now(), &mut questions);
    while locator.is_searching()
        && let Some(question) = questions.pop()
    {
        let asked = tokio::time::timeout(QUESTION_MAX, ask(&resolver, &question)).await;
        let answer = asked.unwrap_or(Answer::Failed);
        locator.answer(&question, answer, Instant::now(), &mut questions);
    }
    Some(locator)
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = match servers {
        [] => Hickory::builder_tokio()?,
        servers => {
            let servers = servers.iter().map(|server| {
                let at_port = |mut connection: ConnectionConfig| {
                    connection.port = server.port();
                    connection
                };
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                NameServerConfig::new(server.ip(), true, connections.map(at_port).into())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            Hickory::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options: &mut ResolverOpts = builder.options_mut();
    (options.timeout, options.attempts) = (SERVER_MAX, ATTEMPTS);
    // The locator holds answers for as long as they say.
    options.cache_size = 0;
    builder.build()
}

async fn ask(resolver: &TokioResolver, question: &Question) -> Answer {
    let kind = match question.kind {
        RecordKind::Naptr => RecordType::NAPTR,
        RecordKind::Srv => RecordType::SRV,
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
    };
    // With its dot, no search domain is tried.
    let Ok(name) = Name::from_ascii(format!("{}.", question.name)) else {
        return Answer::Nothing { ttl: NEGATIVE_TTL };
    };
    let found = match resolver.lookup(name, kind).await {
        Ok(found) => found,
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let seconds = none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into()));
            return Answer::Nothing { ttl: seconds.unwrap_or(NEGATIVE_TTL) };
        }
        Err(error) => {
            tracing::warn!(name = &*question.name, ?kind, %error, "DNS failed");
            return Answer::Failed;
        }
    };
    let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    let records = found.answers().iter().filter_map(|record| read(&record.data));
    let records: Vec<Record> = records.take(RECORDS_MAX).collect();
    let ttl = Duration::from_secs(ttl.into());
    match records.is_empty() {
        true => Answer::Nothing { ttl },
        false => Answer::Found { records, ttl },
    }
}

/// The records that a trunk is located by.
fn read(data: &RData) -> Option<Record> {
    let text = |bytes: &[u8]| Arc::<str>::from(String::from_utf8_lossy(bytes));
    let name = |name: &Name| Arc::<str>::from(name.to_ascii());
    match data {
        RData::A(address) => Some(Record::Address(address.0.into())),
        RData::AAAA(address) => Some(Record::Address(address.0.into())),
        RData::SRV(srv) => Some(Record::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: name(&srv.target),
        }),
        RData::NAPTR(naptr) => Some(Record::Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            services: text(&naptr.services),
            regexp: text(&naptr.regexp),
            replacement: name(&naptr.replacement),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
