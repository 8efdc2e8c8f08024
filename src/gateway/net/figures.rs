//! What befell connections and datagrams at their bounds, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why something was refused, closed or lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// All places for connections are taken: the new one is closed.
    Total,
    /// Its source has as many as one may have: it is closed.
    Source,
    /// No TLS or WebSocket came about in time, or the certificate was refused.
    Handshake,
    /// Its peer does not read: it is closed.
    Unsent,
    /// It said nothing in time: it is closed.
    Idle,
    /// What it sent cannot be cut into messages, or is too large: it is closed.
    Framing,
    /// It answered our keep-alives before and does no longer (RFC 5626 §4.4.1): it is closed.
    NoPong,
    /// One of ours could not be opened.
    Unopened,
    /// A datagram that the system had no room for: it is repeated as if lost.
    Datagram,
    /// A datagram that came while the system's receive buffer was full.
    Unread,
    /// Its source is banned or over its budget: it is closed before anything is said.
    Guard,
}

/// All of them, with the words of their metrics.
pub const LOSSES: [(Loss, &str); 11] = [
    (Loss::Total, "total"),
    (Loss::Source, "source"),
    (Loss::Handshake, "handshake"),
    (Loss::Unsent, "unsent"),
    (Loss::Idle, "idle"),
    (Loss::Framing, "framing"),
    (Loss::NoPong, "no_pong"),
    (Loss::Unopened, "unopened"),
    (Loss::Datagram, "datagram"),
    (Loss::Unread, "unread"),
    (Loss::Guard, "guard"),
];

/// The counters, shared by all tasks of connections.
#[derive(Debug, Default)]
pub struct Figures([AtomicU64; LOSSES.len()]);

impl Figures {
    /// One more.
    pub fn count(&self, loss: Loss) {
        self.0[loss as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn count_all(&self, loss: Loss, more: u32) {
        self.0[loss as usize].fetch_add(more.into(), Ordering::Relaxed);
    }

    /// How many since the start.
    pub fn of(&self, loss: Loss) -> u64 {
        self.0[loss as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_has_a_counter_of_its_own() {
        let figures = Figures::default();
        for (index, (loss, _)) in LOSSES.into_iter().enumerate() {
            assert_eq!(loss as usize, index);
            figures.count(loss);
            figures.count_all(loss, index as u32);
        }
        let found: Vec<_> = LOSSES.iter().map(|(loss, _)| figures.of(*loss)).collect();
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
}
