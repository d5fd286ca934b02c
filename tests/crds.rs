//! The definitions that the API server enforces: the copy in the repository is fresh, and no field lacks a bound or a description.

use sarvam_operator::api;
use serde_json::{Value, json};

#[test]
fn the_copy_in_crds_is_fresh() {
    let copy = std::fs::read_to_string("crds/agents.sarvam.ai.yaml").unwrap_or_default();
    assert!(
        copy == api::crds_yaml(),
        "crds/agents.sarvam.ai.yaml is stale: run `cargo run -- crds > crds/agents.sarvam.ai.yaml`"
    );
}

#[test]
fn both_kinds_are_there_under_their_names() {
    let names = api::crds().into_iter().map(|crd| {
        let names = crd.spec.names;
        (
            names.kind,
            names.short_names.unwrap_or_default().concat(),
            names.categories.unwrap_or_default().concat(),
            crd.spec.scope,
        )
    });
    let names: Vec<_> = names.collect();
    let expected = |kind: &str, short: &str| (kind.into(), short.into(), "sarvam".into(), "Namespaced".into());
    assert_eq!(names, [expected("Workspace", "swks"), expected("Deployment", "sdep")]);
    assert!(api::crds().iter().all(|crd| crd.spec.group == api::GROUP && crd.spec.versions[0].name == api::VERSION));
}

#[test]
fn every_field_is_described_and_bounded() {
    for crd in api::crds() {
        let schema = json!(crd.spec.versions[0].schema)["openAPIV3Schema"].clone();
        let faults = faults(&crd.spec.names.kind, &schema);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

/// Where the remote is, its operator says: an object that could would send the key anywhere.
#[test]
fn no_field_says_where_the_key_goes() {
    let schemas = json!(api::crds().into_iter().map(|crd| crd.spec.versions[0].schema.clone()).collect::<Vec<_>>());
    let mut names = vec![];
    property_names(&schemas, &mut names);
    assert!(names.iter().any(|name| name == "apikeysecretref"), "{names:?}");
    let telling: Vec<_> = names
        .iter()
        .filter(|name| ["url", "host", "endpoint", "proxy", "namespace"].iter().any(|it| name.contains(it)))
        .collect();
    assert!(telling.is_empty(), "{telling:?}");
}

/// The name of every property below, in lower case.
fn property_names(value: &Value, names: &mut Vec<String>) {
    let Some(inner) = value.as_object() else {
        value.as_array().into_iter().flatten().for_each(|value| property_names(value, names));
        return;
    };
    names.extend(value["properties"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()));
    inner.values().for_each(|value| property_names(value, names));
}

#[test]
fn the_check_itself_finds_each_fault() {
    let described = |mut schema: Value| {
        schema["description"] = json!("d");
        schema
    };
    let table = [
        (json!({"type": "boolean"}), "has no description"),
        (described(json!({"type": "string", "pattern": "^a$"})), "has no maxLength"),
        (described(json!({"type": "string", "maxLength": 3})), "has no pattern"),
        (described(json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": 1})), "is unsigned"),
        (described(json!({"type": "integer", "format": "int32", "minimum": 0})), "has no maximum"),
        (described(json!({"type": "number"})), "is a float"),
        (
            described(json!({"type": "array", "items": {"type": "boolean"}, "x-kubernetes-list-type": "set"})),
            "has no maxItems",
        ),
        (
            described(json!({"type": "array", "items": {"type": "boolean"}, "maxItems": 1})),
            "has no x-kubernetes-list-type",
        ),
        (described(json!({"type": "object"})), "is open"),
        (described(json!({"type": "boolean", "nullable": true})), "may be null"),
        (
            described(json!({"type": "boolean", "x-kubernetes-validations": [{"rule": "self"}]})),
            "has a rule without a message",
        ),
        (
            described(json!({"type": "object", "properties": {"inner": {"type": "boolean"}}})),
            "inner has no description",
        ),
        (described(json!({"description": "no type"})), "has no type"),
    ];
    for (schema, fault) in table {
        let found = faults("spec", &schema);
        assert!(found.len() == 1 && found[0].contains(fault), "{schema}: {found:?}, not {fault}");
    }
}

/// What is missing in a schema and below it, a sentence each.
fn faults(path: &str, schema: &Value) -> Vec<String> {
    let has = |key: &str| !schema[key].is_null();
    // Only what a user writes needs the shape of its text and a range; what the operator tells is bounded in size.
    let written_by_users = !path.contains("status");
    let own = match schema["type"].as_str() {
        Some("string") if has("enum") || schema["format"] == "date-time" => vec![],
        Some("string") => {
            vec![(!has("maxLength"), "has no maxLength"), (written_by_users && !has("pattern"), "has no pattern")]
        }
        Some("integer") => vec![
            (schema["format"].as_str().is_none_or(|format| format.starts_with("uint")), "is unsigned"),
            (written_by_users && !has("minimum"), "has no minimum"),
            (written_by_users && !has("maximum"), "has no maximum"),
        ],
        Some("array") => vec![
            (!has("maxItems"), "has no maxItems"),
            (!has("x-kubernetes-list-type"), "has no x-kubernetes-list-type"),
        ],
        Some("object") => vec![(!has("properties"), "is open")],
        Some("boolean") => vec![],
        Some("number") => vec![(true, "is a float")],
        _ => vec![(true, "has no type")],
    };
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let any = [
        (schema["description"].as_str().is_none_or(str::is_empty) && !path.ends_with("[]"), "has no description"),
        (schema["nullable"] == true, "may be null"),
        (schema["x-kubernetes-preserve-unknown-fields"] == true, "keeps unknown fields"),
        (
            rules.into_iter().any(|rule| rule["message"].as_str().is_none_or(str::is_empty)),
            "has a rule without a message",
        ),
    ];
    let here = own.into_iter().chain(any).filter(|(wrong, _)| *wrong).map(|(_, fault)| format!("{path} {fault}"));
    let fields = schema["properties"].as_object().into_iter().flatten();
    let below = fields.flat_map(|(name, field)| faults(&format!("{path}.{name}"), field));
    let items = schema.get("items").map(|items| faults(&format!("{path}[]"), items)).unwrap_or_default();
    here.chain(below).chain(items).collect()
}
