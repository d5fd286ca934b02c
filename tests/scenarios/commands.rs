//! `plan` and `import`: what they print of a real workspace, and that they change nothing.

use std::process::Stdio;

use sarvam_testkit::simulator::{ConnectionConfig, InboundConfig, Line, LineState, Route};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::stage::{ORG, Stage, WORKSPACE, WORKSPACE_ID, scenario};

/// What a command came to.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program in the scenario's namespace, with a text on its standard input.
async fn run(stage: &Stage, args: &[&str], stdin: &str) -> Ended {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sarvam-operator"));
    program.args(args).args(["--namespace", &stage.namespace]);
    program.args(["--remote-url", &stage.remote.url(), "--allow-http-loopback"]);
    program.env("KUBECONFIG", stage.plane().kubeconfig()).kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = program.spawn().unwrap();
    program.stdin.take().unwrap().write_all(stdin.as_bytes()).await.unwrap();
    let output = program.wait_with_output().await.unwrap();
    let ended = Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let key = stage.first_key();
    assert!(!ended.stdout.contains(&key) && !ended.stderr.contains(&key), "the key was printed");
    ended
}

fn manifest(name: &str, line: &str, fields: &Value) -> Value {
    let mut spec = json!({"workspaceRef": {"name": WORKSPACE}, "deploymentID": line});
    for (field, value) in fields.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
}

/// A line of which everything that can be managed is set, as the remote may write it.
fn configured(id: &str, number: &str) -> Line {
    Line {
        name: Some(format!("Line  {id}")),
        app_version: 7,
        description: Some("हिन्दी and English".to_owned()),
        connection_configs: vec![
            ConnectionConfig { connection_id: "conn-2".to_owned(), phone_numbers: vec![number.to_owned()] },
            ConnectionConfig { connection_id: "conn-1".to_owned(), phone_numbers: vec![format!("{number}2")] },
        ],
        inbound_config: Some(InboundConfig {
            start_time: "9:00".to_owned(),
            end_time: "21:00".to_owned(),
            allowed_days: vec!["Sunday".to_owned(), "Monday".to_owned()],
            timezone: "Asia/Kolkata".to_owned(),
        }),
        ..Line::new(id)
    }
}

/// One YAML document each: JSON is YAML.
fn documents<'a>(manifests: impl IntoIterator<Item = &'a Value>) -> String {
    manifests.into_iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test]
async fn what_is_imported_plans_to_nothing_until_a_line_changes() {
    scenario("import", async |stage| {
        let support = Line { name: Some("Support line".to_owned()), ..Line::new("dep-1") };
        stage.remote.add_line(ORG, WORKSPACE_ID, support);
        stage.paused_line("dep-2");
        stage.line("dep-3");
        stage.apply("known-line", "dep-3", false).await;

        let imported = run(stage, &["import", "--workspace", WORKSPACE], "").await;
        assert_eq!(imported.code, Some(0), "{}", imported.stderr);
        assert!(imported.stderr.contains("Left out: 1 line"), "{}", imported.stderr);
        for part in
            ["# Support line", "name: support-line", "deploymentID: dep-1", "deploymentID: dep-2", "paused: true"]
        {
            assert!(imported.stdout.contains(part), "{part:?} is not in {}", imported.stdout);
        }
        assert!(!imported.stdout.contains("dep-3"), "{}", imported.stdout);
        let all = run(stage, &["import", "--workspace", WORKSPACE, "--all", "--output", "table"], "").await;
        assert!(all.stdout.contains("dep-3") && all.stderr.is_empty(), "{}{}", all.stdout, all.stderr);

        let planned = run(stage, &["plan", "-f", "-"], &imported.stdout).await;
        assert_eq!((planned.code, planned.stderr.as_str()), (Some(0), ""));
        assert!(planned.stdout.contains("0 to change, 2 as asked"), "{}", planned.stdout);

        stage.remote.set_from_dashboard("dep-2", LineState::Active, "asha@example.org");
        let planned = run(stage, &["plan", "-f", "-", "-o", "json"], &imported.stdout).await;
        assert_eq!(planned.code, Some(2), "{}", planned.stderr);
        let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
        assert_eq!(plan["unchanged"], 1);
        let line = &plan["lines"][0];
        assert_eq!(line["changes"], json!([{"field": "paused", "from": false, "to": true}]));
        assert_eq!(line["calls"], json!(["PUT dep-2/status pause"]));
        assert_eq!(line["down"], "until resumed");
        assert!(stage.arrivals(Route::Status).is_empty(), "a plan must not change anything");
    })
    .await;
}

#[tokio::test]
async fn imported_configuration_plans_to_nothing_until_it_changes() {
    scenario("import-manage", async |stage| {
        stage.remote.add_line(ORG, WORKSPACE_ID, configured("dep-1", "+911"));
        stage.remote.add_line(ORG, WORKSPACE_ID, configured("dep-2", "sip:support"));
        let all = ["import", "--workspace", WORKSPACE, "--manage"];

        let imported = run(stage, &[&all[..], &["all"]].concat(), "").await;
        assert_eq!(imported.code, Some(0), "{}", imported.stderr);
        for part in ["appVersion: 7", "displayName: Line dep-1", "हिन्दी", "connectionID: conn-1", "09:00", "Kolkata"]
        {
            assert!(imported.stdout.contains(part), "{part:?} is not in {}", imported.stdout);
        }
        let omission = "spec.connections is left out: \"sip:support2\" is no phone number";
        assert!(imported.stdout.contains(&format!("# {omission}")), "{}", imported.stdout);
        assert!(imported.stderr.contains(&format!("Line dep-2: {omission}")), "{}", imported.stderr);
        assert_eq!(imported.stdout.matches("connections:").count(), 1, "{}", imported.stdout);
        let planned = run(stage, &["plan", "-f", "-"], &imported.stdout).await;
        assert_eq!((planned.code, planned.stderr.as_str()), (Some(0), ""), "{}", planned.stdout);

        // What was not asked for is not there, and costs no look.
        let looks = stage.remote.calls(Route::Get);
        let some = run(stage, &[&all[..], &["schedule,appVersion"]].concat(), "").await;
        assert!(some.stdout.contains("appVersion: 7") && some.stdout.contains("timezone"), "{}", some.stdout);
        assert!(!some.stdout.contains("displayName") && !some.stdout.contains("connectionID"), "{}", some.stdout);
        assert_eq!(stage.remote.calls(Route::Get), looks);
        let wrong = run(stage, &[&all[..], &["appversion"]].concat(), "").await;
        assert_eq!(wrong.code, Some(2));
        assert!(
            wrong.stderr.contains("appVersion, displayName, description, connections, schedule"),
            "{}",
            wrong.stderr
        );

        stage.remote.configure_from_dashboard("dep-1", "asha@example.org", |line| {
            line.connection_configs.remove(0);
            line.inbound_config.as_mut().unwrap().end_time = "20:00".to_owned();
        });
        let planned = run(stage, &["plan", "-f", "-", "-o", "json"], &imported.stdout).await;
        assert_eq!(planned.code, Some(2), "{}", planned.stderr);
        let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
        let line = &plan["lines"][0];
        let fields: Vec<&Value> = line["changes"].as_array().unwrap().iter().map(|change| &change["field"]).collect();
        assert_eq!(fields, ["connections", "schedule"]);
        assert_eq!(line["changes"][0]["from"], json!([{"connectionID": "conn-1", "phoneNumbers": ["+9112"]}]));
        assert_eq!(line["changes"][1]["to"]["endTime"], "21:00");
        let calls = ["PUT dep-1/status pause", "PATCH dep-1 connections+schedule", "PUT dep-1/status resume"];
        assert_eq!(line["calls"], json!(calls));
        assert!(line["down"].as_str().unwrap().starts_with("about 3 calls, ~"), "{line}");
        assert_eq!((stage.arrivals(Route::Status).len(), stage.arrivals(Route::Update).len()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_plan_tells_of_each_line_what_would_become_of_it() {
    scenario("plan", async |stage| {
        for id in ["dep-1", "dep-2", "dep-3", "dep-4"] {
            stage.line(id);
        }
        let elsewhere = json!({"paused": true, "workspaceRef": {"name": "nowhere"}});
        // Each case: the line, its spec, the exit code, and what is printed.
        let cases: [(&str, Value, i32, &[&str]); 13] = [
            ("dep-1", json!({"paused": false}), 0, &["0 to change, 1 as asked"]),
            (
                "dep-2",
                json!({"paused": true}),
                2,
                &["paused: false -> true", "PUT dep-2/status pause", "until resumed"],
            ),
            ("dep-3", json!({"paused": true, "suspend": true}), 0, &["stays: spec.suspend", "1 to stay"]),
            ("dep-4", json!({"paused": true, "driftPolicy": "Report"}), 0, &["stays: spec.driftPolicy", "1 to stay"]),
            (
                "dep-1",
                json!({"paused": false, "appVersion": 2}),
                2,
                &["appVersion: 1 -> 2", "pause, PATCH dep-1 appVersion, PUT dep-1/status resume", "about 3 calls, ~"],
            ),
            (
                "dep-1",
                json!({"paused": true, "appVersion": 2}),
                2,
                &["paused: false -> true, appVersion: 1 -> 2", "pause, PATCH dep-1 appVersion ", "until resumed"],
            ),
            ("dep-1", json!({"paused": false, "appVersion": 2, "rollout": {"strategy": "InPlace"}}), 2, &["   PATCH"]),
            (
                "dep-1",
                json!({"paused": false, "displayName": "Support", "description": "d"}),
                2,
                &["displayName: \"dep-1\" -> \"Support\", description: unknown -> \"d\"", "   PATCH dep-1 displayName+description"],
            ),
            ("dep-4", json!({"paused": false, "appVersion": 2, "driftPolicy": "Report"}), 0, &["stays: spec.driftPolicy"]),
            (
                "dep-1",
                json!({"paused": false, "schedule": {"startTime": "09:00", "endTime": "21:00", "allowedDays": ["Monday"], "timezone": "IST"}}),
                1,
                &["spec.schedule.timezone", "Asia/Kolkata"],
            ),
            ("dep-9", json!({"paused": true}), 1, &["can't be looked at", "1 with errors"]),
            ("dep-5", elsewhere, 1, &["Workspace", "nowhere", "add it"]),
            ("../up", json!({"paused": true}), 1, &["spec.deploymentID", "letters"]),
        ];
        for (line, fields, code, parts) in &cases {
            let ended = run(stage, &["plan", "-f", "-"], &documents([&manifest("a-line", line, fields)])).await;
            assert_eq!(ended.code, Some(*code), "{line}: {}{}", ended.stdout, ended.stderr);
            for part in *parts {
                assert!(ended.stdout.contains(part), "{line}: {part:?} is not in {}", ended.stdout);
            }
        }
        let twice =
            [manifest("a", "dep-1", &json!({"paused": false})), manifest("b", "dep-1", &json!({"paused": true}))];
        let ended = run(stage, &["plan", "-f", "-"], &documents(&twice)).await;
        assert!(ended.code == Some(1) && ended.stdout.contains("names the same line"), "{}", ended.stdout);

        let number = json!({"paused": false, "connections": [{"connectionID": "c", "phoneNumbers": ["+911"]}]});
        let twice = [manifest("a", "dep-1", &number), manifest("b", "dep-2", &number)];
        let ended = run(stage, &["plan", "-f", "-"], &documents(&twice)).await;
        assert!(ended.code == Some(1) && ended.stdout.contains("spec.connections has +911, and so has"), "{}", ended.stdout);

        // What is wrong before anything is asked: one sentence on stderr, and never the code of a change.
        let no_paused = documents([&manifest("a-line", "dep-1", &json!({}))]);
        for (args, stdin, parts) in [
            (vec!["plan", "-f", "-"], no_paused.as_str(), vec!["a-line", "paused"]),
            (vec!["plan", "-f", "no-such-folder"], "", vec!["no-such-folder can't be read"]),
            (vec!["plan"], "", vec!["--filename"]),
            (vec!["plan", "-f", "-", "-o", "xml"], "", vec!["table", "yaml", "json"]),
            (vec!["import", "--workspace", "nowhere"], "", vec!["nowhere does not exist"]),
        ] {
            let ended = run(stage, &args, stdin).await;
            assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.stderr);
            for part in parts {
                assert!(ended.stderr.contains(part), "{args:?}: {part:?} is not in {}", ended.stderr);
            }
        }
        let written = [Route::Status, Route::Update].map(|route| stage.arrivals(route).len());
        assert_eq!(written, [0, 0], "a plan must not change anything");
    })
    .await;
}

/// Many lines are read from the list, a hundred a call; only what it shows otherwise is looked at by itself.
#[tokio::test]
async fn a_plan_of_many_lines_reads_the_list() {
    scenario("plan-many", async |stage| {
        let ids: Vec<String> = (0..250).map(|number| format!("dep-{number}")).collect();
        for id in &ids {
            stage.line(id);
        }
        let is_paused = |id: &str| ["dep-7", "dep-207"].contains(&id);
        let manifests: Vec<Value> = ids.iter().map(|id| manifest(id, id, &json!({"paused": is_paused(id)}))).collect();
        let ended = run(stage, &["plan", "-f", "-"], &documents(&manifests)).await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stdout.contains("2 to change, 248 as asked"), "{}", ended.stdout);
        assert_eq!((stage.remote.calls(Route::List), stage.remote.calls(Route::Get)), (3, 2));
    })
    .await;
}
