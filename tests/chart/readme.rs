//! What the chart says of itself: every value with its default and no other, and its version.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::{CHART, default_values, leaves};

#[test]
fn the_table_of_values_is_that_of_values_yaml() {
    let text = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    let told: Vec<_> = text.lines().filter_map(row).collect();
    let real: BTreeMap<_, _> = leaves("", &default_values()).into_iter().collect();
    for (path, default) in &told {
        assert_eq!(real.get(path), Some(default), "{path} in {CHART}/values.yaml, and in the table");
        let rows = told.iter().filter(|(other, _)| other == path).count();
        assert_eq!(rows, 1, "rows of {path}");
    }
    let missing: Vec<_> = real.keys().filter(|path| !told.iter().any(|(other, _)| other == *path)).collect();
    assert!(missing.is_empty(), "no row in {CHART}/README.md: {missing:?}");
}

/// A row's first two cells: a value's path and its default, which is JSON.
fn row(line: &str) -> Option<(String, Value)> {
    let (path, rest) = line.strip_prefix("| `")?.split_once("` | `")?;
    let (default, _) = rest.split_once("` | ")?;
    let default = serde_json::from_str(default).unwrap_or_else(|error| panic!("{path}: {default} is no JSON: {error}"));
    Some((path.to_owned(), default))
}

#[test]
fn the_version_is_that_of_the_operator() {
    let text = fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let image = format!("image: ghcr.io/sarvam-operator/sarvam-operator:{version}\n");
    assert!(chart["annotations"]["artifacthub.io/images"].as_str().unwrap().contains(&image), "{text}");
    let readme = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    assert!(readme.contains(&format!("--version {version} ")), "the version that {CHART}/README.md installs");
}
