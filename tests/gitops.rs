//! What people run who keep their lines in Git: Argo CD's scripts, applies by several managers, and the examples.
//!
//! Lines that truly come from Git, by Flux, are a scenario: `tests/scenarios/flux.rs`.

use std::path::{Path, PathBuf};

use sarvam_testkit::control_plane::ControlPlane;
use sarvam_testkit::kubectl::Kubectl;
use sarvam_testkit::{argo, gitops_crds};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const CONFIG_MAP: &str = "examples/gitops/argo-cd/argocd-cm.yaml";

/// A shared control plane that serves the operator's kinds.
async fn plane() -> &'static ControlPlane {
    static CRDS: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await;
    CRDS.get_or_init(async || plane.apply_crds(Path::new("crds")).await.unwrap()).await;
    plane
}

/// kubectl in a new namespace.
async fn kubectl(namespace: &str) -> Kubectl {
    let plane = plane().await;
    plane.kubectl().in_namespace(plane.namespace(namespace).await.unwrap())
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The YAML documents of a file.
fn documents(path: impl AsRef<Path>) -> Vec<Value> {
    let path = path.as_ref();
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder that ends so, in the order of their paths.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let below = |path: PathBuf| if path.is_dir() { files(&path, ending) } else { vec![path] };
    paths.into_iter().flat_map(below).filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// The examples that people apply.
fn examples() -> Vec<PathBuf> {
    let all = files(Path::new("examples"), ".yaml").into_iter();
    all.filter(|path| !path.components().any(|part| part.as_os_str() == "resource_customizations")).collect()
}

fn group(object: &Value) -> &str {
    object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

/// In Argo CD's own Lua engine, by the cases in Argo CD's own layout.
#[tokio::test]
async fn argo_cd_health_checks_and_actions_do_as_their_cases_say() {
    let passed = argo::test().await.unwrap_or_else(|error| panic!("{error}"));
    for kind in ["health", "discovery", "pause", "resume"] {
        assert!(passed.iter().any(|line| line.starts_with(&format!("ok   {kind} "))), "no case of {kind}: {passed:?}");
    }
}

/// The `ConfigMap` for an Argo CD that doesn't bring the scripts has the same ones.
#[test]
fn the_config_map_for_argo_cd_holds_the_scripts() {
    let folder = argo::customizations().join("agents.sarvam.ai");
    let data = &documents(CONFIG_MAP)[0]["data"];
    for kind in ["Deployment", "Workspace"] {
        let health = data[format!("resource.customizations.health.agents.sarvam.ai_{kind}")].as_str();
        assert_eq!(health, Some(read(folder.join("_/health.lua")).as_str()), "{kind}");
    }
    let actions = data["resource.customizations.actions.agents.sarvam.ai_Deployment"].as_str().unwrap_or_default();
    let actions: Value = serde_saphyr::from_str(actions).unwrap();
    let script = |path: &str| Value::from(read(folder.join("Deployment/actions").join(path)));
    assert_eq!(actions["discovery.lua"], script("discovery.lua"));
    for (action, name) in actions["definitions"].as_array().unwrap().iter().zip(["pause", "resume"]) {
        assert_eq!(action["name"], name);
        assert_eq!(action["action.lua"], script(&format!("{name}/action.lua")));
    }
}

/// Manifests that say as little as they may, or all there is to say, or the same in other ways.
const MANIFESTS: [(&str, &str); 6] = [
    (
        "a minimal line",
        "{kind: Deployment, metadata: {name: one}, spec: {workspaceRef: {name: w}, deploymentID: d, paused: true}}",
    ),
    (
        "a minimal workspace",
        "{kind: Workspace, metadata: {name: one}, spec: {orgID: o, workspaceID: w, apiKeySecretRef: {name: s, key: k}}}",
    ),
    (
        "a line with all its defaults",
        "{kind: Deployment, metadata: {name: one}, spec: {workspaceRef: {name: w}, deploymentID: d, paused: false, suspend: false, \
         driftPolicy: Correct, deletionPolicy: Retain}}",
    ),
    (
        "an interval that could be written in another way",
        "{kind: Workspace, metadata: {name: one}, spec: {orgID: o, workspaceID: w, apiKeySecretRef: {name: s, key: k}, \
         syncInterval: 90s, requestsPerSecond: 7}}",
    ),
    (
        "an id that could be a number, and odd but good names",
        "{kind: Deployment, metadata: {name: one.two-3}, spec: {workspaceRef: {name: w}, deploymentID: '007', paused: true}}",
    ),
    (
        "a line that is only reported, with a label and an annotation",
        "{kind: Deployment, metadata: {name: one, labels: {a: b}, annotations: {c: d}}, \
         spec: {workspaceRef: {name: w}, deploymentID: d, paused: true, driftPolicy: Report}}",
    ),
];

/// Those who apply one manifest, by their flags: a person alone; a person, Argo CD and Flux.
const MANAGERS: [&[&[&str]]; 2] = [
    &[&["--server-side=false"]],
    &[
        &["--server-side"],
        &["--server-side", "--field-manager=argocd-controller"],
        &["--server-side", "--field-manager=kustomize-controller"],
    ],
];

/// Else Argo CD and Flux would see drift, and apply without end.
#[tokio::test]
async fn what_is_applied_again_by_anyone_changes_nothing() {
    let written = MANIFESTS
        .map(|(case, text)| (case.to_owned(), text.replacen('{', "{apiVersion: agents.sarvam.ai/v1alpha1, ", 1)));
    let examples = examples().into_iter().flat_map(|path| {
        let ours = documents(&path).into_iter().filter(|object| group(object) == "agents.sarvam.ai");
        ours.map(move |object| (path.display().to_string(), object.to_string())).collect::<Vec<_>>()
    });
    for (case, manifest) in written.into_iter().chain(examples) {
        for managers in MANAGERS {
            let kubectl = kubectl("again").await;
            let run = async |command: &str, flags: &[&str]| {
                let args = [&[command, "-f", "-"], flags].concat();
                let answer = kubectl.run_with_input(&args, &manifest).await.unwrap();
                answer.success().unwrap_or_else(|error| panic!("{case}, {args:?}: {error}"))
            };
            let stored = async || {
                let stored: Value = serde_json::from_str(&run("get", &["-o", "json"]).await).unwrap();
                let metadata = &stored["items"][0]["metadata"];
                (metadata["generation"].clone(), metadata["resourceVersion"].clone())
            };
            for manager in managers {
                run("apply", manager).await;
            }
            let before = stored().await;
            assert_eq!(before.0, 1, "{case}: who applies what is there makes no new generation");
            for manager in managers {
                // kubectl diff fails where there is a difference.
                assert_eq!(run("diff", manager).await, "", "{case}, {manager:?}");
                run("apply", manager).await;
                assert_eq!(stored().await, before, "{case}: {manager:?} applies the same again");
            }
        }
    }
}

/// The API server takes every example as it is, and knows every field in it.
#[tokio::test]
async fn the_api_server_takes_every_example() {
    // It would change CRDs of others there.
    if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
        return;
    }
    let plane = plane().await;
    plane.apply_crds(&gitops_crds().await.unwrap()).await.unwrap();
    // External Secrets' own definitions can't be had here.
    let served = |path: &PathBuf| documents(path).iter().all(|object| group(object) != "external-secrets.io");
    let (served, unserved): (Vec<_>, Vec<_>) = examples().into_iter().partition(served);
    assert_eq!(unserved, [Path::new("examples/gitops/repository/workspace/api-key.yaml")]);

    let mut namespaces: Vec<_> =
        served.iter().flat_map(documents).map(|it| it["metadata"]["namespace"].clone()).collect();
    namespaces.sort_by_key(Value::to_string);
    namespaces.dedup();
    for namespace in namespaces.iter().filter_map(Value::as_str) {
        plane.kubectl().run(&["create", "namespace", namespace]).await.unwrap().success().unwrap();
    }
    let kubectl = plane.kubectl();
    let tried = ["apply", "--dry-run=server", "--validate=strict", "-f"];
    for path in served {
        let path = path.to_string_lossy();
        let answer = kubectl.run(&[&tried[..], &[&path]].concat()).await.unwrap();
        answer.success().unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    // As docs/gitops.md says. kubectl resolves the alias in it.
    let argocd = plane.kubectl().in_namespace("argocd");
    for args in
        [&["create", "configmap", "argocd-cm"][..], &["patch", "configmap", "argocd-cm", "--patch-file", CONFIG_MAP]]
    {
        argocd.run(args).await.unwrap().success().unwrap();
    }
    let merged = argocd.run(&["get", "configmap", "argocd-cm", "-o", "json"]).await.unwrap().success().unwrap();
    let merged: Value = serde_json::from_str(&merged).unwrap();
    assert_eq!(merged["data"], documents(CONFIG_MAP)[0]["data"]);

    // The objects of Argo CD's cases were recorded: here they are new ones.
    for path in
        files(&argo::customizations(), ".yaml").iter().filter(|path| path.to_string_lossy().contains("testdata"))
    {
        let mut object = documents(path).remove(0);
        object["metadata"] = json!({"name": object["metadata"]["name"]});
        let answer = kubectl.run_with_input(&[&tried[..], &["-"]].concat(), &object.to_string()).await.unwrap();
        answer.success().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
