//! Time as the core sees it: a value that is handed in.

use std::{ops::Add, time::Duration};

/// A moment, in milliseconds on a monotonic clock of this process. Only order and differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// Later than every moment.
    pub const NEVER: Self = Self(u64::MAX);

    /// How long it is from `now` until this moment; zero when it has passed.
    #[must_use]
    pub const fn from_now(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Stops at [`Time::NEVER`] in place of overflowing.
    fn add(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_overflows_nor_goes_back() {
        let second = Duration::from_secs(1);
        assert_eq!(Time(500) + second, Time(1500));
        assert_eq!(Time(u64::MAX - 1) + second, Time::NEVER);
        assert_eq!(Time(1) + Duration::MAX, Time::NEVER);
        assert_eq!(Time(1500).from_now(Time(500)), second);
        assert_eq!(Time(500).from_now(Time(1500)), Duration::ZERO);
    }
}
