//! The API server goes away and comes back.

use std::time::Duration;

use sarvam_testkit::gate::Gate;
use sarvam_testkit::simulator::LineState;
use serde_json::json;
use tokio::time::sleep;

use crate::stage::{LIMIT, Launch, Setup, Stage, scenario, until_nothing};

/// Two looks and more: who would act without a lease has acted by then.
const TEMPTATION: Duration = Duration::from_secs(3);

async fn away_for_longer_than_the_lease(stage: &Stage, shut: impl AsyncFn(&Gate)) {
    let gate = Gate::open(stage.plane().api_server().unwrap()).unwrap();
    let operator = stage.launch(Launch::default().kubeconfig(stage.kubeconfig_at(gate.addr())));
    stage.line("dep-edited");
    stage.line("dep-drifting");
    stage.apply("edited", "dep-edited", true).await;
    stage.apply("drifting", "dep-drifting", true).await;
    stage.ready("edited").await;
    stage.ready("drifting").await;

    shut(&gate).await;
    operator.process().wait_for_line("lease is lost", LIMIT).await.unwrap();
    let calls = || (stage.puts("dep-edited"), stage.puts("dep-drifting"));
    let before = calls();
    stage.edit("edited", json!({"paused": false})).await;
    stage.remote.set_from_dashboard("dep-drifting", LineState::Active, "asha@example.org");
    sleep(TEMPTATION).await;
    assert_eq!(calls(), before, "a call without a lease");
    assert_eq!(operator.get("/healthz").await.0, 200);

    gate.restore().await;
    stage.ready("edited").await;
    stage.line_is("dep-drifting", LineState::Paused).await;
    stage.looks(2).await;
    stage.ready("drifting").await;
}

#[tokio::test]
async fn without_the_api_server_nothing_is_changed_once_the_lease_is_over() {
    scenario("cut", async |stage| away_for_longer_than_the_lease(stage, async |gate| gate.cut().await).await).await;
}

#[tokio::test]
async fn an_api_server_that_says_nothing_is_one_that_is_away() {
    scenario("silent", async |stage| away_for_longer_than_the_lease(stage, async |gate| gate.hang().await).await).await;
}

/// The watch, and whatever else is open: a router on the way has forgotten them, and drops what comes over them.
#[tokio::test]
async fn an_edit_is_seen_though_the_connections_have_fallen_silent() {
    scenario("forgotten", async |stage| {
        let gate = Gate::open(stage.plane().api_server().unwrap()).unwrap();
        // Who loses the lease over it reads everything anew.
        let patient = Launch::default().flag("--lease-duration", "1m");
        let operator = stage.launch(patient.kubeconfig(stage.kubeconfig_at(gate.addr())));
        stage.line("dep-1");
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        // Who hears nothing of a write reads, and so sees the edit.
        operator.process().wait_for_line("reason=Synced", LIMIT).await.unwrap();

        gate.forget().await;
        stage.edit("support-line", json!({"paused": false})).await;
        stage.line_is("dep-1", LineState::Active).await;
        stage.ready("support-line").await;
        let output = operator.output();
        assert!(output.contains("the watch failed") && !output.contains("lease is lost"), "{output}");
    })
    .await;
}

#[tokio::test]
async fn etcd_and_the_api_server_are_killed_and_come_back() {
    Setup::new("servers")
        .own_control_plane()
        .play(async |stage| {
            let plane = stage.plane();
            stage.line("dep-1");
            let operator = stage.operator();
            stage.apply("support-line", "dep-1", true).await;
            stage.ready("support-line").await;

            plane.restart_etcd().await.unwrap();
            stage.edit("support-line", json!({"paused": false})).await;
            stage.ready("support-line").await;

            plane.restart_api_server().await.unwrap();
            stage.edit("support-line", json!({"paused": true})).await;
            stage.ready("support-line").await;

            plane.stop_api_server().unwrap();
            operator.process().wait_for_line("lease is lost", LIMIT).await.unwrap();
            stage.remote.set_from_dashboard("dep-1", LineState::Active, "asha@example.org");
            plane.start_api_server().await.unwrap();
            stage.line_is("dep-1", LineState::Paused).await;
            stage.edit("support-line", json!({"paused": false})).await;
            let object = stage.ready("support-line").await;

            // By this log the judge of every scenario knows when a status was written.
            let version = object["metadata"]["resourceVersion"].as_str().unwrap();
            until_nothing(async || {
                let is_known = stage.status_writes().contains_key(version);
                (!is_known).then(|| format!("the API server's log lacks the status of version {version}"))
            })
            .await;
        })
        .await;
}
