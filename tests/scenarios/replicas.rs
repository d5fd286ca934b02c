//! Two operators, one Lease.

use sarvam_testkit::simulator::{LineState, Route};
use serde_json::json;

use crate::stage::{LIMIT, Launch, Operator, Stage, scenario};
use std::sync::Arc;

/// Two operators; the first one leads.
async fn leader_and_follower(stage: &Stage) -> (Arc<Operator>, Arc<Operator>) {
    let leader = stage.operator();
    leader.process().wait_for_line("leading", LIMIT).await.unwrap();
    let follower = stage.operator();
    follower.process().wait_for_line("started", LIMIT).await.unwrap();
    (leader, follower)
}

#[tokio::test]
async fn a_killed_leader_is_followed_by_the_other() {
    scenario("killed", async |stage| {
        let (leader, follower) = leader_and_follower(stage).await;
        for n in 0..3 {
            stage.line(&format!("dep-{n}"));
            stage.apply(&format!("line-{n}"), &format!("dep-{n}"), true).await;
        }
        for n in 0..3 {
            stage.ready(&format!("line-{n}")).await;
        }
        // One edit that the leader may be at when it dies, one that nobody hears of, one line left alone.
        stage.edit("line-0", json!({"paused": false})).await;
        leader.kill().await;
        stage.edit("line-1", json!({"paused": false})).await;
        for n in 0..3 {
            stage.ready(&format!("line-{n}")).await;
        }
        assert_eq!(follower.metric("sarvam_leader").await, Some(1.0));
    })
    .await;
}

/// The frozen leader finds edits in its watch when it wakes, long after another has led. It must not act on them.
#[tokio::test]
async fn a_leader_frozen_past_its_lease_does_nothing_when_it_wakes() {
    scenario("frozen", async |stage| {
        let (leader, follower) = leader_and_follower(stage).await;
        stage.line("dep-1");
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        leader.freeze();
        stage.edit("support-line", json!({"paused": false})).await;
        follower.process().wait_for_line("leading", LIMIT).await.unwrap();
        stage.ready("support-line").await;
        stage.edit("support-line", json!({"paused": true})).await;
        stage.ready("support-line").await;
        let calls = stage.puts("dep-1");

        leader.thaw();
        leader.process().wait_for_line("lease is lost", LIMIT).await.unwrap();
        stage.looks(2).await;
        assert_eq!(stage.puts("dep-1"), calls);
        stage.line_is("dep-1", LineState::Paused).await;
        assert_eq!(
            (leader.metric("sarvam_leader").await, follower.metric("sarvam_leader").await),
            (Some(0.0), Some(1.0))
        );

        // The other way round: it can lead again.
        follower.kill().await;
        stage.edit("support-line", json!({"paused": false})).await;
        stage.ready("support-line").await;
    })
    .await;
}

/// The edit comes while the leader sleeps for less than its lease: it is late, and nothing else.
#[tokio::test]
async fn a_short_freeze_only_delays() {
    scenario("nap", async |stage| {
        stage.line("dep-1");
        let operator = stage.launch(Launch::default().flag("--lease-duration", "1m"));
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        for paused in [false, true] {
            operator.freeze();
            stage.edit("support-line", json!({"paused": !paused})).await;
            stage.edit("support-line", json!({"paused": paused})).await;
            operator.thaw();
            stage.ready("support-line").await;
        }
        assert!(!operator.output().contains("lease is lost"), "{}", operator.output());
    })
    .await;
}

/// What is asked for was read with quorum, and every earlier call is in doubt: no look comes first.
#[tokio::test]
async fn an_edit_that_came_while_nobody_led_goes_out_at_once() {
    scenario("while-away", async |stage| {
        let first = stage.operator();
        for line in ["dep-1", "dep-2"] {
            stage.line(line);
            stage.apply(line, line, false).await;
            stage.ready(line).await;
        }
        first.kill().await;
        let before = stage.arrivals(Route::Any).len();
        stage.edit("dep-1", json!({"paused": true})).await;
        stage.operator();
        stage.ready("dep-1").await;
        let calls = stage.arrivals(Route::Any).split_off(before);
        let its: Vec<Route> =
            calls.iter().filter(|call| call.line.as_deref() == Some("dep-1")).map(|call| call.route).collect();
        assert_eq!(its.first(), Some(&Route::Status), "{its:?}");
        // Who was not edited is looked at first, and left alone.
        assert_eq!(stage.puts("dep-2"), []);
    })
    .await;
}
