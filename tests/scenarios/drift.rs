//! Somebody else changes a line; and what `suspend` and `driftPolicy` make of it.

use std::time::{Duration, Instant};

use sarvam_testkit::simulator::{Action, Effect, Fault, Line, LineState, Refusal, Route};
use serde_json::{Value, json};

use crate::stage::{Setup, Stage, ready_message, scenario};

#[tokio::test]
async fn a_change_at_the_dashboard_is_put_right_and_told() {
    scenario("drift", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        for who in ["asha@example.org", "ravi@example.org"] {
            stage.ready("support-line").await;
            stage.remote.set_from_dashboard("dep-1", LineState::Active, who);
            let drift =
                |status: &Value| status.to_string().contains("DriftDetected") && status.to_string().contains(who);
            stage.until("support-line", who, |_| stage.statuses("support-line").iter().any(drift)).await;
        }
        stage.ready("support-line").await;

        assert_eq!(stage.puts("dep-1"), [Some(Action::Pause); 3]);
        for reason in ["DriftDetected", "DriftCorrected"] {
            stage.published("support-line", reason, 2).await;
        }
    })
    .await;
}

/// Two writers that both insist: the operator's corrections come ever later, and it says so.
#[tokio::test]
async fn a_tug_of_war_slows_down() {
    scenario("contended", async |stage| {
        stage.paused_line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        // That it is Ready once more is told later than the line is put right, and the watch may still have the last time.
        let readies = || stage.said("support-line").iter().filter(|said| said.starts_with("True ")).count();
        for (round, pause) in [0, 0, 1, 2].into_iter().enumerate() {
            stage.until("support-line", "Ready once more", |_| readies() > round).await;
            let puts = stage.puts("dep-1").len();
            let flipped = Instant::now();
            stage.remote.set_from_dashboard("dep-1", LineState::Active, "ravi@example.org");
            if pause > 0 {
                let object = stage.says("support-line", "False Reconciling RemoteContended").await;
                assert!(ready_message(&object).contains("ravi@example.org"), "{object}");
            }
            stage.line_is("dep-1", LineState::Paused).await;
            // A quarter of a pause differs from object to object.
            assert!(flipped.elapsed() >= Duration::from_millis(750 * pause), "round {round} came too soon");
            assert_eq!(stage.puts("dep-1").len(), puts + 1, "round {round}");
        }
        // An edit does not wait for that.
        stage.until("support-line", "Ready once more", |_| readies() > 4).await;
        stage.remote.set_from_dashboard("dep-1", LineState::Active, "ravi@example.org");
        stage.says("support-line", "False Reconciling RemoteContended").await;
        stage.edit("support-line", json!({"paused": false})).await;
        stage.ready("support-line").await;
    })
    .await;
}

#[tokio::test]
async fn a_reported_drift_stays_until_somebody_decides() {
    scenario("report", async |stage| {
        stage.paused_line("dep-1");
        stage.operator();
        stage.create("support-line", "dep-1", json!({"paused": true, "driftPolicy": "Report"})).await;
        stage.ready("support-line").await;

        stage.remote.set_from_dashboard("dep-1", LineState::Active, "asha@example.org");
        let object = stage.says("support-line", "False Stalled DriftReported").await;
        let message = ready_message(&object);
        for part in ["spec.paused", "is answering", "asha@example.org", "driftPolicy"] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert_eq!(object["status"]["remote"]["updatedBy"], "asha@example.org");
        assert_eq!(object["status"]["remote"]["state"], "Active");

        // The same verdict, with another name in it.
        stage.remote.set_from_dashboard("dep-1", LineState::Active, "ravi@example.org");
        let ravi = |object: &Value| {
            ready_message(object).contains("ravi") && object["status"]["remote"]["updatedBy"] == "ravi@example.org"
        };
        stage.until("support-line", "ravi did it", ravi).await;

        // An edit changes what is asked, and nothing at the remote.
        stage.edit("support-line", json!({"paused": false})).await;
        stage.ready("support-line").await;
        stage.edit("support-line", json!({"paused": true})).await;
        stage.says("support-line", "False Stalled DriftReported").await;
        stage.looks(2).await;
        assert_eq!(stage.puts("dep-1"), []);

        stage.edit("support-line", json!({"driftPolicy": "Correct"})).await;
        stage.ready("support-line").await;
        assert_eq!(stage.puts("dep-1"), [Some(Action::Pause)]);
    })
    .await;
}

#[tokio::test]
async fn a_suspended_line_is_let_be_until_suspend_is_lifted() {
    scenario("suspend", async |stage| {
        stage.line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", false).await;
        stage.ready("support-line").await;
        // In one edit: the hands come off before what else it asks for.
        stage.edit("support-line", json!({"suspend": true, "paused": true})).await;
        let object = stage.says("support-line", "False Stalled Suspended").await;
        assert!(ready_message(&object).contains("spec.suspend"), "{object:#}");
        stage.remote.set_from_dashboard("dep-1", LineState::Paused, "asha@example.org");
        stage.says("support-line", "True - Suspended").await;
        stage.remote.set_from_dashboard("dep-1", LineState::Active, "asha@example.org");
        stage.says("support-line", "False Stalled Suspended").await;
        stage.looks(2).await;
        assert_eq!(stage.puts("dep-1"), []);

        stage.edit("support-line", json!({"suspend": false})).await;
        stage.says("support-line", "True - Synced").await;
        assert_eq!(stage.puts("dep-1"), [Some(Action::Pause)]);
    })
    .await;
}

/// `suspend` goes before `driftPolicy`, and both before `paused`.
#[tokio::test]
async fn every_combination_of_suspend_drift_policy_paused_and_state() {
    struct Case {
        name: String,
        suspend: bool,
        policy: &'static str,
        paused: bool,
        state: LineState,
    }

    impl Case {
        fn line(&self) -> String {
            format!("dep-{}", self.name)
        }

        /// What the status says, and whether the line is written to.
        fn expected(&self) -> (&'static str, bool) {
            let differs = self.paused != (self.state == LineState::Paused);
            match (self.suspend, self.policy, differs) {
                (true, _, true) => ("False Stalled Suspended", false),
                (true, _, false) => ("True - Suspended", false),
                (false, "Report", true) => ("False Stalled DriftReported", false),
                (false, _, differs) => ("True - Synced", differs),
            }
        }
    }

    let mut cases = vec![];
    for suspend in [false, true] {
        for policy in ["Correct", "Report"] {
            for paused in [false, true] {
                for state in [LineState::Active, LineState::Paused] {
                    cases.push(Case { name: format!("case-{}", cases.len()), suspend, policy, paused, state });
                }
            }
        }
    }
    scenario("combinations", async |stage| {
        for case in &cases {
            match case.state {
                LineState::Active => stage.line(&case.line()),
                LineState::Paused => stage.paused_line(&case.line()),
            }
            let spec = json!({"suspend": case.suspend, "driftPolicy": case.policy, "paused": case.paused});
            stage.create(&case.name, &case.line(), spec).await;
        }
        stage.operator();
        for case in &cases {
            stage.says(&case.name, case.expected().0).await;
        }
        // Nobody thinks better of it later.
        stage.looks(2).await;
        for case in &cases {
            let (words, written) = case.expected();
            let Case { suspend, policy, paused, state, .. } = case;
            let told = format!("suspend {suspend}, {policy}, paused {paused}, {state:?}");
            stage.says(&case.name, words).await;
            let action = if *paused { Action::Pause } else { Action::Resume };
            let calls = if written { vec![Some(action)] } else { vec![] };
            assert_eq!(stage.puts(&case.line()), calls, "{told}");
        }
    })
    .await;
}

/// Nobody can put that right from here: it is told, and nothing is sent to where no line is.
#[tokio::test]
async fn a_line_deleted_at_the_remote_is_told() {
    scenario("deleted-there", async |stage| {
        stage.paused_line("dep-1");
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        stage.remote.remove_line("dep-1", "asha@example.org");
        stage.says("support-line", "False Reconciling RemoteNotFound").await;
        stage.edit("support-line", json!({"paused": false})).await;
        stage.says("support-line", "RemoteNotFound").await;
        stage.looks(2).await;
        assert!(stage.puts("dep-1").len() <= 1, "{:?}", stage.puts("dep-1"));
    })
    .await;
}

/// Waits until the status says of the newest generation that another line has come in.
async fn is_let_be(stage: &Stage, name: &str) -> Value {
    let generation = stage.object(name).await["metadata"]["generation"].clone();
    let said = |object: &Value| {
        let ready = &object["status"]["conditions"][0];
        ready["reason"] == "IdentityChanged" && ready["observedGeneration"] == generation
    };
    stage.until(name, "IdentityChanged, of the newest generation", said).await
}

/// An id that comes to lead to another line, told by either of two marks: that line is let be until somebody decides.
#[tokio::test]
async fn another_line_under_the_same_id_is_let_be() {
    type Mark = fn(&mut Line);
    let cases: [(&str, Mark); 2] = [
        ("by-agent", |line| line.app_id = "sales-agent".to_owned()),
        ("by-time", |line| line.created_at = "2027-01-02T03:04:05Z".parse().unwrap()),
    ];
    let line = |name: &str| format!("dep-{name}");
    scenario("replaced", async |stage| {
        let first = stage.operator();
        for (name, _) in cases {
            stage.paused_line(&line(name));
            stage.apply(name, &line(name), true).await;
        }
        let mut adopted = vec![];
        for (name, mark) in cases {
            let remote = stage.ready(name).await["status"]["remote"].clone();
            let old = stage.remote.line(&line(name)).unwrap();
            assert!(remote["createdAt"].is_string(), "{remote:#}");
            let mut other = Line { status: LineState::Active, ..old.clone() };
            mark(&mut other);
            stage.remote.replace_line(other, "asha@example.org");
            adopted.push((old, remote));
        }
        for ((name, _), (_, remote)) in cases.into_iter().zip(&adopted) {
            let object = stage.says(name, "False Stalled IdentityChanged").await;
            let (told, now) = (ready_message(&object), &object["status"]["remote"]);
            let (was, is) = match name {
                "by-agent" => (remote["appID"].as_str().unwrap(), "sales-agent"),
                _ => (remote["createdAt"].as_str().unwrap(), "2027-01-02T03:04:05Z"),
            };
            for part in [was, is, "delete this object"] {
                assert!(told.contains(part), "{part:?} is not in {told:?}");
            }
            assert_eq!(now["state"], "Unknown", "{now:#}");
            assert_eq!((&now["appID"], &now["createdAt"]), (&remote["appID"], &remote["createdAt"]));
            stage.edit(name, json!({"appVersion": 2})).await;
            is_let_be(stage, name).await;
        }
        // Nor does another process know better: one edit waits for it, and two come later.
        first.kill().await;
        for (name, _) in cases {
            stage.edit(name, json!({"description": "an edit that waits"})).await;
        }
        stage.operator();
        for (name, _) in cases {
            is_let_be(stage, name).await;
            stage.edit(name, json!({"paused": false})).await;
            stage.edit(name, json!({"paused": true, "appVersion": null, "description": null})).await;
            is_let_be(stage, name).await;
        }
        stage.looks(2).await;
        let calls = |name: &str| (stage.puts(&line(name)), stage.patches(&line(name)).len());
        for (name, _) in cases {
            assert_eq!(calls(name), (vec![], 0), "{name}");
            stage.published(name, "IdentityChanged", 1).await;
        }

        // The line that was adopted comes back; and for the other one a new object is made.
        let [(by_agent, _), (by_time, _)] = cases;
        stage.remote.replace_line(adopted[0].0.clone(), "asha@example.org");
        stage.ready(by_agent).await;
        stage.delete(by_time).await;
        stage.apply(by_time, &line(by_time), true).await;
        let object = stage.ready(by_time).await;
        assert_eq!(object["status"]["remote"]["createdAt"], "2027-01-02T03:04:05Z", "{object:#}");
        assert_eq!((calls(by_agent), calls(by_time)), ((vec![], 0), (vec![Some(Action::Pause)], 0)));
    })
    .await;
}

/// Where an edit goes out before anybody has looked, its own answer tells.
#[tokio::test]
async fn an_answer_that_shows_another_line_is_the_last() {
    let play = async |stage: &Stage| {
        stage.paused_line("dep-1");
        // Nor does a page of the list tell before.
        stage.remote.inject(Fault::on(Route::List, Effect::Refuse(Refusal::new(500, "internal_server_error"))));
        stage.operator();
        stage.apply("support-line", "dep-1", true).await;
        stage.ready("support-line").await;
        let other = Line { app_id: "sales-agent".to_owned(), ..Line::new("dep-1").paused() };
        stage.remote.replace_line(other, "asha@example.org");
        stage.edit("support-line", json!({"paused": false})).await;
        is_let_be(stage, "support-line").await;
        stage.edit("support-line", json!({"paused": true})).await;
        is_let_be(stage, "support-line").await;
        assert_eq!(stage.puts("dep-1"), [Some(Action::Resume)]);
    };
    Setup::new("replaced-unseen").sync_interval("1h").play(play).await;
}
