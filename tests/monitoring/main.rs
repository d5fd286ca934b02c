//! What the operator tells Prometheus, what the chart makes of it, and what the documentation says of both.

mod alerts;
mod chart;
mod dashboard;
mod docs;
mod exposition;

mod query;
mod tools;

use std::{fs, path::Path};

const ALERTS: &str = "charts/sarvam-operator/files/alerts.yaml";
const DASHBOARD: &str = "charts/sarvam-operator/files/dashboard.json";
const DOCS: &str = "docs/metrics.md";

fn read(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
