//! The synthesiser with real files and, where they are installed, real programs.

use super::*;
use crate::prompt_cache::tests::Scratch;
use std::sync::mpsc::channel;

fn config(scratch: &Scratch) -> SynthesizerConfig {
    let prompts = scratch.0.join("prompts");
    std::fs::create_dir_all(&prompts).unwrap();
    SynthesizerConfig {
        english: Some(Voice::Flite { voice: "slt".to_owned() }),
        mandarin: Some(Voice::Espeak { voice: "cmn".to_owned() }),
        prompts,
        music: None,
        cache: scratch.0.join("cache"),
        cache_bytes_max: 1 << 24,
        memory_bytes_max: 1 << 24,
        programs_max: 2,
    }
}

fn start(scratch: &Scratch) -> Synthesizer {
    Synthesizer::start(config(scratch)).unwrap()
}

fn recorded(file: &str) -> Prompt {
    Prompt::Recorded { file: file.into() }
}

/// Where a program is absent, the error names its package, and that is all there is to test.
fn spoken(made: Result<Samples, SpeechError>) -> Option<Samples> {
    match made {
        Ok(samples) => Some(samples),
        Err(SpeechError::SynthesizerMissing { program, package }) => {
            assert_eq!(program, package);
            println!("not tested: {program} is not installed");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn both_languages_are_spoken_once_and_kept() {
    let scratch = Scratch::new("spoken");
    let synthesizer = start(&scratch);
    for (language, text) in
        [(Language::English, "Hello there"), (Language::Mandarin, "你好，请稍等")]
    {
        let prompt = Prompt::text(language, text);
        assert_eq!(synthesizer.cached(&prompt), None);
        let Some(first) = spoken(synthesizer.synthesize(&prompt)) else { continue };
        assert!((2_000..40_000).contains(&first.len()), "{} samples", first.len());
        assert!(first.iter().any(|sample| sample.abs() > 5_000), "it is loud enough");
        assert_eq!(synthesizer.cached(&prompt), Some(Arc::clone(&first)));
        // A new start plays what lies on disk, here changed to tell it apart.
        for entry in std::fs::read_dir(scratch.0.join("cache")).unwrap().flatten() {
            std::fs::write(entry.path(), wav::print(&[7; 80])).unwrap();
        }
        assert_eq!(start(&scratch).synthesize(&prompt), Ok(Arc::new(vec![7; 80])));
    }
    let left: Vec<_> = std::fs::read_dir(scratch.0.join("cache")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.path().extension().is_some_and(|kind| kind == "wav")));
}

#[test]
fn without_a_voice_a_language_has_recordings_only() {
    let scratch = Scratch::new("voice");
    let mut config = config(&scratch);
    config.mandarin = None;
    config.english = None;
    let synthesizer = Synthesizer::start(config).unwrap();
    let none = ["en", "zh"].map(|language| SpeechError::NoVoice { language });
    assert_eq!(synthesizer.faults(), none);
}

#[test]
fn unspeakable_texts_are_refused_and_hostile_ones_spoken_as_text() {
    for text in ["", " \n ", "…", "[[]]", &"a".repeat(CHARACTERS_MAX + 1)] {
        assert!(matches!(speakable(text), Err(SpeechError::TextLength { .. })), "{text}");
    }
    assert_eq!(speakable("a\0b\nc [[x]] <s>d").as_deref(), Ok("a b c x s d"));
    let scratch = Scratch::new("hostile");
    let synthesizer = start(&scratch);
    for language in [Language::English, Language::Mandarin] {
        // Neither an option nor a command.
        for text in ["-o /dev/full", "--help", "$(false); `false`"] {
            spoken(synthesizer.synthesize(&Prompt::text(language, text)));
        }
    }
}

#[test]
fn recordings_stay_inside_their_folder() {
    let scratch = Scratch::new("recorded");
    let synthesizer = start(&scratch);
    let prompts = scratch.0.join("prompts");
    std::fs::write(scratch.0.join("secret.wav"), wav::print(&[1; 80])).unwrap();
    std::fs::create_dir_all(prompts.join("de")).unwrap();
    std::fs::write(prompts.join("de/hello.wav"), wav::print(&[2; 80])).unwrap();
    std::os::unix::fs::symlink(scratch.0.join("secret.wav"), prompts.join("link.wav")).unwrap();
    for file in [
        "../secret.wav",
        "/etc/passwd",
        "de/../../secret.wav",
        "",
        "./x.wav",
        "link.wav",
        "..\\secret.wav",
        "de/hello.wav\0",
    ] {
        let fault = SpeechError::FileName { file: file.to_owned() };
        assert_eq!(synthesizer.synthesize(&recorded(file)), Err(fault));
    }
    assert_eq!(synthesizer.synthesize(&recorded("de/hello.wav")), Ok(Arc::new(vec![2; 80])));
    let absent = synthesizer.synthesize(&recorded("absent.wav"));
    assert!(matches!(absent, Err(SpeechError::Recording { .. })));
    // Replaced under the same name: heard anew.
    std::fs::write(prompts.join("de/hello.wav"), wav::print(&[3; 160])).unwrap();
    assert_eq!(synthesizer.synthesize(&recorded("de/hello.wav")), Ok(Arc::new(vec![3; 160])));
}

#[test]
fn music_is_built_in_or_a_folder() {
    let scratch = Scratch::new("music");
    let built_in = start(&scratch).synthesize(&Prompt::Music).unwrap();
    assert_eq!(*built_in, music::hold_music());
    let folder = scratch.0.join("music");
    let with_folder = || {
        let config = SynthesizerConfig { music: Some(folder.clone()), ..config(&scratch) };
        Synthesizer::start(config).unwrap().synthesize(&Prompt::Music)
    };
    assert!(matches!(with_folder(), Err(SpeechError::Recording { .. })));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(matches!(with_folder(), Err(SpeechError::Recording { .. })));
    std::fs::write(folder.join("b.wav"), wav::print(&[2; 80])).unwrap();
    std::fs::write(folder.join("a.WAV"), wav::print(&[1; 80])).unwrap();
    std::fs::write(folder.join("readme.txt"), "not music").unwrap();
    assert_eq!(with_folder().map(|samples| samples.to_vec()), Ok([[1; 80], [2; 80]].concat()));
}

#[test]
fn every_request_is_answered_once_even_by_stopping() {
    let scratch = Scratch::new("requests");
    let synthesizer = start(&scratch);
    std::fs::write(scratch.0.join("prompts/a.wav"), wav::print(&[1; 80])).unwrap();
    synthesizer.warm([recorded("a.wav"), recorded("absent.wav"), Prompt::Music]);
    let (sender, answers) = channel();
    let asked = REQUESTS_MAX + 50;
    for _ in 0..asked {
        let sender = sender.clone();
        synthesizer.request(recorded("a.wav"), Box::new(move |made| sender.send(made).unwrap()));
    }
    drop(synthesizer);
    drop(sender);
    let answers: Vec<_> = answers.iter().collect();
    assert_eq!(answers.len(), asked);
    let allowed = [Ok(Arc::new(vec![1; 80])), Err(SpeechError::Overloaded)];
    assert!(answers.iter().all(|answer| allowed.contains(answer)));
}
