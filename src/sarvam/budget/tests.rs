use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{advance, sleep};

use super::*;
use crate::core::{classify::Landed, id::Id};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Enters, and tells how many milliseconds that took.
async fn enter(budget: &Budget, lane: Lane) -> (Permit, u128) {
    let asked = Instant::now();
    let Ok(permit) = budget.enter(lane).await else {
        panic!("no call may be made");
    };
    let waited = asked.elapsed();
    assert_eq!(permit.waited(), waited);
    (permit, waited.as_millis())
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

/// Calls of that lane, one after the other and for ever, of so many callers.
fn storm(budget: &Budget, lane: Lane, callers: usize) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let (mut storm, calls) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..callers {
        let (budget, calls) = (budget.clone(), Arc::clone(&calls));
        storm.spawn(async move {
            loop {
                call(&budget, lane).await;
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    (storm, calls)
}

fn fault(trouble: Trouble, retry_after: Option<u64>) -> Result<(), Fault> {
    let mut fault = Fault::new(trouble, Landed::No, "");
    fault.retry_after = retry_after.map(Duration::from_secs);
    Err(fault)
}

fn line(number: usize) -> LineId {
    let id = |text: &str| Id::new(text).unwrap();
    LineId { org: id("o"), workspace: id("w"), deployment: id(&format!("dep-{number}")) }
}

// The bucket.

#[tokio::test(start_paused = true)]
async fn looks_get_a_burst_and_then_the_rate() {
    let budget = Budget::new(5);
    for expected in [0, 0, 0, 0, 0, 200, 200] {
        assert_eq!(call(&budget, Lane::Look).await, expected);
    }
    advance(MINUTE).await;
    for expected in [0, 0, 0, 0, 0, 200] {
        assert_eq!(call(&budget, Lane::Look).await, expected, "after a rest");
    }
    budget.set_rate(1);
    assert_eq!(call(&budget, Lane::Look).await, 1000, "at a lower rate");
    advance(Duration::from_millis(500)).await;
    budget.set_rate(10);
    assert_eq!(call(&budget, Lane::Look).await, 50, "at a higher one, and no sooner");
}

#[tokio::test(start_paused = true)]
async fn edits_overdraw_and_the_others_pay_it_back() {
    for (lane, free, paid_back) in [(Lane::Pause, 8, 1000), (Lane::Resume, 6, 500), (Lane::Rollout, 4, 0)] {
        let budget = Budget::new(4);
        for _ in 0..free {
            assert_eq!(call(&budget, lane).await, 0, "{lane:?}");
        }
        assert_eq!(call(&budget, lane).await, 250, "{lane:?}");
        assert_eq!(call(&budget, Lane::Look).await, paid_back + 250, "{lane:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn walks_get_half_and_nothing_waits_behind_them() {
    let budget = Budget::new(10);
    let (mut walks, pages) = storm(&budget, Lane::Walk, 4);
    sleep(MINUTE).await;
    assert!((300..=306).contains(&pages.swap(0, Ordering::Relaxed)), "half, also when nobody else wants any");
    for lane in [Lane::Look, Lane::Import, Lane::Pause] {
        assert_eq!(call(&budget, lane).await, 0, "{lane:?}");
    }
    let (mut looks, looked) = storm(&budget, Lane::Look, 4);
    sleep(MINUTE).await;
    let (looked, pages) = (looked.load(Ordering::Relaxed), pages.load(Ordering::Relaxed));
    assert!(looked > pages && (600..=612).contains(&(looked + pages)), "{looked} looks, {pages} pages");
    looks.abort_all();
    walks.abort_all();
}

// Whose turn it is.

#[tokio::test(start_paused = true)]
async fn the_more_urgent_lane_goes_first() {
    let budget = Budget::new(2);
    for _ in 0..4 {
        call(&budget, Lane::Pause).await;
    }
    let mut calls = Vec::new();
    for lane in Lane::ALL.into_iter().chain([Lane::Correction]).rev() {
        calls.push((lane, spawn_call(&budget, lane)));
        sleep(Duration::from_millis(1)).await;
    }
    let mut order = Vec::new();
    for (lane, call) in calls {
        order.push((call.await.unwrap().ok().unwrap(), lane));
    }
    order.sort();
    let order: Vec<Lane> = order.into_iter().map(|(_, lane)| lane).collect();
    let mut expected = Lane::ALL.to_vec();
    expected.insert(Lane::Correction as usize, Lane::Correction);
    assert_eq!(order, expected);
}

#[tokio::test(start_paused = true)]
async fn a_pause_waits_two_slots_at_most_behind_a_thousand_corrections() {
    let budget = Budget::new(5);
    let mut corrections = JoinSet::new();
    for _ in 0..1000 {
        let budget = budget.clone();
        corrections.spawn(async move {
            let _permit = enter(&budget, Lane::Correction).await;
            sleep(Duration::from_millis(150)).await;
        });
    }
    let (mut others, _) = storm(&budget, Lane::Look, 20);
    let mut waits = Vec::new();
    for n in 0..120_u64 {
        // Now and then two at once, and at ever other points between two slots.
        sleep(Duration::from_millis(if n % 10 == 1 { 0 } else { 700 + n * 37 % 500 })).await;
        let (permit, waited) = enter(&budget, Lane::Pause).await;
        waits.push(waited);
        tokio::spawn(async move {
            sleep(Duration::from_millis(150)).await;
            drop(permit);
        });
    }
    assert!(budget.reading().waiting[Lane::Correction as usize] > 300, "they waited to the end");
    let longest = waits.iter().max().unwrap();
    assert!(*longest <= 400, "{longest} ms");
    others.abort_all();
}

#[tokio::test(start_paused = true)]
async fn nothing_starves_in_a_storm_of_pauses() {
    let budget = Budget::new(2);
    let (mut pauses, count) = storm(&budget, Lane::Pause, 50);
    sleep(SECOND * 5).await;
    count.store(0, Ordering::Relaxed);
    let begun = Instant::now();
    let mut others = JoinSet::new();
    for lane in &Lane::ALL[1..] {
        let budget = budget.clone();
        others.spawn(async move { call(&budget, *lane).await });
    }
    let waits = others.join_all().await;
    let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    // Ten seconds of patience, and then one call of five for each.
    let slots = 5 * u128::try_from(waits.len()).unwrap();
    assert!(*shortest >= 10_000 && *longest <= 10_000 + slots * 500, "{waits:?} ms");
    let share = f64::from(u32::try_from(count.load(Ordering::Relaxed)).unwrap()) / begun.elapsed().as_secs_f64();
    assert!(share >= 2.0 * 0.8 - 0.1, "pauses went on at {share} a second");
    pauses.abort_all();
}

#[tokio::test(start_paused = true)]
async fn the_last_places_are_kept_for_the_urgent() {
    let budget = Budget::new(100);
    let mut permits = Vec::new();
    for (lane, count) in [(Lane::Look, 5), (Lane::Correction, 1), (Lane::Resume, 1), (Lane::Pause, 1)] {
        for _ in 0..count {
            permits.push(enter(&budget, lane).await.0);
        }
        let next = spawn_call(&budget, lane);
        sleep(SECOND).await;
        assert!(!next.is_finished(), "{lane:?} has had its places");
        next.abort();
    }
    let waiting = spawn_call(&budget, Lane::Pause);
    sleep(SECOND * 30).await;
    let freed = Instant::now();
    permits.pop();
    assert_eq!(waiting.await.unwrap(), Ok(freed), "a free place is taken at once");
}

#[tokio::test(start_paused = true)]
async fn an_old_look_without_a_place_holds_no_edit_up() {
    let budget = Budget::new(100);
    let mut permits = Vec::new();
    for _ in 0..5 {
        permits.push(enter(&budget, Lane::Look).await.0);
    }
    let look = spawn_call(&budget, Lane::Look);
    sleep(lineup::PATIENCE * 2).await;
    for _ in 0..10 {
        assert_eq!(call(&budget, Lane::Pause).await, 0);
    }
    assert!(!look.is_finished());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_no_trace() {
    let budget = Budget::new(1);
    for _ in 0..2 {
        call(&budget, Lane::Pause).await;
    }
    let edits = [spawn_call(&budget, Lane::Pause), spawn_call(&budget, Lane::Pause)];
    sleep(Duration::from_millis(1)).await;
    for edit in edits {
        edit.abort();
    }
    assert_eq!(call(&budget, Lane::Look).await, 1999);
    assert_eq!(budget.reading().waiting, [0; Lane::COUNT]);
}

/// However many wait, one call wakes a few of them.
#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_cost_no_more_than_ten_each() {
    const WAITING: usize = 10_000;
    let (budget, polls) = (Budget::new(1000), Arc::new(AtomicUsize::new(0)));
    let mut calls = JoinSet::new();
    for n in 0..WAITING {
        let (budget, polls) = (budget.clone(), Arc::clone(&polls));
        calls.spawn(async move {
            let mut enter = pin!(budget.enter(Lane::ALL[n % Lane::COUNT]));
            let permit = poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                enter.as_mut().poll(context)
            });
            drop(permit.await.ok().unwrap());
        });
    }
    calls.join_all().await;
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls <= 10 * WAITING, "{polls} wakes for {WAITING} calls");
}

// The gate.

#[tokio::test(start_paused = true)]
async fn a_closed_gate_is_told_at_once_also_to_those_who_wait() {
    let budget = Budget::new(1);
    let (permit, _) = enter(&budget, Lane::Look).await;
    let waiting =
        [spawn_call(&budget, Lane::Look), spawn_call(&budget, Lane::Look), spawn_call(&budget, Lane::Correction)];
    sleep(Duration::from_millis(1)).await;
    permit.finish(None, &fault(Trouble::RateLimited, Some(30)));
    let closed = Instant::now();
    let held = Held { until: closed + SECOND * 30, trouble: Trouble::RateLimited };
    for call in waiting {
        assert_eq!(call.await.unwrap(), Err(held));
    }
    for lane in Lane::ALL {
        assert_eq!(spawn_call(&budget, lane).await.unwrap(), Err(held));
    }
    assert_eq!(Instant::now(), closed, "nobody waits at a closed gate");
    sleep_until(held.until).await;
    assert_eq!(call(&budget, Lane::Pause).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_soon_is_waited_for_in_line() {
    let budget = Budget::new(1);
    let (permit, _) = enter(&budget, Lane::Look).await;
    let look = spawn_call(&budget, Lane::Look);
    sleep(Duration::from_millis(1)).await;
    permit.finish(None, &fault(Trouble::RateLimited, Some(2)));
    let opens = Instant::now() + SECOND * 2;
    let pause = spawn_call(&budget, Lane::Pause);
    assert_eq!(pause.await.unwrap(), Ok(opens));
    assert!(look.await.unwrap().unwrap() > opens);
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
        // After a long rest, so that it is the gate that is waited for.
        advance(MINUTE * 10).await;
        let (permit, _) = enter(&budget, Lane::Pause).await;
        permit.finish(None, &outcome);
        let until = Instant::now() + SECOND * closed;
        if Duration::from_secs(closed.into()) > SOON {
            let held = Held { until, trouble: outcome.unwrap_err().trouble };
            assert_eq!(budget.enter(Lane::Pause).await.err(), Some(held));
        } else {
            assert_eq!(call(&budget, Lane::Pause).await, u128::from(closed) * 1000, "{outcome:?}");
        }
        sleep_until(until).await;
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
        permit.finish(None, &fault(Trouble::RateLimited, None));
    }
    late_success.finish(None, &Ok(()));
    // The first overdraws; the second pays that back once the gate is open.
    for expected in [1000, 2000 + 400] {
        assert!((budget.reading().rate - 5.0).abs() < 1e-6);
        let closed = Instant::now();
        let (permit, waited) = enter(&budget, Lane::Pause).await;
        assert_eq!(waited, expected);
        assert!(closed + lineup::PATIENCE > Instant::now());
        permit.finish(None, &fault(Trouble::RateLimited, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_takes_what_was_saved_but_not_what_edits_overdraw() {
    let budget = Budget::new(10);
    enter(&budget, Lane::Look).await.0.finish(None, &fault(Trouble::RateLimited, None));
    for (lane, waited) in [(Lane::Look, 1200), (Lane::Look, 200), (Lane::Pause, 0), (Lane::Pause, 0), (Lane::Look, 600)]
    {
        assert_eq!(call(&budget, lane).await, waited);
    }
}

/// Edits may ask for more than the remote takes, and it may say when to come back: what it takes is no less for that.
#[tokio::test(start_paused = true)]
async fn not_every_rate_limit_slows_calls_down() {
    for (lane, calls, says_when, refusals, kept) in [
        (Lane::Look, 4, None, 1, 2.0),
        (Lane::Pause, 4, None, 1, 2.0),
        (Lane::Pause, 5, None, 1, 4.0),
        (Lane::Look, 4, Some(1), 1, 4.0),
        (Lane::Look, 4, Some(1), 2, 2.0),
    ] {
        let budget = Budget::new(4);
        for _ in 1..calls {
            call(&budget, lane).await;
        }
        for _ in 0..refusals {
            enter(&budget, lane).await.0.finish(None, &fault(Trouble::RateLimited, says_when));
        }
        assert_eq!(budget.reading().rate.to_bits(), f64::to_bits(kept), "{lane:?} {calls} {says_when:?} {refusals}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_what_it_overdraws_overdraws_no_more_for_a_minute() {
    let budget = Budget::new(4);
    for _ in 0..4 {
        assert_eq!(call(&budget, Lane::Pause).await, 0);
    }
    enter(&budget, Lane::Pause).await.0.finish(None, &fault(Trouble::RateLimited, Some(1)));
    // The gate for a second, and then what is overdrawn is paid back.
    for waited in [1500, 250, 250] {
        assert_eq!(call(&budget, Lane::Pause).await, waited);
    }
    advance(MINUTE).await;
    for waited in [0; 8] {
        assert_eq!(call(&budget, Lane::Pause).await, waited);
    }
}

// The pace.

/// A remote that takes so many calls a second, saves up one second's worth, and says nothing but "too many" beyond.
struct Remote(Mutex<(f64, f64, Instant)>);

impl Remote {
    fn new(limit: f64) -> Self {
        Self(Mutex::new((limit, limit.max(1.0), Instant::now())))
    }

    fn set_limit(&self, limit: f64) {
        self.0.lock().unwrap().0 = limit;
    }

    fn answer(&self) -> Result<(), Fault> {
        let (limit, tokens, counted) = &mut *self.0.lock().unwrap();
        *tokens = (*tokens + counted.elapsed().as_secs_f64() * *limit).min(limit.max(1.0));
        *counted = Instant::now();
        if *tokens < 1.0 {
            return fault(Trouble::RateLimited, None);
        }
        *tokens -= 1.0;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn calls_settle_near_the_limit_that_the_remote_has() {
    for (asked, limit) in [(5, 0.5), (50, 5.0), (60, 1.0), (5, 4.0), (5, 5.0)] {
        let (budget, remote) = (Budget::new(asked), Arc::new(Remote::new(f64::from(asked))));
        let answers = Arc::new(Mutex::new((0.0, 0.0)));
        let mut callers = JoinSet::new();
        for _ in 0..10 {
            let (budget, remote, answers) = (budget.clone(), Arc::clone(&remote), Arc::clone(&answers));
            callers.spawn(async move {
                loop {
                    match budget.enter(Lane::Look).await {
                        Ok(permit) => {
                            let answer = remote.answer();
                            sleep(Duration::from_millis(50)).await;
                            let (taken, refused) = &mut *answers.lock().unwrap();
                            *(if answer.is_ok() { taken } else { refused }) += 1.0;
                            permit.finish(None, &answer);
                        }
                        Err(held) => sleep_until(held.until).await,
                    }
                }
            });
        }
        sleep(MINUTE).await;
        remote.set_limit(limit);
        sleep(MINUTE * 3).await;
        *answers.lock().unwrap() = (0.0, 0.0);
        sleep(MINUTE * 15).await;
        let (taken, refused) = *answers.lock().unwrap();
        let used = taken / (15.0 * 60.0 * limit);
        assert!(used >= 0.6, "asked {asked}, limit {limit}: {used:.2} of it is used");
        assert!(refused <= 0.1 * taken, "asked {asked}, limit {limit}: {refused} refused, {taken} taken");

        remote.set_limit(f64::from(asked) * 1.5);
        sleep(MINUTE * 15).await;
        let reading = budget.reading();
        assert!((reading.rate - f64::from(asked)).abs() < 1e-6, "it recovers: {reading:?}");
        callers.abort_all();
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_rate_holds_at_once_also_while_calls_are_slowed_down() {
    let budget = Budget::new(8);
    for (ask, trouble, asked, kept) in [
        (None, true, 8.0, 4.0),
        (Some(6), false, 6.0, 4.0),
        (Some(2), false, 2.0, 2.0),
        (None, true, 2.0, 1.0),
        (Some(8), false, 8.0, 1.0),
        (Some(0), false, 1.0, 1.0),
    ] {
        if let Some(rate) = ask {
            budget.set_rate(rate);
        }
        if trouble {
            advance(MINUTE).await;
            enter(&budget, Lane::Look).await.0.finish(None, &fault(Trouble::RateLimited, None));
        }
        let reading = budget.reading();
        assert_eq!((reading.asked_rate.to_bits(), reading.rate.to_bits()), (f64::to_bits(asked), f64::to_bits(kept)));
    }
}

// The breaker.

/// Of which line each call was, and how it ended. Line 0 stands for the list.
type Calls = Vec<(usize, Option<Trouble>)>;

#[tokio::test(start_paused = true)]
async fn only_failures_in_a_row_of_several_lines_open_the_breaker() {
    use Trouble::{Conflict, NotFound, RateLimited, Unavailable};
    let down = Some(Unavailable);
    let all_of = |line: usize| vec![(line, down); 50];
    let cases: [(&str, Calls, bool); 9] = [
        ("five of five", (1..=5).map(|line| (line, down)).collect(), true),
        ("four of four", (1..=4).map(|line| (line, down)).collect(), false),
        ("five of three", [1, 2, 1, 2, 3].map(|line| (line, down)).into(), true),
        ("the list counts as one", [0, 0, 1, 1, 2].map(|line| (line, down)).into(), true),
        ("one line for ever", all_of(1), false),
        ("two lines for ever", [all_of(1), all_of(2)].concat(), false),
        ("the list and one line for ever", [all_of(0), all_of(1)].concat(), false),
        (
            "with a success between",
            [1, 2, 3, 4].map(|line| (line, down)).into_iter().chain([(5, None), (6, down)]).collect(),
            false,
        ),
        (
            "whatever is answered shows that the remote is there",
            [NotFound, Conflict, RateLimited]
                .into_iter()
                .flat_map(|answer| [(1, down), (2, down), (3, down), (4, down), (5, Some(answer))])
                .collect(),
            false,
        ),
    ];
    for (name, calls, opens) in cases {
        let budget = Budget::new(100);
        for (number, trouble) in calls {
            let (permit, _) = enter(&budget, Lane::Look).await;
            let line = Some(line(number)).filter(|_| number > 0);
            permit.finish(line.as_ref(), &trouble.map_or(Ok(()), |trouble| fault(trouble, None)));
        }
        let until = Instant::now() + SECOND;
        let expected = if opens { Circuit::Open(until) } else { Circuit::Closed };
        assert_eq!(budget.reading().circuit, expected, "{name}");
        if opens {
            let held = Held { until, trouble: Unavailable };
            assert_eq!(budget.enter(Lane::PauseRetry).await.err(), Some(held), "{name}");
        }
    }
}

/// Has the breaker open.
async fn take_down(budget: &Budget) {
    for number in 1..=5 {
        enter(budget, Lane::Look).await.0.finish(Some(&line(number)), &fault(Trouble::Unavailable, None));
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_finds_out_whether_the_remote_is_back() {
    let budget = Budget::new(100);
    let late = enter(&budget, Lane::Look).await.0;
    take_down(&budget).await;
    late.finish(Some(&line(6)), &fault(Trouble::Unavailable, None));
    for pause in [1, 2, 4, 8, 10, 10] {
        let until = Instant::now() + SECOND * pause;
        let held = Held { until, trouble: Trouble::Unavailable };
        assert_eq!(budget.enter(Lane::PauseRetry).await.err(), Some(held));
        sleep_until(until).await;
        // Who gives the call up has found out nothing.
        drop(enter(&budget, Lane::Look).await);
        let (probe, _) = enter(&budget, Lane::Look).await;
        let waiting = [Lane::Look, Lane::PauseRetry].map(|lane| spawn_call(&budget, lane));
        sleep(SECOND * 5).await;
        assert!(waiting.iter().all(|call| !call.is_finished()) && budget.reading().circuit == Circuit::Probing);
        probe.finish(Some(&line(1)), &fault(Trouble::Unavailable, None));
        for call in waiting {
            assert_eq!(call.await.unwrap().unwrap_err().trouble, Trouble::Unavailable);
        }
    }
    sleep(SECOND * 10).await;
    let (probe, _) = enter(&budget, Lane::Look).await;
    let waiting = [Lane::Look, Lane::PauseRetry].map(|lane| spawn_call(&budget, lane));
    sleep(SECOND).await;
    probe.finish(Some(&line(1)), &Ok(()));
    let closed = Instant::now();
    for call in waiting {
        assert_eq!(call.await.unwrap(), Ok(closed));
    }
}

/// What is wrong with other lines is no reason to hold an edit up: the line that it is for may be well.
#[tokio::test(start_paused = true)]
async fn a_fresh_edit_finds_out_for_itself_once_a_second() {
    let budget = Budget::new(100);
    take_down(&budget).await;
    let down = Instant::now();
    for second in 1..=20 {
        let (lane, other) = if second % 2 == 0 { (Lane::Pause, Lane::Resume) } else { (Lane::Resume, Lane::Pause) };
        let (edit, _) = enter(&budget, lane).await;
        assert_eq!(down.elapsed(), SECOND * second);
        let next = spawn_call(&budget, other);
        sleep(SECOND / 2).await;
        assert!(!next.is_finished(), "it is the next one's turn in half a second");
        next.abort();
        // It hangs, and holds no other edit up.
        tokio::spawn(async move {
            sleep(SECOND * 5).await;
            edit.finish(Some(&line(1)), &fault(Trouble::Unavailable, None));
        });
    }
    // Who waits for longer is told what is wrong.
    let waiting: Vec<_> = (0..5).map(|_| spawn_call(&budget, Lane::Pause)).collect();
    let began = Instant::now();
    let mut ended = Vec::new();
    for call in waiting {
        ended.push(call.await.unwrap().err().map(|held| held.trouble));
        assert!(began.elapsed() <= SOON + SECOND, "{:?}", began.elapsed());
    }
    assert!(ended.contains(&None) && ended.contains(&Some(Trouble::Unavailable)), "{ended:?}");

    let (edit, _) = enter(&budget, Lane::Pause).await;
    edit.finish(Some(&line(7)), &Ok(()));
    assert_eq!(call(&budget, Lane::Look).await, 0, "the remote is there");
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_pauses_go_first_and_nothing_is_lost() {
    const RATE: u32 = 20;
    let lanes = [(Lane::Correction, 300), (Lane::Resume, 300), (Lane::Pause, 400)];
    let budget = Budget::new(RATE);
    let back = Instant::now() + MINUTE * 10;
    let mut calls = JoinSet::new();
    let mut number = 0;
    for lane in lanes.into_iter().flat_map(|(lane, count)| vec![lane; count]) {
        number += 1;
        let (budget, whose) = (budget.clone(), line(number));
        calls.spawn(async move {
            let mut sent = Vec::new();
            let mut lane = lane;
            loop {
                match budget.enter(lane).await {
                    Err(held) => sleep_until(held.until).await,
                    Ok(permit) => {
                        let is_back = Instant::now() >= back;
                        sent.push((Instant::now(), lane, is_back));
                        sleep(Duration::from_millis(80)).await;
                        permit.finish(Some(&whose), &if is_back { Ok(()) } else { fault(Trouble::Unavailable, None) });
                        if is_back {
                            return sent;
                        }
                        lane = match lane {
                            Lane::Pause => Lane::PauseRetry,
                            Lane::Resume => Lane::ResumeRetry,
                            other => other,
                        };
                    }
                }
            }
        });
    }
    let mut sent: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
    sent.sort();
    let away = sent.iter().filter(|(.., is_back)| !is_back).count();
    assert!(away < 80 + 600, "{away} calls to a remote that was away");
    let after: Vec<_> = sent.iter().filter(|(.., is_back)| *is_back).collect();
    assert_eq!(after.len(), 1000);
    let took = after[999].0 - back;
    assert!(took <= SECOND * (1000 / RATE + 10), "{took:?}");
    // One finds out, and one of five may have lost its patience.
    let is_pause = |lane: Lane| matches!(lane, Lane::Pause | Lane::PauseRetry);
    let pauses = after[..400].iter().filter(|(_, lane, _)| is_pause(*lane)).count();
    assert!(pauses >= 400 * 4 / 5 - 1, "{pauses} of the first 400 were pauses");
    let most = sent.iter().map(|(from, ..)| sent.iter().filter(|(at, ..)| at >= from && *at < *from + SECOND).count());
    let most = most.max().unwrap();
    assert!(most <= 3 * RATE as usize, "{most} calls within a second");
}

// One budget a key.

#[tokio::test(start_paused = true)]
async fn who_has_the_same_key_shares_one_budget() {
    let key = |text: &str| ApiKey::new(text.as_bytes()).ok().unwrap();
    let budgets = Budgets::default();
    let first = budgets.of(&key("one"), 4);
    let second = budgets.of(&key("one\n"), 2);
    let other = budgets.of(&key("two"), 4);
    let rates = || [&first, &other].map(|budget| budget.reading().rate.to_bits());
    let expect = |rates: [f64; 2]| rates.map(f64::to_bits);
    assert_eq!(rates(), expect([2.0, 4.0]), "the least that is asked for");
    second.set_rate(3);
    assert_eq!(rates(), expect([3.0, 4.0]));
    second.set_rate(9);
    assert_eq!(rates(), expect([4.0, 4.0]));
    second.set_rate(2);

    advance(MINUTE).await;
    for (budget, expected) in [(&first, 0), (&second, 0), (&first, 500), (&second, 500), (&other, 0)] {
        assert_eq!(call(budget, Lane::Look).await, expected);
    }
    enter(&second, Lane::Pause).await.0.finish(None, &fault(Trouble::RateLimited, Some(60)));
    assert!(first.enter(Lane::Pause).await.is_err());
    assert_eq!(call(&other, Lane::Look).await, 0, "one's trouble is not another's");

    let clone = second.clone();
    drop(second);
    assert_eq!(rates()[0], f64::to_bits(2.0), "the remote said when to come back");
    advance(MINUTE * 10).await;
    enter(&first, Lane::Look).await.0.finish(None, &Ok(()));
    assert_eq!(rates()[0], f64::to_bits(2.0), "a clone counts");
    drop(clone);
    assert_eq!(rates()[0], f64::to_bits(4.0), "who is gone asks for nothing");

    drop(first);
    let again = budgets.of(&key("one"), 7);
    assert_eq!(again.reading().rate.to_bits(), f64::to_bits(7.0), "nothing is left of it when nobody uses it");
}
