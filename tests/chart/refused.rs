//! Bad values are refused before anything is changed, with words that name the value.

use std::fs;

use sarvam_testkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::{CHART, OLDEST, copy_chart, template};

/// Values, and words of the refusal. Of the schema's own words only the path is asked: they are Helm's.
fn cases() -> Vec<(Value, &'static [&'static str])> {
    vec![
        // The schema: an unknown key, at the top and below.
        (json!({"replica": 2}), &["additional properties 'replica' not allowed"]),
        (json!({"remote": {"URL": "https://example.com"}}), &["'/remote'", "'URL' not allowed"]),
        (json!({"protocol": {"lookWindow": "3s"}}), &["'/protocol'", "'lookWindow' not allowed"]),
        (json!({"rbac": {"secret": []}}), &["'/rbac'", "'secret' not allowed"]),
        (json!({"rbac": {"secrets": [{"namespace": "a", "names": []}]}}), &["'/rbac/secrets/0/names'"]),
        (json!({"imagePullSecrets": [{"secretName": "a"}]}), &["'/imagePullSecrets/0'", "'secretName' not allowed"]),
        // A wrong type.
        (json!({"replicas": "two"}), &["'/replicas': got string, want integer"]),
        (json!({"remote": {"useProxy": "yes"}}), &["'/remote/useProxy': got string, want boolean"]),
        (json!({"extraEnv": {"HTTPS_PROXY": "http://proxy:3128"}}), &["'/extraEnv': got object, want array"]),
        (json!({"commonLabels": {"costs": 7}}), &["'/commonLabels/costs': got number, want string"]),
        (json!({"image": "sarvam-operator:0.1.0"}), &["image"]),
        // A wrong shape, or nothing where there must be something.
        (json!({"replicas": -1}), &["'/replicas'"]),
        (json!({"protocol": {"doubtWindow": "30"}}), &["'/protocol/doubtWindow'", "'30'"]),
        (json!({"protocol": {"readLag": "1.5s"}}), &["'/protocol/readLag'", "'1.5s'"]),
        (json!({"protocol": {"callTimeout": 8}}), &["'/protocol/callTimeout': got number, want string"]),
        (json!({"protocol": {"callTimeout": null}}), &["'/protocol': missing property 'callTimeout'"]),
        (json!({"image": {"digest": "sha256:abc"}}), &["'/image/digest'"]),
        (json!({"image": {"pullPolicy": "Sometimes"}}), &["'/image/pullPolicy'", "'IfNotPresent'"]),
        (json!({"log": {"format": "xml"}}), &["'/log/format'", "'json'"]),
        (json!({"remote": {"lists": "append"}}), &["'/remote/lists'", "'merge'"]),
        (json!({"traces": {"endpoint": "otel-collector:4318"}}), &["'/traces/endpoint'"]),
        (
            json!({"traces": {"endpoint": "http://user:hunter2@example.com"}}),
            &["traces.endpoint must not have a user or a password"],
        ),
        (json!({"http": {"port": 80}}), &["'/http/port'"]),
        (json!({"http": {"address": "localhost"}}), &["'/http/address'"]),
        (json!({"remote": {"url": "example.com"}}), &["'/remote/url'", "https"]),
        (json!({"watchNamespace": "Team A"}), &["'/watchNamespace'"]),
        (json!({"podDisruptionBudget": {"maxUnavailable": 0}}), &["'/podDisruptionBudget/maxUnavailable'"]),
        (json!({"networkPolicy": {"remote": {"cidrs": ["example.com"]}}}), &["'/networkPolicy/remote/cidrs/0'"]),
        (json!({"resources": {"limits": {"memory": "lots"}}}), &["'/resources/limits/memory'"]),
        (json!({"runAsUser": 0}), &["'/runAsUser'"]),
        (json!({"replicas": 10}), &["'/replicas'"]),
        (json!({"fullnameOverride": "Sarvam"}), &["'/fullnameOverride'"]),
        (json!({"podDisruptionBudget": {"maxUnavailable": "0%"}}), &["'/podDisruptionBudget/maxUnavailable'"]),
        (json!({"tolerations": [{"key": "calls", "operator": "In"}]}), &["'/tolerations/0/operator'"]),
        (json!({"topologySpreadConstraints": [{"topologyKey": "rack"}]}), &["'/topologySpreadConstraints/0'"]),
        (json!({"metrics": {"prometheusRule": {"selector": "sarvam"}}}), &["'/metrics/prometheusRule/selector'"]),
        // The templates: what values say about each other, and what needs a sentence.
        (json!({"remote": {"url": "http://example.com"}}), &["remote.url must begin with https://"]),
        (json!({"remote": {"url": "https://example.com?a=b"}}), &["remote.url must end with its path"]),
        (json!({"protocol": {"doubtWindow": "5s"}}), &["protocol.doubtWindow (5s)", "protocol.callTimeout (8s)"]),
        (json!({"protocol": {"settleWindow": "31s"}}), &["protocol.settleWindow (31s)", "protocol.doubtWindow (30s)"]),
        (json!({"protocol": {"callTimeout": "14250ms"}}), &["protocol.callTimeout (14250ms)", "lease.duration (15s)"]),
        (json!({"protocol": {"callTimeout": "99ms"}}), &["protocol.callTimeout (99ms) must be from 100ms to 60s"]),
        (json!({"protocol": {"missingGrace": "25h"}}), &["protocol.missingGrace (25h)", "24h at most"]),
        (json!({"lease": {"duration": "61m"}}), &["lease.duration (61m) must be from 1s to 1h"]),
        (
            json!({"remote": {"caBundle": {"configMap": {"name": "a"}, "secret": {"name": "b"}}}}),
            &["remote.caBundle.configMap.name", "remote.caBundle.secret.name", "one of them"],
        ),
        (json!({"remote": {"useProxy": true}}), &["remote.useProxy", "extraEnv", "HTTPS_PROXY"]),
        (json!({"extraEnv": [{"name": "SARVAM_DOUBT_WINDOW", "value": "1s"}]}), &["extraEnv sets SARVAM_DOUBT_WINDOW"]),
        (json!({"extraEnv": [{"name": "RUST_LOG", "value": "debug"}]}), &["extraEnv sets RUST_LOG"]),
        (
            json!({"extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://a:4318"}]}),
            &["extraEnv sets OTEL_EXPORTER_OTLP_ENDPOINT"],
        ),
        (json!({"podLabels": {"app.kubernetes.io/name": "a"}}), &["podLabels sets app.kubernetes.io/name"]),
        (json!({"commonLabels": {"helm.sh/chart": "a"}}), &["commonLabels sets helm.sh/chart"]),
        (
            json!({"metrics": {"serviceMonitor": {"interval": "5s"}}}),
            &["metrics.serviceMonitor.scrapeTimeout (10s)", "metrics.serviceMonitor.interval (5s)"],
        ),
        (
            json!({"remote": {"url": "https://user:hunter2@example.com"}}),
            &["remote.url must not have a user or a password"],
        ),
        (
            json!({"watchNamespace": "a", "rbac": {"secrets": [{"namespace": "b", "names": ["sarvam"]}]}}),
            &["rbac.secrets names namespace b", "watchNamespace is a"],
        ),
        (
            json!({"rbac": {"secrets": [{"namespace": "a", "names": ["b"]}, {"namespace": "a", "names": ["c"]}]}}),
            &["rbac.secrets has namespace a twice"],
        ),
    ]
}

/// The sentences of `_validate.tpl`, each by its longest part without a value.
fn sentences() -> Vec<String> {
    let template = fs::read_to_string(format!("{CHART}/templates/_validate.tpl")).unwrap();
    let of_line = |line: &str| {
        let (_, sentence) = line.split_once("append $wrong ")?.1.split_once('"')?;
        let longest = sentence.rsplit_once('"')?.0.split("%s").max_by_key(|part| part.len())?;
        Some(longest.to_owned())
    };
    template.lines().filter_map(of_line).collect()
}

#[tokio::test]
async fn bad_values_are_refused_with_words_that_name_them() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let mut unheard = sentences();
    assert!(unheard.len() > 10, "the sentences were found: {unheard:?}");
    for (values, words) in cases() {
        let answer = template(&helm, "default", &values).await;
        assert!(!answer.status.success(), "{values} was taken");
        for word in words {
            assert!(answer.stderr.contains(word), "{values}: not {word:?} but {}", answer.stderr);
        }
        assert!(!answer.stderr.contains("hunter2"), "a password is repeated: {}", answer.stderr);
        unheard.retain(|sentence| !answer.stderr.contains(sentence));
    }
    assert!(unheard.is_empty(), "no case above is refused for these: {unheard:#?}");
}

/// All that is wrong is told at once.
#[tokio::test]
async fn every_contradiction_is_told_at_once() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let values = json!({"remote": {"url": "http://example.com", "useProxy": true}, "lease": {"duration": "8s"}});
    let answer = template(&helm, "default", &values).await;
    for word in ["remote.url", "remote.useProxy", "lease.duration"] {
        assert!(answer.stderr.contains(word), "{word}: {}", answer.stderr);
    }
}

#[tokio::test]
async fn a_kubernetes_that_is_too_old_is_refused() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    for (version, taken) in [("1.32.9", false), ("1.33.0", true), ("1.33.1-gke.1", true), ("1.36.0", true)] {
        let answer = helm.run(&["template", CHART, "--kube-version", version]).await.unwrap();
        assert_eq!(answer.status.success(), taken, "{version}: {}", answer.stderr);
        assert!(taken || answer.stderr.contains(">=1.33"), "{version}: {}", answer.stderr);
    }
}

/// Flux archives a repository without its links: half a chart is refused, not installed.
#[tokio::test]
async fn a_copy_without_the_definitions_is_refused() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let chart = copy_chart(folder.path());
    fs::remove_file(chart.join("files/crds.yaml")).unwrap();
    let template = ["template", chart.to_str().unwrap(), "--kube-version", OLDEST];
    let answer = helm.run(&template).await.unwrap();
    assert!(answer.stderr.contains("files/crds.yaml is missing"), "{}", answer.stderr);
    let answer = helm.run(&[&template[..], &["--set", "crds.install=false"]].concat()).await.unwrap();
    assert!(answer.status.success(), "{}", answer.stderr);
}
