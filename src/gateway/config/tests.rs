use super::*;
use std::collections::BTreeSet;
use toml_edit::{DocumentMut, Item};

fn read(text: &str) -> Result<Config, Vec<Fault>> {
    Config::parse("own.toml", text, None)
}

/// The faults of a file, one line each.
fn faults(text: &str) -> Vec<String> {
    read(text).err().unwrap_or_default().iter().map(Fault::to_string).collect()
}

fn queue(name: &str) -> QueueId {
    QueueId::new(&TenantId::default(), name)
}

#[test]
fn the_embedded_file_is_read() {
    let config = Config::embedded();
    assert_eq!(config.sip.listeners[0].address, SocketAddr::from(([127, 0, 0, 1], 5060)));
    assert_eq!(config.sip.codecs, [Codec::Pcmu, Codec::Pcma]);
    assert_eq!(config.media.ports, (20_000, 29_999));
    assert_eq!(config.trace.bytes_max, 256 << 20);
    assert_eq!(config.callbacks.lifetime, Duration::from_secs(24 * 3_600));
    assert_eq!(config.speech.models, None);
    let queues: Vec<&QueueId> = config.queues.iter().map(|rules| &rules.id).collect();
    assert_eq!(queues, [&queue("support"), &queue("sales")]);
    let dialled: Vec<&str> = config.numbers.iter().map(|rule| &*rule.dialled).collect();
    assert_eq!(dialled, ["4000", "4001"]);
    assert_eq!(config.feature_codes.len(), 5);
    assert_eq!(config.agents.len(), 2);
}

/// The endpoint knows calls for help in every form that the dial plans of agents and trunks read.
#[test]
fn calls_for_help_are_known_in_all_forms() {
    let text = "[dial_plan]\ncountry_code = \"49\"\n[emergency]\nnumbers = [\"112\"]\n\
                trunks = [\"carrier\"]\n[trunks.carrier]\naddress = \"192.0.2.1\"\n\
                [trunks.pbx]\naddress = \"192.0.2.2\"\ndigits_are_international = true\n";
    let config = read(text).unwrap();
    let known: Vec<&str> = config.defence.emergency.iter().map(|number| &**number).collect();
    assert_eq!(known, ["+49112", "0049112", "112", "49112"]);
    assert!(config.defence.reserve.legs > 0 && config.defence.reserve.transactions > 0);
}

/// Callbacks that every trunk would refuse are a fault of the file.
#[test]
fn a_callback_shows_a_number_that_may_be_shown() {
    let file = |number: &str, word: &str| {
        format!(
            "[tenant]\ncaller_ids = [\"+4930*\"]\nother_callers = \"{word}\"\n[agents.anna]\n\
             [queues.support]\nagents = [\"anna\"]\ncallback_caller_id = \"{number}\"\n"
        )
    };
    assert_eq!(faults(&file("+4930123", "reject")), [""; 0]);
    assert_eq!(faults(&file("+4940123456", "replace")), [""; 0]);
    let told = faults(&file("+4940123456", "reject"));
    assert!(told.len() == 1 && told[0].contains("+4940123456 may not be shown"), "{told:?}");
}

/// As a file of somebody's own, the embedded one has no key that the code does not ask for.
#[test]
fn every_key_of_the_embedded_file_is_asked_for() {
    assert_eq!(faults(DEFAULT), [""; 0]);
}

/// The paths of all tables and values below `item`, as a reader of the file would write them.
fn paths(item: &Item, path: &str, found: &mut BTreeSet<String>) {
    let Some(table) = item.as_table_like() else { return };
    for (key, inner) in table.iter() {
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        paths(inner, &path, found);
        found.insert(path);
    }
}

/// A key misspelled is refused wherever it stands, so no key of the file can be one that nobody
/// reads; and what is missing from the embedded file cannot start (it has no default elsewhere).
#[test]
fn a_misspelled_key_is_refused_everywhere() {
    let document: DocumentMut = DEFAULT.parse().unwrap();
    let mut all = BTreeSet::new();
    paths(document.as_item(), "", &mut all);
    // Names that the user gives are no keys.
    let free = ["agents.", "queues.", "routes.", "trunks.", "variables."];
    let is_key = |path: &&String| {
        !free.iter().any(|table| path.strip_prefix(table).is_some_and(|name| !name.contains('.')))
    };
    let keys: Vec<&String> = all.iter().filter(is_key).collect();
    assert!(keys.len() > 70, "{}", keys.len());
    for path in keys {
        let mut misspelled = document.clone();
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = table.split('.').filter(|step| !step.is_empty());
        let parent = parent.fold(misspelled.as_item_mut(), |item, step| &mut item[step]);
        let parent = parent.as_table_like_mut().unwrap();
        let value = parent.remove(key).unwrap();
        parent.insert(&format!("{key}q"), value);
        let found = read(&misspelled.to_string()).err().unwrap_or_default();
        let named: Vec<&str> = found.iter().map(|fault| &*fault.key).collect();
        assert!(named.contains(&&*format!("{path}q")), "{path}: {named:?}");
    }
}

#[test]
fn what_is_left_out_is_taken_from_below() {
    let config = read(
        "[sip]\nrealm = \"here\"\n\
         [defaults.queue]\nlength_max = 7\nring_s = 20\nlanguage = \"zh\"\n\
         [queues.support]\nagents = [\"anna\"]\nring_s = 30\n\
         [queues.night]\nagents = []\nlength_max = 0\nlanguage = \"en\"\n",
    );
    let config = config.unwrap();
    let embedded = Config::embedded();
    assert_eq!(&*config.sip.realm, "here");
    assert_eq!(config.sip.listeners[0].address, embedded.sip.listeners[0].address);
    let of = |name| {
        let rules = config.queues.iter().find(|rules| rules.id == queue(name)).unwrap();
        let language = config.queue_voices[&queue(name)].language;
        (rules.length_max, rules.ring_for.as_secs(), rules.wrap_up.as_secs(), language)
    };
    use domain::prompt::Language::{English, Mandarin};
    assert_eq!(of("support"), (7, 30, 10, Mandarin));
    assert_eq!(of("night"), (0, 20, 10, English));
    assert_eq!(config.queues.len(), 2, "queues of one's own replace the example's");
    assert_eq!(config.trunks.len(), 1);
    assert_eq!(config.numbers.len(), embedded.numbers.len());
}

#[test]
fn all_faults_are_told_at_once_with_place_and_remedy() {
    let text = r#"[sip]
listen = "here"
codecs = ["PCMU", "OPUS", 3]
realm = 5
lissten = 1
[media]
port_first = 30001
port_last = 30001
workers = 0
[speech]
voice = "alice"
open = "yes"
[trunks.carrier]
allow = ["10.0.0.0/33", "::1"]
transport = "sctp"
caller_id = "abc"
[queues.support]
agents = ["ana", "ben"]
hours = ["Mon-Fri", "Moon 08:00-09:00"]
zone = "Nowhere"
callback_trunk = "carier"
[[numbers]]
dialled = "1"
[feature_codes.logout]
code = "*1"
"#;
    let expected = [
        "2:10: sip.listen: `here`: invalid socket address syntax; write address:port, such as \
         \"192.0.2.1:5060\"",
        "3:19: sip.codecs[1]: `OPUS`: is no codec we speak; write PCMU or PCMA",
        "3:27: sip.codecs[2]: is a value of type integer; write PCMU or PCMA",
        "4:9: sip.realm: is a value of type integer; write a text in quotes",
        "5:1: sip.lissten: is no key of this table; did you mean `listen`?",
        "8:13: media.port_last: 30001 leaves no port; make it larger than port_first",
        "9:11: media.workers: 0 is out of range; write 1 to 64",
        "11:9: speech.voice: `alice`: is no voice we have; write slt, kal16, rms or awb",
        "12:8: speech.open: is a value of type string; write true or false",
        "13:1: trunks.carrier.address: is missing; write `address` = \"192.0.2.1:5060\"",
        "14:10: trunks.carrier.allow[0]: `10.0.0.0/33`: has a wrong prefix length; write networks \
         such as \"192.0.2.0/24\" or \"2001:db8::/32\"",
        "15:13: trunks.carrier.transport: `sctp`: is no transport we speak; write udp, tcp, \
         tls or \"\"",
        "18:11: queues.support.agents[0]: `ana`: there is no such agent; did you mean `anna`?; name \
         agents of [agents]",
        "19:10: queues.support.hours[0]: `Mon-Fri`: has no space between days and times; write \
         \"Mon-Fri 08:00-18:00\"",
        "19:21: queues.support.hours[1]: `Moon 08:00-09:00`: `Moon` is no day; write \"Mon-Fri \
         08:00-18:00\"",
        "20:8: queues.support.zone: `Nowhere`: is no time zone; write an IANA name such as \
         \"Europe/Berlin\"",
        "21:18: queues.support.callback_trunk: `carier`: there is no such trunk; did you mean \
         `carrier`?; name a trunk of [trunks]",
        "22:1: numbers[0].flow: is missing; write `flow` = \"hotline\"",
        "24:1: feature_codes.logout: is nothing an agent can say; did you mean `log_out`?",
    ];
    let mut found = faults(text);
    found.retain(|fault| !fault.contains("caller_id"));
    let expected: Vec<String> = expected.iter().map(|line| format!("own.toml:{line}")).collect();
    assert_eq!(found, expected);
    let unread = faults("[sip\n");
    assert_eq!(unread.len(), 1);
    assert!(unread[0].starts_with("own.toml:1:"), "{unread:?}");
}

/// Faults in the user's defaults are told once, however many queues have them.
#[test]
fn faults_of_the_defaults_are_told_once() {
    let text = "[defaults.queue]\nring_s = 1\nrings = 2\n[defaults.trank]\n";
    let expected = [
        "own.toml:2:10: defaults.queue.ring_s: 1 is out of range; write 3 to 180",
        "own.toml:3:1: defaults.queue.rings: is no key of this table; did you mean `ring_s`?",
        "own.toml:4:11: defaults.trank: is no key of this table; did you mean `trunk`?",
    ];
    assert_eq!(faults(text), expected);
}

/// Whoever replaces the example's agents must replace its queues too, and is told so.
#[test]
fn the_example_may_not_fit_what_is_laid_over_it() {
    let found = faults("[agents.carl]\n");
    assert_eq!(found.len(), 4, "{found:?}");
    for fault in found {
        assert!(fault.starts_with("gateway.toml (embedded; lay a section of your own"), "{fault}");
        assert!(
            fault.contains(": queues.s") && fault.contains("there is no such agent"),
            "{fault}"
        );
    }
    let own = "[agents.carl]\n[queues.support]\nagents = [\"carl\"]\n";
    assert_eq!(read(own).unwrap().agents, [AgentId::new(&TenantId::default(), "carl")]);
}

#[test]
fn networks_hours_and_paths_are_read() {
    let text = r#"
[speech]
models = "m"
[trunks.carrier]
address = "[2001:db8::1]:5080"
transport = "tcp"
allow = ["192.0.2.0/24", "2001:db8::/32", "10.1.2.3"]
caller_id = "+4930123456"
user = "us"
realm = "carrier.example"
[queues.support]
agents = ["ben"]
hours = ["Mon-Tue 08:00-18:00", "Sun 23:00-01:00"]
zone = "Asia/Kolkata"
"#;
    let config = Config::parse("own.toml", text, Some(Path::new("/etc/t"))).unwrap();
    let carrier = &config.trunks[&TrunkId::new(&TenantId::default(), "carrier")];
    let network = |address: &str, length| (address.parse::<IpAddr>().unwrap(), length);
    assert_eq!(
        carrier.allow,
        [network("192.0.2.0", 24), network("2001:db8::", 32), network("10.1.2.3", 32)]
    );
    assert_eq!(carrier.carrier.caller_id.as_ref().map(|it| &*it.normalised), Some("+4930123456"));
    assert_eq!(carrier.user.as_deref(), Some("us"));
    let rules = &config.queues[0];
    assert_eq!(rules.open_minutes, [(480, 1_080), (1_920, 2_520), (10_020, 10_080), (0, 60)]);
    assert_eq!(rules.utc_offset_min, 330);
    assert_eq!(config.data, Path::new("/etc/t/data"));
    assert_eq!(config.speech.models.as_deref(), Some(Path::new("/etc/t/m")));
    assert_eq!(config.speech.prompts.as_deref(), Some(Path::new("/etc/t/prompts")));
}

#[test]
fn borders_are_read_and_their_rules_checked() {
    let trunk = |more: &str| format!("[trunks.carrier]\naddress = \"192.0.2.1:5060\"\n{more}");
    let text = trunk(
        "trusted = true\nfrom_domain = \"hotline.example\"\nmethods = [\"INVITE\"]\n\
         headers = [{ on = \"in\", remove = \"Subject\" }]\n\
         [sip]\nstrangers = \"ignore\"\nmethods = [\"REGISTER\"]\ninternal_headers = \"X-In-\"\n",
    );
    let config = read(&text).unwrap();
    let border = &config.trunks[&TrunkId::new(&TenantId::default(), "carrier")].border;
    assert_eq!((border.trusted, border.from_host.as_deref()), (true, Some("hotline.example")));
    assert_eq!(border.rules.len(), 1);
    assert!(border.methods.allow(&sip::message::method::Method::Invite));
    assert!(!border.methods.allow(&sip::message::method::Method::Options));
    assert_eq!(config.sip.strangers, Strangers::Ignore);
    assert_eq!(&*config.sip.internal_headers, "X-In-");
}

#[test]
fn borders_that_make_no_sense_are_refused() {
    let trunk = |more: &str| format!("[trunks.carrier]\naddress = \"192.0.2.1:5060\"\n{more}");
    let table = |rule: &str| trunk(&format!("[[trunks.carrier.headers]]\n{rule}"));
    let good = table("on = \"out\"\nset = \"X-A\"\ncopy = \"From\"\n");
    assert_eq!(faults(&good), [""; 0]);
    for (text, problem) in [
        (table("on = \"out\"\nremove = \"Via\""), "belongs to SIP itself"),
        (table("on = \"out\"\nremove = \"i\""), "belongs to SIP itself"),
        (table("on = \"out\"\nset = \"x-trunkline-a\"\nvalue = \"1\""), "is internal"),
        (table("on = \"up\"\nremove = \"X-A\""), "names no direction"),
        (table("on = \"in\"\nset = \"X-A\""), "is no rule"),
        (table("on = \"in\"\nremove = \"X-A\"\nvalue = \"1\""), "is no rule"),
        (table("on = \"in\"\nadd = \"X-A\"\nvalue = \"1\"\ncopy = \"From\""), "two values"),
        (table("on = \"in\"\nadd = \"X-A\"\nvalue = \"a\\nb\""), "no header field can have"),
        (table("on = \"in\"\nremove = \"X-A\"\nvalu = \"1\""), "is no key of this table"),
        (trunk("headers = [5]\n"), "no table"),
        (trunk("methods = [\"BYE\"]\n"), "is no method that can be allowed"),
        (trunk("from_domain = \"a b\"\n"), "is no domain"),
        (trunk("user = \"us\"\n"), "has no realm"),
        ("[sip]\nstrangers = \"greet\"\n".into(), "strangers"),
        ("[sip]\ninternal_headers = \"Via\"\n".into(), "is no prefix of ours"),
    ] {
        let found = faults(&text);
        assert!(found.len() == 1 && found[0].contains(problem), "{text}: {found:?}");
    }
}
