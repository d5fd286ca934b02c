//! How often, and how many at once, the remote is called with one key.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::core::classify::Fault;
use crate::core::line::Trouble;

/// How many calls with one key are in flight at most.
pub const MAX_IN_FLIGHT: usize = 8;

/// Who has waited this long goes like an edit: nothing starves.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first and the longest pause after a rate limit that came without `Retry-After`.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LAST_BACK_OFF: Duration = Duration::from_mins(1);

/// The pause after the credits are used up: waiting doesn't bring them back, but somebody may.
const QUOTA_PAUSE: Duration = Duration::from_mins(10);

/// Why a call is made, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody has just changed what a line shall be.
    Edit,
    /// A line is not what it shall be.
    Correction,
    /// A look at what is.
    Look,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Edit, Self::Correction, Self::Look];

    /// How many calls may be in flight for one of this lane to join: the last two places are not for looks, and the
    /// last is for edits alone.
    const fn places(self) -> usize {
        match self {
            Self::Edit => MAX_IN_FLIGHT,
            Self::Correction => MAX_IN_FLIGHT - 1,
            Self::Look => MAX_IN_FLIGHT - 2,
        }
    }
}

/// The remote wants no calls for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it is worth asking again.
    pub until: Instant,
    /// Why.
    pub trouble: Trouble,
}

/// The calls that one key may make. All clones share it.
///
/// Three limits: a bucket of tokens, one a call, filled at the rate and as large as one second's worth; so many calls in
/// flight; and a gate that the remote's own "too many" closes. Edits go first and may take the bucket as far below empty
/// as it is high.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something changed that those who wait may have waited for.
    changed: Notify,
    /// One of each lane waits for its turn to go; the others of the lane wait here, in order.
    queues: [tokio::sync::Mutex<()>; 3],
}

struct State {
    rate: f64,
    tokens: f64,
    filled_at: Instant,
    gate: Option<Held>,
    /// Rate limits in a row.
    strikes: u32,
    in_flight: usize,
    /// Since when the first of each lane has waited.
    first: [Option<Instant>; 3],
}

/// What the first of a lane may do.
enum Verdict {
    Go,
    Held(Held),
    /// Nothing before this instant, unless something changes.
    Wait(Instant),
}

impl Budget {
    /// A full bucket at this rate, in calls a second; 0 counts as 1.
    #[must_use]
    pub fn new(calls_per_second: u32) -> Self {
        let rate = f64::from(calls_per_second.max(1));
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                rate,
                tokens: rate,
                filled_at: Instant::now(),
                gate: None,
                strikes: 0,
                in_flight: 0,
                first: [None; 3],
            }),
            changed: Notify::new(),
            queues: Default::default(),
        }))
    }

    /// Changes the rate from now on.
    pub fn set_rate(&self, calls_per_second: u32) {
        self.0.change(|state| {
            state.fill(Instant::now());
            state.rate = f64::from(calls_per_second.max(1));
        });
    }

    /// Lets nothing in until this instant, or longer where the gate is already closed for longer.
    pub fn close(&self, until: Instant, trouble: Trouble) {
        self.0.change(|state| state.close(Held { until, trouble }));
    }

    /// Waits for the place of one call. A closed gate is told at once, also to those who already wait.
    pub async fn enter(&self, lane: Lane) -> Result<Permit, Held> {
        let since = Instant::now();
        let _queue = self.0.queues[lane as usize].lock().await;
        let _first = First::new(&self.0, lane, since);
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Before the look at the state, so that no change after it is missed.
            changed.as_mut().enable();
            let verdict = self.0.state().admit(lane, since, Instant::now());
            match verdict {
                Verdict::Go => return Ok(Permit(Arc::clone(&self.0))),
                Verdict::Held(held) => return Err(held),
                Verdict::Wait(until) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }
}

/// The place of one call in flight. Dropping it gives the place back.
pub struct Permit(Arc<Shared>);

impl Permit {
    /// Ends the call and learns from its outcome: a rate limit, or a `Retry-After`, closes the gate for all calls.
    pub fn finish<T>(self, outcome: &Result<T, Fault>) {
        let now = Instant::now();
        self.0.change(|state| state.learn(outcome.as_ref().err(), now));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.change(|state| state.in_flight -= 1);
    }
}

/// Marks that a lane has somebody who waits.
struct First<'a>(&'a Shared, Lane);

impl<'a> First<'a> {
    fn new(shared: &'a Shared, lane: Lane, since: Instant) -> Self {
        shared.state().first[lane as usize] = Some(since);
        Self(shared, lane)
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.first[self.1 as usize] = None);
    }
}

impl Shared {
    /// No code panics while it holds the lock, and each change is whole: a poisoned state is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }
}

impl State {
    fn admit(&mut self, lane: Lane, since: Instant, now: Instant) -> Verdict {
        if let Some(gate) = self.gate.filter(|gate| now < gate.until) {
            return Verdict::Held(gate);
        }
        self.fill(now);
        let is_urgent = urgency(lane, since, now).0 == Lane::Edit;
        let look_again = if is_urgent { now } else { since } + PATIENCE;
        if self.in_flight >= lane.places() || self.somebody_goes_before(lane, since, now) {
            return Verdict::Wait(look_again);
        }
        let floor = if is_urgent { -self.rate } else { 0.0 };
        let missing = floor + 1.0 - self.tokens;
        // What rounding leaves over is no reason to wait.
        if missing > 1e-6 {
            let filled = now + Duration::from_secs_f64(missing / self.rate);
            return Verdict::Wait(filled.min(look_again));
        }
        self.tokens -= 1.0;
        self.in_flight += 1;
        Verdict::Go
    }

    /// Whether the first of another lane is more urgent. One without a place for it holds nobody up.
    fn somebody_goes_before(&self, lane: Lane, since: Instant, now: Instant) -> bool {
        Lane::ALL.into_iter().any(|other| {
            self.first[other as usize].is_some_and(|waited| {
                other != lane
                    && self.in_flight < other.places()
                    && urgency(other, waited, now) < urgency(lane, since, now)
            })
        })
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.rate);
        self.filled_at = now;
    }

    fn learn(&mut self, fault: Option<&Fault>, now: Instant) {
        let is_open = self.gate.is_none_or(|gate| gate.until <= now);
        let trouble = fault.map(|fault| fault.trouble);
        let asked = fault.and_then(|fault| fault.retry_after);
        let pause = match trouble {
            // Calls that were in flight together are one sign, not many.
            Some(Trouble::RateLimited) if !is_open => asked,
            Some(Trouble::RateLimited) => {
                let back_off = FIRST_BACK_OFF * 2_u32.saturating_pow(self.strikes.min(16));
                self.strikes = self.strikes.saturating_add(1);
                Some(asked.unwrap_or(back_off.min(LAST_BACK_OFF)))
            }
            Some(Trouble::QuotaExhausted) => Some(asked.unwrap_or_default().max(QUOTA_PAUSE)),
            _ => {
                if is_open {
                    self.strikes = 0;
                }
                asked
            }
        };
        if let (Some(trouble), Some(pause)) = (trouble, pause) {
            self.close(Held { until: now + pause, trouble });
        }
    }

    fn close(&mut self, held: Held) {
        if self.gate.is_none_or(|gate| gate.until < held.until) {
            self.gate = Some(held);
        }
    }
}

/// Who goes first has the least: an edit, or who has waited as long as one's patience; then who came first.
fn urgency(lane: Lane, since: Instant, now: Instant) -> (Lane, Instant) {
    if now.duration_since(since) >= PATIENCE { (Lane::Edit, since) } else { (lane, since) }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::core::classify::Landed;

    /// Enters, and tells how many milliseconds that took.
    async fn enter(budget: &Budget, lane: Lane) -> (Permit, u128) {
        let asked = Instant::now();
        let Ok(permit) = budget.enter(lane).await else {
            panic!("the gate is closed");
        };
        (permit, asked.elapsed().as_millis())
    }

    /// A call of no duration.
    async fn call(budget: &Budget, lane: Lane) -> u128 {
        enter(budget, lane).await.1
    }

    fn spawn_call(budget: &Budget, lane: Lane) -> JoinHandle<Result<Instant, Held>> {
        let budget = budget.clone();
        tokio::spawn(async move {
            let _permit = budget.enter(lane).await?;
            Ok(Instant::now())
        })
    }

    fn fault(trouble: Trouble, retry_after: Option<u64>) -> Result<(), Fault> {
        let mut fault = Fault::new(trouble, Landed::No, "");
        fault.retry_after = retry_after.map(Duration::from_secs);
        Err(fault)
    }

    #[tokio::test(start_paused = true)]
    async fn looks_get_a_burst_and_then_the_rate() {
        let budget = Budget::new(5);
        for expected in [0, 0, 0, 0, 0, 200, 200] {
            assert_eq!(call(&budget, Lane::Look).await, expected);
        }
        advance(Duration::from_mins(1)).await;
        for expected in [0, 0, 0, 0, 0, 200] {
            assert_eq!(call(&budget, Lane::Look).await, expected, "after a rest");
        }
        budget.set_rate(1);
        assert_eq!(call(&budget, Lane::Look).await, 1000, "at a lower rate");
    }

    #[tokio::test(start_paused = true)]
    async fn edits_overdraw_by_one_burst_and_looks_pay_it_back() {
        let budget = Budget::new(2);
        for expected in [0, 0, 0, 0, 500, 500] {
            assert_eq!(call(&budget, Lane::Edit).await, expected);
        }
        assert_eq!(call(&budget, Lane::Correction).await, 1500);
        assert_eq!(call(&budget, Lane::Look).await, 500);
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_urgent_lane_goes_first() {
        let budget = Budget::new(1);
        for _ in 0..2 {
            call(&budget, Lane::Edit).await;
        }
        let mut calls = Vec::new();
        for lane in [Lane::Look, Lane::Look, Lane::Correction, Lane::Edit] {
            calls.push((lane, spawn_call(&budget, lane)));
            sleep(Duration::from_millis(1)).await;
        }
        let mut order = Vec::new();
        for (lane, call) in calls {
            order.push((call.await.unwrap().ok().unwrap(), lane));
        }
        order.sort();
        let order: Vec<Lane> = order.into_iter().map(|(_, lane)| lane).collect();
        assert_eq!(order, [Lane::Edit, Lane::Correction, Lane::Look, Lane::Look]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_starves_in_a_storm_of_edits() {
        let budget = Budget::new(2);
        let storm = tokio::spawn({
            let budget = budget.clone();
            async move {
                loop {
                    call(&budget, Lane::Edit).await;
                }
            }
        });
        sleep(Duration::from_secs(5)).await;
        let waited = call(&budget, Lane::Look).await;
        storm.abort();
        assert!((10_000..=11_000).contains(&waited), "{waited} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_places_are_kept_for_the_urgent() {
        let budget = Budget::new(100);
        let mut permits = Vec::new();
        for (lane, count) in [(Lane::Look, 6), (Lane::Correction, 1), (Lane::Edit, 1)] {
            for _ in 0..count {
                permits.push(enter(&budget, lane).await.0);
            }
            let next = spawn_call(&budget, lane);
            sleep(Duration::from_secs(1)).await;
            assert!(!next.is_finished(), "{lane:?} has had its places");
            next.abort();
        }
        let waiting = spawn_call(&budget, Lane::Edit);
        sleep(Duration::from_secs(30)).await;
        let freed = Instant::now();
        permits.pop();
        assert_eq!(waiting.await.unwrap(), Ok(freed), "a free place is taken at once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_look_without_a_place_holds_no_edit_up() {
        let budget = Budget::new(100);
        let mut permits = Vec::new();
        for _ in 0..6 {
            permits.push(enter(&budget, Lane::Look).await.0);
        }
        let look = spawn_call(&budget, Lane::Look);
        sleep(PATIENCE * 2).await;
        assert_eq!(call(&budget, Lane::Edit).await, 0);
        assert!(!look.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_no_trace() {
        let budget = Budget::new(1);
        for _ in 0..2 {
            call(&budget, Lane::Edit).await;
        }
        let edits = [spawn_call(&budget, Lane::Edit), spawn_call(&budget, Lane::Edit)];
        sleep(Duration::from_millis(1)).await;
        for edit in edits {
            edit.abort();
        }
        assert_eq!(call(&budget, Lane::Look).await, 1999);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_is_told_at_once_also_to_those_who_wait() {
        let budget = Budget::new(1);
        call(&budget, Lane::Look).await;
        let waiting =
            [spawn_call(&budget, Lane::Look), spawn_call(&budget, Lane::Look), spawn_call(&budget, Lane::Correction)];
        sleep(Duration::from_millis(1)).await;
        let held = Held { until: Instant::now() + Duration::from_secs(30), trouble: Trouble::CredentialsRejected };
        budget.close(held.until, held.trouble);
        budget.close(Instant::now(), Trouble::RateLimited);
        let closed = Instant::now();
        for call in waiting {
            assert_eq!(call.await.unwrap(), Err(held));
        }
        for lane in Lane::ALL {
            assert_eq!(spawn_call(&budget, lane).await.unwrap(), Err(held));
        }
        assert_eq!(Instant::now(), closed, "nobody waits at a closed gate");
        sleep_until(held.until).await;
        for lane in Lane::ALL {
            assert!(budget.enter(lane).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_closes_by_what_the_remote_answers() {
        use Trouble::{NotFound, QuotaExhausted, RateLimited, Unavailable};
        let budget = Budget::new(1);
        // Each call is made when the gate has opened again; then so many seconds closed.
        for (outcome, closed) in [
            (Ok(()), 0),
            (fault(NotFound, None), 0),
            (fault(Unavailable, None), 0),
            (fault(Unavailable, Some(7)), 7),
            (fault(RateLimited, Some(120)), 120),
            (Ok(()), 0),
            (fault(RateLimited, None), 1),
            (fault(RateLimited, None), 2),
            (fault(RateLimited, None), 4),
            (fault(RateLimited, Some(3)), 3),
            (fault(RateLimited, None), 16),
            (fault(RateLimited, None), 32),
            (fault(RateLimited, None), 60),
            (fault(RateLimited, None), 60),
            (Ok(()), 0),
            (fault(RateLimited, None), 1),
            (fault(QuotaExhausted, None), 600),
            (fault(QuotaExhausted, Some(900)), 900),
            (fault(QuotaExhausted, Some(5)), 600),
        ] {
            let (permit, _) = enter(&budget, Lane::Edit).await;
            permit.finish(&outcome);
            let held = budget.enter(Lane::Edit).await.err();
            let expected = outcome
                .err()
                .filter(|_| closed > 0)
                .map(|fault| Held { until: Instant::now() + Duration::from_secs(closed), trouble: fault.trouble });
            assert_eq!(held, expected);
            advance(Duration::from_secs(closed)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_calls_in_flight_together_count_once() {
        let budget = Budget::new(10);
        let mut permits = Vec::new();
        for _ in 0..5 {
            permits.push(enter(&budget, Lane::Look).await.0);
        }
        let late_success = permits.pop().unwrap();
        for permit in permits {
            permit.finish(&fault(Trouble::RateLimited, None));
        }
        late_success.finish(&Ok(()));
        for back_off in [1, 2] {
            let held = budget.enter(Lane::Look).await.err().unwrap();
            assert_eq!(held.until, Instant::now() + Duration::from_secs(back_off));
            sleep_until(held.until).await;
            let (permit, _) = enter(&budget, Lane::Look).await;
            permit.finish(&fault(Trouble::RateLimited, None));
        }
    }
}
