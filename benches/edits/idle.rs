//! What happens while nobody asks for anything.

use std::time::Duration;

use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Result},
    simulator::{Route, Simulator},
};
use tokio::time::sleep;

/// This long without a write to Kubernetes, and what came before is over.
const SILENCE: Duration = Duration::from_secs(2);

/// How often silence is waited for. An operator that never falls silent is measured as it is.
const ATTEMPTS: usize = 30;

/// Requests that were counted in a span of time.
pub struct Idle {
    /// Writes to Kubernetes, by whomever, but those of Leases.
    pub kubernetes_writes: u64,
    /// Calls to the remote that could change something.
    pub remote_writes: usize,
    /// Reads of single lines at the remote.
    pub looks: usize,
}

impl Idle {
    /// Counts from now on, for so long.
    pub async fn watch(plane: &ControlPlane, remote: &Simulator, span: Duration) -> Result<Self> {
        let now = async || -> Result<Self> {
            let all = remote.calls(Route::Any);
            let looks = remote.calls(Route::Get);
            let remote_writes = all - looks - remote.calls(Route::List);
            Ok(Self { kubernetes_writes: kubernetes_writes(plane).await?, remote_writes, looks })
        };
        let before = now().await?;
        sleep(span).await;
        let after = now().await?;
        Ok(Self {
            kubernetes_writes: after.kubernetes_writes - before.kubernetes_writes,
            remote_writes: after.remote_writes - before.remote_writes,
            looks: after.looks - before.looks,
        })
    }
}

/// Waits until nothing is written to Kubernetes any more.
pub async fn settle(plane: &ControlPlane) -> Result<()> {
    let mut before = kubernetes_writes(plane).await?;
    for _ in 0..ATTEMPTS {
        sleep(SILENCE).await;
        let now = kubernetes_writes(plane).await?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(())
}

/// How many requests the API server has counted that are no reads and not about Leases, the refused ones included.
async fn kubernetes_writes(plane: &ControlPlane) -> Result<u64> {
    let metrics = plane.kubectl().run(&["get", "--raw", "/metrics"]).await?.success()?;
    let counters = metrics.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")?.rsplit_once("} "));
    let is_write = |labels: &str| {
        let reads = ["GET", "LIST", "WATCH", "CONNECT"];
        let is_read = reads.iter().any(|verb| labels.contains(&format!("verb=\"{verb}\"")));
        !is_read && !labels.contains("resource=\"leases\"")
    };
    counters.filter(|(labels, _)| is_write(labels)).map(|(labels, count)| count.parse::<u64>().because(labels)).sum()
}
