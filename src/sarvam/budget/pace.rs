//! The rate of calls: what is asked for, or less where the remote has shown that it takes less.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// However often the remote says "too many", it is asked this often, in calls a second.
const SLOWEST: f64 = 0.1;

/// How long the rate takes to double again while answers are clean. The same for every rate, since nothing is known of
/// the remote's limit but that it lies below the rate at which it was met.
const DOUBLES_IN: Duration = Duration::from_mins(2);

/// For how long a rate limit is remembered: a second one within it comes of a rate that is too high, even where the remote says
/// when to come back; and a remote that takes no more than the rate is not tried with more.
const REMEMBERED: Duration = Duration::from_mins(1);

pub(super) struct Pace {
    /// The calls a second that each who shares the budget asks for.
    shares: BTreeMap<u64, u32>,
    newest: u64,
    /// The least of them, in calls a second.
    asked: f64,
    /// What the remote seems to take, where that is less.
    slowed: Option<f64>,
    /// When that was changed last.
    changed: Instant,
    /// When the remote last said that there were too many calls.
    limited: Option<Instant>,
    /// When it last said so of a call beyond the rate.
    refused_more: Option<Instant>,
}

impl Pace {
    pub fn new(calls_per_second: u32, now: Instant) -> Self {
        Self {
            shares: BTreeMap::new(),
            newest: 0,
            asked: f64::from(calls_per_second.max(1)),
            slowed: None,
            changed: now,
            limited: None,
            refused_more: None,
        }
    }

    /// One more shares the budget, and asks for so many calls a second; 0 counts as 1. Returns its name.
    pub fn join(&mut self, calls_per_second: u32) -> u64 {
        self.newest += 1;
        self.ask(self.newest, calls_per_second);
        self.newest
    }

    /// One who shares the budget asks for so many from now on.
    pub fn ask(&mut self, who: u64, calls_per_second: u32) {
        self.shares.insert(who, calls_per_second.max(1));
        self.count();
    }

    /// One who shared the budget is gone.
    pub fn leave(&mut self, who: u64) {
        self.shares.remove(&who);
        self.count();
    }

    fn count(&mut self) {
        // When all are gone, what the last asked for holds for the calls that they leave behind.
        if let Some(least) = self.shares.values().min() {
            self.asked = f64::from(*least);
        }
    }

    /// What is asked for, in calls a second.
    pub const fn asked(&self) -> f64 {
        self.asked
    }

    /// What is kept to, in calls a second.
    pub fn rate(&self) -> f64 {
        self.slowed.map_or(self.asked, |slowed| slowed.min(self.asked))
    }

    /// The remote says that there were too many calls. Of one that `overdraws` that says nothing about the rate, as it asks for
    /// more; nor does it, once, where the remote `says_when` to come back.
    pub fn limit(&mut self, overdraws: bool, says_when: bool, now: Instant) {
        let goes_on = self.limited.replace(now).is_some_and(|before| now < before + REMEMBERED);
        if !overdraws && (!says_when || goes_on) {
            self.slowed = Some((self.rate() / 2.0).max(SLOWEST));
            self.changed = now;
        }
    }

    /// The remote has refused a call beyond the rate.
    pub fn refuse_more(&mut self, now: Instant) {
        self.refused_more = Some(now);
    }

    /// Whether it may take calls beyond the rate.
    pub fn takes_more(&self, now: Instant) -> bool {
        self.refused_more.is_none_or(|at| at + REMEMBERED <= now)
    }

    /// The remote has answered, and all is well.
    pub fn recover(&mut self, now: Instant) {
        let Some(slowed) = self.slowed else { return };
        let passed = now.saturating_duration_since(self.changed);
        let rate = slowed * (passed.as_secs_f64() / DOUBLES_IN.as_secs_f64()).exp2();
        self.slowed = (rate < self.asked).then_some(rate);
        self.changed = now;
    }
}
