//! How a change of a line's configuration is carried out, and what can come of it.

use std::time::Duration;

use super::config::Fields;

/// Whether a line is paused while what callers reach is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// It is, where a field changes that [needs it](super::config::Field::needs_pause).
    #[default]
    PauseFirst,
    /// It never is.
    InPlace,
}

/// What becomes of a line whose change failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It is what `spec.paused` says, with the configuration that it had.
    #[default]
    Resume,
    /// It stays paused.
    StayPaused,
}

/// `spec.rollout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rollout {
    /// Whether the line is paused first.
    pub strategy: Strategy,
    /// How long the line may be paused for a change.
    pub max_pause: Duration,
    /// What becomes of the line when the change fails.
    pub on_failure: OnFailure,
}

impl Rollout {
    /// Whether the line is paused while these fields are changed.
    #[must_use]
    pub fn pauses_for(&self, fields: Fields) -> bool {
        self.strategy == Strategy::PauseFirst && fields.need_pause()
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Self { strategy: Strategy::default(), max_pause: Duration::from_mins(2), on_failure: OnFailure::default() }
    }
}

/// Why a change was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The remote refused it for good.
    Refused,
    /// The line was paused for longer than `maxPauseSeconds`.
    Overdue,
    /// The remote accepted it again and again, and never showed it.
    NotApplied,
    /// The remote applied a part of it: nobody may reach a line like that, so it stays paused.
    Incomplete,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Overdue, Self::NotApplied, Self::Incomplete];
}

/// Where a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The line is being paused for it.
    Pausing,
    /// It is being written, or has been and doesn't show yet.
    Changing,
    /// It is there, and the line is being resumed.
    Resuming,
    /// The line waits, paused, until an earlier call can't land any more.
    Waiting,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Field;

    #[test]
    fn a_line_is_paused_for_what_needs_it() {
        for (strategy, field, pauses) in [
            (Strategy::PauseFirst, Field::AppVersion, true),
            (Strategy::PauseFirst, Field::Schedule, false),
            (Strategy::InPlace, Field::AppVersion, false),
            (Strategy::InPlace, Field::Schedule, false),
        ] {
            let rollout = Rollout { strategy, ..Rollout::default() };
            assert_eq!(rollout.pauses_for([field].into_iter().collect()), pauses, "{strategy:?} {field:?}");
        }
    }
}
