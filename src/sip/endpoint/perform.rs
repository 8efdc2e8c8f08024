//! What legs want, turned into transactions and bytes: the header fields that every message has
//! are added here.

use super::Endpoint;
use crate::event::{Action, Flow, MAX_FORWARDS, Transport};
use crate::leg;
use crate::leg::dialog::Destination;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use crate::transaction::clients::{Acknowledged, ClientId, Others, Outgoing};
use crate::transaction::{derived, key};
use domain::id::LegId;
use std::time::Instant;

/// RFC 3261 §18.1.1: the largest request that goes as a datagram where the path is not known, in
/// octets.
const DATAGRAM_REQUEST_MAX: usize = 1_300;

impl Endpoint {
    pub(super) fn perform(
        &mut self,
        id: LegId,
        actions: Vec<leg::Action>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        for action in actions {
            match action {
                leg::Action::Respond { to, mut response } => {
                    self.sign(&mut response);
                    self.servers.respond(to, response.status, &response.print(), now, out);
                }
                leg::Action::Send { request, to } => {
                    self.send(Some(id), request, to, now, out);
                }
                leg::Action::Acknowledge { to_tag, ack, to, others } => {
                    if let Some(invite) = self.invite_of(id) {
                        self.acknowledge(invite, (to_tag, others), ack, (id, to), out);
                    }
                }
                leg::Action::Cancel { q850 } => self.cancel(id, q850, now, out),
                leg::Action::AskNoMore => {
                    if let Some(invite) = self.invite_of(id) {
                        self.clients.ask_no_more(invite);
                    }
                }
                leg::Action::Abandon => {
                    if let Some(invite) = self.invite_of(id) {
                        self.clients.abandon(invite, now);
                    }
                }
                leg::Action::AwaitPrack { rack, call_id, remote_tag } => {
                    let local_tag = self.legs.get(&id).map_or("", |entry| &entry.local_tag);
                    let dialog = self.dialog_hash(&call_id, local_tag, &remote_tag);
                    self.late_pracks.expect(dialog, rack, now);
                }
                leg::Action::Up(event) => Self::up(event, out),
                leg::Action::Referred(refer) => self.referred(id, refer, now, out),
            }
        }
    }

    fn invite_of(&self, id: LegId) -> Option<ClientId> {
        self.legs.get(&id)?.invite
    }

    /// Starts the client transaction of a request made by a leg.
    pub(super) fn send(
        &mut self,
        leg: Option<LegId>,
        mut request: Request,
        to: Destination,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> ClientId {
        let mut flow = self.onward(leg, to, &request.uri);
        let is_new_call = request.method == Method::Invite && request.headers.lacks_to_tag();
        if !is_new_call {
            self.sends_other(flow.remote, now);
        }
        self.vouches_for(flow.remote.ip(), now);
        let branch = self.address(&mut request, flow);
        self.leave(leg, &mut request);
        let mut message = request.print();
        let mut otherwise = None;
        // RFC 3261 §18.1.1: a larger request could be cut up on the way and lost.
        if flow.transport == Transport::Udp
            && message.len() > DATAGRAM_REQUEST_MAX
            && let Some(stream) = self.stream_instead(leg, flow, now)
        {
            otherwise = Some((flow, message));
            request.headers.pop_via();
            request.headers.push_front(Name::Via, &self.via(stream, &branch));
            message = request.print();
            flow = stream;
        }
        self.expect(leg, flow, out);
        let key = key::of_outgoing(&branch, &request.method);
        let is_invite = request.method == Method::Invite;
        let (method, listens_at) = (request.method, to.listens_at);
        let outgoing = Outgoing { key, method, message, flow, listens_at, leg, otherwise };
        let id = self.clients.start(outgoing, now, out);
        if is_invite && let Some(entry) = leg.and_then(|leg| self.legs.get_mut(&leg)) {
            entry.invite = Some(id);
            // RFC 3261 §18.1.1 waits for a peer that listens: a telephone is where its own connection
            // ends, and nowhere else (RFC 5626 §5.3).
            if is_new_call && entry.far_end.trunk().is_none() {
                self.clients.ask_no_more(id);
            }
        }
        id
    }

    /// Sends the ACK to a 2xx, now and at each repetition of it (RFC 3261 §13.2.2.4).
    pub(super) fn acknowledge(
        &mut self,
        invite: ClientId,
        (to_tag, others): (Box<str>, Option<Others>),
        mut ack: Request,
        (leg, to): (LegId, Destination),
        out: &mut Vec<Action>,
    ) {
        let flow = self.onward(Some(leg), to, &ack.uri);
        self.address(&mut ack, flow);
        self.expect(Some(leg), flow, out);
        let acknowledged = Acknowledged { to_tag, flow, ack: ack.print(), others };
        self.clients.acknowledge(invite, acknowledged, out);
    }

    /// RFC 3261 §9.1. The CANCEL shares the branch of its INVITE, and goes where that went.
    fn cancel(&mut self, id: LegId, q850: u8, now: Instant, out: &mut Vec<Action>) {
        let pending = self.invite_of(id).and_then(|invite| self.clients.pending_request(invite));
        let Some((invite, flow)) = pending else { return };
        let Some(mut cancel) = derived::cancel(invite) else { return };
        cancel.headers.push(Name::Reason, &leg::reason(q850));
        let branch = cancel.headers.via().ok().and_then(|via| via.branch()).unwrap_or("");
        let key = key::of_outgoing(branch, &Method::Cancel);
        let message = cancel.print();
        let (leg, otherwise) = (Some(id), None);
        let (method, listens_at) = (Method::Cancel, flow.remote);
        let outgoing = Outgoing { key, method, message, flow, listens_at, leg, otherwise };
        self.clients.start(outgoing, now, out);
    }

    /// Adds Via with a fresh branch, Max-Forwards and what we can; the branch.
    pub(super) fn address(&mut self, request: &mut Request, flow: Flow) -> String {
        let branch = format!("z9hG4bK{}", self.token());
        let via = self.via(flow, &branch);
        if !request.headers.has(Name::MaxForwards) {
            request.headers.push_front(Name::MaxForwards, &MAX_FORWARDS.to_string());
        }
        request.headers.push_front(Name::Via, &via);
        request.headers.push(Name::UserAgent, &self.config.user_agent);
        if matches!(request.method, Method::Invite | Method::Update) {
            request.headers.push(Name::Allow, leg::ALLOW);
        }
        // RFC 4028 §7.1: in each request but ACK.
        if request.method != Method::Ack && !request.headers.has(Name::Supported) {
            request.headers.push(Name::Supported, leg::SUPPORTED_PLAIN);
        }
        branch
    }

    fn via(&self, flow: Flow, branch: &str) -> String {
        let sent_by = self.config.sent_by(flow);
        let transport = flow.transport.via_name();
        // RFC 3581 §3: `rport` asks for the answer at the port we send from. RFC 5923 §8.1: `alias`
        // lets the peer send its own requests over the connection.
        let alias = if flow.transport == Transport::Tls { ";alias" } else { "" };
        let advice = self.asks_for_advice(flow);
        format!("SIP/2.0/{transport} {sent_by};branch={branch};rport{alias}{advice}")
    }

    /// Adds who we are.
    pub(super) fn sign(&self, response: &mut Response) {
        response.headers.push(Name::Server, &self.config.user_agent);
    }
}
