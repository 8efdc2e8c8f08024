//! Engines on recordings of people, from outside the repository.

use super::*;
use crate::engine::Engine;

pub const DIGITS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// Single digits of three speakers, ten takes each: 300 in all.
#[test]
fn spoken_digits_of_people() {
    let Some(engines) = engines("spoken digits") else { return };
    let Some(corpora) = corpora("spoken digits") else { return };
    let hearing = english(Expect::Digits);
    let (mut right, mut wrong_and_sure) = (0, 0);
    for speaker in ["george", "nicolas", "theo"] {
        for (digit, name) in DIGITS.iter().enumerate() {
            for take in 0..10 {
                let path = corpora.join(format!("fsdd/{digit}_{speaker}_{take}.wav"));
                let samples = [&[0; 800][..], &telephone::file(&path), &[0; 2_400]].concat();
                let heard = engines.vosk.recognise(&samples, &hearing).unwrap();
                let good = &*heard.transcript.text == *name;
                right += usize::from(good);
                wrong_and_sure += usize::from(!good && heard.certain);
            }
        }
    }
    println!("fsdd: {right} of 300 right, {wrong_and_sure} wrong and sure");
    assert!(right >= DIGITS_RIGHT, "{right}");
    assert!(wrong_and_sure <= DIGITS_WRONG, "{wrong_and_sure}");
}

/// Measured: 268 right, 4 wrong and sure.
const DIGITS_RIGHT: usize = 260;
const DIGITS_WRONG: usize = 8;

/// Numbers of four digits, pieced together with 200 ms between: 60 in all. Whoever asks for a
/// number reads it back.
#[test]
fn spoken_numbers_of_people() {
    let Some(engines) = engines("spoken numbers") else { return };
    let Some(corpora) = corpora("spoken numbers") else { return };
    let mut right = 0;
    for speaker in ["george", "nicolas", "theo"] {
        for number in 0..20_usize {
            let digits = [0, 1, 2, 3].map(|at| (number * 7 + at * 3 + at * at) % 10);
            let mut samples = vec![0; 1_600];
            for (at, digit) in digits.iter().enumerate() {
                let take = (number + at) % 50;
                let path = corpora.join(format!("fsdd/{digit}_{speaker}_{take}.wav"));
                samples.extend(telephone::file(&path));
                samples.extend([0; 1_600]);
            }
            let heard = engines.vosk.recognise(&samples, &english(Expect::Digits)).unwrap();
            let said = digits.map(|digit| DIGITS[digit]).join(" ");
            right += usize::from(*heard.transcript.text == said);
        }
    }
    println!("fsdd: {right} of 60 four-digit numbers right");
    assert!(right >= NUMBERS_RIGHT, "{right}");
}

/// Measured: 47.
const NUMBERS_RIGHT: usize = 42;

/// Read and commanded English through the telephone, the open engine. Sentences only: digits are
/// written as figures.
#[test]
fn english_clips_of_people() {
    let Some(engines) = engines("English clips") else { return };
    let Some(corpora) = corpora("English clips") else { return };
    let labels = std::fs::read_to_string(corpora.join("speech/LABELS.tsv")).unwrap();
    let (mut wrong, mut all) = (0, 0);
    for line in labels.lines() {
        let [file, "en", text, ..] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let samples = telephone::file(&corpora.join("speech").join(file));
        let spoken_figures = words(text).iter().any(|word| DIGITS.contains(&word.as_str()));
        let is_sentence = !text.starts_with('(') && !spoken_figures;
        if !is_sentence || samples.len() > 80_000 {
            continue;
        }
        let heard = engines.whisper.recognise(&samples, &english(open(&[]))).unwrap();
        println!("{file}: {:?}", heard.transcript);
        wrong += differences(&words(text), &words(&heard.transcript.text));
        all += words(text).len();
    }
    println!("clips: {wrong} of {all} words wrong");
    assert!(all >= 30 && wrong * 10 <= all, "{wrong} of {all} words wrong");
}

/// Digits of a person through the closed engine, with the number as it should be.
#[test]
fn digit_clips_of_people() {
    let Some(engines) = engines("digit clips") else { return };
    let Some(corpora) = corpora("digit clips") else { return };
    let table = [
        ("ps_tidigits_dhd.2934z.raw", "two nine three four zero"),
        ("ps_cards_004.wav", "five five"),
    ];
    for (file, said) in table {
        let samples = telephone::file(&corpora.join("speech").join(file));
        let heard = engines.vosk.recognise(&samples, &english(Expect::Digits)).unwrap();
        assert_eq!((&*heard.transcript.text, heard.certain), (said, true), "{file}");
    }
    // Here zeros are also said "oh": the closed engine must not be sure of a wrong number.
    let samples = telephone::file(&corpora.join("speech/vosk-test.wav"));
    let heard = engines.vosk.recognise(&samples, &english(Expect::Digits)).unwrap();
    println!("with oh: {heard:?}");
    let right = "one zero zero zero one nine zero two one zero zero one eight zero three";
    assert!(!heard.certain || &*heard.transcript.text == right, "{heard:?}");
}

/// Mandarin prompts through the telephone: characters, either script. Short answers at best.
#[test]
fn mandarin_clips() {
    let Some(engines) = engines("Mandarin clips") else { return };
    let Some(corpora) = corpora("Mandarin clips") else { return };
    let table = [
        // As said, in both scripts where they differ.
        ("queue-transfer-zh.wav", "稍等正在为您转接", "稍等正在為您轉接"),
        ("queue-busy-zh.wav", "抱歉当前坐席忙请稍后再试", "抱歉當前坐席忙請稍後再試"),
    ];
    let hearing = Hearing { language: Language::Mandarin, expect: open(&[]) };
    let (mut wrong, mut all) = (0, 0);
    for (file, simplified, traditional) in table {
        let samples = telephone::file(&corpora.join("prompts-zh").join(file));
        let heard = engines.whisper.recognise(&samples, &hearing).unwrap().transcript;
        println!("{file}: {heard:?}");
        let characters =
            |text: &str| -> Vec<char> { text.chars().filter(|c| c.is_alphanumeric()).collect() };
        let heard = characters(&heard.text);
        let in_script = |said: &str| differences(&characters(said), &heard);
        wrong += in_script(simplified).min(in_script(traditional));
        all += characters(simplified).len();
    }
    println!("Mandarin: {wrong} of {all} characters wrong");
    assert!(wrong * 4 <= all, "{wrong} of {all} characters wrong");
}
