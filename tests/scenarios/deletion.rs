//! Objects that go, in every state; and come back.

use std::time::Duration;

use sarvam_testkit::simulator::{Effect, Fault, LineState, Route, Then};
use serde_json::json;

use crate::stage::{LIMIT, Stage, scenario};

fn state(stage: &Stage, line: &str) -> Option<LineState> {
    stage.remote.line(line).map(|line| line.status)
}

/// Retain: the line stays as it is, whatever its object said last.
#[tokio::test]
async fn a_deleted_object_leaves_its_line_as_it_is() {
    scenario("deletion", async |stage| {
        stage.operator();
        // It stays, so that the operator has something to look at.
        stage.line("dep-stays");
        stage.apply("stays", "dep-stays", true).await;
        stage.ready("stays").await;
        stage.another_second().await;

        stage.line("dep-paused");
        stage.line("dep-active");
        stage.line("dep-suspended");
        stage.line("dep-reported");
        let cases = [
            ("paused", "dep-paused", json!({"paused": true}), "True - Synced"),
            ("active", "dep-active", json!({"paused": false}), "True - Synced"),
            ("suspended", "dep-suspended", json!({"paused": true, "suspend": true}), "False Stalled Suspended"),
            (
                "reported",
                "dep-reported",
                json!({"paused": true, "driftPolicy": "Report"}),
                "False Stalled DriftReported",
            ),
            ("absent", "dep-absent", json!({"paused": true}), "RemoteNotFound"),
            ("second", "dep-stays", json!({"paused": false}), "False Stalled RemoteIdConflict"),
        ];
        for (name, line, fields, _) in &cases {
            stage.create(name, line, fields.clone()).await;
        }
        for (name, _, _, words) in &cases {
            stage.says(name, words).await;
        }
        let now = || cases.iter().map(|(_, line, ..)| (state(stage, line), stage.puts(line))).collect::<Vec<_>>();
        let before = now();
        for (name, ..) in &cases {
            stage.delete(name).await;
        }
        stage.looks(2).await;
        assert_eq!(now(), before);

        // The Workspace and the Secret go, and the last object after them.
        stage.delete_workspace().await;
        stage.says("stays", "WorkspaceNotFound").await;
        stage.delete_secret().await;
        stage.delete("stays").await;
        assert_eq!(state(stage, "dep-stays"), Some(LineState::Paused));
        assert_eq!(now(), before);
    })
    .await;
}

/// Replaced faster than anyone can look: what is asked is what the new object says.
#[tokio::test]
async fn an_object_made_again_under_its_name_asks_anew() {
    scenario("again", async |stage| {
        stage.line("dep-1");
        stage.line("dep-2");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        for paused in [false, true, false] {
            stage.delete("support-line").await;
            stage.apply("support-line", "dep-1", paused).await;
            stage.ready("support-line").await;
        }
        // Not even waited for.
        for paused in [true, false, true] {
            stage.delete("support-line").await;
            stage.apply("support-line", "dep-1", paused).await;
        }
        stage.ready("support-line").await;

        // The same name for another line: the first one stays as it is.
        stage.delete("support-line").await;
        stage.apply("support-line", "dep-2", true).await;
        stage.ready("support-line").await;
        assert_eq!(state(stage, "dep-1"), Some(LineState::Paused));
        // Two edits in a row, with nothing in between.
        stage.edit("support-line", json!({"paused": false})).await;
        stage.edit("support-line", json!({"paused": true})).await;
        stage.ready("support-line").await;
    })
    .await;
}

/// Doubts belong to the line: a call that was sent for an object still lands when another has taken its name.
#[tokio::test]
async fn a_late_call_for_a_deleted_object_makes_its_successor_no_liar() {
    const LATE: Duration = Duration::from_secs(2);
    scenario("late-call", async |stage| {
        stage.paused_line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        let resume_lands_late = Effect::Apply { after: LATE, then: Then::Drop };
        stage.remote.inject(Fault::on(Route::Status, resume_lands_late).once());
        stage.edit("support-line", json!({"paused": false})).await;
        stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Status) == 1).await.unwrap();
        stage.delete("support-line").await;
        stage.apply("support-line", "dep-1", true).await;
        // The line is paused as asked, and the resume still on its way: nothing may be claimed before it has landed.
        stage.line_is("dep-1", LineState::Active).await;
        stage.line_is("dep-1", LineState::Paused).await;
        stage.ready("support-line").await;
    })
    .await;
}
