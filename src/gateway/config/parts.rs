//! The sections of `gateway.toml`, one function each.

use super::border::{self, border};
use super::layered::Layered;
use super::listeners::ListenerConfig;
use super::stir::{self, StirConfig};
use super::{
    Config, HttpConfig, MediaConfig, Records, SipConfig, SpeechConfig, TrunkConfig, carriers,
    dialling, hours, listeners, routes,
};
use crate::trace::TraceConfig;
use crate::trace::hep::HepConfig;
use document::section::Value;
use domain::fault::did_you_mean;
use domain::id::{AgentId, QueueId, TenantId, TrunkId};
use domain::media_plan::Codec;
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use queue::callback::CallbackRules;
use queue::event::{AgentSays, QueueRules};
use sip::digest::Algorithm;
use sip::endpoint::config::{Reliable, SessionPolicy};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use switchboard::rules::{
    Limits, Listening, QueueVoice, ReferPolicy, TransferPolicy, TrunkRule, VerifyPolicy,
};
use trunk::number::DialPlan;
use trunk::rules::TenantRules;

pub(super) const ADDRESS: &str = "write address:port, such as \"192.0.2.1:5060\"";
const SECONDS: fn(u32) -> Duration = |seconds| Duration::from_secs(u64::from(seconds));

pub(super) fn read(root: Layered<'_>, folder: Option<&Path>) -> Config {
    let config = sections(&root, folder);
    root.finish();
    config
}

fn sections(root: &Layered<'_>, folder: Option<&Path>) -> Config {
    let tenant = TenantId::default();
    let node = root.section("node");
    let data = at(folder, node.text("data"));
    let drain = SECONDS(node.count("drain_s", 0..=86_400));
    node.finish();
    let defaults = root.section("defaults");
    let (agents, agents_may_dial) = dialling::agents(root, &defaults, &tenant);
    let stir = stir::read(root, folder);
    let dial_plan = carriers::dial_plan(root);
    let help = routes::numbers_for_help(root);
    let mut trunks = trunks((root, &defaults), (&tenant, &dial_plan), &stir, folder);
    let to_help = routes::route_to_help(root, &tenant, &help, &mut trunks);
    let dns = root.section("dns");
    let dns_servers = texts(&dns.value("servers"), ADDRESS, str::parse);
    dns.finish();
    let tls = listeners::tls(root, folder);
    let sip = sip(root, &defaults, tls.own.is_some());
    listeners_are_there(root, &trunks, &sip.listeners);
    let plan = DialPlan { emergency: help, ..dial_plan.clone() };
    let help = routes::forms_for_help(&plan, &trunks);
    let tenant_rules = routes::tenant(root, plan);
    let (queues, queue_voices) =
        queues((root, &defaults), (&tenant, &tenant_rules), &agents, &trunks);
    let mut routes = routes::routes((root, &defaults), &tenant, &trunks);
    routes.insert(0, to_help);
    defaults.finish();
    let webhooks = root.section("webhooks");
    let webhooks_allow_private = webhooks.boolean("allow_private");
    webhooks.finish();
    let records_section = root.section("records");
    let records = Records {
        legs: records_section.boolean("legs"),
        decisions: records_section.boolean("decisions"),
    };
    records_section.finish();
    Config {
        data,
        drain,
        sip,
        tls,
        media: media(root),
        http: http(root),
        limits: limits(root),
        listening: listening(root),
        speech: speech(root, folder),
        callbacks: callbacks(root),
        webhooks_allow_private,
        trace: trace(root),
        records,
        numbers: dialling::numbers(root, &tenant, (&agents, &trunks, &routes)),
        routes,
        agents_may_dial,
        defence: super::defence::read(root, help),
        stir,
        trunks,
        dial_plan,
        tenant_rules,
        dns: dns_servers,
        queues,
        queue_voices,
        agents,
        feature_codes: feature_codes(root),
        variables: variables(root),
        file: "".into(),
        folder: folder.map(Path::to_path_buf),
    }
}

pub(super) fn at(folder: Option<&Path>, path: &str) -> PathBuf {
    folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
}

fn address(section: &Layered<'_>, key: &'static str) -> SocketAddr {
    section.parsed(key, ADDRESS, str::parse).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

fn sip(root: &Layered<'_>, defaults: &Layered<'_>, has_certificate: bool) -> SipConfig {
    let sip = root.section("sip");
    let codecs = sip.value("codecs");
    let codec = |name: &str| match name {
        "PCMU" => Ok(Codec::Pcmu),
        "PCMA" => Ok(Codec::Pcma),
        _ => Err("is no codec we speak"),
    };
    let digest = sip.value("digest");
    let algorithm = |name: &str| match name {
        "MD5" => Ok(Algorithm::Md5),
        "SHA-256" => Ok(Algorithm::Sha256),
        "SHA-512-256" => Ok(Algorithm::Sha512_256),
        _ => Err("is no hash we know"),
    };
    let config = SipConfig {
        listeners: listeners::listeners(&sip, defaults, has_certificate),
        realm: sip.text("realm").into(),
        digest: texts(&digest, "write MD5, SHA-256 or SHA-512-256", algorithm),
        agent_sessions: SessionPolicy {
            reliable: reliable(&sip, "agents_reliable_provisionals"),
            interval_s: sip.count("agents_session_interval_s", 0..=86_400),
            late_offer: false,
        },
        strangers: border::strangers(&sip),
        methods: border::methods(&sip.value("methods")),
        internal_headers: border::internal_headers(&sip),
        codecs: texts(&codecs, "write PCMU or PCMA", codec),
        receive_buffer: sip.count("receive_buffer_kib", 64..=1_048_576) as usize * 1024,
        transactions_max: sip.count("transactions_max", 100..=10_000_000) as usize,
        connections_max: sip.count("connections_max", 1..=100_000) as usize,
        connections_per_source_max: sip.count("connections_per_source_max", 1..=100_000) as usize,
    };
    if config.digest.is_empty() {
        digest.fault("names no hash".into(), "write [\"MD5\"]".into());
    }
    if config.codecs.is_empty() {
        codecs.fault("names no codec".into(), "write [\"PCMU\", \"PCMA\"]".into());
    }
    sip.finish();
    config
}

/// The texts of a list, each read by `parse`.
pub(super) fn texts<T, E: std::fmt::Display>(
    value: &Value<'_>,
    remedy: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let mut read = Vec::new();
    for element in value.list() {
        let problem = match element.value.as_str().map(&parse) {
            Some(Ok(item)) => {
                read.push(item);
                continue;
            }
            Some(Err(error)) => format!("`{}`: {error}", element.value.as_str().unwrap_or("")),
            None => format!("is a value of type {}", element.value.type_name()),
        };
        let mut faults = value.faults().borrow_mut();
        faults.add(element.offset, &element.path, problem, remedy.to_owned());
    }
    read
}

fn media(root: &Layered<'_>) -> MediaConfig {
    let media = root.section("media");
    let port = |key| u16::try_from(media.integer(key, 1024..=65_535)).unwrap_or(u16::MAX);
    let ports = (port("port_first"), port("port_last"));
    if ports.1 < ports.0.saturating_add(1) {
        let remedy = "make it larger than port_first".to_owned();
        media.value("port_last").fault(format!("{} leaves no port", ports.1), remedy);
    }
    let remedy = "write an IP address of this machine";
    let address: Option<IpAddr> = media.parsed("address", remedy, str::parse);
    let mut addresses = vec![address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    if !media.text("address6").is_empty() {
        let remedy = "write an IPv6 address of this machine or \"\"";
        let six: Option<Ipv6Addr> = media.parsed("address6", remedy, str::parse);
        if addresses[0].is_ipv6() {
            let remedy = "write an IPv4 address, or leave address6 empty".to_owned();
            media.value("address").fault("it is an IPv6 address, as address6 is".into(), remedy);
        }
        addresses.extend(six.map(IpAddr::V6));
    }
    let workers = media.count("workers", 1..=64) as usize;
    media.finish();
    MediaConfig { addresses, ports, workers }
}

fn trace(root: &Layered<'_>) -> TraceConfig {
    let trace = root.section("trace");
    let collector = match trace.text("hep") {
        "" => None,
        _ => trace.parsed("hep", "write address:port of the collector or \"\"", str::parse),
    };
    let agent = trace.count("hep_agent", 1..=1_000_000_000);
    let key = Arc::from(trace.text("hep_key"));
    let config = TraceConfig {
        bytes_max: u64::from(trace.count("size_mib", 0..=1_000_000)) << 20,
        hep: collector.map(|collector| HepConfig { collector, agent, key }),
    };
    trace.finish();
    config
}

fn http(root: &Layered<'_>) -> HttpConfig {
    let http = root.section("http");
    let config = HttpConfig {
        api: address(&http, "api"),
        operations: address(&http, "operations"),
        requests_per_second: http.count("requests_per_second", 1..=100_000),
    };
    http.finish();
    config
}

fn limits(root: &Layered<'_>) -> Limits {
    let limits = root.section("limits");
    let config = Limits {
        calls_max: limits.count("calls_max", 1..=1_000_000) as usize,
        call_length_max: SECONDS(limits.count("call_minutes_max", 1..=10_080) * 60),
    };
    limits.finish();
    config
}

fn listening(root: &Layered<'_>) -> Listening {
    let listening = root.section("listening");
    let ms = |key, range| u16::try_from(listening.integer(key, range)).unwrap_or(u16::MAX);
    let config = Listening {
        end_silence_ms: ms("end_silence_ms", 200..=5_000),
        utterance_max_ms: ms("utterance_max_ms", 1_000..=30_000),
    };
    listening.finish();
    config
}

fn speech(root: &Layered<'_>, folder: Option<&Path>) -> SpeechConfig {
    let speech = root.section("speech");
    let voice = |name: &str| match name {
        "slt" | "kal16" | "rms" | "awb" => Ok(Arc::from(name)),
        _ => Err("is no voice we have"),
    };
    let prompts = speech.text("prompts");
    let config = SpeechConfig {
        models: Some(speech.text("models"))
            .filter(|path| !path.is_empty())
            .map(|path| at(folder, path)),
        open: speech.boolean("open"),
        voice: speech.parsed("voice", "write slt, kal16, rms or awb", voice).unwrap_or_default(),
        prompts: folder.map(|folder| folder.join(prompts)),
    };
    speech.finish();
    config
}

fn callbacks(root: &Layered<'_>) -> CallbackRules {
    let callbacks = root.section("callbacks");
    let rules = CallbackRules {
        gap: SECONDS(callbacks.count("gap_s", 1..=86_400)),
        tries_max: u8::try_from(callbacks.integer("tries_max", 1..=20)).unwrap_or(1),
        lifetime: SECONDS(callbacks.count("lifetime_h", 1..=720) * 3_600),
        ring_for: SECONDS(callbacks.count("ring_s", 5..=180)),
        priority: u8::try_from(callbacks.integer("priority", 0..=255)).unwrap_or(0),
        open_max: callbacks.count("open_max", 1..=10_000_000),
    };
    callbacks.finish();
    rules
}

/// A number as it is written; `number` tells what is wrong with it.
pub(super) fn number_text<'a>(section: &Layered<'a>, key: &'static str) -> Option<&'a str> {
    Some(section.text(key)).filter(|text| !text.is_empty())
}

fn number(section: &Layered<'_>, key: &'static str) -> Option<PhoneNumber> {
    match section.text(key) {
        "" => None,
        _ => section.parsed(key, "write a number such as \"+4930123456\"", PhoneNumber::parse),
    }
}

fn trunks(
    (root, defaults): (&Layered<'_>, &Layered<'_>),
    (tenant, plan): (&TenantId, &DialPlan),
    stir: &StirConfig,
    folder: Option<&Path>,
) -> BTreeMap<TrunkId, TrunkConfig> {
    let mut trunks = BTreeMap::new();
    for (name, value) in root.section("trunks").entries() {
        let Some(own) = value.section() else { continue };
        let trunk = defaults.section("trunk").under(own);
        let carrier = carriers::read(&trunk, plan);
        // Read by the plan, and told here what is wrong with it.
        let _ = number(&trunk, "caller_id");
        let rule = TrunkRule {
            verify: verify_policy(&trunk, stir),
            sign: signs(&trunk, stir),
            refer: refer_policy(&trunk),
            transfer: transfer_policy(&trunk),
        };
        let remedy = "write networks such as \"192.0.2.0/24\" or \"2001:db8::/32\"";
        let allow = texts(&trunk.value("allow"), remedy, network);
        let session = SessionPolicy {
            reliable: reliable(&trunk, "reliable_provisionals"),
            interval_s: trunk.count("session_interval_s", 0..=86_400),
            late_offer: trunk.boolean("late_offer"),
        };
        let text = |key| Some(trunk.text(key)).filter(|text| !text.is_empty()).map(Arc::from);
        let (user, realm, listener) = (text("user"), text("realm"), text("listener"));
        if user.is_some() && realm.is_none() {
            let remedy = "write the realm that the trunk's challenges name";
            trunk.value("user").fault("has no realm it is for".into(), remedy.into());
        }
        let codecs = carriers::codecs(&trunk);
        let border = border(&trunk, root.section("sip").text("internal_headers"));
        let tls = listeners::trunk_tls(&trunk, folder);
        trunk.finish();
        let config = TrunkConfig {
            rule,
            carrier,
            codecs,
            allow,
            user,
            realm,
            border,
            listener,
            tls,
            session,
        };
        trunks.insert(TrunkId::new(tenant, name), config);
    }
    trunks
}

/// The listeners that trunks name, and one of the transport of each, must be there.
fn listeners_are_there(
    root: &Layered<'_>,
    trunks: &BTreeMap<TrunkId, TrunkConfig>,
    listeners: &[ListenerConfig],
) {
    if listeners.is_empty() {
        // Which is a fault that is told already.
        return;
    }
    let names = || listeners.iter().map(|listener| &*listener.name);
    for (name, value) in root.section("trunks").entries() {
        let Some((_, trunk)) = trunks.iter().find(|(id, _)| *id.name == *name) else { continue };
        // Without one, DNS chooses among those that we have, and UDP is meant by an address.
        let wanted = trunk.carrier.place.transport.unwrap_or(domain::hop::Transport::Udp);
        let has = |it: &ListenerConfig| it.transports.contains(&wanted);
        if let Some(named) = trunk.listener.as_deref().filter(|it| !names().any(|name| name == *it))
        {
            let problem = format!("listener: `{named}`: there is no such listener");
            value.fault(problem, did_you_mean(named, names()));
        } else if !listeners.iter().any(has) {
            let word = wanted.uri_param();
            let problem = format!("transport: there is no listener of {word}");
            // RFC 3261 §18.2.1: who sends over a transport must take requests over it.
            value.fault(problem, format!("add one to [sip.listeners] with `{word}`"));
        }
    }
}

fn reliable(section: &Layered<'_>, key: &'static str) -> Reliable {
    let word = |word: &str| match word {
        "off" => Ok(Reliable::Off),
        "supported" => Ok(Reliable::Supported),
        "required" => Ok(Reliable::Required),
        _ => Err("is none of off, supported, required"),
    };
    section.parsed(key, "write off, supported or required", word).unwrap_or(Reliable::Off)
}

fn verify_policy(trunk: &Layered<'_>, stir: &StirConfig) -> VerifyPolicy {
    let policy = |word: &str| match word {
        "off" => Ok(VerifyPolicy::Off),
        _ if !stir.can_verify => Err("needs the anchors of [stir]"),
        "report" => Ok(VerifyPolicy::Report),
        "require" => Ok(VerifyPolicy::Require),
        _ => Err("is no policy"),
    };
    trunk.parsed("verify", "write off, report or require", policy).unwrap_or_default()
}

fn refer_policy(trunk: &Layered<'_>) -> ReferPolicy {
    let policy = |word: &str| match word {
        "refuse" => Ok(ReferPolicy::Refuse),
        "follow" => Ok(ReferPolicy::Follow),
        _ => Err("is no policy"),
    };
    trunk.parsed("refer", "write refuse or follow", policy).unwrap_or_default()
}

fn transfer_policy(trunk: &Layered<'_>) -> TransferPolicy {
    let policy = |word: &str| match word {
        "bridge" => Ok(TransferPolicy::Bridge),
        "refer" => Ok(TransferPolicy::Refer),
        _ => Err("is no policy"),
    };
    trunk.parsed("transfer", "write bridge or refer", policy).unwrap_or_default()
}

fn signs(trunk: &Layered<'_>, stir: &StirConfig) -> bool {
    let signs = trunk.boolean("sign");
    if signs && stir.signer.is_none() {
        let remedy = "name key, certificate and certificate_url in [stir], or write false";
        trunk.value("sign").fault("needs the key of [stir]".into(), remedy.into());
    }
    signs
}

fn network(text: &str) -> Result<(IpAddr, u8), &'static str> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().map_err(|_| "is no network")?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length {
        "" => Ok((address, most)),
        _ => match length.parse() {
            Ok(length) if length <= most => Ok((address, length)),
            _ => Err("has a wrong prefix length"),
        },
    }
}

type Queues = (Vec<QueueRules>, BTreeMap<QueueId, QueueVoice>);

fn queues(
    (root, defaults): (&Layered<'_>, &Layered<'_>),
    (tenant, rules): (&TenantId, &TenantRules),
    agents: &[AgentId],
    trunks: &BTreeMap<TrunkId, TrunkConfig>,
) -> Queues {
    let (mut queues, mut voices) = (Vec::new(), BTreeMap::new());
    for (name, value) in root.section("queues").entries() {
        let Some(own) = value.section() else { continue };
        let queue = defaults.section("queue").under(own);
        let id = QueueId::new(tenant, name);
        let known = |name: &str| known_agent(name, tenant, agents);
        let members = match queue.required("agents", "[\"anna\"]") {
            Some(value) => texts(&value, "name agents of [agents]", known),
            None => Vec::new(),
        };
        voices.insert(id.clone(), queue_voice(&queue, (tenant, rules), trunks));
        queues.push(queue_rules(&queue, id, members));
        queue.finish();
    }
    (queues, voices)
}

pub(super) fn known_agent(
    name: &str,
    tenant: &TenantId,
    agents: &[AgentId],
) -> Result<AgentId, String> {
    let agent = AgentId::new(tenant, name);
    match agents.contains(&agent) {
        true => Ok(agent),
        false => {
            let names = agents.iter().map(|agent| &*agent.name);
            Err(format!("there is no such agent; {}", did_you_mean(name, names)))
        }
    }
}

fn queue_rules(queue: &Layered<'_>, id: QueueId, agents: Vec<AgentId>) -> QueueRules {
    let minutes = |key, range| SECONDS(queue.count(key, range) * 60);
    let hours = texts(&queue.value("hours"), "write \"Mon-Fri 08:00-18:00\"", hours::parse);
    QueueRules {
        id,
        agents,
        length_max: queue.count("length_max", 0..=100_000),
        estimate_max: minutes("estimate_minutes_max", 1..=1_440),
        wait_max: minutes("wait_minutes_max", 1..=1_440),
        ring_for: SECONDS(queue.count("ring_s", 3..=180)),
        wrap_up: SECONDS(queue.count("wrap_up_s", 0..=3_600)),
        missed_rings_max: u8::try_from(queue.integer("missed_rings_max", 1..=100)).unwrap_or(1),
        announce_every: SECONDS(queue.count("announce_s", 10..=3_600)),
        wait_without_agents: queue.boolean("wait_without_agents"),
        open_minutes: hours.into_iter().flatten().collect(),
        utc_offset_min: zone(queue),
    }
}

/// Minutes that a section's `zone` is east of UTC now.
pub(super) fn zone(section: &Layered<'_>) -> i16 {
    let zone = |name: &str| jiff::tz::TimeZone::get(name).map_err(|_| "is no time zone");
    let remedy = "write an IANA name such as \"Europe/Berlin\"";
    let offset_s = section
        .parsed("zone", remedy, zone)
        .map_or(0, |zone| zone.to_offset(jiff::Timestamp::now()).seconds());
    i16::try_from(offset_s / 60).unwrap_or(0)
}

fn queue_voice(
    queue: &Layered<'_>,
    (tenant, rules): (&TenantId, &TenantRules),
    trunks: &BTreeMap<TrunkId, TrunkConfig>,
) -> QueueVoice {
    let language = |code: &str| Language::from_code(code).ok_or("is no language we speak");
    let callback_trunk = match queue.text("callback_trunk") {
        "" => None,
        _ => queue.parsed("callback_trunk", "name a trunk of [trunks]", |name| {
            known_trunk(name, tenant, trunks)
        }),
    };
    QueueVoice {
        language: queue.parsed("language", "write en or zh", language).unwrap_or_default(),
        callback_trunk,
        callback_caller_id: callback_caller_id(queue, rules),
    }
}

/// The number that callbacks show: one that the tenant's rules let be shown, or none could be kept.
fn callback_caller_id(queue: &Layered<'_>, rules: &TenantRules) -> Option<PhoneNumber> {
    let key = "callback_caller_id";
    let number = number(queue, key)?;
    if let Some(why) = rules.caller_ids.refusal_of(&rules.plan.read(number.as_str())) {
        let remedy = "name it in [tenant] caller_ids, or let other_callers be replace";
        queue.value(key).fault(why, remedy.to_owned());
    }
    Some(number)
}

pub(super) fn known_trunk(
    name: &str,
    tenant: &TenantId,
    trunks: &BTreeMap<TrunkId, TrunkConfig>,
) -> Result<TrunkId, String> {
    let trunk = TrunkId::new(tenant, name);
    match trunks.contains_key(&trunk) {
        true => Ok(trunk),
        false => {
            let names = trunks.keys().map(|trunk| &*trunk.name);
            Err(format!("there is no such trunk; {}", did_you_mean(name, names)))
        }
    }
}

fn feature_codes(root: &Layered<'_>) -> Vec<(Arc<str>, AgentSays, Arc<str>)> {
    let known = ["log_in", "log_out", "ready", "pause", "extend_wrap_up"];
    let mut codes = Vec::new();
    for (name, value) in root.section("feature_codes").entries() {
        let Some(section) = value.section() else { continue };
        let says = match name {
            "log_in" => AgentSays::LogIn,
            "log_out" => AgentSays::LogOut,
            "ready" => AgentSays::Ready,
            "pause" => AgentSays::Pause { reason: "by telephone".into() },
            "extend_wrap_up" => AgentSays::ExtendWrapUp,
            _ => {
                value.fault("is nothing an agent can say".into(), did_you_mean(name, known));
                continue;
            }
        };
        let code = section.required("code", "\"*61\"").and_then(|value| value.text());
        let text = section.required("confirmation", "\"Done.\"").and_then(|value| value.text());
        section.finish();
        if let (Some(code), Some(text)) = (code, text) {
            codes.push((code.into(), says, text.into()));
        }
    }
    codes
}

fn variables(root: &Layered<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let entries = root.section("variables").entries();
    entries
        .into_iter()
        .filter_map(|(name, value)| Some((name.into(), value.text()?.into())))
        .collect()
}
