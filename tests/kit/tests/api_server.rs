//! The API server in this process answers as a real one does: the same requests go to both, and the answers are compared.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use futures::{AsyncBufReadExt, TryStreamExt};
use hyper::{Method, Request, Uri};
use jiff::Timestamp;
use sarvam_testkit::api_server::{Answer, ApiServer, Kind, View};
use sarvam_testkit::control_plane::ControlPlane;
use serde_json::{Value, json};

/// A request: its method (`WATCH` and `APPLY` too), its path below the namespace, and its body.
type Sent = (&'static str, &'static str, &'static str);

/// Each case: its name, and requests. `$3.uid` and `$3.rv`
/// stand for what the third answer has, from 1.
const CASES: &[(&str, &[Sent])] = &[
    (
        "create, get, list, delete",
        &[
            ("GET", "deployments/a", ""),
            ("POST", "deployments", A),
            ("POST", "deployments", A),
            ("GET", "deployments/a", ""),
            ("GET", "deployments", ""),
            ("DELETE", "deployments/a", ""),
            ("DELETE", "deployments/a", ""),
            ("GET", "deployments/a", ""),
            ("POST", "deployments", A),
        ],
    ),
    (
        "the status is another path",
        &[
            ("POST", "deployments", WITH_STATUS),
            ("PATCH", "deployments/a", r#"{"spec": {"paused": false}, "status": {"observedGeneration": 5}}"#),
            ("PATCH", "deployments/a/status", r#"{"status": {"observedGeneration": 5}, "spec": {"paused": false}}"#),
            (
                "PATCH",
                "deployments/a/status",
                r#"{"metadata": {"labels": {"x": "y"}}, "status": {"observedGeneration": 6}}"#,
            ),
            ("PATCH", "deployments/a/status", r#"{"status": {"observedGeneration": null}}"#),
            ("PATCH", "deployments/a/status", r#"{"status": null}"#),
            ("PATCH", "deployments/b/status", r#"{"status": {"observedGeneration": 5}}"#),
            ("GET", "deployments/a/status", ""),
        ],
    ),
    (
        "a generation counts changes of the spec",
        &[
            ("POST", "deployments", A),
            ("PATCH", "deployments/a", r#"{"spec": {"paused": false}}"#),
            ("PATCH", "deployments/a", r#"{"spec": {"paused": false}}"#),
            ("PATCH", "deployments/a", r#"{"metadata": {"labels": {"x": "y"}}}"#),
            ("PATCH", "deployments/a", r#"{"metadata": {"generation": 9, "uid": null, "creationTimestamp": null}}"#),
            ("PATCH", "deployments/a", r#"{"spec": {"suspend": null}}"#),
            ("PATCH", "deployments/a", r#"{"spec": {"suspend": true}}"#),
            ("PATCH", "deployments/a", r#"{"spec": {"suspend": null}}"#),
        ],
    ),
    (
        "guards",
        &[
            ("POST", "deployments", A),
            ("PATCH", "deployments/a", r#"{"spec": {"paused": false}}"#),
            ("PATCH", "deployments/a", r#"{"metadata": {"resourceVersion": "$1.rv"}, "spec": {"paused": true}}"#),
            (
                "PATCH",
                "deployments/a/status",
                r#"{"metadata": {"resourceVersion": "$1.rv"}, "status": {"observedGeneration": 1}}"#,
            ),
            (
                "PATCH",
                "deployments/a/status",
                r#"{"metadata": {"resourceVersion": "$2.rv", "uid": "$1.uid"}, "status": {"observedGeneration": 1}}"#,
            ),
            (
                "PATCH",
                "deployments/a/status",
                r#"{"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}, "status": {"observedGeneration": 2}}"#,
            ),
            (
                "PATCH",
                "deployments/a",
                r#"{"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}, "spec": {"suspend": true}}"#,
            ),
            (
                "PUT",
                "deployments/a/status",
                r#"{"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": "a", "resourceVersion": "$6.rv", "uid": "$6.uid"}, "status": {"observedGeneration": 4}}"#,
            ),
            (
                "PUT",
                "deployments/a/status",
                r#"{"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": "a", "resourceVersion": "$8.rv", "uid": "11111111-2222-4333-8444-555555555555"}, "status": {}}"#,
            ),
            ("DELETE", "deployments/a", r#"{"preconditions": {"uid": "11111111-2222-4333-8444-555555555555"}}"#),
            ("DELETE", "deployments/a", r#"{"preconditions": {"resourceVersion": "$1.rv"}}"#),
            ("DELETE", "deployments/a", r#"{"preconditions": {"uid": "$1.uid"}}"#),
            ("POST", "deployments", A),
            (
                "PATCH",
                "deployments/a/status",
                r#"{"metadata": {"uid": "$1.uid"}, "status": {"observedGeneration": 2}}"#,
            ),
        ],
    ),
    (
        "finalizers",
        &[
            ("POST", "deployments", A),
            ("PATCH", "deployments/a", r#"{"metadata": {"finalizers": ["example.com/x"]}}"#),
            ("DELETE", "deployments/a", ""),
            ("DELETE", "deployments/a", ""),
            ("PATCH", "deployments/a/status", r#"{"status": {"observedGeneration": 1}}"#),
            ("PATCH", "deployments/a", r#"{"metadata": {"finalizers": null}}"#),
            ("GET", "deployments/a", ""),
        ],
    ),
    (
        "applies of one manager",
        &[
            ("APPLY", "deployments/a", A),
            ("APPLY", "deployments/a", SUSPENDED),
            ("PATCH", "deployments/a/status", r#"{"status": {"observedGeneration": 2}}"#),
            ("APPLY", "deployments/a", A),
        ],
    ),
    (
        "leases",
        &[
            ("PUT", "leases/l", r#"{"metadata": {"name": "l"}, "spec": {"holderIdentity": "one"}}"#),
            (
                "PUT",
                "leases/l",
                r#"{"metadata": {"name": "l", "resourceVersion": "$1.rv", "uid": "$1.uid"}, "spec": {"holderIdentity": "two"}}"#,
            ),
            (
                "PUT",
                "leases/l",
                r#"{"metadata": {"name": "l", "resourceVersion": "$1.rv", "uid": "$1.uid"}, "spec": {"holderIdentity": "three"}}"#,
            ),
            (
                "PUT",
                "leases/l",
                r#"{"metadata": {"name": "l", "resourceVersion": "$2.rv", "uid": "11111111-2222-4333-8444-555555555555"}, "spec": {}}"#,
            ),
            ("PUT", "leases/m", r#"{"metadata": {"name": "m", "uid": "$1.uid"}, "spec": {"holderIdentity": "one"}}"#),
            ("POST", "leases", r#"{"metadata": {"name": "l"}, "spec": {"holderIdentity": "four"}}"#),
            ("DELETE", "leases/l", ""),
            ("GET", "leases/l", ""),
        ],
    ),
    (
        "secrets",
        &[
            ("POST", "secrets", r#"{"metadata": {"name": "s"}, "type": "Opaque", "data": {"k": "dg==", "l": "dg=="}}"#),
            ("PATCH", "secrets/s", r#"{"data": {"k": "dw=="}}"#),
            ("PATCH", "secrets/s", r#"{"data": {"k": null}}"#),
            ("GET", "secrets/s", ""),
            ("DELETE", "secrets/s", ""),
        ],
    ),
    (
        "a watch tells what happened since",
        &[
            ("POST", "deployments", A),
            ("PATCH", "deployments/a", r#"{"spec": {"paused": false}}"#),
            ("PATCH", "deployments/a", r#"{"spec": {"paused": false}}"#),
            ("PATCH", "deployments/a/status", r#"{"status": {"observedGeneration": 2}}"#),
            ("DELETE", "deployments/a", ""),
            ("POST", "deployments", A),
            ("WATCH", "deployments?resourceVersion=$1.rv&allowWatchBookmarks=true", ""),
            ("WATCH", "deployments?resourceVersion=$4.rv", ""),
            ("WATCH", "deployments?resourceVersion=$6.rv", ""),
            ("WATCH", "deployments", ""),
            ("WATCH", "deployments?resourceVersion=0", ""),
        ],
    ),
    ("a watch from a version that is gone", &[("WATCH", "deployments?resourceVersion=1", "")]),
];

const A: &str = r#"{"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"workspaceRef": {"name": "w"}, "deploymentID": "dep-1", "paused": true}}"#;
const SUSPENDED: &str = r#"{"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"workspaceRef": {"name": "w"}, "deploymentID": "dep-1", "paused": true, "suspend": true}}"#;
const WITH_STATUS: &str = r#"{"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"workspaceRef": {"name": "w"}, "deploymentID": "dep-1", "paused": true}, "status": {"observedGeneration": 7}}"#;

/// An API server, of either kind.
enum Server<'a> {
    Simulated(ApiServer),
    Real(&'a ControlPlane),
}

impl Server<'_> {
    /// Sends a request, and returns the status and the body; of a watch, its events.
    async fn ask(&self, method: &Method, content: &str, uri: &str, body: &str) -> (u16, Value) {
        let is_watch = uri.contains("watch=true");
        match self {
            Self::Simulated(server) => {
                let uri: Uri = uri.parse().unwrap();
                match server.request(&View::default(), method, &uri, body.as_bytes()) {
                    Answer::Whole(status, body) => (status, body),
                    Answer::Watch(mut watch) => {
                        let mut events = Vec::new();
                        while let Some(event) = watch.next().await {
                            events.push(event);
                        }
                        (200, Value::Array(events))
                    }
                }
            }
            Self::Real(plane) => {
                let request = Request::builder().method(method).uri(uri).header("content-type", content);
                let request = request.body(body.as_bytes().to_vec()).unwrap();
                if is_watch {
                    let lines = plane.client().request_stream(request).await.unwrap().lines();
                    let events: Vec<String> = lines.try_collect().await.unwrap();
                    return (200, events.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect());
                }
                // A client of kube turns refusals into errors; what it sends for them is all that counts here.
                match plane.client().request::<Value>(request).await {
                    Ok(body) => (200, body),
                    Err(kube::Error::Api(status)) => {
                        (status.code, json!({"kind": "Status", "code": status.code, "reason": status.reason}))
                    }
                    Err(error) => panic!("{method} {uri}: {error}"),
                }
            }
        }
    }
}

/// The answers to a case's requests, with what differs from server to server made the same.
async fn answers(server: &Server<'_>, namespace: &str, requests: &[Sent]) -> Vec<Value> {
    let mut raw: Vec<Value> = Vec::new();
    let mut answers = Vec::new();
    for (method, path, body) in requests {
        let fill_in = |text: &str| {
            let mut text = text.to_owned();
            for (i, answer) in raw.iter().enumerate() {
                for (field, name) in [("resourceVersion", "rv"), ("uid", "uid")] {
                    let value = answer["metadata"][field].as_str().or_else(|| answer["details"][field].as_str());
                    text = text.replace(&format!("${}.{name}", i + 1), value.unwrap_or_default());
                }
            }
            text
        };
        let plural = path.split(['/', '?']).next().unwrap();
        let group = match plural {
            "secrets" => "api/v1",
            "leases" => "apis/coordination.k8s.io/v1",
            _ => "apis/agents.sarvam.ai/v1alpha1",
        };
        let (method, content, query) = match *method {
            "WATCH" => ("GET", "", "watch=true&timeoutSeconds=1"),
            "APPLY" => ("PATCH", "application/apply-patch+yaml", "fieldManager=test&force=true"),
            "PATCH" => ("PATCH", "application/merge-patch+json", ""),
            method => (method, "application/json", ""),
        };
        let path = fill_in(path);
        let join = if path.contains('?') { "&" } else { "?" };
        let uri = format!("/{group}/namespaces/{namespace}/{path}{join}{query}");
        let (status, body) = server.ask(&method.parse().unwrap(), content, &uri, &fill_in(body)).await;
        answers.push(json!({"status": if status == 201 { 200 } else { status }, "body": body.clone()}));
        raw.push(body);
    }
    let mut seen = Seen::default();
    for answer in &answers {
        seen.versions_of(answer);
    }
    answers.into_iter().map(|answer| seen.same(answer)).collect()
}

/// Versions and uids by the order of their coming.
#[derive(Default)]
struct Seen {
    versions: BTreeSet<u64>,
    uids: Vec<String>,
}

impl Seen {
    fn versions_of(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                // A list's own version, and a bookmark's, may be newer than any object of this case.
                if fields.get("uid").is_some_and(Value::is_string) {
                    let version = fields.get("resourceVersion").and_then(Value::as_str);
                    self.versions.extend(version.and_then(|version| version.parse::<u64>().ok()));
                }
                fields.values().for_each(|value| self.versions_of(value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.versions_of(item)),
            _ => {}
        }
    }

    fn same(&mut self, value: Value) -> Value {
        match value {
            Value::Object(fields) if fields.get("type").is_some_and(|it| it == "BOOKMARK") => Value::Null,
            Value::Object(fields) if fields.get("kind").is_some_and(|it| it == "Status") => {
                json!({"code": fields.get("code"), "reason": fields.get("reason"), "details": fields.get("details").map(|details| self.same(json!({"uid": details["uid"]})))})
            }
            Value::Object(fields) => {
                let named = fields.get("uid").is_some_and(Value::is_string);
                let hidden = ["managedFields", "namespace", "selfLink"];
                let fields = fields.into_iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
                let same = fields.map(|(name, value)| {
                    let text = value.as_str().unwrap_or_default().to_owned();
                    let value = match name.as_str() {
                        "resourceVersion" if named => {
                            let version: u64 = text.parse().unwrap();
                            json!(self.versions.range(..version).count())
                        }
                        "resourceVersion" => {
                            assert!(text.parse::<u64>().is_ok(), "{text}");
                            json!("a version")
                        }
                        "uid" => {
                            let known = self.uids.iter().position(|uid| *uid == text).unwrap_or(self.uids.len());
                            if known == self.uids.len() {
                                self.uids.push(text);
                            }
                            json!(known)
                        }
                        "creationTimestamp" | "deletionTimestamp" => {
                            assert!(text.parse::<Timestamp>().is_ok() && text.len() == 20, "{text}");
                            json!("a time in whole seconds")
                        }
                        _ => self.same(value),
                    };
                    (name, value)
                });
                Value::Object(same.collect())
            }
            Value::Array(items) => {
                let same = items.into_iter().map(|item| self.same(item));
                Value::Array(same.filter(|item| !item.is_null()).collect())
            }
            value => value,
        }
    }
}

#[tokio::test]
async fn the_simulated_api_server_answers_as_a_real_one() {
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let plane = ControlPlane::shared().await;
    plane.apply_crds(&crds).await.unwrap();
    let kinds = Arc::new(Kind::all(&crds).unwrap());
    let mut differences = String::new();
    for (name, requests) in CASES {
        let namespace = plane.namespace("api-server").await.unwrap();
        let real = answers(&Server::Real(plane), &namespace, requests).await;
        let simulated = Server::Simulated(ApiServer::new(Arc::clone(&kinds), Timestamp::now()));
        let simulated = answers(&simulated, "voice", requests).await;
        for (i, ((method, path, _), (real, simulated))) in requests.iter().zip(real.iter().zip(&simulated)).enumerate()
        {
            if real != simulated {
                let request = format!("{name}: {}. {method} {path}", i + 1);
                writeln!(differences, "{request}\n  real      {real}\n  simulated {simulated}").unwrap();
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}
