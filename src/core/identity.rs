//! Which line it is that an id leads to.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroU64,
};

use jiff::Timestamp;

/// What a line keeps for its whole life, as far as it is told: `app_id` and `created_at`. Where one id has had two of either,
/// another line has come in under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// A fingerprint of `app_id`: it means something in this process alone, and takes less room than the text.
    app: Option<NonZeroU64>,
    /// `created_at`, in seconds since 1970, and one more.
    created: Option<NonZeroU64>,
}

impl Identity {
    /// That of a line with this `app_id`, made at this time. As in a status, fractions of a second don't count, and a time before
    /// 1970 is none.
    #[must_use]
    pub fn new(app_id: Option<&str>, created_at: Option<Timestamp>) -> Self {
        let fingerprint = |text: &str| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            NonZeroU64::MIN | hasher.finish()
        };
        let since_1970 = created_at.and_then(|time| u64::try_from(time.as_second()).ok());
        Self {
            app: app_id.map(fingerprint),
            created: since_1970.map(|seconds| NonZeroU64::MIN.saturating_add(seconds)),
        }
    }

    /// Whether something that both tell is not the same.
    #[must_use]
    pub fn differs_from(self, other: Self) -> bool {
        let differ = |one: Option<NonZeroU64>, other| one.zip(other).is_some_and(|(one, other)| one != other);
        differ(self.app, other.app) || differ(self.created, other.created)
    }

    /// Whether it tells all that `other` tells, and the same.
    #[must_use]
    pub fn tells(self, other: Self) -> bool {
        self.or(other) == self && !self.differs_from(other)
    }

    /// The same, and what it doesn't tell as in `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { app: self.app.or(other.app), created: self.created.or(other.created) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity((app_id, created_at): (&str, &str)) -> Identity {
        Identity::new(Some(app_id).filter(|it| !it.is_empty()), created_at.parse().ok())
    }

    #[test]
    fn two_identities_are_compared_where_both_tell_something() {
        const T: &str = "2026-11-25T10:00:00Z";
        // Two identities, whether they differ, and whether the first tells all of the second.
        let table = [
            (("a", T), ("a", T), false, true),
            (("a", T), ("b", T), true, false),
            (("a", T), ("a", "2026-11-25T10:00:01Z"), true, false),
            (("a", T), ("a", "2026-11-25T15:30:00.9+05:30"), false, true),
            (("a", ""), ("a", T), false, false),
            (("a", T), ("a", ""), false, true),
            (("", T), ("a", ""), false, false),
            (("", T), ("b", "2026-11-25T10:00:01Z"), true, false),
            (("", ""), ("a", T), false, false),
            (("", ""), ("", ""), false, true),
            (("", "1970-01-01T00:00:00Z"), ("", "1970-01-01T00:00:01Z"), true, false),
            // As a status tells it, such a time is none.
            (("", "1969-12-31T23:59:58Z"), ("", "1969-12-31T23:59:57Z"), false, true),
        ];
        for (one, other, differ, tells) in table {
            let (one, other) = (identity(one), identity(other));
            assert_eq!((one.differs_from(other), one.tells(other)), (differ, tells), "{one:?}, {other:?}");
            assert_eq!(other.differs_from(one), differ, "the other way round: {one:?}, {other:?}");
        }
    }

    #[test]
    fn what_is_not_told_is_as_it_was_known() {
        let table = [
            (("a", ""), ("b", "2026-11-25T10:00:00Z"), ("a", "2026-11-25T10:00:00Z")),
            (("", ""), ("b", "2026-11-25T10:00:00Z"), ("b", "2026-11-25T10:00:00Z")),
        ];
        for (told, known, both) in table {
            assert_eq!(identity(told).or(identity(known)), identity(both));
        }
    }
}
