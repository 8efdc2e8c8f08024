//! What the exchange wants done, done in the simulated world: the counterpart of the gateway's own
//! match over the same list.

use crate::ledger::Operation;
use crate::network::Datagram;
use crate::person::Reply;
use crate::world::{Sabotage, World};
use campaign::event::CampaignState;
use domain::id::LegId;
use media::event::MediaCommand;
use switchboard::event::{Action, CampaignOrder, Command, Fact, Live};
use switchboard::exchange::Effect;

impl World {
    pub(crate) fn perform(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            if let Some(doom) = &mut self.doom {
                if doom.effects == 0 {
                    return;
                }
                doom.effects -= 1;
            }
            self.watch.sees(&effect, &self.ledger.disk, self.now);
            match effect {
                Effect::Transmit { flow, message, .. } => {
                    self.send(Datagram { from: flow.local, to: flow.remote, message });
                }
                Effect::Received { .. } | Effect::Expect { .. } | Effect::Close { .. } => (),
                Effect::Do(action) => self.act(action),
            }
        }
    }

    fn act(&mut self, action: Action) {
        let now = self.now.instant;
        match action {
            Action::Leg(_) => self.watch.broken("a leg's command left the exchange".to_owned()),
            Action::Media(MediaCommand::Open { .. })
                if self.setting.sabotage == Some(Sabotage::SwallowsPorts) => {}
            Action::Media(command) => self.sound.command(&command, now),
            Action::Play { leg, order, prompts, repeat } => {
                self.sound.play(leg, order, &prompts, repeat, now);
            }
            Action::Listen { leg, order, rule, hearing } => {
                let reply = self.reply_of(leg);
                self.sound.listen(leg, order, rule, hearing.as_ref(), &reply, now);
            }
            Action::Classify { call, order, text, .. } => {
                self.engines.classify(call, order, &text, now);
            }
            Action::Fetch { call, order, request } => {
                self.engines.fetch(call, order, &request, now);
            }
            Action::Verify { leg, .. } => self.engines.verify(leg, now),
            Action::Store { token, facts, patient } => self.store(token, facts, patient),
            Action::Claim { campaign, count } => {
                self.ledger.submit(Operation::Claim { campaign, count }, now);
            }
            Action::Permit { campaign, attempt, contact } => {
                self.ledger.submit(Operation::Permit { campaign, attempt, contact }, now);
            }
            Action::Return { campaign, contacts } => {
                self.ledger.submit(Operation::Return { campaign, contacts }, now);
            }
            Action::MarkSent { attempt, .. } => self.ledger.mark_sent(attempt),
            Action::TraceLeg { .. } => (),
            // The exchange gives these to its endpoint; addresses need no DNS.
            Action::Trunk(_) | Action::Resolve(_) => (),
            Action::Drained => self.ends = true,
            Action::Note { what, why, .. } => self.note(format!("{what} ({why})")),
            Action::Publish(live) => self.publish(&live),
            Action::Reply { request, reply } => self.watch.replied(request, &reply),
        }
    }

    fn store(&mut self, token: Option<domain::id::Token>, facts: Vec<Fact>, patient: bool) {
        let sabotage = self.setting.sabotage;
        let stored = |fact: &Fact| match fact {
            Fact::Promise(_) => sabotage != Some(Sabotage::LiesAboutPromises),
            Fact::Leg(_) => sabotage != Some(Sabotage::LosesRecords),
            _ => true,
        };
        let facts = facts.into_iter().filter(stored).collect();
        self.ledger.submit(Operation::Facts { token, facts, patient }, self.now.instant);
    }

    /// What the person at the other end does now that he is listened to.
    fn reply_of(&mut self, leg: LegId) -> Reply {
        let Some(party) = self.watch.party(leg) else { return Reply::Silence };
        let Some(person) = self.people.get_mut(&party) else { return Reply::Silence };
        if std::mem::take(&mut person.falls_silent) {
            self.sound.falls_silent(leg, self.now.instant);
        }
        let reply = person.next_reply();
        if reply == Reply::HangsUp {
            let mut out = Vec::new();
            self.carrier.hang_up(&party, self.now, &mut out);
            out.into_iter().for_each(|datagram| self.send(datagram));
        }
        reply
    }

    fn publish(&mut self, live: &Live) {
        match live {
            Live::Said { text, .. } => self.note(format!("says “{text}”")),
            Live::Key { digit, .. } => self.note(format!("key {digit}")),
            Live::CallEnded { call, cause, .. } => self.note(format!("call {call} over: {cause}")),
            Live::CallbackChanged(promise) => {
                self.note(format!("callback {} is {:?}", promise.id, promise.state));
            }
            Live::TrunkChanged { .. } => (),
            Live::AgentChanged { agent, state } => self.note(format!("agent {agent}: {state:?}")),
            Live::CampaignChanged { state, .. } => self.note(format!("the campaign: {state:?}")),
            Live::CallStarted { .. }
            | Live::Heard { .. }
            | Live::Understood { .. }
            | Live::Queued { .. }
            | Live::QueueRefused { .. }
            | Live::AgentRung { .. }
            | Live::Bridged { .. }
            | Live::Through { .. }
            | Live::AttemptClosed { .. } => (),
        }
    }

    /// The merchant's campaigns are adopted and started, whatever happened before.
    pub(crate) fn start_campaigns(&mut self) {
        let rows: Vec<_> = self.ledger.disk.campaigns.values().cloned().collect();
        for definition in rows {
            let campaign = definition.rules.id;
            if matches!(definition.state, CampaignState::Draft | CampaignState::Paused) {
                self.ask(Command::AdoptCampaign(definition.into()));
                self.ask(Command::Campaign { campaign, order: CampaignOrder::Start });
            }
        }
    }
}
