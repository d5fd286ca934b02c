//! Answers of the remote: what is taken for a success is one, and says what a naive reader reads.

use std::sync::LazyLock;
use std::time::Duration;

use sarvam_operator::core::classify::{self, Call, Fault, LONGEST_PAGE, Landed, Remote, Reply};
use sarvam_operator::core::id::Id;
use sarvam_operator::core::line::{State, Trouble};
use sarvam_operator::sarvam::key::ApiKey;

use super::json::Json;

/// Longer bodies only take longer.
const LONGEST: usize = 4096;

/// The line that is asked for.
const LINE: &str = "dep-1";

/// The key of the calls. No id can hold eight of its characters in a row.
pub const KEY: &str = "Zq7/kP2+wX9~rT4=mB6!nD1";

static THE_KEY: LazyLock<ApiKey> = LazyLock::new(|| ApiKey::new(KEY.as_bytes()).unwrap_or_else(|_| panic!("a key")));

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Line(State),
    Page,
    Fault,
}

/// An answer, from any bytes: a first line such as `GET 200|retry-after|date|another retry-after`, then the body. The call is known by its
/// first letter.
struct Input<'a> {
    call: Call,
    status: u16,
    headers: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Input<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let mut parts = bytes[..end].split(|byte| *byte == b'|');
        let first = parts.next().unwrap_or_default();
        let digits = first.iter().filter(|byte| byte.is_ascii_digit());
        Self {
            call: match first.first() {
                Some(b'P') => Call::SetStatus,
                Some(b'L') => Call::List,
                _ => Call::Get,
            },
            status: digits.fold(0_u16, |all, digit| all.wrapping_mul(10).wrapping_add(u16::from(digit - b'0'))),
            headers: ["retry-after", "date", "retry-after"].into_iter().zip(parts).collect(),
            body: bytes.get(end + 1..).unwrap_or_default(),
        }
    }
}

/// Panics when the answer is misread.
pub fn check(bytes: &[u8]) -> Read {
    let input = Input::of(&bytes[..bytes.len().min(LONGEST)]);
    let reply = Reply {
        status: input.status,
        headers: &input.headers,
        body: input.body,
        read_at: "2026-11-25T12:00:00Z".parse().expect("a time"),
        gives_key_away: &|text| THE_KEY.is_given_away_by(text),
    };
    let told = Json::parse(input.body);
    let told = told.as_ref();
    if input.call == Call::List {
        let page = classify::page(&reply);
        let whole = told.filter(|_| is_success(input.status)).and_then(rows);
        match &page {
            Ok(page) => {
                let rows = whole.expect("a page is a whole object with one list of items");
                assert_eq!(page.rows, rows.len());
                let known: Vec<_> = rows.iter().filter_map(|row| Some((id(row)?, *row))).collect();
                assert_eq!(page.lines.len(), known.len(), "lines with an id");
                for (line, (id, row)) in page.lines.iter().zip(known) {
                    same(line, id, row);
                }
            }
            Err(fault) => {
                assert!(!whole.is_some_and(|_| told.is_some_and(|told| told.is_tame(0))), "a good page: {fault:?}");
                check_fault(input.call, input.status, fault);
            }
        }
        return if page.is_ok() { Read::Page } else { Read::Fault };
    }
    let expected = Id::new(LINE).expect("an id");
    let whole = told.filter(|told| is_success(input.status) && are_single(told) && id(told) == Some(LINE));
    match classify::line(input.call, &expected, &reply) {
        Ok(line) => {
            same(&line, LINE, whole.expect("a success is the whole object of this very line"));
            Read::Line(line.state)
        }
        Err(fault) => {
            assert!(!whole.is_some_and(|told| told.is_tame(0)), "the whole object of this very line: {fault:?}");
            check_fault(input.call, input.status, &fault);
            Read::Fault
        }
    }
}

fn is_success(status: u16) -> bool {
    status == 200 || status == 201
}

/// Every member that is read is there once at most: of two, nobody knows which one counts.
fn are_single(object: &Json) -> bool {
    let read = [
        "deployment_id",
        "status",
        "name",
        "description",
        "inbound_config",
        "app_id",
        "app_version",
        "connection_configs",
        "phone_numbers",
        "channel_direction",
        "created_at",
        "updated_at",
        "updated_by",
    ];
    matches!(object, Json::Object(_)) && read.iter().all(|name| object.members(name).len() <= 1)
}

fn only<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    object.members(name).first().copied()
}

fn id(object: &Json) -> Option<&str> {
    let id = only(object, "deployment_id")?.text()?;
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9');
    let rest = id.bytes().all(|byte| is_plain(byte) || byte == b'-' || byte == b'_');
    (rest && id.len() <= 128 && id.bytes().next().is_some_and(is_plain)).then_some(id)
}

fn rows(list: &Json) -> Option<Vec<&Json>> {
    let [Json::Array(items)] = list.members("items")[..] else { return None };
    let good = |row: &Json| !matches!(row, Json::Object(_)) || are_single(row);
    let whole = list.members("total").len() <= 1 && items.len() <= LONGEST_PAGE && items.iter().all(good);
    whole.then(|| items.iter().collect())
}

/// The line is the object's.
fn same(line: &Remote, id: &str, object: &Json) {
    assert_eq!(line.deployment.as_str(), id, "an answer about another line");
    let state = match only(object, "status").and_then(Json::text) {
        Some("active") => State::Active,
        Some("paused") => State::Paused,
        _ => State::Unknown,
    };
    assert_eq!(line.state, state, "the state is misread");
    assert_eq!(line.config.app_version, only(object, "app_version").and_then(Json::integer), "the version is misread");
    for (field, read) in [
        ("name", &line.config.name),
        ("app_id", &line.app_id),
        ("channel_direction", &line.channel_direction),
        ("updated_by", &line.updated_by),
    ] {
        let told = only(object, field).and_then(Json::text);
        // A text with a part of the key in it is not shown: the key's own tests say which parts those are.
        let plain = told.filter(|told| {
            let is_plain =
                !told.is_empty() && told.len() <= 40 && told.bytes().all(|byte| byte.is_ascii_alphanumeric());
            is_plain && !THE_KEY.is_given_away_by(told)
        });
        if let Some(plain) = plain {
            assert_eq!(read.as_deref(), Some(plain), "{field} is misread");
        }
        assert!(told.is_some() || read.is_none(), "{field} is made up");
        check_words(read.as_deref().unwrap_or_default(), 256);
    }
    for (field, read) in [("created_at", line.created_at), ("updated_at", line.updated_at)] {
        let told = only(object, field).and_then(Json::text).and_then(|time| time.parse().ok());
        assert_eq!(read, told, "{field} is misread");
    }
    line.config.phone_numbers().iter().for_each(|number| check_words(number, 256));
}

/// What the remote says is shown in this form only.
fn check_words(words: &str, longest: usize) {
    assert!(words.chars().count() <= longest && !words.contains(char::is_control), "{words:?} is not fit to be shown");
    for part in KEY.as_bytes().windows(8) {
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = str::from_utf8(part).expect("the key is ASCII");
        assert!(!words.contains(part) && !words.contains(&hex[..8]), "{words:?} gives the key away");
    }
}

fn check_fault(call: Call, status: u16, fault: &Fault) {
    let is_definite = (400..500).contains(&status) && ![408, 409, 425].contains(&status);
    let landed = if call == Call::SetStatus && !is_definite { Landed::Maybe } else { Landed::No };
    assert_eq!(fault.landed, landed, "what may have changed: {fault:?}");
    let kinds: &[Trouble] = match status {
        401 | 403 => &[Trouble::CredentialsRejected],
        404 | 410 => &[Trouble::NotFound],
        409 => &[Trouble::Conflict],
        408 | 425 => &[Trouble::Unavailable],
        429 => &[Trouble::RateLimited, Trouble::QuotaExhausted],
        400..=499 => &[Trouble::Refused],
        503 => &[Trouble::Unavailable, Trouble::RateLimited],
        500..=599 => &[Trouble::Unavailable],
        _ => &[Trouble::UnexpectedResponse],
    };
    assert!(kinds.contains(&fault.trouble), "HTTP {status} as {:?}", fault.trouble);
    assert_eq!(fault.rejection.is_some(), fault.trouble == Trouble::CredentialsRejected);
    let within = |wait: Duration| (Duration::from_secs(1)..=Duration::from_mins(15)).contains(&wait);
    assert!(fault.retry_after.is_none_or(within), "{fault:?}");
    check_words(&fault.message, 400);
}
