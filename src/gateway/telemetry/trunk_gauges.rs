//! How the trunks stand, as gauges: each from the machine that routes by it.

use domain::now::Now;
use metrics::gauge;
use std::time::Duration;
use trunk::registration::Standing;
use trunk::trunks::Trunks;
use trunk::view::TrunkView;

/// Hands the gauges on.
pub fn export(trunks: &Trunks, now: Now) {
    trunks.views(now).iter().for_each(one);
}

fn one(view: &TrunkView) {
    let (tenant, trunk) = (&view.trunk.tenant.0, &view.trunk.name);
    api::metrics::trunk_up(tenant, trunk, !view.state.is_down());
    let set = |name: &'static str, value: f64| {
        let labels = [("tenant", tenant.to_string()), ("trunk", trunk.to_string())];
        gauge!(name, &labels).set(value);
    };
    if let Some(standing) = &view.registration {
        let registered = matches!(standing, Standing::Registered { .. });
        set("gw_trunk_registered", f64::from(u8::from(registered)));
    }
    set("gw_trunk_targets", view.targets.len() as f64);
    let down = view.targets.iter().filter(|target| target.state.is_down());
    set("gw_trunk_targets_down", down.count() as f64);
    set("gw_trunk_calls", f64::from(view.figures.calls));
    // A ratio of nothing is no number: the gauge keeps the last.
    for (name, share) in [
        ("gw_trunk_answer_ratio", view.figures.answer_ratio()),
        ("gw_trunk_effectiveness_ratio", view.figures.effectiveness()),
        ("gw_trunk_failure_ratio", view.figures.failure_ratio()),
        (
            "gw_trunk_post_dial_delay_seconds",
            view.figures.mean_post_dial_delay().map(|delay: Duration| delay.as_secs_f64()),
        ),
    ] {
        if let Some(share) = share {
            set(name, share);
        }
    }
}
