//! docs/metrics.md against what it is about.

use std::collections::{BTreeMap, BTreeSet};

use sarvam_operator::core::line::Trouble;

use crate::{
    DOCS,
    alerts::{rules, text},
    exposition::{self, Metric},
    read,
};

/// The cells of each table row whose first cell is a word set as code.
fn rows(docs: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = docs.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

/// The words of a text that are set as code.
fn code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_has_a_row_and_every_row_a_metric() {
    let docs = read(DOCS);
    let told: BTreeMap<_, _> = rows(&docs)
        .filter(|cells| cells[0].starts_with("`sarvam_"))
        .map(|cells| {
            (cells[0].trim_matches('`').to_owned(), Metric { kind: cells[1].to_owned(), labels: code(cells[2]) })
        })
        .collect();
    assert_eq!(told, exposition::metrics(&exposition::page().await), "{DOCS}, and /metrics");
}

#[test]
fn every_outcome_has_a_row() {
    let docs = read(DOCS);
    let (_, section) = docs.split_once("### Outcomes of calls").expect("the section");
    let told: Vec<_> = rows(section).map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    let outcomes: Vec<_> = ["Ok".to_owned()].into_iter().chain(Trouble::ALL.map(|it| format!("{it:?}"))).collect();
    assert_eq!(told, outcomes);
}

#[test]
fn every_alert_has_a_section_with_its_cause_and_the_way_out() {
    let docs = read(DOCS);
    let (_, alerts) = docs.split_once("\n## Alerts\n").expect("the chapter");
    let sections: Vec<_> = alerts.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let rules = rules();
    let expected: Vec<_> = rules.iter().map(|rule| text(rule, "/alert")).collect();
    assert_eq!(sections.iter().map(|(title, _)| *title).collect::<Vec<_>>(), expected, "{DOCS}, and the rules");
    for (rule, (title, section)) in rules.iter().zip(sections) {
        let parts: Vec<_> = ["**What.** ", "**Cause.** ", "**Way out.**"].map(|part| section.find(part)).into();
        assert!(parts.iter().all(Option::is_some) && parts.is_sorted(), "{title} has what, cause and way out");
        let severity = text(rule, "/labels/severity");
        let what = section.lines().find(|line| line.starts_with("**What.**")).unwrap_or_default();
        assert!(what.ends_with(&format!("`{severity}`")), "{title} is {severity}");
    }
}
