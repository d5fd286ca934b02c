//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::metrics::Metrics;

/// Whether this process can do its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet, or not for the moment.
    Starting,
    /// Another replica leads; this one waits for the Lease.
    StandingBy,
    /// It leads and has listed everything.
    Leading,
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    readiness: watch::Receiver<Readiness>,
}

/// Binds the address.
///
/// # Errors
/// A sentence that names the flag.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("--http-address {address} can't be used: {error}. Give a free one, 127.0.0.1:8081 for example.")
    })
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, metrics: Metrics, readiness: watch::Receiver<Readiness>) {
    let routes = Router::new()
        // Alive is who can answer. Neither the remote nor the API server is this process's health.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .with_state(Shared { metrics, readiness });
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    match *shared.readiness.borrow() {
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the objects have not been listed yet\n"),
        Readiness::StandingBy => (StatusCode::OK, "ready: standing by, another replica leads\n"),
        Readiness::Leading => (StatusCode::OK, "ready: leading\n"),
    }
}

async fn measured(State(shared): State<Shared>) -> impl IntoResponse {
    shared.metrics.ready(*shared.readiness.borrow() != Readiness::Starting);
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], shared.metrics.text())
}
