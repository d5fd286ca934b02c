//! Answers of the remote.
#![no_main]

#[path = "../../tests/fuzz/json.rs"]
mod json;
#[path = "../../tests/fuzz/replies.rs"]
mod replies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    replies::check(bytes);
});
