//! A real API server refuses bad objects with words that a person can act on, and takes good ones up to the limits.

#[path = "bad_objects/arbitrary.rs"]
mod arbitrary;

use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, CustomResourceExt};
use sarvam_operator::api::conditions;
use sarvam_operator::api::{
    Connection, Deployment, DeploymentStatus, RemoteState, RemoteStatus, RolloutStatus, Workspace,
};
use sarvam_operator::core::config::{Field as ConfigField, Managed, Shown, ShownConnections};
use sarvam_operator::core::status::{Conditions, Progress, Reason, Truth};
use sarvam_testkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use Kind::{Deployment as D, Workspace as W};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Deployment,
    Workspace,
}

const ID: &str = "must be an id as the remote shows it: a letter or digit, then up to 127 letters, digits, '-' or '_'";
const WORKSPACE_NAME: &str =
    "must be the name of a Workspace in this namespace: lower case letters, digits, '-' and '.'";
const SECRET_NAME: &str = "must be the name of a Secret in this namespace: lower case letters, digits, '-' and '.'";
const SECRET_KEY: &str = "must be a key in the Secret's data: letters, digits, '-', '_' and '.'";
const PHONE_NUMBER: &str = "must be a phone number as the remote shows it: up to 32 digits, and '+' before them";
const DESCRIPTION: &str = "must be 1 to 150 characters in one line, with no blank first or last; the remote's API can't clear a description: leave the field out";
const TIME: &str = "must be a time of day as HH:MM, two digits each, from 00:00 to 23:59: write 09:00, not 9:00";
const INTERVAL: &str = "must be from 1s to 1h, in whole hours, minutes and seconds: 60s, 5m or 1m30s for example";

/// What a field takes and refuses. Every other JSON type is refused too, and what is one longer than the longest.
struct Field {
    kind: Kind,
    path: &'static str,
    json_type: &'static str,
    /// Where it isn't, null and nothing are taken alike.
    required: bool,
    longest: Option<usize>,
    /// A list of values.
    takes: Value,
    /// Lists of values, and words of the refusal.
    refuses: Vec<(Value, &'static str)>,
    /// A value that would be taken from the start, and words of the refusal when it comes later.
    frozen: Option<(&'static str, &'static str)>,
}

/// A required text.
fn text(kind: Kind, path: &'static str, longest: usize) -> Field {
    let (json_type, takes, refuses) = ("string", json!([]), vec![]);
    Field { kind, path, json_type, required: true, longest: Some(longest), takes, refuses, frozen: None }
}

/// A field with a default.
fn optional(kind: Kind, path: &'static str, json_type: &'static str) -> Field {
    Field { json_type, required: false, longest: None, ..text(kind, path, 0) }
}

/// A required object, whose fields are told apart.
fn object(kind: Kind, path: &'static str) -> Field {
    Field { required: true, ..optional(kind, path, "object") }
}

fn id(kind: Kind, path: &'static str, frozen: (&'static str, &'static str)) -> Field {
    let bad = json!([
        "",
        ".",
        "..",
        "../ws-2",
        "a/b",
        "a\\b",
        "%2e%2e",
        "a%2fb",
        "a?x=1",
        "a#f",
        "a b",
        " a",
        "a\n",
        "a\tb",
        "a\0",
        "-a",
        "_a",
        "a.b",
        "dép",
        "ａ",
        "\u{feff}a"
    ]);
    Field {
        takes: json!(["0", "Z", "a-_", "6f1c2e9a-0b1d-4c5e-8f70-123456789abc"]),
        refuses: vec![(bad, ID)],
        frozen: Some(frozen),
        ..text(kind, path, 128)
    }
}

fn object_name(kind: Kind, path: &'static str, longest: usize, words: &'static str) -> Field {
    let bad = json!(["", "Upper", "a_b", "-a", "a-", "a..b", "a.", "other/name", "a b", "ä", "a\n"]);
    Field { takes: json!(["0", "eu.production-1"]), refuses: vec![(bad, words)], ..text(kind, path, longest) }
}

fn fields_of_deployment() -> Vec<Field> {
    let other_line = "deploymentID is immutable: delete this object and create another for the other line (the line itself stays as it is)";
    let other_workspace =
        "workspaceRef.name is immutable: delete this object and create another that names the other Workspace";
    vec![
        object(D, "spec"),
        object(D, "spec.workspaceRef"),
        Field {
            frozen: Some(("staging", other_workspace)),
            ..object_name(D, "spec.workspaceRef.name", 63, WORKSPACE_NAME)
        },
        id(D, "spec.deploymentID", ("dep-2", other_line)),
        Field { takes: json!([true, false]), required: true, ..optional(D, "spec.paused", "boolean") },
        Field { takes: json!([true, false]), ..optional(D, "spec.suspend", "boolean") },
        Field {
            takes: json!(["Correct", "Report"]),
            refuses: vec![(
                json!(["correct", "REPORT", "Ignore", " Correct", ""]),
                r#"supported values: "Correct", "Report""#,
            )],
            ..optional(D, "spec.driftPolicy", "string")
        },
        Field {
            takes: json!(["Retain"]),
            refuses: vec![(json!(["Delete", "retain", ""]), r#"supported values: "Retain""#)],
            ..optional(D, "spec.deletionPolicy", "string")
        },
    ]
}

/// What is managed of the line's configuration.
#[allow(clippy::too_many_lines, reason = "one row a field")]
fn fields_of_configuration() -> Vec<Field> {
    let connection = |id: &str, numbers: &[&str]| json!({"connectionID": id, "phoneNumbers": numbers});
    let many = |count: usize| (0..count).map(|number| format!("+{number}")).collect::<Vec<_>>();
    let connections = |count: usize| {
        let connection = |id| json!({"connectionID": format!("conn-{id}"), "phoneNumbers": [format!("+{id}")]});
        (0..count).map(connection).collect::<Value>()
    };
    vec![
        Field {
            takes: json!([1, 999_999_999_999_999_i64]),
            refuses: vec![
                (json!([0, -1, i64::MIN]), "should be greater than or equal to 1"),
                (json!([i64::MAX]), "should be less than or equal to 999999999999999"),
            ],
            ..optional(D, "spec.appVersion", "integer")
        },
        Field {
            longest: Some(50),
            takes: json!(["Support line_1-b", "हिन्दी सहायता", "a  b"]),
            refuses: vec![(
                json!(["", " ", " a", "a ", "a/b", "a\n", "a.b", "☎"]),
                "must be 1 to 50 letters, digits, '_', '-' and blanks",
            )],
            ..optional(D, "spec.displayName", "string")
        },
        Field {
            longest: Some(150),
            takes: json!(["Hindi and English, 9 to 5!", "हिन्दी"]),
            refuses: vec![(json!(["", " ", "a\n", "a\nb", "\ta", "a\0b"]), DESCRIPTION)],
            ..optional(D, "spec.description", "string")
        },
        Field {
            takes: json!([connections(10), [connection("c", &["+918012345678", "1800"])]]),
            refuses: vec![
                (json!([[]]), "connections must have a connection: set paused to true"),
                (json!([connections(11)]), "must have at most 10 items"),
                (json!([[connection("c", &["+1"]), connection("c", &["+2"])]]), "Duplicate value"),
                (
                    json!([[connection("c", &["+1"]), connection("d", &["+2", "+1"])]]),
                    "connections must have each phone number once",
                ),
                (json!([[{"connectionID": "c"}]]), "spec.connections[0].phoneNumbers: Required value"),
                (json!([[{"phoneNumbers": ["+1"]}]]), "spec.connections[0].connectionID: Required value"),
                (json!([[connection("a/b", &["+1"])]]), ID),
                (json!([[connection("c", &[])]]), "must have a number: leave out a connection that brings none"),
                (json!([[connection("c", &["+1", "+1"])]]), "Duplicate value"),
                (
                    json!([
                        [connection("c", &["080 1234"])],
                        [connection("c", &[""])],
                        [connection("c", &["+"])],
                        [connection("c", &["00-1"])],
                        [connection("c", &["sip:a@b"])],
                        [connection("c", &["१२३"])]
                    ]),
                    PHONE_NUMBER,
                ),
                (json!([[{"connectionID": "c", "phoneNumbers": many(101)}]]), "must have at most 100 items"),
            ],
            ..optional(D, "spec.connections", "array")
        },
        Field {
            takes: json!([
                schedule("startTime", json!("00:00")),
                schedule("endTime", json!("23:59")),
                schedule("startTime", json!("22:00")),
                schedule("timezone", json!("America/Argentina/Ushuaia")),
                schedule("timezone", json!("UTC")),
            ]),
            refuses: vec![
                (
                    json!([
                        schedule("startTime", json!("9:00")),
                        schedule("endTime", json!("24:00")),
                        schedule("endTime", json!("9 pm")),
                        schedule("startTime", json!("")),
                        schedule("startTime", json!("09:60"))
                    ]),
                    TIME,
                ),
                (json!([schedule("startTime", json!("21:00"))]), "startTime and endTime must differ"),
                (json!([schedule("allowedDays", json!([]))]), "must have a day"),
                (json!([schedule("allowedDays", json!(["Monday", "Monday"]))]), "Duplicate value"),
                (
                    json!([schedule("allowedDays", json!(["Caturday"])), schedule("allowedDays", json!(["monday"]))]),
                    r#"supported values: "Monday""#,
                ),
                (
                    json!([
                        schedule("timezone", json!("+05:30")),
                        schedule("timezone", json!("Asia Kolkata")),
                        schedule("timezone", json!("")),
                        schedule("timezone", json!("a/b/c/d"))
                    ]),
                    "must be the IANA name of a time zone: Asia/Kolkata for example",
                ),
                (json!([schedule("startTime", Value::Null)]), "spec.schedule.startTime: Required value"),
                (json!([schedule("endTime", Value::Null)]), "spec.schedule.endTime: Required value"),
                (json!([schedule("allowedDays", Value::Null)]), "spec.schedule.allowedDays: Required value"),
                (json!([schedule("timezone", Value::Null)]), "spec.schedule.timezone: Required value"),
            ],
            ..optional(D, "spec.schedule", "object")
        },
        Field {
            takes: json!([
                {},
                {"strategy": "InPlace", "maxPauseSeconds": 10, "onFailure": "StayPaused"},
                {"strategy": "PauseFirst", "maxPauseSeconds": 3600, "onFailure": "Resume"},
            ]),
            refuses: vec![
                (json!([{"strategy": "Recreate"}]), r#"supported values: "PauseFirst", "InPlace""#),
                (json!([{"maxPauseSeconds": 9}]), "should be greater than or equal to 10"),
                (json!([{"maxPauseSeconds": 3601}]), "should be less than or equal to 3600"),
                (json!([{"onFailure": "Rollback"}]), r#"supported values: "Resume", "StayPaused""#),
            ],
            ..optional(D, "spec.rollout", "object")
        },
    ]
}

/// A schedule that is taken, but for this field of it; null is a field left out.
fn schedule(field: &str, value: Value) -> Value {
    let mut schedule =
        json!({"startTime": "09:00", "endTime": "21:00", "allowedDays": ["Monday"], "timezone": "Asia/Kolkata"});
    schedule[field] = value;
    schedule
}

fn fields_of_workspace() -> Vec<Field> {
    let other_org = "orgID is immutable: create another Workspace, and Deployments that name it";
    let other_workspace = "workspaceID is immutable: create another Workspace, and Deployments that name it";
    vec![
        object(W, "spec"),
        id(W, "spec.orgID", ("org-2", other_org)),
        id(W, "spec.workspaceID", ("ws-2", other_workspace)),
        object(W, "spec.apiKeySecretRef"),
        object_name(W, "spec.apiKeySecretRef.name", 253, SECRET_NAME),
        Field {
            takes: json!(["API_KEY", ".a", "-"]),
            refuses: vec![(json!(["", "a/b", "a b", "api-key\n", "schlüssel", "a:b"]), SECRET_KEY)],
            ..text(W, "spec.apiKeySecretRef.key", 253)
        },
        Field {
            takes: json!(["1s", "1h", "60m", "3600s", "1m30s", "00000h00001m00000s"]),
            refuses: vec![
                (json!(["", "0s", "0h0m0s", "2h", "1h1s", "61m", "3601s", "99999h99999h"]), INTERVAL),
                (json!(["1 minute", "1m ", "-5s", "+5s", "1.5s", "500ms", "60", "s", "1d", "PT1M", "60s\n"]), INTERVAL),
                (json!(["100000s", "1m1m1m1m"]), INTERVAL),
                (json!(["00001s00001s00001s1s"]), "Too long: may not be more than 18"),
            ],
            ..optional(W, "spec.syncInterval", "string")
        },
        Field {
            takes: json!([1, 1000]),
            refuses: vec![
                (json!([0, -1, i64::MIN]), "should be greater than or equal to 1"),
                (json!([1001, 2_147_483_648_u32, i64::MAX]), "should be less than or equal to 1000"),
            ],
            ..optional(W, "spec.requestsPerSecond", "integer")
        },
    ]
}

/// A try: a new object, or the good one changed, with this at the path, and words of the refusal, or none when it shall be taken.
struct Case {
    kind: Kind,
    path: &'static str,
    value: Option<Value>,
    new: bool,
    refusal: Vec<String>,
}

impl Field {
    fn cases(self) -> Vec<Case> {
        let Self { kind, path, .. } = self;
        let mut cases = Vec::new();
        let mut case = |new, value, refusal: &[&str]| {
            let refusal = refusal.iter().map(|words| (*words).to_owned()).collect();
            cases.push(Case { kind, path, value, new, refusal });
        };
        for absent in [None, Some(Value::Null)] {
            let required = format!("{path}: Required value");
            let refusal: &[&str] = if self.required { &[&required] } else { &[] };
            case(true, absent.clone(), refusal);
            case(false, absent, refusal);
        }
        let samples = [
            ("string", json!("7")),
            ("boolean", json!(true)),
            ("integer", json!(7)),
            ("number", json!(1.5)),
            ("array", json!([])),
            ("object", json!({})),
        ];
        for (_, sample) in samples.into_iter().filter(|(json_type, _)| *json_type != self.json_type) {
            case(true, Some(sample), &[&format!("{path} in body must be of type {}", self.json_type)]);
        }
        if let Some(longest) = self.longest {
            case(true, Some("a".repeat(longest).into()), &[]);
            case(
                true,
                Some("a".repeat(longest + 1).into()),
                &[&format!("{path}: Too long: may not be more than {longest}")],
            );
        }
        for value in list(self.takes) {
            case(true, Some(value), &[]);
        }
        for (values, words) in self.refuses {
            for value in list(values) {
                case(true, Some(value), &[path, words]);
            }
        }
        if let Some((value, words)) = self.frozen {
            case(true, Some(value.into()), &[]);
            case(false, Some(value.into()), &[path, words]);
        }
        cases
    }
}

/// The names of objects, which no field of ours holds.
fn names() -> Vec<Case> {
    let case = |kind, name: String, refusal: &str| Case {
        kind,
        path: "metadata.name",
        value: Some(name.into()),
        new: true,
        refusal: vec![refusal.to_owned()],
    };
    let both = |kind| {
        let long = "metadata.name must be at most 63 characters: choose a shorter name";
        [
            Case { refusal: vec![], ..case(kind, "a".repeat(63), "") },
            case(kind, "a".repeat(64), long),
            case(kind, "Support".into(), "metadata.name: Invalid value"),
        ]
    };
    [D, W].into_iter().flat_map(both).collect()
}

#[tokio::test]
async fn bad_objects_are_refused_with_words_and_good_ones_are_taken() {
    let server = Server::with_both_objects().await;
    let fields = fields_of_deployment().into_iter().chain(fields_of_configuration()).chain(fields_of_workspace());
    let mut faults = Vec::new();
    for Case { kind, path, value, new, refusal } in fields.flat_map(Field::cases).chain(names()) {
        let object = edited(kind, path, value.clone());
        let answer = if new { server.create(kind, &object).await } else { server.replace(kind, &object).await };
        let shown = value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        let what = format!("{} {kind:?} with {shown} in {path}", if new { "a new" } else { "the" });
        match answer {
            Ok(_) if !refusal.is_empty() => faults.push(format!("{what} was taken")),
            // What the API server takes, the operator can read.
            Ok(object) => faults.extend(unreadable(kind, object).map(|error| format!("{what} can't be read: {error}"))),
            Err(message) if refusal.is_empty() => {
                faults.push(format!("{what} was refused: {message}"));
            }
            Err(message) => {
                let missing = refusal.iter().filter(|words| !message.contains(*words));
                faults
                    .extend(missing.map(|words| format!("{what} was refused without the words {words:?}: {message}")));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// How many specs of each kind are made up.
const MADE_UP: usize = 300;

/// Whatever the API server takes, the operator reads, and writes again as it was; whatever it refuses, no reading panics.
#[tokio::test]
async fn what_is_taken_is_read_as_it_is_stored() {
    let server = Server::with_both_objects().await;
    let of_deployment = [
        "workspaceRef",
        "workspaceRef/name",
        "deploymentID",
        "paused",
        "suspend",
        "driftPolicy",
        "deletionPolicy",
        "other",
    ];
    let of_workspace = [
        "orgID",
        "workspaceID",
        "apiKeySecretRef",
        "apiKeySecretRef/name",
        "apiKeySecretRef/key",
        "syncInterval",
        "requestsPerSecond",
        "other",
    ];
    for (kind, fields) in [(D, &of_deployment), (W, &of_workspace)] {
        let mut taken = 0;
        for spec in arbitrary::specs(&good(kind)["spec"], fields, MADE_UP) {
            let object = edited(kind, "spec", Some(spec));
            let Ok(stored) = server.create(kind, &object).await else {
                // An older schema may have let it through.
                let _ = read(kind, &object);
                continue;
            };
            taken += 1;
            let read = read(kind, &stored).unwrap_or_else(|error| panic!("{error}: {stored:#}"));
            assert_eq!(read, (stored["spec"].clone(), true), "{kind:?}");
        }
        // Where all are taken, or none, this shows nothing.
        assert!((MADE_UP / 10..MADE_UP * 9 / 10).contains(&taken), "{taken} of {MADE_UP} {kind:?} were taken");
    }
}

/// The spec as the operator's types write it after they have read it, and whether its ids name a line.
fn read(kind: Kind, object: &Value) -> serde_json::Result<(Value, bool)> {
    let workspace = |object: &Value| serde_json::from_value::<Workspace>(object.clone()).map(|object| object.spec);
    Ok(match kind {
        D => {
            let spec = serde_json::from_value::<Deployment>(object.clone())?.spec;
            let line = workspace(&good(W))?.line(&spec.deployment_id);
            (serde_json::to_value(spec)?, line.is_ok())
        }
        W => {
            let spec = workspace(object)?;
            let line = spec.line("dep-1");
            (serde_json::to_value(spec)?, line.is_ok())
        }
    })
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
    let times = ["-000044-03-15T12:00:00Z", "2026-11-23T10:00:00.5Z", "9999-12-30T22:00:00Z"];
    for time in times {
        let remote = RemoteStatus {
            state: RemoteState::Unknown,
            name: long(),
            description: long(),
            app_id: Some(String::new()),
            app_version: Some(i64::MIN),
            phone_numbers: vec!["+911234567890".into(); 5000],
            connections: (0..50).map(many_numbers).collect(),
            schedule: None,
            channel_direction: long(),
            created_at: Some(Time(time.parse().expect("a time"))),
            updated_at: Some(Time(time.parse().expect("a time"))),
            updated_by: long(),
        };
        let message = "\u{1f4de}".repeat(5000);
        let told =
            Conditions { ready: Truth::False, reason: Reason::InvalidRequest, progress: Progress::Stalled, message };
        let shown = Shown {
            app_version: Some(i64::MIN),
            name: long(),
            description: long(),
            connections: ShownConnections::Full(
                (0..50).map(many_numbers).map(|it| (it.connection_id, it.phone_numbers)).collect(),
            ),
            schedule: None,
        };
        let asked = Managed { app_version: Some(1), ..Managed::default() };
        let everything = ConfigField::ALL.into_iter().collect();
        let now = "2026-11-23T10:00:00.5Z".parse().expect("a time");
        let status = DeploymentStatus {
            observed_generation: Some(1),
            remote: Some(remote.fitted()),
            rollout: Some(Box::new(RolloutStatus::new(Some(now), everything, &shown, &asked))),
            conditions: conditions::update(&[], &told, 1, now),
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
    let parent = object
        .pointer_mut(&pointer(parent))
        .and_then(Value::as_object_mut)
        .expect("the path begins in the good object");
    match value {
        Some(value) => parent.insert(field.to_owned(), value),
        None => parent.remove(field),
    };
    object
}

/// `spec.paused` as a JSON pointer.
fn pointer(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("/{}", path.replace('.', "/")) }
}

fn list(values: Value) -> Vec<Value> {
    serde_json::from_value(values).expect("a list")
}

fn many_numbers(id: usize) -> Connection {
    Connection { connection_id: format!("{id}{}", "c".repeat(300)), phone_numbers: vec!["+1".repeat(300); 300] }
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
