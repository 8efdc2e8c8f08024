//! Where the dialogs of two legs meet: whom a REFER leads to and what it replaces (RFC 3515, RFC
//! 3891).

use super::Endpoint;
use crate::event::{Action, LegEvent, ReferTo, TransferTo};
use crate::leg::refer::{self, Refer};
use crate::leg::{self, Leg};
use crate::message::Request;
use crate::message::name::Name;
use crate::message::replaces::Replaces;
use crate::message::uri::{Scheme, Uri};
use domain::id::LegId;
use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Instant;

/// How many dialogs that are over are known as such; older ones are as if they had never been.
const OVER_MAX: usize = 1_024;

/// Dialogs that are over, so that one who would replace them is told so (RFC 3891 §3).
#[derive(Debug, Default)]
pub(super) struct OverDialogs(VecDeque<u64>);

impl OverDialogs {
    fn insert(&mut self, dialog: u64) {
        if self.0.len() == OVER_MAX {
            self.0.pop_front();
        }
        self.0.push_back(dialog);
    }
}

impl Endpoint {
    /// Sends a leg our REFER.
    pub(super) fn transfer(
        &mut self,
        leg: LegId,
        to: &TransferTo,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if !self.legs.contains_key(&leg) {
            return;
        }
        match self.refer_to(leg, to) {
            Some(refer_to) => {
                let event = leg::Event::Transfer { refer_to: &refer_to };
                self.deliver(leg, event, now, out);
            }
            // There is no such address, or nobody there to take over from.
            None => Self::up(LegEvent::TransferProgress { leg, status: 404 }, out),
        }
    }

    fn refer_to(&self, leg: LegId, to: &TransferTo) -> Option<String> {
        match to {
            TransferTo::Uri(uri) => {
                let uri = Uri::parse(uri).ok()?;
                Some(refer::refer_to(&uri.into_request_uri(), None))
            }
            TransferTo::User(user) => {
                let here = self.legs.get(&leg)?.leg.confirmed_dialog()?.remote_target();
                let uri = here.with_user(user).ok()?;
                Some(refer::refer_to(&uri, None))
            }
            TransferTo::Leg(other) => {
                let entry = self.legs.get(other)?;
                let dialog = entry.leg.confirmed_dialog()?;
                let replaces = Replaces {
                    call_id: &dialog.call_id,
                    // RFC 3891 §3: as the other end knows it, so its own tag comes first.
                    to_tag: &dialog.remote_tag,
                    from_tag: &entry.local_tag,
                    early_only: false,
                };
                Some(refer::refer_to(dialog.remote_target(), Some(&replaces)))
            }
        }
    }

    /// Tells whom a REFER leads to. One that would replace a dialog we do not have comes to nothing,
    /// as the INVITE it asks for would (RFC 3891 §3); the call it was sent in stays.
    pub(super) fn referred(
        &mut self,
        leg: LegId,
        refer: Refer,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let replaces = match refer.replaces.as_deref().and_then(Replaces::parse) {
            None => None,
            Some(replaces) => match self.replaced(&replaces) {
                Ok(found) => Some(found),
                // Who transfers before the answer names the call he waits in: what he asks of us is
                // nobody's INVITE, so it may be had.
                Err(_) if self.waiting(&replaces).is_some() => self.waiting(&replaces),
                Err(status) => {
                    return self.deliver(leg, leg::Event::ReferProgress { status }, now, out);
                }
            },
        };
        let Refer { to, referred_by, .. } = refer;
        let is_here = to.scheme() == Scheme::Tel || self.config.is_our_host(to.host());
        let to = ReferTo {
            user: to.user().as_deref().unwrap_or("").into(),
            host: to.host().into(),
            is_here,
            uri: to.as_str().into(),
            replaces,
        };
        Self::up(LegEvent::Referred { leg, to, referred_by }, out);
    }

    /// The leg that an INVITE shall take the place of; `None` when it says nothing of that.
    ///
    /// # Errors
    /// The status to refuse it with (RFC 3891 §3).
    pub(super) fn replaced_by(&self, request: &Request) -> Result<Option<LegId>, u16> {
        let Some(replaces) = request.headers.replaces().map_err(|_| 400_u16)? else {
            return Ok(None);
        };
        // RFC 3911 §4: to join a call and to take it over contradict each other.
        if request.headers.get_named("Join").is_some() {
            return Err(400);
        }
        self.replaced(&replaces).map(Some)
    }

    /// RFC 3891 §3: `to-tag` is compared with our tag, `from-tag` with theirs.
    fn replaced(&self, replaces: &Replaces<'_>) -> Result<LegId, u16> {
        // An end of before RFC 3261 has no tag, which is written as 0 (§6.1).
        let remote = if replaces.from_tag == "0" { "" } else { replaces.from_tag };
        let found = self.legs_by_tag.get(replaces.to_tag);
        let entry = found.and_then(|id| Some((*id, &self.legs.get(id)?.leg)));
        let Some((id, leg)) = entry.filter(|(_, leg)| leg.is_with(replaces.call_id, remote)) else {
            let dialog = self.dialog_hash(replaces.call_id, replaces.to_tag, remote);
            // Whoever ended it wants no other call in its place.
            return Err(if self.over_dialogs.0.contains(&dialog) { 603 } else { 481 });
        };
        match leg {
            Leg::Confirmed(confirmed) if confirmed.is_ended() => Err(603),
            Leg::Confirmed(_) if replaces.early_only => Err(486),
            Leg::Confirmed(_) | Leg::Outbound(_) => Ok(id),
            // An early dialog that we did not begin.
            Leg::Inbound(_) => Err(481),
            Leg::Over => Err(603),
        }
    }

    /// The leg of somebody who calls us and has no answer yet.
    fn waiting(&self, replaces: &Replaces<'_>) -> Option<LegId> {
        let id = self.legs_by_tag.get(replaces.to_tag)?;
        let leg = &self.legs.get(id)?.leg;
        let is_he = leg.is_with(replaces.call_id, replaces.from_tag);
        (matches!(leg, Leg::Inbound(_)) && is_he).then_some(*id)
    }

    /// A leg is gone: its dialog is remembered as over.
    pub(super) fn remember_over(&mut self, call_id: &str, local_tag: &str, remote_tag: &str) {
        let dialog = self.dialog_hash(call_id, local_tag, remote_tag);
        self.over_dialogs.insert(dialog);
    }

    /// The dialog that a request names whose To has this tag of ours.
    pub(super) fn dialog_of(&self, request: &Request, local_tag: &str) -> u64 {
        let headers = &request.headers;
        let remote_tag = headers.from_tag().unwrap_or("");
        self.dialog_hash(headers.call_id().unwrap_or(""), local_tag, remote_tag)
    }

    pub(super) fn dialog_hash(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.tag_secret, call_id, local_tag, remote_tag).hash(&mut hasher);
        hasher.finish()
    }

    /// RFC 3891 §3: `Replaces` stands in an INVITE only.
    pub(super) fn is_misplaced_replaces(request: &Request) -> bool {
        request.headers.has(Name::Replaces)
            && request.method != crate::message::method::Method::Invite
    }
}
