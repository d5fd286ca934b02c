//! A receiver of OpenTelemetry's traces, by OTLP over HTTP.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::{Because, Result};
use crate::lock;

/// A running receiver. It takes everything.
pub struct Receiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    serving: JoinHandle<()>,
}

/// One span, as far as tests ask for it.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace that it is of, in hexadecimal digits as the other ids.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it is a part of; empty: it is the root.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// From when to when, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// Its attributes, each as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it is marked as failed.
    pub failed: bool,
}

impl Receiver {
    /// Listens at a free port of this machine.
    pub async fn start() -> Result<Self> {
        let tried = "a port for traces could not be had";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.because(tried)?;
        let address = listener.local_addr().because(tried)?;
        let bodies = Arc::new(Mutex::new(vec![]));
        let kept = Arc::clone(&bodies);
        let take = async move |body: Bytes| lock(&kept).push(body);
        let serving = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, Router::new().route("/v1/traces", post(take))).await;
        });
        Ok(Self { address, bodies, serving })
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that has come, as it came.
    #[must_use]
    pub fn bodies(&self) -> Vec<Bytes> {
        lock(&self.bodies).clone()
    }

    /// The spans in it.
    ///
    /// # Panics
    /// Where something else came.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let requests = self.bodies().into_iter().map(|body| ExportTraceServiceRequest::decode(body).expect("OTLP"));
        let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes
            .flat_map(|scope| scope.spans)
            .map(|span| Span {
                trace: hexadecimal(&span.trace_id),
                id: hexadecimal(&span.span_id),
                parent: hexadecimal(&span.parent_span_id),
                name: span.name,
                time: (span.start_time_unix_nano, span.end_time_unix_nano),
                attributes: span
                    .attributes
                    .into_iter()
                    .map(|it| (it.key, it.value.and_then(|it| it.value).map(text).unwrap_or_default()))
                    .collect(),
                failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
            })
            .collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn hexadecimal(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
