//! Specs that nobody has thought of: good ones with a few fields changed by chance.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// Texts between good and bad.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?",
        2 => "[A-Za-z0-9][A-Za-z0-9_-]{0,130}",
        2 => "([0-9]{1,4}[hms]){1,3}",
        1 => prop::sample::select(vec!["Correct", "Report", "Retain", "", "true", "60s", "é", "a\0b", "\u{feff}a", "📞"]).prop_map(String::from),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop_oneof![0..2000_i64, any::<i64>()].prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("name|key|[a-z]{1,5}", inner, 0..3).prop_map(|fields| json!(fields)),
        ]
    })
}

/// A field, and what to put there; nothing takes it away.
fn change(fields: &[&'static str]) -> impl Strategy<Value = (&'static str, Option<Value>)> {
    let value =
        prop_oneof![1 => Just(None), 4 => text().prop_map(|text| Some(text.into())), 4 => value().prop_map(Some)];
    (prop::sample::select(fields.to_vec()), value)
}

/// As many specs, the same each time: `spec` with one to three of the fields changed, each a path below the spec.
pub fn specs(spec: &Value, fields: &[&'static str], number: usize) -> Vec<Value> {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let changes = vec(change(fields), 1..=3);
    let one = |_| {
        let changes = changes.new_tree(&mut runner).expect("a strategy without filters").current();
        let mut spec = spec.clone();
        for (path, value) in changes {
            let (parent, field) = path.rsplit_once('/').unwrap_or(("", path));
            // An earlier change may have put something else in the parent's place.
            let Some(parent) = spec.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
            match value {
                Some(value) => drop(parent.insert(field.to_owned(), value)),
                None => drop(parent.remove(field)),
            }
        }
        spec
    };
    (0..number).map(one).collect()
}
