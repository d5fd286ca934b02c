//! One Workspace: its key, its budget, and what its status tells.

use std::{
    collections::BTreeMap,
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
    time::{Instant, sleep_until, timeout_at},
};
use tracing::{debug, warn};

use super::{Term, census::Key, guarded::Guarded, in_time, mailbox::Mailbox, reason_of};
use crate::{
    api::{Unmanaged, Workspace, WorkspaceSpec, WorkspaceStatus, conditions},
    core::{
        classify::{Fault, Rejection},
        id::{Id, LineId},
        line::Trouble,
        status::{Conditions, Obstacle, Progress, Reason, Truth},
        time::Time,
        walk,
    },
    merge_patch::merge_patch,
    metrics::ApiRequest,
    sarvam::{ApiKey, Budget},
    secret::{self, Unread},
};

/// How often the Secret is read again, while its key is good and while it isn't.
const REFRESH: Duration = Duration::from_secs(5);
const REFRESH_HINDERED: Duration = Duration::from_secs(1);

/// How long changes of the line counts are gathered before the status is written.
const GATHER: Duration = Duration::from_millis(300);

/// How long a line that needs a look waits for the list at least.
const WAIT_FOR_WALK: Duration = Duration::from_secs(10);

/// From the beginning of one walk to that of one that somebody waits for.
const WALK_AGAIN: Duration = Duration::from_secs(1);

/// What the lines of one Workspace share.
pub struct Account {
    key: Key,
    name: String,
    state: Mutex<State>,
    /// The mailboxes of the objects that own its lines, by the line.
    lines: Mutex<BTreeMap<Id, Arc<Mailbox>>>,
    /// Something changed that the keeper must look at.
    changed: Notify,
    /// Something changed that the poller must look at.
    walk_due: Notify,
    /// One reading of the Secret at a time.
    reading: tokio::sync::Mutex<()>,
}

#[allow(clippy::struct_excessive_bools, reason = "independent facts, each with its own life")]
struct State {
    workspace: Workspace,
    /// Its organisation and its own id, which all its lines share.
    place: Option<(Id, Id)>,
    /// Replaced or deleted: the keeper ends.
    closed: bool,
    /// Whether the Secret has been read, with whatever result.
    known: bool,
    /// The key to call with, and the budget of all who use it.
    access: Option<(ApiKey, Budget)>,
    obstacle: Option<Hindrance>,
    /// What the last probe said about the remote, where the key is not the matter.
    fault: Option<Fault>,
    /// Whether the remote has taken this very key.
    accepted: bool,
    /// The key is new, or a call was refused: the list tells whether it is good.
    probe: bool,
    /// It may name another Secret than the one that was read.
    moved: bool,
    /// Somebody waits for the list.
    wanted: bool,
    walks: Walks,
    unmanaged: Option<Unmanaged>,
}

/// When the list was walked.
#[derive(Clone, Copy, Default)]
struct Walks {
    /// The walk that is under way began then.
    began: Option<Instant>,
    /// How long the last whole one took.
    took: Duration,
}

#[derive(Clone, PartialEq, Eq)]
struct Hindrance {
    obstacle: Obstacle,
    message: String,
    since: Instant,
}

impl Account {
    pub fn new(key: Key, workspace: Workspace) -> Self {
        Self {
            name: key.to_string(),
            key,
            state: Mutex::new(State {
                place: place(&workspace),
                workspace,
                closed: false,
                known: false,
                access: None,
                obstacle: None,
                fault: None,
                accepted: false,
                probe: true,
                moved: false,
                wanted: false,
                walks: Walks::default(),
                unmanaged: None,
            }),
            lines: Mutex::default(),
            changed: Notify::new(),
            walk_due: Notify::new(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Workspace's `namespace/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Workspace object's key.
    pub const fn key(&self) -> &Key {
        &self.key
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
            if let Some((_, budget)) = &state.access {
                budget.set_rate(rate(&workspace));
            }
            state.place = place(&workspace);
            state.moved = true;
        }
        state.workspace = workspace;
        drop(state);
        if changed {
            self.changed.notify_one();
            self.walk_due.notify_one();
        }
        changed
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
        self.walk_due.notify_one();
    }

    /// Replaced or deleted.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Whether enough is known to say what hinders its lines.
    pub fn is_known(&self) -> bool {
        self.state().known
    }

    /// Its organisation and its own id at the remote; `None` where one of them is no id.
    pub fn place(&self) -> Option<(Id, Id)> {
        self.state().place.clone()
    }

    /// The remote line of that id in this workspace.
    pub fn line(&self, deployment: &str) -> Result<LineId, String> {
        let state = self.state();
        match (&state.place, Id::new(deployment)) {
            (Some((org, workspace)), Ok(deployment)) => {
                Ok(LineId { org: org.clone(), workspace: workspace.clone(), deployment })
            }
            _ => state.workspace.spec.line(deployment),
        }
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
        self.state().access.clone()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Id, Arc<Mailbox>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on rows of that line go to this mailbox.
    pub fn join(&self, line: &Id, mailbox: &Arc<Mailbox>, now: Time) {
        mailbox.begin(now);
        self.lines().insert(line.clone(), Arc::clone(mailbox));
    }

    /// No rows go to this mailbox any more.
    pub fn leave(&self, line: &Id, mailbox: &Arc<Mailbox>) {
        let mut lines = self.lines();
        if lines.get(line).is_some_and(|other| Arc::ptr_eq(other, mailbox)) {
            lines.remove(line);
        }
    }

    /// Where rows of that line go.
    pub fn mailbox(&self, line: &Id) -> Option<Arc<Mailbox>> {
        self.lines().get(line).cloned()
    }

    /// How many lines get rows.
    pub fn joined(&self) -> usize {
        self.lines().len()
    }

    /// Does this with the mailbox of each line that gets rows.
    pub fn each_line(&self, mut work: impl FnMut(&Mailbox)) {
        self.lines().values().for_each(|mailbox| work(mailbox));
    }

    /// `spec.syncInterval`, and how long what is known of a line at rest is good for.
    pub fn pace(&self) -> (Duration, Duration) {
        let state = self.state();
        let interval = state.workspace.spec.sync_interval.duration();
        (interval, walk::horizon(interval, state.walks.takes()))
    }

    /// How long a line may wait that needs a look and could get it from the list.
    pub fn patience(&self) -> Duration {
        WAIT_FOR_WALK + 2 * self.state().walks.takes()
    }

    /// Somebody waits for the list.
    pub fn want_walk(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.wanted, true) {
            drop(state);
            self.walk_due.notify_one();
        }
    }

    /// Waits until `next`, or until a walk is wanted sooner; true where that is to try the key.
    pub async fn walk_due(&self, last: Option<Instant>, pause: impl Fn(Duration) -> Duration) -> bool {
        loop {
            let next = {
                let mut state = self.state();
                if state.closed || state.probe {
                    return std::mem::take(&mut state.probe);
                }
                let pause = pause(state.workspace.spec.sync_interval.duration());
                // Half of the time is for others.
                let soon = if state.wanted { WALK_AGAIN.max(2 * state.walks.took) } else { pause };
                last.map_or_else(Instant::now, |last| last + pause.min(soon))
            };
            tokio::select! {
                biased;
                () = self.walk_due.notified() => {}
                () = sleep_until(next) => return false,
            }
        }
    }

    /// A walk begins; it ends when what this returns is dropped.
    pub fn begin_walk(&self) -> Walking<'_> {
        let mut state = self.state();
        state.wanted = false;
        state.walks.began = Some(Instant::now());
        Walking(self)
    }

    /// What a page of the list, or the lack of one, says about the key `used`. True where it was refused.
    pub fn listed(&self, term: &Term, used: &ApiKey, fault: Option<&Fault>) -> bool {
        if self.state().key() != Some(used) {
            return false;
        }
        if let Some(fault) = fault {
            if fault.trouble == Trouble::CredentialsRejected {
                self.hinder(term, fault);
                return true;
            }
            self.state().fault = Some(fault.clone());
            self.changed.notify_one();
            return false;
        }
        let mut state = self.state();
        let had_fault = state.fault.take().is_some();
        let was_accepted = std::mem::replace(&mut state.accepted, true);
        let was_hindered = state.obstacle.take().is_some();
        drop(state);
        if had_fault || was_hindered || !was_accepted {
            self.changed.notify_one();
        }
        if was_hindered {
            term.cluster.poke_workspace(&self.key);
        }
        false
    }

    /// A whole walk has found these lines that no object names.
    pub fn unmanaged(&self, unmanaged: Unmanaged) {
        let mut state = self.state();
        if state.unmanaged.replace(unmanaged) != state.unmanaged {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Its lines count otherwise than before.
    pub fn recount(&self) {
        self.changed.notify_one();
    }

    /// A call with `used` was refused. True where another key is there now, so that it is worth trying again at once.
    pub async fn rejected(&self, term: &Term, used: &ApiKey, fault: &Fault) -> bool {
        let _reading = self.reading.lock().await;
        let replaced = |state: &State| state.key().is_some_and(|key| key != used);
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
            self.walk_due.notify_one();
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
            Ok(key) if state.key() == Some(&key) => {
                // The same key. Where the remote refused it, only a probe clears that.
                let cleared = state.obstacle.as_ref().is_some_and(|it| it.obstacle != Obstacle::CredentialsRejected);
                if cleared {
                    state.obstacle = None;
                }
                cleared
            }
            Ok(key) => {
                let budget = term.budgets.of(&key, rate(&state.workspace));
                state.access = Some((key, budget));
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
                state.access = None;
                state.obstacle = Some(Hindrance { obstacle, message, since });
                news
            }
        };
        let news = news || !state.known;
        state.known = true;
        drop(state);
        if news {
            self.changed.notify_one();
            self.walk_due.notify_one();
            term.cluster.poke_workspace(&self.key);
        }
        news
    }
}

impl State {
    fn key(&self) -> Option<&ApiKey> {
        self.access.as_ref().map(|(key, _)| key)
    }
}

fn rate(workspace: &Workspace) -> u32 {
    workspace.spec.requests_per_second.unsigned_abs()
}

fn place(workspace: &Workspace) -> Option<(Id, Id)> {
    let WorkspaceSpec { org_id, workspace_id, .. } = &workspace.spec;
    Some((Id::new(org_id).ok()?, Id::new(workspace_id).ok()?))
}

async fn read_key(term: &Term, account: &Account) -> Result<ApiKey, Unread> {
    let (namespace, reference) = (&account.key.namespace, account.state().workspace.spec.api_key_secret_ref.clone());
    let found = in_time(term.api::<Secret>(namespace).get_opt(&reference.name)).await;
    secret::api_key(found, namespace, &reference)
}

/// While a walk is under way, and what it took.
pub struct Walking<'a>(&'a Account);

impl Walking<'_> {
    /// The walk has come to its end.
    pub fn complete(self) {
        let walks = &mut self.0.state().walks;
        walks.took = walks.takes_now();
    }
}

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        self.0.state().walks.began = None;
    }
}

impl Walks {
    fn takes_now(self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// How long a walk takes, as far as is known by now.
    fn takes(self) -> Duration {
        self.took.max(self.takes_now())
    }
}

/// Keeps a Workspace until it is gone: reads its Secret, tells its status.
pub async fn keep(term: Arc<Term>, account: Arc<Account>) {
    let mut told: Option<WorkspaceStatus> = None;
    let mut read_at = Instant::now();
    let mut refresh = read_at;
    measure(&term, &account, Truth::Unknown, Reason::Pending);
    while !term.is_over() {
        // A line that counts otherwise is no reason to read it.
        let moved = std::mem::take(&mut account.state().moved);
        if moved || refresh <= Instant::now() {
            let _reading = account.reading.lock().await;
            read_at = Instant::now();
            let read = read_key(&term, &account).await;
            account.adopt(&term, read);
        }
        if account.state().closed {
            term.context.metrics.forget_workspace(account.name());
            return;
        }
        tell(&term, &account, &mut told).await;
        let hindered = account.state().obstacle.is_some();
        refresh = read_at + if hindered { REFRESH_HINDERED } else { REFRESH };
        if timeout_at(refresh, account.changed.notified()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// Tells Prometheus of the Workspace.
fn measure(term: &Term, account: &Account, ready: Truth, reason: Reason) {
    term.context.metrics.workspace(account.name(), ready, reason, account.sync_interval());
    term.context.metrics.budget(account.name(), account.access().map(|(_, budget)| budget.meter()));
}

/// What there is to say about the Workspace; `None`: nothing yet.
fn conditions_of(term: &Term, state: &State) -> Option<Conditions> {
    if let Some(hindrance) = &state.obstacle {
        let grace = hindrance.obstacle.grace(&term.context.protocol).unwrap_or_default();
        let stalled = hindrance.since.elapsed() >= grace;
        return Some(Conditions {
            ready: Truth::False,
            reason: hindrance.obstacle.reason(),
            progress: Progress::stalled_if(stalled),
            message: hindrance.message.clone(),
        });
    }
    if let Some(fault) = &state.fault {
        let stalled = matches!(fault.trouble, Trouble::Refused | Trouble::QuotaExhausted | Trouble::NotFound);
        return Some(Conditions {
            ready: Truth::False,
            reason: Reason::of(fault.trouble),
            progress: Progress::stalled_if(stalled),
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
            // Before the first whole walk of this term, what an earlier one found.
            unmanaged: state.unmanaged.clone().or(old.unmanaged).filter(|unmanaged| unmanaged.total > 0),
            conditions: conditions::update(&old.conditions, &conditions, generation, term.context.clock.wall()),
        };
        (state.workspace.clone(), status, conditions)
    };
    measure(term, account, conditions.ready, conditions.reason);
    let old = workspace.status.clone().unwrap_or_default();
    if status == old || told.as_ref() == Some(&status) || term.is_over() {
        return;
    }
    let meta = &workspace.metadata;
    let guard = (meta.uid.as_deref().unwrap_or_default(), meta.resource_version.as_deref().unwrap_or_default());
    let patch = Guarded::new(guard, merge_patch(&json!(old), &json!(status)));
    let before = conditions::ready(&old.conditions).map(|ready| ready.reason.clone());
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
