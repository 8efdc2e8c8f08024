use super::*;
use crate::codec::g711;
use crate::tone::synthesis::{key_frequencies, noise, tones, voice};
use domain::media_plan::Codec;

const END_SILENCE_MS: u16 = 700;

/// The changes and the frames (20 ms) at which they came, of sound that went through µ-law.
fn changes(sound: &[i16], said_db: f32) -> Vec<(usize, SpeechChange)> {
    let mut detector = SpeechDetector::default();
    detector.begin(END_SILENCE_MS, 8_000);
    let mut found = Vec::new();
    for (number, frame) in sound.chunks_exact(FRAME_SAMPLES).enumerate() {
        let coded =
            |sample: &i16| g711::PCMU_TO_LINEAR[usize::from(g711::encode(Codec::Pcmu, *sample))];
        let frame: Vec<i16> = frame.iter().map(coded).collect();
        let change = detector.hear(frame[..].first_chunk().unwrap(), said_db);
        found.extend(change.map(|change| (number, change)));
    }
    found
}

fn mixed(sound: &[i16], line: &[i16]) -> Vec<i16> {
    sound.iter().zip(line).map(|(a, b)| a.saturating_add(*b)).collect()
}

/// A second of nothing, the sound, and two seconds of nothing, on a line with noise.
fn on_a_line(sound: &[i16], noise_amplitude: f64) -> Vec<i16> {
    let whole = [&vec![0; 8_000], sound, &vec![0; 16_000]].concat();
    let line = noise(noise_amplitude, whole.len(), 11);
    mixed(&whole, &line)
}

/// A second of voice at several levels over several noises: noticed within 160 ms, over 700 ms
/// after its end, give or take a syllable's pause.
#[test]
fn a_voice_is_noticed_soon_and_ended_by_the_silence_asked_for() {
    // Peak amplitude of the voice, of the noise.
    let cases = [(20_000.0, 20.0), (8_000.0, 20.0), (2_500.0, 20.0), (8_000.0, 300.0)];
    for (amplitude, noise_amplitude) in cases {
        let sound = on_a_line(&voice(amplitude, 12_000), noise_amplitude);
        let found = changes(&sound, f32::MIN);
        let [(start, SpeechChange::Started), (end, SpeechChange::Ended)] = found[..] else {
            panic!("{amplitude} over {noise_amplitude}: {found:?}");
        };
        assert!((50 + 3..=50 + 8).contains(&start), "{amplitude} {noise_amplitude}: {start}");
        assert!((125 + 28..=125 + 37).contains(&end), "{amplitude} {noise_amplitude}: {end}");
    }
}

#[test]
fn what_is_no_speech_starts_nothing() {
    let tone =
        |frequencies: &[f64], amplitude, length| tones(frequencies, amplitude, length, 8_000, 0);
    let keys = "0123456789*#ABCD".chars().flat_map(|key| {
        let (low, high) = key_frequencies(key).unwrap();
        [tone(&[low, high], 6_000.0, 800), vec![0; 800]].concat()
    });
    let ringing = [tone(&[440.0, 480.0], 3_000.0, 16_000), vec![0; 8_000]].concat().repeat(2);
    let busy = [tone(&[425.0], 4_000.0, 4_000), vec![0; 4_000]].concat().repeat(5);
    let click = |length| [noise(12_000.0, length, 3), vec![0; 3_000]].concat().repeat(10);
    let cases: [(&str, Vec<i16>); 9] = [
        ("nothing", vec![0; 80_000]),
        ("keys", keys.collect()),
        ("ringing", ringing),
        ("busy", busy),
        ("hum of the mains", tone(&[50.0, 150.0], 1_000.0, 80_000)),
        ("line noise", noise(150.0, 80_000, 2)),
        ("comfort noise switched on and off", {
            [noise(60.0, 8_000, 4), vec![0; 8_000]].concat().repeat(4)
        }),
        ("clicks of 20 ms", click(160)),
        ("soft murmur, -55 dBov", voice(150.0, 40_000)),
    ];
    for (name, sound) in cases {
        assert_eq!(changes(&on_a_line(&sound, 15.0), f32::MIN), [], "{name}");
    }
}

/// A fan that starts is loud but steady: whatever it starts is over soon, and then it is part of
/// the line, over which a voice is still heard.
#[test]
fn a_loud_noise_becomes_part_of_the_line() {
    let fan = noise(1_200.0, 160_000, 9);
    let sound = [vec![0; 8_000], fan.clone()].concat();
    let found = changes(&mixed(&sound, &noise(15.0, sound.len(), 1)), f32::MIN);
    assert!(found.len() <= 2, "{found:?}");
    assert!(found.iter().all(|(frame, _)| *frame < 150), "{found:?}");

    let spoken = [vec![0; 64_000], voice(12_000.0, 12_000), vec![0; 24_000]].concat();
    let found = changes(&mixed(&spoken, &fan), f32::MIN);
    let late: Vec<_> = found.iter().filter(|(frame, _)| *frame >= 390).collect();
    let [(400..=410, SpeechChange::Started), (475..=520, SpeechChange::Ended)] = late[..] else {
        panic!("{found:?}");
    };
}

#[test]
fn our_own_echo_starts_nothing_and_a_voice_over_it_does() {
    // We speak at −15 dBov; it comes back about 18 dB softer.
    let echo = on_a_line(&voice(1_500.0, 40_000), 15.0);
    assert_ne!(changes(&echo, f32::MIN), []);
    assert_eq!(changes(&echo, -15.0), []);
    let voice = on_a_line(&voice(25_000.0, 40_000), 15.0);
    assert!(matches!(changes(&voice, -15.0)[..], [(_, SpeechChange::Started), ..]));
}

#[test]
fn an_endless_utterance_is_ended_by_force_and_noticed_again() {
    let found = changes(&on_a_line(&voice(10_000.0, 8_000 * 20), 15.0), f32::MIN);
    let starts = found.iter().filter(|(_, change)| *change == SpeechChange::Started).count();
    assert_eq!((starts, found.len()), (3, 6), "{found:?}");
    assert_eq!(found[1].0 - found[0].0, 400, "8 s");
}

#[allow(clippy::disallowed_methods)] // Test material is named by the environment.
fn wav_files(set: &str) -> Option<Vec<(String, Vec<i16>)>> {
    let Ok(root) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("TRUNKLINE_CORPORA is unset: {set} did not run");
        return None;
    };
    let mut files: Vec<_> = std::fs::read_dir(format!("{root}/{set}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let mut reader = hound::WavReader::open(path).unwrap();
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        let rate = reader.spec().sample_rate;
        let sound = crate::codec::resample::resample(&samples, rate, 8_000).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), sound)
    };
    Some(files.iter().map(read).collect())
}

/// Spoken digits: each is one utterance, noticed within 200 ms of the file's beginning in 19 of 20.
#[test]
fn spoken_digits_are_one_utterance_each() {
    let Some(files) = wav_files("fsdd") else { return };
    let whole: Vec<usize> = files
        .iter()
        .filter_map(|(_, sound)| match changes(&on_a_line(sound, 15.0), f32::MIN)[..] {
            [(start, SpeechChange::Started), (_, SpeechChange::Ended)] => Some(start - 50),
            _ => None,
        })
        .collect();
    let soon = whole.iter().filter(|start| **start <= 10).count();
    println!("{} of {} whole, {soon} soon", whole.len(), files.len());
    assert!(whole.len() * 100 >= files.len() * 99);
    assert!(soon * 100 >= files.len() * 95);
}

/// Sentences are heard; tones of sixteen countries never are.
#[test]
fn sentences_are_heard_and_the_networks_tones_are_not() {
    for (set, is_speech) in [("speech", true), ("tones", false)] {
        let Some(files) = wav_files(set) else { return };
        for (name, sound) in files {
            let found = changes(&on_a_line(&sound, 15.0), f32::MIN);
            assert_eq!(!found.is_empty(), is_speech, "{set}/{name}: {found:?}");
        }
    }
}

/// Music is no speech, but to a detector of loudness it is. What must hold: each start has its
/// end, none is longer than an utterance may be, and the line is quiet again afterwards.
#[test]
fn music_starts_and_ends_in_turn() {
    let Some(files) = wav_files("moh") else { return };
    for (name, sound) in files {
        let found = changes(&on_a_line(&sound, 15.0), f32::MIN);
        let pairs = found.chunks(2).all(|pair| {
            matches!(pair, [(start, SpeechChange::Started), (end, SpeechChange::Ended)]
                if end - start <= 400)
        });
        assert!(pairs, "{name}: {found:?}");
    }
}
