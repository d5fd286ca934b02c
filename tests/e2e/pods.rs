//! The operator's pods, and what befalls them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, EvictParams, ListParams};
use kube::{Client, ResourceExt};
use sarvam_testkit::error::{Because, Error, Result};
use sarvam_testkit::kubectl::Kubectl;
use tokio::time::{Instant, sleep};

use crate::chart::{NAME, Release};
use crate::cluster::Cluster;
use crate::say;

/// How long anything may take on a crowded machine.
const LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(200);

pub struct Pods<'a> {
    cluster: &'a Cluster,
    kubectl: &'a Kubectl,
    namespace: &'a str,
    client: Client,
}

impl<'a> Pods<'a> {
    pub fn new(cluster: &'a Cluster, release: &'a Release) -> Self {
        Self { cluster, kubectl: &release.kubectl, namespace: &release.namespace, client: cluster.plane.client() }
    }

    /// New pods in place of the old ones.
    pub async fn restart(&self) -> Result<()> {
        let deployment = format!("deployment.apps/{NAME}");
        self.kubectl.run(&["rollout", "restart", &deployment]).await?.success()?;
        self.all_run().await
    }

    /// Kills the process that leads, and waits until another does and both pods are ready again.
    pub async fn kill_leader(&self) -> Result<()> {
        let leader = self.leader_other_than("").await?;
        let pod = pod_of(&leader);
        say!("  {pod} leads");
        let status = self.pods().get(pod).await.because(pod)?.status.unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let container = containers.first().and_then(|container| container.container_id.as_deref());
        let container = container.and_then(|id| id.split_once("://")).map(|(_, id)| id);
        let container = container.ok_or_else(|| Error::new(format!("{pod} has no running container")))?;
        self.cluster.kill(self.namespace, pod, container).await?;
        let next = self.leader_other_than(&leader).await?;
        say!("  {} leads now", pod_of(&next));
        self.all_run().await
    }

    /// Evicts the leader's pod, as a drain of its node would, and waits until both run again. Fails unless the budget keeps the other
    /// from being evicted beside it.
    pub async fn evict_leader(&self) -> Result<()> {
        let budget = format!("pdb/{NAME}");
        let allowed = ["wait", "--for=jsonpath={.status.disruptionsAllowed}=1", &budget, "--timeout=60s"];
        self.kubectl.run(&allowed).await?.success()?;
        let holder = self.leader_other_than("").await?;
        let leader = pod_of(&holder);
        let names: Vec<_> = self.list().await?.iter().map(ResourceExt::name_any).collect();
        let other = names.iter().find(|name| *name != leader).ok_or_else(|| Error::new("there is one pod only"))?;
        let pods = Api::<Pod>::namespaced(self.cluster.plane.client_that_asks_once(), self.namespace);
        pods.evict(leader, &EvictParams::default()).await.because(leader)?;
        match pods.evict(other, &EvictParams::default()).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 429 => {}
            evicted => return Err(Error::new(format!("the budget should keep {other}: {evicted:?}"))),
        }
        say!("  {leader} leads and is evicted; the budget keeps {other}");
        let gone = ["wait", "--for=delete", &format!("pod/{leader}"), "--timeout=120s"];
        self.kubectl.run(&gone).await?.success()?;
        self.all_run().await
    }

    /// Waits until no pod is left.
    pub async fn are_gone(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !self.list().await?.is_empty() {
            if Instant::now() >= deadline {
                return Err(Error::new(format!("after {LIMIT:?} there are still pods")));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn all_run(&self) -> Result<()> {
        let deployment = format!("deployment.apps/{NAME}");
        self.kubectl.run(&["rollout", "status", &deployment, "--timeout=180s"]).await?.success().map(|_| ())
    }

    async fn list(&self) -> Result<Vec<Pod>> {
        let ours = ListParams::default().labels(&format!("app.kubernetes.io/instance={NAME}"));
        Ok(self.pods().list(&ours).await.because("the pods can't be listed")?.items)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Waits until somebody else holds the Lease, and returns who.
    async fn leader_other_than(&self, old: &str) -> Result<String> {
        let leases = Api::<Lease>::namespaced(self.client.clone(), self.namespace);
        let deadline = Instant::now() + LIMIT;
        loop {
            let lease = leases.get_opt(NAME).await.because("the Lease can't be read")?;
            let holder = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
            if !holder.is_empty() && holder != old {
                return Ok(holder);
            }
            if Instant::now() >= deadline {
                return Err(Error::new(format!("after {LIMIT:?} the Lease is held by {holder:?}")));
            }
            sleep(POLL).await;
        }
    }
}

/// The Lease's holder is the pod's name and something that tells its processes apart.
fn pod_of(holder: &str) -> &str {
    holder.rsplit_once('_').map_or(holder, |(pod, _)| pod)
}
