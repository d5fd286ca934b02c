//! What kstatus, Flux, Helm and Argo CD take for granted of every status, whatever happens.

use std::collections::BTreeMap;

use sarvam_operator::core::status::Reason;
use serde_json::Value;

const PROGRESS: [&str; 2] = ["Reconciling", "Stalled"];

/// One version of an object.
pub fn check(object: &Value) {
    let metadata = &object["metadata"];
    assert_eq!(metadata["finalizers"], Value::Null, "a finalizer: {object:#}");

    let status = &object["status"];
    let conditions = conditions(object);
    let types: Vec<_> = conditions.iter().map(|condition| text(condition, "type")).collect();
    assert_eq!(types.first(), Some(&"Ready"), "Ready comes first: {status:#}");
    for type_ in &types {
        assert_eq!(types.iter().filter(|other| *other == type_).count(), 1, "{type_} is there twice: {status:#}");
    }

    let beside: Vec<_> = conditions.iter().filter(|condition| PROGRESS.contains(&text(condition, "type"))).collect();
    assert!(beside.len() <= 1, "both Reconciling and Stalled: {status:#}");
    let progress = beside.first().map(|condition| {
        assert_eq!(
            text(condition, "status"),
            "True",
            "an abnormal condition is taken away, not set to False: {status:#}"
        );
        text(condition, "type")
    });
    let (ready, reason) = (text(&conditions[0], "status"), text(&conditions[0], "reason"));
    match (ready, progress) {
        ("True", None) | ("False", Some(_)) | ("Unknown", Some("Reconciling")) => {}
        // The schema's default, before an operator has seen the object.
        ("Unknown", None) if reason == "Pending" => {}
        _ => panic!("Ready={ready} beside {progress:?}: {status:#}"),
    }

    let observed = status["observedGeneration"].as_i64();
    assert!(observed <= metadata["generation"].as_i64(), "observedGeneration is ahead: {object:#}");
    for condition in conditions {
        let (reason, message) = (text(condition, "reason"), text(condition, "message"));
        assert!(Reason::ALL.iter().any(|known| known.to_string() == reason), "{reason} is no known reason: {status:#}");
        assert!(!message.is_empty() && message.len() <= 1024, "no useful message: {status:#}");
        assert!(!message.chars().any(char::is_control), "a control character: {status:#}");
        assert_eq!(condition["observedGeneration"].as_i64(), observed, "generations disagree: {status:#}");
        if PROGRESS.contains(&text(condition, "type")) {
            let told = [text(&conditions[0], "reason"), text(&conditions[0], "message")];
            assert_eq!([reason, message], told, "the conditions tell different things: {status:#}");
        }
    }
}

/// All versions: a transition time moves with its condition's status, and with nothing else; and nothing goes back.
pub fn check_transitions(versions: &[Value]) {
    let mut last: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    let mut observed: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    for object in versions {
        let uid = text(&object["metadata"], "uid");
        let generation = object["status"]["observedGeneration"].as_i64();
        let before = observed.insert(uid, generation).flatten();
        assert!(generation >= before, "observedGeneration went back from {before:?}: {object:#}");
        for condition in conditions(object) {
            let before = last.insert((uid, text(condition, "type")), condition);
            let Some(before) = before.filter(|before| before["reason"] != "Pending") else { continue };
            let stays = before["status"] == condition["status"];
            // A condition that was gone in between has a new time of its own.
            if stays && text(condition, "type") == "Ready" {
                let (was, is) = (&before["lastTransitionTime"], &condition["lastTransitionTime"]);
                assert_eq!(was, is, "the time of a transition moved without one: {:#}", object["status"]);
            }
            let [was, is] = [before, condition].map(|condition| text(condition, "lastTransitionTime"));
            assert!(was <= is, "the time of a transition went back from {was}: {:#}", object["status"]);
        }
    }
}

fn conditions(object: &Value) -> &[Value] {
    object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
