//! A leg's record (CDR), made from the leg and its call when both its signalling and its sound are
//! over.

use crate::call::{Call, Leg};
use crate::event::{LegRecord, LegRole};
use domain::cause::Cause;
use media::event::QualityReport;
use stir::verdict::Verdict;

/// The record of `leg`, which ended by `cause` with its sound as in `quality`.
pub(crate) fn leg_record(
    leg: &Leg,
    call: &Call,
    cause: Cause,
    quality: QualityReport,
) -> LegRecord {
    // The verdict is the caller's; the agent who talks to him has none.
    let verdict = call.verdict.as_ref().filter(|_| leg.role == LegRole::Caller);
    let attested = verdict.and_then(Verdict::attestation);
    LegRecord {
        leg: leg.id,
        call: call.id,
        tenant: call.tenant.clone(),
        role: leg.role,
        sip_call_id: leg.sip_call_id.clone(),
        trunk: leg.trunk.clone(),
        from: leg.from.clone(),
        to: leg.to.clone(),
        agent: leg.agent.clone(),
        queue: call.queue.clone(),
        intent: call.intent.clone(),
        started_wall_ms: leg.started_wall_ms,
        answered_wall_ms: leg.answered_wall_ms,
        ended_wall_ms: leg.ended_wall_ms,
        cause,
        quality,
        verstat: verdict.map(|verdict| verdict.verstat().word().into()),
        attestation: attested.map(|attestation| attestation.letter().into()),
    }
}
