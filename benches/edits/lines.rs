//! The lines of one side: objects in a namespace of their own, and what they name at the remote.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use sarvam_operator::api::{
    DeletionPolicy, Deployment, DeploymentSpec, DriftPolicy, SecretKeyRef, SyncInterval, Workspace, WorkspaceRef,
    WorkspaceSpec,
};
use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Error, Result},
    simulator::{Action, Entry, Line, Route, Simulator, What},
};
use serde_json::json;
use tokio::time::sleep;

/// The key to both workspaces.
pub const API_KEY: &str = "bench-api-key";

const ORG: &str = "org-bench";

/// How many requests at once set the lines up.
const AT_ONCE: usize = 8;

/// How long an edit may take to reach the remote, and all lines to become Ready. Who needs it all is broken.
const ARRIVAL_LIMIT: Duration = Duration::from_mins(1);
const READY_LIMIT: Duration = Duration::from_mins(10);

/// How often the API server is asked whether all lines are Ready.
const POLL: Duration = Duration::from_secs(1);

/// Equal lines in one workspace.
pub struct Lines {
    /// The name of their Workspace, which is its id at the remote too.
    workspace: String,
    namespace: String,
    workspaces: Api<Workspace>,
    deployments: Api<Deployment>,
    /// What was last asked of each: `spec.paused`.
    paused: Vec<bool>,
}

impl Lines {
    /// Makes `count` active lines at the remote and the objects that ask for just that.
    pub async fn create(plane: &ControlPlane, remote: &Simulator, workspace: &str, count: usize) -> Result<Self> {
        let namespace = plane.namespace(workspace).await?;
        let client = plane.client();
        let lines = Self {
            workspace: workspace.to_owned(),
            workspaces: Api::namespaced(client.clone(), &namespace),
            deployments: Api::namespaced(client.clone(), &namespace),
            paused: vec![false; count],
            namespace,
        };
        remote.add_key(ORG, workspace, workspace, API_KEY);
        let secret = Secret {
            metadata: ObjectMeta { name: Some(workspace.to_owned()), ..ObjectMeta::default() },
            string_data: Some(BTreeMap::from([("api-key".to_owned(), API_KEY.to_owned())])),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(client, &lines.namespace);
        secrets.create(&PostParams::default(), &secret).await.because("the Secret")?;
        let spec = WorkspaceSpec {
            org_id: ORG.to_owned(),
            workspace_id: workspace.to_owned(),
            api_key_secret_ref: SecretKeyRef { name: workspace.to_owned(), key: "api-key".to_owned() },
            // No look between the edits, and no call that waits for the budget.
            sync_interval: interval("10m")?,
            requests_per_second: 1000,
        };
        let workspace = Workspace::new(workspace, spec);
        lines.workspaces.create(&PostParams::default(), &workspace).await.because("the Workspace")?;
        lines
            .of_each(async |number| {
                let id = lines.id(number);
                remote.add_line(ORG, &lines.workspace, Line::new(&id));
                let spec = DeploymentSpec {
                    workspace_ref: WorkspaceRef { name: lines.workspace.clone() },
                    deployment_id: id.clone(),
                    paused: false,
                    suspend: false,
                    drift_policy: DriftPolicy::Correct,
                    deletion_policy: DeletionPolicy::Retain,
                };
                let object = Deployment::new(&id, spec);
                lines.deployments.create(&PostParams::default(), &object).await.because(&id)?;
                Ok(())
            })
            .await?;
        Ok(lines)
    }

    /// The namespace of the objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The URL of the workspace at the remote.
    pub fn workspace_url(&self, remote: &Simulator) -> String {
        format!("{}/v1/orgs/{ORG}/workspaces/{}", remote.url(), self.workspace)
    }

    /// Asks for the other state of one line. Returns the time from just before the edit was sent to the API server until
    /// its PUT arrived at the remote.
    pub async fn edit(&mut self, number: usize, arrivals: &mut Arrivals<'_>) -> Result<Duration> {
        let paused = !self.paused[number];
        self.paused[number] = paused;
        let action = if paused { Action::Pause } else { Action::Resume };
        let id = self.id(number);
        let sent = Instant::now();
        let (patched, arrived) = tokio::join!(self.ask(number, paused), arrivals.put(&id, action));
        patched?;
        Ok(arrived?.duration_since(sent))
    }

    /// Asks for the other state of every line, many at once.
    pub async fn edit_all(&mut self) -> Result<()> {
        for paused in &mut self.paused {
            *paused = !*paused;
        }
        self.of_each(async |number| self.ask(number, self.paused[number]).await).await
    }

    /// Changes how often each line is looked at.
    pub async fn set_sync_interval(&self, every: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"syncInterval": interval(every)?}}));
        self.workspaces.patch(&self.workspace, &PatchParams::default(), &patch).await.because("the Workspace")?;
        Ok(())
    }

    /// Waits until the status of every line says that it is as asked.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let lines = self.deployments.list(&ListParams::default()).await.because("the lines can't be listed")?;
            let Some(waiting) = lines.iter().find(|line| !is_ready(line)) else { return Ok(()) };
            if Instant::now() > deadline {
                let status = json!(waiting.status);
                return Err(Error::new(format!("a line is not Ready after {READY_LIMIT:?}; its status: {status}")));
            }
            sleep(POLL).await;
        }
    }

    /// Gives each line the status that the line of the same number in `other` has: what the API server does for an edit
    /// takes longer the larger the object is.
    pub async fn copy_statuses(&self, other: &Self) -> Result<()> {
        self.of_each(async |number| {
            let id = self.id(number);
            let model = other.deployments.get(&other.id(number)).await.because(&id)?;
            let patch = Patch::Merge(json!({"status": model.status}));
            self.deployments.patch_status(&id, &PatchParams::default(), &patch).await.because(&id)?;
            Ok(())
        })
        .await
    }

    async fn ask(&self, number: usize, paused: bool) -> Result<()> {
        let (id, patch) = (self.id(number), Patch::Merge(json!({"spec": {"paused": paused}})));
        self.deployments.patch(&id, &PatchParams::default(), &patch).await.because(&id)?;
        Ok(())
    }

    async fn of_each<F: Future<Output = Result<()>>>(&self, work: impl Fn(usize) -> F) -> Result<()> {
        stream::iter(0..self.paused.len()).map(Ok).try_for_each_concurrent(AT_ONCE, work).await
    }

    /// The id of a line at the remote, and the name of its object.
    fn id(&self, number: usize) -> String {
        format!("{}-{number}", self.workspace)
    }
}

fn interval(text: &str) -> Result<SyncInterval> {
    text.parse().because(text)
}

fn is_ready(line: &Deployment) -> bool {
    line.status.as_ref().is_some_and(|status| {
        let is_true = status.conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
        is_true && status.observed_generation == line.metadata.generation
    })
}

/// Reads the remote's history on.
pub struct Arrivals<'a> {
    remote: &'a Simulator,
    /// How many of its entries were read.
    read: usize,
}

impl<'a> Arrivals<'a> {
    /// From the first entry on.
    pub fn of(remote: &'a Simulator) -> Self {
        Self { remote, read: 0 }
    }

    /// Waits for a PUT and returns when it arrived.
    async fn put(&mut self, line: &str, action: Action) -> Result<Instant> {
        let mut arrived = None;
        let found = self.remote.wait_until(ARRIVAL_LIMIT, |state| {
            let new = state.history().iter().skip(self.read);
            arrived = new.filter(|entry| is_put(entry, line, action)).map(|entry| entry.at).next();
            self.read = state.history().len();
            arrived.is_some()
        });
        found.await.because(format!("the PUT for {line}"))?;
        arrived.ok_or_else(|| Error::new("waiting ended without an arrival"))
    }
}

fn is_put(entry: &Entry, line: &str, action: Action) -> bool {
    let What::Arrived(arrival) = &entry.what else { return false };
    arrival.route == Route::Status && arrival.line.as_deref() == Some(line) && arrival.action == Some(action)
}
