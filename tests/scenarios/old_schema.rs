//! Objects that were stored under an older schema, which let more through.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::stage::{Setup, Stage, ready_message, until_nothing};

/// Has the API server take any spec, and waits until it does.
async fn let_everything_through(stage: &Stage) {
    let patch = json!([
        {"op": "remove", "path": "/spec/versions/0/selectableFields"},
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
         "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
    ]);
    let patch: Patch<Value> = Patch::Json(serde_json::from_value(patch).unwrap());
    let crds = Api::<CustomResourceDefinition>::all(stage.client());
    crds.patch("deployments.agents.sarvam.ai", &PatchParams::default(), &patch).await.unwrap();
    let probe =
        "{apiVersion: agents.sarvam.ai/v1alpha1, kind: Deployment, metadata: {name: probe}, spec: {paused: often}}";
    let tried = ["create", "--dry-run=server", "--validate=false", "-f", "-"];
    until_nothing(async || {
        let answer = stage.kubectl().run_with_input(&tried, probe).await.unwrap();
        (!answer.status.success()).then(|| "the new schema is not served".to_owned())
    })
    .await;
}

/// It says what is wrong with it, and holds up nobody, not even at the operator's start.
#[tokio::test]
async fn an_object_that_cannot_be_read_stops_no_other() {
    Setup::new("old-schema")
        .own_control_plane()
        .play(async |stage| {
            let_everything_through(stage).await;
            stage.line("dep-good");
            stage.line("dep-bad");
            stage.line("dep-good-too");
            stage.create("bad", "dep-bad", json!({"paused": "often"})).await;
            stage.apply("good", "dep-good", true).await;
            stage.operator();
            stage.ready("good").await;
            stage.apply("good-too", "dep-good-too", true).await;
            stage.ready("good-too").await;
            let bad = stage.says("bad", "False Stalled InvalidSpec").await;
            let message = ready_message(&bad);
            assert!(message.contains("often"), "{message}");
            stage.edit("good", json!({"paused": false})).await;
            stage.ready("good").await;
            assert_eq!(stage.puts("dep-bad"), []);

            stage.edit("bad", json!({"paused": true})).await;
            stage.ready("bad").await;
            // A good one can turn bad, too.
            stage.edit("good", json!({"paused": null})).await;
            stage.says("good", "False Stalled InvalidSpec").await;
        })
        .await;
}
