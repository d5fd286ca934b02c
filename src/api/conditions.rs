//! `status.conditions`, as kstatus, Flux, Helm and `kubectl wait` read them.
//!
//! Ready is always there and comes first. The others are abnormal: present when true, else absent; Reconciling and Stalled never both.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};

use crate::core::status::{Conditions, Progress, Reason};

/// The most conditions that a status may hold.
pub const MAX_ITEMS: usize = 16;

/// The longest message, in bytes; what is longer is cut.
pub const MESSAGE_MAX: usize = 1024;

/// The types that this operator writes, in their order. All but the first are abnormal: there when true.
const OURS: [&str; 4] = ["Ready", "Reconciling", "Stalled", "RolloutOverdue"];

/// The conditions that tell `told` of one generation, given those that stand. `now` becomes the transition time of each whose status changes.
///
/// Conditions of other types are kept as they are, after ours. The result equals `existing` when there is nothing new to write.
#[must_use]
pub fn update(existing: &[Condition], told: &Conditions, generation: i64, now: Timestamp) -> Vec<Condition> {
    let condition = |type_: &str, status: &str| Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: told.reason.to_string(),
        message: cut(&told.message).to_owned(),
        observed_generation: Some(generation),
        last_transition_time: existing
            .iter()
            .find(|old| old.type_ == type_ && old.status == status && old.last_transition_time != Time(NEVER))
            .map_or_else(|| to_the_second(now), |old| old.last_transition_time.clone()),
    };
    let progress = match told.progress {
        Progress::Done => None,
        Progress::Reconciling => Some(condition("Reconciling", "True")),
        Progress::Stalled => Some(condition("Stalled", "True")),
    };
    let others = existing.iter().filter(|old| !OURS.contains(&old.type_.as_str()));
    let overdue = (told.reason == Reason::RolloutOverdue).then(|| condition("RolloutOverdue", "True"));
    let ours = [Some(condition("Ready", told.ready.as_str())), progress, overdue];
    ours.into_iter().flatten().chain(others.cloned()).take(MAX_ITEMS).collect()
}

/// The condition Ready, where there is one.
#[must_use]
pub fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == OURS[0])
}

/// The status that the API server gives to an object that no operator has seen: without it, such an object would count as done.
pub(super) fn never_seen() -> Value {
    json!({"conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "Waiting for the operator to look at this object for the first time",
        "lastTransitionTime": Time(NEVER),
    }]})
}

/// The transition time in [`never_seen`]: a schema's default can't hold the time of creation.
const NEVER: Timestamp = Timestamp::UNIX_EPOCH;

/// A time as JSON carries it in Kubernetes, without a fraction, so that what is written equals what is read back.
pub(super) fn to_the_second(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::status::Truth;

    /// Conditions as text, a line for each: type, status, reason, generation, second of the transition.
    fn text(conditions: &[Condition]) -> String {
        let line = |c: &Condition| {
            let generation = c.observed_generation.unwrap_or(-1);
            let second = c.last_transition_time.0.as_second();
            format!("{} {} {} {generation} {second}", c.type_, c.status, c.reason)
        };
        conditions.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    /// The other way round.
    fn conditions(text: &str) -> Vec<Condition> {
        let condition = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            Condition {
                type_: words[0].into(),
                status: words[1].into(),
                reason: words[2].into(),
                message: "m".into(),
                observed_generation: words[3].parse().ok(),
                last_transition_time: Time(Timestamp::from_second(words[4].parse().unwrap()).unwrap()),
            }
        };
        text.split(", ").filter(|line| !line.is_empty()).map(condition).collect()
    }

    #[test]
    fn the_list_tells_the_verdict_and_keeps_the_time_of_what_stays() {
        use Progress::{Done, Reconciling, Stalled};
        use Truth::{False, True, Unknown};
        // What stands; what is found, at second 100; what then stands.
        let table = [
            (
                "the first visit",
                "",
                (Unknown, Reconciling, Reason::Progressing, 1),
                "Ready Unknown Progressing 1 100, Reconciling True Progressing 1 100",
            ),
            (
                "the schema's default has no time of its own",
                "Ready Unknown Pending 0 0",
                (Unknown, Reconciling, Reason::Progressing, 1),
                "Ready Unknown Progressing 1 100, Reconciling True Progressing 1 100",
            ),
            (
                "done: what was abnormal goes",
                "Ready Unknown Progressing 1 5, Reconciling True Progressing 1 5",
                (True, Done, Reason::Synced, 1),
                "Ready True Synced 1 100",
            ),
            ("nothing new", "Ready True Synced 1 5", (True, Done, Reason::Synced, 1), "Ready True Synced 1 5"),
            (
                "a new generation, the same status",
                "Ready True Synced 1 5",
                (True, Done, Reason::Synced, 2),
                "Ready True Synced 2 5",
            ),
            (
                "a new reason, the same status",
                "Ready False RateLimited 1 5, Reconciling True RateLimited 1 6",
                (False, Reconciling, Reason::RemoteUnavailable, 1),
                "Ready False RemoteUnavailable 1 5, Reconciling True RemoteUnavailable 1 6",
            ),
            (
                "Reconciling turns to Stalled",
                "Ready False RateLimited 1 5, Reconciling True RateLimited 1 6",
                (False, Stalled, Reason::QuotaExhausted, 1),
                "Ready False QuotaExhausted 1 5, Stalled True QuotaExhausted 1 100",
            ),
            (
                "Stalled turns to Reconciling",
                "Ready False QuotaExhausted 1 5, Stalled True QuotaExhausted 1 6",
                (False, Reconciling, Reason::RateLimited, 1),
                "Ready False RateLimited 1 5, Reconciling True RateLimited 1 100",
            ),
            (
                "a Reconciling that stands as False lends no time to one that is True",
                "Reconciling False RateLimited 1 5",
                (False, Reconciling, Reason::RateLimited, 1),
                "Ready False RateLimited 1 100, Reconciling True RateLimited 1 100",
            ),
            (
                "Ready comes first; others are kept and come last",
                "Audited False Never 1 7, Ready False InvalidRequest 1 5",
                (False, Stalled, Reason::InvalidRequest, 1),
                "Ready False InvalidRequest 1 5, Stalled True InvalidRequest 1 100, Audited False Never 1 7",
            ),
            (
                "both abnormal ones at once are put right",
                "Stalled True InvalidRequest 1 5, Reconciling True InvalidRequest 1 6",
                (True, Done, Reason::Synced, 1),
                "Ready True Synced 1 100",
            ),
        ];
        let now: Timestamp = "1970-01-01T00:01:40.75Z".parse().unwrap();
        for (case, existing, (ready, progress, reason, generation), expected) in table {
            let told = Conditions { ready, progress, reason, message: "m".into() };
            let result = update(&conditions(existing), &told, generation, now);
            assert_eq!(text(&result), expected, "{case}");
            let later = now + jiff::SignedDuration::from_secs(60);
            assert_eq!(
                update(&result, &told, generation, later),
                result,
                "{case}: the same verdict again is nothing to write"
            );
            let read_back: Vec<Condition> = serde_json::from_value(json!(result)).unwrap();
            assert_eq!(read_back, result, "{case}: what is read back is what was written");
        }
    }

    #[test]
    fn a_long_message_and_a_long_list_are_cut_to_what_the_schema_allows() {
        let others: Vec<_> = (0..20).map(|n| format!("Other{n} True A 1 5")).collect();
        let message = "ü".repeat(MESSAGE_MAX);
        let told = Conditions { ready: Truth::True, progress: Progress::Done, reason: Reason::Synced, message };
        let result = update(&conditions(&others.join(", ")), &told, 1, Timestamp::UNIX_EPOCH);
        assert_eq!(result.len(), MAX_ITEMS);
        assert_eq!(result[0].message, "ü".repeat(MESSAGE_MAX / 2));
    }
}
