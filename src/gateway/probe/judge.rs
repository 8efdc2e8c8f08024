//! What was seen of a trunk, judged by what the RFCs ask of it. Functions without state.

use super::facts::Facts;
use super::finding::Outcome::{self, Failed, NotSupported, NotTried, Passed};
use super::finding::Step;
use super::script::{Manner, Script};
use domain::cause::{Cause, CauseKind};
use domain::media_plan::Direction;
use sip::endpoint::config::Reliable;
use sip::message::method::Method;
use sip::message::status::reason_phrase;

type Verdict = (Outcome, String);

/// A status in words.
fn status(status: u16) -> String {
    format!("{status} {}", reason_phrase(status)).trim_end().to_owned()
}

pub(super) fn registration(result: Result<(), u16>) -> Verdict {
    match result {
        Ok(()) => (Passed, "accepted; it is taken back at the end".to_owned()),
        // RFC 3261 §21.4.6, §21.5.2: there is no registrar.
        Err(refused @ (405 | 501)) => {
            (NotSupported, format!("{}: calls go without it", status(refused)))
        }
        Err(408) => (Failed, "nothing was heard".to_owned()),
        Err(refused @ (401 | 403 | 407)) => {
            (Failed, format!("{}: user, secret or realm is not theirs", status(refused)))
        }
        Err(refused) => (Failed, status(refused)),
    }
}

/// RFC 3261 §11.2: any final answer says that somebody is there.
pub(super) fn options(facts: Option<&Facts>) -> Verdict {
    let Some(facts) = facts else { return (Failed, "nothing was heard".to_owned()) };
    let server = facts.server.as_ref().map_or_else(String::new, |it| format!("; it is {it}"));
    match (facts.status, &facts.allow) {
        (200..=299, Some(allow)) => {
            (Passed, format!("{}; it allows {}{server}", facts.words(), allow.join(" ")))
        }
        (200..=299, None) => (Passed, format!("{}{server}", facts.words())),
        (405 | 501, _) => (NotSupported, format!("{}{server}", facts.words())),
        (_, _) => (Passed, format!("{}: somebody is there{server}", facts.words())),
    }
}

/// RFC 3261 §11.2: the status is the one that an INVITE would have had.
pub(super) fn number(facts: Option<&Facts>) -> Verdict {
    match facts {
        None => (NotTried, "this OPTIONS was not answered".to_owned()),
        Some(facts) if facts.status < 300 => (Passed, facts.words()),
        Some(facts) => (NotSupported, format!("refused: {}", facts.words())),
    }
}

/// The form of numbers that it takes, where it refuses the one it would be sent.
pub(super) fn number_style(script: &mut Script) {
    let Some(configured) = script.asked.configured_form else { return };
    let refused =
        |it: &&super::finding::Finding| it.step == configured && it.outcome == NotSupported;
    if script.findings().iter().find(refused).is_none() {
        return;
    }
    let styles = [
        (Step::NumberPlus, "\"e164\""),
        (Step::NumberZeros, "\"international\""),
        (Step::NumberNational, "\"national\""),
    ];
    if let Some((_, style)) = styles.into_iter().find(|(step, _)| script.has_passed(*step)) {
        script.settings.suggest("dialled_style", style, "it refuses numbers written otherwise");
    }
}

/// What a refused call is tried with next: less.
pub(super) fn plainer(manner: Manner, cause: Cause) -> Option<Manner> {
    match (manner, cause.status) {
        // Bad extension, extension required, interval too small, and what those answer who choke
        // on what they do not know.
        (Manner::Full, 400 | 415 | 420 | 421 | 422 | 488 | 500 | 501 | 513 | 606) => {
            Some(Manner::Plain)
        }
        // RFC 3261 §13.2.1: whoever likes no offer of ours may make one.
        (Manner::Plain, 400 | 415 | 488 | 606) => Some(Manner::Late),
        (Manner::Full | Manner::Plain | Manner::Late, _) => None,
    }
}

/// A refusal in words.
pub(super) fn refused(cause: Cause) -> String {
    match (cause.kind, cause.status) {
        (CauseKind::Silent, _) => "nothing was heard".to_owned(),
        (CauseKind::NoAnswer, 487) => "it rang and nobody answered; name another number".to_owned(),
        (CauseKind::Busy, code) => format!("{}; name another number", status(code)),
        (_, 0) => "it was ended".to_owned(),
        (_, code) => status(code),
    }
}

/// The settings that follow from what a call had to leave out.
pub(super) fn manner_that_worked(script: &mut Script) {
    if script.asked.probes && script.options.is_none() && !script.has_passed(Step::OverTcp) {
        script.settings.suggest("probe_s", "0", "it takes calls, but does not answer OPTIONS");
    }
    let session = script.asked.session;
    if script.manner == Manner::Full {
        return;
    }
    let why = "it refuses calls that offer more";
    if session.reliable != Reliable::Off {
        script.settings.suggest("reliable_provisionals", "\"off\"", why);
    }
    if session.interval_s != 0 {
        script.settings.suggest("session_interval_s", "0", why);
    }
    if script.manner == Manner::Late && !session.late_offer {
        let why = "it refuses our offers and makes its own";
        script.settings.suggest("late_offer", "true", why);
    }
}

pub(super) fn answer(script: &Script) -> Verdict {
    let facts = script.answer.clone().unwrap_or_default();
    let early: Vec<String> = script.early.iter().map(|it| it.status.to_string()).collect();
    let before = match early.is_empty() {
        true => String::new(),
        false => format!(" after {}", early.join(", ")),
    };
    let how = match script.manner {
        Manner::Full => "",
        Manner::Plain => ", but only without 100rel and timer",
        Manner::Late => ", but only without an offer of ours",
    };
    (Passed, format!("{}{before}{how}", facts.words()))
}

pub(super) fn early_media(script: &Script) -> Verdict {
    let Some(first) = script.early.first() else {
        return (NotTried, "no 18x came before the answer".to_owned());
    };
    match script.early.iter().find(|facts| facts.direction.is_some()) {
        Some(facts) => (Passed, format!("{} has a description", facts.words())),
        None => (NotSupported, format!("{} has no description", first.words())),
    }
}

pub(super) fn reliable(script: &mut Script) -> Verdict {
    let known = [script.answer.as_ref(), script.options.as_ref()].into_iter().flatten();
    let lists = known
        .chain(&script.early)
        .any(|facts| facts.supports("100rel") || facts.allows(&Method::Prack) == Some(true));
    let off = |script: &mut Script, why| {
        if script.asked.session.reliable != Reliable::Off {
            script.settings.suggest("reliable_provisionals", "\"off\"", why);
        }
    };
    let reliable = script.early.iter().find(|facts| facts.reliable).map(Facts::words);
    match (reliable, script.prack) {
        _ if script.manner != Manner::Full => {
            (NotSupported, "the call was taken only without it".to_owned())
        }
        (Some(words), Some(200..=299)) => (Passed, format!("{words}, and the PRACK was answered")),
        (Some(words), Some(code)) => {
            off(script, "it asks for PRACK and refuses it");
            (Failed, format!("{words}, and the PRACK was refused: {}", status(code)))
        }
        (Some(words), None) => {
            off(script, "it asks for PRACK and does not answer it");
            (Failed, format!("{words}, and the PRACK was not answered"))
        }
        // RFC 3262 §3: it need not where it is only supported.
        (None, _) if lists && script.early.is_empty() => {
            (NotTried, "it knows 100rel; no 18x came".to_owned())
        }
        (None, _) if lists => (NotTried, "it knows 100rel and did not use it".to_owned()),
        (None, _) => {
            off(script, "it knows no reliable provisional responses");
            (NotSupported, "neither Supported: 100rel nor Allow: PRACK".to_owned())
        }
    }
}

pub(super) fn session_timer(script: &mut Script) -> Verdict {
    let answer = script.answer.clone().unwrap_or_default();
    match answer.session_expires {
        Some(value) => (Passed, format!("it agreed: Session-Expires: {value}")),
        None if script.manner != Manner::Full => {
            (NotSupported, "the call was taken only without it".to_owned())
        }
        None => {
            if script.asked.session.interval_s != 0 {
                let why = "it knows no session timers";
                script.settings.suggest("session_interval_s", "0", why);
            }
            let words = match answer.supports("timer") {
                true => "it lists timer, but its answer has no Session-Expires",
                false => "its answer has no Session-Expires",
            };
            (NotSupported, words.to_owned())
        }
    }
}

/// RFC 3261 §21.4.6, §21.5.2, §21.6.2: who will not, and who cannot.
fn refusal(facts: &Facts) -> Verdict {
    let outcome = match facts.status {
        403 | 405 | 501 | 603 => NotSupported,
        _ => Failed,
    };
    (outcome, format!("refused: {}", facts.words()))
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}

/// RFC 3264 §6.1: `sendonly` is answered `recvonly` or `inactive`, `inactive` by itself.
pub(super) fn hold(facts: &Facts) -> Verdict {
    match (facts.status, facts.direction) {
        (200..=299, Some(found)) => match found.sends() {
            false => (Passed, format!("answered {}", word(found))),
            true => (Failed, format!("held, it still answers {}", word(found))),
        },
        (200..=299, None) => (Failed, "its answer has no description".to_owned()),
        (_, _) => refusal(facts),
    }
}

pub(super) fn resume(facts: &Facts) -> Verdict {
    match (facts.status, facts.direction) {
        (200..=299, Some(Direction::SendRecv)) => (Passed, "answered sendrecv".to_owned()),
        (200..=299, Some(found)) => {
            (Failed, format!("taken back, it still answers {}", word(found)))
        }
        (200..=299, None) => (Failed, "its answer has no description".to_owned()),
        (_, _) => refusal(facts),
    }
}

pub(super) fn refresh(method: &Method, facts: &Facts, answer: Option<&Facts>) -> Verdict {
    if facts.status >= 300 {
        return refusal(facts);
    }
    let by = match method {
        Method::Update => "UPDATE",
        _ => "re-INVITE",
    };
    let update = match answer.and_then(|answer| answer.allows(&Method::Update)) {
        Some(true) => "; it allows UPDATE",
        Some(false) => "; it allows no UPDATE",
        None => "",
    };
    let timer = match &facts.session_expires {
        Some(value) => format!(" with Session-Expires: {value}"),
        None => String::new(),
    };
    (Passed, format!("{by} answered {}{timer}{update}", facts.words()))
}

/// What is known before a REFER is sent; `None`: it may be.
pub(super) fn refer_beforehand(script: &Script) -> Option<Verdict> {
    let answers = [script.answer.as_ref(), script.options.as_ref()];
    let allowed = answers.into_iter().flatten().find_map(|facts| facts.allows(&Method::Refer));
    match (allowed, &script.asked.refer_to) {
        (Some(false), _) => Some((NotSupported, "its Allow has no REFER".to_owned())),
        (Some(true), None) => {
            Some((NotTried, "its Allow has REFER; --refer NUMBER tries it".to_owned()))
        }
        (None, None) => Some((NotTried, "it has no Allow; --refer NUMBER tries it".to_owned())),
        (Some(true) | None, Some(_)) => None,
    }
}

pub(super) fn refer(facts: &Facts) -> Verdict {
    match facts.status {
        200..=299 => (Passed, format!("accepted: {}", facts.words())),
        _ => refusal(facts),
    }
}

pub(super) fn bye(facts: &Facts) -> Verdict {
    match facts.status {
        200..=299 => (Passed, format!("BYE answered {}", facts.words())),
        _ => (Failed, format!("BYE refused: {}", facts.words())),
    }
}
