//! Prompts → clips: what was spoken once is encoded once and played many times. A play order whose
//! clips are not there yet waits for the synthesiser; a later order for the same leg replaces it.

use crate::signalling::{Inbox, Told};
use domain::id::{LegId, OrderId};
use domain::prompt::Prompt;
use media::SAMPLE_RATE;
use media::clip::Clip;
use parking_lot::Mutex;
use speech::synthesizer::Synthesizer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of clips kept, both codecs counted: about two hours of speech. The oldest go first.
const CLIPS_MAX_BYTES: usize = 128 << 20;

/// The clips of an order are there (or as many of them as could be had).
#[derive(Debug)]
pub struct ClipsReady {
    /// For which leg.
    pub leg: LegId,
    /// For which order.
    pub order: OrderId,
    /// The clips in their order; those that could not be spoken are missing.
    pub clips: Vec<Arc<Clip>>,
    /// Whether to begin again at the end.
    pub repeat: bool,
}

/// The cache and the way to the synthesiser.
#[derive(Clone)]
pub struct Prompts {
    cache: Arc<Mutex<Cache>>,
    synthesizer: Arc<Synthesizer>,
    inbox: Inbox,
}

#[derive(Default)]
struct Cache {
    clips: BTreeMap<Prompt, Arc<Clip>>,
    /// In the order of their making.
    order: VecDeque<Prompt>,
    bytes: usize,
}

impl Prompts {
    /// With an empty cache. Finished clips are told to `inbox`.
    pub fn new(synthesizer: Arc<Synthesizer>, inbox: Inbox) -> Self {
        Self { cache: Arc::default(), synthesizer, inbox }
    }

    /// The clips of all prompts, if all are there.
    pub fn cached(&self, prompts: &[Prompt]) -> Option<Vec<Arc<Clip>>> {
        let cache = self.cache.lock();
        prompts.iter().map(|prompt| cache.clips.get(prompt).cloned()).collect()
    }

    /// Has what is missing spoken; `ClipsReady` follows, whatever happens.
    pub fn prepare(&self, leg: LegId, order: OrderId, prompts: Vec<Prompt>, repeat: bool) {
        let missing: Vec<Prompt> = {
            let cache = self.cache.lock();
            prompts.iter().filter(|prompt| !cache.clips.contains_key(prompt)).cloned().collect()
        };
        if missing.is_empty() {
            // The last of them came between the question whether all are there and this one.
            let ready = ClipsReady { leg, order, clips: self.present(&prompts), repeat };
            return self.inbox.tell(Told::ClipsReady(ready));
        }
        let left = Arc::new(AtomicUsize::new(missing.len()));
        for prompt in missing {
            let (this, left, prompts) = (self.clone(), left.clone(), prompts.clone());
            self.synthesize(prompt, move || {
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    let clips = this.present(&prompts);
                    let ready = ClipsReady { leg, order, clips, repeat };
                    this.inbox.tell(Told::ClipsReady(ready));
                }
            });
        }
    }

    /// Has prompts spoken before anybody waits for them; what callers wait for goes before them.
    pub fn warm(&self, prompts: impl IntoIterator<Item = Prompt>) {
        self.synthesizer.warm(prompts);
    }

    fn synthesize(&self, prompt: Prompt, then: impl FnOnce() + Send + 'static) {
        let this = self.clone();
        let key = prompt.clone();
        self.synthesizer.request(
            prompt,
            Box::new(move |result| {
                match result.map(|samples| Clip::encode(&samples, SAMPLE_RATE)) {
                    Ok(Ok(clip)) => this.keep(key, Arc::new(clip)),
                    Ok(Err(error)) => {
                        tracing::error!(prompt = %name(&key), %error, "cannot be played")
                    }
                    Err(error) => tracing::error!(prompt = %name(&key), %error, "cannot be spoken"),
                }
                then();
            }),
        );
    }

    fn present(&self, prompts: &[Prompt]) -> Vec<Arc<Clip>> {
        let cache = self.cache.lock();
        prompts.iter().filter_map(|prompt| cache.clips.get(prompt).cloned()).collect()
    }

    fn keep(&self, prompt: Prompt, clip: Arc<Clip>) {
        let mut cache = self.cache.lock();
        cache.bytes += 2 * clip.pcmu.len();
        if let Some(old) = cache.clips.insert(prompt.clone(), clip) {
            cache.bytes -= 2 * old.pcmu.len();
        } else {
            cache.order.push_back(prompt);
        }
        while cache.bytes > CLIPS_MAX_BYTES && cache.order.len() > 1 {
            if let Some(oldest) = cache.order.pop_front()
                && let Some(clip) = cache.clips.remove(&oldest)
            {
                cache.bytes -= 2 * clip.pcmu.len();
            }
        }
    }
}

/// A prompt's name for the log. Texts may hold a caller's number or what a service said of him: they
/// stand in the trace, not in the log.
fn name(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text { language, text } => {
            format!("a text of {} characters in {language:?}", text.chars().count())
        }
        Prompt::Recorded { file } => format!("the recording {file}"),
        Prompt::Music => "the music".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::prompt::Language;
    use speech::synthesizer::SynthesizerConfig;

    fn prompts(name: &str) -> (Prompts, tokio::sync::mpsc::UnboundedReceiver<Told>) {
        let folder = std::env::temp_dir().join(format!("trunkline-{name}-{}", std::process::id()));
        let config = SynthesizerConfig {
            english: None,
            mandarin: None,
            prompts: folder.clone(),
            music: None,
            cache: folder,
            cache_bytes_max: 1 << 20,
            memory_bytes_max: 1 << 20,
            programs_max: 1,
        };
        let (inbox, told) = Inbox::new();
        let synthesizer = Synthesizer::start(config).unwrap();
        (Prompts::new(Arc::new(synthesizer), inbox), told)
    }

    fn order_of(told: Option<Told>) -> (u64, usize) {
        match told {
            Some(Told::ClipsReady(ready)) => (ready.order.0, ready.clips.len()),
            other => panic!("{other:?}"),
        }
    }

    /// An order whose clips come between the question whether they are there and the wish to have
    /// them made is answered all the same: a call in silence would wait for its end for ever.
    #[test]
    fn an_order_is_answered_though_its_clips_have_just_come() {
        let (prompts, mut told) = prompts("just-come");
        let clip = Clip::encode(&[0; 160], SAMPLE_RATE).unwrap();
        assert!(prompts.cached(&[Prompt::Music]).is_none());
        prompts.keep(Prompt::Music, Arc::new(clip));
        prompts.prepare(LegId(1), OrderId(1), vec![Prompt::Music], true);
        assert_eq!(told.try_recv().ok().map(|told| order_of(Some(told))), Some((1, 1)));
    }

    #[test]
    fn an_order_that_cannot_be_spoken_is_answered_without_clips() {
        let (prompts, mut told) = prompts("unspeakable");
        let text = Prompt::text(Language::English, "Your number is 4711.");
        assert_eq!(name(&text), "a text of 20 characters in English");
        prompts.prepare(LegId(1), OrderId(2), vec![text], false);
        assert_eq!(order_of(told.blocking_recv()), (2, 0));
    }
}
