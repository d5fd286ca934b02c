//! How the operator looks at the remote: by pages of the list, and at single lines where these give a reason.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use sarvam_testkit::simulator::{Action, Effect, Fault, LineState, Refusal, Route};
use serde_json::{Value, json};

use crate::stage::{Setup, Stage};

/// How many requests at once set the scene.
const AT_ONCE: usize = 16;

fn id(number: usize) -> String {
    format!("dep-{number:03}")
}

/// Adds active lines and an object for each that asks for just that, and waits until all are Ready.
async fn lines(stage: &Stage, count: usize) {
    (0..count).for_each(|number| stage.line(&id(number)));
    stream::iter(0..count).for_each_concurrent(AT_ONCE, async |n| stage.apply(&id(n), &id(n), false).await).await;
    all_are_ready(stage, count).await;
}

async fn all_are_ready(stage: &Stage, count: usize) {
    stage.until_workspace("all lines are Ready", |it| it["status"]["lines"]["asAsked"] == json!(count)).await;
}

/// The lines of the single reads since the first `before` calls, and how many pages came meanwhile.
fn reads(stage: &Stage, before: usize) -> (BTreeSet<String>, usize) {
    let calls = stage.arrivals(Route::Any).split_off(before);
    let pages = calls.iter().filter(|call| call.route == Route::List).count();
    let gets = calls.into_iter().filter(|call| call.route == Route::Get).filter_map(|call| call.line);
    (gets.collect(), pages)
}

/// What a page says, in place of what is so.
fn page(stage: &Stage, items: &[Value], total: usize) {
    let body = json!({"items": items, "total": total, "limit": 100, "offset": 0}).to_string();
    let refusal = Refusal { status: 200, body, ..Refusal::default() };
    stage.remote.inject(Fault::on(Route::List, Effect::Refuse(refusal)).once());
}

fn row(line: &str, status: &str) -> Value {
    json!({"deployment_id": line, "status": status})
}

/// A cycle costs a read for each hundred lines, and one more for each line that differs. A new leader takes the pages' word
/// for what was Ready, and looks at once only at what was edited meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn pages_answer_for_all_lines_that_are_as_they_were() {
    const LINES: usize = 250;
    const PAGES: usize = 3;
    Setup::new("pages")
        .sync_interval("2s")
        .play(async |stage| {
            let first = stage.operator();
            lines(stage, LINES).await;
            stage.looks(PAGES).await;

            let written = async || (stage.versions().await, stage.events().await.len());
            let (before, calls) = (written().await, stage.remote.calls(Route::Any));
            stage.looks(3 * PAGES).await;
            let (gets, pages) = reads(stage, calls);
            assert_eq!(gets, BTreeSet::new(), "a look at a line that is as it was");
            assert!(pages >= 3 * PAGES, "{pages} pages");
            assert_eq!(written().await, before);

            let calls = stage.remote.calls(Route::Any);
            stage.remote.set_from_dashboard(&id(7), LineState::Paused, "asha@example.org");
            stage.line_is(&id(7), LineState::Active).await;
            // Ready it may have been called last before the drift was seen.
            stage.published(&id(7), "DriftCorrected", 1).await;
            stage.ready(&id(7)).await;
            assert_eq!(reads(stage, calls).0, [id(7)].into());
            assert_eq!(stage.puts(&id(7)), [Some(Action::Resume)]);

            first.stop().await;
            let edited: BTreeSet<String> = [3, 100, 249].map(id).into();
            for name in &edited {
                stage.edit(name, json!({"paused": true})).await;
            }
            let calls = stage.remote.calls(Route::Any);
            stage.operator();
            for name in &edited {
                stage.ready(name).await;
            }
            stage.looks(2 * PAGES).await;
            all_are_ready(stage, LINES).await;
            assert_eq!(reads(stage, calls).0, edited, "lines that a new leader looked at");
        })
        .await;
}

/// A list may be old, or skip a line while others come and go. It is a reason to look, never to act.
#[tokio::test]
async fn a_list_that_lies_makes_the_operator_look_and_no_more() {
    let (one, two, odd) = (row("dep-000", "active"), row("dep-001", "active"), json!({"deployment_id": 7}));
    let away = row("dep-000", "paused");
    // What the next walk shows first, of how many lines, and the lines that need a look then.
    let cases: [(&str, Vec<Value>, usize, &[&str]); 7] = [
        ("an old state", vec![away.clone(), two.clone()], 2, &["dep-000"]),
        ("no state", vec![json!({"deployment_id": "dep-000"}), two.clone()], 2, &["dep-000"]),
        ("a row is missing", vec![two.clone()], 1, &["dep-000"]),
        ("nothing is there", vec![], 0, &["dep-000", "dep-001"]),
        ("a page ends early", vec![one.clone()], 2, &[]),
        ("a row is repeated, another missing", vec![two.clone(), two], 2, &["dep-000"]),
        ("a row can't be read", vec![one, odd], 2, &["dep-001"]),
    ];
    Setup::new("lies")
        .sync_interval("1s")
        .play(async |stage| {
            stage.operator();
            lines(stage, 2).await;
            stage.looks(1).await;
            for (case, items, total, expected) in cases {
                let calls = stage.remote.calls(Route::Any);
                page(stage, &items, total);
                stage.looks(2).await;
                let looked: Vec<String> = reads(stage, calls).0.into_iter().collect();
                assert!(expected.iter().all(|line| looked.iter().any(|it| it == line)), "{case}: {looked:?}");
                assert_eq!((stage.puts("dep-000"), stage.puts("dep-001")), (vec![], vec![]), "{case}");
            }
            for name in ["dep-000", "dep-001"] {
                stage.ready(name).await;
                let said = stage.said(name);
                let claimed = said.iter().skip_while(|said| !said.starts_with("True"));
                assert!(claimed.clone().all(|said| said.starts_with("True - Synced")), "{name}: {said:?}");
            }
        })
        .await;
}

/// Lines that nobody manages are counted, and the first ten are named.
#[tokio::test]
async fn lines_without_an_object_are_told() {
    Setup::new("unmanaged")
        .sync_interval("1s")
        .play(async |stage| {
            let operator = stage.operator();
            lines(stage, 2).await;
            let free: Vec<String> = (0..12).map(|n| format!("free-{n:02}")).collect();
            for line in &free {
                stage.line(line);
            }
            let told = |it: &Value| it["status"]["unmanaged"] == json!({"total": 12, "deploymentIDs": free[..10]});
            let version =
                stage.until_workspace("twelve lines without an object", told).await["metadata"]["resourceVersion"]
                    .clone();
            assert_eq!(operator.metric("sarvam_workspace_unmanaged_lines").await, Some(12.0));
            stage.looks(3).await;
            assert_eq!(stage.workspace().await["metadata"]["resourceVersion"], version, "nothing new was told");

            stage.apply("taken", "free-03", false).await;
            let told = |it: &Value| it["status"]["unmanaged"]["total"] == 11;
            stage.until_workspace("one of them has an object now", told).await;
            free.iter().filter(|line| *line != "free-03").for_each(|line| stage.remote.remove_line(line, "asha"));
            stage.until_workspace("no line is left", |it| it["status"].get("unmanaged").is_none()).await;
        })
        .await;
}
