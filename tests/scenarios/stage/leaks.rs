//! The API key in what people can see: as it is, a part of it, or encoded.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use k8s_openapi::ByteString;

/// The shortest part of a key that counts.
const PART: usize = 8;

/// A key that shares no part with anything else: of letters that no hexadecimal has, so that no hash in a log looks like it.
pub fn random_key() -> String {
    const LETTERS: &[u8; 16] = b"GHJKMNPQghjkmnpq";
    let random = RandomState::new();
    let bytes = (0..6u8).flat_map(|n| random.hash_one(n).to_le_bytes());
    bytes.map(|byte| char::from(LETTERS[usize::from(byte % 16)])).collect()
}

/// Panics when a text gives away one of the secrets; the message says where, not what.
pub fn check(secrets: &[Vec<u8>], place: &str, text: &str) {
    let digits = only_digits(text);
    for secret in secrets {
        assert!(!holds_part(text, &forms(secret), PART), "{place} gives an API key away");
        let hex = hex(secret);
        let hex = parts(hex.as_bytes(), 2 * PART).collect();
        assert!(!holds_part(&digits, &hex, 2 * PART), "{place} gives an API key away in hexadecimal");
        assert!(!lists_part(text, secret), "{place} gives an API key away as a list of numbers");
    }
}

fn holds_part(text: &str, parts: &HashSet<Vec<u8>>, size: usize) -> bool {
    text.as_bytes().windows(size).any(|window| parts.contains(window))
}

/// Every part of the secret, as it is and in base64 at each of the three places where it may begin.
fn forms(secret: &[u8]) -> HashSet<Vec<u8>> {
    let base64 = (0..3).flat_map(|offset| {
        let encoded = serde_json::to_value(ByteString(secret.get(offset..).unwrap_or_default().to_vec()));
        let encoded = encoded.expect("bytes are JSON").as_str().unwrap_or_default().trim_end_matches('=').to_owned();
        parts(encoded.as_bytes(), PART).collect::<Vec<_>>()
    });
    parts(secret, PART).chain(base64).collect()
}

fn parts(bytes: &[u8], size: usize) -> impl Iterator<Item = Vec<u8>> {
    bytes.windows(size).map(<[u8]>::to_vec)
}

fn hex(secret: &[u8]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text in lower case without what stands between the digits of hexadecimals: in a URL, in escapes, in dumps.
fn only_digits(text: &str) -> String {
    let text = text.to_lowercase().replace("\\u{", "").replace("\\u00", "").replace("\\x", "").replace("0x", "");
    text.replace(['%', ' ', ',', ':', '-', '}', '\\', '\n'], "")
}

/// Whether a list of numbers, as Rust's `Debug` writes bytes, has a part of the secret.
fn lists_part(text: &str, secret: &[u8]) -> bool {
    let lists = text.split(|char: char| !(char.is_ascii_digit() || char == ',' || char.is_whitespace()));
    lists.filter(|list| list.matches(',').count() + 1 >= PART).any(|list| {
        let bytes: Vec<u8> = list.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        bytes.windows(PART).any(|window| secret.windows(PART).any(|part| part == window))
    })
}

#[test]
fn a_key_is_found_in_every_form() {
    let key = random_key();
    let part = &key[11..23];
    let base64 = |bytes: &[u8]| serde_json::to_string(&ByteString(bytes.to_vec())).unwrap();
    let cases = [
        key.clone(),
        format!("x-api-key: {part}"),
        base64(key.as_bytes()),
        base64(format!("a{key}").as_bytes()),
        base64(format!("ab{key}").as_bytes()),
        hex(part.as_bytes()),
        hex(part.as_bytes()).to_uppercase(),
        part.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        part.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        part.bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
        format!("{:02x?}", part.as_bytes()),
        format!("{:?}", ByteString(part.as_bytes().to_vec())),
    ];
    for text in cases {
        let found = std::panic::catch_unwind(|| check(&[key.clone().into_bytes()], "a log", &text));
        assert!(found.is_err(), "not found in {text}");
    }
    check(&[key.into_bytes()], "a log", "nothing of the kind");
}
