//! How good a call sounded: the E-model of ITU-T G.107 cut down to loss, for G.711.

/// The rating factor with all of G.107's default values.
const R_DEFAULT: f64 = 93.2;

/// How well G.711 with packet loss concealment bears random loss (ITU-T G.113, appendix I: Bpl).
const LOSS_ROBUSTNESS: f64 = 25.1;

/// Estimates the mean opinion score, listening quality, of a stream of which `lost` of `expected`
/// packets are missing.
///
/// Between 1.0 and 4.41; 0 when nothing was expected, so that nothing can be said. Delay does not
/// count (it is no matter of listening), nor does jitter, which shows as loss at the far end.
pub fn mean_opinion_score(expected: u64, lost: u64) -> f32 {
    if expected == 0 {
        return 0.0;
    }
    let loss = 100.0 * lost.min(expected) as f64 / expected as f64;
    // G.107 §3.5: Ie,eff = Ie + (95 − Ie) · Ppl / (Ppl + Bpl), with Ie = 0 for G.711.
    let rating = R_DEFAULT - 95.0 * loss / (loss + LOSS_ROBUSTNESS);
    // G.107 annex B.
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    if rating <= 0.0 { 1.0 } else { score.max(1.0) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_fall_with_loss() {
        let cases = [(0, 0, 0.0), (100, 0, 4.41), (100, 1, 4.34), (100, 5, 3.97), (100, 20, 2.65)];
        for (expected, lost, score) in cases {
            let got = mean_opinion_score(expected, lost);
            assert!((got - score).abs() < 0.05, "{lost} of {expected}: {got}");
        }
        assert!((1.0..1.5).contains(&mean_opinion_score(10, 10)));
        assert!((1.0..1.5).contains(&mean_opinion_score(10, 1_000)));
    }
}
