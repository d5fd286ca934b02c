//! Manifests: what is taken says what was written.

use proptest::prelude::*;
use sarvam_operator::plan::manifests::Manifests;
use serde_json::{Value, json};

/// Any text: no panic, and what is taken has a name and a namespace, and is taken the same when it is written again.
pub fn check(text: &str) {
    let mut manifests = Manifests::default();
    let mistakes = manifests.take("a file", text, "voice");
    assert!(mistakes.iter().all(|mistake| mistake.starts_with("a file")), "{mistakes:?}");
    for metadata in
        manifests.deployments.iter().map(|it| &it.metadata).chain(manifests.workspaces.iter().map(|it| &it.metadata))
    {
        assert!(metadata.name.as_ref().is_some_and(|name| !name.is_empty()));
        assert!(metadata.namespace.as_ref().is_some_and(|namespace| !namespace.is_empty()));
    }
    let written = |manifests: &Manifests| {
        let lines = manifests.deployments.iter().map(|it| json!(it));
        lines.chain(manifests.workspaces.iter().map(|it| json!(it))).collect::<Vec<_>>()
    };
    let taken = written(&manifests);
    let mut again = Manifests::default();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": taken});
    let mistakes = again.take("a file", &list.to_string(), "another");
    assert!(mistakes.is_empty(), "what was taken is not taken again: {mistakes:?}");
    assert_eq!(written(&again), taken, "another is taken than was written");
}

/// A value that a careless hand may put anywhere.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9.-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// A good line with one field changed, dropped or added, as JSON, which is YAML too.
    #[test]
    fn a_line_is_taken_as_it_is_written_or_not_at_all(
        paused in any::<bool>(),
        field in prop_oneof![Just("paused"), Just("deploymentID"), Just("suspend"), Just("driftPolicy"), Just("pause"), Just("deploymentId")],
        changed in prop::option::of(value()),
    ) {
        let mut spec = json!({"workspaceRef": {"name": "w"}, "deploymentID": "dep-1", "paused": paused});
        let fields = spec.as_object_mut().unwrap();
        match changed {
            Some(value) => drop(fields.insert(field.to_owned(), value)),
            None => drop(fields.remove(field)),
        }
        let object = json!({"apiVersion": "agents.sarvam.ai/v1alpha1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec});
        let text = object.to_string();
        check(&text);
        let mut manifests = Manifests::default();
        let mistakes = manifests.take("a file", &text, "voice");
        let whole = spec["deploymentID"].is_string() && spec["paused"].is_boolean();
        prop_assert_eq!(mistakes.len() + manifests.deployments.len(), 1, "{}", text);
        for line in manifests.deployments {
            prop_assert!(whole, "{}", text);
            prop_assert_eq!(&json!(line.spec.paused), &spec["paused"]);
            prop_assert_eq!(&json!(line.spec.deployment_id), &spec["deploymentID"]);
            prop_assert!(spec["pause"].is_null() && spec["deploymentId"].is_null(), "an unknown field was passed over: {}", text);
        }
        if whole && spec.as_object().unwrap().len() == 3 {
            prop_assert!(mistakes.is_empty(), "{:?}", mistakes);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), like_yaml in "[\\[\\]{}&*!|>:, \\-?#'\"a-c0-9\n]{0,60}") {
        check(&text);
        check(&like_yaml);
    }
}
