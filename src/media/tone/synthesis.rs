//! Tones and noises made by arithmetic: keys sent as sound, and material for tests.

use std::f64::consts::TAU;

/// The two frequencies of a key in hertz (ITU-T Q.23); `None` for what is no key.
pub fn key_frequencies(key: char) -> Option<(f64, f64)> {
    const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
    let place = "123A456B789C*0#D".find(key)?;
    Some((LOW[place / 4], HIGH[place % 4]))
}

/// `length` samples of a sine of `frequency` hertz and peak `amplitude`, at `rate` hertz.
pub fn sine(frequency: f64, amplitude: f64, length: usize, rate: u32) -> Vec<i16> {
    tones(&[frequency], amplitude, length, rate, 0)
}

/// `length` samples, beginning at sample `from`, of sines that each have peak `amplitude`.
pub fn tones(
    frequencies: &[f64],
    amplitude: f64,
    length: usize,
    rate: u32,
    from: usize,
) -> Vec<i16> {
    let sample = |number: usize| {
        let time = (from + number) as f64 / f64::from(rate);
        let sum: f64 = frequencies.iter().map(|frequency| (TAU * frequency * time).sin()).sum();
        (amplitude * sum).clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
    };
    (0..length).map(sample).collect()
}

/// `length` samples of white noise, evenly spread between ± `amplitude`; the same for a `seed`.
pub fn noise(amplitude: f64, length: usize, seed: u64) -> Vec<i16> {
    let mut state = seed | 1;
    let mut next = || {
        // xorshift64: plenty for a noise.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..length).map(|_| (next() * amplitude) as i16).collect()
}

/// `length` samples at 8 kHz that a detector should take for a voice: a gliding pitch with its
/// harmonics, louder and softer four times a second as syllables are. `amplitude` is its peak.
pub fn voice(amplitude: f64, length: usize) -> Vec<i16> {
    let mut phase = 0.0_f64;
    let sample = |number: usize| {
        let time = number as f64 / 8_000.0;
        let pitch = 130.0 + 25.0 * (TAU * 0.7 * time).sin();
        phase += TAU * pitch / 8_000.0;
        let formant = 500.0 + 250.0 * (TAU * 1.3 * time).sin();
        let sum: f64 = (1..=20)
            .map(|harmonic| {
                let frequency = f64::from(harmonic) * pitch;
                let near = 1.0 / (1.0 + ((frequency - formant) / 150.0).powi(2));
                let far = 0.4 / (1.0 + ((frequency - 1_800.0) / 250.0).powi(2));
                (near + far) * (phase * f64::from(harmonic)).sin()
            })
            .sum();
        let syllable = 0.15 + 0.85 * (TAU * 2.0 * time).sin().powi(2);
        (amplitude * 0.4 * sum * syllable).clamp(-32_768.0, 32_767.0) as i16
    };
    (0..length).map(sample).collect()
}

/// The level of samples in decibels below a full-scale square wave (dBov, RFC 6464 §3); silence
/// gives −127.
pub fn level_db(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    if energy == 0.0 {
        return -127.0;
    }
    (10.0 * (energy / samples.len() as f64 / 32_768_f64.powi(2)).log10()).max(-127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_frequencies_are_what_they_say() {
        assert!((level_db(&sine(1_004.0, 32_767.0, 8_000, 8_000)) + 3.01).abs() < 0.02);
        assert!((level_db(&noise(3_276.8, 80_000, 7)) + 24.77).abs() < 0.1);
        assert_eq!(level_db(&[0; 160]), -127.0);
        assert_eq!(key_frequencies('5'), Some((770.0, 1_336.0)));
        assert_eq!(key_frequencies('D'), Some((941.0, 1_633.0)));
        assert_eq!(key_frequencies('x'), None);
        let crossings =
            sine(440.0, 1_000.0, 8_000, 8_000).windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
        assert!((439..=440).contains(&crossings));
    }
}
