//! The real promtool and Helm.

use std::process::Command;

use sarvam_testkit::{control_plane::ControlPlane, program};

/// Runs promtool, and fails with what it said where it does not succeed.
pub async fn promtool(args: &[&str]) {
    let output = Command::new(program("promtool").await.unwrap()).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", args.join(" "));
}

/// The YAML that the chart renders with these values.
pub async fn render(namespace: &str, values: &[&str]) -> String {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let chart = ["template", "phones", "charts/sarvam-operator", "--kube-version=1.35.0", "--namespace", namespace];
    let values = values.iter().flat_map(|value| ["--set", value]);
    let args: Vec<&str> = chart.into_iter().chain(values).collect();
    helm.run(&args).await.unwrap().success().unwrap()
}
