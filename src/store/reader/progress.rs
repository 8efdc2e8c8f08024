//! How far a campaign is: read from the tally that triggers keep, so it costs the same for ten
//! contacts and for a million.

use crate::error::StoreError;
use crate::row::id;
use domain::id::CampaignId;
use rusqlite::Connection;
use serde::Serialize;
use std::collections::BTreeMap;

/// The contacts of a campaign by where they stand.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Progress {
    /// All of them.
    pub contacts: u64,
    /// Waiting for their first or their next attempt.
    pub ready: u64,
    /// Leased for dialling.
    pub leased: u64,
    /// Being called.
    pub dialling: u64,
    /// Never to be called again by this campaign.
    pub finished: u64,
    /// Those finished, by the words of [`crate::words::disposition`], and `not_called` for those
    /// whose permit was refused for good.
    pub final_by_disposition: BTreeMap<String, u64>,
    /// Those ready again after an attempt, by the last attempt's disposition.
    pub retry_by_disposition: BTreeMap<String, u64>,
}

/// The progress of one campaign.
pub(crate) fn of(sql: &Connection, campaign: CampaignId) -> Result<Progress, StoreError> {
    let mut statement = sql.prepare_cached(
        "SELECT state, disposition, contacts FROM tally WHERE campaign = ?1 AND contacts > 0",
    )?;
    let mut rows = statement.query([id(campaign.0)])?;
    let mut progress = Progress::default();
    while let Some(row) = rows.next()? {
        let (state, disposition) = (row.get_ref(0)?.as_str(), row.get::<_, String>(1)?);
        let contacts = row.get::<_, i64>(2)?.cast_unsigned();
        progress.contacts += contacts;
        match state.map_err(rusqlite::Error::from)? {
            "ready" => {
                progress.ready += contacts;
                if !disposition.is_empty() {
                    *progress.retry_by_disposition.entry(disposition).or_default() += contacts;
                }
            }
            "leased" => progress.leased += contacts,
            "dialling" => progress.dialling += contacts,
            _ => {
                progress.finished += contacts;
                *progress.final_by_disposition.entry(disposition).or_default() += contacts;
            }
        }
    }
    Ok(progress)
}
