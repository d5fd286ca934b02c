//! Stops calls to a remote that is down, and finds out when it is back.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::id::LineId;

/// So many failures in a row, of so many lines, mean that the remote is down. One line that always fails means nothing.
const FAILURES: u32 = 5;
const LINES: usize = 3;

/// How long no call is made, at first and at most: it doubles each time the call after it fails too.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Breaker {
    /// Failures in a row while calls are made.
    failures: u32,
    /// Whose they were, each once and no more than are needed. `None` is the list.
    lines: Vec<Option<LineId>>,
    open: Option<Open>,
}

struct Open {
    until: Instant,
    pause: Duration,
    probing: bool,
}

/// Whether calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// They are.
    Closed,
    /// None is made before this instant: the remote is down.
    Open(Instant),
    /// The next may be made, to find out whether the remote is back.
    HalfOpen,
    /// That one is in flight, and the others wait for what comes of it.
    Probing,
}

impl Breaker {
    pub fn circuit(&self, now: Instant) -> Circuit {
        match &self.open {
            None => Circuit::Closed,
            Some(open) if open.probing => Circuit::Probing,
            Some(open) if now < open.until => Circuit::Open(open.until),
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// A call begins. True where it is the one that finds out.
    pub fn begin(&mut self) -> bool {
        self.open.as_mut().map(|open| open.probing = true).is_some()
    }

    /// The call that was to find out has ended without an outcome: another one may.
    pub fn give_up(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    /// The remote has answered a call. Whatever it said, it is there.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// The remote has failed a call.
    pub fn failed(&mut self, line: Option<&LineId>, was_probe: bool, now: Instant) {
        match &mut self.open {
            Some(open) if was_probe => {
                let pause = (open.pause * 2).min(LAST_PAUSE);
                *open = Open { until: now + pause, pause, probing: false };
            }
            // It was on its way before.
            Some(_) => {}
            None => {
                self.failures = self.failures.saturating_add(1);
                if self.lines.len() < LINES && !self.lines.iter().any(|known| known.as_ref() == line) {
                    self.lines.push(line.cloned());
                }
                if self.failures >= FAILURES && self.lines.len() >= LINES {
                    self.open = Some(Open { until: now + FIRST_PAUSE, pause: FIRST_PAUSE, probing: false });
                }
            }
        }
    }
}
