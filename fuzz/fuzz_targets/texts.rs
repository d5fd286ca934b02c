//! Keys, ids, intervals, `Retry-After`.
#![no_main]

#[path = "../../tests/fuzz/texts.rs"]
mod texts;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| texts::check(bytes));
