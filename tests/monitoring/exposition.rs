//! What `/metrics` says, and what must hold of its values.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use sarvam_operator::{
    core::{
        classify::{Call, Fault, Landed},
        line::{Action, State, Trouble},
        status::{Reason, Truth},
        step::Uid,
    },
    metrics::{ApiRequest, Metrics, Told, Walked},
    sarvam::{Budget, Lane},
};

/// A metric as Prometheus stores it.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// `gauge`, `counter` or `histogram`.
    pub kind: String,
    /// The names of its labels; `le` goes without saying.
    pub labels: BTreeSet<String>,
}

/// The page of a process that leads and has seen everything that is measured.
pub async fn page() -> String {
    let metrics = Metrics::default();
    metrics.lead(true);
    metrics.workspace("telephony/production", Truth::True, Reason::KeyAccepted, Duration::from_mins(1));
    metrics.line(Uid(1), told(Truth::False, Reason::RemoteNotFound, Timestamp::now()));
    metrics.call(Call::Get, "telephony/production", async { Ok(()) }).await.expect("it says Ok");
    let walked = Walked { took: Some(Duration::ZERO), unmanaged: Some(0), oldest_look: Some(Timestamp::now()) };
    metrics.walked("telephony/production", walked);
    let budget = Budget::new(10);
    metrics.budget("telephony/production", Some(budget.meter()));
    metrics.text()
}

/// What was told of a line that is to be paused, and whose state nobody knows.
fn told(ready: Truth, reason: Reason, since: Timestamp) -> Told {
    Told { ready, reason, since, wanted: State::Paused, state: State::Unknown, doubt_until: Timestamp::UNIX_EPOCH }
}

/// Every metric of a page by its name in queries; a histogram's without `_bucket`, `_sum` and `_count`.
pub fn metrics(page: &str) -> BTreeMap<String, Metric> {
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let metric = |(family, kind): (&str, &str)| {
        let (name, kind) = match kind {
            "counter" => (format!("{family}_total"), kind),
            "info" => (format!("{family}_info"), "gauge"),
            _ => (family.to_owned(), kind),
        };
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        let names: Vec<_> = suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect();
        let labels = samples(page).filter(|sample| names.iter().any(|name| name == sample.name));
        let labels = labels.flat_map(|sample| sample.labels.into_keys()).filter(|label| label != "le").collect();
        (name, Metric { kind: kind.to_owned(), labels })
    };
    families.map(metric).collect()
}

/// One line of a page.
pub struct Sample<'a> {
    pub name: &'a str,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// The lines of a page that carry a value.
pub fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a series and its value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
        Sample { name, labels, value: value.parse().expect("a number") }
    })
}

/// The values of a metric, each behind the values of its labels.
fn values(page: &str, name: &str) -> BTreeMap<String, f64> {
    let of_it = samples(page).filter(|sample| sample.name == name);
    of_it.map(|sample| (sample.labels.into_values().collect::<Vec<_>>().join(" "), sample.value)).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a small number")
}

const SINCE: &str = "sarvam_lines_not_ready_since_timestamp_seconds";

#[test]
fn lines_count_under_what_was_last_said_of_them() {
    let metrics = Metrics::default();
    let lines = || values(&metrics.text(), "sarvam_lines");
    // Never nothing: a sum over no lines is 0.
    assert_eq!(lines(), [("True Synced".to_owned(), 0.0)].into());
    metrics.line(Uid(1), told(Truth::Unknown, Reason::Progressing, at(10)));
    metrics.line(Uid(2), told(Truth::Unknown, Reason::Progressing, at(10)));
    metrics.line(Uid(1), told(Truth::True, Reason::Synced, at(12)));
    let expected = [("True Synced".to_owned(), 1.0), ("Unknown Progressing".to_owned(), 1.0)];
    assert_eq!(lines(), expected.into());
    metrics.forget_line(Uid(1));
    metrics.forget_line(Uid(2));
    assert_eq!(lines(), [("True Synced".to_owned(), 0.0)].into());
}

#[test]
fn a_line_is_not_ready_since_it_last_was_whatever_the_reason() {
    let metrics = Metrics::default();
    let since = || values(&metrics.text(), SINCE);
    metrics.line(Uid(1), told(Truth::Unknown, Reason::Progressing, at(10)));
    metrics.line(Uid(1), told(Truth::False, Reason::RemoteNotFound, at(20)));
    assert_eq!(since(), [("RemoteNotFound".to_owned(), 10.0)].into());
    metrics.line(Uid(2), told(Truth::False, Reason::RemoteNotFound, at(5)));
    metrics.line(Uid(3), told(Truth::False, Reason::RateLimited, at(30)));
    assert_eq!(since(), [("RateLimited".to_owned(), 30.0), ("RemoteNotFound".to_owned(), 5.0)].into());
    metrics.line(Uid(1), told(Truth::True, Reason::Synced, at(40)));
    metrics.line(Uid(1), told(Truth::False, Reason::DriftDetected, at(50)));
    metrics.forget_line(Uid(2));
    metrics.line(Uid(3), told(Truth::True, Reason::Synced, at(60)));
    assert_eq!(since(), [("DriftDetected".to_owned(), 50.0)].into());
}

#[tokio::test]
async fn only_a_look_that_was_answered_well_counts_as_one() {
    let metrics = Metrics::default();
    let looked =
        || values(&metrics.text(), "sarvam_workspace_last_look_timestamp_seconds").into_keys().collect::<Vec<_>>();
    let fault = || Err::<(), _>(Fault::new(Trouble::Unavailable, Landed::No, "the remote failed"));
    metrics.workspace("a/w", Truth::Unknown, Reason::Pending, Duration::from_mins(1));
    metrics.call(Call::Get, "a/w", async { fault() }).await.expect_err("it is a fault");
    metrics.call(Call::SetStatus, "a/w", async { Ok(()) }).await.expect("it is none");
    metrics.call(Call::Get, "a/gone", async { Ok(()) }).await.expect("it is none");
    assert!(looked().is_empty(), "{:?}", looked());
    metrics.call(Call::List, "a/w", async { Ok(()) }).await.expect("it is none");
    assert_eq!(looked(), ["a/w"]);
    let calls = values(&metrics.text(), "sarvam_remote_calls_total");
    let counted: Vec<_> = calls.iter().filter(|(_, count)| **count > 0.0).map(|(labels, _)| labels.as_str()).collect();
    assert_eq!(counted, ["Ok get", "Ok list", "Ok status", "Unavailable get"]);
}

#[test]
fn a_workspace_has_one_series_the_one_of_its_reason() {
    let metrics = Metrics::default();
    let ready = || values(&metrics.text(), "sarvam_workspace_ready");
    metrics.workspace("a/w", Truth::True, Reason::KeyAccepted, Duration::from_mins(1));
    metrics.workspace("a/w", Truth::False, Reason::CredentialsRejected, Duration::from_mins(1));
    assert_eq!(ready(), [("CredentialsRejected a/w".to_owned(), 0.0)].into());
    metrics.forget_workspace("a/w");
    assert_eq!(ready(), BTreeMap::new());
}

/// Two replicas must not both tell of the same lines.
#[tokio::test]
async fn who_leads_no_more_tells_of_no_object() {
    let metrics = Metrics::default();
    metrics.lead(true);
    metrics.line(Uid(1), told(Truth::False, Reason::RemoteNotFound, at(10)));
    metrics.workspace("a/w", Truth::True, Reason::KeyAccepted, Duration::from_mins(1));
    metrics.lead(false);
    assert_eq!(values(&metrics.text(), "sarvam_leader"), [(String::new(), 0.0)].into());
    assert_eq!(values(&metrics.text(), "sarvam_lines"), [("True Synced".to_owned(), 0.0)].into());
    for name in [SINCE, "sarvam_workspace_ready", "sarvam_workspace_sync_interval_seconds"] {
        assert_eq!(values(&metrics.text(), name), BTreeMap::new(), "{name}");
    }
}

/// A counter that appears with its first event has no increase for it, and its alert would miss that.
#[test]
fn counters_are_there_before_their_first_event() {
    let metrics = Metrics::default();
    let page = metrics.text();
    let calls = values(&page, "sarvam_remote_calls_total");
    for outcome in [None].into_iter().chain(Trouble::ALL.map(Some)) {
        let outcome = outcome.map_or("Ok".to_owned(), |trouble| format!("{trouble:?}"));
        for route in ["get", "list", "status"] {
            assert_eq!(calls.get(&format!("{outcome} {route}")), Some(&0.0));
        }
    }
    assert_eq!(values(&page, "sarvam_reconcile_panics_total"), [(String::new(), 0.0)].into());
    assert!(values(&page, "sarvam_api_failures_total").values().all(|count| *count == 0.0));
    metrics.api_failed(ApiRequest::Secret);
    let failures = values(&metrics.text(), "sarvam_api_failures_total");
    assert_eq!(
        failures,
        [("Read", 0.0), ("Secret", 1.0), ("Status", 0.0), ("Watch", 0.0)].map(|(it, n)| (it.to_owned(), n)).into()
    );
}

#[test]
fn lines_count_by_what_is_asked_and_what_is_so_and_by_doubt() {
    let metrics = Metrics::default();
    let now = Timestamp::now();
    let (past, future) = (now - Duration::from_mins(1), now + Duration::from_hours(1));
    for (object, wanted, state, doubt_until) in [
        (1, State::Paused, State::Paused, past),
        (2, State::Paused, State::Active, future),
        (3, State::Paused, State::Active, past),
        (4, State::Active, State::Unknown, future),
    ] {
        metrics.line(Uid(object), Told { wanted, state, doubt_until, ..told(Truth::True, Reason::Synced, now) });
    }
    // The labels in the order of their names: state, wanted.
    let expected = [("Active Paused", 2.0), ("Paused Paused", 1.0), ("Unknown Active", 1.0)];
    let expected = expected.map(|(labels, count)| (labels.to_owned(), count));
    assert_eq!(values(&metrics.text(), "sarvam_lines_by_state"), expected.into());
    assert_eq!(values(&metrics.text(), "sarvam_lines_in_doubt"), [(String::new(), 2.0)].into());
}

#[test]
fn a_walk_without_an_end_leaves_what_the_last_one_found() {
    let metrics = Metrics::default();
    let walked = |took, unmanaged, oldest| {
        metrics.walked("a/w", Walked { took, unmanaged, oldest_look: Some(at(oldest)) });
        let of = |name: &str| values(&metrics.text(), name).get("a/w").copied();
        (
            of("sarvam_workspace_walk_duration_seconds"),
            of("sarvam_workspace_unmanaged_lines"),
            of("sarvam_workspace_oldest_look_timestamp_seconds"),
        )
    };
    assert_eq!(walked(None, None, 1), (None, None, None), "a Workspace that nobody knows");
    metrics.workspace("a/w", Truth::True, Reason::KeyAccepted, Duration::from_mins(1));
    assert_eq!(walked(Some(Duration::from_secs(3)), Some(2), 10), (Some(3.0), Some(2.0), Some(10.0)));
    metrics.workspace("a/w", Truth::False, Reason::RemoteUnavailable, Duration::from_mins(1));
    assert_eq!(walked(None, None, 11), (Some(3.0), Some(2.0), Some(11.0)));
}

/// How many observations fell under each bound of a histogram, with the labels' values before it.
fn buckets(page: &str, name: &str) -> BTreeMap<String, f64> {
    let bucket = format!("{name}_bucket");
    let of_it = samples(page).filter(|sample| sample.name == bucket);
    of_it.map(|sample| (sample.labels.into_values().collect::<Vec<_>>().join(" "), sample.value)).collect()
}

#[test]
fn waits_are_told_from_half_a_millisecond_to_a_minute() {
    let metrics = Metrics::default();
    metrics.waited(Lane::Pause, Duration::from_micros(400));
    metrics.waited(Lane::Pause, Duration::from_secs(50));
    metrics.carried_out(Action::Resume, Duration::from_millis(7));
    let page = metrics.text();
    let waits = buckets(&page, "sarvam_remote_call_wait_seconds");
    let edits = buckets(&page, "sarvam_edit_to_remote_seconds");
    // The values of the labels in the order of their names: lane or action, le.
    let table = [
        (&waits, "pause 0.0005", 1.0),
        (&waits, "pause 30.0", 1.0),
        (&waits, "pause 60.0", 2.0),
        (&waits, "walk +Inf", 0.0),
        (&edits, "resume 0.005", 0.0),
        (&edits, "resume 0.01", 1.0),
        (&edits, "pause +Inf", 0.0),
    ];
    for (found, bucket, count) in table {
        assert_eq!(found.get(bucket), Some(&count), "{bucket} of {found:#?}");
    }
}

#[tokio::test]
async fn a_budget_is_read_when_the_page_is_and_for_as_long_as_somebody_uses_it() {
    let metrics = Metrics::default();
    let of = |name: &str| values(&metrics.text(), name);
    let one = |value: f64| BTreeMap::from([("a/w".to_owned(), value)]);
    let budget = Budget::new(10);
    metrics.budget("a/w", Some(budget.meter()));
    assert_eq!(of("sarvam_workspace_budget_rate"), BTreeMap::new(), "a Workspace that nobody knows");
    metrics.workspace("a/w", Truth::True, Reason::KeyAccepted, Duration::from_mins(1));
    metrics.budget("a/w", Some(budget.meter()));
    assert_eq!(of("sarvam_workspace_budget_asked_rate"), one(10.0));
    budget.set_rate(4);
    assert_eq!(of("sarvam_workspace_budget_asked_rate"), one(4.0));
    assert_eq!(of("sarvam_workspace_calls_in_flight"), one(0.0));
    let permit = budget.enter(Lane::Look).await;
    assert!(permit.is_ok(), "the bucket is full");
    assert_eq!(of("sarvam_workspace_calls_in_flight"), one(1.0));
    assert_eq!(of("sarvam_workspace_calls_waiting").len(), Lane::COUNT);
    assert_eq!(of("sarvam_workspace_circuit_open"), one(0.0));
    drop((permit, budget));
    for name in
        ["budget_tokens", "budget_rate", "budget_asked_rate", "calls_in_flight", "calls_waiting", "circuit_open"]
    {
        assert_eq!(of(&format!("sarvam_workspace_{name}")), BTreeMap::new(), "{name} of a budget that is gone");
    }
}
