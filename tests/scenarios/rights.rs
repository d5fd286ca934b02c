//! What the chart's roles grant: to the operator, and to people.

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use sarvam_testkit::control_plane::ControlPlane;
use sarvam_testkit::simulator::LineState;
use serde_json::{Value, json};

use crate::stage::rights::{Right, create, may, render};
use crate::stage::{LIMIT, ORG, Setup, Stage, WORKSPACE_ID, until_nothing};

/// What an operator does in its life: start, pause, resume, read a key and the next one, take over, give up.
async fn a_whole_life(stage: &Stage) {
    stage.line("dep-1");
    let first = stage.operator();
    stage.apply("support-line", "dep-1", true).await;
    stage.ready("support-line").await;
    // The second pause is a repeat of the first one's Event.
    for paused in [false, true] {
        stage.edit("support-line", json!({"paused": paused})).await;
        stage.ready("support-line").await;
    }

    let key = stage.new_key();
    stage.remote.add_key(ORG, WORKSPACE_ID, "second", &key);
    stage.put_secret(key.as_bytes()).await;
    stage.remote.revoke_key("first");
    stage.edit("support-line", json!({"paused": false})).await;
    stage.ready("support-line").await;

    let second = stage.operator();
    second.process().wait_for_line("started", LIMIT).await.unwrap();
    first.kill().await;
    second.process().wait_for_line("leading", LIMIT).await.unwrap();
    stage.edit("support-line", json!({"paused": true})).await;
    stage.ready("support-line").await;
    second.stop().await;
    stage.line_is("dep-1", LineState::Paused).await;
    stage.every_right_is_used().await;
}

/// Every verb is used, whichever way the chart is installed. That none is missing, each scenario shows.
#[tokio::test]
async fn the_operator_uses_every_verb_that_the_chart_grants() {
    let ways: [fn(Setup) -> Setup; 4] =
        [|setup| setup, Setup::any_secret, Setup::own_control_plane, |setup| setup.own_control_plane().any_secret()];
    for (number, way) in ways.into_iter().enumerate() {
        way(Setup::new(&format!("rights-{number}"))).play(a_whole_life).await;
    }
}

/// Whoever has one of Kubernetes' own roles in a namespace may do as much with the lines there, and nothing with a status.
#[tokio::test]
async fn who_may_view_or_edit_a_namespace_may_do_so_with_its_lines() {
    const LOOK: [&str; 3] = ["get", "list", "watch"];
    const CHANGE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
    if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
        // These roles would stay in the cluster's own.
        return;
    }
    let plane = ControlPlane::shared().await;
    let client = plane.client();
    let namespace = plane.namespace("people").await.unwrap();
    let roles = render(plane, "aggregated-roles", &[format!("fullnameOverride={namespace}")]).await;
    let roles: Vec<Value> = serde_saphyr::from_multiple(&roles).unwrap();
    for role in &roles {
        create(&client, role).await;
    }
    for (people, changes) in [("view", false), ("edit", true), ("admin", true)] {
        // What Kubernetes' controller, which does not run here, would put into that role.
        let own = Api::<ClusterRole>::all(client.clone()).get(people).await.unwrap();
        let selectors = own.aggregation_rule.and_then(|rule| rule.cluster_role_selectors).unwrap_or_default();
        let labels: Vec<_> = selectors.into_iter().filter_map(|selector| selector.match_labels).flatten().collect();
        assert!(!labels.is_empty(), "{people} takes no other role in");
        let taken_in = |role: &&Value| labels.iter().any(|(label, value)| role["metadata"]["labels"][label] == **value);
        for role in roles.iter().filter(taken_in) {
            let name = &role["metadata"]["name"];
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"namespace": namespace, "name": format!("{people}-{}", name.as_str().unwrap())},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": people}],
            });
            create(&client, &binding).await;
        }

        let does = async |resource: &str, verb: &str| {
            let right = Right {
                namespace: Some(namespace.clone()),
                group: "agents.sarvam.ai".to_owned(),
                resource: resource.to_owned(),
                verb: verb.to_owned(),
                object: None,
            };
            may(&client, people, &right, &namespace).await
        };
        for resource in ["deployments", "workspaces"] {
            for verb in LOOK.iter().chain(CHANGE.iter().filter(|_| changes)) {
                until_nothing(async || {
                    (!does(resource, verb).await).then(|| format!("{people} may not {verb} {resource}"))
                })
                .await;
            }
            for verb in CHANGE.iter().filter(|_| !changes) {
                assert!(!does(resource, verb).await, "{people} may {verb} {resource}");
            }
            for verb in ["update", "patch"] {
                let status = format!("{resource}/status");
                assert!(!does(&status, verb).await, "{people} may {verb} {status}");
            }
        }
    }
}
