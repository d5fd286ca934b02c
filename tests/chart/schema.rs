//! `values.schema.json` knows every value and is closed at every level of the chart's own.

use std::fs;

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
