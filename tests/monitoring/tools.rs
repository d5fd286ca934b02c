//! The real promtool and Helm.

use std::process::Command;

use sarvam_testkit::program;

/// Runs promtool, and fails with what it said where it does not succeed.
pub async fn promtool(args: &[&str]) {
    run("promtool", args).await;
}

/// The YAML that the chart renders with these values.
pub async fn render(namespace: &str, values: &[&str]) -> String {
    let mut args =
        vec!["template", "phones", "charts/sarvam-operator", "--kube-version=1.35.0", "--namespace", namespace];
    args.extend(values.iter().flat_map(|value| ["--set", value]));
    run("helm", &args).await
}

async fn run(name: &str, args: &[&str]) -> String {
    let output = Command::new(program(name).await.unwrap()).args(args).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{name} {}:\n{stdout}{stderr}", args.join(" "));
    stdout
}
