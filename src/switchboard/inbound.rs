//! From an INVITE to a call: answered by a flow (journey a), or led through to somebody else
//! (`transit`).

use crate::call::{Call, Leg, Purpose, Signalling, Sound};
use crate::decisions::Question;
use crate::dialling::Refused;
use crate::event::{Action, LegRole, Rejected};
use crate::lead::{Asking, Led, LedTo};
use crate::rules::FeatureCode;
use crate::switchboard::{Inner, Switchboard};
use crate::transit::Incoming;
use crate::verification;
use domain::id::{AgentId, CallId, FlowId, LegId, TenantId, TrunkId};
use domain::media_plan::MediaPlan;
use domain::now::Now;
use queue::event::AgentSays;
use sip::event::{IncomingCall, LegCommand, Source};
use trunk::lease::{Full, Whose};

/// After this many seconds a caller may try again for whom there is no channel.
const RETRY_AFTER_S: u32 = 5;

impl Switchboard {
    pub(crate) fn incoming(
        &mut self,
        leg: LegId,
        source: Source,
        call: IncomingCall,
        offer: Option<MediaPlan>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let question = question_of(&source, &call);
        let is_for_help = self.is_for_help(&source, &call.dialled);
        if let Some((retry_after_s, why)) = self.closed_to_new_calls().filter(|_| !is_for_help) {
            // RFC 3261 §21.5.4: refused while it is cheap, with a time to come back.
            let rejected = vec![Rejected {
                candidate: "any call".into(),
                test: "admission".into(),
                why: why.into(),
            }];
            self.refused_with(question, 503, rejected, now, out);
            return refuse(leg, 503, Some(retry_after_s), out);
        }
        let incoming = Incoming { leg, source, call, offer, question, verdict: None };
        if let Some(old) = incoming.call.replaces {
            return self.replace(incoming, old, now, out);
        }
        match is_for_help {
            // Help is not to wait for a certificate.
            true => self.take_up_call(incoming, now, out),
            false => self.verify_caller(incoming, now, out),
        }
    }

    /// Finds out where a call leads.
    pub(crate) fn take_up_call(&mut self, incoming: Incoming, now: Now, out: &mut Vec<Action>) {
        let asking = Asking::of(&incoming.call, self.ids.next_number());
        let Led { to, rejected } = self.lead(&incoming.source, &asking, now);
        let agent = match &incoming.source {
            Source::Agent(agent) => Some(agent.clone()),
            Source::Trunk(_) => None,
        };
        match (to, agent) {
            (Ok(LedTo::Flow(flow)), _) => self.caller_rings(incoming, flow, rejected, now, out),
            (Ok(LedTo::Onward(onward)), _) => {
                self.lead_through(incoming, onward, rejected, now, out);
            }
            (Ok(LedTo::Code(code)), Some(agent)) => {
                self.agent_dials_code(incoming, agent, code, now, out);
            }
            // Codes are led to for agents alone.
            (Ok(LedTo::Code(_)), None) => {
                self.refuse_unled(incoming, Refused::with(404), rejected, now, out);
            }
            (Err(refused), _) => self.refuse_unled(incoming, refused, rejected, now, out),
        }
    }

    fn refuse_unled(
        &mut self,
        incoming: Incoming,
        refused: Refused,
        rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        self.refused_with(incoming.question, refused.status, rejected, now, out);
        refuse(incoming.leg, refused.status, refused.retry_after_s, out);
    }

    /// Why no new call is taken now: the seconds after which to try again, and the ground.
    fn closed_to_new_calls(&self) -> Option<(u32, &'static str)> {
        match () {
            () if self.is_draining() => Some((60, "the gateway is being stopped")),
            // What cannot be recorded is not begun.
            () if !self.journal.works() => Some((30, "the disk takes no writes")),
            () if self.calls.len() + self.unverified.len() >= self.rules.limits.calls_max => {
                Some((5, "limits.calls_max is reached"))
            }
            () => None,
        }
    }

    /// Takes a channel of the trunk that a call comes from, or refuses the call: whether it may go on.
    /// A call for help always may.
    pub(crate) fn take_incoming(
        &mut self,
        leg: LegId,
        trunk: Option<&TrunkId>,
        emergency: bool,
        question: &Question,
        now: Now,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(trunk) = trunk else { return true };
        let Err((whose, full)) = self.carriers.take_incoming(leg, trunk, emergency, now) else {
            return true;
        };
        let (test, why, wait) = match full {
            Full::Rate(_) => ("calls per second", "as many as allowed began in this second", 1),
            Full::Channels => ("channels", "as many calls as allowed are up", RETRY_AFTER_S),
        };
        let candidate = match whose {
            Whose::Trunk => format!("trunk {}", trunk.name),
            Whose::Tenant => format!("tenant {}", trunk.tenant),
        };
        let rejected =
            vec![Rejected { candidate: candidate.into(), test: test.into(), why: why.into() }];
        self.refused_with(question.clone(), 503, rejected, now, out);
        refuse(leg, 503, Some(wait), out);
        false
    }

    fn caller_rings(
        &mut self,
        incoming: Incoming,
        flow: FlowId,
        rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Incoming { leg, source, call: offered, mut question, verdict, .. } = incoming;
        let Source::Trunk(trunk) = source else { return };
        if !self.take_incoming(leg, Some(&trunk), false, &question, now, out) {
            return;
        }
        let tenant = trunk.tenant.clone();
        let mut call = self.new_call(tenant, Purpose::Inbound { flow: flow.clone() }, leg, now);
        question.call = Some(call.id);
        let mut leg = incoming_leg(leg, call.id, LegRole::Caller, offered, now);
        leg.trunk = Some(trunk);
        self.decided(question, format!("flow {flow}").into(), rejected, now, out);
        out.extend(verdict.as_ref().map(|verdict| verification::note(call.id, verdict)));
        call.verdict = verdict;
        self.begin_call(call, leg, now, out);
    }

    fn agent_dials_code(
        &mut self,
        incoming: Incoming,
        agent: AgentId,
        code: FeatureCode,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let (at_once, afterwards) = match code.says {
            AgentSays::Ready => (None, Some(AgentSays::Ready)),
            says => (Some(says), None),
        };
        let Incoming { leg, call: offered, .. } = incoming;
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

pub(crate) fn incoming_leg(
    id: LegId,
    call: CallId,
    role: LegRole,
    offered: IncomingCall,
    now: Now,
) -> Leg {
    Leg {
        id,
        call,
        role,
        signalling: Signalling::Offered(offered.sound_ip),
        sound: Sound::Opening,
        sip_call_id: offered.call_id,
        trunk: None,
        rang: false,
        reaches: None,
        from: offered.from_user,
        to: offered.dialled,
        agent: None,
        replaces: None,
        holds: false,
        started_wall_ms: now.wall_ms,
        answered_wall_ms: None,
        ended_wall_ms: now.wall_ms,
    }
}

fn question_of(source: &Source, call: &IncomingCall) -> Question {
    let (tenant, source) = match source {
        Source::Trunk(trunk) => (trunk.tenant.clone(), format!("trunk {}", trunk.name)),
        Source::Agent(agent) => (agent.tenant.clone(), format!("agent {}", agent.name)),
    };
    Question {
        call: None,
        sip_call_id: call.call_id.clone(),
        tenant,
        source: source.into(),
        from: call.from_user.clone(),
        to: call.dialled.clone(),
    }
}

/// Refuses a call that is not answered yet.
pub(crate) fn refuse(leg: LegId, status: u16, retry_after_s: Option<u32>, out: &mut Vec<Action>) {
    out.push(Action::Leg(LegCommand::Refuse { leg, status, retry_after_s, q850: None }));
}
