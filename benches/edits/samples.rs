//! Times of equal things.

use std::time::Instant;

/// Milliseconds, the least first; at least one. What did not end in its time is infinite.
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn new(mut millis: Vec<f64>) -> Self {
        millis.sort_unstable_by(f64::total_cmp);
        Self(millis)
    }

    /// From one instant to another, which may be the earlier: two watches are not told at the same time.
    pub fn between(begin: Instant, end: Instant) -> f64 {
        let millis = |span: std::time::Duration| span.as_secs_f64() * 1000.0;
        if end >= begin { millis(end - begin) } else { -millis(begin - end) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least time that this many in a hundred did not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.saturating_sub(1)]
    }
}
