//! `libvosk.so`, loaded at run time: the C interface behind safe types.
//!
//! The one module that speaks to the recogniser in C. Each function pointer has the signature of
//! `vosk_api.h` of release 0.3.45. Models may be shared by threads (their use count is atomic);
//! a recogniser belongs to one thread at a time, hence `&mut self`.
#![allow(unsafe_code)] // Calls a C library that is loaded at run time.

use crate::error::SpeechError;
use libloading::Library as DynamicLibrary;
use std::ffi::{CStr, CString, c_char, c_float, c_int, c_short, c_void};
use std::path::Path;
use std::sync::Arc;

type Pointer = *mut c_void;

/// The functions that we call.
struct Api {
    model_new: unsafe extern "C" fn(*const c_char) -> Pointer,
    model_free: unsafe extern "C" fn(Pointer),
    model_find_word: unsafe extern "C" fn(Pointer, *const c_char) -> c_int,
    recognizer_new_grm: unsafe extern "C" fn(Pointer, c_float, *const c_char) -> Pointer,
    recognizer_free: unsafe extern "C" fn(Pointer),
    recognizer_set_words: unsafe extern "C" fn(Pointer, c_int),
    recognizer_accept: unsafe extern "C" fn(Pointer, *const c_short, c_int) -> c_int,
    recognizer_result: unsafe extern "C" fn(Pointer) -> *const c_char,
    recognizer_final_result: unsafe extern "C" fn(Pointer) -> *const c_char,
    recognizer_reset: unsafe extern "C" fn(Pointer),
    /// Keeps the code mapped for as long as the pointers above are held.
    _library: DynamicLibrary,
}

impl Api {
    fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: the library's initialisers only set up its own globals; each symbol is given
        // the signature that its header declares, and is dropped no later than the library.
        unsafe {
            let library = DynamicLibrary::new(path)?;
            let set_log_level =
                library.get::<unsafe extern "C" fn(c_int)>(b"vosk_set_log_level\0")?;
            // -1: errors only; the library would write its progress to standard error.
            set_log_level(-1);
            Ok(Self {
                model_new: *library.get(b"vosk_model_new\0")?,
                model_free: *library.get(b"vosk_model_free\0")?,
                model_find_word: *library.get(b"vosk_model_find_word\0")?,
                recognizer_new_grm: *library.get(b"vosk_recognizer_new_grm\0")?,
                recognizer_free: *library.get(b"vosk_recognizer_free\0")?,
                recognizer_set_words: *library.get(b"vosk_recognizer_set_words\0")?,
                recognizer_accept: *library.get(b"vosk_recognizer_accept_waveform_s\0")?,
                recognizer_result: *library.get(b"vosk_recognizer_result\0")?,
                recognizer_final_result: *library.get(b"vosk_recognizer_final_result\0")?,
                recognizer_reset: *library.get(b"vosk_recognizer_reset\0")?,
                _library: library,
            })
        }
    }
}

/// A loaded model; cloning shares it.
#[derive(Clone)]
pub struct Model {
    inner: Arc<ModelInner>,
}

struct ModelInner {
    api: Api,
    pointer: Pointer,
}

// SAFETY: the model is read-only after loading and counts its users atomically.
unsafe impl Send for ModelInner {}
// SAFETY: as above.
unsafe impl Sync for ModelInner {}

impl Drop for ModelInner {
    fn drop(&mut self) {
        // SAFETY: made by `model_new`, freed once.
        unsafe { (self.api.model_free)(self.pointer) }
    }
}

impl Model {
    /// Loads the library at `library` and with it the model in the folder `model`.
    ///
    /// # Errors
    /// [`SpeechError::ModelMissing`] and [`SpeechError::ModelBroken`]; the latter also for a
    /// model without a dynamic graph, which would ignore grammars.
    pub fn load(library: &Path, model: &Path) -> Result<Self, SpeechError> {
        for path in [library, model] {
            if !path.exists() {
                return Err(SpeechError::ModelMissing { path: path.to_owned() });
            }
        }
        let broken = |path: &Path, reason: String| SpeechError::ModelBroken {
            path: path.to_owned(),
            reason,
        };
        if !["graph/HCLr.fst", "HCLr.fst"].iter().any(|name| model.join(name).exists()) {
            let reason = "it has no dynamic graph (HCLr.fst), so it cannot take grammars";
            return Err(broken(model, reason.to_owned()));
        }
        let api = Api::load(library).map_err(|fault| broken(library, fault.to_string()))?;
        let name = model.to_str().and_then(|name| CString::new(name).ok());
        let name = name.ok_or_else(|| broken(model, "its path is not UTF-8".to_owned()))?;
        // SAFETY: a NUL-terminated path; a failure comes back as a null pointer.
        let pointer = unsafe { (api.model_new)(name.as_ptr()) };
        if pointer.is_null() {
            return Err(broken(model, "the recogniser refused it".to_owned()));
        }
        Ok(Self { inner: Arc::new(ModelInner { api, pointer }) })
    }

    /// Whether `word` (lower case) is in the model's vocabulary.
    pub fn knows(&self, word: &str) -> bool {
        let Ok(word) = CString::new(word) else { return false };
        // SAFETY: a live model and a NUL-terminated string; −1 says that it is unknown.
        unsafe { (self.inner.api.model_find_word)(self.inner.pointer, word.as_ptr()) >= 0 }
    }
}

/// A recogniser for one grammar.
pub struct Recognizer {
    model: Model,
    pointer: Pointer,
}

// SAFETY: it may move between threads; `&mut self` keeps it to one at a time.
unsafe impl Send for Recognizer {}

impl Drop for Recognizer {
    fn drop(&mut self) {
        // SAFETY: made by `recognizer_new_grm`, freed once, before its model.
        unsafe { (self.model.inner.api.recognizer_free)(self.pointer) }
    }
}

impl Recognizer {
    /// A recogniser of `grammar`, a JSON list of phrases, for sound at `rate_hz`; `None` when
    /// the library refuses it.
    pub fn new(model: &Model, rate_hz: u32, grammar: &str) -> Option<Self> {
        let grammar = CString::new(grammar).ok()?;
        let api = &model.inner.api;
        // SAFETY: a live model and a NUL-terminated string; a failure comes back as null.
        let pointer = unsafe {
            (api.recognizer_new_grm)(model.inner.pointer, rate_hz as c_float, grammar.as_ptr())
        };
        if pointer.is_null() {
            return None;
        }
        // SAFETY: a live recogniser; 1 asks for words with their confidences.
        unsafe { (api.recognizer_set_words)(pointer, 1) };
        Some(Self { model: model.clone(), pointer })
    }

    /// Recognises one whole utterance: the JSON results, one for each stretch between pauses.
    /// The recogniser is as new afterwards.
    pub fn recognise(&mut self, samples: &[i16]) -> Vec<String> {
        let api = &self.model.inner.api;
        let mut results = Vec::new();
        // Pieces of a quarter second: the library looks for pauses once per piece.
        for piece in samples.chunks(4_000) {
            let length = piece.len() as c_int; // At most 4,000.
            // SAFETY: a live recogniser, and as many samples as said.
            if unsafe { (api.recognizer_accept)(self.pointer, piece.as_ptr(), length) } == 1 {
                // SAFETY: the returned string lives until the next call; it is copied at once.
                results.extend(unsafe { copied((api.recognizer_result)(self.pointer)) });
            }
        }
        // SAFETY: as above.
        results.extend(unsafe { copied((api.recognizer_final_result)(self.pointer)) });
        // SAFETY: a live recogniser.
        unsafe { (api.recognizer_reset)(self.pointer) };
        results
    }
}

/// A copy of a C string, `None` for null or anything but UTF-8.
///
/// # Safety
/// `text` is null or a NUL-terminated string that lives during the call.
unsafe fn copied(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_str().ok().map(str::to_owned)
}
