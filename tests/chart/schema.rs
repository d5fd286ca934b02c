//! `values.schema.json` knows every value, is closed at every level of the chart's own, and agrees with the operator's flags.

use std::fs;

use clap::CommandFactory;
use sarvam_operator::config::Cli;
use serde_json::{Value, json};

use crate::{CHART, default_values, leaves};

/// What Helm itself may hand to a chart. They have no default.
const OF_HELM: [&str; 2] = ["global", "enabled"];

fn schema() -> Value {
    let text = fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A field of a schema, with what `$ref` stands for.
fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} is not there")),
        None => schema,
    }
}

#[test]
fn every_value_is_in_the_schema_and_every_object_of_ours_is_closed() {
    let root = schema();
    for (path, _) in leaves("", &default_values()) {
        let mut here = &root;
        for name in path.split('.') {
            if here.get("properties").is_none() && here["additionalProperties"].is_object() {
                // A map whose keys are the user's: cpu and memory.
                here = &here["additionalProperties"];
                continue;
            }
            assert_eq!(here["additionalProperties"], json!(false), "{path}: an object above it takes unknown keys");
            let field = &here["properties"][name];
            assert!(field["description"].is_string(), "{path}: {name} is not in the schema, or has no description");
            here = resolved(&root, field);
        }
        assert!(here["type"].is_string() || here["type"].is_array(), "{path} may be of any type");
    }
}

#[test]
fn every_value_of_the_schema_has_a_default() {
    let (root, values) = (schema(), default_values());
    let fields = root["properties"].as_object().unwrap().keys();
    let unknown: Vec<_> =
        fields.filter(|name| !OF_HELM.contains(&name.as_str()) && values.get(name).is_none()).collect();
    assert!(unknown.is_empty(), "not in {CHART}/values.yaml: {unknown:?}");
}

/// One fact in two places: the chart passes each of these whatever it says.
#[test]
fn defaults_are_those_of_the_flags() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let values = default_values();
    for (flag, path) in [
        ("remote-url", "/remote/url"),
        ("use-proxy", "/remote/useProxy"),
        ("call-timeout", "/protocol/callTimeout"),
        ("doubt-window", "/protocol/doubtWindow"),
        ("settle-window", "/protocol/settleWindow"),
        ("freeze-window", "/protocol/freezeWindow"),
        ("read-lag", "/protocol/readLag"),
        ("missing-grace", "/protocol/missingGrace"),
        ("lease-duration", "/lease/duration"),
        ("log-format", "/log/format"),
    ] {
        let arg = run.get_arguments().find(|arg| arg.get_long() == Some(flag)).unwrap_or_else(|| panic!("no --{flag}"));
        let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let value = values.pointer(path).unwrap_or_else(|| panic!("no value {path}"));
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(value, default.concat(), "{path} and --{flag}");
    }
}
