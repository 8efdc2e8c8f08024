//! What the store handed back → the same state as before the restart.

use crate::event::{Action, Restored};
use crate::switchboard::{Inner, Switchboard, Timer};
use domain::now::Now;
use queue::event::{AgentSays, AgentState, Event as QueueEvent};

impl Switchboard {
    pub(crate) fn take_up(&mut self, restored: Restored, now: Now, out: &mut Vec<Action>) {
        for promise in restored.promises {
            self.restore_promise(promise, now, out);
        }
        for (agent, state) in restored.agents {
            let says: &[AgentSays] = match state {
                AgentState::Available { .. } => &[AgentSays::LogIn, AgentSays::Ready],
                AgentState::Paused { reason } => {
                    let says = [AgentSays::LogIn, AgentSays::Pause { reason }];
                    self.agent_says(&agent, &says);
                    continue;
                }
                AgentState::LoggedOut
                | AgentState::Reserved { .. }
                | AgentState::Ringing { .. }
                | AgentState::Talking { .. }
                | AgentState::WrapUp => &[],
            };
            self.agent_says(&agent, says);
        }
        for definition in restored.campaigns {
            self.adopt_campaign(definition, now);
        }
        self.timers.update(&Timer::Callbacks, self.callbacks.deadline());
    }

    fn agent_says(&mut self, agent: &domain::id::AgentId, says: &[AgentSays]) {
        for says in says {
            let (agent, says) = (agent.clone(), says.clone());
            self.inner.push_back(Inner::Queue(QueueEvent::AgentSays { agent, says }));
        }
    }
}
