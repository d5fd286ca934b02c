//! The chart's Grafana dashboard. There is no Grafana here: what can be known without one is checked.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::Value;

use crate::{DASHBOARD, exposition, query, read, tools::promtool};

/// How high a dashboard can be that one screen shows, in Grafana's rows.
const SCREEN: u64 = 25;
/// How wide a dashboard is, in Grafana's columns.
const WIDTH: u64 = 24;

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect(DASHBOARD)
}

fn panels() -> Vec<Value> {
    let panels = dashboard()["panels"].as_array().expect("panels").clone();
    assert!(!panels.is_empty(), "{DASHBOARD} has panels");
    panels
}

/// Every query of the dashboard with the title of its panel, as Prometheus gets it.
fn queries() -> Vec<(String, String)> {
    let mut queries = vec![];
    for panel in panels() {
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query").replace("$__rate_interval", "5m");
            queries.push((panel["title"].to_string(), query));
        }
    }
    queries
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for panel in panels() {
        let title = &panel["title"];
        for (path, fits) in [("/title", (3..40)), ("/description", (20..300)), ("/fieldConfig/defaults/unit", (1..20))]
        {
            let text = panel.pointer(path).and_then(Value::as_str).unwrap_or_default();
            assert!(fits.contains(&text.len()), "{title}: {path} is {text:?}");
        }
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title} asks for something");
        for place in [&panel].into_iter().chain(targets) {
            assert_eq!(place["datasource"]["uid"], "${datasource}", "{title}: the data source is the variable");
        }
        let refs: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str()).collect();
        assert_eq!(refs.len(), targets.len(), "{title}: each query has a name of its own");
    }
}

#[test]
fn the_variables_are_there() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(39), "as Grafana 11 writes it, or newer");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let defined: BTreeSet<_> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(variables[0]["type"], "datasource", "the others ask it");
    let used: BTreeSet<_> = queries()
        .iter()
        .flat_map(|(_, query)| {
            query.split('$').skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        })
        .chain(["datasource".to_owned()])
        .collect();
    assert_eq!(used, defined.into_iter().map(str::to_owned).collect(), "variables that are used, and that are defined");
}

#[test]
fn panels_fill_one_screen_and_cover_nothing() {
    let mut taken = BTreeSet::new();
    for panel in panels() {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
            assert!(cell.0 < WIDTH && cell.1 < SCREEN, "{} is not on the screen", panel["title"]);
            assert!(taken.insert(cell), "{} covers another panel", panel["title"]);
        }
    }
    assert_eq!(taken.len() as u64, WIDTH * SCREEN, "no holes");
}

#[tokio::test]
async fn panels_ask_for_what_the_operator_exports() {
    let known = exposition::metrics(&exposition::page().await);
    for (title, query) in queries() {
        // A variable can be anything.
        assert_eq!(query::faults(&query, &known), Vec::<String>::new(), "{title}: {query}");
    }
}

/// A dashboard that leaves a metric out leaves a question open.
#[tokio::test]
async fn every_metric_is_on_the_dashboard_or_in_an_alert() {
    let rules = crate::alerts::rules();
    let alerts = rules.iter().map(|rule| crate::alerts::text(rule, "/expr").to_owned());
    let asked: String = queries().into_iter().map(|(_, query)| query).chain(alerts).collect();
    for name in exposition::metrics(&exposition::page().await).keys() {
        assert!(asked.contains(name.as_str()), "nobody asks for {name}");
    }
}

#[tokio::test]
async fn promtool_takes_every_query() {
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, (_, query)) in queries().into_iter().enumerate() {
        writeln!(rules, "  - record: query:number_{number}\n    expr: {}", Value::from(query)).expect("to a String");
    }
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-queries.yaml");
    std::fs::write(&file, rules).expect("the target folder can be written");
    promtool(&["check", "rules", "--lint=none", file.to_str().expect("a path in UTF-8")]).await;
}
