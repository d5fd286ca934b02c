//! The clock of the tokio runtime, in the terms of the standard library: where a test has paused the runtime's time, it stands still
//! with it.

use std::time::Instant;

use jiff::Timestamp;

/// The present moment.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A wall clock that goes with [`now`] from its start on.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    start: Instant,
    shown: Timestamp,
}

impl Wall {
    /// What a run that must be repeatable calls its first moment.
    pub const REPEATABLE: Timestamp = Timestamp::constant(1_767_225_600, 0);

    /// Shows `shown` now.
    #[must_use]
    pub fn start_at(shown: Timestamp) -> Self {
        Self { start: now(), shown }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shown + (now() - self.start)
    }
}
