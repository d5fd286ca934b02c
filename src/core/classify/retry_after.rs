//! `Retry-After`: seconds, or a date in one of the three forms of HTTP.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::Reply;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(15);

/// The longest wait that the answer asks for, within bounds. What can't be understood counts as absent.
pub(super) fn read(reply: &Reply<'_>) -> Option<Duration> {
    // The remote's own clock, where it tells it: ours may be wrong.
    let now = values(reply, "date").find_map(date).unwrap_or(reply.read_at);
    values(reply, "retry-after")
        .filter_map(|value| seconds(value).or_else(|| date(value).map(|until| wait(now, until))))
        .max()
        .map(|wait| wait.clamp(SHORTEST, LONGEST))
}

fn values<'a>(reply: &Reply<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    reply
        .headers
        .iter()
        .filter(move |(header, _)| *header == name)
        .filter_map(|(_, value)| Some(str::from_utf8(value).ok()?.trim()))
}

fn seconds(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // More seconds than a u64 holds are still seconds.
    digits.then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

fn date(value: &str) -> Option<Timestamp> {
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| DateTime::strptime(form, value).ok())
        .and_then(|date| TimeZone::UTC.to_timestamp(date).ok())
}

fn wait(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}
