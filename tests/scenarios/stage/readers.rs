//! What the programs that wait for an object make of it.
//!
//! Each takes an object for done exactly when its status claims that the line is as asked. The oracle holds these claims against the
//! truth, so no program is ever told more than is so.

use sarvam_testkit::argo;
use serde_json::Value;

use super::recorder::verdict;

/// What kstatus says, and with it Flux and Helm 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kstatus {
    Current,
    InProgress,
    Failed,
    Terminating,
}

/// Every reader of every version of every object.
pub async fn check(objects: &[Value]) {
    let healths = argo::health(objects).await.unwrap();
    assert_eq!(healths.len(), objects.len(), "Argo CD judges every version");
    for (object, health) in objects.iter().zip(&healths) {
        let expected = readings(object);
        assert_eq!((kstatus(object), health.status.as_str(), wait_for_ready(object)), expected, "{object:#}");
        assert!(!health.message.is_empty(), "Argo CD shows no message: {object:#}");
    }
}

/// What the readers should make of an object: kstatus, Argo CD, and whether `kubectl wait --for=condition=Ready` ends.
fn readings(object: &Value) -> (Kstatus, &'static str, bool) {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return (Kstatus::Terminating, "Progressing", false);
    }
    let words = verdict(object);
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["True", "-", _] => (Kstatus::Current, "Healthy", true),
        ["False", "Stalled", "Suspended"] => (Kstatus::Failed, "Suspended", false),
        ["False", "Stalled", _] => (Kstatus::Failed, "Degraded", false),
        ["False" | "Unknown", "Reconciling", _] | ["stale"] => (Kstatus::InProgress, "Progressing", false),
        _ => panic!("a status that no reader knows, {words}: {object:#}"),
    }
}

/// kstatus' rules for a kind that it does not know, in their order.
fn kstatus(object: &Value) -> Kstatus {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Kstatus::Terminating;
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Kstatus::InProgress;
    }
    for condition in conditions(object) {
        match (condition["type"].as_str(), condition["status"].as_str()) {
            (Some("Reconciling"), Some("True")) => return Kstatus::InProgress,
            (Some("Stalled"), Some("True")) => return Kstatus::Failed,
            _ => {}
        }
    }
    match ready(object).map(|ready| &ready["status"]) {
        Some(status) if status != "True" => Kstatus::InProgress,
        // A kind without Ready is done as soon as it is there.
        _ => Kstatus::Current,
    }
}

/// `kubectl wait --for=condition=Ready`: the generation is the condition's, or the status', where one is told.
fn wait_for_ready(object: &Value) -> bool {
    let Some(ready) = ready(object) else { return false };
    let told = [&ready["observedGeneration"], &object["status"]["observedGeneration"]];
    let observed = told.into_iter().find_map(Value::as_i64);
    let is_old = observed.is_some_and(|observed| Some(observed) < object["metadata"]["generation"].as_i64());
    !is_old && ready["status"].as_str().is_some_and(|status| status.eq_ignore_ascii_case("true"))
}

fn ready(object: &Value) -> Option<&Value> {
    conditions(object).iter().find(|condition| condition["type"] == "Ready")
}

fn conditions(object: &Value) -> &[Value] {
    object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The conditions are `type status`, in their order; a generation that isn't told is 0.
    #[test]
    fn every_reader_reads_as_it_does_in_the_wild() {
        use Kstatus::{Current, Failed, InProgress};
        // generation, the status' observedGeneration, the conditions'.
        let table = [
            ((1, 0, 0), "", Current, false),
            ((1, 0, 0), "Ready Unknown", InProgress, false),
            ((1, 1, 1), "Ready False", InProgress, false),
            ((1, 1, 1), "Ready True", Current, true),
            ((2, 1, 1), "Ready True", InProgress, false),
            ((2, 1, 1), "Ready False, Stalled True", InProgress, false),
            // Where only one generation is told, one of the two readers is early.
            ((2, 0, 1), "Ready True", Current, false),
            ((2, 1, 2), "Ready True", InProgress, true),
            ((1, 1, 1), "Ready True, Reconciling True", InProgress, true),
            ((1, 1, 1), "Ready False, Stalled True, Reconciling True", Failed, false),
            ((1, 1, 1), "Ready False, Reconciling True, Stalled True", InProgress, false),
            ((1, 1, 1), "Ready True, Stalled False", Current, true),
        ];
        let told = |generation: i64| if generation == 0 { Value::Null } else { json!(generation) };
        for ((generation, of_status, of_conditions), conditions, expected, waits_no_longer) in table {
            let condition = |text: &str| {
                let (type_, status) = text.split_once(' ').expect("two words");
                json!({"type": type_, "status": status, "observedGeneration": told(of_conditions)})
            };
            let conditions: Vec<_> = conditions.split(", ").filter(|text| !text.is_empty()).map(condition).collect();
            let status = json!({"observedGeneration": told(of_status), "conditions": conditions});
            let object = json!({"metadata": {"generation": generation}, "status": status});
            assert_eq!(kstatus(&object), expected, "{object:#}");
            assert_eq!(wait_for_ready(&object), waits_no_longer, "{object:#}");
        }
    }
}
