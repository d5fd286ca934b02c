//! The Helm chart: what it renders, what it refuses, and what an install, an upgrade and an uninstall leave.

mod lifecycle;
mod readme;
mod refused;
mod rendered;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};

use sarvam_testkit::helm::{Answer, Helm};
use serde_json::Value;

/// The chart, from the root of the package, where cargo runs a test.
const CHART: &str = "charts/sarvam-operator";
/// The oldest Kubernetes that it says it knows.
const OLDEST: &str = "1.33.0";

/// `helm template` with these values, as the release `sarvam-operator` in a namespace.
async fn template(helm: &Helm, namespace: &str, values: &Value) -> Answer {
    let args = ["template", "sarvam-operator", CHART, "--namespace", namespace, "--kube-version", OLDEST];
    helm.run_with_input(&[&args[..], &["--values", "-"]].concat(), &values.to_string()).await.unwrap()
}

/// The values that hold unless a user says otherwise.
fn default_values() -> Value {
    let text = fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The values that a user can set, each with its path: what is no object, or an empty one.
fn leaves(path: &str, value: &Value) -> Vec<(String, Value)> {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => {
            let below = |(name, field)| leaves(&format!("{path}.{name}"), field);
            fields.iter().flat_map(below).collect()
        }
        _ => vec![(path.trim_start_matches('.').to_owned(), value.clone())],
    }
}

/// Copies the chart into a folder as its package has it: what a link leads to, in its place.
fn copy_chart(folder: &Path) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let (path, copied) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                copy(&path, &copied);
            } else {
                fs::write(copied, fs::read(&path).unwrap()).unwrap();
            }
        }
    }
    let chart = folder.join("sarvam-operator");
    copy(Path::new(CHART), &chart);
    chart
}
