//! What is tried of a trunk, in which order, and what an outcome means. Pure: told what was seen
//! and the time, it says what to do next.
//!
//! ```text
//! tls ─► registration ─► options ─► numbers ─► a call ─► what needs one ─► hang-up ─► over
//!                                                ▲   │ refused for what it offers: plainer
//!                                                └───┘ ended by a step: once more, for the rest
//! ```
//!
//! It is bounded: [`CALLS_MAX`] calls, a deadline for each step, [`TRIAL_MAX`] in all.

use super::facts::Facts;
use super::finding::{Finding, Outcome, Settings, Step};
use super::judge;
use domain::cause::{Cause, CauseKind};
use sip::endpoint::config::SessionPolicy;
use sip::event::Transport;
use sip::message::method::Method;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls made at most.
pub const CALLS_MAX: u8 = 4;
/// How long the whole trial may take.
pub const TRIAL_MAX: Duration = Duration::from_secs(300);
/// How long a call may ring.
pub const RING_MAX: Duration = Duration::from_secs(30);
/// How long an answer within a call, or to a REGISTER, is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How long a TLS handshake may take.
const SECURE_MAX: Duration = Duration::from_secs(15);
/// How long OPTIONS is repeated: at 0, 0.5, 1.5 and 3.5 s (RFC 3261 §17.1.2.1).
pub const OPTIONS_MAX: Duration = Duration::from_secs(6);
/// How long keys are waited for.
const DIGITS_MAX: Duration = Duration::from_secs(10);
/// A key takes 200 ms, a pause in it 500 ms.
const DIGIT: Duration = Duration::from_millis(500);

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whether it wants us registered.
    pub registers: bool,
    /// How messages travel.
    pub transport: Transport,
    /// The number called, if any.
    pub call: Option<Arc<str>>,
    /// A number in the forms of [`Step::NumberPlus`] to [`Step::NumberNational`], or why not.
    pub forms: Vec<(Step, Result<Arc<str>, &'static str>)>,
    /// Which of those the trunk is configured to be sent.
    pub configured_form: Option<Step>,
    /// Whether it is configured to be probed by OPTIONS.
    pub probes: bool,
    /// What is configured of sessions.
    pub session: SessionPolicy,
    /// Keys to send.
    pub digits: Arc<str>,
    /// Keys to be heard.
    pub expected: Option<Arc<str>>,
    /// Whom the other end is asked to call.
    pub refer_to: Option<Arc<str>>,
}

/// What a call offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Reliable provisional responses and a session interval.
    Full,
    /// Neither.
    Plain,
    /// Neither, and the offer left to the other end.
    Late,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Do {
    /// Make a TLS connection and look at its certificate.
    Secure,
    /// Register.
    Register,
    /// Take it back.
    Unregister,
    /// Send OPTIONS to the trunk, or to a number of it.
    Options {
        /// The number.
        user: Option<Arc<str>>,
        /// How.
        transport: Transport,
    },
    /// Call the number.
    Dial(Manner),
    /// Hold, or take back.
    Hold(bool),
    /// Offer the session again as it is.
    Refresh,
    /// Send keys.
    Digits(Arc<str>),
    /// Ask the other end to call this number.
    Refer(Arc<str>),
    /// End the call.
    HangUp,
    /// Show what came of a step.
    Tell(Finding),
    /// Nothing more comes.
    Over,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The TLS connection: what its certificate says, or why there is none.
    Secured(Result<String, String>),
    /// We are registered, or the status of the refusal (408: silence).
    Registered(Result<(), u16>),
    /// The registration is taken back.
    Unregistered,
    /// OPTIONS was answered; `None`: it was not.
    Options(Option<Facts>),
    /// A response to a request of the call.
    Response(Method, Facts),
    /// The call is up; whether telephone events were agreed.
    Established {
        /// RFC 4733.
        events: bool,
    },
    /// A key was heard.
    Digit(char),
    /// The call is over.
    Ended(Cause),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    None,
    Dialling,
    Up,
}

/// The machine.
#[derive(Debug)]
pub struct Script {
    pub(super) asked: Asked,
    steps: VecDeque<Step>,
    at: Option<Step>,
    deadline: Option<Instant>,
    ends_by: Instant,
    call: Call,
    calls_left: u8,
    pub(super) manner: Manner,
    registered: bool,
    /// The answer to OPTIONS.
    pub(super) options: Option<Facts>,
    /// The provisional responses to the INVITE, 100 left out.
    pub(super) early: Vec<Facts>,
    /// The 2xx to it.
    pub(super) answer: Option<Facts>,
    /// The answer to a PRACK.
    pub(super) prack: Option<u16>,
    events: bool,
    heard: String,
    findings: Vec<Finding>,
    pub(super) settings: Settings,
    leaving: bool,
    over: bool,
}

const IN_CALL: [Step; 10] = [
    Step::EarlyMedia,
    Step::Reliable,
    Step::SessionTimer,
    Step::Hold,
    Step::Resume,
    Step::Refresh,
    Step::DigitsSent,
    Step::DigitsHeard,
    Step::Refer,
    Step::HangUp,
];

impl Script {
    /// A trial that begins now.
    pub fn start(asked: Asked, now: Instant, out: &mut Vec<Do>) -> Self {
        let mut steps = VecDeque::new();
        if asked.transport == Transport::Tls {
            steps.push_back(Step::Tls);
        }
        steps.extend([Step::Registration, Step::Options, Step::OverTcp]);
        steps.extend([Step::NumberPlus, Step::NumberZeros, Step::NumberNational, Step::Answer]);
        steps.extend(IN_CALL);
        let mut script = Self {
            asked,
            steps,
            at: None,
            deadline: None,
            ends_by: now + TRIAL_MAX,
            call: Call::None,
            calls_left: CALLS_MAX,
            manner: Manner::Full,
            registered: false,
            options: None,
            early: Vec::new(),
            answer: None,
            prack: None,
            events: false,
            heard: String::new(),
            findings: Vec::new(),
            settings: Settings::default(),
            leaving: false,
            over: false,
        };
        script.go_on(now, out);
        script
    }

    /// When [`handle_deadline`](Self::handle_deadline) is wanted.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.over).then(|| self.deadline.unwrap_or(self.ends_by).min(self.ends_by))
    }

    /// What was found so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What `[trunks.NAME]` should say.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether calls can be made: nothing without which there is no trunk has failed.
    pub fn is_sound(&self) -> bool {
        let came = |step| self.findings.iter().find(|it| it.step == step).map(|it| it.outcome);
        let failed = |step| came(step) == Some(Outcome::Failed);
        let reached = came(Step::Answer) == Some(Outcome::Passed)
            || came(Step::OverTcp) == Some(Outcome::Passed);
        !failed(Step::Tls)
            && !failed(Step::Registration)
            && !failed(Step::Answer)
            && (!failed(Step::Options) || reached)
    }

    /// Takes what was seen.
    pub fn handle(&mut self, seen: Seen, now: Instant, out: &mut Vec<Do>) {
        match seen {
            Seen::Secured(result) if self.at == Some(Step::Tls) => {
                let failed = result.is_err();
                let (Ok(words) | Err(words)) = result;
                self.finish(if failed { Outcome::Failed } else { Outcome::Passed }, words, out);
                if failed {
                    // Nothing can be said over a connection that does not come about.
                    self.give_up("there is no connection", out);
                }
            }
            Seen::Registered(result) if self.at == Some(Step::Registration) => {
                self.registered = result.is_ok();
                let (outcome, words) = judge::registration(result);
                self.finish(outcome, words, out);
            }
            Seen::Unregistered if self.leaving => self.end(out),
            Seen::Options(facts) => self.options_answered(facts, out),
            Seen::Response(method, facts) => self.responded(&method, facts, out),
            Seen::Established { events } => self.established(events, now, out),
            Seen::Digit(digit) => {
                self.heard.push(digit);
                self.look_for_digits(out);
            }
            Seen::Ended(cause) => self.ended(cause, now, out),
            // Late.
            Seen::Secured(_) | Seen::Registered(_) | Seen::Unregistered => (),
        }
        self.go_on(now, out);
    }

    /// Lets time pass.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Do>) {
        if self.over || self.deadline().is_none_or(|at| at > now) {
            return;
        }
        if self.ends_by <= now {
            if self.call != Call::None {
                out.push(Do::HangUp);
            }
            self.give_up("the trial took too long", out);
            return self.end(out);
        }
        self.deadline = None;
        if self.leaving {
            return self.end(out);
        }
        match self.at {
            Some(Step::DigitsSent) => {
                let words = format!("{} sent as telephone events", self.asked.digits);
                self.finish(Outcome::Passed, words, out);
            }
            Some(Step::DigitsHeard) => {
                let words = format!("heard “{}” within {} s", self.heard, DIGITS_MAX.as_secs());
                self.finish(Outcome::Failed, words, out);
            }
            Some(step) => {
                if self.call == Call::Dialling {
                    // Its end is told; then it is no call of ours any more.
                    out.push(Do::HangUp);
                }
                let words = match step {
                    Step::HangUp => "the BYE was not answered".to_owned(),
                    _ => "no answer came in time".to_owned(),
                };
                self.finish(Outcome::Failed, words, out);
            }
            None => (),
        }
        self.go_on(now, out);
    }

    fn go_on(&mut self, now: Instant, out: &mut Vec<Do>) {
        while self.at.is_none() && !self.leaving && !self.over {
            match self.steps.pop_front() {
                Some(step) => {
                    self.at = Some(step);
                    self.begin(step, now, out);
                }
                None if self.registered => {
                    self.leaving = true;
                    self.deadline = Some(now + ANSWER_MAX);
                    out.push(Do::Unregister);
                }
                None => self.end(out),
            }
        }
    }

    fn end(&mut self, out: &mut Vec<Do>) {
        if !self.over {
            self.over = true;
            out.push(Do::Over);
        }
    }

    /// Leaves the rest out.
    fn give_up(&mut self, why: &str, out: &mut Vec<Do>) {
        self.steps.retain(|step| *step != Step::OverTcp);
        let rest: Vec<_> = self.at.take().into_iter().chain(self.steps.drain(..)).collect();
        for step in rest {
            self.tell(step, Outcome::NotTried, why.to_owned(), out);
        }
    }

    fn tell(&mut self, step: Step, outcome: Outcome, seen: String, out: &mut Vec<Do>) {
        let finding = Finding { step, outcome, seen };
        self.findings.push(finding.clone());
        out.push(Do::Tell(finding));
    }

    fn finish(&mut self, outcome: Outcome, seen: String, out: &mut Vec<Do>) {
        self.deadline = None;
        if let Some(step) = self.at.take() {
            self.tell(step, outcome, seen, out);
        }
    }

    fn skip(&mut self, why: &str, out: &mut Vec<Do>) {
        self.finish(Outcome::NotTried, why.to_owned(), out);
    }

    fn order(&mut self, order: Do, within: Duration, now: Instant, out: &mut Vec<Do>) {
        out.push(order);
        self.deadline = Some(now + within);
    }

    fn begin(&mut self, step: Step, now: Instant, out: &mut Vec<Do>) {
        match step {
            Step::Tls => self.order(Do::Secure, SECURE_MAX, now, out),
            Step::Registration if !self.asked.registers => {
                self.skip("`register` is false", out);
            }
            Step::Registration => self.order(Do::Register, ANSWER_MAX, now, out),
            Step::Options => {
                let order = Do::Options { user: None, transport: self.asked.transport };
                self.order(order, OPTIONS_MAX * 2, now, out);
            }
            Step::OverTcp if self.asked.transport != Transport::Udp || self.options.is_some() => {
                // There is no need.
                self.at = None;
            }
            Step::OverTcp => {
                let order = Do::Options { user: None, transport: Transport::Tcp };
                self.order(order, OPTIONS_MAX * 2, now, out);
            }
            Step::NumberPlus | Step::NumberZeros | Step::NumberNational => {
                self.begin_number(step, now, out);
            }
            Step::Answer if self.asked.call.is_none() => {
                judge::number_style(self);
                self.skip("name a number by --call", out);
                self.give_up("it needs a call", out);
            }
            Step::Answer => {
                judge::number_style(self);
                self.dial(now, out);
            }
            Step::EarlyMedia
            | Step::Reliable
            | Step::SessionTimer
            | Step::Hold
            | Step::Resume
            | Step::Refresh
            | Step::DigitsSent
            | Step::DigitsHeard
            | Step::Refer
            | Step::HangUp => self.begin_in_call(step, now, out),
        }
    }

    fn begin_number(&mut self, step: Step, now: Instant, out: &mut Vec<Do>) {
        let form = self.asked.forms.iter().find(|(of, _)| *of == step).map(|(_, form)| form);
        let form = form.cloned().unwrap_or(Err("there is no number"));
        let answered = self.options.as_ref().map(|facts| facts.status);
        match (form, answered) {
            (Err(why), _) => self.skip(why, out),
            (_, None) => self.skip("OPTIONS is not answered", out),
            (_, Some(401 | 407)) => self.skip("it answers OPTIONS only to whom it knows", out),
            (_, Some(405 | 501)) => self.skip("it does not know OPTIONS", out),
            (Ok(user), Some(_)) => {
                let order = Do::Options { user: Some(user), transport: self.asked.transport };
                self.order(order, OPTIONS_MAX * 2, now, out);
            }
        }
    }

    /// What needs a call, or is told by one.
    fn begin_in_call(&mut self, step: Step, now: Instant, out: &mut Vec<Do>) {
        if self.answer.is_none() {
            return self.skip("the call was not answered", out);
        }
        if let Some((outcome, words)) = self.known_beforehand(step) {
            return self.finish(outcome, words, out);
        }
        if self.call == Call::None {
            // Something before ended it.
            return match (step, self.calls_left) {
                (Step::HangUp, _) => self.skip("the call had ended by itself", out),
                (_, 0) => self.skip("there were calls enough", out),
                (_, _) => self.dial(now, out),
            };
        }
        match step {
            Step::Hold => self.order(Do::Hold(true), ANSWER_MAX, now, out),
            Step::Resume => self.order(Do::Hold(false), ANSWER_MAX, now, out),
            Step::Refresh => self.order(Do::Refresh, ANSWER_MAX, now, out),
            Step::DigitsSent => {
                let digits = self.asked.digits.clone();
                let count = u32::try_from(digits.chars().count()).unwrap_or(u32::MAX);
                let within = DIGIT.saturating_mul(count.saturating_add(1)).min(DIGITS_MAX);
                self.order(Do::Digits(digits), within, now, out);
            }
            Step::DigitsHeard => {
                self.deadline = Some(now + DIGITS_MAX);
                self.look_for_digits(out);
            }
            Step::Refer => {
                if let Some(to) = self.asked.refer_to.clone() {
                    self.order(Do::Refer(to), ANSWER_MAX, now, out);
                }
            }
            _ => self.order(Do::HangUp, ANSWER_MAX, now, out),
        }
    }

    /// What needs nothing to be sent.
    fn known_beforehand(&mut self, step: Step) -> Option<(Outcome, String)> {
        let untried = |why: &str| Some((Outcome::NotTried, why.to_owned()));
        match step {
            Step::EarlyMedia => Some(judge::early_media(self)),
            Step::Reliable => Some(judge::reliable(self)),
            Step::SessionTimer => Some(judge::session_timer(self)),
            Step::Resume if !self.has_passed(Step::Hold) => untried("it was not held"),
            Step::DigitsSent if !self.events => {
                let words = "the answer to our offer has no telephone-event".to_owned();
                Some((Outcome::NotSupported, words))
            }
            Step::DigitsHeard if self.asked.expected.is_none() => {
                untried("name the keys by --expect-digits")
            }
            Step::Refer => judge::refer_beforehand(self),
            _ => None,
        }
    }

    pub(super) fn has_passed(&self, step: Step) -> bool {
        self.findings.iter().any(|it| it.step == step && it.outcome == Outcome::Passed)
    }

    fn dial(&mut self, now: Instant, out: &mut Vec<Do>) {
        self.calls_left -= 1;
        self.call = Call::Dialling;
        // What is judged is the first call that is answered.
        if self.answer.is_none() {
            self.early.clear();
            self.prack = None;
        }
        self.order(Do::Dial(self.manner), RING_MAX + ANSWER_MAX, now, out);
    }

    fn options_answered(&mut self, facts: Option<Facts>, out: &mut Vec<Do>) {
        match self.at {
            Some(Step::Options) => {
                let (outcome, words) = judge::options(facts.as_ref());
                self.options = facts;
                self.finish(outcome, words, out);
            }
            Some(Step::OverTcp) => {
                let (outcome, words) = judge::options(facts.as_ref());
                if facts.is_some() {
                    let why = "it is silent over UDP and answers over TCP";
                    self.settings.suggest("transport", "\"tcp\"", why);
                }
                self.finish(outcome, words, out);
            }
            Some(Step::NumberPlus | Step::NumberZeros | Step::NumberNational) => {
                let (outcome, words) = judge::number(facts.as_ref());
                self.finish(outcome, words, out);
            }
            _ => (),
        }
    }

    fn responded(&mut self, method: &Method, facts: Facts, out: &mut Vec<Do>) {
        if self.call == Call::Dialling && self.answer.is_none() {
            match (method, facts.status) {
                (Method::Invite, 101..=199) if self.early.len() < 16 => self.early.push(facts),
                (Method::Invite, 200..=299) => self.answer = Some(facts),
                (Method::Prack, status @ 200..) => self.prack = Some(status),
                _ => (),
            }
            return;
        }
        // Asked again by itself, or under way.
        if self.call != Call::Up || matches!(facts.status, 100..=199 | 401 | 407 | 422 | 491) {
            return;
        }
        let verdict = match (self.at, method) {
            (Some(Step::Hold), Method::Invite | Method::Update) => judge::hold(&facts),
            (Some(Step::Resume), Method::Invite | Method::Update) => judge::resume(&facts),
            (Some(Step::Refresh), Method::Invite | Method::Update) => {
                judge::refresh(method, &facts, self.answer.as_ref())
            }
            (Some(Step::Refer), Method::Refer) => judge::refer(&facts),
            (Some(Step::HangUp), Method::Bye) => {
                self.call = Call::None;
                judge::bye(&facts)
            }
            _ => return,
        };
        self.finish(verdict.0, verdict.1, out);
    }

    fn established(&mut self, events: bool, now: Instant, out: &mut Vec<Do>) {
        if self.call != Call::Dialling {
            return;
        }
        self.call = Call::Up;
        self.events = events;
        match self.at {
            Some(Step::Answer) => {
                judge::manner_that_worked(self);
                let (outcome, words) = judge::answer(self);
                self.finish(outcome, words, out);
            }
            Some(step) => self.begin(step, now, out),
            None => (),
        }
    }

    fn ended(&mut self, cause: Cause, now: Instant, out: &mut Vec<Do>) {
        let was = std::mem::replace(&mut self.call, Call::None);
        match (self.at, was) {
            (Some(Step::Answer), Call::Dialling) => {
                let plainer = judge::plainer(self.manner, cause);
                match plainer.filter(|_| self.calls_left > 0) {
                    Some(manner) => {
                        self.manner = manner;
                        self.answer = None;
                        self.dial(now, out);
                    }
                    None => {
                        let words = judge::refused(cause);
                        self.answer = None;
                        self.finish(Outcome::Failed, words, out);
                    }
                }
            }
            // Ours; what comes of the BYE is awaited.
            (Some(Step::HangUp), _) => self.call = was,
            (Some(_), Call::Dialling) => {
                let words =
                    format!("another call for it was not answered: {}", judge::refused(cause));
                self.finish(Outcome::NotTried, words, out);
            }
            (Some(_), Call::Up) => {
                let by = match cause.kind {
                    CauseKind::Normal => "the other end hung up at it".to_owned(),
                    _ => format!("the call ended at it: {}", judge::refused(cause)),
                };
                self.finish(Outcome::Failed, by, out);
            }
            (_, _) => (),
        }
    }

    fn look_for_digits(&mut self, out: &mut Vec<Do>) {
        let Some(expected) = self.asked.expected.clone() else { return };
        if self.at == Some(Step::DigitsHeard)
            && self.call == Call::Up
            && self.heard.contains(&*expected)
        {
            self.finish(Outcome::Passed, format!("heard {}", self.heard), out);
        }
    }
}

#[cfg(test)]
mod tests;
