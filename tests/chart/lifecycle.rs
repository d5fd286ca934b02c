//! Install, upgrade and uninstall against a real API server. No node is needed: Helm waits for no pod.

use std::fs;
use std::path::{Path, PathBuf};

use sarvam_testkit::control_plane::{ControlPlane, Options};
use sarvam_testkit::helm::Helm;
use sarvam_testkit::kubectl::Kubectl;

use crate::{CHART, copy_chart};

const NAMESPACE: &str = "sarvam-system";
const KINDS: [&str; 2] = ["workspaces.agents.sarvam.ai", "deployments.agents.sarvam.ai"];

/// One release on a control plane of its own: the definitions of both kinds belong to one release.
struct Release {
    helm: Helm,
    kubectl: Kubectl,
    _plane: ControlPlane,
}

impl Release {
    async fn helm(&self, args: &[&str]) -> String {
        self.helm.run(&[args, &["--namespace", NAMESPACE]].concat()).await.unwrap().success().unwrap()
    }

    async fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl.run(args).await.unwrap().success().unwrap()
    }

    /// Who the users' objects and their definitions are: deleted and made again, they would be others.
    async fn identities(&self) -> String {
        let path = "-ojsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}\n{end}";
        let definitions = self.kubectl(&["get", "crd", KINDS[0], KINDS[1], path]).await;
        let objects = self.kubectl(&["get", &KINDS.join(","), "--all-namespaces", path]).await;
        definitions + &objects
    }
}

/// A copy of the chart, with one more column in each kind's table, as a newer version would have.
fn newer_chart(folder: &Path) -> PathBuf {
    let chart = copy_chart(folder);
    let file = chart.join("files/crds.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let column = "    - {name: Newer, type: date, jsonPath: .metadata.creationTimestamp}\n";
    let columns = "additionalPrinterColumns:\n";
    fs::write(&file, text.replace(columns, &format!("{columns}{column}"))).unwrap();
    chart
}

#[tokio::test]
async fn an_upgrade_brings_schemas_and_an_uninstall_keeps_objects() {
    if std::env::var("USE_EXISTING_CLUSTER").as_deref() == Ok("true") {
        // It would take that cluster's definitions into a release of its own.
        return;
    }
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let (helm, kubectl) = (plane.helm().await.unwrap(), plane.kubectl());
    let it = Release { helm, kubectl, _plane: plane };

    let notes = it.helm(&["install", "sarvam-operator", CHART, "--create-namespace"]).await;
    for kind in KINDS {
        it.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{kind}")]).await;
    }
    it.kubectl(&["--namespace", NAMESPACE, "get", "deployments.apps/sarvam-operator"]).await;
    // The notes end with a first line to apply.
    let (_, rest) = notes.split_once("<<'YAML'\n").expect("the notes have objects to apply");
    let (objects, _) = rest.split_once("\nYAML\n").expect("the objects end");
    it.kubectl.run_with_input(&["apply", "-f", "-"], objects).await.unwrap().success().unwrap();
    let before = it.identities().await;
    assert_eq!(before.lines().count(), 4, "{before}");

    let folder = tempfile::tempdir().unwrap();
    let newer = newer_chart(folder.path());
    let columns =
        ["get", "crd", KINDS[0], KINDS[1], "-ojsonpath={.items[*].spec.versions[*].additionalPrinterColumns[*].name}"];
    assert!(!it.kubectl(&columns).await.contains("Newer"));
    it.helm(&["upgrade", "sarvam-operator", newer.to_str().unwrap()]).await;
    assert_eq!(it.kubectl(&columns).await.matches("Newer").count(), 2, "columns of the two kinds after the upgrade");
    assert_eq!(it.identities().await, before, "after the upgrade");

    let said = it.helm(&["uninstall", "sarvam-operator"]).await;
    assert!(said.contains("kept due to the resource policy"), "{said}");
    assert_eq!(it.identities().await, before, "after the uninstall");
    let left =
        it.kubectl(&["--namespace", NAMESPACE, "get", "deployments.apps,services,serviceaccounts", "-oname"]).await;
    assert_eq!(left, "", "what the uninstall left of the operator");

    it.helm(&["install", "sarvam-operator", CHART]).await;
    assert_eq!(it.identities().await, before, "after another install");
    it.helm(&["uninstall", "sarvam-operator"]).await;

    // As another release, the definitions are taken over only when somebody says so.
    let other = ["install", "other", CHART, "--namespace", NAMESPACE];
    let refused = it.helm.run(&other).await.unwrap();
    assert!(!refused.status.success() && refused.stderr.contains("invalid ownership metadata"), "{}", refused.stderr);
    it.helm(&["install", "other", CHART, "--take-ownership"]).await;
    assert_eq!(it.identities().await, before, "after the take-over");
}
