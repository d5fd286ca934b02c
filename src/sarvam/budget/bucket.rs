//! Tokens, one a call.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that is filled at a rate. It holds one second's worth of tokens and may owe as many.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    /// What has come in until then is counted.
    counted: Instant,
}

/// How many tokens a bucket holds at a rate a second: at least one, or there never was a call.
pub(super) const fn burst(rate: f64) -> f64 {
    rate.max(1.0)
}

impl Bucket {
    pub fn full(rate: f64, now: Instant) -> Self {
        Self { tokens: burst(rate), counted: now }
    }

    /// Counts what has come in at this rate since it was counted last.
    pub fn fill(&mut self, rate: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).clamp(-burst(rate), burst(rate));
        self.counted = self.counted.max(now);
    }

    /// How long until one can be taken that leaves at least `floor`.
    pub fn wait(&self, floor: f64, rate: f64) -> Duration {
        let missing = floor + 1.0 - self.tokens;
        // What rounding leaves over is no reason to wait.
        if missing > 1e-6 { Duration::from_secs_f64(missing / rate) } else { Duration::ZERO }
    }

    pub fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// Drops what was saved, and counts again from that moment on.
    pub fn drain(&mut self, until: Instant) {
        self.tokens = self.tokens.min(0.0);
        self.counted = self.counted.max(until);
    }

    pub const fn tokens(&self) -> f64 {
        self.tokens
    }
}
