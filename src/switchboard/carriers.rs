//! The trunks' machine within the switchboard: what it is told of orders to trunks, and what it wants
//! done.

use crate::event::{Action, Live};
use crate::switchboard::{Switchboard, Timer};
use domain::id::TrunkId;
use domain::now::Now;
use sip::event::LegEvent;
use sip::event::trunk::{TrunkCommand, TrunkEvent};
use std::sync::Arc;
use trunk::event::{Action as TrunkAction, Event, ProbeReply, RegisterFailure};
use trunk::failover::Outcome;
use trunk::health::State;
use trunk::registration::Standing;
use trunk::trunks::Trunks;

impl Switchboard {
    /// The trunks, to be looked at.
    pub fn trunks(&self) -> &Trunks {
        &self.carriers
    }

    /// Gives the trunks an event, and performs what they want.
    pub(crate) fn carriers(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.carriers.handle(event, now, &mut actions);
        self.perform_carriers(actions, out);
    }

    pub(crate) fn carriers_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.carriers.handle_deadline(now, &mut actions);
        self.perform_carriers(actions, out);
    }

    /// What came of an order to a trunk.
    pub(crate) fn trunk_event(&mut self, event: TrunkEvent, now: Now, out: &mut Vec<Action>) {
        let event = match event {
            TrunkEvent::Registered { trunk, hop, granted, service_route, associated } => {
                Event::Registered { trunk, hop, granted, service_route, associated }
            }
            TrunkEvent::RegisterFailed { trunk, hop, status, retry_after, min_expires } => {
                let failure = RegisterFailure { status, retry_after, min_expires };
                Event::RegisterFailed { trunk, hop, failure }
            }
            TrunkEvent::Unregistered { trunk } => Event::Unregistered { trunk },
            TrunkEvent::Probed { trunk, hop, status, round_trip, retry_after } => {
                let reply = ProbeReply { status, round_trip, retry_after };
                Event::Probed { trunk, hop, reply }
            }
        };
        self.carriers(event, now, out);
    }

    /// What a leg tells of the trunk it was dialled through; of other legs the trunks know nothing.
    pub(crate) fn watch(&mut self, event: &LegEvent, now: Now, out: &mut Vec<Action>) {
        let event = match event {
            LegEvent::Ringing { leg, status, .. } => Event::Ringing { leg: *leg, status: *status },
            LegEvent::Established { leg, .. } => Event::Answered { leg: *leg },
            LegEvent::Ended { leg, cause } if cause.is_unsent() => Event::Freed { leg: *leg },
            LegEvent::Ended { leg, cause } => {
                Event::Over { leg: *leg, outcome: Some(Outcome::of(cause, false, None)) }
            }
            LegEvent::RetryAfter { leg, after } => Event::RetryAfter { leg: *leg, after: *after },
            _ => return,
        };
        self.carriers(event, now, out);
    }

    fn perform_carriers(&mut self, actions: Vec<TrunkAction>, out: &mut Vec<Action>) {
        for action in actions {
            out.push(match action {
                TrunkAction::Resolve(question) => Action::Resolve(question),
                TrunkAction::Probe { trunk, hop } => {
                    Action::Trunk(TrunkCommand::Probe { trunk, hop })
                }
                TrunkAction::Register { trunk, hop, account, expires } => {
                    let (user, contact) = (account.user, account.contact);
                    Action::Trunk(TrunkCommand::Register { trunk, hop, user, contact, expires })
                }
                TrunkAction::Unregister { trunk, hop, account } => {
                    let (user, contact) = (account.user, account.contact);
                    Action::Trunk(TrunkCommand::Unregister { trunk, hop, user, contact })
                }
                TrunkAction::Changed { trunk, state } => Action::Publish(changed(trunk, &state)),
                TrunkAction::RegistrationChanged { trunk, standing } => {
                    Action::Publish(registration_changed(trunk, &standing))
                }
            });
        }
        self.timers.update(&Timer::Carriers, self.carriers.deadline());
    }
}

fn changed(trunk: TrunkId, state: &State) -> Live {
    Live::TrunkChanged {
        trunk,
        state: state.word(),
        why: state.why().into(),
        alarm: state.is_down(),
    }
}

fn registration_changed(trunk: TrunkId, standing: &Standing) -> Live {
    let (state, why, alarm): (_, Arc<str>, _) = match standing {
        Standing::Registered { .. } => ("registered", "".into(), false),
        Standing::Failed { why, alarm, .. } => ("not registered", why.clone(), *alarm),
        Standing::Left => ("unregistered", "the program ends".into(), false),
        Standing::Idle | Standing::Asking => ("not registered", "not yet asked".into(), false),
    };
    Live::TrunkChanged { trunk, state, why, alarm }
}
