//! Orders on their way to a worker. Bounded; the sender never waits.
//!
//! A worker that has legs looks into its box in each phase of 5 ms, so that most orders need no
//! wake-up, which would cost more than the order. Who cannot wait so long wakes it.

use super::system::Waker;
use media::event::MediaCommand;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Orders waiting at most. A worker empties the box each 5 ms or sooner, so this many mean that it
/// is stuck.
const ORDERS_MAX: usize = 16_384;

/// Orders that end something have this much room of their own, so that nothing is left open.
const ENDINGS_MAX: usize = 2 * ORDERS_MAX;

/// A box shared by the sender of orders and the worker.
pub(super) struct Mailbox<T> {
    orders: Arc<Mutex<Orders<T>>>,
    /// Whether the worker waits for no phase, but until it is woken.
    sleeps: Arc<AtomicBool>,
    waker: Waker,
}

struct Orders<T> {
    list: VecDeque<T>,
    /// Whether the worker was woken since it last took all.
    woken: bool,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { orders: self.orders.clone(), sleeps: self.sleeps.clone(), waker: self.waker.clone() }
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
        let orders = Orders { list: VecDeque::new(), woken: false };
        Self { orders: Arc::new(Mutex::new(orders)), sleeps: Arc::default(), waker }
    }

    /// Puts an order in and wakes the worker, or gives the order back when there is no room.
    pub(super) fn put(&self, order: T, weight: Weight) -> Result<(), T> {
        self.add(order, weight, true)
    }

    /// Puts an order in for the worker's next phase, or gives it back when there is no room.
    pub(super) fn leave(&self, order: T, weight: Weight) -> Result<(), T> {
        self.add(order, weight, false)
    }

    fn add(&self, order: T, weight: Weight, is_urgent: bool) -> Result<(), T> {
        let room = match weight {
            Weight::Ordinary => ORDERS_MAX,
            Weight::Ending => ENDINGS_MAX,
        };
        let wakes = {
            let mut orders = self.orders.lock();
            if orders.list.len() >= room {
                return Err(order);
            }
            orders.list.push_back(order);
            // The worker takes all at once, so one wake-up is enough until it did. Whether it sleeps
            // is told before it looks into the box a last time: either it sees this order, or we see
            // that it sleeps.
            let wakes = !orders.woken && (is_urgent || self.sleeps.load(Ordering::SeqCst));
            orders.woken |= wakes;
            wakes
        };
        if wakes {
            self.waker.wake();
        }
        Ok(())
    }

    /// Takes all orders into `inbox`, which must be empty; its room is used for the next ones.
    pub(super) fn take(&self, inbox: &mut VecDeque<T>) {
        let mut orders = self.orders.lock();
        orders.woken = false;
        std::mem::swap(&mut orders.list, inbox);
    }

    /// The worker is about to wait for no phase. `false`: it must not, since there is an order.
    pub(super) fn may_sleep(&self) -> bool {
        self.sleeps.store(true, Ordering::SeqCst);
        self.orders.lock().list.is_empty()
    }

    /// The worker looks into its box in each phase again.
    pub(super) fn is_awake(&self) {
        self.sleeps.store(false, Ordering::SeqCst);
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

    #[test]
    fn an_order_left_wakes_only_a_worker_that_sleeps() {
        let poller = Poller::new().unwrap();
        let mailbox = Mailbox::new(poller.waker());
        let woken = |mailbox: &Mailbox<u32>| mailbox.orders.lock().woken;
        mailbox.leave(1, Weight::Ordinary).unwrap();
        assert!(!woken(&mailbox), "its next phase sees it");
        assert!(!mailbox.may_sleep(), "there is an order");
        mailbox.is_awake();
        mailbox.put(2, Weight::Ordinary).unwrap();
        assert!(woken(&mailbox));
        let mut inbox = VecDeque::new();
        mailbox.take(&mut inbox);
        assert_eq!(inbox, [1, 2]);
        assert!(mailbox.may_sleep());
        mailbox.leave(3, Weight::Ordinary).unwrap();
        assert!(woken(&mailbox));
        // The wake-ups came before the wait, so it ends at once.
        poller.wait(None);
    }
}
