//! The chart's alerts: the real promtool checks and plays them.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::Value;

use crate::{ALERTS, exposition, query, read, tools::promtool};

/// Every alert rule of the file.
pub fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read(ALERTS)).expect(ALERTS);
    let groups = file["groups"].as_array().expect("groups");
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect();
    assert!(!rules.is_empty(), "{ALERTS} has rules");
    rules
}

/// The text at a path of an alert.
pub fn text<'a>(rule: &'a Value, path: &str) -> &'a str {
    let text = rule.pointer(path).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("{} has no {path}", rule["alert"]))
}

/// The files that promtool plays.
fn plays() -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir("tests/monitoring").expect("this folder").map(|entry| entry.expect("a file").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

#[tokio::test]
async fn promtool_takes_the_rules() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", ALERTS]).await;
}

#[tokio::test]
async fn alerts_fire_when_they_must_and_only_then() {
    for play in plays() {
        promtool(&["test", "rules", play.to_str().expect("a path in ASCII")]).await;
    }
}

/// What promtool plays is worth something only if it plays every alert, both ways.
#[test]
fn every_alert_is_seen_to_fire_and_to_keep_silent() {
    let mut seen: BTreeSet<(String, bool)> = BTreeSet::new();
    for play in plays() {
        let file: Value = serde_saphyr::from_str(&read(&play)).expect("YAML");
        for test in file["tests"].as_array().expect("tests") {
            for case in test["promql_expr_test"].as_array().expect("cases") {
                let asked = case["expr"].as_str().expect("an expression");
                let firing = asked.contains("alertstate=\"firing\"");
                let names = asked
                    .split_once("alertname=")
                    .map(|(_, rest)| rest.trim_start_matches('~').trim_start_matches('"'));
                let names = names.and_then(|rest| rest.split_once('"')).expect("an alertname").0;
                let fires = case["exp_samples"].as_array().is_some_and(|samples| !samples.is_empty());
                seen.extend(names.split('|').filter(|_| firing).map(|name| (name.to_owned(), fires)));
            }
        }
    }
    let alerts = rules().into_iter().map(|rule| text(&rule, "/alert").to_owned());
    let expected: BTreeSet<_> = alerts.flat_map(|alert| [(alert.clone(), true), (alert, false)]).collect();
    assert_eq!(seen, expected, "alerts in tests/monitoring/*.yaml, true: fires, false: keeps silent");
}

#[tokio::test]
async fn alerts_ask_for_what_the_operator_exports() {
    let known = exposition::metrics(&exposition::page().await);
    for rule in rules() {
        let query = text(&rule, "/expr");
        assert_eq!(query::faults(query, &known), Vec::<String>::new(), "{}: {query}", rule["alert"]);
        // What the chart puts the install's own labels in the place of.
        let selectors = query.matches("sarvam_").count();
        assert_eq!(query.matches("job=\"sarvam-operator\"").count(), selectors, "{}: {query}", rule["alert"]);
    }
}

#[test]
fn every_alert_says_what_is_so_and_where_to_read_on() {
    for rule in rules() {
        let name = text(&rule, "/alert");
        assert!(["critical", "warning", "info"].contains(&text(&rule, "/labels/severity")), "{name}: severity");
        let anchor = format!(
            "https://github.com/sarvam-operator/sarvam-operator/blob/main/docs/metrics.md#{}",
            name.to_lowercase()
        );
        assert_eq!(text(&rule, "/annotations/runbook_url"), anchor);
        for annotation in ["summary", "description"] {
            let words = text(&rule, &format!("/annotations/{annotation}"));
            assert!(words.ends_with('.'), "{name}: the {annotation} is no sentence: {words}");
            for rest in words.split("$labels.").skip(1) {
                let label: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let kept = text(&rule, "/expr").split(" by (").skip(1).filter_map(|rest| rest.split_once(')'));
                let mut kept = kept.flat_map(|(labels, _)| labels.split(", "));
                assert!(
                    kept.any(|it| it == label),
                    "{name}: the {annotation} names {label}, which its expression drops"
                );
            }
        }
    }
}
