//! Sends spans to a receiver of OTLP over HTTP. Whatever becomes of that, the operator goes on.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::EnvResourceDetector,
    trace::{BatchSpanProcessor, SdkTracerProvider},
};
use tokio::{runtime::Handle, time::Instant};
use tracing::{debug, info, warn};
use url::Url;

use super::Traces;
use crate::http::{Client, Options};

/// How long one batch may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last batch may take, after SIGTERM.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// How often it is told that batches are lost.
const TOLD_EVERY: Duration = Duration::from_mins(10);

/// Sends what [`Traces`] make, in batches and from a thread of its own. What it can't get rid of in time is dropped.
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Makes ready; connects to nothing. The tokio runtime that this is called in carries the batches.
    ///
    /// # Errors
    /// A sentence that names the flag, the rule and an example.
    pub fn start(endpoint: &str) -> Result<Self, String> {
        let url = url(endpoint)?;
        let server = url.as_str().parse().map_err(|_| wrong("must be a URL"))?;
        let options = Options { server: &server, extra_roots: Vec::new(), use_proxy: false, limit: TIMEOUT };
        let client =
            Client::new(options).map_err(|error| format!("The client of --otlp-endpoint can't be made: {error}."))?;
        let client = Poster { http: client, runtime: Handle::current(), told: Mutex::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            // A try that fails must not hold up the next batch, nor the end of the process.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| format!("--otlp-endpoint can't be used: {error}."))?;
        let resource = Resource::builder_empty()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .build();
        let batches = BatchSpanProcessor::builder(exporter).build();
        info!(endpoint = %url, "sending traces");
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_span_processor(batches).build()))
    }

    /// What makes spans for it.
    #[must_use]
    pub fn traces(&self) -> Traces {
        Traces(Some(self.0.tracer(env!("CARGO_PKG_NAME"))))
    }

    /// Sends what there is still to send, within a second, and ends.
    pub async fn finish(self) {
        let last = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_TIMEOUT));
        if let Ok(Err(error)) = last.await {
            debug!(%error, "the last spans are lost");
        }
    }
}

/// What is wrong with the flag. What is given is not repeated: somebody may have put a password in it.
fn wrong(rule: &str) -> String {
    format!(
        "--otlp-endpoint {rule}: give http://otel-collector.observability:4318 or https://otlp.example.com, for example."
    )
}

/// Where traces are posted, below the base URL that the flag names.
fn url(endpoint: &str) -> Result<Url, String> {
    let mut url = Url::parse(endpoint).map_err(|_| wrong("must be a URL"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(wrong("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must have no user and no password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must end with its path"));
    }
    url.path_segments_mut().map_err(|()| wrong("must be a URL"))?.pop_if_empty().extend(["v1", "traces"]);
    Ok(url)
}

/// Posts batches. The thread that sends them is none of the runtime's.
#[derive(Debug)]
struct Poster {
    http: Client,
    runtime: Handle,
    /// When it was last told that batches are lost.
    told: Mutex<Option<Instant>>,
}

#[async_trait]
impl HttpClient for Poster {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.http.clone();
        let posted = self.runtime.spawn(async move { client.send(request).await });
        let posted = posted.await.map_err(|_| "the process ends".to_owned());
        let posted = posted.and_then(|posted| posted.map_err(|failure| failure.to_string()));
        match &posted {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.lost(&format!("HTTP {}", answer.status().as_u16())),
            Err(error) => self.lost(error),
        }
        // What it says of single spans is nobody's business.
        Ok(posted?.map(|_| Bytes::new()))
    }
}

impl Poster {
    fn lost(&self, error: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            warn!(
                error,
                "traces are lost: the receiver that --otlp-endpoint names does not take them; lines are not affected"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_base_url() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example.com/a/b", "https://otlp.example.com/a/b/v1/traces"),
        ] {
            assert_eq!(url(endpoint).map(String::from).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_wrong_names_the_flag_and_an_example_and_repeats_no_value() {
        for endpoint in [
            "hunter2",
            "hunter2:4318",
            "ftp://hunter2",
            "http://u:hunter2@example.com",
            "http://example.com?key=hunter2",
            "http://example.com#hunter2",
        ] {
            let message = url(endpoint).unwrap_err();
            assert!(message.contains("--otlp-endpoint") && message.contains("http://"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
