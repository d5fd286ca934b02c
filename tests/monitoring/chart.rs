//! What the chart makes of it, and that the real schemas take it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sarvam_testkit::control_plane::ControlPlane;
use serde_json::Value;

use crate::{
    ALERTS, DASHBOARD, read,
    tools::{promtool, render},
};

const EVERYTHING: [&str; 6] = [
    "crds.install=false",
    "metrics.serviceMonitor.enabled=true",
    "metrics.serviceMonitor.labels.release=prometheus",
    "metrics.prometheusRule.enabled=true",
    "metrics.prometheusRule.labels.release=prometheus",
    "metrics.dashboard.enabled=true",
];

/// Its module ships the definitions as YAML; go.sum beside the go.mod says which bytes they have.
const PROMETHEUS_OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator";

fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).expect("Helm renders YAML")
}

/// The only object of a kind whose name ends like this.
fn object<'a>(objects: &'a [Value], kind: &str, suffix: &str) -> &'a Value {
    let mut found = objects
        .iter()
        .filter(|it| it["kind"] == kind && it["metadata"]["name"].as_str().is_some_and(|name| name.ends_with(suffix)));
    let only = found.next().unwrap_or_else(|| panic!("there is no {kind} …{suffix}"));
    assert!(found.next().is_none(), "there are two of {kind} …{suffix}");
    only
}

/// A folder with the definitions of the two kinds.
fn definitions() -> PathBuf {
    let mut download = Command::new("go");
    download.args(["mod", "download", "-json", PROMETHEUS_OPERATOR]).current_dir("tools/prometheus-operator");
    let output = download
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .output()
        .expect("Go is installed (https://go.dev/doc/install)");
    assert!(output.status.success(), "go mod download: {}", String::from_utf8_lossy(&output.stderr));
    let module: Value = serde_json::from_slice(&output.stdout).expect("go mod download -json writes JSON");
    let shipped =
        Path::new(module["Dir"].as_str().expect("the module's folder")).join("example/prometheus-operator-crd");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus-operator-crds");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    for kind in ["servicemonitors", "prometheusrules"] {
        let file = format!("monitoring.coreos.com_{kind}.yaml");
        // Read and written: the module's files are read-only, and so would be copies of them.
        fs::write(folder.join(&file), read(shipped.join(&file))).expect("the target folder can be written");
    }
    folder
}

#[tokio::test]
async fn none_of_it_is_there_unless_asked_for() {
    let rendered = render("sarvam-system", &[]).await;
    assert!(rendered.contains("kind: Deployment"), "{rendered}");
    for absent in ["monitoring.coreos.com", "grafana", "sarvam_"] {
        assert!(!rendered.contains(absent), "{absent}");
    }
}

#[tokio::test]
async fn the_api_server_takes_it_under_the_real_schemas() {
    let plane = ControlPlane::shared().await;
    plane.apply_crds(&definitions()).await.unwrap();
    let namespace = plane.namespace("monitoring").await.unwrap();
    let rendered = render(&namespace, &EVERYTHING).await;
    let (objects, namespace) = (objects(&rendered), namespace.as_str());
    for (kind, suffix) in [("ServiceMonitor", ""), ("PrometheusRule", ""), ("ConfigMap", "-dashboard")] {
        let object = object(&objects, kind, suffix).to_string();
        let kubectl = plane.kubectl().in_namespace(namespace);
        let strictly = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        kubectl.run_with_input(&strictly, &object).await.unwrap().success().unwrap();
    }
}

#[tokio::test]
async fn the_monitor_picks_the_service_and_a_port_that_it_has() {
    let objects = objects(&render("sarvam-system", &EVERYTHING).await);
    let (monitor, service) = (object(&objects, "ServiceMonitor", ""), object(&objects, "Service", ""));
    let picked = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    assert!(!picked.is_empty());
    for (label, value) in picked {
        assert_eq!(&service["metadata"]["labels"][label], value, "{label}");
    }
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
}

#[tokio::test]
async fn the_rule_has_the_alerts_of_the_file_about_its_own_install() {
    let table = [
        (vec![], r#"namespace="sarvam-system", job="phones-sarvam-operator""#),
        (vec![r#"metrics.prometheusRule.selector=job="sarvam""#], r#"job="sarvam""#),
    ];
    for (more, selector) in table {
        let objects = objects(&render("sarvam-system", &[EVERYTHING.to_vec(), more].concat()).await);
        let rule = object(&objects, "PrometheusRule", "");
        let file = read(ALERTS).replace(r#"job="sarvam-operator""#, selector);
        let file: Value = serde_saphyr::from_str(&file).expect(ALERTS);
        assert_eq!(rule["spec"], file);
        let rendered = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rendered-alerts.yaml");
        fs::write(&rendered, rule["spec"].to_string()).expect("the target folder can be written");
        promtool(&["check", "rules", rendered.to_str().expect("a path in UTF-8")]).await;
    }
}

#[tokio::test]
async fn the_dashboard_comes_as_it_is_where_grafanas_sidecar_looks() {
    let objects = objects(&render("sarvam-system", &EVERYTHING).await);
    let map = object(&objects, "ConfigMap", "-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let files = map["data"].as_object().expect("files");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["sarvam-operator.json"]);
    assert_eq!(files["sarvam-operator.json"].as_str().unwrap_or_default().trim(), read(DASHBOARD).trim());
}
