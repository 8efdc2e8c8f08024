//! The life of a leg, the same for all journeys: its port is bound, its signalling begins, both ends
//! agree, it ends, its port is freed, its record is written. What that means for the call is decided
//! by the journey (`inbound`, `callback`, `outbound`, `queueing`).

use crate::call::{Call, Dial, Leg, Purpose, Signalling, Sound, Treatment, is_conversations};
use crate::event::{Action, Fact, LegRole, Live, Rejected};
use crate::record::leg_record;
use crate::switchboard::{Inner, Switchboard, Timer};
use domain::cause::{Cause, EndedBy};
use domain::id::{CallId, LegId, OrderId};
use domain::ip_version::IpVersion;
use domain::media_plan::MediaPlan;
use domain::now::Now;
use media::event::{MediaCommand, MediaEvent, QualityReport};
use queue::event::Event as QueueEvent;
use sip::event::{LegCommand, LegEvent, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A port is bound or freed in microseconds; a media thread that takes longer than this is stuck.
const PORT_WITHIN: Duration = Duration::from_secs(5);

impl Switchboard {
    pub(crate) fn handle_leg(&mut self, event: LegEvent, now: Now, out: &mut Vec<Action>) {
        match event {
            LegEvent::Incoming { leg, source, call, plan } => {
                self.incoming(leg, source, *call, plan, now, out);
            }
            LegEvent::Dialled { leg, call_id } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.sip_call_id = call_id;
                }
            }
            // Early sound goes on only to callers who are led through: those of a queue have music,
            // campaigns wait.
            LegEvent::Ringing { leg, status, plan } => {
                // A 183 may carry the ringing as sound.
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.rang |= (180..=183).contains(&status);
                }
                if !self.transfer_rings(leg, status, out) {
                    self.transit_rings(leg, status, plan, out);
                }
            }
            LegEvent::Established { leg, plan } => self.established(leg, plan, now, out),
            LegEvent::Changed { leg, plan } => self.sound_changed(leg, plan, out),
            LegEvent::InfoDigit { leg, digit } => self.info_digit(leg, digit, out),
            LegEvent::Referred { leg, to, referred_by } => {
                self.referred(leg, &to, referred_by, now, out);
            }
            LegEvent::TransferProgress { leg, status } => {
                self.handing_told(leg, status, now, out);
            }
            LegEvent::Ended { leg, cause } => {
                self.forget_unverified(leg);
                self.signalling_over(leg, cause, now, out);
            }
            LegEvent::Refused { trunk, remote, call, status, why } => {
                self.refused_below((trunk, remote), &call, (status, why), now, out);
            }
            // The trunks were told.
            LegEvent::RetryAfter { .. } => (),
            LegEvent::Registered { agent, ip } => {
                self.phones.insert(agent.clone(), ip);
                self.inner
                    .push_back(Inner::Queue(QueueEvent::AgentPhone { agent, reachable: true }));
            }
            LegEvent::Unregistered { agent } => {
                self.phones.remove(&agent);
                self.inner
                    .push_back(Inner::Queue(QueueEvent::AgentPhone { agent, reachable: false }));
            }
        }
    }

    pub(crate) fn handle_media(&mut self, event: MediaEvent, now: Now, out: &mut Vec<Action>) {
        match event {
            MediaEvent::Opened { leg, local } => self.sound_opened(leg, local, now, out),
            MediaEvent::OpenFailed { leg } => self.sound_failed(leg, now, out),
            MediaEvent::PlaybackEnded { leg, order, stopped } => {
                self.playback_ended(leg, order, stopped, out);
            }
            MediaEvent::Digit { leg, digit, .. } => self.digit(leg, digit, out),
            MediaEvent::SpeechStarted { leg, order, .. } => {
                self.tell_caller(leg, ivr::event::Event::SpeechStarted { order });
            }
            MediaEvent::SpeechEnded { leg, order } => {
                self.tell_caller(leg, ivr::event::Event::SpeechEnded { order });
            }
            // Who has not been answered yet need not send any sound.
            MediaEvent::Silent { leg } if !self.is_up(leg) => (),
            MediaEvent::Silent { leg } => {
                if let Some(leg) = self.legs.get(&leg) {
                    out.push(Action::Note {
                        call: leg.call,
                        what: format!("end leg {}", leg.id).into(),
                        why: "no sound arrived for as long as a leg may be silent".into(),
                    });
                }
                self.end_leg(leg, out);
            }
            MediaEvent::Closed { leg, report } => self.sound_closed(leg, report, now, out),
        }
    }

    /// Adds a leg to a call and asks for its port; its signalling goes on at `Opened`.
    pub(crate) fn open_leg(&mut self, leg: Leg, call: &mut Call, now: Now, out: &mut Vec<Action>) {
        call.legs_open += 1;
        self.timers.update(&Timer::Port(leg.id), Some(now.instant + PORT_WITHIN));
        let who: Arc<str> = match (&leg.agent, leg.role) {
            (Some(agent), _) => format!("agent {agent}").into(),
            (None, LegRole::Contact) => "contact".into(),
            (None, LegRole::Callee) => "callee".into(),
            (None, _) => "caller".into(),
        };
        out.push(Action::TraceLeg { call: call.id, leg: leg.id, who });
        let ip = self.ip_of(&leg);
        out.push(Action::Media(MediaCommand::Open { leg: leg.id, ip }));
        self.legs.insert(leg.id, leg);
    }

    /// Of which version of IP a leg's port must be: as its offer asks, or as whoever is called is
    /// spoken to.
    fn ip_of(&self, leg: &Leg) -> IpVersion {
        match &leg.signalling {
            Signalling::Offered(ip) => *ip,
            Signalling::NotBegun(dial) => match &dial.target {
                Target::Trunk { hop, .. } => IpVersion::of(hop.address.ip()),
                Target::Agent(agent) => self.phones.get(agent).copied().unwrap_or_default(),
            },
            Signalling::Begun | Signalling::Up | Signalling::Ending | Signalling::Over(_) => {
                IpVersion::default()
            }
        }
    }

    /// The number of a leg we dial: even, those of the endpoint are odd.
    pub(crate) fn new_leg_id(&mut self) -> LegId {
        LegId(self.ids.next_number() << 1)
    }

    /// Ends a leg in whatever way its state asks for. Its end comes as an event.
    pub(crate) fn end_leg(&mut self, id: LegId, out: &mut Vec<Action>) {
        self.end_leg_because(id, None, out);
    }

    /// As [`end_leg`](Self::end_leg), with the Q.850 cause that its peer is told (RFC 3326).
    pub(crate) fn end_leg_because(&mut self, id: LegId, q850: Option<u8>, out: &mut Vec<Action>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.can_end() {
            let not_begun = matches!(leg.signalling, Signalling::NotBegun(_));
            leg.signalling = Signalling::Ending;
            match not_begun {
                // Nothing was sent, so nothing comes back: it is over at once.
                true => self.inner.push_back(Inner::LegOver(id, Cause::cancelled())),
                false => out.push(Action::Leg(LegCommand::HangUp { leg: id, q850 })),
            }
        }
    }

    /// Frees a leg's port; its record waits for the figures of its sound, but not for ever.
    fn close_sound(&mut self, id: LegId, now: Now, out: &mut Vec<Action>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.sound = Sound::Closing;
        self.timers.update(&Timer::Port(id), Some(now.instant + PORT_WITHIN));
        out.push(Action::Media(MediaCommand::Close { leg: id }));
    }

    fn sound_opened(&mut self, id: LegId, local: SocketAddr, now: Now, out: &mut Vec<Action>) {
        self.timers.update(&Timer::Port(id), None);
        let Some(leg) = self.legs.get_mut(&id) else {
            out.push(Action::Media(MediaCommand::Close { leg: id }));
            return;
        };
        leg.sound = Sound::Open;
        match std::mem::replace(&mut leg.signalling, Signalling::Begun) {
            Signalling::Offered(_) => self.port_of_caller_opened(id, local, now, out),
            Signalling::NotBegun(dial) => {
                let service_route = match &dial.target {
                    Target::Trunk { trunk, .. } => self.carriers.service_route(trunk, now.instant),
                    Target::Agent(_) => &[],
                };
                send_invite(id, *dial, (local, service_route.to_vec()), out);
            }
            // It was over before its port was there.
            over @ (Signalling::Ending | Signalling::Over(_)) => {
                leg.signalling = over;
                self.close_sound(id, now, out);
            }
            other @ (Signalling::Begun | Signalling::Up) => leg.signalling = other,
        }
    }

    /// A caller is answered, unless he is led on to somebody whose answer is his.
    fn port_of_caller_opened(
        &mut self,
        leg: LegId,
        local: SocketAddr,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.legs.get(&leg).map(|leg| leg.call) else { return };
        match self.calls.get(&id).map(|call| &call.purpose) {
            _ if self.answers_replacement(leg) => self.answer_leg(leg, local, out),
            Some(Purpose::Transit(_)) => self.transit_port_opened(id, local, now, out),
            Some(_) | None => {
                out.push(Action::Leg(LegCommand::Answer { leg, local_media: local }));
            }
        }
    }

    fn is_up(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| matches!(leg.signalling, Signalling::Up))
    }

    /// No port can be had, or the answer about it never came (a late one is closed again), or a port
    /// told to close did not say that it has.
    pub(crate) fn sound_failed(&mut self, id: LegId, now: Now, out: &mut Vec<Action>) {
        self.timers.update(&Timer::Port(id), None);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.sound = Sound::Closed(QualityReport::default());
        match leg.signalling {
            Signalling::Offered(_) => {
                leg.signalling = Signalling::Ending;
                // RFC 3261 §21.5.4: all our ports are taken; they will not be in a while.
                crate::inbound::refuse(id, 503, Some(10), out);
                let question = self.legs.get(&id).and_then(|leg| self.calls.get(&leg.call));
                if let Some(question) = question.map(|call| self.question_of(call)) {
                    let rejected = vec![Rejected {
                        candidate: "any call".into(),
                        test: "ports".into(),
                        why: "no port for its sound is free".into(),
                    }];
                    self.refused_with(question, 503, rejected, now, out);
                }
            }
            Signalling::NotBegun(_) => {
                self.signalling_over(id, Cause::not_admitted(), now, out);
            }
            Signalling::Over(_) => self.finish_leg(id, now, out),
            Signalling::Begun | Signalling::Up | Signalling::Ending => (),
        }
    }

    fn established(&mut self, id: LegId, plan: MediaPlan, now: Now, out: &mut Vec<Action>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if !matches!(leg.signalling, Signalling::Begun) {
            return;
        }
        leg.signalling = Signalling::Up;
        leg.answered_wall_ms = Some(now.wall_ms);
        let call = leg.call;
        out.push(Action::Media(MediaCommand::Connect { leg: id, plan }));
        let Some(first) = self.calls.get_mut(&call).map(|call| {
            if call.first == id {
                call.answered_wall_ms = Some(now.wall_ms);
            }
            call.first == id
        }) else {
            return;
        };
        match first {
            true => self.caller_established(call, now, out),
            false => self.other_answered(call, id, out),
        }
    }

    /// Somebody whom we rang for the call's first leg has answered.
    fn other_answered(&mut self, call: CallId, leg: LegId, out: &mut Vec<Action>) {
        if self.replacement_established(call, leg, out) {
            return;
        }
        match self.calls.get(&call).map(|call| &call.treatment) {
            Some(Treatment::Reaching { .. }) => self.reached(call, leg, out),
            Some(Treatment::Transferring(_)) => self.transfer_answered(call, leg, out),
            Some(_) | None => self.agent_answered(call, leg, out),
        }
    }

    /// What the first leg's answer means.
    fn caller_established(&mut self, id: CallId, now: Now, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let length_max = self.rules.limits.call_length_max;
        let is_for_help = matches!(&call.purpose, Purpose::Transit(it) if it.onward.is_emergency());
        let ends_at = (!is_for_help).then_some(now.instant + length_max);
        self.timers.update(&Timer::CallTooLong(id), ends_at);
        match &call.purpose {
            Purpose::Inbound { .. } | Purpose::Attempt(_) => self.begin_conversation(id, out),
            Purpose::FeatureCode { confirmation, .. } => {
                let text = confirmation.clone();
                self.say(id, domain::prompt::Language::English, &text, out);
            }
            Purpose::Callback { .. } => self.callback_answered(id, now, out),
            // He was answered because the other end had.
            Purpose::Transit(_) => (),
        }
    }

    /// A leg's signalling is over: the call learns of it once, the port is freed.
    pub(crate) fn signalling_over(
        &mut self,
        id: LegId,
        cause: Cause,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if matches!(leg.signalling, Signalling::Over(_)) {
            return;
        }
        leg.signalling = Signalling::Over(cause);
        leg.ended_wall_ms = now.wall_ms;
        let is_open = matches!(leg.sound, Sound::Open);
        let call = leg.call;
        if leg.trunk.is_some() {
            // What ended on the wire was told to the trunks before; what was never sent ends here.
            self.carriers(trunk::event::Event::Freed { leg: id }, now, out);
        }
        if is_open {
            self.close_sound(id, now, out);
        }
        self.off_the_phone(id);
        let is_treated = self.transfer_leg_over(call, id, cause, now, out);
        match self.calls.get(&call).filter(|_| !is_treated).map(|call| call.first == id) {
            Some(true) if self.callback_goes_on(call, id, cause, now, out) => (),
            Some(true) => self.caller_over(call, cause, out),
            Some(false) => self.other_over(call, id, cause, now, out),
            None => (),
        }
        self.finish_leg(id, now, out);
    }

    /// The leg of somebody whom we rang for the call is over.
    fn other_over(
        &mut self,
        call: CallId,
        leg: LegId,
        cause: Cause,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        match self.calls.get(&call).map(|call| &call.purpose) {
            Some(Purpose::Transit(_)) => self.callee_over(call, leg, cause, now, out),
            Some(_) | None => self.agent_over(call, leg, cause, out),
        }
    }

    /// The call's own leg is over: so is the call, whatever was being done with it.
    fn caller_over(&mut self, id: CallId, cause: Cause, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.ended = Some(cause);
        self.timers.update(&Timer::CallTooLong(id), None);
        self.timers.update(&Timer::Conversation(id), None);
        let treatment = std::mem::replace(&mut call.treatment, Treatment::Ending);
        self.leave_queue(id, treatment, cause, out);
        match self.calls.get(&id).map(|call| (&call.purpose, call.first)) {
            Some((Purpose::Callback { ticket, .. }, _)) => self.callback_call_over(*ticket),
            Some((Purpose::FeatureCode { afterwards: Some(says), .. }, first)) => {
                let agent = self.legs.get(&first).and_then(|leg| leg.agent.clone());
                if let Some(agent) = agent {
                    let says = says.clone();
                    self.inner.push_back(Inner::Queue(QueueEvent::AgentSays { agent, says }));
                }
            }
            Some((
                Purpose::FeatureCode { .. }
                | Purpose::Inbound { .. }
                | Purpose::Attempt(_)
                | Purpose::Transit(_),
                _,
            ))
            | None => (),
        }
    }

    fn sound_closed(&mut self, id: LegId, report: QualityReport, now: Now, out: &mut Vec<Action>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.sound = Sound::Closed(report);
        self.timers.update(&Timer::Port(id), None);
        self.finish_leg(id, now, out);
    }

    /// Writes the leg's record once nothing of it is left, and lets go of the call with its last leg.
    fn finish_leg(&mut self, id: LegId, now: Now, out: &mut Vec<Action>) {
        let Some((cause, quality)) = self.legs.get(&id).and_then(Leg::finished) else { return };
        let Some(leg) = self.legs.remove(&id) else { return };
        if let Some(trunk) = leg.trunk.clone().filter(|_| quality.received > 0) {
            let QualityReport { received, lost, jitter_us, .. } = quality;
            let sound = trunk::event::Sound { received, lost, jitter_us };
            self.carriers(trunk::event::Event::Sounded { trunk, sound }, now, out);
        }
        let Some(call) = self.calls.get_mut(&leg.call) else { return };
        call.legs_open -= 1;
        let record = Fact::Leg(leg_record(&leg, call, cause, quality));
        let last = call.legs_open == 0;
        match (&call.purpose, call.first == id) {
            (Purpose::Attempt(_), true) => self.close_attempt(leg.call, record, now, out),
            _ => self.journal.note(vec![record], out),
        }
        if last {
            self.forget_call(leg.call, now, out);
        }
    }

    fn forget_call(&mut self, id: CallId, now: Now, out: &mut Vec<Action>) {
        let Some(call) = self.calls.remove(&id) else { return };
        let answered_ms = call.answered_wall_ms.map_or(0, |at| now.wall_ms.saturating_sub(at));
        out.push(Action::Publish(Live::CallEnded {
            call: id,
            tenant: call.tenant,
            cause: call.ended.unwrap_or(Cause::normal(EndedBy::Us)),
            answered_ms,
        }));
    }

    fn playback_ended(&mut self, leg: LegId, order: OrderId, stopped: bool, out: &mut Vec<Action>) {
        let Some(id) = self.legs.get(&leg).map(|leg| leg.call) else { return };
        let Some(call) = self.calls.get(&id) else { return };
        if is_conversations(order) {
            self.tell_caller(leg, ivr::event::Event::PlaybackEnded { order, stopped });
            return;
        }
        // Music that ends by itself cannot be played: begun again at once, it would end at once. The
        // next announcement brings another try.
        if stopped || !call.is_last_own_order(order) || call.music == Some(order) {
            return;
        }
        match (&call.treatment, &call.purpose) {
            (Treatment::Waiting { .. } | Treatment::RingingAgent { .. }, _) => {
                self.play_music(id, out);
            }
            (_, Purpose::FeatureCode { .. }) => self.end_call(id, out),
            (
                Treatment::Setup { .. }
                | Treatment::Asking
                | Treatment::Bridged { .. }
                | Treatment::Reaching { .. }
                | Treatment::Through { .. }
                | Treatment::Transferring(_)
                | Treatment::Ending,
                _,
            ) => (),
        }
    }

    /// A key by INFO: the bridge does not carry it, so the partner is sent it as sound's own event.
    fn info_digit(&mut self, leg: LegId, digit: char, out: &mut Vec<Action>) {
        if let Some(partner) = self.partner_of(leg) {
            let digits = digit.to_string().into();
            out.push(Action::Media(MediaCommand::SendDigits { leg: partner, digits }));
        }
        self.digit(leg, digit, out);
    }

    /// Whom a leg is joined with.
    pub(crate) fn partner_of(&self, leg: LegId) -> Option<LegId> {
        let call = self.calls.get(&self.legs.get(&leg)?.call)?;
        let joined = match (&call.treatment, &call.purpose) {
            (Treatment::Bridged { leg, .. } | Treatment::Through { leg }, _) => *leg,
            (Treatment::Reaching { leg, .. }, Purpose::Transit(it)) if it.early => *leg,
            _ => return None,
        };
        match leg == joined {
            true => Some(call.first),
            false => (leg == call.first).then_some(joined),
        }
    }

    fn digit(&mut self, leg: LegId, digit: char, out: &mut Vec<Action>) {
        let Some(call) = self.legs.get(&leg).map(|leg| leg.call) else { return };
        let speaks = |call: &Call| {
            // What one caller keys for another is nobody else's affair.
            call.first == leg && !matches!(call.purpose, Purpose::Transit(_))
        };
        if self.calls.get(&call).is_some_and(speaks) {
            out.push(Action::Publish(Live::Key { call, digit }));
            self.inner.push_back(Inner::Talk(call, ivr::event::Event::Digit(digit)));
        }
    }

    fn tell_caller(&mut self, leg: LegId, event: ivr::event::Event) {
        if let Some(leg) = self.legs.get(&leg) {
            self.inner.push_back(Inner::Talk(leg.call, event));
        }
    }

    /// Ends a call from our side.
    pub(crate) fn end_call(&mut self, id: CallId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get(&id) else { return };
        match &call.treatment {
            // His end ends the call whoever asked for the transfer.
            Treatment::Transferring(transfer) => self.end_leg(transfer.party, out),
            _ => self.end_leg(call.first, out),
        }
    }

    pub(crate) fn call_too_long(&mut self, id: CallId, out: &mut Vec<Action>) {
        out.push(Action::Note {
            call: id,
            what: "end the call".into(),
            why: "it lasted as long as a call may".into(),
        });
        self.end_call(id, out);
    }
}

fn send_invite(
    leg: LegId,
    dial: Dial,
    (local_media, service_route): (SocketAddr, Vec<Arc<str>>),
    out: &mut Vec<Action>,
) {
    if let Some(attempt) = dial.attempt {
        out.push(Action::MarkSent { attempt, leg });
    }
    out.push(Action::Leg(LegCommand::Dial {
        leg,
        target: dial.target,
        caller: dial.caller,
        local_media,
        ring_for: dial.ring_for,
        heard_within: dial.heard_within,
        call_id: dial.call_id,
        max_forwards: dial.max_forwards,
        service_route,
    }));
}
