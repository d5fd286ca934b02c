//! How often, and how many at once, the remote is called with one key.

mod breaker;
mod bucket;
mod gate;
mod lane;
mod lineup;
mod pace;
mod registry;

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use self::breaker::Breaker;
pub use self::breaker::Circuit;
use self::bucket::{Bucket, burst};
use self::gate::Gate;
pub use self::lane::{Lane, MAX_IN_FLIGHT};
use self::lineup::Lineup;
use self::pace::Pace;
pub use self::registry::Budgets;
use super::ApiKey;
use crate::core::{classify::Fault, id::LineId, line::Trouble};

/// A gate that opens again this soon is waited for, in line: who is sent away loses its place, and may have to begin anew.
const SOON: Duration = Duration::from_secs(2);

/// How much of the rate is for walks at most: looks and edits never wait behind pages.
const WALKS: f64 = 0.5;

/// The remote wants no calls for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it is worth asking again.
    pub until: Instant,
    /// Why.
    pub trouble: Trouble,
}

/// The calls that one key may make. All clones, and all whom [`Budgets`] gives the same key, share it.
///
/// What limits them: a bucket of tokens, one a call, as large as one second's worth and filled at a rate that is what is
/// asked for, or less where the remote takes less; so many calls in flight; a gate that the remote's own "too many"
/// closes; and a breaker that stops calls while the remote is down, but for a fresh edit now and then. Who is more urgent goes
/// first, and an edit may take the bucket below empty.
#[derive(Clone)]
pub struct Budget(Arc<Share>);

/// The part of one who shares a budget.
struct Share {
    shared: Arc<Shared>,
    id: u64,
}

struct Shared {
    key: Option<ApiKey>,
    state: Mutex<State>,
    /// Something changed that those who wait may have waited for.
    changed: Notify,
    /// One of each lane waits for its turn to go; the others of the lane wait here, in order.
    queues: [tokio::sync::Mutex<()>; Lane::COUNT],
}

struct State {
    pace: Pace,
    bucket: Bucket,
    walks: Bucket,
    gate: Gate,
    breaker: Breaker,
    in_flight: usize,
    lineup: Lineup,
}

/// What the first of a lane may do.
enum Verdict {
    /// Make the call.
    Go {
        /// It finds out whether the remote is back.
        probe: bool,
        /// It takes the bucket below empty.
        overdraws: bool,
    },
    Held(Held),
    /// Nothing before this instant, unless something changes.
    Wait(Option<Instant>),
}

/// How a budget stands, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The calls a second that are asked for.
    pub asked_rate: f64,
    /// The calls a second that are kept to: fewer after the remote said "too many".
    pub rate: f64,
    /// The tokens in the bucket; below 0 what edits have overdrawn.
    pub tokens: f64,
    /// The calls in flight.
    pub in_flight: usize,
    /// How many wait, in the order of [`Lane::ALL`].
    pub waiting: [usize; Lane::COUNT],
    /// Whether calls are made.
    pub circuit: Circuit,
}

impl Budget {
    /// A full bucket at this rate, in calls a second; 0 counts as 1. Nobody else shares it.
    #[must_use]
    pub fn new(calls_per_second: u32) -> Self {
        Self::join(Arc::new(Shared::new(None, calls_per_second)), calls_per_second)
    }

    fn join(shared: Arc<Shared>, calls_per_second: u32) -> Self {
        let id = shared.ask(|pace| pace.join(calls_per_second));
        Self(Arc::new(Share { shared, id }))
    }

    /// Changes what this one asks for, from now on.
    pub fn set_rate(&self, calls_per_second: u32) {
        self.0.shared.ask(|pace| pace.ask(self.0.id, calls_per_second));
    }

    /// Waits for the place of one call. That the remote wants none for a while is told at once, also to those who
    /// already wait.
    pub async fn enter(&self, lane: Lane) -> Result<Permit, Held> {
        let shared = &self.0.shared;
        let since = Instant::now();
        let _waiting = Waiting::new(shared, lane);
        let _queue = shared.queues[lane as usize].lock().await;
        let _first = First::new(shared, lane, since);
        loop {
            let mut changed = pin!(shared.changed.notified());
            // Before the look at the state, so that no change after it is missed.
            changed.as_mut().enable();
            let verdict = shared.state().admit(lane, since, Instant::now());
            match verdict {
                Verdict::Go { probe, overdraws } => {
                    return Ok(Permit { shared: Arc::clone(shared), probe, overdraws, waited: since.elapsed() });
                }
                Verdict::Held(held) => return Err(held),
                Verdict::Wait(until) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = async { match until { Some(until) => sleep_until(until).await, None => pending().await } } => {}
                },
            }
        }
    }

    /// How it stands.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.0.shared.reading()
    }

    /// What tells how it stands, for as long as somebody uses it.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(Arc::downgrade(&self.0.shared))
    }
}

/// Reads a budget without a share in it: whoever only looks must not keep a key, or a rate that was asked for, alive.
#[derive(Clone, Debug)]
pub struct Meter(Weak<Shared>);

impl Meter {
    /// How the budget stands; `None`: nobody uses it any more.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        self.0.upgrade().map(|shared| shared.reading())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared.ask(|pace| pace.leave(self.id));
    }
}

/// The place of one call in flight. Dropping it gives the place back.
pub struct Permit {
    shared: Arc<Shared>,
    probe: bool,
    overdraws: bool,
    waited: Duration,
}

impl Permit {
    /// How long it was waited for.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Ends the call and learns from its outcome, for all calls to come. `line` is whose call it was; `None`: it read the
    /// list.
    pub fn finish<T>(mut self, line: Option<&LineId>, outcome: &Result<T, Fault>) {
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.shared.state();
        let now = Instant::now();
        state.fill(now);
        let fault = outcome.as_ref().err();
        state.learn_pace(fault, self.overdraws, now);
        match fault.map(|fault| fault.trouble) {
            Some(Trouble::Unavailable) => state.breaker.failed(line, probe, now),
            _ => state.breaker.answered(),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.in_flight -= 1;
            if self.probe {
                state.breaker.give_up();
            }
        });
    }
}

/// Counts somebody who waits.
struct Waiting<'a>(&'a Shared, Lane);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared, lane: Lane) -> Self {
        shared.state().lineup.join(lane);
        Self(shared, lane)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.lineup.leave(self.1));
    }
}

/// Marks who is at the head of a lane.
struct First<'a>(&'a Shared, Lane);

impl<'a> First<'a> {
    fn new(shared: &'a Shared, lane: Lane, since: Instant) -> Self {
        // Who goes before it for once, out of patience, may now overdraw in its place.
        shared.change(|state| state.lineup.set_first(lane, Some(since)));
        Self(shared, lane)
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        // That somebody left is told by `Waiting`, which goes last.
        self.0.state().lineup.set_first(self.1, None);
    }
}

impl Shared {
    fn new(key: Option<ApiKey>, calls_per_second: u32) -> Self {
        let now = Instant::now();
        let pace = Pace::new(calls_per_second, now);
        Self {
            key,
            state: Mutex::new(State {
                bucket: Bucket::full(pace.rate(), now),
                walks: Bucket::full(pace.rate() * WALKS, now),
                pace,
                gate: Gate::default(),
                breaker: Breaker::default(),
                in_flight: 0,
                lineup: Lineup::default(),
            }),
            changed: Notify::new(),
            queues: Default::default(),
        }
    }

    /// No code panics while it holds the lock, and each change is whole: a poisoned state is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> Reading {
        let now = Instant::now();
        let mut state = self.state();
        state.fill(now);
        Reading {
            asked_rate: state.pace.asked(),
            rate: state.pace.rate(),
            tokens: state.bucket.tokens(),
            in_flight: state.in_flight,
            waiting: state.lineup.counts(),
            circuit: state.breaker.circuit(now),
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut Pace) -> T) -> T {
        self.change(|state| {
            state.fill(Instant::now());
            ask(&mut state.pace)
        })
    }

    /// Wakes one of each lane at most: the others of it wait in its queue.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.notify_waiters();
        changed
    }
}

impl State {
    fn admit(&mut self, lane: Lane, since: Instant, now: Instant) -> Verdict {
        match self.gate.closed(now) {
            Some(held) if held.until - now <= SOON => return Verdict::Wait(Some(held.until)),
            Some(held) => return Verdict::Held(held),
            None => {}
        }
        match self.breaker.circuit(now) {
            Circuit::Open(_) | Circuit::Probing if lane.is_fresh() => match self.breaker.edits_held(now) {
                Some((until, _)) if now < since + SOON => return Verdict::Wait(Some(until)),
                Some((_, until)) => return Verdict::Held(Held { until, trouble: Trouble::Unavailable }),
                None => {}
            },
            Circuit::Open(until) => return Verdict::Held(Held { until, trouble: Trouble::Unavailable }),
            Circuit::Probing => return Verdict::Wait(None),
            Circuit::HalfOpen | Circuit::Closed => {}
        }
        self.fill(now);
        let rate = self.pace.rate();
        let walk_in = self.walks.wait(0.0, rate * WALKS);
        let may_go = |lane: Lane| self.in_flight < lane.places() && (lane != Lane::Walk || walk_in.is_zero());
        let turn = self.lineup.turn(now, may_go);
        let Some(turn) = turn.filter(|turn| turn.lane == lane) else {
            let walk_at = (lane == Lane::Walk && !walk_in.is_zero()).then(|| now + walk_in);
            return Verdict::Wait(walk_at.into_iter().chain(self.lineup.loses_patience(lane, now)).min());
        };
        let overdraft = if self.pace.takes_more(now) { turn.instead_of.overdraft() } else { 0.0 };
        let wait = self.bucket.wait(-overdraft * burst(rate), rate);
        if !wait.is_zero() {
            return Verdict::Wait(Some(now + wait));
        }
        self.bucket.take();
        if lane == Lane::Walk {
            self.walks.take();
        }
        self.in_flight += 1;
        self.lineup.went(turn);
        Verdict::Go { probe: self.breaker.begin(now), overdraws: self.bucket.tokens() < 0.0 }
    }

    fn fill(&mut self, now: Instant) {
        let rate = self.pace.rate();
        self.bucket.fill(rate, now);
        self.walks.fill(rate * WALKS, now);
    }

    /// What an answer says about the rate.
    fn learn_pace(&mut self, fault: Option<&Fault>, overdraws: bool, now: Instant) {
        if overdraws && fault.is_some_and(|fault| fault.trouble == Trouble::RateLimited) {
            self.pace.refuse_more(now);
        }
        if self.gate.learn(fault, now) {
            let says_when = fault.is_some_and(|fault| fault.retry_after.is_some());
            self.pace.limit(overdraws, says_when, now);
            if let Some(held) = self.gate.closed(now) {
                self.bucket.drain(held.until);
            }
        }
        if fault.is_none() {
            self.pace.recover(now);
        }
    }
}

#[cfg(test)]
mod tests;
