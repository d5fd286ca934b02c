//! Who waits for a call, and whose turn it is.

use std::time::Duration;

use tokio::time::Instant;

use super::lane::Lane;

/// Who has waited this long may go before the more urgent now and then: nothing starves.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// One call of so many is for who has waited longest. So a pause waits for one of them at most.
pub(super) const SHARE_OF_THE_PATIENT: u32 = 5;

/// Those who wait. Only the first of each lane is known by itself; behind it the lane is a queue.
#[derive(Default)]
pub(super) struct Lineup {
    lanes: [Waiting; Lane::COUNT],
    /// Calls since one went before the more urgent.
    in_order: u32,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    count: usize,
    /// Since when the first has waited. `None` also while the next is just moving up.
    first: Option<Instant>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub lane: Lane,
    /// The most urgent lane that waits, whose overdraft holds: another one if somebody goes before it.
    pub instead_of: Lane,
}

impl Lineup {
    pub fn join(&mut self, lane: Lane) {
        self.lanes[lane as usize].count += 1;
    }

    pub fn leave(&mut self, lane: Lane) {
        self.lanes[lane as usize].count -= 1;
    }

    /// Since when the one at the head of the lane has waited; `None`: nobody is there.
    pub fn set_first(&mut self, lane: Lane, since: Option<Instant>) {
        self.lanes[lane as usize].first = since;
    }

    /// How many wait in each lane.
    pub fn counts(&self) -> [usize; Lane::COUNT] {
        self.lanes.map(|waiting| waiting.count)
    }

    /// The next to go of those that may. Who may not holds nobody up.
    pub fn turn(&self, now: Instant, may_go: impl Fn(Lane) -> bool) -> Option<Turn> {
        let mut lanes = Lane::ALL.into_iter().filter(|lane| self.lanes[*lane as usize].count > 0 && may_go(*lane));
        let most_urgent = lanes.next()?;
        let patient = lanes
            .filter_map(|lane| Some((self.lanes[lane as usize].first?, lane)))
            .filter(|(since, _)| self.in_order + 1 >= SHARE_OF_THE_PATIENT && *since + PATIENCE <= now)
            .min();
        Some(Turn { lane: patient.map_or(most_urgent, |(_, lane)| lane), instead_of: most_urgent })
    }

    /// The one whose turn it was has gone.
    pub fn went(&mut self, turn: Turn) {
        self.in_order = if turn.lane == turn.instead_of { self.in_order.saturating_add(1) } else { 0 };
    }

    /// When the first of the lane will have waited long enough to go before others.
    pub fn loses_patience(&self, lane: Lane, now: Instant) -> Option<Instant> {
        self.lanes[lane as usize].first.map(|since| since + PATIENCE).filter(|at| *at > now)
    }
}
