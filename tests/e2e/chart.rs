//! The chart, installed and upgraded as a user would.

use std::path::{Path, PathBuf};

use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::helm::Helm;
use sarvam_testkit::kubectl::Kubectl;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::lines::Lines;

/// The release, and with it the operator's Deployment, Lease and budget.
pub const NAME: &str = "sarvam-operator";
/// Holds the authority of the simulator, as for a remote with a certificate of the company's own.
const CA: &str = "remote-ca";

/// A release of the chart in a namespace of its own.
pub struct Release {
    helm: Helm,
    pub kubectl: Kubectl,
    pub namespace: String,
    values: String,
    chart: PathBuf,
    // Holds the changed chart.
    folder: TempDir,
}

impl Release {
    pub async fn new(cluster: &Cluster, lines: &Lines) -> Result<Self> {
        let namespace = cluster.namespace("sarvam-system", "pod-security.kubernetes.io/enforce=restricted").await?;
        let kubectl = cluster.plane.kubectl().in_namespace(&namespace);
        let ca = format!("--from-literal=ca.crt={}", lines.remote.ca_pem().unwrap_or_default());
        kubectl.run(&["create", "configmap", CA, &ca]).await?.success()?;

        let mut values = cluster.values()?;
        values["replicas"] = json!(2);
        values["remote"] = json!({"url": lines.remote.url(), "caBundle": {"configMap": {"name": CA}}});
        // After each change of the leader every line is in doubt for the two windows: short ones, as the simulator allows.
        values["protocol"] =
            json!({"callTimeout": "4s", "doubtWindow": "5s", "settleWindow": "1s", "freezeWindow": "10s"});
        Ok(Self {
            helm: cluster.plane.helm().await?,
            kubectl,
            namespace,
            values: values.to_string(),
            chart: Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/sarvam-operator"),
            folder: tempfile::tempdir().because("no folder for the changed chart")?,
        })
    }

    pub async fn install(&self) -> Result<()> {
        self.apply("install", &self.chart).await
    }

    /// Upgrades to a chart whose definition of a line has one field more.
    pub async fn upgrade(&self) -> Result<()> {
        let chart = self.folder.path().join("chart");
        copy(&self.chart, &chart)?;
        let definitions = chart.join("files/crds.yaml");
        let changed = with_a_new_field(&std::fs::read_to_string(&definitions).because(definitions.display())?)?;
        std::fs::write(&definitions, changed).because(definitions.display())?;
        self.apply("upgrade", &chart).await?;
        let changed = [
            "wait",
            "--for=jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.note.type}=string",
        ];
        let crd = ["crd/deployments.agents.sarvam.ai", "--timeout=60s"];
        self.kubectl.run(&[changed, crd].concat()).await?.success().map(|_| ())
    }

    pub async fn uninstall(&self) -> Result<()> {
        self.run(&["uninstall", NAME, "--wait", "--timeout", "3m"], "").await
    }

    async fn apply(&self, verb: &str, chart: &Path) -> Result<()> {
        let chart = chart.display().to_string();
        self.run(&[verb, NAME, &chart, "--values", "-", "--wait", "--timeout", "5m"], &self.values).await
    }

    async fn run(&self, args: &[&str], input: &str) -> Result<()> {
        let args = [args, &["--namespace", &self.namespace]].concat();
        self.helm.run_with_input(&args, input).await?.success().map(|_| ())
    }
}

fn with_a_new_field(definitions: &str) -> Result<String> {
    let mut definitions: Vec<Value> = serde_saphyr::from_multiple(definitions).because("files/crds.yaml")?;
    let lines = definitions.iter_mut().find(|crd| crd["spec"]["names"]["kind"] == "Deployment");
    let lines = lines.ok_or_else(|| Error::new("files/crds.yaml has no definition of a Deployment"))?;
    lines["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["note"] =
        json!({"type": "string", "description": "A field of a later version."});
    // JSON is YAML too.
    Ok(definitions.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n"))
}

/// Copies a folder, and in place of a link what it leads to.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to).because(to.display())?;
    for entry in std::fs::read_dir(from).because(from.display())? {
        let from = entry.because(from.display())?.path();
        let to = to.join(from.file_name().unwrap_or_default());
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to).because(from.display())?;
        }
    }
    Ok(())
}
