//! What people and the remote write as one text: keys, ids, intervals, `Retry-After`. Each rule is told a second time here, naively.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use sarvam_operator::api::SyncInterval;
use sarvam_operator::core::classify::{self, Reply};
use sarvam_operator::core::id::Id;
use sarvam_operator::sarvam::key::ApiKey;

/// What is told of a key that breaks a rule, for each of the rules.
static REFUSALS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let refused: [&[u8]; 6] = [b"", b"\xef\xbb\xbfk", b"k k", b"k\xff", b"k\x07k", &[b'k'; 513]];
    refused.map(|bytes| ApiKey::new(bytes).err().map(|rule| format!("{rule} {rule:?}")).expect("refused")).into()
});

/// Panics when one of the parsers takes the bytes for what they are not.
pub fn check(bytes: &[u8]) {
    key(bytes);
    retry_after(bytes, b"Sun, 06 Nov 1994 08:49:37 GMT");
    if let Ok(text) = str::from_utf8(bytes) {
        id(text);
        interval(text);
    }
}

fn key(bytes: &[u8]) {
    let is_blank = |byte: &u8| [b' ', b'\t', b'\n', b'\x0c', b'\r'].contains(byte);
    let Some(start) = bytes.iter().position(|byte| !is_blank(byte)) else {
        assert!(ApiKey::new(bytes).is_err(), "blanks are no key");
        return;
    };
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).expect("there is one");
    let bare = &bytes[start..=end];
    let is_key = bare.len() <= 512 && bare.iter().all(|byte| (0x21..=0x7e).contains(byte));
    match ApiKey::new(bytes) {
        Ok(key) => {
            assert!(is_key, "taken for a key: {}", bytes.escape_ascii());
            assert!(ApiKey::new(bare).is_ok_and(|same| same == key), "blanks around it are no part of it");
            let text = str::from_utf8(bare).expect("ASCII");
            for part in [text, &text[..bare.len().min(8)], &text[bare.len().saturating_sub(8)..]] {
                assert!(key.is_given_away_by(&format!("({part})")), "not noticed: {part:?}");
            }
            assert!(!key.is_given_away_by("") && !key.is_given_away_by("\u{2014}\u{2014}\u{2014}"));
        }
        Err(rule) => {
            assert!(!is_key, "refused: {}, {rule}", bytes.escape_ascii());
            // What is told of other bytes too gives none of these away, also where they happen to be some of its words.
            let told = format!("{rule} {rule:?}");
            assert!(REFUSALS.contains(&told), "told of these bytes alone: {told}");
        }
    }
}

fn id(text: &str) {
    let plain: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let is_id = (1..=128).contains(&text.len())
        && plain.contains(&text.chars().next().expect("not empty"))
        && text.chars().all(|char| plain.contains(&char) || char == '-' || char == '_');
    let read = Id::new(text);
    assert_eq!(read.is_ok(), is_id, "{text:?}");
    assert!(read.is_err() || read.is_ok_and(|id| id.as_str() == text));
}

fn interval(text: &str) {
    // One to three times: one to five digits, then a unit.
    let mut seconds = Some(0_u64);
    let mut rest: Vec<char> = text.chars().collect();
    let mut terms = 0;
    while !rest.is_empty() && seconds.is_some() {
        let digits = rest.iter().take_while(|char| char.is_ascii_digit()).count();
        let number =
            rest[..digits].iter().fold(0, |number, digit| (number * 10 + u64::from(*digit as u32 - 48)) % 1_000_000);
        let unit = match rest.get(digits) {
            Some('h') => Some(3600),
            Some('m') => Some(60),
            Some('s') => Some(1),
            _ => None,
        };
        seconds = unit.filter(|_| (1..=5).contains(&digits)).zip(seconds).map(|(unit, sum)| sum + number * unit);
        terms += 1;
        rest.drain(..(digits + 1).min(rest.len()));
    }
    let expected = seconds.filter(|seconds| (1..=3).contains(&terms) && (1..=3600).contains(seconds));
    let read = text.parse::<SyncInterval>().ok();
    assert_eq!(read.map(SyncInterval::duration), expected.map(Duration::from_secs), "{text:?}");
    if let Some(read) = read {
        assert_eq!(read.to_string().parse(), Ok(read));
    }
}

/// What a 429 with these headers asks for. Nothing panics, and nobody waits for longer than a quarter of an hour or not at all.
fn retry_after(value: &[u8], date: &[u8]) -> Option<Duration> {
    let headers: [(&str, &[u8]); 2] = [("retry-after", value), ("date", date)];
    let read_at = "2026-11-25T12:00:00Z".parse().expect("a time");
    let reply = Reply { status: 429, headers: &headers, body: b"", read_at, gives_key_away: &|_| false };
    let wait = classify::page(&reply).expect_err("a 429 is no page").retry_after;
    assert!(wait.is_none_or(|wait| (1..=900).contains(&wait.as_secs())), "{wait:?}");
    let digits = value.trim_ascii();
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        let seconds =
            digits.iter().fold(0_u64, |all, digit| all.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        assert_eq!(wait, Some(Duration::from_secs(seconds.clamp(1, 900))), "{}", value.escape_ascii());
    }
    wait
}

/// A day of the era as HTTP writes it: year, month, day, and weekday counted from Sunday.
fn civil(days: u32) -> (u32, usize, u32, usize) {
    let (mut year, mut left) = (1970, days);
    let is_leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while left >= 365 + u32::from(is_leap(year)) {
        left -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u32::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month, left + 1, (days as usize + 4) % 7)
}

/// A second of the era in the three forms of HTTP.
fn forms(second: u32) -> [String; 3] {
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day, weekday) = civil(second / 86_400);
    let (name, month) = (DAYS[weekday], MONTHS[month]);
    let time = format!("{:02}:{:02}:{:02}", second / 3600 % 24, second / 60 % 60, second % 60);
    [
        format!("{}, {day:02} {month} {year} {time} GMT", &name[..3]),
        format!("{name}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        format!("{} {month} {day:>2} {time} {year}", &name[..3]),
    ]
}

/// Texts of what keys, ids and intervals are made of, and a little else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{0,6}[hms]([0-9]{0,6}[hms]?){0,3}",
        "[A-Za-z0-9][A-Za-z0-9_-]{0,140}",
        "[ \t\r\n]{0,2}[!-~]{0,520}[ \n]{0,2}",
        "\\PC{0,30}",
        any::<String>(),
        Just("\u{feff}key".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn texts_are_taken_for_what_they_are(text in text(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check(text.as_bytes());
        check(&bytes);
    }

    /// From 1970 to 2068, which two digits of a year tell apart.
    #[test]
    fn a_date_is_as_far_away_as_it_says(now in 2000..3_092_000_000_u32, wait in -2000..2000_i64) {
        let then = u32::try_from(i64::from(now) + wait).unwrap();
        let expected = Some(Duration::from_secs(u64::try_from(wait.clamp(1, 900)).unwrap()));
        for (date, value) in forms(now).into_iter().zip(forms(then)) {
            prop_assert_eq!(retry_after(value.as_bytes(), date.as_bytes()), expected, "{} after {}", value, date);
        }
    }
}
