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

/// How long a fresh edit waits at most, from the call before it. It may be of the one line that the trouble spares.
const PAUSE_OF_EDITS: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Breaker {
    /// Failures in a row while calls are made.
    failures: u32,
    /// Whose they were, each once and no more than are needed. `None` is the list.
    lines: Vec<Option<LineId>>,
    open: Option<Open>,
}

struct Open {
    /// No call but of a fresh edit before.
    until: Instant,
    /// No call at all before.
    edits_until: Instant,
    pause: Duration,
    /// How many calls that find out are in flight.
    probes: usize,
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
            Some(open) if open.probes > 0 => Circuit::Probing,
            Some(open) if now < open.until => Circuit::Open(open.until),
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// Until when no fresh edit goes, and from when on others may too; `None`: one may go.
    pub fn edits_held(&self, now: Instant) -> Option<(Instant, Instant)> {
        let open = self.open.as_ref().filter(|open| now < open.edits_until)?;
        Some((open.edits_until, open.until.max(open.edits_until)))
    }

    /// A call begins. True where it is one that finds out.
    pub fn begin(&mut self, now: Instant) -> bool {
        let Some(open) = &mut self.open else { return false };
        open.probes += 1;
        open.edits_until = now + PAUSE_OF_EDITS;
        true
    }

    /// A call that was to find out has ended without an outcome: another one may.
    pub fn give_up(&mut self) {
        if let Some(open) = &mut self.open {
            open.probes = open.probes.saturating_sub(1);
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
                open.pause = (open.pause * 2).min(LAST_PAUSE);
                open.until = now + open.pause;
                open.probes = open.probes.saturating_sub(1);
            }
            // It was on its way before.
            Some(_) => {}
            None => {
                self.failures = self.failures.saturating_add(1);
                if self.lines.len() < LINES && !self.lines.iter().any(|known| known.as_ref() == line) {
                    self.lines.push(line.cloned());
                }
                if self.failures >= FAILURES && self.lines.len() >= LINES {
                    let until = now + FIRST_PAUSE;
                    self.open = Some(Open { until, edits_until: until, pause: FIRST_PAUSE, probes: 0 });
                }
            }
        }
    }
}
