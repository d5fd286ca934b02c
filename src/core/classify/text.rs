//! Texts of the remote on their way to people.

use super::Reply;

/// The most characters of one text that are passed on.
pub(super) const LONGEST: usize = 256;

/// The text without control and invisible characters, runs of blanks made one: the one form in which texts are shown, and
/// compared.
#[must_use]
pub fn legible(text: &str) -> String {
    // As ids, times and numbers are.
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let visible: String =
        text.chars().map(|char| if char.is_control() || is_invisible(char) { ' ' } else { char }).collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    words.join(" ")
}

/// The text made [`legible`] and cut to [`LONGEST`] characters. Nothing when nothing is left or when it gives the key away.
pub(super) fn clean(text: &str, reply: &Reply<'_>) -> Option<String> {
    let mut text = legible(text);
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
    }
    (!text.is_empty() && !(reply.gives_key_away)(&text)).then_some(text)
}

/// Characters that change how a text looks without being seen: zero width, direction marks, byte order mark, tags.
/// The two joiners stay: words of Indian languages are written with them.
const fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every word that may be a credential replaced: at least 20 characters with a digit among them, or begun
/// like a key. Request ids and times, which change from try to try, go the same way.
pub(super) fn redact(text: &str) -> String {
    text.split_inclusive(|char: char| char.is_whitespace() || "\"'`,;()[]{}<>".contains(char))
        .map(|piece| {
            let word = piece.trim_end_matches(|char: char| char.is_whitespace() || "\"'`,;()[]{}<>".contains(char));
            if is_key_like(word) { piece.replacen(word, "[redacted]", 1) } else { piece.to_owned() }
        })
        .collect()
}

fn is_key_like(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    (word.len() >= 20 && has_digit) || (word.len() >= 8 && (word.starts_with("sk_") || word.starts_with("sk-")))
}
