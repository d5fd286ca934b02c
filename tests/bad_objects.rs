//! A real API server refuses bad objects with words that a person can act on, and takes good ones up to the limits.

use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, CustomResourceExt};
use sarvam_operator::api::conditions::{self, Progress, Ready, Verdict};
use sarvam_operator::api::{Deployment, DeploymentStatus, RemoteState, RemoteStatus, Workspace};
use sarvam_testkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use Kind::{Deployment as D, Workspace as W};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Deployment,
    Workspace,
}

const ID: &str = "must be an id as the remote shows it: a letter or digit, then up to 127 letters, digits, '-' or '_'";
const WORKSPACE_NAME: &str = "must be the name of a Workspace in this namespace: lower case letters, digits, '-' and '.'";
const SECRET_NAME: &str = "must be the name of a Secret in this namespace: lower case letters, digits, '-' and '.'";
const SECRET_KEY: &str = "must be a key in the Secret's data: letters, digits, '-', '_' and '.'";
const INTERVAL: &str = "must be from 1s to 1h, in whole hours, minutes and seconds: 60s, 5m or 1m30s for example";

/// What must be there: refused when it is left out, and when it is null.
const REQUIRED: &[(Kind, &str)] = &[
    (D, "spec"),
    (D, "spec.workspaceRef"),
    (D, "spec.workspaceRef.name"),
    (D, "spec.deploymentID"),
    (D, "spec.paused"),
    (W, "spec"),
    (W, "spec.orgID"),
    (W, "spec.workspaceID"),
    (W, "spec.apiKeySecretRef"),
    (W, "spec.apiKeySecretRef.name"),
    (W, "spec.apiKeySecretRef.key"),
];

/// Values that are refused in a new object, and what the refusal says.
fn refused() -> Vec<(Kind, &'static str, Vec<Value>, Vec<&'static str>)> {
    let bad_ids = || {
        let ids = [
            "", ".", "..", "../ws-2", "a/b", "a\\b", "%2e%2e", "a%2fb", "a?x=1", "a#f", "a b", " a", "a\n", "a\tb", "a\0", "-a", "_a", "a.b",
            "dép", "ａ", "\u{feff}a",
        ];
        ids.map(Value::from).to_vec()
    };
    let bad_names = || ["", "Production", "a_b", "-a", "a-", "a..b", "a.", "voice/production", "a b", "ä", "a\n"].map(Value::from).to_vec();
    vec![
        (D, "spec", vec![json!([]), json!("paused")], vec!["spec in body must be of type object"]),
        (D, "spec.workspaceRef", vec![json!("production"), json!([])], vec!["spec.workspaceRef in body must be of type object"]),
        (D, "spec.workspaceRef.name", vec![json!(7), json!(true)], vec!["spec.workspaceRef.name in body must be of type string"]),
        (D, "spec.workspaceRef.name", bad_names(), vec!["spec.workspaceRef.name: Invalid value", WORKSPACE_NAME]),
        (D, "spec.workspaceRef.name", vec![json!("a".repeat(64))], vec!["spec.workspaceRef.name: Too long: may not be more than 63"]),
        (D, "spec.deploymentID", vec![json!(7), json!(["a"]), json!({})], vec!["spec.deploymentID in body must be of type string"]),
        (D, "spec.deploymentID", bad_ids(), vec!["spec.deploymentID: Invalid value", ID]),
        (D, "spec.deploymentID", vec![json!("a".repeat(129))], vec!["spec.deploymentID: Too long: may not be more than 128"]),
        (D, "spec.paused", vec![json!("true"), json!("yes"), json!(""), json!(1)], vec!["spec.paused in body must be of type boolean"]),
        (D, "spec.suspend", vec![json!("false"), json!(0), json!([])], vec!["spec.suspend in body must be of type boolean"]),
        (
            D,
            "spec.driftPolicy",
            vec![json!("correct"), json!("REPORT"), json!("Ignore"), json!(""), json!(" Correct")],
            vec!["spec.driftPolicy: Unsupported value", r#"supported values: "Correct", "Report""#],
        ),
        (D, "spec.driftPolicy", vec![json!(true)], vec!["spec.driftPolicy in body must be of type string"]),
        (
            D,
            "spec.deletionPolicy",
            vec![json!("Delete"), json!("retain"), json!("")],
            vec!["spec.deletionPolicy: Unsupported value", r#"supported values: "Retain""#],
        ),
        (D, "metadata.name", vec![json!("a".repeat(64))], vec!["metadata.name must be at most 63 characters: choose a shorter name"]),
        (D, "metadata.name", vec![json!("Support"), json!("a_b")], vec!["metadata.name: Invalid value", "lower case alphanumeric"]),
        (W, "metadata.name", vec![json!("a".repeat(64))], vec!["metadata.name must be at most 63 characters: choose a shorter name"]),
        (W, "spec.orgID", vec![json!(1)], vec!["spec.orgID in body must be of type string"]),
        (W, "spec.orgID", bad_ids(), vec!["spec.orgID: Invalid value", ID]),
        (W, "spec.orgID", vec![json!("a".repeat(129))], vec!["spec.orgID: Too long: may not be more than 128"]),
        (W, "spec.workspaceID", vec![json!(1)], vec!["spec.workspaceID in body must be of type string"]),
        (W, "spec.workspaceID", bad_ids(), vec!["spec.workspaceID: Invalid value", ID]),
        (W, "spec.workspaceID", vec![json!("a".repeat(129))], vec!["spec.workspaceID: Too long: may not be more than 128"]),
        (W, "spec.apiKeySecretRef", vec![json!("sarvam"), json!([])], vec!["spec.apiKeySecretRef in body must be of type object"]),
        (W, "spec.apiKeySecretRef.name", vec![json!(1)], vec!["spec.apiKeySecretRef.name in body must be of type string"]),
        (W, "spec.apiKeySecretRef.name", bad_names(), vec!["spec.apiKeySecretRef.name: Invalid value", SECRET_NAME]),
        (W, "spec.apiKeySecretRef.name", vec![json!("a".repeat(254))], vec!["spec.apiKeySecretRef.name: Too long: may not be more than 253"]),
        (W, "spec.apiKeySecretRef.key", vec![json!(1)], vec!["spec.apiKeySecretRef.key in body must be of type string"]),
        (
            W,
            "spec.apiKeySecretRef.key",
            ["", "a/b", "a b", "api-key\n", "schlüssel", "a:b"].map(Value::from).to_vec(),
            vec!["spec.apiKeySecretRef.key: Invalid value", SECRET_KEY],
        ),
        (W, "spec.apiKeySecretRef.key", vec![json!("a".repeat(254))], vec!["spec.apiKeySecretRef.key: Too long: may not be more than 253"]),
        (W, "spec.syncInterval", vec![json!(60), json!(true)], vec!["spec.syncInterval in body must be of type string"]),
        (
            W,
            "spec.syncInterval",
            [
                "", "0s", "0h0m0s", "2h", "1h1s", "61m", "3601s", "99999h99999h", "1 minute", "1m ", "-5s", "+5s", "1.5s", "500ms", "60", "s",
                "1d", "1m1m1m1m", "PT1M", "100000s", "60s\n",
            ]
            .map(Value::from)
            .to_vec(),
            vec!["spec.syncInterval: Invalid value", INTERVAL],
        ),
        (W, "spec.syncInterval", vec![json!("00001s00001s00001s1s")], vec!["spec.syncInterval: Too long: may not be more than 18"]),
        (
            W,
            "spec.requestsPerSecond",
            vec![json!(0), json!(-1), json!(i64::MIN)],
            vec!["spec.requestsPerSecond: Invalid value", "spec.requestsPerSecond in body should be greater than or equal to 1"],
        ),
        (
            W,
            "spec.requestsPerSecond",
            vec![json!(1001), json!(i64::from(i32::MAX) + 1), json!(i64::MAX)],
            vec!["spec.requestsPerSecond: Invalid value", "spec.requestsPerSecond in body should be less than or equal to 1000"],
        ),
        (
            W,
            "spec.requestsPerSecond",
            vec![json!(1.5), json!("5"), json!(true)],
            vec!["spec.requestsPerSecond in body must be of type integer"],
        ),
    ]
}

/// Changes that are refused in an object that exists, and what the refusal says.
const FROZEN: &[(Kind, &str, &str, &str)] = &[
    (
        D,
        "spec.deploymentID",
        "dep-2",
        "deploymentID is immutable: delete this object and create another for the other line (the line itself stays as it is)",
    ),
    (D, "spec.deploymentID", "DEP-A1B2C3D4", "deploymentID is immutable"),
    (
        D,
        "spec.workspaceRef.name",
        "staging",
        "workspaceRef.name is immutable: delete this object and create another that names the other Workspace",
    ),
    (W, "spec.orgID", "org-2", "orgID is immutable: create another Workspace, and Deployments that name it"),
    (W, "spec.workspaceID", "ws-2", "workspaceID is immutable: create another Workspace, and Deployments that name it"),
];

/// Values that are taken: the limits, and what is as good as absent.
fn taken() -> Vec<(Kind, &'static str, Vec<Value>)> {
    let ids = || ["0".into(), "Z".into(), "a-_".into(), "6f1c2e9a-0b1d-4c5e-8f70-123456789abc".into(), "a".repeat(128)].map(Value::from).to_vec();
    vec![
        (D, "metadata.name", vec![json!("a".repeat(63)), json!("0"), json!("support.line-1")]),
        (D, "spec.workspaceRef.name", vec![json!("a".repeat(63)), json!("0"), json!("eu.production-1")]),
        (D, "spec.deploymentID", ids()),
        (D, "spec.paused", vec![json!(true), json!(false)]),
        (D, "spec.suspend", vec![json!(true), json!(false), Value::Null]),
        (D, "spec.driftPolicy", vec![json!("Correct"), json!("Report"), Value::Null]),
        (D, "spec.deletionPolicy", vec![json!("Retain"), Value::Null]),
        (W, "metadata.name", vec![json!("a".repeat(63))]),
        (W, "spec.orgID", ids()),
        (W, "spec.workspaceID", ids()),
        (W, "spec.apiKeySecretRef.name", vec![json!("a".repeat(253)), json!("0"), json!("a.b-c")]),
        (W, "spec.apiKeySecretRef.key", vec![json!("k".repeat(253)), json!("API_KEY"), json!(".a"), json!("-")]),
        (
            W,
            "spec.syncInterval",
            vec![json!("1s"), json!("1h"), json!("60m"), json!("3600s"), json!("1m30s"), json!("00000h00001m00000s"), Value::Null],
        ),
        (W, "spec.requestsPerSecond", vec![json!(1), json!(1000), Value::Null]),
    ]
}

#[tokio::test]
async fn bad_objects_are_refused_with_words_and_good_ones_are_taken() {
    let server = Server::with_both_objects().await;
    let mut faults = Vec::new();
    let mut expect = |what: String, answer: Result<Value, String>, words: &[&str]| match answer {
        Ok(_) => faults.push(format!("{what} was taken")),
        Err(message) => {
            let missing = words.iter().filter(|word| !message.contains(**word));
            faults.extend(missing.map(|word| format!("{what} was refused without the words {word:?}: {message}")));
        }
    };

    for &(kind, path) in REQUIRED {
        let words = [format!("{path}: Required value")];
        let words = words.each_ref().map(String::as_str);
        for value in [None, Some(Value::Null)] {
            let what = format!("{kind:?} with {path} = {value:?}");
            expect(format!("new {what}"), server.create(kind, &edited(kind, path, value.clone())).await, &words);
            expect(format!("old {what}"), server.replace(kind, &edited(kind, path, value)).await, &words);
        }
    }
    for (kind, path, values, words) in refused() {
        for value in values {
            let what = format!("new {kind:?} with {path} = {value}");
            expect(what, server.create(kind, &edited(kind, path, Some(value))).await, &words);
        }
    }
    for &(kind, path, value, words) in FROZEN {
        let what = format!("old {kind:?} with {path} = {value:?}");
        expect(what, server.replace(kind, &edited(kind, path, Some(value.into()))).await, &[path, words]);
    }
    for (kind, path, values) in taken() {
        for value in values {
            let what = format!("{kind:?} with {path} = {value}");
            match server.create(kind, &edited(kind, path, Some(value))).await {
                Err(message) => faults.push(format!("{what} was refused: {message}")),
                // What the API server takes, the operator can read.
                Ok(object) => faults.extend(unreadable(kind, object).map(|error| format!("{what} can't be read: {error}"))),
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn a_new_object_has_its_defaults_and_does_not_look_done() {
    let server = Server::with_both_objects().await;
    let waiting = json!({"conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "Waiting for the operator to look at this object for the first time",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]});
    let defaults = [
        (D, vec![("suspend", json!(false)), ("driftPolicy", json!("Correct")), ("deletionPolicy", json!("Retain"))]),
        (W, vec![("syncInterval", json!("60s")), ("requestsPerSecond", json!(5))]),
    ];
    for (kind, defaults) in defaults {
        let mut spec = good(kind)["spec"].clone();
        for (field, value) in defaults {
            spec[field] = value;
        }
        let stored = server.get(kind).await;
        assert_eq!(stored["spec"], spec, "{kind:?}");
        assert_eq!(stored["status"], waiting, "{kind:?}");
    }
}

#[tokio::test]
async fn a_reference_never_leaves_its_namespace() {
    let server = Server::with_both_objects().await;
    for (kind, reference) in [(D, "spec.workspaceRef"), (W, "spec.apiKeySecretRef")] {
        let object = edited(kind, &format!("{reference}.namespace"), Some(json!("kube-system")));
        let stored = server.create(kind, &object).await.expect("an unknown field is dropped, not refused");
        assert_eq!(stored.pointer(&format!("{}/namespace", pointer(reference))), None, "{kind:?}");
        // As kubectl does it, unless told otherwise.
        let strict = server.apply_strictly(kind, &object).await.expect_err("an unknown field is refused when asked");
        assert!(strict.contains(&format!(".{reference}.namespace: field not declared in schema")), "{strict}");
    }
}

#[tokio::test]
async fn a_status_is_taken_whatever_the_remote_says() {
    let server = Server::with_both_objects().await;
    let long = || Some("\u{1f4de}\n\0".repeat(400));
    let times = ["-009999-01-02T00:00:00Z", "2026-11-23T10:00:00.5Z", "9999-12-30T22:00:00Z"];
    for time in times {
        let remote = RemoteStatus {
            state: RemoteState::Unknown,
            name: long(),
            app_id: Some(String::new()),
            app_version: Some(i64::MIN),
            phone_numbers: vec!["+911234567890".into(); 5000],
            channel_direction: long(),
            updated_at: Some(Time(time.parse().expect("a time"))),
            updated_by: long(),
        };
        let message = "\u{1f4de}".repeat(5000);
        let verdict = Verdict {
            ready: Ready::False,
            progress: Progress::Stalled,
            reason: "Refused",
            message: &message,
            observed_generation: 1,
        };
        let status = DeploymentStatus {
            observed_generation: Some(1),
            remote: Some(remote.fitted()),
            conditions: conditions::update(&[], &verdict, "2026-11-23T10:00:00.5Z".parse().expect("a time")),
        };
        let stored = server.write_status(D, &json!({"status": status})).await.expect("the status is within its bounds");
        let read: DeploymentStatus = serde_json::from_value(stored["status"].clone()).expect("a status");
        assert_eq!(read, status, "what is read back is what was written");
    }
}

/// An object of the kind that the API server takes.
fn good(kind: Kind) -> Value {
    match kind {
        D => json!({
            "apiVersion": "agents.sarvam.ai/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "support-line"},
            "spec": {"workspaceRef": {"name": "production"}, "deploymentID": "dep-a1b2c3d4", "paused": true},
        }),
        W => json!({
            "apiVersion": "agents.sarvam.ai/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "production"},
            "spec": {"orgID": "org-1", "workspaceID": "ws-1", "apiKeySecretRef": {"name": "sarvam", "key": "api-key"}},
        }),
    }
}

/// A good object with this value at a path such as `spec.paused`, or with nothing there.
fn edited(kind: Kind, path: &str, value: Option<Value>) -> Value {
    let mut object = good(kind);
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = object.pointer_mut(&pointer(parent)).and_then(Value::as_object_mut).expect("the path begins in the good object");
    match value {
        Some(value) => parent.insert(field.to_owned(), value),
        None => parent.remove(field),
    };
    object
}

fn pointer(path: &str) -> String {
    path.split('.').filter(|field| !field.is_empty()).map(|field| format!("/{field}")).collect()
}

fn unreadable(kind: Kind, object: Value) -> Option<serde_json::Error> {
    match kind {
        D => serde_json::from_value::<Deployment>(object).err(),
        W => serde_json::from_value::<Workspace>(object).err(),
    }
}

/// A namespace of the real API server, with one good object of each kind in it.
struct Server {
    client: Client,
    namespace: String,
}

impl Server {
    async fn with_both_objects() -> Self {
        let plane = ControlPlane::shared().await;
        plane.apply_crds(Path::new("crds")).await.expect("the API server takes the definitions");
        let namespace = plane.namespace("bad-objects").await.expect("a namespace");
        let server = Self { client: plane.client(), namespace };
        for kind in [D, W] {
            let object = serde_json::from_value(good(kind)).expect("an object");
            server.api(kind).create(&PostParams::default(), &object).await.expect("the good object is taken");
        }
        server
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let resource = match kind {
            D => Deployment::api_resource(),
            W => Workspace::api_resource(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    async fn get(&self, kind: Kind) -> Value {
        json!(self.api(kind).get(name(&good(kind))).await.expect("the good object"))
    }

    /// Creates the object under another name than the good one's, as a dry run; gives it as it would be stored, or the refusal.
    async fn create(&self, kind: Kind, object: &Value) -> Result<Value, String> {
        let object = if name(object) == name(&good(kind)) { renamed(object, "another") } else { object.clone() };
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let object = serde_json::from_value(object).expect("an object");
        outcome(self.api(kind).create(&dry, &object).await)
    }

    /// Replaces the good object, as a dry run.
    async fn replace(&self, kind: Kind, object: &Value) -> Result<Value, String> {
        let mut object = object.clone();
        object["metadata"] = self.get(kind).await["metadata"].clone();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let new = serde_json::from_value(object.clone()).expect("an object");
        outcome(self.api(kind).replace(name(&object), &dry, &new).await)
    }

    async fn apply_strictly(&self, kind: Kind, object: &Value) -> Result<Value, String> {
        let params = PatchParams { dry_run: true, ..PatchParams::apply("a-user").validation_strict() };
        outcome(self.api(kind).patch("another", &params, &Patch::Apply(renamed(object, "another"))).await)
    }

    async fn write_status(&self, kind: Kind, status: &Value) -> Result<Value, String> {
        outcome(self.api(kind).patch_status(name(&good(kind)), &PatchParams::default(), &Patch::Merge(status)).await)
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

fn renamed(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["name"] = json!(name);
    object
}

/// The object as it is stored, or the API server's refusal in its words.
fn outcome(answer: kube::Result<DynamicObject>) -> Result<Value, String> {
    match answer {
        Ok(object) => Ok(json!(object)),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("the API server did not answer: {error}"),
    }
}
