//! The clocks of this process: the monotonic one, as the core's [`Time`], and the one on the wall.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::core::time::Time;

/// Counts from its own start. Clones agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// What the wall showed at the start, where it goes with this clock from then on.
    wall: Option<Timestamp>,
}

impl Clock {
    /// A clock that shows zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: None }
    }

    /// The same, but the wall shows `wall` now and goes with this clock: in a run that is repeated it shows the same.
    #[must_use]
    pub fn start_at(wall: Timestamp) -> Self {
        Self { start: Instant::now(), wall: Some(wall) }
    }

    /// What the wall shows: for people to read. Nothing is decided by it.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.wall.map_or_else(Timestamp::now, |wall| wall + (Instant::now() - self.start))
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// A moment as the core sees it.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Time {
        Time(0) + instant.saturating_duration_since(self.start)
    }

    /// What a clock on the wall shows at `time`, as far as can be told now.
    #[must_use]
    pub fn on_the_wall(&self, time: Time) -> Timestamp {
        let (now, wall) = (self.now(), self.wall());
        let at = if time < now { wall.checked_sub(now.from_now(time)) } else { wall.checked_add(time.from_now(now)) };
        at.unwrap_or(Timestamp::MAX)
    }

    /// The moment at which a clock on the wall showed `time`, as far as can be told now: no earlier than this clock's start.
    #[must_use]
    pub fn of_the_wall(&self, time: Timestamp) -> Time {
        let (now, passed) = (self.now(), self.wall().duration_since(time));
        let passed = u64::try_from(passed.as_millis()).unwrap_or_default();
        Time(now.0.saturating_sub(passed))
    }

    /// Waits until `time`; for ever if that is [`Time::NEVER`].
    pub async fn wait_until(&self, time: Time) {
        match self.start.checked_add(Duration::from_millis(time.0)) {
            Some(instant) if time != Time::NEVER => tokio::time::sleep_until(instant).await,
            _ => std::future::pending().await,
        }
    }
}
