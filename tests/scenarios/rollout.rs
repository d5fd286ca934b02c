//! A line's configuration changes, and no caller notices.
//!
//! That no field that needs a pause changes while the line answers, and that no status claims a configuration that the
//! line doesn't have, is judged at the end of every scenario, not only of these.

use std::sync::Arc;
use std::time::Duration;

use sarvam_testkit::simulator::{
    Action, Answer, Config, ConnectionConfig, Effect, Fault, Line, LineState, Lists, Refusal, Route, Switches, Then,
    What,
};
use serde_json::{Value, json};

use crate::stage::{LIMIT, Launch, ORG, Operator, Setup, Stage, WORKSPACE_ID, ready_message, scenario};

const PAUSE: Option<Action> = Some(Action::Pause);
const RESUME: Option<Action> = Some(Action::Resume);

/// Adds a line of version 1 with a number, whose object is Ready and manages nothing but `paused` yet.
async fn add_line(stage: &Stage, name: &str, found: LineState) {
    let line = Line {
        status: found,
        connection_configs: vec![ConnectionConfig {
            connection_id: "conn-1".to_owned(),
            phone_numbers: vec![format!("+91{}", number(name))],
        }],
        ..Line::new(name)
    };
    stage.remote.add_line(ORG, WORKSPACE_ID, line);
    stage.apply(name, name, found == LineState::Paused).await;
    stage.ready(name).await;
}

/// Digits that belong to a name.
fn number(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:03}")).collect::<String>().chars().rev().take(24).collect()
}

fn version(stage: &Stage, line: &str) -> i64 {
    stage.remote.line(line).expect("the line").app_version
}

/// Waits until this many calls on a route for a line have come.
async fn called(stage: &Stage, route: Route, line: &str, times: usize) {
    let of_line =
        |what: &What| matches!(what, What::Arrived(call) if call.route == route && call.line.as_deref() == Some(line));
    let enough = stage
        .remote
        .wait_until(LIMIT, |remote| remote.history().iter().filter(|entry| of_line(&entry.what)).count() >= times);
    enough.await.unwrap();
}

/// A kind of change: its name, whether the line answers before, what is edited, the calls that change whether it answers,
/// and the fields of the PATCH.
struct Kind {
    name: &'static str,
    state: LineState,
    edit: Value,
    puts: Vec<Option<Action>>,
    fields: &'static [&'static str],
}

fn kinds() -> Vec<Kind> {
    use LineState::{Active, Paused};
    let numbers = json!([{"connectionID": "conn-2", "phoneNumbers": ["+9180", "+9122"]}]);
    let hours = json!({"startTime": "09:00", "endTime": "21:00", "allowedDays": ["Tuesday", "Monday"], "timezone": "Asia/Kolkata"});
    let kind =
        |name, state, edit, puts: &[Option<Action>], fields| Kind { name, state, edit, puts: puts.to_vec(), fields };
    let both = &[PAUSE, RESUME];
    vec![
        kind("version", Active, json!({"appVersion": 2}), both, &["app_version"]),
        kind("numbers", Active, json!({"connections": numbers}), both, &["connection_configs"]),
        kind("name", Active, json!({"displayName": "Support line"}), &[], &["name"]),
        kind("description", Active, json!({"description": "हिन्दी and English"}), &[], &["description"]),
        kind("hours", Active, json!({"schedule": hours}), &[], &["inbound_config"]),
        kind(
            "several",
            Active,
            json!({"appVersion": 2, "displayName": "Several", "description": "d", "schedule": hours}),
            both,
            &["app_version", "description", "inbound_config", "name"],
        ),
        kind("and-pause", Active, json!({"appVersion": 2, "paused": true}), &[PAUSE], &["app_version"]),
        kind("and-resume", Paused, json!({"appVersion": 2, "paused": false}), &[RESUME], &["app_version"]),
        kind("while-paused", Paused, json!({"appVersion": 2}), &[], &["app_version"]),
        kind("the-same", Active, json!({"appVersion": 1, "displayName": "the-same"}), &[], &[]),
    ]
}

/// Every setting of the open points that can make a difference to a change.
fn settings() -> Vec<(&'static str, Switches)> {
    let usual = Switches::default;
    vec![
        ("plain", usual()),
        ("refused-while-active", Switches { update_while_active: Answer::Refused, ..usual() }),
        ("normalised", Switches { normalise: true, ..usual() }),
        ("shown-late", Switches { reply_shows_old_state: true, apply_after: Duration::from_millis(200), ..usual() }),
        ("same-state-refused", Switches { same_state: Answer::Refused, ..usual() }),
    ]
}

#[tokio::test]
async fn every_kind_of_change_in_every_setting_of_the_remote() {
    for (setting, switches) in settings() {
        let refused_while_active = switches.update_while_active == Answer::Refused;
        let remote = Config { switches, ..Config::default() };
        let play = async |stage: &Stage| {
            stage.operator();
            for kind in kinds() {
                add_line(stage, kind.name, kind.state).await;
                stage.edit(kind.name, kind.edit.clone()).await;
            }
            for kind in kinds() {
                let told = format!("{} in {setting}", kind.name);
                stage.ready(kind.name).await;
                let line = stage.remote.line(kind.name).unwrap();
                let fields = |patch: &Value| patch.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
                let patches = stage.patches(kind.name);
                assert_eq!(patches.is_empty(), kind.fields.is_empty(), "{told}");
                for patch in &patches {
                    assert_eq!(fields(patch), kind.fields, "{told}");
                }
                let surprised = refused_while_active && kind.puts.is_empty() && kind.state == LineState::Active;
                if surprised && !kind.fields.is_empty() {
                    assert_eq!(
                        line.status,
                        LineState::Active,
                        "{told}: a change that the remote refused needed a pause"
                    );
                } else {
                    assert_eq!(stage.puts(kind.name), kind.puts, "{told}");
                    assert!(setting != "plain" || patches.len() <= 1, "{told}: {patches:?}");
                }
            }
        };
        Setup::new(&format!("change-{setting}")).remote(remote).play(play).await;
    }
}

/// What callers hear is one pause, as short as can be: the line is down for a change, a look and the resume.
#[tokio::test]
async fn a_clean_change_takes_as_few_calls_as_can_be() {
    scenario("change-clean", async |stage| {
        let operator = stage.operator();
        add_line(stage, "support", LineState::Active).await;
        let before = stage.remote.history().len();
        // What is done sooner is told when it is done.
        stage.remote.inject(Fault::on(Route::Update, Effect::Delay(Duration::from_millis(300))));
        stage.edit("support", json!({"appVersion": 2})).await;
        let object = stage.ready("support").await;
        assert_eq!(object["status"]["remote"]["appVersion"], 2);
        assert_eq!(object["status"]["rollout"], Value::Null);
        assert!(stage.statuses("support").iter().any(|status| status["rollout"]["to"]["appVersion"] == 2));

        let history = stage.remote.history().split_off(before);
        let set = |to: LineState| {
            history.iter().position(|entry| matches!(&entry.what, What::Applied { from, to: Some(is), .. } if *is == to && *from != Some(to)))
        };
        let (down, up) = (set(LineState::Paused).unwrap(), set(LineState::Active).unwrap());
        let calls: Vec<Route> = history[down..up]
            .iter()
            .filter_map(|entry| match &entry.what {
                // A walk may come by.
                What::Arrived(call) if call.route != Route::List => Some(call.route),
                _ => None,
            })
            .collect();
        assert!(calls.iter().filter(|route| **route != Route::Get).eq(&[Route::Update, Route::Status]), "{calls:?}");
        // On a machine too slow for the lease it is taken over from itself, and looks until earlier calls can't land any more.
        let took_over = operator.output().contains("the lease is lost");
        assert!(calls.len() <= 4 || took_over, "{calls:?}");
    })
    .await;
}

#[tokio::test]
async fn a_strategy_in_place_never_pauses() {
    scenario("in-place", async |stage| {
        stage.operator();
        add_line(stage, "support", LineState::Active).await;
        stage.edit("support", json!({"appVersion": 2, "rollout": {"strategy": "InPlace"}})).await;
        stage.ready("support").await;
        assert_eq!((stage.puts("support"), version(stage, "support")), (vec![], 2));
    })
    .await;
}

/// Another edit, or somebody at the dashboard, while the line is down for a change.
#[tokio::test]
async fn what_comes_between_is_taken_in() {
    scenario("between", async |stage| {
        stage.operator();
        let slow = || Effect::Delay(Duration::from_millis(700));
        let busy = || Effect::Refuse(Refusal::new(503, "unavailable"));
        for name in ["newer", "older", "pause", "resumed", "changed", "deleted"] {
            add_line(stage, name, LineState::Active).await;
        }
        for name in ["newer", "older", "pause", "deleted"] {
            stage.remote.inject(Fault::on(Route::Update, slow()).line(name).once());
        }
        for name in ["resumed", "changed"] {
            stage.remote.inject(Fault::on(Route::Update, busy()).line(name));
        }
        for name in ["newer", "older", "pause", "resumed", "changed", "deleted"] {
            stage.edit(name, json!({"appVersion": 2})).await;
        }
        for name in ["newer", "older", "pause", "resumed", "changed", "deleted"] {
            called(stage, Route::Update, name, 1).await;
        }
        stage.edit("newer", json!({"appVersion": 3, "displayName": "Newer"})).await;
        stage.edit("older", json!({"appVersion": 1})).await;
        stage.edit("pause", json!({"paused": true})).await;
        stage.remote.set_from_dashboard("resumed", LineState::Active, "asha@example.org");
        stage.remote.configure_from_dashboard("changed", "asha@example.org", |line| line.app_version = 9);
        stage.delete("deleted").await;
        stage.looks(4).await;
        stage.remote.clear_faults();
        for (name, expected) in [("newer", 3), ("older", 1), ("pause", 2), ("resumed", 2), ("changed", 2)] {
            stage.ready(name).await;
            assert_eq!(version(stage, name), expected, "{name}");
        }
        // Nobody asks for anything any more; somebody who asks again finishes it.
        stage.create("again", "deleted", json!({"paused": false, "appVersion": 2})).await;
        stage.ready("again").await;
    })
    .await;
}

/// The steps of a change, by the call that makes each: the route, and which call on it since the edit.
const STEPS: [(&str, Route, u64); 3] =
    [("pause", Route::Status, 1), ("change", Route::Update, 1), ("resume", Route::Status, 2)];

#[tokio::test]
async fn a_call_that_goes_astray_at_any_step_is_made_good() {
    scenario("astray", async |stage| {
        stage.operator();
        let apply = |millis, then| Effect::Apply { after: Duration::from_millis(millis), then };
        let faults = [
            ("before", Effect::Drop),
            ("after", apply(0, Then::Drop)),
            ("late", apply(1500, Then::Drop)),
            ("hanging", apply(500, Then::Hang)),
            ("late-after-200", apply(300, Then::Reply)),
            ("failed", Effect::Refuse(Refusal::new(500, "internal_server_error"))),
            ("limited", Effect::Refuse(Refusal::new(429, "rate_limit_exceeded_error"))),
            ("ignored", Effect::Part { fields: vec![], then: Then::Reply }),
        ];
        let names = |faults: &[(&str, Effect)]| -> Vec<String> {
            STEPS.iter().flat_map(|(step, ..)| faults.iter().map(move |(fault, _)| format!("{step}-{fault}"))).collect()
        };
        for name in names(&faults) {
            add_line(stage, &name, LineState::Active).await;
        }
        for (step, route, call) in STEPS {
            for (fault, effect) in &faults {
                let name = format!("{step}-{fault}");
                stage.remote.inject(Fault::on(route, effect.clone()).line(&name).nth(call));
            }
        }
        for name in names(&faults) {
            stage.edit(&name, json!({"appVersion": 2})).await;
        }
        for name in names(&faults) {
            stage.ready(&name).await;
            assert_eq!(version(stage, &name), 2, "{name}");
        }
    })
    .await;
}

/// How a leader leaves.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    Killed,
    Stopped,
    Frozen,
}

async fn leader_and_follower(stage: &Stage) -> (Arc<Operator>, Arc<Operator>) {
    let leader = stage.operator();
    leader.process().wait_for_line("leading", LIMIT).await.unwrap();
    let follower = stage.operator();
    follower.process().wait_for_line("started", LIMIT).await.unwrap();
    (leader, follower)
}

/// The call of the step is under way when the leader leaves; the next one knows nothing of it.
async fn a_leader_leaves_at_every_step(name: &str, leaves: Leaves) {
    scenario(name, async |stage| {
        let (mut leader, mut follower) = leader_and_follower(stage).await;
        for (step, route, call) in STEPS {
            add_line(stage, step, LineState::Active).await;
            let late = Effect::Apply { after: Duration::from_millis(300), then: Then::Hang };
            stage.remote.inject(Fault::on(route, late).line(step).nth(call));
            stage.edit(step, json!({"appVersion": 2})).await;
            called(stage, route, step, usize::try_from(call).unwrap()).await;
            match leaves {
                Leaves::Killed => leader.kill().await,
                Leaves::Stopped => leader.stop().await,
                Leaves::Frozen => leader.freeze(),
            }
            follower.process().wait_for_line("leading", LIMIT).await.unwrap();
            stage.ready(step).await;
            assert_eq!(version(stage, step), 2, "{step}");
            if matches!(leaves, Leaves::Frozen) {
                leader.thaw();
                leader.process().wait_for_line("lease is lost", LIMIT).await.unwrap();
                leader.kill().await;
            }
            leader = follower;
            follower = stage.operator();
            follower.process().wait_for_line("started", LIMIT).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_leader_is_killed_at_every_step() {
    a_leader_leaves_at_every_step("change-killed", Leaves::Killed).await;
}

#[tokio::test]
async fn a_leader_hands_over_at_every_step() {
    a_leader_leaves_at_every_step("change-handed", Leaves::Stopped).await;
}

#[tokio::test]
async fn a_leader_is_frozen_at_every_step() {
    a_leader_leaves_at_every_step("change-frozen", Leaves::Frozen).await;
}

/// A change that the remote never makes: what the status says, what becomes of the line, and that an edit ends it.
#[tokio::test]
async fn a_change_that_fails_is_told_and_the_line_is_what_was_asked_for_that() {
    use LineState::{Active, Paused};
    let refused = || Effect::Refuse(Refusal::new(422, "unprocessable_entity_error"));
    let part = |fields: &[&'static str]| Effect::Part { fields: fields.to_vec(), then: Then::Reply };
    // Each case: a name, the route and its fault, onFailure, what the status says in the end, and what the line is then.
    let cases = [
        ("refused", Route::Update, refused(), "Resume", "False Stalled RolloutRefused", Active),
        ("refused-stay", Route::Update, refused(), "StayPaused", "RolloutRefused", Paused),
        ("ignored", Route::Update, part(&[]), "Resume", "RolloutNotApplied", Active),
        ("half", Route::Update, part(&["app_version"]), "Resume", "RolloutIncomplete", Paused),
        ("pause-refused", Route::Status, refused(), "Resume", "False Stalled InvalidRequest", Active),
    ];
    scenario("change-fails", async |stage| {
        stage.operator();
        let numbers = json!([{"connectionID": "conn-9", "phoneNumbers": ["+9144"]}]);
        for (name, route, effect, on_failure, ..) in &cases {
            add_line(stage, name, Active).await;
            stage.remote.inject(Fault::on(*route, effect.clone()).line(*name));
            let mut change = json!({"appVersion": 2, "rollout": {"onFailure": on_failure}});
            if *name == "half" {
                // In the same edit: a slow machine would see the first one carried out before the second.
                change["connections"] = numbers.clone();
            }
            stage.edit(name, change).await;
        }
        for (name, _, _, _, words, state) in &cases {
            let object = stage.says(name, words).await;
            let part = match *name {
                "half" => "connections",
                "pause-refused" => "refused",
                _ => "appVersion",
            };
            assert!(ready_message(&object).contains(part), "{name}: {}", ready_message(&object));
            stage.line_is(name, *state).await;
        }
        stage.looks(2 * cases.len()).await;
        for (name, _, _, _, words, state) in &cases {
            stage.says(name, words).await;
            stage.line_is(name, *state).await;
            if *name != "half" {
                assert_eq!(version(stage, name), 1, "{name}");
            }
        }
        stage.remote.clear_faults();
        for (name, ..) in &cases {
            stage.edit(name, json!({"appVersion": 3})).await;
            stage.ready(name).await;
        }
    })
    .await;
}

/// The remote is slow, not refusing: after `maxPauseSeconds` people can call again, and hear the old version.
#[tokio::test]
async fn a_line_is_not_down_for_longer_than_was_said() {
    scenario("overdue", async |stage| {
        stage.operator();
        let busy = Effect::Refuse(Refusal::new(503, "unavailable"));
        stage.remote.inject(Fault::on(Route::Update, busy));
        for (name, on_failure) in [("resumes", "Resume"), ("stays", "StayPaused")] {
            add_line(stage, name, LineState::Active).await;
            let rollout = json!({"maxPauseSeconds": 10, "onFailure": on_failure});
            stage.edit(name, json!({"appVersion": 2, "rollout": rollout})).await;
        }
        for (name, state) in [("resumes", LineState::Active), ("stays", LineState::Paused)] {
            let overdue = |object: &Value| {
                let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
                conditions.into_iter().any(|condition| condition["type"] == "RolloutOverdue")
            };
            stage.until(name, "RolloutOverdue", overdue).await;
            stage.line_is(name, state).await;
            assert_eq!(version(stage, name), 1, "{name}");
        }
        stage.published("resumes", "RolloutOverdue", 1).await;
        stage.remote.clear_faults();
        for name in ["resumes", "stays"] {
            stage.edit(name, json!({"appVersion": 3})).await;
            stage.ready(name).await;
        }
    })
    .await;
}

/// Somebody changes what is managed at the dashboard: it is named, and put right or reported.
#[tokio::test]
async fn drift_of_the_configuration_is_named_field_by_field() {
    scenario("config-drift", async |stage| {
        stage.operator();
        let change = |line: &mut Line| {
            line.app_version = 9;
            line.description = Some("somebody's".to_owned());
            line.name = Some("not managed".to_owned());
        };
        for (name, policy) in [("corrected", "Correct"), ("reported", "Report")] {
            add_line(stage, name, LineState::Active).await;
            stage.edit(name, json!({"appVersion": 2, "description": "ours"})).await;
            stage.ready(name).await;
            stage.edit(name, json!({"driftPolicy": policy})).await;
            stage.ready(name).await;
            stage.remote.configure_from_dashboard(name, "asha@example.org", change);
        }
        let object = stage.says("reported", "False Stalled DriftReported").await;
        for part in ["appVersion", "9", "description", "somebody's"] {
            assert!(ready_message(&object).contains(part), "{part:?} is not in {:?}", ready_message(&object));
        }
        stage.has_said("corrected", "DriftDetected").await;
        stage.ready("corrected").await;
        let line = stage.remote.line("corrected").unwrap();
        assert_eq!((line.app_version, line.name.as_deref()), (2, Some("not managed")));
        let last = stage.patches("corrected").pop().unwrap();
        assert_eq!(last, json!({"app_version": 2, "description": "ours"}));
        stage.looks(4).await;
        assert_eq!(version(stage, "reported"), 9);
    })
    .await;
}

#[tokio::test]
async fn suspend_stops_a_change_where_it_is_and_says_so() {
    scenario("change-suspended", async |stage| {
        stage.operator();
        add_line(stage, "support", LineState::Active).await;
        stage.remote.inject(Fault::on(Route::Update, Effect::Refuse(Refusal::new(503, "unavailable"))));
        stage.edit("support", json!({"appVersion": 2})).await;
        called(stage, Route::Update, "support", 1).await;
        stage.edit("support", json!({"suspend": true})).await;
        let object = stage.says("support", "False Stalled Suspended").await;
        for part in ["is paused", "appVersion", "spec.suspend"] {
            assert!(ready_message(&object).contains(part), "{part:?} is not in {:?}", ready_message(&object));
        }
        stage.remote.clear_faults();
        let (puts, patches) = (stage.puts("support"), stage.patches("support").len());
        stage.looks(4).await;
        assert_eq!((stage.puts("support"), stage.patches("support").len()), (puts, patches));
        stage.edit("support", json!({"suspend": false})).await;
        stage.ready("support").await;
    })
    .await;
}

/// Where the remote adds to lists, what is too much stays, and is told. Nothing is written again and again for it.
#[tokio::test]
async fn a_list_that_only_grows_is_told() {
    let switches = Switches { lists: Lists::Merge, ..Switches::default() };
    let play = async |stage: &Stage| {
        stage.launch(Launch::default().flag("--lists", "merge"));
        add_line(stage, "support", LineState::Active).await;
        let numbers = |list: &[&str]| json!({"connections": [{"connectionID": "conn-1", "phoneNumbers": list}]});
        stage.edit("support", numbers(&["+9180", &format!("+91{}", number("support"))])).await;
        stage.ready("support").await;
        stage.edit("support", numbers(&["+9180"])).await;
        let object = stage.says("support", "False Stalled ListSurplus").await;
        assert!(ready_message(&object).contains("connections"), "{}", ready_message(&object));
        let patches = stage.patches("support").len();
        stage.looks(4).await;
        assert_eq!(stage.patches("support").len(), patches);
        stage.line_is("support", LineState::Active).await;
    };
    Setup::new("grows").remote(Config { switches, ..Config::default() }).play(play).await;
}

/// What the schema can't check is told by name of the field; whether the line answers goes on being as asked.
#[tokio::test]
async fn what_cannot_be_carried_out_is_told_and_paused_goes_on() {
    scenario("change-barred", async |stage| {
        stage.operator();
        add_line(stage, "first", LineState::Active).await;
        // Of two objects of one second the uid decides which is older.
        stage.another_second().await;
        for name in ["second", "no-zone"] {
            add_line(stage, name, LineState::Active).await;
        }
        let claim = json!({"connections": [{"connectionID": "conn-1", "phoneNumbers": ["+9180"]}]});
        stage.edit("first", claim.clone()).await;
        stage.ready("first").await;
        stage.edit("second", claim).await;
        let hours = json!({"startTime": "09:00", "endTime": "21:00", "allowedDays": ["Monday"], "timezone": "IST"});
        stage.edit("no-zone", json!({"schedule": hours})).await;

        let object = stage.says("second", "PhoneNumberConflict").await;
        for part in ["+9180", "first"] {
            assert!(ready_message(&object).contains(part), "{part:?} is not in {:?}", ready_message(&object));
        }
        let object = stage.says("no-zone", "False Stalled InvalidSpec").await;
        for part in ["spec.schedule.timezone", "IST", "Asia/Kolkata"] {
            assert!(ready_message(&object).contains(part), "{part:?} is not in {:?}", ready_message(&object));
        }
        for name in ["second", "no-zone"] {
            stage.edit(name, json!({"paused": true})).await;
            stage.line_is(name, LineState::Paused).await;
            assert_eq!(stage.patches(name), Vec::<Value>::new(), "{name}");
        }
        stage.edit("no-zone", json!({"schedule": null, "paused": false})).await;
        stage.ready("no-zone").await;
        // The number moves from one to the other.
        let other = json!({"connections": [{"connectionID": "conn-1", "phoneNumbers": ["+9181"]}]});
        stage.edit("first", other).await;
        stage.ready("first").await;
        stage.ready("second").await;
    })
    .await;
}
