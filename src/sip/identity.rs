//! Who calls, at the border to peers that are trusted or not (RFC 3323, RFC 3324, RFC 3325).
//!
//! ```text
//! INVITE ─► border ─► of_invite ─► IncomingCall       Caller ─► write ─► border ─► INVITE of ours
//! ```
//!
//! What anybody may write (`From`, `Privacy`) is read from everybody; what only a member of the trust
//! domain may assert (`P-Asserted-Identity`) is read from the trusted alone. Calls nothing.
//! Called by `endpoint`.

pub mod border;
pub mod header_rules;

use crate::event::{Caller, IDENTITIES_MAX, IncomingCall, MAX_FORWARDS};
use crate::message::name::Name;
use crate::message::name_addr::NameAddr;
use crate::message::params::quote;
use crate::message::uri::Uri;
use crate::message::{Headers, Request};
use domain::ip_version::IpVersion;
use std::net::SocketAddr;
use std::sync::Arc;

/// What an INVITE says of its call. `trusted`: whether its sender may assert an identity.
pub(crate) fn of_invite(invite: &Request, trusted: bool) -> IncomingCall {
    let headers = &invite.headers;
    let from = headers.from().ok();
    let from_user = user_of(from.as_ref().and_then(|from| from.uri().ok()).as_ref());
    IncomingCall {
        private: is_private(headers, &from_user),
        from_user,
        from_display: from.map(|from| (*from.display()).into()).unwrap_or_default(),
        dialled: user_of(Some(&invite.uri)),
        to_user: user_of(headers.to().ok().and_then(|to| to.uri().ok()).as_ref()),
        call_id: headers.call_id().unwrap_or("").into(),
        asserted: if trusted { asserted(headers) } else { None },
        max_forwards: headers.max_forwards().ok().flatten().unwrap_or(MAX_FORWARDS),
        identity: headers.list(Name::Identity).take(IDENTITIES_MAX).map(Into::into).collect(),
        date: headers.get(Name::Date).map(Into::into),
        diversion: diversion(headers),
        replaces: None,
        // Whoever knows the ports for sound fills it in.
        sound_ip: IpVersion::V4,
    }
}

fn user_of(uri: Option<&Uri>) -> Arc<str> {
    uri.and_then(Uri::user).as_deref().unwrap_or("").into()
}

/// Whether the caller asks not to be shown: `Privacy` names `id`, `user` or `header` (RFC 3323
/// §4.2, RFC 3325 §9.3), or `From` itself is the anonymous one (RFC 3323 §4.1.1.3).
fn is_private(headers: &Headers, from_user: &str) -> bool {
    let asked = headers.all(Name::Privacy).flat_map(|value| value.split([';', ',']));
    let asks = asked
        .map(str::trim)
        .any(|value| ["id", "user", "header"].iter().any(|word| value.eq_ignore_ascii_case(word)));
    asks || from_user.eq_ignore_ascii_case("anonymous")
}

/// The user part of `P-Asserted-Identity`: of its two addresses (RFC 3325 §9.1: one `sip` and one
/// `tel`) the `tel`, as it can only be a number.
fn asserted(headers: &Headers) -> Option<Arc<str>> {
    let addresses = headers.addresses(Name::PAssertedIdentity).ok()?;
    let mut uris = addresses.iter().filter_map(|address| address.uri().ok());
    let first = uris.next()?;
    let chosen = match uris.next() {
        Some(second) if second.scheme() == crate::message::uri::Scheme::Tel => second,
        Some(_) | None => first,
    };
    Some(user_of(Some(&chosen))).filter(|user| !user.is_empty())
}

/// The last one who redirected the call: the first `Diversion` (RFC 5806 §4), else the entry of
/// `History-Info` before the last (RFC 7044 §5), which is the one whose target was changed.
fn diversion(headers: &Headers) -> Option<Arc<str>> {
    let of = |text: &str| {
        let uri = NameAddr::parse(text)?.uri().ok()?;
        Some(user_of(Some(&uri))).filter(|user| !user.is_empty())
    };
    if let Some(last) = headers.list(Name::Diversion).next() {
        return of(last);
    }
    let entries: Vec<&str> = headers.list(Name::HistoryInfo).take(HISTORY_MAX).collect();
    entries.len().checked_sub(2).and_then(|at| entries.get(at)).and_then(|entry| of(entry))
}

/// Writes who calls into an INVITE: `From` with our tag, and what a trusted peer alone is told.
/// `host` is the one of our addresses.
pub(crate) fn write(
    caller: &Caller,
    trusted: bool,
    (host, tag): (&str, &str),
    headers: &mut Headers,
) {
    let is_hidden = caller.is_hidden();
    let user = escaped(&caller.user).filter(|_| !is_hidden);
    let from = match user {
        Some(user) => {
            let display = caller.display.as_deref();
            let display = display.map(|name| format!("{} ", quote(name))).unwrap_or_default();
            format!("{display}<sip:{user}@{host}>;tag={tag}")
        }
        // RFC 3323 §4.1.1.3.
        None => format!("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag={tag}"),
    };
    headers.push(Name::From, &from);
    if is_hidden {
        // RFC 3323 §4.2, RFC 3325 §9.3: the caller wants no number shown.
        headers.push(Name::Privacy, "id");
    }
    if trusted {
        // RFC 3325 §5, §7: members of the trust domain are told also whom the callee must not see.
        let asserted = caller.asserted.as_deref().unwrap_or(&caller.user);
        if let Some(user) = escaped(asserted) {
            headers.push(Name::PAssertedIdentity, &format!("<sip:{user}@{host}>"));
        }
    }
    if let Some(identity) = caller.identity.as_deref().filter(|_| trusted || !is_hidden) {
        // A passport names the caller, so it goes where the caller may be named (RFC 8224 §11).
        headers.push(Name::Identity, identity);
    }
}

/// A user part as URIs write it; `None` when it is empty or too long for one.
pub(crate) fn escaped(user: &str) -> Option<String> {
    let uri = Uri::of_address(user, SocketAddr::from(([0, 0, 0, 0], 0))).ok()?;
    uri.user_raw().map(str::to_owned)
}

/// Further entries of `History-Info` are not looked at.
const HISTORY_MAX: usize = 32;

#[cfg(test)]
mod tests;
