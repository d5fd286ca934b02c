//! Lines that come from Git, by the real Flux: the example in `examples/gitops` as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use kube::api::DynamicObject;
use kube::runtime::wait::{Condition, await_condition};
use sarvam_testkit::flux::{Flux, kustomizations};
use sarvam_testkit::simulator::{Effect, Fault, LineState, Route};
use serde_json::{Value, json};

use crate::stage::{LIMIT, Setup, Stage};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gitops");
const SUPPORT_LINE: &str = "lines/support-line.yaml";

/// What is in Git.
fn repository() -> BTreeMap<String, String> {
    // Not the key: the stage has its Secret, and External Secrets isn't here.
    let paths = ["workspace/workspace.yaml", "lines/night-line.yaml", SUPPORT_LINE];
    paths.map(|path| (path.to_owned(), read(Path::new(EXAMPLE).join("repository").join(path)))).into()
}

/// Edits the manifest of the support line.
fn ask(files: &mut BTreeMap<String, String>, from: &str, to: &str) {
    let text = files.get_mut(SUPPORT_LINE).expect("it is in the repository");
    assert!(text.contains(from), "{text}");
    *text = text.replace(from, to);
}

/// The example's `GitRepository` and Kustomizations, for the stage's namespace and without its long waits.
fn manifests(namespace: &str) -> String {
    let text = read(Path::new(EXAMPLE).join("flux/lines.yaml"))
        .replace("amespace: phone-lines", &format!("amespace: {namespace}"))
        .replace("retryInterval: 1m", "retryInterval: 1s")
        .replace("timeout: 5m", "timeout: 30s");
    text.split("---\n").filter(|document| !document.contains("kind: Namespace")).collect::<Vec<_>>().join("---\n")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What Flux has made of the newest commit.
struct Git<'a> {
    stage: &'a Stage,
    flux: Flux,
}

impl Git<'_> {
    /// Commits an edit of the support line, and waits until the cluster has it.
    async fn commit(&self, revision: &str, files: &BTreeMap<String, String>) {
        let sent = Instant::now();
        self.flux.commit("phone-lines", revision, files).await.unwrap();
        self.stage.edited_by_others("support-line", sent).await;
    }

    /// Waits until the Kustomization of the lines is so.
    async fn until(&self, what: &str, so: impl Condition<DynamicObject>) -> DynamicObject {
        let kustomizations = kustomizations(self.stage.client(), &self.stage.namespace);
        let wait = await_condition(kustomizations.clone(), "lines", so);
        let Ok(found) = tokio::time::timeout(LIMIT, wait).await else {
            let now = kustomizations.get("lines").await.unwrap();
            panic!("not within {LIMIT:?}: {what}\n{:#}\n{}", now.data["status"], self.flux.output());
        };
        found.unwrap().expect("it was so, so it is there")
    }

    /// Waits until Flux is done with a revision.
    async fn done(&self, revision: &str) {
        let applied = |it: &DynamicObject| it.data["status"]["lastAppliedRevision"] == json!(revision);
        let so = |it: Option<&DynamicObject>| it.is_some_and(|it| applied(it) && ready(it)["status"] == "True");
        self.until(&format!("Ready at {revision}"), so).await;
    }

    /// Waits until Flux has given up waiting for a revision, and returns why.
    async fn waited_in_vain(&self, revision: &str) -> String {
        let tried = |it: &DynamicObject| it.data["status"]["lastAttemptedRevision"] == json!(revision);
        let failed = |it: &DynamicObject| ready(it)["reason"] == "HealthCheckFailed";
        let so = |it: Option<&DynamicObject>| it.is_some_and(|it| tried(it) && failed(it));
        let object = self.until(&format!("HealthCheckFailed at {revision}"), so).await;
        ready(&object)["message"].as_str().unwrap_or_default().to_owned()
    }
}

fn ready(object: &DynamicObject) -> &Value {
    let conditions = object.data["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|condition| condition["type"] == "Ready").unwrap_or(&Value::Null)
}

#[tokio::test]
async fn flux_is_done_when_the_line_is_as_git_asks_and_not_before() {
    Setup::new("flux")
        .without_workspace()
        .not_on_an_existing_cluster()
        .play(async |stage| {
            stage.line("dep-support-line");
            stage.paused_line("dep-night-line");
            stage.operator();
            let git = Git { stage, flux: Flux::start(stage.plane(), &stage.namespace).await.unwrap() };
            let manifests = manifests(&stage.namespace);
            let kubectl = stage.kubectl();
            kubectl.run_with_input(&["apply", "-f", "-"], &manifests).await.unwrap().success().unwrap();

            let mut files = repository();
            let sent = Instant::now();
            git.commit("first", &files).await;
            stage.edited_by_others("night-line", sent).await;
            git.done("first").await;
            for name in ["support-line", "night-line"] {
                stage.ready(name).await;
            }
            assert_eq!(stage.puts("dep-support-line"), [], "the lines are as Git asks already");

            // A call that is held back: in progress, until Flux's patience ends.
            stage.remote.inject(Fault::on(Route::Status, Effect::Hang));
            ask(&mut files, "paused: false", "paused: true");
            git.commit("pause", &files).await;
            let why = git.waited_in_vain("pause").await;
            assert!(why.contains("support-line status: 'InProgress'"), "{why}");
            stage.remote.clear_faults();
            git.done("pause").await;
            assert_eq!(stage.remote.line("dep-support-line").map(|line| line.status), Some(LineState::Paused));

            // A line that is left as it is: failed at once.
            ask(&mut files, "paused: true", "paused: false\n  suspend: true");
            git.commit("suspend", &files).await;
            let why = git.waited_in_vain("suspend").await;
            assert!(why.contains("support-line status: 'Failed'"), "{why}");
            ask(&mut files, "  suspend: true\n", "");
            git.commit("resume", &files).await;
            git.done("resume").await;
            assert_eq!(stage.remote.line("dep-support-line").map(|line| line.status), Some(LineState::Active));

            // Flux applies the same again, and nothing changes.
            let version = async || stage.object("support-line").await["metadata"]["resourceVersion"].clone();
            let before = version().await;
            let again = ["annotate", "kustomization/lines", "reconcile.fluxcd.io/requestedAt=again"];
            kubectl.run(&again).await.unwrap().success().unwrap();
            let handled = |it: Option<&DynamicObject>| {
                it.is_some_and(|it| {
                    it.data["status"]["lastHandledReconcileAt"] == "again" && ready(it)["status"] == "True"
                })
            };
            git.until("reconciled again", handled).await;
            assert_eq!(version().await, before);

            // What is taken out of Git goes, and its line stays, while the operator works on.
            files.remove("lines/night-line.yaml");
            ask(&mut files, "paused: false", "paused: true");
            git.commit("prune", &files).await;
            git.done("prune").await;
            stage.ready("support-line").await;
            let gone = ["wait", "--for=delete", "sdep/night-line", "--timeout=60s"];
            kubectl.run(&gone).await.unwrap().success().unwrap();
            assert_eq!(stage.puts("dep-night-line"), []);
        })
        .await;
}
