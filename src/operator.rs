//! `sarvam-operator run`: from the flags to the end of the process.

use std::time::Duration;

use kube::Client;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::{
    access::{self, Kubernetes},
    api,
    causes::chain,
    clock::Clock,
    config::Run,
    controller::{self, Context},
    leader::{self, Election},
    metrics::Metrics,
    sarvam,
    server::{self, Readiness},
    traces::{Exporter, Traces},
};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence for a person: what is wrong and the way out.
pub async fn run(flags: Run) -> Result<(), String> {
    flags.check()?;
    // An empty variable counts as none, as OpenTelemetry has it.
    let endpoint = flags.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let exporter = endpoint.map(Exporter::start).transpose()?;
    let traces = exporter.as_ref().map(Exporter::traces).unwrap_or_default();
    let remote = traces.of(access::remote(&flags.remote)?);
    let Kubernetes { client: kube, namespace, url } = access::kubernetes().await?;
    let lease_namespace = flags.lease_namespace.clone().unwrap_or(namespace);
    let listener = server::bind(flags.http_address).await?;
    if let Ok(address) = listener.local_addr() {
        info!(%address, "serving /healthz, /readyz and /metrics");
    }
    check_crds(&kube, &url).await?;

    let stopping = stop_on_signal()?;
    let metrics = Metrics::default();
    let (readiness, ready) = watch::channel(Readiness::Starting);
    let http = tokio::spawn(server::serve(listener, metrics.clone(), ready));
    let mut lease = leader::Settings::new(lease_namespace, flags.lease_name.clone());
    lease.lease_duration = flags.lease_duration;
    info!(version = env!("CARGO_PKG_VERSION"), namespace = flags.namespace.as_deref().unwrap_or("(all)"), "started");
    lead(Process { flags, kube, remote, lease, clock: Clock::start(), metrics, traces, stopping }, &readiness).await;
    http.abort();
    if let Some(exporter) = exporter {
        exporter.finish().await;
    }
    info!("stopped");
    Ok(())
}

/// What one process works with, from its first term to its last.
pub struct Process {
    /// What it was told.
    pub flags: Run,
    /// The API server.
    pub kube: Client,
    /// The remote.
    pub remote: sarvam::Client,
    /// The Lease that it campaigns for.
    pub lease: leader::Settings,
    /// Its clocks.
    pub clock: Clock,
    /// Its metrics.
    pub metrics: Metrics,
    /// Makes its traces.
    pub traces: Traces,
    /// True from SIGTERM on.
    pub stopping: watch::Receiver<bool>,
}

/// Waits for the lease, works through the term, and so on until the process is told to stop.
pub async fn lead(process: Process, readiness: &watch::Sender<Readiness>) {
    let Process { flags, kube, remote, lease, clock, metrics, traces, stopping } = process;
    let events = controller::Events::new(kube.clone(), lease.identity.clone());
    let mut election = Election::new(kube.clone(), lease);
    while !*stopping.borrow() {
        readiness.send_replace(Readiness::StandingBy);
        let mut stopped = stopping.clone();
        let term = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopping| *stopping) => break,
            term = election.acquire() => term,
        };
        readiness.send_replace(Readiness::Starting);
        metrics.lead(true);
        info!(first = term.first_ever(), "leading");
        let context = Context {
            kube: kube.clone(),
            namespace: flags.namespace.clone(),
            remote: remote.clone(),
            call_timeout: flags.remote.call_timeout,
            protocol: flags.protocol(),
            clock,
            leadership: term.leadership().clone(),
            inherited: !term.first_ever(),
            stopping: stopping.clone(),
            metrics: metrics.clone(),
            traces: traces.clone(),
            events: events.clone(),
        };
        controller::run(context, readiness).await;
        metrics.lead(false);
        if *stopping.borrow() && tokio::time::timeout(Duration::from_secs(1), term.release()).await.is_err() {
            warn!("the Lease could not be given up in time; it runs out by itself");
        }
    }
}

/// The API server must know both kinds. Asked through discovery, which everybody may.
async fn check_crds(kube: &Client, url: &str) -> Result<(), String> {
    let group = format!("{}/{}", api::GROUP, api::VERSION);
    let missing = || {
        format!(
            "The CustomResourceDefinitions of {group} are missing: run `sarvam-operator crds | kubectl apply --server-side -f -`, then start again."
        )
    };
    match kube.list_api_group_resources(&group).await {
        Ok(list) if ["deployments", "workspaces"].iter().all(|it| list.resources.iter().any(|r| r.name == *it)) => {
            Ok(())
        }
        Ok(_) => Err(missing()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(missing()),
        Err(error) => Err(format!(
            "The Kubernetes API server at {url} can't be asked for {group}: {}. Check KUBECONFIG and that the server is up.",
            chain(&error)
        )),
    }
}

/// True from the first SIGTERM or SIGINT on. A second one ends the process at once.
fn stop_on_signal() -> Result<watch::Receiver<bool>, String> {
    let (stop, stopping) = watch::channel(false);
    let listen = |kind| signal(kind).map_err(|error| format!("Signals can't be handled: {error}."));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut signalled = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = signalled().await;
        info!(signal = name, "stopping: no new call; the ones under way end first");
        stop.send_replace(true);
        signalled().await;
        std::process::exit(1);
    });
    Ok(stopping)
}
