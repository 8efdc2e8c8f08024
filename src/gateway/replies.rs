//! API requests waiting for the exchange's reply.

use crate::signalling::{Inbox, Told};
use api::exchange::{Answer, Ban, Bans, Busy};
use domain::id::RequestId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use switchboard::event::{Command, Event, Reply};
use tokio::sync::oneshot;

/// Requests that may wait at once; a further one is refused as busy.
const WAITING_MAX: usize = 1_024;

/// Who waits for which reply.
#[derive(Clone, Default)]
pub struct Replies {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    slots: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    draining: bool,
    stopping: bool,
}

impl Replies {
    /// Answers a request; one whose asker has gone is forgotten.
    pub fn answer(&self, request: RequestId, reply: Reply) {
        if let Some(slot) = self.waiting.lock().slots.remove(&request) {
            let _ = slot.send(reply);
        }
    }

    /// Requests are still taken, but calls should go elsewhere from now on.
    pub fn drain(&self) {
        self.waiting.lock().draining = true;
    }

    /// Takes no more requests; those that wait learn that the program is stopping.
    pub fn stop(&self) {
        let mut waiting = self.waiting.lock();
        waiting.stopping = true;
        waiting.slots.clear();
    }

    /// Whether no new calls are taken.
    pub fn is_draining(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.draining || waiting.stopping
    }

    fn wait(&self) -> Result<(RequestId, oneshot::Receiver<Reply>), Busy> {
        let mut waiting = self.waiting.lock();
        // Askers that gave up leave their slots behind.
        if waiting.slots.len() >= WAITING_MAX {
            waiting.slots.retain(|_, slot| !slot.is_closed());
        }
        if waiting.stopping {
            return Err(Busy::Stopping);
        }
        if waiting.slots.len() >= WAITING_MAX {
            return Err(Busy::Full);
        }
        waiting.next += 1;
        let request = RequestId(waiting.next);
        let (sender, receiver) = oneshot::channel();
        waiting.slots.insert(request, sender);
        Ok((request, receiver))
    }
}

/// The API's way into the signalling loop.
pub struct ExchangeDoor {
    /// Who waits.
    pub replies: Replies,
    /// The loop's inbox.
    pub inbox: Inbox,
}

impl api::exchange::Exchange for ExchangeDoor {
    fn command(&self, command: Command) -> Answer<'_> {
        Box::pin(async move {
            let (request, receiver) = self.replies.wait()?;
            self.inbox.tell(Told::Event(Event::Command { request, command }));
            receiver.await.map_err(|_| Busy::Stopping)
        })
    }

    fn bans(&self) -> Bans<'_> {
        Box::pin(async move {
            let (asker, answer) = oneshot::channel();
            self.inbox.tell(Told::Bans(asker));
            let bans = answer.await.map_err(|_| Busy::Stopping)?;
            let told = |ban: sip::guard::Ban| Ban {
                source: ban.source,
                left: ban.left,
                dropped: ban.dropped,
            };
            Ok(bans.into_iter().map(told).collect())
        })
    }

    fn unban(&self, source: IpAddr) -> Answer<'_> {
        Box::pin(async move {
            let (request, receiver) = self.replies.wait()?;
            self.inbox.tell(Told::Unban(request, source));
            receiver.await.map_err(|_| Busy::Stopping)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::exchange::Exchange as _;
    use switchboard::event::Command;

    fn command() -> Command {
        Command::HangUp(domain::id::CallId(1))
    }

    #[tokio::test]
    async fn each_asker_gets_his_own_reply() {
        let (inbox, mut told) = Inbox::new();
        let door = ExchangeDoor { replies: Replies::default(), inbox };
        let (first, second) = (door.command(command()), door.command(command()));
        let exchange = async {
            let mut asked = Vec::new();
            for _ in 0..2 {
                let Some(Told::Event(Event::Command { request, .. })) = told.recv().await else {
                    panic!("a command was sent")
                };
                asked.push(request);
            }
            door.replies.answer(asked[1], Reply::Done);
            // Answered twice, or unknown: nobody waits.
            door.replies.answer(asked[1], Reply::Done);
            door.replies.answer(RequestId(99), Reply::Done);
            door.replies.stop();
        };
        let (first, second, ()) = tokio::join!(first, second, exchange);
        assert_eq!((first, second), (Err(Busy::Stopping), Ok(Reply::Done)));
        assert_eq!(door.command(command()).await, Err(Busy::Stopping));
    }

    #[test]
    fn one_too_many_is_busy_until_an_asker_gives_up() {
        let replies = Replies::default();
        let mut askers: Vec<_> = (0..WAITING_MAX).map(|_| replies.wait().unwrap()).collect();
        assert_eq!(replies.wait().err(), Some(Busy::Full));
        askers.pop();
        assert!(replies.wait().is_ok());
        assert!(!replies.is_draining());
    }
}
