//! The two closed lists of the whole program: all that can happen to the exchange, and all that it
//! can want done. Everything that enters can be stored and replayed.

use crate::lead::WouldLead;
use campaign::event::{CampaignRules, CampaignState, Disposition, LeasedContact, Outcome};
use domain::cause::Cause;
use domain::id::{
    AgentId, AttemptId, CallId, CallbackId, CampaignId, LegId, OrderId, QueueId, RequestId,
    TenantId, Token, TrunkId,
};
use domain::phone_number::PhoneNumber;
use domain::prompt::{Hearing, Language, Prompt, Transcript, Understanding};
use ivr::event::FetchRequest;
use media::event::{ListenRule, MediaCommand, MediaEvent, QualityReport};
use queue::event::{AgentSays, AgentState, Promise};
use sip::event::trunk::{TrunkCommand, TrunkEvent};
use sip::event::{LegCommand, LegEvent, Source};
use std::sync::Arc;
use stir::verdict::Verdict;
use trunk::locate::{Answer, Question};

/// Texts by name: the values taken from an HTTP answer.
pub type NamedTexts = Vec<(Arc<str>, Arc<str>)>;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// To a leg's signalling.
    Leg(LegEvent),
    /// To a leg's sound.
    Media(MediaEvent),
    /// The recogniser's result for an utterance.
    Heard {
        /// Whose.
        leg: LegId,
        /// Of which `Listen`.
        order: OrderId,
        /// What it heard.
        transcript: Transcript,
    },
    /// The recogniser has none: overloaded, missing or failed.
    NotHeard {
        /// Whose.
        leg: LegId,
        /// Of which `Listen`.
        order: OrderId,
    },
    /// The classifier's result.
    Understood {
        /// In which call.
        call: CallId,
        /// Of which `Classify`.
        order: OrderId,
        /// What it made of the text.
        understanding: Understanding,
    },
    /// Whether a caller's number is true.
    Verified {
        /// The leg of which `Verify`.
        leg: LegId,
        /// What was found.
        verdict: Verdict,
    },
    /// An HTTP service's answer, or why there is none.
    Fetched {
        /// In which call.
        call: CallId,
        /// Of which `Fetch`.
        order: OrderId,
        /// The values taken, or the reason.
        result: Result<NamedTexts, Arc<str>>,
    },
    /// The facts stored under this token are on disk.
    Stored(Token),
    /// They are not, and will not be.
    NotStored {
        /// Which.
        token: Token,
        /// Why.
        reason: Arc<str>,
    },
    /// Contacts were leased for a campaign.
    Claimed {
        /// Which campaign.
        campaign: CampaignId,
        /// The contacts.
        contacts: Vec<LeasedContact>,
        /// See `campaign::event::Event::Claimed`.
        next_due_wall_ms: Option<u64>,
    },
    /// The attempt is on disk as dialling under this Call-ID.
    Permitted {
        /// Which.
        attempt: AttemptId,
        /// The Call-ID its INVITE must bear.
        call_id: Arc<str>,
    },
    /// The permit was refused; the contact's row says why.
    PermitRefused {
        /// Which.
        attempt: AttemptId,
        /// Why, such as `do not call`.
        reason: Arc<str>,
    },
    /// The store failed before it could decide: nothing is on disk, the contact is still leased.
    PermitFailed {
        /// Which.
        attempt: AttemptId,
    },
    /// The store stopped or began to take facts.
    StoreHealth {
        /// Whether it does.
        works: bool,
    },
    /// The API asks.
    Command {
        /// Echoed in the reply.
        request: RequestId,
        /// What.
        command: Command,
    },
    /// What came of an order to a trunk: a registration, a probe.
    Trunk(TrunkEvent),
    /// The answer to a `Resolve`.
    Located {
        /// The question, echoed.
        question: Question,
        /// The answer.
        answer: Answer,
    },
    /// No new calls; present ones may end (SIGTERM).
    Drain,
}

/// What a call says that is to be verified; see `stir::verify::Request`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToVerify {
    /// The values of `Identity`.
    pub identities: Vec<Arc<str>>,
    /// The user part of the number shown as the caller's.
    pub caller: Arc<str>,
    /// The user parts that may be the callee.
    pub called: Vec<Arc<str>>,
    /// The value of `Date`.
    pub date: Option<Arc<str>>,
}

/// What the API asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// An agent's state, said through the API.
    Agent {
        /// Whose.
        agent: AgentId,
        /// What.
        says: AgentSays,
    },
    /// Opens or closes a queue by hand.
    Queue {
        /// Which.
        queue: QueueId,
        /// Open or closed.
        open: bool,
    },
    /// A campaign that the store has just taken.
    AdoptCampaign(Arc<CampaignDefinition>),
    /// Contacts were added to it in the store.
    ContactsAdded {
        /// To which.
        campaign: CampaignId,
    },
    /// Starts, pauses, resumes or cancels.
    Campaign {
        /// Which.
        campaign: CampaignId,
        /// What.
        order: CampaignOrder,
    },
    /// A promise that the store has just taken (made through the API).
    AdoptCallback(Promise),
    /// Withdraws a promise.
    CancelCallback(CallbackId),
    /// Ends a call.
    HangUp(CallId),
    /// Where a call would be led now. Nothing changes; answered by `Reply::WouldLead`.
    WouldRoute {
        /// From whom.
        source: Source,
        /// The number he would show; empty: none.
        from: Arc<str>,
        /// The number he would dial.
        dialled: Arc<str>,
    },
}

/// What a campaign is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CampaignOrder {
    /// Start, or resume after a pause.
    Start,
    /// Pause.
    Pause,
    /// Cancel for good.
    Cancel,
}

/// The answer to a command. It is sent after what it says is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Done.
    Done,
    /// What would be done, step by step.
    WouldLead(Vec<WouldLead>),
    /// There is no such thing.
    NotFound,
    /// It cannot be done in this state.
    Conflict {
        /// Why, for a person.
        reason: Arc<str>,
    },
    /// The store does not take facts.
    StoreFailed {
        /// Why, for a person.
        reason: Arc<str>,
    },
}

/// What to do. Done in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// To a leg's signalling.
    Leg(LegCommand),
    /// To a leg's sound; never `Play` and never `Listen`, which are below.
    Media(MediaCommand),
    /// Play prompts on a leg: turned into clips, then into `MediaCommand::Play`.
    Play {
        /// Which leg.
        leg: LegId,
        /// The id echoed.
        order: OrderId,
        /// What.
        prompts: Vec<Prompt>,
        /// Whether to begin again at the end.
        repeat: bool,
    },
    /// Listen on a leg: `hearing` goes to the recogniser, `rule` to the leg's sound.
    Listen {
        /// Which leg.
        leg: LegId,
        /// The id echoed.
        order: OrderId,
        /// How the sound is watched.
        rule: ListenRule,
        /// What to recognise; `None` when only keys are awaited.
        hearing: Option<Hearing>,
    },
    /// Name the intent of a text.
    Classify {
        /// In which call.
        call: CallId,
        /// The id echoed.
        order: OrderId,
        /// Which set of intents.
        intents: Arc<str>,
        /// The text.
        text: Arc<str>,
    },
    /// Verify a caller's number. Answered by `Verified`; one that takes too long is not waited for.
    Verify {
        /// His leg.
        leg: LegId,
        /// What his call says.
        call: ToVerify,
    },
    /// Ask an HTTP service.
    Fetch {
        /// In which call.
        call: CallId,
        /// The id echoed.
        order: OrderId,
        /// What.
        request: FetchRequest,
    },
    /// Put facts on disk, all or none.
    Store {
        /// Echoed in `Stored` or `NotStored`; `None` when nobody waits for it.
        token: Option<Token>,
        /// The facts.
        facts: Vec<Fact>,
        /// Whether they are kept through a fault of the disk until they are written; else they are
        /// refused at once.
        patient: bool,
    },
    /// Lease due contacts. Answered by `Claimed`.
    Claim {
        /// Of which campaign.
        campaign: CampaignId,
        /// At most how many.
        count: u32,
    },
    /// Put an attempt on disk as dialling, the permit decided in the same transaction.
    Permit {
        /// Of which campaign.
        campaign: CampaignId,
        /// The attempt.
        attempt: AttemptId,
        /// For whom.
        contact: LeasedContact,
    },
    /// Give leased contacts back undialled.
    Return {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which.
        contacts: Vec<LeasedContact>,
    },
    /// Append the attempt to the side log of sent ones. Its INVITE is a later action of this turn.
    MarkSent {
        /// Which.
        attempt: AttemptId,
        /// Its leg: if the log cannot be written, nothing of this leg may be sent.
        leg: LegId,
    },
    /// From now on, the leg's messages belong to this call's trace.
    TraceLeg {
        /// Which call.
        call: CallId,
        /// Which leg.
        leg: LegId,
        /// Who is at the other end: `caller`, `agent anna`, `contact`.
        who: Arc<str>,
    },
    /// A decision, for the call's trace.
    Note {
        /// In which call.
        call: CallId,
        /// What was decided.
        what: Arc<str>,
        /// On what ground.
        why: Arc<str>,
    },
    /// Tell the world.
    Publish(Live),
    /// Answer a command.
    Reply {
        /// Which.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// To a trunk: register, probe.
    Trunk(TrunkCommand),
    /// Ask DNS; answered by `Located`.
    Resolve(Question),
    /// Draining is done: the last call has ended.
    Drained,
}

/// A fact for the ledger. Each can be applied again without harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A promise in its present state (insert or replace). `Kept` and `Broken` also put a webhook
    /// into the outbox.
    Promise(Promise),
    /// A campaign's state. `Finished` and `Cancelled` also put a webhook into the outbox.
    CampaignState {
        /// Which.
        campaign: CampaignId,
        /// To what.
        state: CampaignState,
    },
    /// An attempt is over: its row, its contact's row and its webhook, in one transaction, unless
    /// the contact's fence has moved on.
    AttemptClosed(AttemptClosed),
    /// An attempt was permitted and not sent: its contact is due again with the same attempt number,
    /// unless the contact's fence has moved on.
    AttemptUnsent(AttemptUnsent),
    /// One leg's record (CDR).
    Leg(LegRecord),
    /// Why a call was led where it was, or was refused.
    Decision(Decision),
    /// What an agent last said of himself, for the next start.
    Agent {
        /// Who.
        agent: AgentId,
        /// What: only `LoggedOut`, `Available` and `Paused` are kept.
        state: AgentState,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptClosed {
    /// Which.
    pub attempt: AttemptId,
    /// Of which campaign.
    pub campaign: CampaignId,
    /// For whom.
    pub contact: LeasedContact,
    /// The call it made, if it made one.
    pub call: Option<CallId>,
    /// The final word.
    pub disposition: Disposition,
    /// The figures behind it.
    pub outcome: Outcome,
    /// When the contact comes due again (Unix milliseconds); `None`: final.
    pub retry_wall_ms: Option<u64>,
    /// When it was answered (Unix milliseconds).
    pub answered_wall_ms: Option<u64>,
    /// When it ended (Unix milliseconds).
    pub ended_wall_ms: u64,
}

/// An attempt of which nothing left.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptUnsent {
    /// Which.
    pub attempt: AttemptId,
    /// Of which campaign.
    pub campaign: CampaignId,
    /// For whom.
    pub contact: LeasedContact,
    /// When the contact comes due again (Unix milliseconds).
    pub due_wall_ms: u64,
    /// When it was given up (Unix milliseconds).
    pub ended_wall_ms: u64,
}

/// What role a leg had in its call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegRole {
    /// Somebody who called us; an agent, where the record names one.
    Caller,
    /// An agent we rang.
    Agent,
    /// A promise's caller, rung by us.
    Callback,
    /// A campaign's contact.
    Contact,
    /// Somebody whom a caller is led through to by a trunk.
    Callee,
}

/// One leg's record (CDR).
#[derive(Clone, Debug, PartialEq)]
pub struct LegRecord {
    /// Which leg.
    pub leg: LegId,
    /// Of which call.
    pub call: CallId,
    /// Whose.
    pub tenant: TenantId,
    /// Its role.
    pub role: LegRole,
    /// SIP's Call-ID; empty if nothing was sent.
    pub sip_call_id: Arc<str>,
    /// Through which trunk, if any.
    pub trunk: Option<TrunkId>,
    /// Who called.
    pub from: Arc<str>,
    /// Who was called.
    pub to: Arc<str>,
    /// Which agent, for an agent's leg.
    pub agent: Option<AgentId>,
    /// Which queue brought it about, if any.
    pub queue: Option<QueueId>,
    /// The intent recognised in the call, if any.
    pub intent: Option<Arc<str>>,
    /// Unix milliseconds of the INVITE.
    pub started_wall_ms: u64,
    /// Of the answer.
    pub answered_wall_ms: Option<u64>,
    /// Of the end.
    pub ended_wall_ms: u64,
    /// Why it ended.
    pub cause: Cause,
    /// How the sound went.
    pub quality: QualityReport,
    /// What the verification of the caller's number said, for a caller's leg of a trunk that asks
    /// for it: one of the words of `stir::verdict::Verstat`.
    pub verstat: Option<Arc<str>>,
    /// How far his carrier vouches for him: `A`, `B` or `C`.
    pub attestation: Option<Arc<str>>,
}

/// Why a call was led where it was, or was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// A number never used before: put on disk again, it is the same row.
    pub id: u64,
    /// About which call; `None`: it was refused before it became one.
    pub call: Option<CallId>,
    /// SIP's Call-ID of the INVITE that was decided on, where there was one.
    pub sip_call_id: Arc<str>,
    /// Whose.
    pub tenant: TenantId,
    /// Unix milliseconds.
    pub at_wall_ms: u64,
    /// Where it came from: `trunk carrier`, `agent anna`, `campaign 7`.
    pub source: Arc<str>,
    /// Who called.
    pub from: Arc<str>,
    /// Who was called.
    pub to: Arc<str>,
    /// What came of it: `flow hotline`, `trunk backup`, `refused with 404`.
    pub chosen: Arc<str>,
    /// The status it was refused with; 0: it was not.
    pub status: u16,
    /// What was not chosen, in the order it was looked at, at most [`REJECTED_MAX`].
    pub rejected: Vec<Rejected>,
}

/// One alternative that was not chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// What: `trunk carrier`, `number 49*`.
    pub candidate: Arc<str>,
    /// The first test that it failed: `calls per second`, `number`.
    pub test: Arc<str>,
    /// What the test found.
    pub why: Arc<str>,
}

/// Further alternatives are not kept.
pub const REJECTED_MAX: usize = 32;

/// A campaign as its maker defined it.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignDefinition {
    /// Whose.
    pub tenant: TenantId,
    /// A name for people.
    pub name: Arc<str>,
    /// How it dials.
    pub rules: CampaignRules,
    /// What is said.
    pub message: Message,
    /// Where its webhooks go, if anywhere.
    pub webhook_url: Option<Arc<str>>,
    /// Where it stands.
    pub state: CampaignState,
}

/// A message with key answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// In which language.
    pub language: Language,
    /// What is said.
    pub text: Arc<str>,
    /// What a key does.
    pub keys: Vec<(char, KeyAnswer)>,
    /// How long to wait for a key after the message, in milliseconds; 0 ends at once.
    pub wait_for_key_ms: u32,
}

/// What a key does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyAnswer {
    /// Leads to somebody.
    Queue(QueueId),
    /// Says something and ends.
    Say(Arc<str>),
    /// Says the message again.
    Repeat,
}

/// What the store hands back at a start.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Promises not yet kept, broken or cancelled. One that was `Reserved` or `Dialling` at the
    /// crash comes as `Promised`, its try counted.
    pub promises: Vec<Promise>,
    /// Campaigns not finished and not cancelled.
    pub campaigns: Vec<Arc<CampaignDefinition>>,
    /// What agents last said.
    pub agents: Vec<(AgentId, AgentState)>,
}

/// Something to tell the world: the API's event stream, the live views and the demo read these.
#[derive(Clone, Debug, PartialEq)]
pub enum Live {
    /// A call began.
    CallStarted {
        /// Which.
        call: CallId,
        /// Whose.
        tenant: TenantId,
        /// How it began.
        role: LegRole,
        /// Who called.
        from: Arc<str>,
        /// Who was called.
        to: Arc<str>,
    },
    /// The caller was heard.
    Heard {
        /// In which call.
        call: CallId,
        /// What.
        transcript: Transcript,
    },
    /// The caller pressed a key.
    Key {
        /// In which call.
        call: CallId,
        /// Which.
        digit: char,
    },
    /// An intent was named.
    Understood {
        /// In which call.
        call: CallId,
        /// What.
        understanding: Understanding,
    },
    /// The caller is told something.
    Said {
        /// In which call.
        call: CallId,
        /// What.
        text: Arc<str>,
    },
    /// The caller waits.
    Queued {
        /// In which call.
        call: CallId,
        /// Where.
        queue: QueueId,
        /// How many are before him.
        position: u32,
        /// Estimated wait in seconds, where there is an honest estimate.
        estimate_s: Option<u32>,
    },
    /// The queue did not take him.
    QueueRefused {
        /// In which call.
        call: CallId,
        /// Where.
        queue: QueueId,
        /// Why: `full`, `closed` …
        reason: Arc<str>,
    },
    /// An agent is rung.
    AgentRung {
        /// In which call.
        call: CallId,
        /// Who.
        agent: AgentId,
    },
    /// Two people hear each other.
    Bridged {
        /// In which call.
        call: CallId,
        /// The agent.
        agent: AgentId,
    },
    /// A caller was led through to somebody outside the queues, and both hear each other.
    Through {
        /// Which call.
        call: CallId,
        /// The number or the agent's name.
        to: Arc<str>,
        /// Through which trunk; `None`: an agent's telephone.
        trunk: Option<TrunkId>,
    },
    /// A call is over.
    CallEnded {
        /// Which.
        call: CallId,
        /// Whose.
        tenant: TenantId,
        /// Why its first leg ended.
        cause: Cause,
        /// How long it was up, in milliseconds; 0 if never answered.
        answered_ms: u64,
    },
    /// A trunk, or our registration at it, changed.
    TrunkChanged {
        /// Which.
        trunk: TrunkId,
        /// `up`, `degraded`, `down`; `registered`, `not registered`, `unregistered`.
        state: &'static str,
        /// On what ground, for a person; empty where there is nothing to say.
        why: Arc<str>,
        /// Whether somebody must act: the trunk is down, or refuses our credentials.
        alarm: bool,
    },
    /// An agent's state changed.
    AgentChanged {
        /// Whose.
        agent: AgentId,
        /// To what.
        state: AgentState,
    },
    /// A promise changed.
    CallbackChanged(Promise),
    /// A campaign changed.
    CampaignChanged {
        /// Which.
        campaign: CampaignId,
        /// Whose.
        tenant: TenantId,
        /// To what.
        state: CampaignState,
    },
    /// An attempt is over and on disk.
    AttemptClosed {
        /// Of which tenant.
        tenant: TenantId,
        /// Which attempt.
        attempt: AttemptId,
        /// Of which campaign.
        campaign: CampaignId,
        /// Whom it called.
        number: PhoneNumber,
        /// The final word.
        disposition: Disposition,
    },
}
