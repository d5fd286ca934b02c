//! One line, paused and resumed.

use sarvam_testkit::simulator::{Action, LineState};
use serde_json::json;

use crate::stage::scenario;

#[tokio::test]
async fn a_line_is_paused_resumed_and_paused_again() {
    scenario("pause", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        for paused in [false, true] {
            stage.edit("support-line", json!({"paused": paused})).await;
            stage.ready("support-line").await;
        }
        stage.line_is("dep-1", LineState::Paused).await;
        let calls = [Action::Pause, Action::Resume, Action::Pause].map(Some);
        assert_eq!(stage.puts("dep-1"), calls);
    })
    .await;
}
