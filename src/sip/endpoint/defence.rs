//! The endpoint under attack and overload: who is read at all (`guard`), which new calls are taken
//! (`overload`), what neighbours are told and what they tell us (RFC 7339).

use super::Endpoint;
use super::requests::{STATELESS, to_address};
use crate::event::{Action, Flow};
use crate::guard::{Admission, Ban, Guard, GuardRules, Offence};
use crate::message::escape::unescape;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::refuse::Repeated;
use crate::message::{Request, Response};
use crate::overload::neighbours::Neighbours;
use crate::overload::{Control, OverloadRules, Place};
use crate::transaction::key;
use bytes::Bytes;
use domain::now::Now;
use rand::RngCore;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the endpoint defends itself with.
#[derive(Clone, Debug, Default)]
pub struct DefenceRules {
    /// Budgets and bans; `None`: everybody is read.
    pub guard: Option<GuardRules>,
    /// When new calls are too many; `None`: all are taken, and RFC 7339 is not spoken.
    pub overload: Option<OverloadRules>,
    /// Numbers whose calls are always taken and always go, in every form in which they are dialled:
    /// `112`, `+49112`. Digits, after a `+` or not.
    pub emergency: Vec<Arc<str>>,
    /// The room of such calls.
    pub reserve: Reserve,
}

/// Room beyond `Limits` for calls that ask for help: no other call takes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reserve {
    /// Transactions of both kinds.
    pub transactions: usize,
    /// Legs, incoming and outgoing.
    pub legs: usize,
}

/// A message that may have to wait: a new call, or its CANCEL.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Between which addresses.
    pub flow: Flow,
    /// The whole of it.
    pub message: Bytes,
    /// Whether it was cut out of a stream.
    pub framed: bool,
}

/// What becomes of a message that comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sorted {
    /// It is to be received now.
    Now,
    /// A new call that found no place: [`Endpoint::refuse`], or else it is received now.
    Refused,
    /// It waits: [`Endpoint::wait`].
    Waits,
    /// It is left unread.
    Dropped,
}

/// The machines; the first two are made with the first message, which tells what time it is.
#[derive(Debug, Default)]
pub(super) struct Defence {
    pub(super) guard: Option<Guard>,
    control: Option<Control<Newcomer>>,
    /// The message to be received next is a new call that found no place.
    pub(super) refuses: bool,
    neighbours: Neighbours,
}

/// What was kept out, for those who watch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DefenceFigures {
    /// By the guard.
    pub guard: crate::guard::Counters,
    /// New calls refused for overload.
    pub shed: u64,
    /// The percentage of new calls that are refused now.
    pub loss_percent: u8,
}

impl Endpoint {
    /// Whether a message of `length` octets is left unread, before anything of it is read. Trunks have
    /// no budget. A connection over its budget is closed: its peer would only send on.
    pub(super) fn keeps_out(
        &mut self,
        flow: Flow,
        length: usize,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> bool {
        if self.trunk_of(flow).is_some() || self.admits(flow.remote.ip(), length, now) {
            return false;
        }
        if flow.transport.is_reliable() {
            out.push(Action::Close { flow });
        }
        true
    }

    /// Whether a connection is taken, before anything is said on it: it counts as a message.
    pub fn admits_connection(&mut self, source: IpAddr, now: Now) -> bool {
        self.config.trunk_at(source).is_some() || self.admits(source, 1, now.instant)
    }

    fn admits(&mut self, source: IpAddr, length: usize, now: Instant) -> bool {
        let Some(rules) = self.config.defence.guard else { return true };
        if self.defence.guard.is_none() {
            self.defence.guard = Some(Guard::new(rules, self.rng.next_u64(), now));
        }
        let guard = self.defence.guard.as_mut();
        guard.is_none_or(|guard| guard.admit(source, length, now) == Admission::Pass)
    }

    /// Notes what a source did wrong; a trunk's faults are its carrier's to mend.
    pub(super) fn offended(&mut self, flow: Flow, offence: Offence, now: Instant) {
        if self.trunk_of(flow).is_none()
            && let Some(guard) = &mut self.defence.guard
        {
            guard.offended(flow.remote.ip(), offence, now);
        }
    }

    /// Notes that a source is as good as we are told.
    pub(super) fn vouches_for(&mut self, source: IpAddr, now: Instant) {
        if let Some(guard) = &mut self.defence.guard {
            guard.trusts(source, now);
        }
    }

    /// Whether what cannot be read gets an answer.
    pub(super) fn answers_rubbish(&mut self, flow: Flow, now: Instant) -> bool {
        let source = flow.remote.ip();
        self.trunk_of(flow).is_some()
            || self.defence.guard.as_mut().is_none_or(|guard| guard.answers_rubbish(source, now))
    }

    /// What becomes of a message that comes, before anything of it is read (see [`Control`]). Only new
    /// calls wait, and their CANCELs behind them. Those who have a budget are kept to that instead, what
    /// is said within a dialog belongs to a call that was taken, and a call for help never waits.
    pub fn sort(&mut self, flow: Flow, message: &[u8], now: Now) -> Sorted {
        if message.starts_with(b"CANCEL ") && self.has_newcomers() && self.may_wait(flow) {
            return Sorted::Waits;
        }
        // RFC 3261 §8.2.7: whoever refuses statelessly ignores the ACK.
        if message.starts_with(b"ACK ")
            && self.control(now).is_some_and(|control| control.is_held())
            && to_tag(message).is_some_and(|tag| tag.starts_with(STATELESS.as_bytes()))
        {
            return Sorted::Dropped;
        }
        let is_newcomer = message.starts_with(b"INVITE ")
            && to_tag(message).is_none()
            && self.may_wait(flow)
            && !self.may_call_for_help(message);
        match self.control(now).filter(|_| is_newcomer).map(|control| control.sort(now.instant)) {
            None => Sorted::Now,
            Some(Place::Waits) => Sorted::Waits,
            Some(Place::Dropped) => Sorted::Dropped,
            Some(Place::Refused) => {
                self.defence.refuses = true;
                Sorted::Refused
            }
        }
    }

    /// Whether messages over `flow` may wait: those who have a budget are kept to that.
    fn may_wait(&self, flow: Flow) -> bool {
        self.config.defence.guard.is_none() || self.trunk_of(flow).is_some()
    }

    /// Who waits over a connection that is closed would be answered by nobody's.
    pub(super) fn forget_newcomers(&mut self, flow: Flow) {
        if let Some(control) = &mut self.defence.control {
            control.forget(|message| message.flow == flow);
        }
    }

    /// A message waits that was sorted so; it is given back if it is to be received now after all.
    /// `waited`: how long it has already, in its socket's buffer.
    pub fn wait(&mut self, message: Newcomer, waited: Duration, now: Now) -> Option<Newcomer> {
        let is_call = message.message.starts_with(b"INVITE ");
        let Some(control) = self.control(now) else { return Some(message) };
        if !is_call {
            return control.enter_behind(message);
        }
        control.enter(message, waited, now.instant);
        None
    }

    /// Whether new calls wait.
    pub fn has_newcomers(&self) -> bool {
        self.defence.control.as_ref().is_some_and(Control::has_waiting)
    }

    /// The message whose turn it is, to be received now.
    pub fn next_newcomer(&mut self, now: Now) -> Option<Newcomer> {
        self.control(now)?.next(now.instant)
    }

    /// Whether the first line of an INVITE has a number in it that calls for help: cheaper than reading
    /// it, and rather too often than not.
    pub(super) fn may_call_for_help(&self, message: &[u8]) -> bool {
        let line = &message[..memchr::memchr(b'\r', message).unwrap_or(message.len())];
        let is_sos =
            |at: usize| line[at..].get(..3).is_some_and(|it| it.eq_ignore_ascii_case(b"sos"));
        if memchr::memchr2_iter(b's', b'S', line).any(is_sos) {
            return true;
        }
        let uri = line.split(|byte| *byte == b' ').nth(1).unwrap_or(line);
        let Ok(uri) = std::str::from_utf8(uri) else { return true };
        let address = uri.split_once(':').map_or(uri, |(_, address)| address);
        let user = address.split(['@', ';', '?', ':']).next().unwrap_or(address);
        let numbers = &self.config.defence.emergency;
        let ends_so = |user: &str| numbers.iter().any(|number| user.ends_with(&**number));
        if user.bytes().all(|byte| byte == b'+' || byte.is_ascii_digit()) {
            return ends_so(user);
        }
        let user = unescape(user);
        let plain: String = user.chars().filter(|letter| !SEPARATORS.contains(letter)).collect();
        // What was escaped may be a parameter.
        ends_so(plain.split(';').next().unwrap_or(&plain))
    }

    /// Refuses a message that was sorted so, without reading all of it; whether it did. One that is not
    /// quite ordinary, or repeats a call that was taken, must be received.
    pub fn refuse(&mut self, flow: Flow, message: &[u8], out: &mut Vec<Action>) -> bool {
        let Some(repeated) = Repeated::read(message) else { return false };
        let key = key::of_via(&repeated.top, &Method::Invite);
        if key.is_none_or(|key| self.servers.knows(&key)) {
            return false;
        }
        self.defence.refuses = false;
        let tag =
            |via: &str| self.tag_for([Some(via), Some(repeated.from), Some(repeated.call_id)]);
        let refusal = repeated.refuse(flow.remote, tag, &self.config.user_agent);
        let flow = to_address(flow, refusal.address);
        out.push(Action::Transmit { flow, message: refusal.message, leg: None });
        self.counters.received += 1;
        self.counters.refused += 1;
        self.counters.sent += 1;
        true
    }

    /// Refuses a new call that found no place; whether it did. A repetition of one that was taken is
    /// none.
    pub(super) fn sheds(&mut self, request: &Request, flow: Flow, out: &mut Vec<Action>) -> bool {
        if request.method != Method::Invite
            || request.headers.to_tag().is_some()
            || key::of_request(request).is_none_or(|key| self.servers.knows(&key))
            || self.is_emergency(request)
        {
            return false;
        }
        let response = self.shed(request);
        self.send_refusal(response, flow, out);
        true
    }

    /// RFC 7339 §5.10.2: 503 without `Retry-After`, which would keep the neighbour away altogether.
    fn shed(&self, request: &Request) -> Response {
        self.refusal(request, 503)
    }

    /// Fills in what a neighbour asked for in its Via (RFC 7339 §5.2); strangers are told nothing of
    /// our state. What is told now is copied into every response to the request.
    pub(super) fn advise(&mut self, request: &mut Request, flow: Flow, now: Now) {
        let asks = |via: crate::message::via::Via<'_>| {
            let params = via.params;
            params.has("oc") && params.get("oc-algo").is_none_or(|list| list.contains("loss"))
        };
        if !request.headers.via().is_ok_and(asks) || self.trunk_of(flow).is_none() {
            return;
        }
        if let Some(control) = self.control(now) {
            let advice = control.advice(now.instant).print();
            request.headers.advise_via(&advice);
        }
    }

    /// Whether a number, with separators (RFC 3966 §5.1.1) and parameters or without, calls for help.
    pub(super) fn is_for_help(&self, user: &str) -> bool {
        let number = user.split(';').next().unwrap_or(user).chars();
        let plain = number.filter(|letter| !SEPARATORS.contains(letter));
        self.config.defence.emergency.iter().any(|it| plain.clone().eq(it.chars()))
    }

    /// Whether another transaction or leg is beyond our limits, for a call for help or for any other.
    pub(super) fn is_full(&self, for_help: bool) -> bool {
        let limits = &self.config.limits;
        self.legs.len() >= limits.legs + self.reserve(for_help).legs
            || self.has_no_transaction(for_help)
    }

    /// Whether another transaction is beyond our limits.
    pub(super) fn has_no_transaction(&self, for_help: bool) -> bool {
        let reserve = self.reserve(for_help).transactions;
        self.transactions() >= self.config.limits.transactions + reserve
    }

    fn reserve(&self, for_help: bool) -> Reserve {
        if for_help { self.config.defence.reserve } else { Reserve::default() }
    }

    /// Whether a call of ours may go to `remote`: it may be overloaded, or have told us to wait.
    pub(super) fn may_call(&mut self, user: &str, remote: SocketAddr, now: Instant) -> bool {
        let random = self.rng.next_u32();
        self.is_for_help(user) || self.defence.neighbours.takes_call(remote, random, now)
    }

    /// The parameters of our Via that ask a neighbour for its state (RFC 7339 §4.1, §4.2).
    pub(super) fn asks_for_advice(&self, flow: Flow) -> &'static str {
        let is_neighbour = self.trunk_of(flow).is_some();
        match self.config.defence.overload {
            Some(_) if is_neighbour => ";oc;oc-algo=\"loss\"",
            _ => "",
        }
    }

    /// Takes a neighbour's word from its response to a request that went to `to`.
    pub(super) fn heard(&mut self, response: &Response, to: SocketAddr, now: Instant) {
        if self.config.defence.overload.is_none() {
            return;
        }
        let neighbours = &mut self.defence.neighbours;
        if let Ok(via) = response.headers.via() {
            neighbours.heard(to, &via, now);
        }
        let is_invite = response.headers.cseq().is_ok_and(|(_, method)| method == Method::Invite);
        if response.status == 503
            && is_invite
            && let Some(seconds) = retry_after(response)
        {
            neighbours.told_to_wait(to, seconds, now);
        }
    }

    /// A request other than a new call goes to `to`.
    pub(super) fn sends_other(&mut self, to: SocketAddr, now: Instant) {
        self.defence.neighbours.sends_other(to, now);
    }

    /// Who is banned now.
    pub fn bans(&self, now: Instant) -> Vec<Ban> {
        self.defence.guard.as_ref().map(|guard| guard.bans(now)).unwrap_or_default()
    }

    /// Ends a ban; whether there was one.
    pub fn unban(&mut self, source: IpAddr, now: Instant) -> bool {
        self.defence.guard.as_mut().is_some_and(|guard| guard.unban(source, now))
    }

    /// What was kept out since the start.
    pub fn defence(&self) -> DefenceFigures {
        let control = self.defence.control.as_ref();
        DefenceFigures {
            guard: self.defence.guard.as_ref().map(Guard::counters).unwrap_or_default(),
            shed: control.map_or(0, Control::refused),
            loss_percent: control.map_or(0, Control::loss_percent),
        }
    }

    fn control(&mut self, now: Now) -> Option<&mut Control<Newcomer>> {
        let rules = self.config.defence.overload?;
        let control = &mut self.defence.control;
        Some(control.get_or_insert_with(|| Control::new(rules, now.wall_ms, now.instant)))
    }

    /// By its number, or by the URN for it (RFC 5031).
    pub(super) fn is_emergency(&self, request: &Request) -> bool {
        request.uri.user().is_some_and(|user| self.is_for_help(&user))
            || request.uri.to_string().to_ascii_lowercase().starts_with("urn:service:sos")
    }
}

/// What people write between digits.
const SEPARATORS: [char; 6] = ['-', '.', '(', ')', ' ', '/'];

/// The tag of the `To` of a message, and what follows it: cheaper than reading it, and rather too often
/// one than not.
fn to_tag(message: &[u8]) -> Option<&[u8]> {
    let mut from = 0;
    let to = loop {
        let end = from + memchr::memchr(b'\n', &message[from..]).unwrap_or(message.len() - from);
        match &message[from..end] {
            [] | [_] => return None,
            // Cheaper than the name of each line.
            line @ [b't' | b'T', ..] if is_to(line) => break line,
            _ => from = (end + 1).min(message.len()),
        }
    };
    let is_tag = |at: &usize| to[*at..].get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"tag="));
    let at = memchr::memchr2_iter(b't', b'T', to).find(is_tag)?;
    Some(&to[at + 4..])
}

/// Whether a line is a `To`, or the compact form of one.
fn is_to(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
    name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t")
}

/// The seconds of `Retry-After`, without its comment and parameters (RFC 3261 §20.33).
fn retry_after(response: &Response) -> Option<u32> {
    let value = response.headers.get(Name::RetryAfter)?;
    let digits = value.trim().split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}
