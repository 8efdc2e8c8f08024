//! Journey a, first part: from an INVITE to a call that is being answered.

use crate::call::{Call, Leg, Purpose, Signalling, Sound};
use crate::event::{Action, LegRole};
use crate::routing;
use crate::rules::FeatureCode;
use crate::switchboard::{Inner, Switchboard};
use domain::id::{AgentId, CallId, FlowId, LegId, TenantId, TrunkId};
use domain::now::Now;
use queue::event::AgentSays;
use sip::event::{IncomingCall, LegCommand, Source};

impl Switchboard {
    pub(crate) fn incoming(
        &mut self,
        leg: LegId,
        source: Source,
        offered: IncomingCall,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if let Some(retry_after_s) = self.closed_to_new_calls() {
            // RFC 3261 §21.5.4: refused while it is cheap, with a time to come back.
            let retry_after_s = Some(retry_after_s);
            out.push(Action::Leg(LegCommand::Refuse { leg, status: 503, retry_after_s }));
            return;
        }
        match source {
            Source::Trunk(trunk) => {
                match routing::flow_for(&self.rules.numbers, &trunk, &offered.dialled).cloned() {
                    Some(flow) => self.caller_rings(leg, trunk, flow, offered, now, out),
                    None => refuse_unknown(leg, out),
                }
            }
            Source::Agent(agent) => {
                match routing::feature_code(&self.rules, &offered.dialled).cloned() {
                    Some(code) => self.agent_dials_code(leg, agent, code, offered, now, out),
                    None => refuse_unknown(leg, out),
                }
            }
        }
    }

    /// Why no new call is taken now: the seconds after which to try again.
    fn closed_to_new_calls(&self) -> Option<u32> {
        match () {
            () if self.is_draining() => Some(60),
            // What cannot be recorded is not begun.
            () if !self.journal.works() => Some(30),
            () if self.calls.len() >= self.rules.limits.calls_max => Some(5),
            () => None,
        }
    }

    fn caller_rings(
        &mut self,
        leg: LegId,
        trunk: TrunkId,
        flow: FlowId,
        offered: IncomingCall,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let tenant = trunk.tenant.clone();
        let holds_channel = match self.trunks.get_mut(&trunk) {
            Some(cap) => match cap.take_incoming() {
                true => true,
                false => {
                    let retry_after_s = Some(5);
                    out.push(Action::Leg(LegCommand::Refuse { leg, status: 503, retry_after_s }));
                    return;
                }
            },
            None => false,
        };
        let call = self.new_call(tenant, Purpose::Inbound { flow: flow.clone() }, leg, now);
        let mut leg = incoming_leg(leg, call.id, LegRole::Caller, offered, now);
        leg.trunk = Some(trunk);
        leg.holds_channel = holds_channel;
        out.push(Action::Note {
            call: call.id,
            what: format!("flow {flow}").into(),
            why: format!("number {} was dialled", leg.to).into(),
        });
        self.begin_call(call, leg, now, out);
    }

    fn agent_dials_code(
        &mut self,
        leg: LegId,
        agent: AgentId,
        code: FeatureCode,
        offered: IncomingCall,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let (at_once, afterwards) = match code.says {
            AgentSays::Ready => (None, Some(AgentSays::Ready)),
            says => (Some(says), None),
        };
        let purpose = Purpose::FeatureCode { confirmation: code.confirmation, afterwards };
        let call = self.new_call(agent.tenant.clone(), purpose, leg, now);
        let mut leg = incoming_leg(leg, call.id, LegRole::Agent, offered, now);
        leg.agent = Some(agent.clone());
        if let Some(says) = at_once {
            self.inner.push_back(Inner::Queue(queue::event::Event::AgentSays { agent, says }));
        }
        self.begin_call(call, leg, now, out);
    }

    pub(crate) fn new_call(
        &mut self,
        tenant: TenantId,
        purpose: Purpose,
        first: LegId,
        now: Now,
    ) -> Call {
        let id = CallId(self.ids.next_number());
        Call::new(id, tenant, purpose, first, now.wall_ms)
    }

    /// Takes up a call with its first leg, whose port is asked for.
    pub(crate) fn begin_call(&mut self, mut call: Call, leg: Leg, now: Now, out: &mut Vec<Action>) {
        self.publish_started(&call, &leg, out);
        self.open_leg(leg, &mut call, now, out);
        self.calls.insert(call.id, call);
    }
}

fn incoming_leg(id: LegId, call: CallId, role: LegRole, offered: IncomingCall, now: Now) -> Leg {
    Leg {
        id,
        call,
        role,
        signalling: Signalling::Offered,
        sound: Sound::Opening,
        sip_call_id: offered.call_id,
        trunk: None,
        holds_channel: false,
        from: offered.from_user,
        to: offered.dialled,
        agent: None,
        started_wall_ms: now.wall_ms,
        answered_wall_ms: None,
        ended_wall_ms: now.wall_ms,
    }
}

fn refuse_unknown(leg: LegId, out: &mut Vec<Action>) {
    // RFC 3261 §21.4.5: there is no such number here.
    out.push(Action::Leg(LegCommand::Refuse { leg, status: 404, retry_after_s: None }));
}
