//! baresip as caller who speaks: sentences that stand in no training phrase, so that the open
//! recogniser must have heard them.

use super::baresip::{Baresip, Role};
use super::installation::{Installation, Plan, root};
use super::sound;
use std::path::PathBuf;

/// Sentences, who says them, and what they are about.
const SENTENCES: [(&str, &str, &str); 2] = [
    (
        "Could you please find out where the parcel is that I bought last week?",
        "rms",
        "order_status",
    ),
    ("The thing you sent me is broken, so I would like my money returned.", "slt", "refund"),
];

/// Where `scripts/fetch-models` puts the models.
fn models() -> PathBuf {
    match std::env::var_os("TRUNKLINE_MODELS") {
        Some(folder) => folder.into(),
        None => root().join(".cache/models"),
    }
}

#[test]
fn a_sentence_of_no_training_phrase_is_heard_and_understood() {
    if !models().join("whisper/model.bin").exists() {
        assert!(
            std::env::var_os("TRUNKLINE_MODELS_REQUIRED").is_none_or(|value| value != "1"),
            "no models in {}: run scripts/fetch-models",
            models().display()
        );
        return println!("not run: no models in {}", models().display());
    }
    let phrases = std::fs::read_to_string(root().join("config/intents/hotline.toml")).unwrap();
    let phrases = phrases.to_lowercase();
    let plan = Plan {
        more: format!("[speech]\nmodels = {:?}\n", models().display().to_string()),
        speech: true,
        ..Plan::default()
    };
    let installation = Installation::new(&plan);
    // What is heard is looked at here, not how soon on a machine that may have much else to do.
    let flow = std::fs::read_to_string(installation.folder.at("flows/hotline.toml")).unwrap();
    installation.folder.write("flows/hotline.toml", &(flow + "\n[timing]\nhearing_ms = 30000\n"));
    let gateway = installation.start();
    let silence = installation.folder.at("silence.wav");
    sound::write_tone(&silence, 0.0, 60);
    for (index, (sentence, voice, intent)) in SENTENCES.into_iter().enumerate() {
        let bare = sentence.to_lowercase().replace(['.', ',', '?'], "");
        assert!(!phrases.contains(&bare), "{sentence} is a training phrase");
        let mut events = gateway.events();
        let speech = installation.folder.at(&format!("sentence-{index}.wav"));
        sound::write_speech(&speech, sentence, voice);
        let mut caller = Baresip::start(gateway.sip, Role::Caller("+49301110005"), &silence);
        caller.dial(gateway.sip, "4000");
        let call = events.call();
        events.said(call, "in a few words");
        caller.play(&speech);
        let heard = events.of(call, "call.heard");
        assert_eq!(heard["engine"], "open", "{heard}");
        let understood = events.of(call, "call.understood");
        assert_eq!(understood["intent"], intent, "{heard} {understood}");
        caller.hang_up();
        events.of(call, "call.ended");
        assert_eq!(gateway.legs(call, 1)[0]["intent"], intent);
    }
}
