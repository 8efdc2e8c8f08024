//! Certificates kept as long as their hosts allow (RFC 9111 §5.2.2.1, §5.3), within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use stir::chain::Chain;
use stir::time::parse_sip_date;
use stir::verdict::Fault;

/// Certificates kept; beyond it the one that would go first makes room.
const KEPT_MAX: usize = 1_024;
/// How long one is kept whose host says nothing, in seconds.
const UNSAID_S: u64 = 3_600;
/// The longest: a signer's new certificate has a new address, a revoked one should not live on.
const KEPT_MAX_S: u64 = 86_400;
/// How long a failure is remembered, so that its host is not asked again for each call.
pub const FAILURE_S: u64 = 30;

/// What was fetched, by address.
#[derive(Debug, Default)]
pub struct Cache {
    kept: BTreeMap<Arc<str>, Kept>,
}

#[derive(Debug)]
struct Kept {
    result: Result<Arc<Chain>, Fault>,
    until_s: u64,
}

impl Cache {
    /// What is known of an address at `now_s` (Unix seconds).
    pub fn get(&mut self, url: &str, now_s: u64) -> Option<Result<Arc<Chain>, Fault>> {
        let kept = self.kept.get(url)?;
        if kept.until_s <= now_s {
            self.kept.remove(url);
            return None;
        }
        Some(kept.result.clone())
    }

    /// Keeps what came of a fetch until `until_s`; what may not be kept is not.
    pub fn put(
        &mut self,
        url: &Arc<str>,
        result: Result<Arc<Chain>, Fault>,
        until_s: u64,
        now_s: u64,
    ) {
        if until_s <= now_s {
            return;
        }
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(url) {
            let first = self.kept.iter().min_by_key(|(_, kept)| kept.until_s);
            if let Some(url) = first.map(|(url, _)| Arc::clone(url)) {
                self.kept.remove(&url);
            }
        }
        self.kept.insert(Arc::clone(url), Kept { result, until_s });
    }
}

/// Until when (Unix seconds) an answer may be kept, by its `Cache-Control` and `Expires`.
pub fn keep_until(cache_control: Option<&str>, expires: Option<&str>, now_s: u64) -> u64 {
    let directives = cache_control.unwrap_or_default().split(',').map(str::trim);
    let mut age_s = None;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return now_s,
            // RFC 9111 §5.2.2.10: the shared cache's word goes before the other.
            "s-maxage" => age_s = value.trim_matches('"').parse().ok().or(age_s),
            "max-age" if age_s.is_none() => age_s = value.trim_matches('"').parse().ok(),
            _ => (),
        }
    }
    let said_s = match (age_s, expires) {
        (Some(age_s), _) => age_s,
        // A date that is none means the past (§5.3).
        (None, Some(date)) => parse_sip_date(date).unwrap_or(0).saturating_sub(now_s),
        (None, None) => UNSAID_S,
    };
    now_s + said_s.min(KEPT_MAX_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stir::verdict::InfoFault;

    const NOW_S: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
    const FAILED: Result<Arc<Chain>, Fault> = Err(Fault::BadInfo(InfoFault::Unreachable));

    #[test]
    fn the_host_says_how_long_a_certificate_is_kept() {
        let date = Some("Sun, 06 Nov 1994 08:50:37 GMT");
        for (cache_control, expires, kept_s) in [
            (None, None, UNSAID_S),
            (Some("max-age=120"), None, 120),
            (Some("public, Max-Age=120, s-maxage=60"), None, 60),
            (Some("s-maxage=60, max-age=120"), None, 60),
            (Some("max-age=99999999"), None, KEPT_MAX_S),
            (Some("no-store, max-age=120"), None, 0),
            (Some("max-age=120"), date, 120),
            (None, date, 60),
            (Some("public"), date, 60),
            (None, Some("0"), 0),
            (Some("max-age=x"), None, UNSAID_S),
        ] {
            let until = keep_until(cache_control, expires, NOW_S);
            assert_eq!(until - NOW_S, kept_s, "{cache_control:?} {expires:?}");
        }
    }

    #[test]
    fn what_is_out_of_its_time_is_forgotten_and_room_is_made() {
        let mut cache = Cache::default();
        let url = |number: u64| Arc::from(format!("https://a.example/{number}"));
        for number in 0..=KEPT_MAX as u64 {
            cache.put(&url(number), FAILED, NOW_S + 10 + number, NOW_S);
        }
        assert_eq!(cache.kept.len(), KEPT_MAX);
        assert_eq!(cache.get(&url(0), NOW_S), None, "it would have gone first");
        assert_eq!(cache.get(&url(1), NOW_S), Some(FAILED));
        assert_eq!(cache.get(&url(1), NOW_S + 11), None);
        cache.put(&url(1), FAILED, NOW_S, NOW_S);
        assert_eq!(cache.get(&url(1), NOW_S), None, "it may not be kept");
    }
}
