#![no_main]

#[path = "../../src/sip/tests/fuzz/sdp.rs"]
mod sdp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sdp::run(data));
