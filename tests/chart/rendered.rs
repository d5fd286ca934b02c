//! What the chart renders from many values: a real API server takes it in a namespace that enforces the restricted Pod Security profile, and
//! the operator takes its flags.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};
use sarvam_operator::config::{Cli, Command, Run};
use sarvam_testkit::control_plane::ControlPlane;
use sarvam_testkit::helm::Helm;
use sarvam_testkit::kubectl::{Answer, Kubectl};
use serde_json::{Value, json};

use crate::{CHART, OLDEST, template};

/// Groups whose kinds this API server does not serve: their objects are rendered and not sent. The tests in `monitoring` try them.
const NOT_SERVED: [&str; 1] = ["monitoring.coreos.com/"];

/// Values, and what comes of them: where (a kind, or what [`part`] knows), a JSON pointer into it, and what is there; null for nothing.
type Case = (Value, Vec<(&'static str, &'static str, Value)>);

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}]}]}}});
    let toleration = json!({"key": "calls", "operator": "Exists", "effect": "NoSchedule"});
    let proxy = json!({"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}});
    let monitoring = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}});
    vec![
        (
            json!({}),
            vec![
                ("Deployment", "/spec/replicas", json!(1)),
                ("Deployment", "/spec/strategy/rollingUpdate/maxUnavailable", json!(0)),
                (
                    "container",
                    "/image",
                    json!(concat!("ghcr.io/sarvam-operator/sarvam-operator:", env!("CARGO_PKG_VERSION"))),
                ),
                ("container", "/resources/limits", json!({"memory": "128Mi"})),
                ("pod", "/topologySpreadConstraints", Value::Null),
                ("pod", "/volumes", Value::Null),
                ("pod", "/enableServiceLinks", json!(false)),
                ("flags", "/--namespace", Value::Null),
                ("flags", "/--use-proxy", Value::Null),
                ("flags", "/--lists", json!("replace")),
                ("flags", "/--lease-name", json!("sarvam-operator")),
                ("Service", "/spec/ports/0/name", json!("metrics")),
                ("ServiceAccount", "/automountServiceAccountToken", json!(false)),
                ("CustomResourceDefinition", "/metadata/annotations/helm.sh~1resource-policy", json!("keep")),
                ("PodDisruptionBudget", "", Value::Null),
                ("NetworkPolicy", "", Value::Null),
            ],
        ),
        (
            json!({"replicas": 2}),
            vec![
                ("pod", "/topologySpreadConstraints/0/topologyKey", json!("kubernetes.io/hostname")),
                ("pod", "/topologySpreadConstraints/1/whenUnsatisfiable", json!("ScheduleAnyway")),
                ("PodDisruptionBudget", "/spec/maxUnavailable", json!(1)),
            ],
        ),
        (
            json!({"replicas": 3, "podDisruptionBudget": {"maxUnavailable": "50%"}, "topologySpreadConstraints": [
                {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]}),
            vec![
                ("PodDisruptionBudget", "/spec/maxUnavailable", json!("50%")),
                ("pod", "/topologySpreadConstraints/0/topologyKey", json!("rack")),
                (
                    "pod",
                    "/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~1instance",
                    json!("sarvam-operator"),
                ),
                ("pod", "/topologySpreadConstraints/1", Value::Null),
            ],
        ),
        (
            json!({"replicas": 2, "podDisruptionBudget": {"enabled": false}}),
            vec![("PodDisruptionBudget", "", Value::Null)],
        ),
        (
            json!({"image": {"repository": "registry.example.com:5000/a/b", "digest": digest, "pullPolicy": "Always"},
                "imagePullSecrets": [{"name": "registry"}]}),
            vec![
                ("container", "/image", json!(format!("registry.example.com:5000/a/b@{digest}"))),
                ("container", "/imagePullPolicy", json!("Always")),
                ("pod", "/imagePullSecrets/0/name", json!("registry")),
            ],
        ),
        (
            json!({"image": {"tag": "0.1.1", "digest": digest}}),
            vec![("container", "/image", json!(format!("ghcr.io/sarvam-operator/sarvam-operator:0.1.1@{digest}")))],
        ),
        (
            json!({"nameOverride": "lines", "commonLabels": {"team": "voice", "tier": "a"},
                "podLabels": {"tier": "b"}, "podAnnotations": {"note": "true"}}),
            vec![
                ("Deployment", "/metadata/name", json!("sarvam-operator-lines")),
                ("Deployment", "/metadata/labels/team", json!("voice")),
                ("Deployment", "/spec/template/metadata/labels/team", json!("voice")),
                ("Deployment", "/spec/template/metadata/labels/tier", json!("b")),
                ("Deployment", "/spec/template/metadata/annotations/note", json!("true")),
                ("Deployment", "/spec/selector/matchLabels/team", Value::Null),
                ("CustomResourceDefinition", "/metadata/labels/team", json!("voice")),
            ],
        ),
        (
            json!({"fullnameOverride": "phones", "lease": {"name": "lines", "duration": "1m"}, "serviceAccount": {"name": "caller"}}),
            vec![
                ("Deployment", "/metadata/name", json!("phones")),
                ("Service", "/metadata/name", json!("phones")),
                ("ServiceAccount", "/metadata/name", json!("caller")),
                ("pod", "/serviceAccountName", json!("caller")),
                ("flags", "/--lease-name", json!("lines")),
                ("flags", "/--lease-duration", json!("1m")),
            ],
        ),
        (
            json!({"serviceAccount": {"create": false}}),
            vec![("ServiceAccount", "", Value::Null), ("pod", "/serviceAccountName", json!("default"))],
        ),
        (
            json!({"remote": {"url": "https://remote.example.com:8443/api", "caBundle": {"configMap": {"name": "ca", "key": "bundle.pem"}}}}),
            vec![
                ("flags", "/--remote-url", json!("https://remote.example.com:8443/api")),
                ("flags", "/--remote-ca-file", json!("/etc/sarvam-operator/remote-ca/ca.crt")),
                ("container", "/volumeMounts/0/mountPath", json!("/etc/sarvam-operator/remote-ca")),
                ("pod", "/volumes/0/configMap/name", json!("ca")),
                ("pod", "/volumes/0/configMap/items/0", json!({"key": "bundle.pem", "path": "ca.crt"})),
            ],
        ),
        (
            json!({"remote": {"caBundle": {"secret": {"name": "ca"}}, "useProxy": true, "lists": "merge"}, "extraEnv": [proxy]}),
            vec![
                ("pod", "/volumes/0/secret/secretName", json!("ca")),
                ("flags", "/--use-proxy", json!(true)),
                ("flags", "/--lists", json!("merge")),
                ("container", "/env/1", proxy.clone()),
            ],
        ),
        (
            json!({"watchNamespace": "default", "log": {"format": "json", "level": "warn,sarvam_operator=debug"},
                "http": {"address": "::", "port": 9090}, "protocol": {"callTimeout": "500ms", "doubtWindow": "500ms", "settleWindow": "0s",
                "freezeWindow": "1m", "readLag": "24h", "missingGrace": "1h"}}),
            vec![
                ("flags", "/--namespace", json!("default")),
                ("ClusterRoleBinding", "", Value::Null),
                ("flags", "/--http-address", json!("[::]:9090")),
                ("flags", "/--log-format", json!("json")),
                ("flags", "/--read-lag", json!("24h")),
                ("container", "/env/0", json!({"name": "RUST_LOG", "value": "warn,sarvam_operator=debug"})),
                ("container", "/ports/0/containerPort", json!(9090)),
                ("Service", "/spec/ports/0/port", json!(9090)),
            ],
        ),
        (
            json!({"nodeSelector": {"pool": "system"}, "affinity": affinity, "tolerations": [toleration],
                "priorityClassName": "system-cluster-critical", "runAsUser": null,
                "resources": {"requests": {"cpu": 1, "memory": "0.5Gi"}, "limits": {"cpu": "2500m", "memory": "1Gi"}}}),
            vec![
                ("pod", "/nodeSelector/pool", json!("system")),
                ("pod", "/affinity", affinity),
                ("pod", "/tolerations/0", toleration),
                ("pod", "/priorityClassName", json!("system-cluster-critical")),
                ("pod", "/securityContext/runAsUser", Value::Null),
                ("pod", "/securityContext/runAsNonRoot", json!(true)),
                ("container", "/resources/limits/cpu", json!("2500m")),
            ],
        ),
        // As OpenShift numbers them: nothing becomes 1.00065e+09 on the way.
        (json!({"runAsUser": 1_000_650_000}), vec![("pod", "/securityContext/runAsUser", json!(1_000_650_000))]),
        (
            json!({"networkPolicy": {"enabled": true}}),
            vec![
                ("NetworkPolicy", "/spec/policyTypes", json!(["Ingress", "Egress"])),
                ("NetworkPolicy", "/spec/egress/1", json!({"ports": [{"port": 443}, {"port": 6443}]})),
                ("NetworkPolicy", "/spec/egress/2", json!({"ports": [{"port": 443}]})),
                ("NetworkPolicy", "/spec/egress/3", Value::Null),
                ("NetworkPolicy", "/spec/ingress/0/from", Value::Null),
            ],
        ),
        (
            json!({"remote": {"url": "https://[2001:db8::1]:8443"}, "networkPolicy": {"enabled": true,
                "metricsFrom": [monitoring], "apiServer": {"ports": [6443], "cidrs": ["10.0.0.1/32", "fd00::1/128"]},
                "remote": {"cidrs": ["203.0.113.0/24"]}, "extraEgress": [{"ports": [{"port": 3128}]}]}}),
            vec![
                ("NetworkPolicy", "/spec/ingress/0/from/0", monitoring.clone()),
                ("NetworkPolicy", "/spec/egress/1/to/1/ipBlock/cidr", json!("fd00::1/128")),
                ("NetworkPolicy", "/spec/egress/2/ports/0/port", json!(8443)),
                ("NetworkPolicy", "/spec/egress/2/to/0/ipBlock/cidr", json!("203.0.113.0/24")),
                ("NetworkPolicy", "/spec/egress/3/ports/0/port", json!(3128)),
            ],
        ),
        (
            json!({"traces": {"endpoint": "http://otel-collector.observability:4318"}, "networkPolicy": {"enabled": true}}),
            vec![
                ("flags", "/--otlp-endpoint", json!("http://otel-collector.observability:4318")),
                ("NetworkPolicy", "/spec/egress/3", json!({"ports": [{"port": 4318}]})),
            ],
        ),
        (
            json!({"traces": {"endpoint": "https://otlp.example.com/a"}, "networkPolicy": {"enabled": true}}),
            vec![("NetworkPolicy", "/spec/egress/3", json!({"ports": [{"port": 443}]}))],
        ),
        (
            json!({"crds": {"install": false}, "service": {"annotations": {"a": "b"}}, "serviceAccount": {"annotations": {"c": "d"}}}),
            vec![
                ("CustomResourceDefinition", "", Value::Null),
                ("Service", "/metadata/annotations/a", json!("b")),
                ("ServiceAccount", "/metadata/annotations/c", json!("d")),
            ],
        ),
        (
            json!({"rbac": {"secrets": [{"namespace": "kube-system", "names": ["sarvam", "sarvam-2"]}], "aggregateRoles": false}}),
            vec![("ClusterRoleBinding", "/subjects/0/name", json!("sarvam-operator"))],
        ),
        (json!({"rbac": {"create": false}}), vec![("ClusterRole", "", Value::Null), ("Role", "", Value::Null)]),
        (
            json!({"metrics": {"serviceMonitor": {"enabled": true}, "prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}}}),
            vec![
                ("ServiceMonitor", "/spec/endpoints/0/port", json!("metrics")),
                ("PrometheusRule", "/metadata/name", json!("sarvam-operator")),
                ("ConfigMap", "/metadata/labels/grafana_dashboard", json!("1")),
            ],
        ),
        // What a chart hands down that depends on this one.
        (json!({"global": {"region": "south"}, "enabled": true}), vec![]),
    ]
}

/// What the first object of a kind is, or a part of the operator's Deployment: its pod's spec, the container, the container's flags by name.
fn part(objects: &[Value], name: &str) -> Value {
    let first = |kind: &str| objects.iter().find(|object| object["kind"] == kind).cloned().unwrap_or_default();
    match name {
        "pod" => first("Deployment")["spec"]["template"]["spec"].take(),
        "container" => part(objects, "pod")["containers"][0].take(),
        "flags" => {
            let args = part(objects, "container")["args"].take();
            let flag = |arg: &Value| {
                let text = arg.as_str().unwrap();
                text.split_once('=').map_or((text.to_owned(), json!(true)), |(name, value)| (name.into(), json!(value)))
            };
            args.as_array().unwrap().iter().skip(1).map(flag).collect()
        }
        kind => first(kind),
    }
}

/// Has the API server check objects and admit them, and not keep them.
async fn dry_run(kubectl: &Kubectl, objects: &str) -> Answer {
    // Server-side, because a client-side apply of what is there already may warn of that.
    let args = ["apply", "--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl.run_with_input(&args, objects).await.unwrap()
}

/// A namespace that enforces the restricted profile.
async fn restricted_namespace(plane: &ControlPlane) -> String {
    let namespace = plane.namespace("restricted").await.unwrap();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    plane.kubectl().run(&["label", "namespace", &namespace, label]).await.unwrap().success().unwrap();
    namespace
}

/// A Deployment is never refused for its pods, only warned of: as a pod of its own the template meets what its pods will meet.
fn pod(deployment: &Value, namespace: &str) -> Value {
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("one-of-the-operator");
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

#[tokio::test]
async fn the_api_server_takes_every_rendering_in_a_restricted_namespace() {
    let plane = ControlPlane::shared().await;
    let helm = plane.helm().await.unwrap();
    let namespace = restricted_namespace(plane).await;
    let kubectl = plane.kubectl();
    for (values, found) in cases() {
        let manifest = template(&helm, &namespace, &values).await.success().unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&manifest).unwrap();
        for (name, pointer, expected) in found {
            let there = part(&objects, name).pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(there, expected, "{name} {pointer} of {values}");
        }

        let mut sent: Vec<_> = manifest.split("\n---\n").map(str::to_owned).collect();
        sent.retain(|object| !NOT_SERVED.iter().any(|group| object.contains(&format!("apiVersion: {group}"))));
        sent.push(pod(&part(&objects, "Deployment"), &namespace).to_string());
        let answer = dry_run(&kubectl, &sent.join("\n---\n")).await;
        // A warning of the API server: a field that is deprecated, or pods that would be refused.
        assert!(answer.status.success() && answer.stderr.is_empty(), "{values}: {}", answer.stderr);
    }
}

/// The check above can fail: without any of these, the pod is refused.
#[tokio::test]
async fn a_pod_with_more_rights_is_refused() {
    let plane = ControlPlane::shared().await;
    let helm = plane.helm().await.unwrap();
    let namespace = restricted_namespace(plane).await;
    let kubectl = plane.kubectl();
    let manifest = template(&helm, &namespace, &json!({})).await.success().unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&manifest).unwrap();
    let pod = pod(&part(&objects, "Deployment"), &namespace);
    for (pointer, field) in [
        ("/spec/securityContext", "runAsNonRoot"),
        ("/spec/securityContext", "seccompProfile"),
        ("/spec/containers/0/securityContext", "allowPrivilegeEscalation"),
        ("/spec/containers/0/securityContext", "capabilities"),
    ] {
        let mut pod = pod.clone();
        let taken = pod.pointer_mut(pointer).and_then(|context| context.as_object_mut()?.remove(field));
        assert!(taken.is_some(), "the pod has no {pointer}/{field}");
        let answer = dry_run(&kubectl, &pod.to_string()).await;
        assert!(answer.stderr.contains("violates PodSecurity \"restricted"), "{field}: {}", answer.stderr);
    }
    assert_eq!(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
}

/// The objects of these values, in a namespace of no importance.
async fn objects(helm: &Helm, values: &Value) -> Vec<Value> {
    let manifest = template(helm, "default", values).await.success().unwrap();
    serde_saphyr::from_multiple(&manifest).unwrap()
}

/// What the operator makes of a command line.
fn parsed<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    match Cli::try_parse_from(["sarvam-operator"].into_iter().chain(args)) {
        Ok(Cli { command: Command::Run(run) }) => *run,
        other => panic!("not a good command line: {other:?}"),
    }
}

/// What it makes of that in its container.
fn run(objects: &[Value]) -> Run {
    let args = part(objects, "container")["args"].take();
    parsed(args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()))
}

#[tokio::test]
async fn the_operator_takes_the_flags_of_every_rendering() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let mut passed = BTreeSet::new();
    for (values, _) in cases() {
        let objects = objects(&helm, &values).await;
        run(&objects).check().unwrap_or_else(|error| panic!("{values}: {error}"));
        passed.extend(part(&objects, "flags").as_object().unwrap().keys().cloned());
    }
    let command = Cli::command();
    let flags = command.find_subcommand("run").unwrap().get_arguments().filter_map(|arg| arg.get_long());
    // In a pod there is no simulator on loopback.
    let flags: BTreeSet<_> =
        flags.filter(|flag| *flag != "allow-http-loopback").map(|flag| format!("--{flag}")).collect();
    assert_eq!(passed, flags, "the flags that any values lead to, and those that there are");
}

/// One fact in two places: the chart passes its own defaults, whatever the operator's are.
#[tokio::test]
async fn the_defaults_are_those_of_the_flags() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let rendered = run(&objects(&helm, &json!({})).await);
    let mut defaults = parsed(["run"]);
    defaults.lease_namespace = Some("default".to_owned());
    assert_eq!(format!("{rendered:#?}"), format!("{defaults:#?}"));
}

#[tokio::test]
async fn helm_lint_finds_nothing() {
    let helm = ControlPlane::shared().await.helm().await.unwrap();
    let answer = helm.run(&["lint", "--strict", CHART, "--kube-version", OLDEST]).await.unwrap();
    assert!(answer.status.success(), "{}{}", answer.stdout, answer.stderr);
}
