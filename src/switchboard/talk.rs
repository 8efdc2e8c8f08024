//! The conversation of a call: what it says, hears and decides, carried to and fro.

use crate::call::{Purpose, Treatment};
use crate::event::{Action, Live, NamedTexts};
use crate::switchboard::{Inner, Switchboard, Timer};
use domain::id::{CallId, LegId, OrderId};
use domain::now::Now;
use domain::phone_number::PhoneNumber;
use domain::prompt::{Hearing, Language, Prompt, Transcript, Understanding};
use ivr::conversation::{CallerFacts, Conversation};
use ivr::event::{Action as Ivr, Event as IvrEvent};
use media::event::{ListenRule, MediaCommand};
use std::collections::BTreeMap;
use std::sync::Arc;
use stir::verdict::{Verdict, Verstat};
use stir::verify::attestation_letter;

/// Values taken from an HTTP answer, or why there are none.
pub(crate) type FetchResult = Result<NamedTexts, Arc<str>>;

impl Switchboard {
    /// The first leg is up: its flow begins.
    pub(crate) fn begin_conversation(&mut self, id: CallId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get(&id) else { return };
        let flow = match &call.purpose {
            Purpose::Inbound { flow } => self.rules.flows.get(flow).cloned(),
            Purpose::Attempt(attempt) => {
                self.campaigns.get(&attempt.campaign).map(|campaign| campaign.flow.clone())
            }
            Purpose::FeatureCode { .. } | Purpose::Callback { .. } | Purpose::Transit(_) => None,
        };
        // Configuration is checked before use, so a missing flow is our own fault; hang up rather
        // than leave a caller in silence.
        let Some(flow) = flow else { return self.end_call(id, out) };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (from, dialled) = self
            .legs
            .get(&call.first)
            .map(|leg| (leg.from.clone(), leg.to.clone()))
            .unwrap_or_default();
        let number = PhoneNumber::parse(&from).ok();
        let verstat = call.verdict.as_ref().map_or(Verstat::NotValidated, Verdict::verstat);
        let attestation = call.verdict.as_ref().and_then(Verdict::attestation);
        let caller = CallerFacts {
            tenant: call.tenant.clone(),
            number,
            dialled,
            verstat: verstat.word().into(),
            attestation: attestation_letter(attestation).into(),
        };
        let none = BTreeMap::new();
        let variables = self.rules.variables.get(&call.tenant).unwrap_or(&none);
        call.conversation = Some(Conversation::new(flow, caller, variables));
        call.treatment = Treatment::Asking;
        self.inner.push_back(Inner::Talk(id, IvrEvent::Started));
    }

    /// Tells the conversation of a call.
    pub(crate) fn talk(&mut self, id: CallId, event: IvrEvent, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        let Some(conversation) = self.conversation(id) else { return };
        conversation.handle(event, now, &mut actions);
        self.carry_out(id, actions, now, out);
    }

    pub(crate) fn conversation_deadline(&mut self, id: CallId, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        let Some(conversation) = self.conversation(id) else { return };
        conversation.handle_deadline(now, &mut actions);
        self.carry_out(id, actions, now, out);
    }

    /// The conversation, while it is its turn: not while the caller waits, talks or has gone.
    fn conversation(&mut self, id: CallId) -> Option<&mut Conversation> {
        let call = self.calls.get_mut(&id)?;
        match call.treatment {
            Treatment::Asking | Treatment::Waiting { .. } => call.conversation.as_mut(),
            Treatment::Setup { .. }
            | Treatment::RingingAgent { .. }
            | Treatment::Bridged { .. }
            | Treatment::Reaching { .. }
            | Treatment::Through { .. }
            | Treatment::Transferring(_)
            | Treatment::Ending => None,
        }
    }

    fn carry_out(&mut self, id: CallId, actions: Vec<Ivr>, now: Now, out: &mut Vec<Action>) {
        // An intent chosen by key was never classified, yet it is what the call is about.
        if let Some(call) = self.calls.get_mut(&id)
            && let Some(chosen) = call.conversation.as_ref().and_then(Conversation::intent)
        {
            call.intent = Some(chosen.clone());
        }
        for action in actions {
            self.carry_out_one(id, action, now, out);
        }
        let deadline = self
            .calls
            .get(&id)
            .filter(|call| !matches!(call.treatment, Treatment::Ending))
            .and_then(|call| call.conversation.as_ref())
            .and_then(Conversation::deadline);
        self.timers.update(&Timer::Conversation(id), deadline);
    }

    fn carry_out_one(&mut self, id: CallId, action: Ivr, now: Now, out: &mut Vec<Action>) {
        let Some(leg) = self.calls.get(&id).map(|call| call.first) else { return };
        match action {
            Ivr::Say { order, prompts } => {
                publish_said(id, &prompts, out);
                out.push(Action::Play { leg, order, prompts, repeat: false });
            }
            Ivr::StopSaying => out.push(Action::Media(MediaCommand::StopPlayback { leg })),
            Ivr::Listen { order, hearing, barge_in } => {
                let rule = self.listen_rule(hearing.as_ref(), barge_in);
                out.push(Action::Listen { leg, order, rule, hearing });
            }
            Ivr::StopListening => out.push(Action::Media(MediaCommand::StopListening { leg })),
            Ivr::Classify { order, intents, text } => {
                out.push(Action::Classify { call: id, order, intents, text });
            }
            Ivr::Fetch { order, request } => out.push(Action::Fetch { call: id, order, request }),
            Ivr::Enqueue { queue, priority } => self.enqueue(id, queue, priority, now),
            Ivr::Promise { queue, number } => self.promise(id, queue, number, now, out),
            Ivr::Finish => self.end_call(id, out),
            Ivr::Note { what, why } => out.push(Action::Note { call: id, what, why }),
        }
    }

    fn listen_rule(&self, hearing: Option<&Hearing>, barge_in: bool) -> ListenRule {
        ListenRule {
            speech: hearing.is_some(),
            speech_stops_playback: barge_in,
            key_stops_playback: barge_in,
            end_silence_ms: self.rules.listening.end_silence_ms,
            utterance_max_ms: self.rules.listening.utterance_max_ms,
        }
    }

    pub(crate) fn heard(
        &mut self,
        leg: LegId,
        order: OrderId,
        transcript: Transcript,
        out: &mut Vec<Action>,
    ) {
        let Some(call) = self.legs.get(&leg).map(|leg| leg.call) else { return };
        out.push(Action::Publish(Live::Heard { call, transcript: transcript.clone() }));
        self.inner.push_back(Inner::Talk(call, IvrEvent::Heard { order, transcript }));
    }

    pub(crate) fn understood(
        &mut self,
        id: CallId,
        order: OrderId,
        understanding: Understanding,
        out: &mut Vec<Action>,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if understanding.intent.is_some() {
            call.intent.clone_from(&understanding.intent);
        }
        out.push(Action::Publish(Live::Understood {
            call: id,
            understanding: understanding.clone(),
        }));
        self.inner.push_back(Inner::Talk(id, IvrEvent::Understood { order, understanding }));
    }

    pub(crate) fn fetched(&mut self, id: CallId, order: OrderId, result: FetchResult) {
        let event = match result {
            Ok(values) => IvrEvent::Fetched { order, values },
            Err(reason) => IvrEvent::FetchFailed { order, reason },
        };
        self.inner.push_back(Inner::Talk(id, event));
    }

    /// Says a text of the exchange's own.
    pub(crate) fn say(
        &mut self,
        id: CallId,
        language: Language,
        text: &str,
        out: &mut Vec<Action>,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let prompts = vec![Prompt::text(language, text)];
        publish_said(id, &prompts, out);
        let order = call.own_order();
        out.push(Action::Play { leg: call.first, order, prompts, repeat: false });
    }

    /// Plays the music of those who wait.
    pub(crate) fn play_music(&mut self, id: CallId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let order = call.own_order();
        call.music = Some(order);
        let prompts = vec![Prompt::Music];
        out.push(Action::Play { leg: call.first, order, prompts, repeat: true });
    }
}

fn publish_said(call: CallId, prompts: &[Prompt], out: &mut Vec<Action>) {
    let mut said = String::new();
    for prompt in prompts {
        let piece = match prompt {
            Prompt::Text { text, .. } => text,
            Prompt::Recorded { file } => file,
            Prompt::Music => continue,
        };
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(piece);
    }
    out.push(Action::Publish(Live::Said { call, text: said.into() }));
}
