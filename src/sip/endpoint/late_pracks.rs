//! PRACKs that cross our refusal of their INVITE: its leg is gone, and they are answered all the same
//! (RFC 3262 §3).
//!
//! Calls nothing. At most [`LATE_MAX`] are expected; at the next one the oldest is not, and gets 481.

use crate::leg::reliable::Rack;
use crate::message::Request;
use crate::message::method::Method;
use crate::transaction::GIVE_UP_AFTER;
use std::collections::VecDeque;
use std::time::Instant;

const LATE_MAX: usize = 1_024;

/// The PRACKs that may still come.
#[derive(Debug, Default)]
pub(super) struct LatePracks(VecDeque<Late>);

#[derive(Debug)]
struct Late {
    dialog: u64,
    rack: Rack,
    /// Nobody repeats a PRACK for longer than 64*T1.
    until: Instant,
}

impl LatePracks {
    /// One may come in this dialog.
    pub(super) fn expect(&mut self, dialog: u64, rack: Rack, now: Instant) {
        if self.0.len() == LATE_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Late { dialog, rack, until: now + GIVE_UP_AFTER });
    }

    /// Whether a request in this dialog is one of them, for the first time or again.
    pub(super) fn knows(&mut self, dialog: u64, request: &Request, now: Instant) -> bool {
        while self.0.pop_front_if(|late| late.until <= now).is_some() {}
        let Some(rack) = Rack::of(request).filter(|_| request.method == Method::Prack) else {
            return false;
        };
        self.0.iter().any(|late| late.dialog == dialog && late.rack == rack)
    }
}
