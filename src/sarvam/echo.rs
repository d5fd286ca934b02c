//! Notices a text that repeats a secret, so that it is shown to nobody.

use secrecy::{ExposeSecret, SecretBox};

/// A part of a secret this long, in bytes, gives it away.
const TELLING: usize = 8;

/// Every telling part of a secret: of itself, and of its hex, base64 and URL encodings.
pub(super) struct Echo {
    /// The length of each part: [`TELLING`], or that of the whole secret where it is shorter.
    length: usize,
    /// The parts, sorted, each as the big-endian number that its bytes make.
    parts: SecretBox<Vec<u64>>,
}

impl Echo {
    pub(super) fn new(secret: &[u8]) -> Self {
        let length = secret.len().min(TELLING);
        let mut parts: Vec<u64> = windows(secret, length).collect();
        if length == TELLING {
            for encoded in encodings(secret) {
                parts.extend(windows(&encoded, length));
            }
        }
        parts.sort_unstable();
        parts.dedup();
        Self { length, parts: SecretBox::new(Box::new(parts)) }
    }

    /// Whether the text has one of the parts in it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let parts = self.parts.expose_secret();
        windows(text.as_bytes(), self.length).any(|part| parts.binary_search(&part).is_ok())
    }
}

/// Every run of `length` bytes (1 to 8), as a number.
fn windows(bytes: &[u8], length: usize) -> impl Iterator<Item = u64> {
    bytes.windows(length).map(|window| window.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let each = |form: fn(&u8) -> String| secret.iter().map(form).collect::<String>().into_bytes();
    let mut encodings = vec![
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        }),
    ];
    for last_two in [b"+/", b"-_"] {
        // Base64 of a longer text looks different by where in it the secret begins.
        encodings.extend((0..3).map(|before| base64_inside(before, secret, *last_two)));
    }
    encodings
}

/// The characters that stand for the secret alone in the base64 of a text that has `before` bytes ahead of it.
fn base64_inside(before: usize, secret: &[u8], last_two: [u8; 2]) -> Vec<u8> {
    let alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last_two).collect();
    let mut encoded = Vec::new();
    let (mut bits, mut count) = (0_usize, 0);
    for byte in std::iter::repeat_n(&0, before).chain(secret) {
        bits = bits << 8 | usize::from(*byte);
        count += 8;
        while count >= 6 {
            count -= 6;
            encoded.push(alphabet[bits >> count & 0x3f]);
        }
        bits &= 0x3f;
    }
    encoded.split_off((before * 8).div_ceil(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk/Live+4f9a!b7c~";

    #[test]
    fn every_part_of_eight_bytes_is_noticed_in_every_encoding() {
        let echo = Echo::new(SECRET.as_bytes());
        for told in [
            SECRET,
            "the key sk/Live+... is refused",
            "…f9a!b7c~ is refused",
            "736b2f4c6976652b34663961216237637e",
            "736B2F4C6976652B",
            "sk%2FLive%2B4f9a%21b7c~",
            // base64 of the secret, of "k:" and of "key" before it, and for URLs.
            "c2svTGl2ZSs0ZjlhIWI3Y34=",
            "azpzay9MaXZlKzRmOWEhYjdjfg==",
            "a2V5c2svTGl2ZSs0ZjlhIWI3Y34=",
            "c2svTGl2ZSs0ZjlhIWI3Y34",
        ] {
            assert!(echo.is_in(told), "{told}");
        }
        for innocent in ["", "sk/Live", "9a!b7c~", "the key is refused", "c2svTGl", "Live+4f", "dep-a1b2c3d4"] {
            assert!(!echo.is_in(innocent), "{innocent}");
        }
    }

    #[test]
    fn a_short_secret_is_noticed_as_a_whole() {
        let echo = Echo::new(b"abc");
        assert!(echo.is_in("key abc refused"));
        assert!(!echo.is_in("key ab refused"));
    }
}
