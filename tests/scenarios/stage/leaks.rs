//! The API key in what people can see: as it is, a part of it, or encoded.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use k8s_openapi::ByteString;

/// The shortest part of a key that counts.
const PART: usize = 8;
/// The same in hexadecimal.
const HEX_PART: usize = 2 * PART;

/// A key that shares no part with anything else: of letters that no hexadecimal has, so that no hash in a log looks like it.
pub fn random_key() -> String {
    const LETTERS: &[u8; 16] = b"GHJKMNPQghjkmnpq";
    let random = RandomState::new();
    let bytes = (0..6u8).flat_map(|n| random.hash_one(n).to_le_bytes());
    bytes.map(|byte| char::from(LETTERS[usize::from(byte % 16)])).collect()
}

/// Panics when a text gives away one of the secrets; the message says where, not what.
pub fn check(secrets: &[Vec<u8>], place: &str, text: &str) {
    for secret in secrets {
        assert!(!holds_part(text, &forms(secret), PART), "{place} gives an API key away");
        let hex = hex(secret);
        let lower: HashSet<_> = hex.windows(HEX_PART).collect();
        assert!(!holds_part(&text.to_lowercase(), &lower, HEX_PART), "{place} gives an API key away in hexadecimal");
    }
}

fn holds_part<T: std::borrow::Borrow<[u8]> + std::hash::Hash + Eq>(
    text: &str,
    parts: &HashSet<T>,
    size: usize,
) -> bool {
    text.as_bytes().windows(size).any(|window| parts.contains(window))
}

/// Every part of the secret, as it is and in base64 at each of the three places where it may begin.
fn forms(secret: &[u8]) -> HashSet<Vec<u8>> {
    let base64 = (0..3).flat_map(|offset| {
        let encoded = serde_json::to_value(ByteString(secret.get(offset..).unwrap_or_default().to_vec()));
        let encoded = encoded.expect("bytes are JSON").as_str().unwrap_or_default().trim_end_matches('=').to_owned();
        parts(encoded.as_bytes())
    });
    parts(secret).into_iter().chain(base64).collect()
}

fn parts(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.windows(PART).map(<[u8]>::to_vec).collect()
}

fn hex(secret: &[u8]) -> Vec<u8> {
    secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
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
        String::from_utf8(hex(part.as_bytes())).unwrap(),
        String::from_utf8(hex(part.as_bytes())).unwrap().to_uppercase(),
    ];
    for text in cases {
        let found = std::panic::catch_unwind(|| check(&[key.clone().into_bytes()], "a log", &text));
        assert!(found.is_err(), "not found in {text}");
    }
    check(&[key.into_bytes()], "a log", "nothing of the kind");
}
