//! Makes spoken prompts equally loud and cuts the silence around them, so that pieces put
//! together sound like one sentence.

/// Effective value of the loud parts aimed at: 20 dB below full scale.
const EFFECTIVE: f32 = 3_276.8;
/// No sample exceeds this: 2 dB below full scale.
const PEAK: f32 = 26_000.0;
/// 20 ms.
const FRAME: usize = 160;
/// What stays of the silence at each end: 60 ms.
const MARGIN: usize = 480;

/// `samples` (8 kHz) at the common level, with at most 60 ms of silence at each end. Silence
/// stays as it is.
pub fn levelled(samples: &[i16]) -> Vec<i16> {
    let powers: Vec<f32> = samples
        .chunks(FRAME)
        .map(|frame| frame.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>() / frame.len() as f32)
        .collect();
    let loudest = powers.iter().copied().fold(0.0, f32::max);
    if loudest < 1.0 {
        return samples.to_vec();
    }
    // Talk is what lies less than 30 dB below the loudest frame; sound, less than 46 dB.
    let talk: Vec<f32> = powers.iter().copied().filter(|power| *power > loudest * 1e-3).collect();
    let is_sound = |power: &f32| *power > loudest * 2.5e-5;
    let first = powers.iter().position(is_sound).unwrap_or(0);
    let last = powers.iter().rposition(is_sound).unwrap_or(0);
    let begin = (first * FRAME).saturating_sub(MARGIN);
    let end = ((last + 1) * FRAME + MARGIN).min(samples.len());
    let effective = (talk.iter().sum::<f32>() / talk.len() as f32).sqrt();
    let peak = samples.iter().map(|&sample| f32::from(sample).abs()).fold(1.0, f32::max);
    let gain = (EFFECTIVE / effective).min(PEAK / peak);
    samples[begin..end].iter().map(|&sample| (f32::from(sample) * gain) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(samples: &[i16]) -> f32 {
        let power: f32 = samples.iter().map(|&sample| f32::from(sample).powi(2)).sum();
        (power / samples.len() as f32).sqrt()
    }

    #[test]
    fn loud_and_soft_come_out_alike_without_their_margins() {
        for amplitude in [300.0, 30_000.0] {
            let talk: Vec<i16> =
                (0..8_000).map(|n| ((n as f32 * 0.7).sin() * amplitude) as i16).collect();
            let padded = [&[0; 8_000][..], &talk, &[1; 8_000]].concat();
            let out = levelled(&padded);
            assert!((8_000 + 2 * MARGIN - 160..=8_000 + 2 * MARGIN + 160).contains(&out.len()));
            let level = effective(&out[2_000..7_000]);
            assert!((level / EFFECTIVE - 1.0).abs() < 0.02, "{level}");
        }
    }

    #[test]
    fn clicks_bound_the_gain_and_silence_stays() {
        let mut spiky = vec![100_i16; 8_000];
        spiky[4_000] = 20_000;
        assert!(levelled(&spiky).iter().all(|&sample| sample <= 26_000));
        assert_eq!(levelled(&[0; 500]), [0; 500]);
        assert_eq!(levelled(&[]), Vec::<i16>::new());
    }
}
