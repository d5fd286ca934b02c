//! The lines of one contender: objects in a namespace of their own, and what they name at a remote of their own.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use sarvam_operator::api::{
    DeletionPolicy, Deployment, DeploymentSpec, DeploymentStatus, DriftPolicy, SecretKeyRef, SyncInterval, Workspace,
    WorkspaceRef, WorkspaceSpec,
};
use sarvam_testkit::{
    control_plane::ControlPlane,
    error::{Because, Error, Result},
    simulator::{Action, Config, Entry, Line, LineState, Route, Simulator, State, What},
};
use serde_json::json;
use tokio::time::sleep;

/// The key to every workspace.
pub const API_KEY: &str = "bench-api-key";

const ORG: &str = "org-bench";

/// How many requests at once set the lines up.
const AT_ONCE: usize = 8;

/// How long all lines may take to become Ready. Who needs it all is broken.
const READY_LIMIT: Duration = Duration::from_mins(10);

/// How often the API server is asked whether all lines are Ready: that is work for it.
const POLL: Duration = Duration::from_secs(3);

/// The pace of a Workspace that holds nothing up.
pub const UNLIMITED: Pace = Pace { sync_interval: "60s", requests_per_second: 1000 };

/// How often a workspace is looked at and called.
#[derive(Clone, Copy)]
pub struct Pace {
    pub sync_interval: &'static str,
    pub requests_per_second: i32,
}

/// Equal lines in one workspace.
pub struct Lines {
    /// The name of their Workspace, which is its id at the remote too.
    workspace: String,
    namespace: String,
    remote: Simulator,
    workspaces: Api<Workspace>,
    deployments: Api<Deployment>,
    /// What was last asked of each: `spec.paused`.
    paused: Vec<bool>,
}

impl Lines {
    /// Makes `count` active lines at a new remote, and the objects that ask for just that. No two `Lines` share a name.
    pub async fn create(plane: &ControlPlane, workspace: &str, count: usize) -> Result<Self> {
        let namespace = plane.namespace(workspace).await?;
        let client = plane.client();
        let lines = Self {
            workspace: workspace.to_owned(),
            remote: Simulator::start(Config::default()).await.because("the simulator")?,
            workspaces: Api::namespaced(client.clone(), &namespace),
            deployments: Api::namespaced(client.clone(), &namespace),
            paused: vec![false; count],
            namespace,
        };
        lines.remote.add_key(ORG, workspace, workspace, API_KEY);
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
            sync_interval: interval(UNLIMITED.sync_interval)?,
            requests_per_second: UNLIMITED.requests_per_second,
        };
        let workspace = Workspace::new(workspace, spec);
        lines.workspaces.create(&PostParams::default(), &workspace).await.because("the Workspace")?;
        lines.of_each(async |number| lines.add(number).await).await?;
        Ok(lines)
    }

    async fn add(&self, number: usize) -> Result<()> {
        let id = self.id(number);
        self.remote.add_line(ORG, &self.workspace, Line::new(&id));
        let spec = DeploymentSpec {
            workspace_ref: WorkspaceRef { name: self.workspace.clone() },
            deployment_id: id.clone(),
            paused: false,
            suspend: false,
            drift_policy: DriftPolicy::Correct,
            deletion_policy: DeletionPolicy::Retain,
            app_version: None,
            display_name: None,
            description: None,
            connections: None,
            schedule: None,
            rollout: None,
        };
        self.deployments.create(&PostParams::default(), &Deployment::new(&id, spec)).await.because(&id)?;
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.paused.len()
    }

    /// The namespace of the objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where the lines are.
    pub fn remote(&self) -> &Simulator {
        &self.remote
    }

    /// The URL of the workspace at the remote.
    pub fn workspace_url(&self) -> String {
        format!("{}/v1/orgs/{ORG}/workspaces/{}", self.remote.url(), self.workspace)
    }

    /// Asks for the other state of one line.
    pub async fn edit(&mut self, number: usize) -> Result<Edit> {
        let paused = !self.paused[number];
        self.paused[number] = paused;
        let id = self.id(number);
        let after = self.remote.read(|state| state.history().len());
        let sent = Instant::now();
        let patch = Patch::Merge(json!({"spec": {"paused": paused}}));
        let edited = self.deployments.patch(&id, &PatchParams::default(), &patch).await.because(&id)?;
        let generation = edited.metadata.generation.unwrap_or_default();
        Ok(Edit { sent, id, generation, action: if paused { Action::Pause } else { Action::Resume }, after })
    }

    /// When the PUT of an edit arrived; `None`: not within the limit.
    pub async fn arrival(&self, edit: &Edit, limit: Duration) -> Option<Instant> {
        let (mut arrived, mut read) = (None, edit.after);
        let found = self.remote.wait_until(limit, |state| {
            let mut new = state.history().iter().skip(read);
            arrived = new.find(|entry| is_put(entry, edit)).map(|entry| entry.at);
            read = state.history().len();
            arrived.is_some()
        });
        // Not in time is an answer too.
        let _ = found.await;
        arrived
    }

    /// Has somebody at the dashboard make each of these lines another than is asked.
    pub fn disturb(&self, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            let state = LineState::of(!self.paused[number]);
            self.remote.set_from_dashboard(&self.id(number), state, "somebody");
        }
    }

    /// How many lines are not as they were last asked for.
    pub fn wrong(&self) -> usize {
        self.remote.read(|state| {
            let lines = self.paused.iter().enumerate();
            lines.filter(|(number, paused)| !is_so(state, &self.id(*number), **paused)).count()
        })
    }

    /// When all lines were as they were last asked for; `None`: not within the limit.
    pub async fn right(&self, limit: Duration) -> Option<Instant> {
        // One that is right stays so: only the first wrong one is looked at again.
        let mut right = 0;
        let all = self.remote.wait_until(limit, |state| {
            while self.paused.get(right).is_some_and(|paused| is_so(state, &self.id(right), *paused)) {
                right += 1;
            }
            right == self.paused.len()
        });
        all.await.ok().map(|()| Instant::now())
    }

    /// Changes how often each line is looked at and the remote called.
    pub async fn set_pace(&self, pace: Pace) -> Result<()> {
        let spec = json!({"syncInterval": pace.sync_interval, "requestsPerSecond": pace.requests_per_second});
        let patch = Patch::Merge(json!({"spec": spec}));
        self.workspaces.patch(&self.workspace, &PatchParams::default(), &patch).await.because("the Workspace")?;
        Ok(())
    }

    /// Waits until the status of every line says that it is as asked.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let lines = self.list().await?;
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
        let models = other.list().await?.into_iter().map(|line| (line.name_any(), line.status));
        let models: HashMap<String, Option<DeploymentStatus>> = models.collect();
        self.of_each(async |number| {
            let id = self.id(number);
            let patch = Patch::Merge(json!({"status": models.get(&other.id(number))}));
            self.deployments.patch_status(&id, &PatchParams::default(), &patch).await.because(&id)?;
            Ok(())
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Deployment>> {
        let lines = self.deployments.list(&ListParams::default()).await.because("the lines can't be listed")?;
        Ok(lines.items)
    }

    async fn of_each<F: Future<Output = Result<()>>>(&self, work: impl Fn(usize) -> F) -> Result<()> {
        stream::iter(0..self.paused.len()).map(Ok).try_for_each_concurrent(AT_ONCE, work).await
    }

    /// The id of a line at the remote, and the name of its object.
    fn id(&self, number: usize) -> String {
        format!("{}-{number}", self.workspace)
    }
}

/// What was asked of one line.
pub struct Edit {
    /// Just before it was sent to the API server.
    pub sent: Instant,
    /// The object's name.
    pub id: String,
    /// The generation that it made.
    pub generation: i64,
    action: Action,
    /// How long the remote's history was before.
    after: usize,
}

/// Whether a line at the remote is paused, or is not.
fn is_so(remote: &State, id: &str, paused: bool) -> bool {
    let state = LineState::of(paused);
    remote.line(id).is_some_and(|line| line.status == state)
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

fn is_put(entry: &Entry, edit: &Edit) -> bool {
    let What::Arrived(arrival) = &entry.what else { return false };
    arrival.route == Route::Status && arrival.line.as_ref() == Some(&edit.id) && arrival.action == Some(edit.action)
}
