//! The music of a waiting caller: a quiet arpeggio over four chords, made here, so that it
//! belongs to nobody else. A loop without a seam.

use crate::engine::WIRE_HZ;
use std::f32::consts::PI;

/// Samples of one eighth note: 100 beats a minute.
const EIGHTH: usize = 2_400;
/// Eighth notes to a chord.
const NOTES: usize = 16;
/// Semitones above A3 (220 Hz), low to high: C major seventh, A minor seventh, F major seventh
/// and G with a sixth. All fundamentals lie in the telephone's band from 300 Hz once the
/// harmonics are counted; no two are a pair of key tones.
const CHORDS: [[i32; 5]; 4] =
    [[3, 7, 10, 14, 15], [0, 3, 7, 10, 15], [-4, 0, 3, 7, 15], [-2, 2, 5, 7, 14]];
/// The order in which a chord's notes are played.
const PATTERN: [usize; NOTES] = [0, 2, 3, 4, 3, 2, 1, 2, 0, 2, 3, 4, 2, 3, 1, 2];
/// −20 dB below full scale: a tenth of the largest sine's effective value.
const EFFECTIVE: f32 = 32_768.0 * 0.1;

/// One turn of the loop: 8 kHz mono, 38.4 s, effective value 20 dB below full scale.
pub fn hold_music() -> Vec<i16> {
    let length = EIGHTH * NOTES * CHORDS.len() * 2;
    let mut sound = vec![0.0_f32; length];
    // The second time around, the pattern runs backwards.
    for (bar, chord) in CHORDS.iter().chain(&CHORDS).enumerate() {
        let begin = bar * NOTES * EIGHTH;
        add_note(&mut sound, begin, chord[0] - 12, 0.7, 2.4);
        for eighth in 0..NOTES {
            let step = if bar < CHORDS.len() { eighth } else { NOTES - 1 - eighth };
            let loudness = if eighth % 4 == 0 { 0.6 } else { 0.4 };
            add_note(&mut sound, begin + eighth * EIGHTH, chord[PATTERN[step]] + 12, loudness, 0.5);
        }
    }
    let power: f32 = sound.iter().map(|value| value * value).sum::<f32>() / length as f32;
    let gain = EFFECTIVE / power.sqrt();
    sound.iter().map(|value| (value * gain).clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// A plucked note with three harmonics, falling by a factor e in `decay_s`; what rings beyond the
/// end rings on at the beginning.
fn add_note(sound: &mut [f32], begin: usize, semitones: i32, loudness: f32, decay_s: f32) {
    let rate = WIRE_HZ as f32;
    let hertz = 220.0 * 2f32.powf(semitones as f32 / 12.0);
    // Until it has fallen by 52 dB.
    let samples = (6.0 * decay_s * rate) as usize;
    for n in 0..samples {
        let seconds = n as f32 / rate;
        // 8 ms of rise: without it each note begins with a click.
        let envelope = (seconds / 0.008).min(1.0) * (-seconds / decay_s).exp();
        let phase = 2.0 * PI * hertz * seconds;
        let tone = phase.sin() + 0.35 * (2.0 * phase).sin() + 0.12 * (3.0 * phase).sin();
        let at = (begin + n) % sound.len();
        sound[at] += loudness * envelope * tone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_has_its_level_no_clipping_and_no_seam() {
        let music = hold_music();
        assert_eq!(music.len(), 38_400 * 8);
        let power: f64 =
            music.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / music.len() as f64;
        let level = 10.0 * (power / 32_768f64.powi(2)).log10();
        assert!((level + 20.0).abs() < 0.1, "{level:.2} dB");
        assert!(music.iter().all(|&sample| sample.unsigned_abs() < 20_000), "no clipping");
        let step = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
        let largest = music.windows(2).map(|pair| step(pair[0], pair[1])).max();
        assert!(Some(step(music[music.len() - 1], music[0])) <= largest, "no click at the seam");
    }

    #[test]
    fn it_never_pauses() {
        let quietest = hold_music()
            .chunks(EIGHTH)
            .map(|notes| notes.iter().map(|&sample| sample.unsigned_abs()).max())
            .min();
        assert!(quietest.flatten() > Some(1_000), "{quietest:?}");
    }
}
