//! One line, paused and resumed.

use sarvam_testkit::simulator::{Action, LineState};
use serde_json::{Value, json};

use crate::stage::{Launch, scenario};

/// The story on the front page, told with kubectl.
#[tokio::test]
async fn a_line_is_paused_resumed_and_paused_again() {
    scenario("pause", async |stage| {
        stage.paused_line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        let kubectl = stage.kubectl();
        let wait = ["wait", "--for=condition=Ready", "sdep/support-line", "--timeout=60s"];
        kubectl.run(&wait).await.unwrap().success().unwrap();

        for (paused, state) in [(true, "Paused"), (false, "Active"), (true, "Paused")] {
            stage.edit("support-line", json!({"paused": paused})).await;
            stage.ready("support-line").await;
            let table = kubectl.run(&["get", "sdep"]).await.unwrap().success().unwrap();
            let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
            assert_eq!(rows[0], ["NAME", "PAUSED", "STATE", "READY", "REASON", "AGE"]);
            assert_eq!(rows[1][..5], ["support-line", &paused.to_string(), state, "True", "Synced"]);
        }
        stage.line_is("dep-1", LineState::Paused).await;
        // One call an edit, and none for those that asked for what was there.
        assert_eq!(stage.puts("dep-1"), [Action::Resume, Action::Pause].map(Some));
        for reason in ["Synced", "Resumed", "Paused"] {
            stage.published("support-line", reason, 1).await;
        }
    })
    .await;
}

/// Nobody led before, so no call of a leader before can be on its way: no window is waited for.
#[tokio::test]
async fn a_first_install_is_ready_at_once() {
    scenario("first", async |stage| {
        stage.line("dep-1");
        stage.launch(Launch::default().flag("--doubt-window", "1h").flag("--lease-duration", "1m"));
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
    })
    .await;
}

/// Three intervals later nothing was written: not to the remote, not to an object, no event.
#[tokio::test]
async fn at_rest_nothing_is_written() {
    const LINES: usize = 3;
    scenario("idle", async |stage| {
        stage.operator();
        let names: Vec<_> = (0..LINES).map(|n| format!("line-{n}")).collect();
        for name in &names {
            stage.line(&format!("dep-{name}"));
            stage.apply(name, &format!("dep-{name}"), true).await;
        }
        for name in &names {
            stage.ready(name).await;
        }
        stage.until_workspace("all lines are counted", |it| it["status"]["lines"]["asAsked"] == json!(LINES)).await;
        stage.looks(1).await;

        let written = async || {
            let mut versions = vec![stage.workspace().await["metadata"]["resourceVersion"].clone()];
            for name in &names {
                versions.push(stage.object(name).await["metadata"]["resourceVersion"].clone());
            }
            (
                versions,
                stage.events().await.len(),
                names.iter().map(|name| stage.puts(&format!("dep-{name}"))).collect::<Vec<_>>(),
            )
        };
        let before = written().await;
        stage.looks(3).await;
        assert_eq!(written().await, before);
    })
    .await;
}

/// The remote may say that a line is as asked already; then no call is made for it at all.
#[tokio::test]
async fn a_line_that_is_as_asked_is_left_alone() {
    scenario("as-asked", async |stage| {
        stage.paused_line("dep-1");
        stage.line("dep-2");
        stage.operator();
        stage.apply("one", "dep-1", true).await;
        stage.apply("two", "dep-2", false).await;
        stage.ready("one").await;
        stage.ready("two").await;
        // Its facts change, and its state doesn't.
        stage.remote.set_from_dashboard("dep-1", LineState::Paused, "asha@example.org");
        let told = |object: &Value| object["status"]["remote"]["updatedBy"] == "asha@example.org";
        stage.until("one", "who changed the line last", told).await;
        stage.ready("one").await;
        assert_eq!((stage.puts("dep-1"), stage.puts("dep-2")), (vec![], vec![]));
    })
    .await;
}
