//! How each trunk stands, for the API: from the machine that routes by it.

use api::views::{LiveTrunk, LiveViews};
use domain::now::Now;
use trunk::registration::Standing;
use trunk::trunks::Trunks;

/// Puts into the views how each trunk stands.
pub fn show(trunks: &Trunks, now: Now, views: &LiveViews) {
    for view in trunks.views(now) {
        let (registration, registration_why) = match &view.registration {
            None => (None, "".into()),
            Some(Standing::Registered { .. }) => (Some("registered"), "".into()),
            Some(Standing::Failed { why, .. }) => (Some("not registered"), why.clone()),
            Some(Standing::Idle | Standing::Asking | Standing::Left) => {
                (Some("not registered"), "".into())
            }
        };
        let live = LiveTrunk {
            state: view.state.word(),
            why: view.state.why().into(),
            registration,
            registration_why,
            calls_per_second: view.rate.0,
            calls_per_second_max: view.caps.outgoing_per_second,
            channels: view.channels.0.saturating_add(view.channels.1),
            channels_max: view.caps.channels,
            figures: view.figures,
        };
        views.trunks.insert(view.trunk, live);
    }
}
