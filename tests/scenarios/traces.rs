//! The traces of a running operator.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use sarvam_testkit::otlp::{Receiver, Span};
use sarvam_testkit::simulator::{Effect, Fault, LineState, Route};
use serde_json::{Value, json};

use crate::stage::{Launch, scenario};

/// The root of the one trace of that generation of an object.
fn root<'a>(spans: &'a [Span], object: &Value) -> &'a Span {
    let metadata = &object["metadata"];
    let generation = metadata["generation"].to_string();
    let of_it = |span: &&Span| {
        span.parent.is_empty()
            && span.attributes["sarvam.deployment.uid"] == metadata["uid"].as_str().unwrap_or_default()
            && span.attributes["sarvam.deployment.generation"] == generation
    };
    let [root] = spans.iter().filter(of_it).collect::<Vec<_>>()[..] else {
        panic!("not one trace of {metadata} in {spans:#?}");
    };
    root
}

/// The parts of a trace.
fn parts<'a>(spans: &'a [Span], root: &Span) -> Vec<&'a Span> {
    let mut parts: Vec<_> = spans.iter().filter(|span| span.trace == root.trace && span.id != root.id).collect();
    parts.sort_by_key(|part| part.time);
    parts
}

#[tokio::test]
async fn an_edit_is_one_trace_from_its_news_to_ready() {
    scenario("traces", async |stage| {
        let receiver = Receiver::start().await.unwrap();
        stage.line("dep-1");
        let operator = stage.launch(Launch::default().flag("--otlp-endpoint", &receiver.url()));
        stage.apply("support-line", "dep-1", false).await;
        stage.ready("support-line").await;
        stage.edit("support-line", json!({"paused": true})).await;
        let paused = stage.ready("support-line").await;
        stage.remote.inject(Fault::on(Route::Status, Effect::EchoKey(500)).once());
        stage.edit("support-line", json!({"paused": false})).await;
        let resumed = stage.ready("support-line").await;
        // What has not been sent yet goes out at the end.
        operator.stop().await;
        let spans = receiver.spans();

        let edit = root(&spans, &paused);
        let expected = [
            ("k8s.namespace.name", stage.namespace.as_str()),
            ("sarvam.deployment.name", "support-line"),
            ("sarvam.action", "pause"),
            ("sarvam.edit.outcome", "ready"),
        ];
        for (name, value) in expected {
            assert_eq!(edit.attributes.get(name).map(String::as_str), Some(value), "{name} of {edit:#?}");
        }
        assert_eq!(edit.name, "edit");

        let parts = self::parts(&spans, edit);
        for part in &parts {
            assert_eq!(part.parent, edit.id, "{part:#?}");
            assert!(edit.time.0 <= part.time.0 && part.time.1 <= edit.time.1, "{part:#?} is not within {edit:#?}");
            assert!(!part.failed, "{part:#?}");
        }
        let base = reqwest::Url::parse(&stage.remote.url()).unwrap();
        let line = format!("{}/v1/orgs/{{org}}/workspaces/{{workspace}}/deployments/{{deployment}}", base.path());
        let put = format!("PUT {line}/status");
        let got = format!("GET {line}");
        // Each part that there must be: its name, and an attribute of it.
        let expected = [
            ("wait", "sarvam.lane", "pause"),
            (put.as_str(), "http.request.method", "PUT"),
            (put.as_str(), "http.response.status_code", "200"),
            (put.as_str(), "server.address", "127.0.0.1"),
            ("wait", "sarvam.lane", "edit_look"),
            (got.as_str(), "url.template", line.as_str()),
            (got.as_str(), "http.response.status_code", "200"),
            ("write status", "sarvam.reason", "Synced"),
        ];
        for (name, attribute, value) in expected {
            let is_it =
                |part: &&&Span| part.name == name && part.attributes.get(attribute).is_some_and(|it| it == value);
            assert!(parts.iter().any(|part| is_it(&part)), "no {name} with {attribute}={value} in {parts:#?}");
        }
        assert_eq!(parts.iter().filter(|part| part.name == put).count(), 1, "{parts:#?}");

        // A call that went wrong is told as such, and not in the remote's words.
        let retried = self::parts(&spans, root(&spans, &resumed));
        let failed: Vec<_> = retried.iter().filter(|part| part.name == put).map(|part| part.failed).collect();
        assert_eq!((failed.first(), failed.last()), (Some(&true), Some(&false)), "{retried:#?}");

        // The look before the second try is as urgent as an edit: the try can't go before it.
        let lanes: Vec<_> = retried.iter().filter_map(|part| part.attributes.get("sarvam.lane")).take(3).collect();
        assert_eq!(lanes, ["resume", "retry_look", "resume_retry"], "{retried:#?}");

        let roots: BTreeSet<_> = spans.iter().filter(|span| span.parent.is_empty()).map(|root| &root.trace).collect();
        assert!(spans.iter().all(|span| roots.contains(&span.trace)), "a part without its edit in {spans:#?}");
        let key = stage.first_key();
        for body in receiver.bodies() {
            assert!(!body.windows(key.len()).any(|part| part == key.as_bytes()), "the key is in a trace");
        }
    })
    .await;
}

/// One that refuses connections, and one that takes them and says nothing.
#[tokio::test]
async fn a_receiver_that_is_of_no_use_changes_nothing() {
    scenario("no-traces", async |stage| {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let silent = (format!("http://{}", silent.local_addr().unwrap()), silent);
        stage.line("dep-1");
        stage.apply("support-line", "dep-1", false).await;
        for (endpoint, paused) in [("http://127.0.0.1:1", true), (silent.0.as_str(), false)] {
            let operator = stage.launch(Launch::default().flag("--otlp-endpoint", endpoint));
            stage.ready("support-line").await;
            stage.edit("support-line", json!({"paused": paused})).await;
            stage.ready("support-line").await;
            stage.line_is("dep-1", if paused { LineState::Paused } else { LineState::Active }).await;
            operator.stop().await;
            if paused {
                let told = operator.output().matches("traces are lost").count();
                assert_eq!(told, 1, "how often it was told that traces are lost: {}", operator.output());
            }
        }
    })
    .await;
}
