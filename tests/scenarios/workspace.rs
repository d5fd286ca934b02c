//! The Workspace object: late, deleted in use, and what it counts.

use sarvam_testkit::simulator::{LineState, Route};
use serde_json::json;

use crate::stage::{Setup, WORKSPACE, ready_message, scenario};

#[tokio::test]
async fn a_late_workspace_is_waited_for_and_then_called_missing() {
    Setup::new("late-workspace")
        .without_workspace()
        .play(async |stage| {
            stage.line("dep-1");
            stage.operator();
            stage.apply("support-line", "dep-1", true).await;
            let object = stage.says("support-line", "False Stalled WorkspaceNotFound").await;
            let said = stage.said("support-line");
            assert!(said.contains(&"False Reconciling WorkspaceNotFound".to_owned()), "{said:?}");
            let message = ready_message(&object);
            assert!(message.contains(WORKSPACE) && message.contains(&stage.namespace), "{message}");
            assert_eq!(stage.remote.calls(Route::Any), 0);
            stage.create_workspace().await;
            stage.ready("support-line").await;
        })
        .await;
}

/// Without its Workspace nobody has a key to the line: it stays as it is, and what is edited meanwhile is done later.
#[tokio::test]
async fn a_workspace_deleted_in_use_leaves_its_lines_and_may_come_back() {
    scenario("workspace-gone", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;

        stage.delete_workspace().await;
        stage.says("support-line", "WorkspaceNotFound").await;
        stage.edit("support-line", json!({"paused": false})).await;
        stage.says("support-line", "False Stalled WorkspaceNotFound").await;
        let calls = stage.remote.calls(Route::Status);
        assert_eq!(stage.remote.line("dep-1").map(|line| line.status), Some(LineState::Paused));

        stage.create_workspace().await;
        stage.ready("support-line").await;
        assert_eq!(stage.remote.calls(Route::Status), calls + 1);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_counts_its_lines() {
    scenario("counts", async |stage| {
        stage.operator();
        for (name, fields) in [
            ("right", json!({"paused": true})),
            ("right-too", json!({"paused": false})),
            ("reported", json!({"paused": true, "driftPolicy": "Report"})),
        ] {
            let line = format!("dep-{name}");
            stage.line(&line);
            stage.create(name, &line, fields).await;
        }
        let lines = |total: i32, as_asked: i32| json!({"total": total, "asAsked": as_asked});
        let counted = async |total, as_asked| {
            let what = format!("{as_asked} of {total} lines");
            stage.until_workspace(&what, |it| it["status"]["lines"] == lines(total, as_asked)).await;
        };
        counted(3, 2).await;
        stage.workspace_says("True - KeyAccepted").await;
        let table = stage.kubectl().run(&["get", "swks"]).await.unwrap().success().unwrap();
        let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["NAME", "LINES", "AS-ASKED", "READY", "REASON", "AGE"]);
        assert_eq!(rows[1][..5], [WORKSPACE, "3", "2", "True", "KeyAccepted"]);

        stage.edit("reported", json!({"driftPolicy": "Correct"})).await;
        counted(3, 3).await;
        stage.delete("right").await;
        counted(2, 2).await;
    })
    .await;
}
