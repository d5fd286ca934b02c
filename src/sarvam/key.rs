//! The API key, from the bytes of a Secret to the header of a call, and nowhere else.

use std::sync::Arc;

use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::echo::Echo;

/// The longest key, in bytes.
pub const MAX_LENGTH: usize = 512;

/// A key to a workspace of the remote: 1 to 512 visible ASCII characters.
///
/// It has neither `Debug` nor `Display`, and is wiped from memory when the last clone is dropped. Two are equal when
/// their texts are: that is how a rotation is noticed.
#[derive(Clone)]
pub struct ApiKey(Arc<Inner>);

struct Inner {
    text: SecretString,
    echo: Echo,
}

/// Why the bytes are no key. Fits behind the place that they were found in: "Secret voice/sarvam, key "api-key": it
/// is empty". Says nothing of their content but the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidKey {
    /// Nothing but ASCII whitespace.
    #[error("it is empty; put the API key there")]
    Empty,
    /// Begins with the byte order mark of UTF-8 or UTF-16.
    #[error("it begins with a byte order mark; save the API key as plain ASCII text")]
    ByteOrderMark,
    /// A space, tab or line break between other characters.
    #[error("it has a space, tab or line break inside; put the API key there alone, on one line")]
    Whitespace,
    /// A control character other than whitespace.
    #[error("it has a control character inside; copy the API key again as plain text")]
    ControlCharacter,
    /// A byte outside of ASCII.
    #[error("it has a character outside of ASCII; copy the API key again as plain text")]
    NotAscii,
    /// More than [`MAX_LENGTH`] bytes.
    #[error("it is longer than {MAX_LENGTH} bytes; put the API key there alone")]
    TooLong,
}

impl ApiKey {
    /// The key in the bytes of a Secret. ASCII whitespace around it, such as the line break that an editor adds, is no
    /// part of it.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes = bytes.trim_ascii();
        let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
        if bytes.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if marks.iter().any(|mark| bytes.starts_with(mark)) {
            return Err(InvalidKey::ByteOrderMark);
        }
        if bytes.len() > MAX_LENGTH {
            return Err(InvalidKey::TooLong);
        }
        if let Some(byte) = bytes.iter().find(|byte| !byte.is_ascii_graphic()) {
            return Err(match byte {
                b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' => InvalidKey::Whitespace,
                0x80.. => InvalidKey::NotAscii,
                _ => InvalidKey::ControlCharacter,
            });
        }
        let text = str::from_utf8(bytes).map_err(|_| InvalidKey::NotAscii)?;
        Ok(Self(Arc::new(Inner { text: text.into(), echo: Echo::new(bytes) })))
    }

    /// The key as a header's value, which no log shows.
    pub(super) fn header(&self) -> HeaderValue {
        let mut value =
            HeaderValue::from_str(self.0.text.expose_secret()).expect("visible ASCII is a valid header value");
        value.set_sensitive(true);
        value
    }

    /// Whether the text repeats the key or a part of it, as it is or encoded.
    #[must_use]
    pub fn is_given_away_by(&self, text: &str) -> bool {
        self.0.echo.is_in(text)
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.text.expose_secret() == other.0.text.expose_secret()
    }
}

impl Eq for ApiKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_with_blanks_around_it_at_most() {
        let longest = "k".repeat(MAX_LENGTH);
        let padded = format!(" \n{longest}\r\n");
        for (bytes, text) in [
            ("k", "k"),
            ("sk_live-4f9a!~", "sk_live-4f9a!~"),
            ("key\n", "key"),
            ("key\r\n", "key"),
            (" \t\x0ckey \n", "key"),
            (&padded, &longest),
        ] {
            let header = ApiKey::new(bytes.as_bytes()).map(|key| key.header()).ok();
            assert!(header.as_ref().is_some_and(HeaderValue::is_sensitive));
            assert!(header.is_some_and(|header| header == *text), "{bytes:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_the_rule_it_breaks() {
        use InvalidKey::{ByteOrderMark, ControlCharacter, Empty, NotAscii, TooLong, Whitespace};
        let long = vec![b'k'; MAX_LENGTH + 1];
        let huge = vec![b'k'; 1024 * 1024];
        let cases: &[(&[u8], InvalidKey)] = &[
            (b"", Empty),
            (b" \r\n\t", Empty),
            (b"\xef\xbb\xbfkey", ByteOrderMark),
            (b"\n\xef\xbb\xbf", ByteOrderMark),
            (b"\xff\xfek\0e\0y\0", ByteOrderMark),
            (b"\xfe\xff\0k\0e\0y", ByteOrderMark),
            (b"a b", Whitespace),
            (b"a\tb", Whitespace),
            (b"a\r\nb", Whitespace),
            (b"a\x0bb", Whitespace),
            (b"a\0b", ControlCharacter),
            (b"\x1bkey", ControlCharacter),
            (b"key\x7f", ControlCharacter),
            ("clé".as_bytes(), NotAscii),
            ("key\u{200b}".as_bytes(), NotAscii),
            (b"key\xff", NotAscii),
            (&long, TooLong),
            (&huge, TooLong),
        ];
        for (bytes, rule) in cases {
            assert_eq!(ApiKey::new(bytes).err(), Some(*rule), "{rule:?}");
        }
    }

    /// Whether a type can be printed: the method of the type itself goes first, and it is there only where the bound holds.
    struct Printed<T>(std::marker::PhantomData<T>);

    trait Hidden {
        fn is_printable(&self) -> bool {
            false
        }
    }

    impl<T> Hidden for Printed<T> {}

    impl<T: std::fmt::Debug> Printed<T> {
        #[allow(clippy::unused_self, reason = "as in the trait")]
        fn is_printable(&self) -> bool {
            true
        }
    }

    #[test]
    fn what_holds_a_key_can_not_be_printed() {
        use crate::{sarvam, secret};
        let printed = [
            Printed::<ApiKey>(std::marker::PhantomData).is_printable(),
            Printed::<Inner>(std::marker::PhantomData).is_printable(),
            Printed::<Echo>(std::marker::PhantomData).is_printable(),
            Printed::<sarvam::Reader>(std::marker::PhantomData).is_printable(),
            Printed::<Result<ApiKey, secret::Unread>>(std::marker::PhantomData).is_printable(),
        ];
        assert!(!printed.contains(&true), "{printed:?}");
        assert!(Printed::<InvalidKey>(std::marker::PhantomData).is_printable(), "the probe itself works");
        // The header is all that is handed on.
        let key = ApiKey::new(b"sk_live-4f9a!~").ok().unwrap();
        assert_eq!(format!("{:?}", key.header()), "Sensitive");
    }

    #[test]
    fn equal_texts_are_equal_keys() {
        let key = |bytes| ApiKey::new(bytes).ok();
        assert!(key(b"one") == key(b"one\n"));
        assert!(key(b"one") != key(b"two"));
    }
}
