//! Our registration at somebody else's registrar (RFC 3261 §10.2): what a telephone does, and a trunk
//! that wants to be registered at.
//!
//! ```text
//!  Idle ─start─► Asking ─2xx─► Registered ─refresh─► Asking
//!                 │  ▲             │ stop
//!            401  └──┘             ▼
//!            else, silence ─► Waiting ─gap─► Asking        Leaving ─any final─► Idle
//! ```
//!
//! It repeats its own requests as a non-INVITE client transaction does over datagrams (§17.1.2.2): it
//! has one request at a time, so it needs no transaction table. Calls nothing.

use crate::digest::answerer::Answerer;
use crate::event::Flow;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::{Contacts, NameAddr};
use crate::message::uri::Uri;
use crate::message::{Request, Response};
use bytes::Bytes;
use domain::timers::Timers;
use rand::{Rng, RngCore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// First and longest gap after a failure; doubled in between.
const GAP: Duration = Duration::from_secs(2);
const GAP_MAX: Duration = Duration::from_secs(300);
/// What `Retry-After` may ask for at most.
const RETRY_AFTER_MAX_S: u32 = 3_600;
/// How often it asks again at once: a challenge, a stale nonce and a 423 may come one after the
/// other. A registrar that wants more than that is left alone for the gap.
const TRIES_MAX: u8 = 4;

/// What is registered, and where.
#[derive(Clone, Debug)]
pub struct RegistrationConfig {
    /// Between our listener and the registrar.
    pub flow: Flow,
    /// The domain or realm registered at: the host of request URI, From and To.
    pub domain: Arc<str>,
    /// The user part of the address of record, and the digest user.
    pub user: Arc<str>,
    /// The password.
    pub password: Arc<str>,
    /// Where we are reached: the Contact.
    pub contact: SocketAddr,
    /// How long a registration is asked for, in seconds.
    pub expires_s: u32,
}

/// What it wants done or known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationAction {
    /// Put this on the wire.
    Transmit(Flow, Bytes),
    /// We are registered until the next refresh.
    Registered,
    /// We are not: the status of the refusal, or 408 for silence. It is tried again.
    Failed(u16),
    /// The registration was taken back.
    Left,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Idle,
    Asking,
    Registered,
    Waiting,
    Leaving,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Timer {
    /// E: the request again.
    Retransmit,
    /// F: no answer.
    GiveUp,
    /// Ask (again).
    Ask,
}

/// The machine of one registration.
pub struct Registration {
    config: RegistrationConfig,
    random: Box<dyn RngCore + Send>,
    answerer: Answerer,
    state: State,
    timers: Timers<Timer>,
    call_id: String,
    from_tag: String,
    cseq: u32,
    sent: Bytes,
    /// Where the credentials go: `Authorization`, or a proxy's field.
    credentials: Name,
    authorised: bool,
    repeat_after: Duration,
    gap: Duration,
    tries_left: u8,
}

impl Registration {
    /// Nothing is sent before `start`.
    pub fn new(config: RegistrationConfig, mut random: Box<dyn RngCore + Send>) -> Self {
        let answerer = Answerer::new(&config.user, &config.password);
        let call_id = format!("{:032x}", random.random::<u128>());
        let from_tag = format!("{:016x}", random.random::<u64>());
        Self {
            config,
            random,
            answerer,
            state: State::Idle,
            timers: Timers::default(),
            call_id,
            from_tag,
            cseq: 0,
            sent: Bytes::new(),
            credentials: Name::Authorization,
            authorised: false,
            repeat_after: T1,
            gap: GAP,
            tries_left: TRIES_MAX,
        }
    }

    /// Registers, and stays registered.
    pub fn start(&mut self, now: Instant, out: &mut Vec<RegistrationAction>) {
        self.state = State::Asking;
        self.tries_left = TRIES_MAX;
        self.send(now, out);
    }

    /// Takes the registration back.
    pub fn stop(&mut self, now: Instant, out: &mut Vec<RegistrationAction>) {
        self.state = State::Leaving;
        self.tries_left = TRIES_MAX;
        self.send(now, out);
    }

    /// Whether the response is one to our REGISTER; others are not ours.
    pub fn is_ours(&self, response: &Response) -> bool {
        response.headers.call_id().is_ok_and(|call_id| call_id == self.call_id)
    }

    /// Takes a response to our REGISTER; one to an older request is ignored.
    pub fn receive(
        &mut self,
        response: &Response,
        now: Instant,
        out: &mut Vec<RegistrationAction>,
    ) {
        let current = response.headers.cseq().is_ok_and(|(cseq, _)| cseq == self.cseq);
        let asking = matches!(self.state, State::Asking | State::Leaving);
        if !current || !asking || response.status < 200 {
            return;
        }
        self.timers.clear();
        match (response.status, self.state) {
            (401 | 407, _) => self.answer_challenge(response, now, out),
            (200..=299, State::Leaving) => {
                self.state = State::Idle;
                out.push(RegistrationAction::Left);
            }
            (200..=299, _) => {
                self.state = State::Registered;
                self.gap = GAP;
                let granted = self.granted_s(response).unwrap_or(self.config.expires_s).max(2);
                // Refreshed well before it runs out, so that one lost request does not matter.
                let refresh = Duration::from_secs(u64::from(granted)) * 8 / 10;
                self.timers.set(Timer::Ask, now + refresh);
                out.push(RegistrationAction::Registered);
            }
            (423, State::Asking) => {
                // RFC 3261 §10.2.8: ask for as long as the registrar wants.
                let least = response.headers.min_expires().ok().flatten();
                match least.filter(|least| *least > self.config.expires_s) {
                    Some(least) => {
                        self.config.expires_s = least;
                        self.send_again(423, now, out);
                    }
                    None => self.fail(423, now, out),
                }
            }
            (status, _) => {
                let wanted_s = response.headers.retry_after().unwrap_or(0).min(RETRY_AFTER_MAX_S);
                self.gap = self.gap.max(Duration::from_secs(wanted_s.into()));
                self.fail(status, now, out);
            }
        }
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<RegistrationAction>) {
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Retransmit => {
                    out.push(RegistrationAction::Transmit(self.config.flow, self.sent.clone()));
                    self.repeat_after = (self.repeat_after * 2).min(T2);
                    self.timers.set(Timer::Retransmit, now + self.repeat_after);
                }
                Timer::GiveUp => {
                    self.timers.clear();
                    self.fail(408, now, out);
                }
                Timer::Ask => {
                    self.state = State::Asking;
                    self.tries_left = TRIES_MAX;
                    self.send(now, out);
                }
            }
        }
    }

    /// When `handle_deadline` is wanted.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether we are registered.
    pub fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    fn answer_challenge(
        &mut self,
        response: &Response,
        now: Instant,
        out: &mut Vec<RegistrationAction>,
    ) {
        let (name, credentials) = match response.status {
            401 => (Name::WwwAuthenticate, Name::Authorization),
            _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        };
        let challenges = response.headers.authorisations(name);
        let answered = self.authorised && self.credentials == credentials;
        match self.answerer.take_challenge(challenges, answered) {
            Ok(()) => {
                self.credentials = credentials;
                self.send_again(response.status, now, out);
            }
            Err(_) => self.fail(response.status, now, out),
        }
    }

    fn fail(&mut self, status: u16, now: Instant, out: &mut Vec<RegistrationAction>) {
        if self.state == State::Leaving {
            self.state = State::Idle;
            out.push(RegistrationAction::Left);
            return;
        }
        self.state = State::Waiting;
        self.timers.set(Timer::Ask, now + self.gap);
        self.gap = (self.gap * 2).min(GAP_MAX);
        out.push(RegistrationAction::Failed(status));
    }

    /// Asks again at once because of a refusal with this status, unless that was done too often.
    fn send_again(&mut self, status: u16, now: Instant, out: &mut Vec<RegistrationAction>) {
        match self.tries_left.checked_sub(1) {
            Some(left) => {
                self.tries_left = left;
                self.send(now, out);
            }
            None => self.fail(status, now, out),
        }
    }

    fn send(&mut self, now: Instant, out: &mut Vec<RegistrationAction>) {
        // What was due before this request is due no more: a refresh must not undo a leaving.
        self.timers.clear();
        self.cseq += 1;
        let Some(request) = self.request() else { return };
        self.sent = request.print();
        out.push(RegistrationAction::Transmit(self.config.flow, self.sent.clone()));
        self.repeat_after = T1;
        if !self.config.flow.transport.is_reliable() {
            self.timers.set(Timer::Retransmit, now + T1);
        }
        self.timers.set(Timer::GiveUp, now + 64 * T1);
    }

    /// `None` only if the configured names cannot stand in a URI.
    fn request(&mut self) -> Option<Request> {
        let config = &self.config;
        let registrar = Uri::parse(&format!("sip:{}", config.domain)).ok()?;
        let contact = Uri::of_address(&config.user, config.contact).ok()?;
        let expires_s = match self.state {
            State::Leaving => 0,
            State::Idle | State::Asking | State::Registered | State::Waiting => config.expires_s,
        };
        let branch = format!("z9hG4bK{:016x}", self.random.random::<u64>());
        let address = format!("<sip:{}@{}>", config.user, config.domain);
        let via = config.flow.transport.via_name();
        let mut request = Request::new(Method::Register, registrar);
        let headers = &mut request.headers;
        headers.push(Name::Via, &format!("SIP/2.0/{via} {};branch={branch};rport", config.contact));
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, &format!("{address};tag={}", self.from_tag));
        headers.push(Name::To, &address);
        headers.push(Name::CallId, &self.call_id);
        headers.push(Name::CSeq, &format!("{} REGISTER", self.cseq));
        headers.push(Name::Contact, &format!("<{}>", contact.as_str()));
        headers.push(Name::Expires, &expires_s.to_string());
        let uri = request.uri.as_str().to_owned();
        let credentials = self.answerer.authorise("REGISTER", &uri, &mut *self.random);
        self.authorised = credentials.is_some();
        if let Some(credentials) = credentials {
            request.headers.push(self.credentials, &credentials);
        }
        Some(request)
    }

    fn granted_s(&self, response: &Response) -> Option<u32> {
        let ours = Uri::of_address(&self.config.user, self.config.contact).ok();
        granted_s(response, ours.as_ref())
    }
}

/// How long a registrar granted (RFC 3261 §10.2.4): to our contact among those it lists, or to the
/// only one where a proxy has rewritten it; else what the message says. In seconds.
pub(crate) fn granted_s(response: &Response, ours: Option<&Uri>) -> Option<u32> {
    let contacts = match response.headers.contacts() {
        Ok(Contacts::List(contacts)) => contacts,
        Ok(Contacts::Star) | Err(_) => Vec::new(),
    };
    let is_ours = |contact: &&NameAddr<'_>| {
        let uri = contact.uri().ok();
        uri.zip(ours).is_some_and(|(uri, ours)| uri.is_equivalent(ours))
    };
    let only = contacts.first().filter(|_| contacts.len() == 1);
    let found = contacts.iter().find(is_ours).or(only);
    let own = found.and_then(NameAddr::expires_s);
    own.or_else(|| response.headers.expires().ok().flatten())
}

#[cfg(test)]
mod tests;
