#![no_main]

#[path = "../../src/sip/tests/fuzz/endpoint.rs"]
mod endpoint;
#[path = "../../src/sip/tests/fuzz/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    endpoint::run(data);
});
