//! How often a workspace is compared with the remote.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::schema;

/// A time between two looks, from one second to one hour, written as Go writes it: `60s`, `5m`, `1m30s`.
///
/// Whole hours, minutes and seconds only. Five digits each keep every sum far from an overflow, here and in CEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncInterval(Duration);

const PATTERN: &str = "^([0-9]{1,5}[hms]){1,3}$";
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// Text that is not a [`SyncInterval`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1s to 1h, in whole hours, minutes and seconds: 60s, 5m or 1m30s for example")]
pub struct InvalidInterval;

impl SyncInterval {
    /// The interval as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl Default for SyncInterval {
    fn default() -> Self {
        Self(Duration::from_mins(1))
    }
}

impl FromStr for SyncInterval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, InvalidInterval> {
        let terms: Vec<&str> = text.split_inclusive(['h', 'm', 's']).collect();
        if !(1..=3).contains(&terms.len()) {
            return Err(InvalidInterval);
        }
        let seconds = terms.into_iter().map(seconds).sum::<Result<u64, _>>()?;
        let interval = Duration::from_secs(seconds);
        if (SHORTEST..=LONGEST).contains(&interval) { Ok(Self(interval)) } else { Err(InvalidInterval) }
    }
}

/// The seconds in one number with its unit.
fn seconds(term: &str) -> Result<u64, InvalidInterval> {
    let (number, unit) = term.split_at_checked(term.len().saturating_sub(1)).ok_or(InvalidInterval)?;
    let unit = match unit {
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(InvalidInterval),
    };
    if number.len() > 5 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidInterval);
    }
    number.parse::<u64>().map(|number| number * unit).map_err(|_| InvalidInterval)
}

impl fmt::Display for SyncInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

impl Serialize for SyncInterval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SyncInterval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for SyncInterval {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SyncInterval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::text(
            18,
            PATTERN,
            &format!(
                "self.matches('{PATTERN}') && duration(self) >= duration('1s') && duration(self) <= duration('1h')"
            ),
            &InvalidInterval.to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_minutes_and_seconds_from_1s_to_1h() {
        let good = [
            ("1s", 1),
            ("60s", 60),
            ("1m", 60),
            ("1m30s", 90),
            ("0h1m0s", 60),
            ("30s5m", 330),
            ("1h", 3600),
            ("03600s", 3600),
        ];
        for (text, seconds) in good {
            assert_eq!(text.parse().map(SyncInterval::duration), Ok(Duration::from_secs(seconds)), "{text}");
        }
        let bad = [
            "",
            "0s",
            "60",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "500ms",
            "1h1s",
            "2h",
            "61m",
            "99999h99999m99999s",
            "999999s",
            "1 m",
            "1 minute",
            "1m ",
            "1d",
            "1m1m1m1m",
            "１s",
            "1µs",
            "1s\n",
        ];
        for text in bad {
            assert_eq!(text.parse::<SyncInterval>(), Err(InvalidInterval), "{text:?}");
        }
    }

    #[test]
    fn it_is_written_in_seconds_and_read_back() {
        let interval: SyncInterval = "1m30s".parse().unwrap();
        assert_eq!(interval.to_string(), "90s");
        assert_eq!(interval.to_string().parse(), Ok(interval));
    }
}
