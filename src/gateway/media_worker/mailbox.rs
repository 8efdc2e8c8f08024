//! Orders on their way to a worker. Bounded; the sender never waits.

use super::system::Waker;
use media::event::MediaCommand;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Orders waiting at most. A worker empties the box each 5 ms or sooner, so this many mean that it
/// is stuck.
const ORDERS_MAX: usize = 16_384;

/// Orders that end something have this much room of their own, so that nothing is left open.
const ENDINGS_MAX: usize = 2 * ORDERS_MAX;

/// A box shared by the sender of orders and the worker.
pub(super) struct Mailbox<T> {
    orders: Arc<Mutex<VecDeque<T>>>,
    waker: Waker,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { orders: self.orders.clone(), waker: self.waker.clone() }
    }
}

/// Whether an order may be refused when the worker is stuck.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weight {
    /// Refused when the box is full.
    Ordinary,
    /// Ends something, or another thread waits for it.
    Ending,
}

impl<T> Mailbox<T> {
    /// An empty box whose worker is woken by `waker`.
    pub(super) fn new(waker: Waker) -> Self {
        Self { orders: Arc::default(), waker }
    }

    /// Puts an order in, or gives it back when there is no room.
    pub(super) fn put(&self, order: T, weight: Weight) -> Result<(), T> {
        let room = match weight {
            Weight::Ordinary => ORDERS_MAX,
            Weight::Ending => ENDINGS_MAX,
        };
        let was_empty = {
            let mut orders = self.orders.lock();
            if orders.len() >= room {
                return Err(order);
            }
            orders.push_back(order);
            orders.len() == 1
        };
        // The worker takes all at once, so one wake-up is enough until it did.
        if was_empty {
            self.waker.wake();
        }
        Ok(())
    }

    /// Takes all orders into `inbox`, which must be empty; its room is used for the next ones.
    pub(super) fn take(&self, inbox: &mut VecDeque<T>) {
        std::mem::swap(&mut *self.orders.lock(), inbox);
    }
}

/// Whether a command ends something.
pub(super) fn weight(command: &MediaCommand) -> Weight {
    match command {
        MediaCommand::Close { .. } | MediaCommand::Unbridge { .. } => Weight::Ending,
        MediaCommand::Open { .. }
        | MediaCommand::Connect { .. }
        | MediaCommand::Play { .. }
        | MediaCommand::StopPlayback { .. }
        | MediaCommand::Listen { .. }
        | MediaCommand::StopListening { .. }
        | MediaCommand::SendDigits { .. }
        | MediaCommand::Bridge { .. }
        | MediaCommand::Record { .. } => Weight::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_worker::system::Poller;

    #[test]
    fn a_full_box_takes_only_endings() {
        let mailbox = Mailbox::new(Poller::new().unwrap().waker());
        for number in 0..ORDERS_MAX {
            mailbox.put(number, Weight::Ordinary).unwrap();
        }
        assert_eq!(mailbox.put(1, Weight::Ordinary), Err(1));
        assert_eq!(mailbox.put(2, Weight::Ending), Ok(()));
        let mut inbox = VecDeque::new();
        mailbox.take(&mut inbox);
        assert_eq!(
            (inbox.len(), inbox.front(), inbox.back()),
            (ORDERS_MAX + 1, Some(&0), Some(&2))
        );
        assert_eq!(mailbox.put(3, Weight::Ordinary), Ok(()));
    }
}
