//! One Workspace: its key, its budget, and what its status tells.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Resource,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tracing::{debug, warn};

use super::{Term, cluster::Key, in_time, merge_patch::merge_patch, reason_of};
use crate::{
    api::{Workspace, WorkspaceStatus, conditions},
    core::{
        classify::{Call, Fault, Rejection},
        id::LineId,
        line::Trouble,
        status::{Conditions, Obstacle, Progress, Reason, Truth},
    },
    metrics::ApiRequest,
    sarvam::{ApiKey, Budget, Lane},
    secret::{self, Unread},
};

/// How often the Secret is read again, while its key is good and while it isn't.
const REFRESH: Duration = Duration::from_secs(5);
const REFRESH_HINDERED: Duration = Duration::from_secs(1);

/// How often a refused key is tried again: soon at first, to tell a moment's refusal from a lasting one.
const FIRST_PROBES: Duration = Duration::from_secs(20);
const LATER_PROBES: Duration = Duration::from_mins(5);

/// How long changes of the line counts are gathered before the status is written.
const GATHER: Duration = Duration::from_millis(300);

/// What the lines of one Workspace share.
pub struct Account {
    key: Key,
    state: Mutex<State>,
    /// Something changed that the keeper must look at.
    changed: Notify,
    /// One reading of the Secret at a time.
    reading: tokio::sync::Mutex<()>,
}

#[allow(clippy::struct_excessive_bools, reason = "independent facts, each with its own life")]
struct State {
    workspace: Workspace,
    /// Replaced or deleted: the keeper ends.
    closed: bool,
    /// Whether the Secret has been read, with whatever result.
    known: bool,
    api_key: Option<ApiKey>,
    budget: Budget,
    obstacle: Option<Hindrance>,
    /// What the last probe said about the remote, where the key is not the matter.
    fault: Option<Fault>,
    /// Whether the remote has taken this very key.
    accepted: bool,
    probe: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Hindrance {
    obstacle: Obstacle,
    message: String,
    since: Instant,
}

impl Account {
    pub fn new(key: Key, workspace: Workspace) -> Self {
        let budget = budget(&workspace);
        Self {
            key,
            state: Mutex::new(State {
                workspace,
                closed: false,
                known: false,
                api_key: None,
                budget,
                obstacle: None,
                fault: None,
                accepted: false,
                probe: true,
            }),
            changed: Notify::new(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Workspace's `namespace/name`.
    pub fn name(&self) -> String {
        self.key.to_string()
    }

    /// The Workspace's `metadata.uid`.
    pub fn uid(&self) -> Option<String> {
        self.state().workspace.metadata.uid.clone()
    }

    /// Takes a newer view of the Workspace in. True where its lines must hear of it.
    pub fn update(&self, workspace: Workspace) -> bool {
        let mut state = self.state();
        let changed = state.workspace.spec != workspace.spec;
        if changed {
            state.budget.set_rate(workspace.spec.requests_per_second.unsigned_abs());
        }
        state.workspace = workspace;
        drop(state);
        if changed {
            self.changed.notify_one();
        }
        changed
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Whether enough is known to say what hinders its lines.
    pub fn is_known(&self) -> bool {
        self.state().known
    }

    /// The remote line of that id in this workspace.
    pub fn line(&self, deployment: &str) -> Result<LineId, String> {
        self.state().workspace.spec.line(deployment)
    }

    pub fn obstacle(&self) -> Option<(Obstacle, String)> {
        self.state().obstacle.as_ref().map(|hindrance| (hindrance.obstacle, hindrance.message.clone()))
    }

    /// `spec.syncInterval`.
    pub fn sync_interval(&self) -> Duration {
        self.state().workspace.spec.sync_interval.duration()
    }

    /// The key to call with, and the budget to call within; `None` where there is no good key.
    pub fn access(&self) -> Option<(ApiKey, Budget)> {
        let state = self.state();
        Some((state.api_key.clone()?, state.budget.clone()))
    }

    /// Its lines count otherwise than before.
    pub fn recount(&self) {
        self.changed.notify_one();
    }

    /// A call with `used` was refused. True where another key is there now, so that it is worth trying again at once.
    pub async fn rejected(&self, term: &Term, used: &ApiKey, fault: &Fault) -> bool {
        let _reading = self.reading.lock().await;
        let replaced = |state: &State| state.api_key.as_ref().is_some_and(|key| key != used);
        if replaced(&self.state()) {
            return true;
        }
        let read = read_key(term, self).await;
        if self.adopt(term, read) && replaced(&self.state()) {
            return true;
        }
        if fault.rejection == Some(Rejection::Permission) {
            // It may be about this one line: another call tells.
            self.state().probe = true;
            self.changed.notify_one();
        } else {
            self.hinder(term, fault);
        }
        false
    }

    /// Marks the Workspace and its lines: the remote refuses the key.
    fn hinder(&self, term: &Term, fault: &Fault) {
        let mut state = self.state();
        let place = secret::place(&self.key.namespace, &state.workspace.spec.api_key_secret_ref);
        let message = format!("{place}: {}. Calls with it have stopped; put a valid key there.", fault.message);
        let since = state.obstacle.as_ref().filter(|known| known.obstacle == Obstacle::CredentialsRejected);
        let since = since.map_or_else(Instant::now, |known| known.since);
        state.accepted = false;
        state.obstacle = Some(Hindrance { obstacle: Obstacle::CredentialsRejected, message, since });
        drop(state);
        self.changed.notify_one();
        term.cluster.poke_workspace(&self.key);
    }

    /// Takes what the Secret holds now. True where that changed something.
    fn adopt(&self, term: &Term, read: Result<ApiKey, Unread>) -> bool {
        let mut state = self.state();
        let news = match read {
            Ok(key) if state.api_key.as_ref() == Some(&key) => {
                // The same key. Where the remote refused it, only a probe clears that.
                let cleared = state.obstacle.as_ref().is_some_and(|it| it.obstacle != Obstacle::CredentialsRejected);
                if cleared {
                    state.obstacle = None;
                }
                cleared
            }
            Ok(key) => {
                state.api_key = Some(key);
                state.budget = budget(&state.workspace);
                state.obstacle = None;
                state.fault = None;
                state.accepted = false;
                state.probe = true;
                true
            }
            Err(Unread::Unreachable(error)) => {
                warn!(workspace = %self.key, error = reason_of(&error), "the Secret could not be read");
                term.context.metrics.api_failed(ApiRequest::Secret);
                return false;
            }
            Err(Unread::Hindered(obstacle, message)) => {
                let known = state.obstacle.as_ref().filter(|known| known.obstacle == obstacle);
                let news = known.is_none_or(|known| known.message != message);
                let since = known.map_or_else(Instant::now, |known| known.since);
                state.api_key = None;
                state.obstacle = Some(Hindrance { obstacle, message, since });
                news
            }
        };
        let news = news || !state.known;
        state.known = true;
        drop(state);
        if news {
            self.changed.notify_one();
            term.cluster.poke_workspace(&self.key);
        }
        news
    }
}

fn budget(workspace: &Workspace) -> Budget {
    Budget::new(workspace.spec.requests_per_second.unsigned_abs())
}

async fn read_key(term: &Term, account: &Account) -> Result<ApiKey, Unread> {
    let (namespace, reference) = (&account.key.namespace, account.state().workspace.spec.api_key_secret_ref.clone());
    let found = in_time(term.api::<Secret>(namespace).get_opt(&reference.name)).await;
    secret::api_key(found, namespace, &reference)
}

/// Keeps a Workspace until it is gone: reads its Secret, tries its key, tells its status.
pub async fn keep(term: Arc<Term>, account: Arc<Account>) {
    let mut told: Option<WorkspaceStatus> = None;
    let mut probe_at = Instant::now();
    let mut rejections = 0u32;
    measure(&term, &account, Truth::Unknown, Reason::Pending);
    while !term.is_over() {
        {
            let _reading = account.reading.lock().await;
            let read = read_key(&term, &account).await;
            account.adopt(&term, read);
        }
        if account.state().closed {
            term.context.metrics.forget_workspace(&account.name());
            return;
        }
        if std::mem::take(&mut account.state().probe) {
            probe_at = Instant::now();
            rejections = 0;
        }
        if probe_at <= Instant::now() {
            let rejected = probe(&term, &account).await;
            rejections = if rejected { rejections + 1 } else { 0 };
            let pause = match rejections {
                0 => account.sync_interval(),
                1..=3 => FIRST_PROBES,
                _ => LATER_PROBES,
            };
            probe_at = Instant::now() + pause;
        }
        tell(&term, &account, &mut told).await;
        let hindered = account.state().obstacle.is_some();
        let refresh = Instant::now() + if hindered { REFRESH_HINDERED } else { REFRESH };
        if timeout_at(refresh.min(probe_at), account.changed.notified()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// Tells Prometheus of the Workspace.
fn measure(term: &Term, account: &Account, ready: Truth, reason: Reason) {
    term.context.metrics.workspace(&account.name(), ready, reason, account.sync_interval());
}

/// One call that says whether the key is good. True where it was refused.
async fn probe(term: &Term, account: &Account) -> bool {
    let Some((key, budget)) = account.access() else { return false };
    let Ok(line) = account.line("probe") else { return false };
    let Ok(permit) = budget.enter(Lane::Look).await else { return false };
    let list = term.context.remote.list(&key, &line.org, &line.workspace, 0, 1);
    let answer = term.context.metrics.call(Call::List, &account.name(), list).await;
    permit.finish(&answer);
    if account.state().api_key.as_ref() != Some(&key) {
        return false;
    }
    match answer {
        Err(fault) if fault.trouble == Trouble::CredentialsRejected => {
            account.hinder(term, &fault);
            return true;
        }
        Err(fault) => account.state().fault = Some(fault),
        Ok(_) => {
            let mut state = account.state();
            state.fault = None;
            state.accepted = true;
            if state.obstacle.take().is_some() {
                drop(state);
                term.cluster.poke_workspace(&account.key);
            }
        }
    }
    false
}

/// What there is to say about the Workspace; `None`: nothing yet.
fn conditions_of(term: &Term, state: &State) -> Option<Conditions> {
    if let Some(hindrance) = &state.obstacle {
        let grace = hindrance.obstacle.grace(&term.context.protocol).unwrap_or_default();
        let stalled = hindrance.since.elapsed() >= grace;
        return Some(Conditions {
            ready: Truth::False,
            reason: hindrance.obstacle.reason(),
            progress: if stalled { Progress::Stalled } else { Progress::Reconciling },
            message: hindrance.message.clone(),
        });
    }
    if let Some(fault) = &state.fault {
        let stalled = matches!(fault.trouble, Trouble::Refused | Trouble::QuotaExhausted | Trouble::NotFound);
        return Some(Conditions {
            ready: Truth::False,
            reason: Reason::of(fault.trouble),
            progress: if stalled { Progress::Stalled } else { Progress::Reconciling },
            message: format!("The lines of this workspace can't be listed: {}.", fault.message),
        });
    }
    state.accepted.then(|| Conditions {
        ready: Truth::True,
        reason: Reason::KeyAccepted,
        progress: Progress::Done,
        message: "The remote accepts the API key.".to_owned(),
    })
}

/// Writes the status where it changed. A write that fails is made good by the next round.
async fn tell(term: &Term, account: &Account, told: &mut Option<WorkspaceStatus>) {
    let lines = term.cluster.lines(&account.key);
    let (workspace, status, conditions) = {
        let state = account.state();
        let Some(conditions) = conditions_of(term, &state) else { return };
        let old = state.workspace.status.clone().unwrap_or_default();
        let generation = state.workspace.metadata.generation.unwrap_or_default();
        let status = WorkspaceStatus {
            observed_generation: Some(generation),
            lines: lines.or(old.lines),
            conditions: conditions::update(&old.conditions, &conditions, generation, term.context.clock.wall()),
        };
        (state.workspace.clone(), status, conditions)
    };
    measure(term, account, conditions.ready, conditions.reason);
    let old = workspace.status.clone().unwrap_or_default();
    if status == old || told.as_ref() == Some(&status) || term.is_over() {
        return;
    }
    let patch = json!({
        "metadata": {"uid": workspace.metadata.uid, "resourceVersion": workspace.metadata.resource_version},
        "status": merge_patch(&json!(old), &json!(status)),
    });
    let before = old.conditions.iter().find(|condition| condition.type_ == "Ready").map(|ready| ready.reason.clone());
    let api = term.api::<Workspace>(&account.key.namespace);
    let _permit = term.api_requests.acquire().await;
    match in_time(api.patch_status(&account.key.name, &PatchParams::default(), &Patch::Merge(&patch))).await {
        Ok(written) => {
            *told = Some(status);
            term.context.events.transition(written.object_ref(&()), before.as_deref(), &conditions, None);
            account.update(written);
        }
        // The watch brings the newer object, and with it the next try.
        Err(error) => {
            debug!(workspace = %account.key, error = reason_of(&error), "the status could not be written");
            if !matches!(&error, kube::Error::Api(status) if matches!(status.code, 404 | 409)) {
                term.context.metrics.api_failed(ApiRequest::Status);
            }
            account.changed.notify_one();
        }
    }
}
