//! What a running operator tells Prometheus.

use crate::stage::{Operator, WORKSPACE, scenario, until_nothing};

/// Waits until the operator's page is so.
async fn until(operator: &Operator, what: &str, so: impl Fn(&str) -> bool) {
    until_nothing(async || {
        let page = operator.get("/metrics").await.1;
        (!so(&page)).then(|| format!("{what}:\n{page}"))
    })
    .await;
}

#[tokio::test]
async fn metrics_tell_of_lines_workspaces_and_the_operator() {
    scenario("metrics", async |stage| {
        stage.line("dep-right");
        let operator = stage.operator();
        stage.apply("right", "dep-right", true).await;
        stage.apply("lost", "dep-lost", true).await;
        let workspace = format!("{}/{WORKSPACE}", stage.namespace);
        let lost = stage.says("lost", "RemoteNotFound").await;
        let expected = [
            r#"sarvam_lines{ready="True",reason="Synced"} 1"#,
            r#"sarvam_lines{ready="False",reason="RemoteNotFound"} 1"#,
            &format!(r#"sarvam_workspace_ready{{workspace="{workspace}",reason="KeyAccepted"}} 1.0"#),
            &format!(r#"sarvam_workspace_sync_interval_seconds{{workspace="{workspace}"}} 1.0"#),
            r#"sarvam_remote_calls_total{route="status",outcome="Ok"} 1"#,
            r#"sarvam_edit_to_remote_seconds_count{action="pause"} 1"#,
            r#"sarvam_edit_to_remote_seconds_count{action="resume"} 0"#,
            r#"sarvam_remote_call_wait_seconds_count{lane="pause"} 1"#,
            &format!(r#"sarvam_workspace_budget_asked_rate{{workspace="{workspace}"}} 200.0"#),
            &format!(r#"sarvam_workspace_circuit_open{{workspace="{workspace}"}} 0.0"#),
            "sarvam_leader 1",
            "sarvam_ready 1",
        ];
        let told = |page: &str| expected.iter().all(|wanted| page.lines().any(|line| line == *wanted));
        until(&operator, &format!("not all of {expected:#?}"), told).await;

        let value = async |name: &str| operator.metric(name).await.unwrap_or_default();
        let since = value("sarvam_lines_not_ready_since_timestamp_seconds").await;
        let transition = lost["status"]["conditions"][0]["lastTransitionTime"].as_str().unwrap_or_default();
        let transition: jiff::Timestamp = transition.parse().unwrap();
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let latest = transition.as_second() as f64;
        assert!(since > 0.0 && since <= latest, "not Ready since {since}, and its condition changed at {latest}");
        assert!(value("sarvam_workspace_last_look_timestamp_seconds").await >= since);
        assert!(value("sarvam_remote_call_duration_seconds_count").await > 0.0);

        stage.delete("lost").await;
        let gone = |page: &str| !page.is_empty() && !page.contains("RemoteNotFound");
        until(&operator, "an object that is gone still counts", gone).await;
    })
    .await;
}
