//! Many things at once: edits, faults and deaths.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;
use sarvam_testkit::random::Random;
use sarvam_testkit::simulator::{Arrival, Corruption, Effect, Entry, Fault, Refusal, Route, Then, What};
use serde_json::json;
use tokio::time::sleep;

use crate::stage::{LIMIT, Launch, Setup, Stage, scenario};

/// The names of `n` lines, each with an object of its name that is Ready; all answer.
async fn lines(stage: &Stage, prefix: &str, n: usize) -> Vec<String> {
    let names: Vec<_> = (0..n).map(|i| format!("{prefix}-{i}")).collect();
    join_all(names.iter().map(async |name| {
        stage.line(name);
        stage.apply(name, name, false).await;
        stage.ready(name).await;
    }))
    .await;
    names
}

/// Fails where a status call for a line came before the one before it had ended.
fn assert_one_at_a_time(stage: &Stage, line: &str) {
    let mut under_way = BTreeSet::new();
    for entry in stage.remote.history() {
        match entry.what {
            What::Arrived(call) if call.route == Route::Status && call.line.as_deref() == Some(line) => {
                assert!(under_way.is_empty(), "two calls for {line} at once: {under_way:?} and {}", call.call);
                under_way.insert(call.call);
            }
            What::Replied { call, .. } | What::NoReply { call, .. } => {
                under_way.remove(&call);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_edit_storm_ends_with_the_last_edit() {
    const EDITS: usize = 200;
    scenario("edit-storm", async |stage| {
        stage.operator();
        lines(stage, "dep", 1).await;
        // Long enough for the next edit to come meanwhile.
        stage.remote.inject(Fault::on(Route::Status, Effect::Delay(Duration::from_millis(30))));
        for edit in 0..EDITS {
            stage.edit("dep-0", json!({"paused": edit % 2 == 0})).await;
        }
        stage.edit("dep-0", json!({"paused": true})).await;
        stage.ready("dep-0").await;
        let calls = stage.puts("dep-0").len();
        assert!(calls <= EDITS + 1, "{calls} calls for {EDITS} edits");
        assert_one_at_a_time(stage, "dep-0");
    })
    .await;
}

/// From `SCENARIO_SEED`, or the clock; the seed is printed, to play the same again.
fn seeded() -> Random {
    let clock = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
    let seed = std::env::var("SCENARIO_SEED").map_or(u64::from(clock), |seed| seed.parse().unwrap());
    eprintln!("SCENARIO_SEED={seed}");
    Random::new(seed)
}

/// Edits and bad luck with the remote go on while operators are killed, each at a moment of chance, and replaced.
#[tokio::test]
async fn death_at_any_moment_makes_no_lie() {
    const LINES: usize = 6;
    const DEATHS: usize = 4;
    let mut random = seeded();
    scenario("deaths", async |stage| {
        let mut operator = stage.operator();
        let names = lines(stage, "dep", LINES).await;
        let mut editing = random.fork();
        let over = AtomicBool::new(false);
        let edits = async {
            while !over.load(Ordering::Relaxed) {
                let name = editing.pick(&names);
                let after = editing.millis(1500);
                let effect = match editing.below(4) {
                    0 => Effect::Delay(editing.millis(600)),
                    1 => Effect::Apply { after, then: Then::Drop },
                    2 => Effect::Apply { after: after / 4, then: Then::Reply },
                    _ => Effect::Refuse(Refusal::new(500, "internal_server_error")),
                };
                stage.remote.inject(Fault::on(Route::Status, effect).line(name).once());
                stage.edit(name, json!({"paused": editing.below(2) == 0})).await;
                sleep(editing.millis(150)).await;
            }
        };
        let deaths = async {
            for _ in 0..DEATHS {
                let before = stage.remote.calls(Route::Status);
                // It must have begun to act, or its death shows nothing.
                stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) > before).await.unwrap();
                sleep(random.millis(1500)).await;
                operator.kill().await;
                operator = stage.operator();
            }
            over.store(true, Ordering::Relaxed);
        };
        futures::join!(edits, deaths);
        stage.remote.clear_faults();
        join_all(names.iter().map(|name| stage.ready(name))).await;
        for name in &names {
            assert_one_at_a_time(stage, name);
        }
    })
    .await;
}

/// Lines of one workspace that are in trouble for good, and one that is well: it must not notice, although the remote itself counts as
/// down where there are many.
#[tokio::test]
async fn lines_in_trouble_hold_up_no_other() {
    const CALL_TIMEOUT: Duration = Duration::from_secs(2);
    let failing = Effect::Refuse(Refusal::new(500, "internal_server_error"));
    let slow = Effect::Corrupt(Corruption::SlowBody(Duration::from_secs(1)));
    join_all([("one-500", 1, failing), ("sixteen-slow", 16, slow), ("sixteen-hang", 16, Effect::Hang)].map(
        async |(name, lines_in_trouble, effect)| {
            Setup::new(name)
                .sync_interval("10s")
                .play(async |stage| {
                    stage.launch(Launch::default().flag("--call-timeout", "2s"));
                    lines(stage, "well", 1).await;
                    let in_trouble = lines(stage, "trouble", lines_in_trouble).await;
                    // Its rows would show what a slow call has done.
                    stage.remote.inject(Fault::on(Route::List, effect.clone()));
                    for line in &in_trouble {
                        stage.remote.inject(Fault::on(Route::Any, effect.clone()).line(line));
                        stage.edit(line, json!({"paused": true})).await;
                    }
                    join_all(in_trouble.iter().map(|line| stage.has_said(line, "RemoteUnavailable"))).await;

                    for paused in [true, false, true, false] {
                        let before = calls_for("well-0", &stage.remote.history());
                        let sent = Instant::now();
                        stage.edit("well-0", json!({"paused": paused})).await;
                        let called =
                            stage.remote.wait_until(LIMIT, |remote| calls_for("well-0", remote.history()) > before);
                        called.await.unwrap();
                        assert!(sent.elapsed() < CALL_TIMEOUT, "{name}: the edit waited for the calls of other lines");
                        stage.ready("well-0").await;
                    }
                    let well_again =
                        in_trouble.iter().find(|line| stage.said(line).iter().any(|said| said.starts_with("True")));
                    assert_eq!(well_again, None, "{name}: the trouble was over before the end");
                    stage.remote.clear_faults();
                    join_all(in_trouble.iter().map(|line| stage.ready(line))).await;
                })
                .await;
        },
    ))
    .await;
}

/// How many status calls for a line have come.
fn calls_for(line: &str, history: &[Entry]) -> usize {
    let for_it = |call: &Arrival| call.route == Route::Status && call.line.as_deref() == Some(line);
    history.iter().filter(|entry| matches!(&entry.what, What::Arrived(call) if for_it(call))).count()
}

/// An edit that comes while a call for its line is under way goes out when that has ended: no look comes first, which
/// may take as long as a call can.
#[tokio::test]
async fn an_edit_during_a_call_waits_for_no_look() {
    const CALL_TIMEOUT: Duration = Duration::from_secs(10);
    scenario("during-a-call", async |stage| {
        let launch = Launch::default().flag("--call-timeout", "10s");
        stage.launch(launch.flag("--lease-duration", "15s"));
        lines(stage, "dep", 1).await;
        stage.remote.inject(Fault::on(Route::Status, Effect::Delay(Duration::from_secs(2))).once());
        stage.remote.inject(Fault::on(Route::Get, Effect::Hang));
        stage.edit("dep-0", json!({"paused": true})).await;
        // The status beside the call is written: nothing but the edit makes the operator look at the object again.
        stage.has_said("dep-0", "Progressing").await;
        stage.edit("dep-0", json!({"paused": false})).await;
        let edited = Instant::now();
        stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) == 2).await.unwrap();
        assert!(edited.elapsed() < CALL_TIMEOUT, "it went out after {:?}", edited.elapsed());
        stage.remote.clear_faults();
        stage.ready("dep-0").await;
    })
    .await;
}

/// An edit that waits for its turn says so. Where somebody takes it back meanwhile, it is never carried out.
#[tokio::test]
async fn an_edit_that_waits_for_its_turn_is_told_and_may_be_taken_back() {
    // As many as may be in flight.
    const BUSY: usize = 8;
    scenario("taken-back", async |stage| {
        stage.launch(Launch::default().flag("--call-timeout", "20s").flag("--lease-duration", "30s"));
        lines(stage, "dep", 1).await;
        for name in lines(stage, "busy", BUSY).await {
            stage.remote.inject(Fault::on(Route::Status, Effect::Delay(Duration::from_secs(10))).line(&name));
            stage.edit(&name, json!({"paused": true})).await;
        }
        stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) == BUSY).await.unwrap();
        stage.edit("dep-0", json!({"paused": true})).await;
        stage.has_said("dep-0", "Progressing").await;
        stage.edit("dep-0", json!({"paused": false})).await;
        stage.ready("dep-0").await;
        assert_eq!(stage.puts("dep-0"), []);
    })
    .await;
}
