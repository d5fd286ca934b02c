//! What a query asks for, and whether the operator has it.

use std::collections::{BTreeMap, BTreeSet};

use sarvam_operator::core::{
    line::Trouble,
    status::{Reason, Truth},
};

use crate::exposition::Metric;

/// Labels that Prometheus gives to each series of a pod.
const OF_TARGETS: [&str; 3] = ["job", "namespace", "pod"];

/// What is wrong with a query, a sentence each: a metric, a label or a label's value that the operator doesn't export.
pub fn faults(query: &str, known: &BTreeMap<String, Metric>) -> Vec<String> {
    let selectors = selectors(query);
    assert!(!selectors.is_empty(), "{query} asks for no metric of the operator");
    let mut faults = vec![];
    for (name, matchers) in selectors {
        let metric = known.get(name).filter(|metric| metric.kind != "histogram").or_else(|| {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            known.get(of_histogram?).filter(|metric| metric.kind == "histogram")
        });
        let Some(metric) = metric else {
            faults.push(format!("there is no metric {name}"));
            continue;
        };
        for (label, values) in matchers {
            if !metric.labels.contains(label) && !OF_TARGETS.contains(&label) {
                faults.push(format!("{name} has no label {label}"));
            }
            let allowed = vocabulary(label);
            let foreign = values.split('|').filter(|value| !allowed.is_empty() && !allowed.contains(*value));
            faults.extend(foreign.map(|value| format!("{label} is never {value}")));
        }
    }
    faults
}

/// The values that a label can have; empty where they are open.
fn vocabulary(label: &str) -> BTreeSet<String> {
    match label {
        "ready" => [Truth::True, Truth::False, Truth::Unknown].map(|truth| truth.as_str().to_owned()).into(),
        "reason" => Reason::ALL.map(|reason| reason.to_string()).into(),
        "outcome" => ["Ok".to_owned()].into_iter().chain(Trouble::ALL.map(|it| format!("{it:?}"))).collect(),
        _ => BTreeSet::new(),
    }
}

/// The metrics of the operator in a query, each with its matchers: a label, and the text it is compared with.
fn selectors(query: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let starts = query.match_indices("sarvam_").map(|(start, _)| &query[start..]);
    let selector = |text: &'_ str| -> (usize, usize) {
        let name = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let end = if text[name..].starts_with('{') { text.find('}').unwrap_or(text.len()) } else { name };
        (name, end)
    };
    starts
        .map(|text| {
            let (name, end) = selector(text);
            let matchers = text[name..end].trim_start_matches('{').split(',').filter_map(|matcher| {
                let (label, value) = matcher.split_once(['=', '!'])?;
                Some((label.trim(), value.trim_start_matches(['=', '~']).trim().trim_matches('"')))
            });
            (&text[..name], matchers.collect())
        })
        .collect()
}

#[tokio::test]
async fn what_the_operator_lacks_is_found() {
    let known = crate::exposition::metrics(&crate::exposition::page().await);
    let table: [(&str, &[&str]); 6] = [
        ("sum(sarvam_lines{job=\"x\", ready!=\"True\"}) or vector(0)", &[]),
        ("rate(sarvam_remote_call_duration_seconds_bucket{route=\"get\"}[5m])", &[]),
        ("sarvam_line > 0", &["there is no metric sarvam_line"]),
        ("sarvam_remote_call_duration_seconds", &["there is no metric sarvam_remote_call_duration_seconds"]),
        ("sarvam_leader + sarvam_lines{why=\"x\"}", &["sarvam_lines has no label why"]),
        ("sarvam_lines{reason=~\"Synced|Sunk\"}", &["reason is never Sunk"]),
    ];
    for (query, expected) in table {
        assert_eq!(faults(query, &known), expected, "{query}");
    }
}
