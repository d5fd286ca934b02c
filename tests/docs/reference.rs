//! docs/reference.md: every field, as the definitions tell it.

use std::{env, fmt::Write, fs};

use sarvam_operator::api;
use serde_json::{Value, json};

use crate::markdown::read;

const FILE: &str = "docs/reference.md";

const HEAD: &str = "<!-- Written by `make crds` from src/api: change the comments and rules there. -->

# Every field

As the API server enforces it; `kubectl explain sdep.spec` and `kubectl explain swks.spec` show the same.
A field with a default may be left out. What users write is under `spec`. `status` is the operator's, and [status.md](status.md) says what it means.
";

/// With `WRITE_REFERENCE=1`, as `make crds` runs it, it writes the file first.
#[test]
fn the_reference_is_fresh() {
    let reference = reference();
    if env::var_os("WRITE_REFERENCE").is_some() {
        fs::write(FILE, &reference).expect("docs/ can be written");
    }
    assert!(read(FILE) == reference, "{FILE} is stale: run `make crds`");
}

#[test]
fn every_rule_is_told() {
    let table = [
        (json!({"type": "integer", "minimum": 1, "maximum": 9}), "1 to 9"),
        (json!({"type": "integer", "minimum": 0}), "at least 0"),
        (json!({"type": "string", "maxLength": 3}), "at most 3 characters"),
        (json!({"type": "string", "pattern": "^a|b$"}), r"matches `^a\|b$`"),
        (
            json!({"type": "string", "pattern": "^a$", "x-kubernetes-validations": [{"rule": "self.matches('^a$')", "message": "must be a"}]}),
            "must be a",
        ),
        (
            json!({"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}}),
            "at most 2 items; each: at most 3 characters",
        ),
        (json!({"type": "boolean"}), ""),
    ];
    for (schema, told) in table {
        assert_eq!(rules(&schema), told, "{schema}");
    }
}

fn reference() -> String {
    api::crds().into_iter().fold(HEAD.to_owned(), |text, crd| text + &kind(&json!(crd.spec)))
}

fn kind(spec: &Value) -> String {
    let version = &spec["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let (kind, short) = (text(&spec["names"]["kind"]), text(&spec["names"]["shortNames"][0]));
    let (group, version_name) = (text(&spec["group"]), text(&version["name"]));
    let mut page = format!("\n## {kind}\n\n{}\n\n", text(&schema["description"]));
    let _ = writeln!(page, "`apiVersion: {group}/{version_name}`, `kind: {kind}`, short name `{short}`, namespaced.\n");
    for rule in messages(schema) {
        let _ = writeln!(page, "Rule: {rule}.\n");
    }
    let selectable = list(&version["selectableFields"])
        .map(|field| format!("`{}`", text(&field["jsonPath"]).trim_start_matches('.')));
    let selectable: Vec<_> = selectable.collect();
    if !selectable.is_empty() {
        let _ =
            writeln!(page, "Field selectors (`kubectl get {short} --field-selector`): {}.\n", selectable.join(", "));
    }
    for part in ["spec", "status"] {
        let _ = writeln!(page, "### {kind} {part}\n\n{}\n", text(&schema["properties"][part]["description"]));
        page += "| Field | Type | Default | Rules | |\n|---|---|---|---|---|\n";
        rows(part, &schema["properties"][part], &mut page);
        page.push('\n');
    }
    let _ = writeln!(page, "### {kind} columns\n\n| `kubectl get {short}` | |\n|---|---|");
    for column in list(&version["additionalPrinterColumns"]) {
        let wide = if column["priority"].as_i64() > Some(0) { " Shown with `-o wide`." } else { "" };
        let _ = writeln!(page, "| {} | {}{wide} |", text(&column["name"]).to_uppercase(), text(&column["description"]));
    }
    page
}

/// A row for each field of an object, and for those of the objects in it.
fn rows(path: &str, object: &Value, page: &mut String) {
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let required = list(&object["required"]).any(|required| required == name.as_str());
        let default = match &field["default"] {
            Value::Null if required => "required".to_owned(),
            Value::Null => String::new(),
            default => format!("`{}`", default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
        };
        let (kind, rules, description) = (kind_of(field), rules(field), cell(text(&field["description"])));
        let _ = writeln!(page, "| `{path}` | {kind} | {default} | {rules} | {description} |");
        rows(&path, field, page);
        rows(&format!("{path}[]"), &field["items"], page);
    }
}

fn kind_of(schema: &Value) -> String {
    match (text(&schema["type"]), text(&schema["format"])) {
        ("array", _) => format!("list of {}", kind_of(&schema["items"])),
        (_, "date-time") => "time".to_owned(),
        _ if !schema["enum"].is_null() => {
            let values: Vec<_> = list(&schema["enum"]).map(|value| format!("`{}`", text(value))).collect();
            values.join(" or ")
        }
        (kind, _) => kind.to_owned(),
    }
}

/// The bounds of a field in words. A pattern that has a message is told by that alone.
fn rules(schema: &Value) -> String {
    let number = |key: &str| schema[key].as_f64();
    let mut rules = vec![];
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => rules.push(format!("{least} to {most}")),
        (Some(least), None) => rules.push(format!("at least {least}")),
        (None, Some(most)) => rules.push(format!("at most {most}")),
        (None, None) => {}
    }
    rules.extend(number("maxLength").map(|most| format!("at most {most} characters")));
    rules.extend(number("maxItems").map(|most| format!("at most {most} items")));
    let messages = messages(schema);
    if let (Some(pattern), []) = (schema["pattern"].as_str(), &messages[..]) {
        rules.push(format!("matches `{}`", cell(pattern)));
    }
    rules.extend(messages);
    let items = self::items(schema);
    rules.extend((!items.is_empty()).then(|| format!("each: {items}")));
    rules.join("; ")
}

/// The rules of a list's items.
fn items(schema: &Value) -> String {
    if schema["items"].is_null() { String::new() } else { rules(&schema["items"]) }
}

/// What the API server says when a rule in CEL is broken.
fn messages(schema: &Value) -> Vec<String> {
    list(&schema["x-kubernetes-validations"]).map(|rule| cell(text(&rule["message"]))).collect()
}

/// Text that can stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
