//! The operator's process: how it ends and starts again.

use std::time::{Duration, Instant};

use sarvam_testkit::process::Signal;
use sarvam_testkit::simulator::{Action, Effect, Fault, LineState, Route, What};
use serde_json::json;

use crate::stage::{LIMIT, Launch, scenario};

/// While the last call ends no other begins. The remote sits on that call, and the other lines are due for a look meanwhile.
#[tokio::test]
async fn sigterm_lets_the_last_call_end_and_begins_no_other() {
    const LINES: usize = 20;
    /// For what had left the process when it heard of its end.
    const ON_THE_WAY: Duration = Duration::from_millis(200);
    scenario("sigterm", async |stage| {
        let operator = stage.launch(Launch::default().flag("--call-timeout", "5s").flag("--lease-duration", "1m"));
        for n in 0..LINES {
            stage.line(&format!("dep-{n}"));
            stage.apply(&format!("line-{n}"), &format!("dep-{n}"), true).await;
        }
        for n in 0..LINES {
            stage.ready(&format!("line-{n}")).await;
        }
        let slow = Effect::Delay(Duration::from_millis(1500));
        stage.remote.inject(Fault::on(Route::Status, slow).line("dep-0").once());
        let calls = stage.remote.calls(Route::Status);
        stage.edit("line-0", json!({"paused": false})).await;
        stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) > calls).await.unwrap();

        operator.process().signal(Signal::SIGTERM).unwrap();
        operator.process().wait_for_line("stopping", LIMIT).await.unwrap();
        let told = Instant::now();
        let status = operator.process().wait(LIMIT).await.unwrap();
        assert!(status.success(), "{status}: {}", operator.output());

        let after = stage.remote.history().into_iter().filter(|entry| entry.at > told + ON_THE_WAY);
        let begun: Vec<_> = after.filter(|entry| matches!(entry.what, What::Arrived(_))).collect();
        assert!(begun.is_empty(), "calls after SIGTERM: {begun:#?}");
        assert_eq!(stage.puts("dep-0"), [Some(Action::Pause), Some(Action::Resume)]);
        stage.line_is("dep-0", LineState::Active).await;
        let holder = stage.lease().await.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
        assert_eq!(holder.unwrap_or_default(), "", "the Lease is not given up");
    })
    .await;
}

/// Who was Ready stays so, without a write, though the new process doubts everything.
#[tokio::test]
async fn a_restart_leaves_ready_lines_untouched() {
    scenario("restart", async |stage| {
        stage.line("dep-1");
        stage.paused_line("dep-2");
        let first = stage.operator();
        stage.apply("one", "dep-1", true).await;
        stage.apply("two", "dep-2", true).await;
        stage.ready("one").await;
        stage.ready("two").await;
        stage.until_workspace("both lines are counted", |it| it["status"]["lines"]["asAsked"] == 2).await;
        first.stop().await;

        let written = async || {
            let mut versions = vec![];
            for object in [stage.object("one").await, stage.object("two").await, stage.workspace().await] {
                versions.push((object["metadata"]["name"].clone(), object["metadata"]["resourceVersion"].clone()));
            }
            (versions, stage.events().await.len(), stage.puts("dep-1"), stage.puts("dep-2"))
        };
        let before = written().await;
        let second = stage.operator();
        second.process().wait_for_line("leading", LIMIT).await.unwrap();
        stage.looks(2).await;
        assert_eq!(written().await, before);

        // An edit goes out at once all the same; only the claim waits for the window.
        second.stop().await;
        let third = stage.launch(Launch::default().flag("--doubt-window", "1h"));
        third.process().wait_for_line("leading", LIMIT).await.unwrap();
        stage.looks(1).await;
        stage.edit("one", json!({"paused": false})).await;
        stage.line_is("dep-1", LineState::Active).await;
        stage.says("one", "Unknown Reconciling AwaitingConfirmation").await;
        stage.looks(2).await;
        stage.says("one", "Unknown Reconciling AwaitingConfirmation").await;
        stage.says("two", "True - Synced").await;
    })
    .await;
}
