//! Statuses that others write, refuse, or left behind; and how much is told of one trouble.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use sarvam_operator::api::Deployment;
use sarvam_testkit::simulator::{Action, Effect, Fault, LineState, Refusal, Route};
use serde_json::{Value, json};

use crate::stage::{LIMIT, Setup, Stage, occurrences, ready_message, scenario, until_nothing};

async fn write_status(stage: &Stage, name: &str, status: &Value, params: &PatchParams) -> kube::Result<Deployment> {
    let api = Api::<Deployment>::namespaced(stage.client(), &stage.namespace);
    api.patch_status(name, params, &Patch::Merge(json!({"status": status}))).await
}

fn version(object: &Value) -> &Value {
    &object["metadata"]["resourceVersion"]
}

/// A status is what is told, not what is known: without it the operator knows as much as before.
#[tokio::test]
async fn a_status_that_others_wipe_is_told_again() {
    scenario("wiped", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        for _ in 0..3 {
            let told = stage.ready("support-line").await;
            let (message, condition) = ("as it was told long ago", &told["status"]["conditions"][0]);
            let older = |type_: &str, status: &str| {
                json!({"type": type_, "status": status, "reason": "AwaitingConfirmation", "message": message,
                    "lastTransitionTime": condition["lastTransitionTime"],
                    "observedGeneration": condition["observedGeneration"]})
            };
            let older =
                json!({"remote": null, "conditions": [older("Ready", "Unknown"), older("Reconciling", "True")]});
            let wiped = write_status(stage, "support-line", &older, &PatchParams::default()).await.unwrap();
            let wiped = json!(wiped.metadata.resource_version);
            let again = |object: &Value| {
                ![version(&told), &wiped].contains(&version(object)) && object["status"]["remote"]["state"] == "Paused"
            };
            stage.until("support-line", "told again", again).await;
        }
        stage.ready("support-line").await;
        assert_eq!(stage.puts("dep-1"), [Some(Action::Pause)]);
    })
    .await;
}

/// The API server takes no status for a while: the line is as asked all the same, by one call, and the status follows.
#[tokio::test]
async fn a_refused_status_write_repeats_no_call() {
    Setup::new("refused")
        .not_on_an_existing_cluster()
        .play(async |stage| {
            stage.line("dep-1");
            stage.operator();
            stage.apply("support-line", "dep-1", false).await;
            stage.ready("support-line").await;

            let name = &stage.namespace;
            let policies = Api::<ValidatingAdmissionPolicy>::all(stage.client());
            let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(stage.client());
            let policy = json!({
                "metadata": {"name": name},
                "spec": {
                    "matchConstraints": {"resourceRules": [{
                        "apiGroups": ["agents.sarvam.ai"], "apiVersions": ["*"], "operations": ["UPDATE"],
                        "resources": ["deployments/status"],
                    }]},
                    "validations": [{"expression": "false", "message": "no status today"}],
                },
            });
            let binding = json!({
                "metadata": {"name": name},
                "spec": {
                    "policyName": name,
                    "validationActions": ["Deny"],
                    "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
                },
            });
            let new = PostParams::default();
            policies.create(&new, &serde_json::from_value(policy).unwrap()).await.unwrap();
            bindings.create(&new, &serde_json::from_value(binding).unwrap()).await.unwrap();
            let taken = async || {
                let dry = PatchParams { dry_run: true, ..PatchParams::default() };
                let written = write_status(stage, "support-line", &json!({"observedGeneration": 1}), &dry).await;
                written.is_ok()
            };
            until_nothing(async || taken().await.then(|| "a status is taken".to_owned())).await;

            stage.edit("support-line", json!({"paused": true})).await;
            stage.line_is("dep-1", LineState::Paused).await;
            stage.looks(4).await;
            assert_eq!(stage.puts("dep-1"), [Some(Action::Pause)]);

            bindings.delete(name, &DeleteParams::default()).await.unwrap();
            policies.delete(name, &DeleteParams::default()).await.unwrap();
            until_nothing(async || (!taken().await).then(|| "a status is refused".to_owned())).await;
            stage.ready("support-line").await;
            assert_eq!(stage.puts("dep-1"), [Some(Action::Pause)]);
        })
        .await;
}

/// What another version of the operator wrote, with fields that are unknown here and without some that are known.
#[tokio::test]
async fn a_status_of_another_version_is_no_hindrance() {
    scenario("another-version", async |stage| {
        stage.paused_line("dep-1");
        stage.apply("support-line", "dep-1", true).await;
        let condition = |type_: &str| {
            json!({"type": type_, "status": "True", "reason": "Synced", "message": "as it was told then",
                "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let status = json!({"phase": "Done", "observedGeneration": 1, "conditions": [condition("Ready"), condition("Verified")]});
        write_status(stage, "support-line", &status, &PatchParams::default()).await.unwrap();
        stage.operator();
        let object = stage.ready("support-line").await;
        // A condition that is not its own stays as it is.
        let types: Vec<_> = object["status"]["conditions"].as_array().unwrap().iter().map(|it| &it["type"]).collect();
        assert_eq!(types, ["Ready", "Verified"], "{object:#}");
        assert_eq!(stage.puts("dep-1"), []);
    })
    .await;
}

/// Tried again and again, told once.
#[tokio::test]
async fn an_outage_is_told_by_few_events() {
    scenario("outage", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        stage.remote.inject(Fault::on(Route::Any, Effect::Refuse(Refusal::new(500, "internal_server_error"))));
        stage.edit("support-line", json!({"paused": false})).await;
        let calls = stage.remote.calls(Route::Any);
        stage.remote.wait_until(LIMIT, |remote| remote.calls(Route::Any) >= calls + 8).await.unwrap();
        stage.remote.clear_faults();
        stage.ready("support-line").await;
        let events = stage.events().await;
        let warnings =
            events.iter().filter(|event| event["type"] == "Warning" && event["regarding"]["kind"] == "Deployment");
        // One of the outage, and perhaps one that the last look is too old.
        assert!((1..=2).contains(&warnings.clone().count()), "{:#?}", warnings.collect::<Vec<_>>());
    })
    .await;
}

/// What comes again with the same words is counted; with others it is another.
#[tokio::test]
async fn an_event_has_the_words_of_its_status() {
    scenario("event-words", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", false).await;
        stage.ready("support-line").await;
        let mut told = BTreeMap::new();
        for (status, times) in [(400, 2), (422, 1), (400, 2)] {
            let refusal = Refusal::new(status, "invalid_request_error");
            stage.remote.inject(Fault::on(Route::Status, Effect::Refuse(refusal)));
            stage.edit("support-line", json!({"paused": true})).await;
            let object = stage.says("support-line", "False Stalled InvalidRequest").await;
            told.insert(ready_message(&object).to_owned(), times);
            stage.remote.clear_faults();
            stage.edit("support-line", json!({"paused": false})).await;
            stage.ready("support-line").await;
        }
        stage.published("support-line", "InvalidRequest", 3).await;
        let events = stage.events().await;
        let events = events
            .iter()
            .filter(|event| event["reason"] == "InvalidRequest")
            .map(|event| (event["note"].as_str().unwrap_or_default().to_owned(), occurrences(event)));
        let events: BTreeMap<_, _> = events.collect();
        assert_eq!(events, told);
    })
    .await;
}
