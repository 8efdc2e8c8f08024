//! A SIP dialog (RFC 3261 §12): who the two ends are, how a request of ours is made inside it,
//! and whether one of theirs is in order.
//!
//! Calls nothing. Held by `confirmed`, made by `inbound` and `outbound`.

use crate::event::{Flow, Transport};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::{Contacts, NameAddr, tagged};
use crate::message::uri::{Scheme, Uri};
use crate::message::{Headers, Request, Response};
use domain::media_plan::MediaPlan;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// One dialog. All texts come from messages, so their length is bounded by those.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: Arc<str>,
    /// `From` of our requests, with our tag.
    local: Arc<str>,
    /// `To` of our requests, with their tag.
    remote: Arc<str>,
    pub(crate) remote_tag: Arc<str>,
    /// Our Contact.
    pub(crate) contact: Arc<str>,
    local_cseq: u32,
    /// `None` until they have sent a request.
    remote_cseq: Option<u32>,
    route_set: Vec<Uri>,
    remote_target: Uri,
    /// Between which addresses the dialog was made, or last spoken in.
    flow: Flow,
    /// Whether we chose `flow`, so that it leads to where they listen.
    is_dialled: bool,
    /// Whether requests go back over `flow` whatever the Contact says: the peer is behind NAT,
    /// and only the flow it opened leads to it.
    keeps_flow: bool,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Destination {
    pub(crate) flow: Flow,
    /// Where its peer takes connections, should that of `flow` be gone.
    pub(crate) listens_at: SocketAddr,
}

impl Destination {
    /// Where somebody listens.
    pub(crate) fn at(flow: Flow) -> Self {
        Self { flow, listens_at: flow.remote }
    }
}

/// Routes beyond these are dropped: no sane path is longer, and each costs room in every request.
pub(crate) const ROUTES_MAX: usize = 16;

/// Why a request inside the dialog is out of order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OutOfOrder;

impl Dialog {
    /// The dialog that our 2xx to `invite` makes (RFC 3261 §12.1.1). `local_tag` is the tag we
    /// put on To. `None` when the INVITE has no Contact that can be called back.
    pub(crate) fn of_invite(
        invite: &Request,
        local_tag: &str,
        contact: Arc<str>,
        flow: Flow,
        keeps_flow: bool,
    ) -> Option<Self> {
        let headers = &invite.headers;
        Some(Self {
            call_id: headers.call_id().ok()?.into(),
            local: tagged(headers.get(Name::To)?, local_tag).into(),
            remote: headers.get(Name::From)?.into(),
            remote_tag: headers.from_tag().unwrap_or("").into(),
            contact,
            local_cseq: 0,
            remote_cseq: Some(headers.cseq().ok()?.0),
            route_set: routes(headers)?,
            remote_target: target(headers)?,
            flow,
            is_dialled: false,
            keeps_flow,
        })
    }

    /// The dialog that a 2xx to an INVITE of ours makes (RFC 3261 §12.1.2). `flow` is where the
    /// INVITE went. A 2xx without a usable Contact leads back to where it was sent.
    pub(crate) fn of_answer(
        response: &Response,
        sent_to: &Uri,
        contact: Arc<str>,
        flow: Flow,
        keeps_flow: bool,
    ) -> Option<Self> {
        let headers = &response.headers;
        let mut route_set = routes(headers).unwrap_or_default();
        route_set.reverse();
        Some(Self {
            call_id: headers.call_id().ok()?.into(),
            local: headers.get(Name::From)?.into(),
            remote: headers.get(Name::To)?.into(),
            remote_tag: headers.to_tag().unwrap_or("").into(),
            contact,
            local_cseq: headers.cseq().ok()?.0,
            remote_cseq: None,
            route_set,
            remote_target: target(headers).unwrap_or_else(|| sent_to.clone()),
            flow,
            is_dialled: true,
            keeps_flow,
        })
    }

    /// The 2xx of an early dialog has come: routes and target are those of the 2xx (RFC 3261
    /// §13.2.2.4), all else goes on.
    pub(crate) fn confirm(&mut self, response: &Response) {
        if let Some(mut route_set) = routes(&response.headers) {
            route_set.reverse();
            self.route_set = route_set;
        }
        self.refresh_target(&response.headers);
    }

    /// A request of ours inside the dialog (RFC 3261 §12.2.1.1), without Via, with the next CSeq.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        // The number stays below 2^31 (§8.1.1.5): a dialog of ours sends a few dozen requests.
        self.local_cseq += 1;
        // RFC 6665 §4.3, RFC 3515 §2.2: these are target refresh requests, too.
        let has_contact = matches!(
            method,
            Method::Invite | Method::Update | Method::Refer | Method::Notify | Method::Subscribe
        );
        let mut request = self.with_cseq(method, self.local_cseq);
        if has_contact {
            // §12.2.1.2: only target refresh requests carry a Contact.
            request.headers.push(Name::Contact, &self.contact);
        }
        request
    }

    /// Gives a request that is to be sent once more the next CSeq (RFC 3261 §22.2).
    pub(crate) fn renumber(&mut self, request: &mut Request) {
        self.local_cseq += 1;
        let cseq = format!("{} {}", self.local_cseq, request.method);
        request.headers.set(Name::CSeq, &cseq);
    }

    /// Requests were sent in it up to this number, before it was forgotten for a while: the next is
    /// higher.
    pub(crate) fn resume(&mut self, last_cseq: u32) {
        self.local_cseq = self.local_cseq.max(last_cseq);
    }

    /// The ACK to a 2xx with this CSeq number (RFC 3261 §13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32) -> Request {
        self.with_cseq(Method::Ack, cseq)
    }

    fn with_cseq(&self, method: Method, cseq: u32) -> Request {
        let loose = |route: &Uri| route.param("lr").is_some();
        // §12.2.1.1: to a strict router the request is addressed itself, the target going last.
        let (uri, routes, last) = match self.route_set.split_first() {
            None => (&self.remote_target, &[][..], None),
            Some((first, _)) if loose(first) => (&self.remote_target, &self.route_set[..], None),
            Some((first, rest)) => (first, rest, Some(&self.remote_target)),
        };
        let cseq = format!("{cseq} {method}");
        let mut request = Request::new(method, uri.clone());
        for route in routes.iter().chain(last) {
            request.headers.push(Name::Route, &format!("<{route}>"));
        }
        request.headers.push(Name::From, &self.local);
        request.headers.push(Name::To, &self.remote);
        request.headers.push(Name::CallId, &self.call_id);
        request.headers.push(Name::CSeq, &cseq);
        request
    }

    /// Whether a request of theirs comes in order (RFC 3261 §12.2.2).
    ///
    /// # Errors
    /// [`OutOfOrder`] when its CSeq is not above the last one; answer 500.
    pub(crate) fn admit(&mut self, request: &Request) -> Result<(), OutOfOrder> {
        let (cseq, _) = request.headers.cseq().map_err(|_| OutOfOrder)?;
        if self.remote_cseq.is_some_and(|last| cseq <= last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(cseq);
        Ok(())
    }

    /// The CSeq of their last request.
    pub(crate) fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// The CSeq of our last request.
    pub(crate) fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Our address in it, without tag, as `Referred-By` has it.
    pub(crate) fn local_address(&self) -> String {
        let address = NameAddr::parse(&self.local);
        format!("<{}>", address.map_or("", |address| address.uri_str()))
    }

    /// Where requests of ours are addressed: the other end's Contact.
    pub(crate) fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// Takes the Contact of a re-INVITE, an UPDATE or of the 2xx to ours (RFC 3261 §12.2).
    pub(crate) fn refresh_target(&mut self, headers: &Headers) {
        if let Some(target) = target(headers) {
            self.remote_target = target;
        }
    }

    /// A request of theirs that may move the target came over `flow`.
    pub(crate) fn refresh_flow(&mut self, flow: Flow) {
        // The peer speaks from there now: a NAT binding moved, or a connection was reopened.
        let is_heard = !self.is_dialled && self.named_flow().is_none();
        if self.keeps_flow || is_heard {
            self.flow = flow;
        }
    }

    /// Whether the message comes from the other end of this dialog.
    pub(crate) fn is_with(&self, call_id: &str, remote_tag: &str) -> bool {
        *self.call_id == *call_id && *self.remote_tag == *remote_tag
    }

    /// The plan of its sound, which may come from where its messages come from.
    pub(crate) fn heard_by(&self, plan: MediaPlan) -> MediaPlan {
        heard_from(self.flow, plan)
    }

    /// Where requests go: the first route, else their Contact, when it is an address; the flow
    /// the dialog was made on otherwise.
    ///
    /// Departs from RFC 3263: names in Contact and Record-Route are not looked up. The address
    /// that spoke to us is the better known one, with the port that they name (RFC 3261 §18.1.1: the
    /// one they spoke from leads nowhere once their connection is gone).
    pub(crate) fn destination(&self) -> Destination {
        if let Some(flow) = self.named_flow() {
            return Destination::at(flow);
        }
        let Flow { transport, remote, .. } = self.flow;
        if self.is_dialled {
            return Destination::at(self.flow);
        }
        let port = self.next_hop().port().unwrap_or(transport.default_port());
        Destination { flow: self.flow, listens_at: SocketAddr::new(remote.ip(), port) }
    }

    fn next_hop(&self) -> &Uri {
        self.route_set.first().unwrap_or(&self.remote_target)
    }

    /// The flow to the address they name, where they name one that leads to them. Its `local` has port 0
    /// when another listener than that of the dialog must be found.
    fn named_flow(&self) -> Option<Flow> {
        let next = self.next_hop();
        let ip = next.host_ip().filter(|_| !self.keeps_flow)?;
        // Departs from RFC 3261 §12.2.1.1: an address named by one who speaks from where more
        // people reach him is behind NAT, and only the flow leads to it.
        if reach(ip) < reach(self.flow.remote.ip()) {
            return None;
        }
        let transport = self.transport_to(next);
        let remote = SocketAddr::new(ip, next.port().unwrap_or(transport.default_port()));
        if transport == self.flow.transport && ip.is_ipv4() == self.flow.remote.is_ipv4() {
            return Some(Flow { remote, ..self.flow });
        }
        // From which listener of ours is not known here: the endpoint finds one, or takes the flow
        // the leg was made on.
        let local = match ip {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        Some(Flow { transport, local, remote })
    }

    /// RFC 3263 §4.1 for a target that is an address: what `transport` says, TLS for `sips`. Where
    /// it says nothing, a peer that spoke TLS is not spoken to without (RFC 3261 §26.2.2 demands it
    /// of `sips` only; what came encrypted may well name what must stay so).
    fn transport_to(&self, next: &Uri) -> Transport {
        let named = next.param("transport").and_then(Transport::of_uri_param);
        let secure = next.scheme() == Scheme::Sips;
        match named {
            Some(Transport::Ws | Transport::Wss) if secure => Transport::Wss,
            Some(_) if secure => Transport::Tls,
            None if secure => Transport::Tls,
            Some(transport) => transport,
            None => self.flow.transport,
        }
    }
}

/// The plan of one whose messages come over `flow`: his sound may come from there as well, where his
/// description names another host (RFC 7362 §4: behind a NAT it names one that nobody reaches).
pub(crate) fn heard_from(flow: Flow, mut plan: MediaPlan) -> MediaPlan {
    let host = flow.remote.ip();
    plan.also_from = Some(host).filter(|host| *host != plan.remote.ip());
    plan
}

/// From where an address is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
enum Reach {
    /// Its own network.
    Private,
    /// That of a carrier whose customers share it behind its NAT (RFC 6598).
    Shared,
    /// Everywhere.
    Public,
}

fn reach(ip: IpAddr) -> Reach {
    let is_private = match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    };
    match ip {
        _ if is_private => Reach::Private,
        IpAddr::V4(ip) if matches!(ip.octets(), [100, 64..=127, ..]) => Reach::Shared,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::Public,
    }
}

/// Record-Route, in order. `None` when it cannot be read: without it no request would arrive.
fn routes(headers: &Headers) -> Option<Vec<Uri>> {
    let routes = headers.record_routes().ok()?;
    let uri = |route: &NameAddr<'_>| Some(route.uri().ok()?.into_request_uri());
    routes.iter().take(ROUTES_MAX).map(uri).collect()
}

/// The first Contact that is a SIP address.
fn target(headers: &Headers) -> Option<Uri> {
    let Contacts::List(list) = headers.contacts().ok()? else { return None };
    let uri = list.first().map(NameAddr::uri)?.ok()?;
    matches!(uri.scheme(), Scheme::Sip | Scheme::Sips).then_some(uri.into_request_uri())
}

#[cfg(test)]
mod tests;
