//! Manifests, as `plan` reads them.
#![no_main]

#[path = "../../tests/fuzz/manifests.rs"]
mod manifests;

libfuzzer_sys::fuzz_target!(|text: &str| manifests::check(text));
