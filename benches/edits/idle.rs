//! What happens while nobody asks for anything.

use std::time::Duration;

use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Result},
    simulator::Route,
};
use tokio::time::sleep;

use crate::contender::Contender;

/// This long without a write to Kubernetes, and what came before is over.
const SILENCE: Duration = Duration::from_secs(2);

/// How often silence is waited for. An operator that never falls silent is measured as it is.
const ATTEMPTS: usize = 30;

/// What was counted in a span of time.
pub struct Idle {
    /// How long it was.
    pub span: Duration,
    /// Writes to Kubernetes, by whomever, but those of Leases.
    pub kubernetes_writes: u64,
    /// What each contender did, in their order.
    pub contenders: Vec<Usage>,
}

/// What one contender did.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Calls to the remote that could change something.
    pub remote_writes: usize,
    /// Reads of single lines at the remote.
    pub gets: usize,
    /// Reads of pages of lines there.
    pub lists: usize,
    /// Processor time.
    pub cpu: Duration,
}

impl Idle {
    /// Counts from now on, for so long.
    pub async fn watch(plane: &ControlPlane, contenders: &[Contender], span: Duration) -> Result<Self> {
        let now = || contenders.iter().map(Usage::until_now).collect::<Result<Vec<_>>>();
        let (writes, before) = (kubernetes_writes(plane).await?, now()?);
        sleep(span).await;
        let (after, written) = (now()?, kubernetes_writes(plane).await?);
        let contenders = after.into_iter().zip(before).map(|(after, before)| after.since(before)).collect();
        Ok(Self { span, kubernetes_writes: written - writes, contenders })
    }
}

impl Usage {
    fn until_now(contender: &Contender) -> Result<Self> {
        let remote = contender.lines.remote();
        let calls = |routes: &[Route]| routes.iter().map(|route| remote.calls(*route)).sum();
        Ok(Self {
            remote_writes: calls(&[Route::Status, Route::Create, Route::Update, Route::Delete]),
            gets: calls(&[Route::Get]),
            lists: calls(&[Route::List]),
            cpu: contender.process.cpu_time()?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            remote_writes: self.remote_writes - before.remote_writes,
            gets: self.gets - before.gets,
            lists: self.lists - before.lists,
            cpu: self.cpu.saturating_sub(before.cpu),
        }
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
