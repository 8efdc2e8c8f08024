//! `trunkline trunk probe`: a trunk tried as a conformance test, from its configuration.

use super::{Where, failed, runtime};
use crate::config::{Config, TrunkConfig};
use crate::listeners;
use crate::net::resolve;
use crate::probe::finding::Step;
use crate::probe::line::{self, Setup};
use crate::probe::report;
use crate::probe::script::{Asked, Script};
use crate::secrets::Secrets;
use domain::hop::Hop;
use domain::id::TrunkId;
use sip::endpoint::config::Credentials;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use trunk::locate::{LocateRules, Locator};
use trunk::number::{DialPlan, NumberForm, NumberKind, NumberStyle};

/// What is asked for where the trunk's own setting asks for none (RFC 4028 §4 recommends it).
const INTERVAL_S: u32 = 1_800;

/// What is done with a trunk.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TrunkAction {
    /// Try everything that calls need of it, and suggest settings.
    Probe(Probe),
}

/// What is tried.
#[derive(Debug, clap::Args)]
pub(crate) struct Probe {
    /// The trunk, as [trunks.NAME] has it.
    name: String,
    /// A number that answers; without one, only what needs no call is tried.
    #[arg(long)]
    call: Option<String>,
    /// The number shown; without it, the trunk's `caller_id`.
    #[arg(long)]
    from: Option<String>,
    /// Keys to press once it has answered.
    #[arg(long, default_value = "1")]
    digits: String,
    /// Keys that the other end will press within 10 s.
    #[arg(long)]
    expect_digits: Option<String>,
    /// A number that the other end is asked to call by REFER, which may cost a call.
    #[arg(long)]
    refer: Option<String>,
    /// Our own address towards the trunk; without it, the one that the system chooses.
    #[arg(long)]
    local: Option<IpAddr>,
    /// One JSON object per step, then one with the settings.
    #[arg(long)]
    json: bool,
}

/// Runs the command: 0 when calls can be made.
pub(super) fn run(place: &Where, action: TrunkAction) -> ExitCode {
    let TrunkAction::Probe(probe) = action;
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let what = format!("the trunk {} cannot be tried", probe.name);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed("no runtime", &error),
    };
    let (setup, asked) = match runtime.block_on(prepare(&probe, &config)) {
        Ok(prepared) => prepared,
        Err(why) => return failed(&what, &why),
    };
    let tell = |finding: &_| match probe.json {
        true => println!("{}", report::json_line(finding)),
        false => print!("{}", report::line(finding)),
    };
    match runtime.block_on(line::run(setup, asked, tell)) {
        Ok(script) => end(&probe, &script),
        Err(error) => failed(&what, &error),
    }
}

fn end(probe: &Probe, script: &Script) -> ExitCode {
    let (settings, sound) = (script.settings(), script.is_sound());
    match probe.json {
        true => println!("{}", report::json_end(&probe.name, settings, sound)),
        false => print!("{}", report::end(&probe.name, script.findings(), settings, sound)),
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn prepare(probe: &Probe, config: &Config) -> Result<(Setup, Asked), String> {
    let id = TrunkId::new(&config.tenant(), &probe.name);
    let Some(trunk) = config.trunks.get(&id) else {
        return Err(format!("the configuration has no [trunks.{}]", probe.name));
    };
    for (option, keys) in
        [("--digits", Some(&probe.digits)), ("--expect-digits", probe.expect_digits.as_ref())]
    {
        let is_key = |key: char| key.is_ascii_digit() || "*#ABCDw".contains(key);
        if keys.is_some_and(|keys| keys.is_empty() || keys.len() > 16 || !keys.chars().all(is_key))
        {
            return Err(format!("{option} takes 1 to 16 of 0-9 * # A-D"));
        }
    }
    let secrets = Secrets::read(&config.data).map_err(|error| error.to_string())?;
    let credentials = credentials(trunk, &secrets, &probe.name);
    let tls = listeners::certificates(config).map_err(|error| error.to_string())?;
    let text = |text: &Option<String>| text.as_deref().map(Arc::<str>::from);
    let hop = locate(trunk, config).await?;
    let own = trunk.carrier.caller_id.as_ref().map(|it| it.normalised.to_string());
    let from = probe.from.clone().or(own).unwrap_or_default();
    let asked = Asked {
        registers: trunk.carrier.registration.is_some(),
        transport: hop.transport,
        call: text(&probe.call),
        forms: forms(probe.call.as_deref(), &trunk.carrier.plan),
        configured_form: match trunk.carrier.dialled.style {
            NumberStyle::E164 => Some(Step::NumberPlus),
            NumberStyle::International => Some(Step::NumberZeros),
            NumberStyle::National => Some(Step::NumberNational),
            NumberStyle::Digits | NumberStyle::Raw => None,
        },
        probes: !trunk.carrier.health.probe_every.is_zero(),
        session: trunk.session,
        digits: probe.digits.as_str().into(),
        expected: text(&probe.expect_digits),
        refer_to: text(&probe.refer),
    };
    let setup = Setup {
        trunk: id,
        hop,
        local: probe.local,
        tls: Arc::new(tls),
        credentials,
        registration: trunk.carrier.registration.clone(),
        border: trunk.border.clone(),
        codecs: config.sip.codecs.clone(),
        ports: config.media.ports,
        number: text(&probe.call).unwrap_or_default(),
        from: from.into(),
        interval_s: match trunk.session.interval_s {
            0 => INTERVAL_S,
            configured => configured,
        },
    };
    Ok((setup, asked))
}

/// The first place that calls would go to.
async fn locate(trunk: &TrunkConfig, config: &Config) -> Result<Hop, String> {
    let place = trunk.carrier.place.clone();
    let locator = Locator::new(place, LocateRules::default());
    let located = resolve::locate(&config.dns, locator).await.ok_or("DNS cannot be asked")?;
    let hops = located.hops(rand::random());
    hops.into_iter().next().ok_or_else(|| "its address cannot be found in DNS".to_owned())
}

fn credentials(trunk: &TrunkConfig, secrets: &Secrets, name: &str) -> Option<Credentials> {
    let password = secrets.named(&format!("trunk/{name}"))?;
    let (user, realm) = (trunk.user.clone()?, trunk.realm.clone());
    Some(Credentials { user, password: password.into(), realm })
}

type Forms = Vec<(Step, Result<Arc<str>, &'static str>)>;

/// A number in the three ways that carriers want it, or why it is not tried so.
fn forms(number: Option<&str>, plan: &DialPlan) -> Forms {
    let write = |style| -> Result<Arc<str>, &'static str> {
        let read = plan.read(number.ok_or("name a number by --call")?);
        if read.kind != NumberKind::International {
            return Err("write the number called as +4930123456");
        }
        let written = NumberForm { style, ..NumberForm::default() }.write(&read, plan);
        match (style, plan.country_code.is_empty() || plan.international_prefix.is_empty()) {
            (NumberStyle::E164, _) | (_, false) => Ok(written),
            (_, true) => Err("[dial_plan] names no country"),
        }
    };
    [
        (Step::NumberPlus, NumberStyle::E164),
        (Step::NumberZeros, NumberStyle::International),
        (Step::NumberNational, NumberStyle::National),
    ]
    .map(|(step, style)| (step, write(style)))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_tried_in_the_forms_that_it_has() {
        let plan = DialPlan {
            country_code: "49".into(),
            national_prefix: "0".into(),
            international_prefix: "00".into(),
            ..DialPlan::default()
        };
        let told = |number, plan: &DialPlan| -> Vec<String> {
            let told =
                |form: Result<Arc<str>, &str>| form.map_or_else(str::to_owned, |it| it.to_string());
            forms(number, plan).into_iter().map(|(_, form)| told(form)).collect()
        };
        let national = ["+4930123456", "004930123456", "030123456"];
        assert_eq!(told(Some("+4930123456"), &plan), national);
        assert_eq!(told(Some("030123456"), &plan), national);
        let none = told(Some("+4930123456"), &DialPlan::default());
        assert_eq!(none[0], "+4930123456");
        assert!(none[1].contains("[dial_plan]") && none[2].contains("[dial_plan]"), "{none:?}");
        assert!(told(Some("4000"), &DialPlan::default()).iter().all(|it| it.contains("+4930")));
        assert!(told(None, &plan).iter().all(|it| it.contains("--call")));
    }
}
