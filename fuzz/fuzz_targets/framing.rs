#![no_main]

#[path = "../../src/sip/tests/fuzz/framing.rs"]
mod framing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| framing::run(data));
