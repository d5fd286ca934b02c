//! What this process knows of the API server, from its watches.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use tokio::sync::watch;

use super::workspace::Account;
use crate::{
    api::{Deployment, DeploymentSpec, DeploymentStatus, Lines, Workspace},
    core::{
        id::LineId,
        owner::{Claimant, owner},
        status::{Obstacle, Truth},
        step::{Mode, Object, Source, Uid, Version},
    },
};

/// An object's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn of(meta: &ObjectMeta) -> Self {
        Self { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A `Deployment` object as it was seen, also where its spec can't be read.
#[derive(Clone, Debug)]
pub struct Seen {
    pub meta: ObjectMeta,
    /// The spec, or what is wrong with it.
    pub spec: Result<DeploymentSpec, String>,
    pub status: DeploymentStatus,
}

impl From<DeserializeGuard<Deployment>> for Seen {
    fn from(guard: DeserializeGuard<Deployment>) -> Self {
        match guard.0 {
            Ok(object) => object.into(),
            Err(invalid) => {
                Self { meta: invalid.metadata, spec: Err(invalid.error), status: DeploymentStatus::default() }
            }
        }
    }
}

impl From<Deployment> for Seen {
    fn from(object: Deployment) -> Self {
        let mut meta = object.metadata;
        // Nobody here asks who set which field, and it is most of an object's size.
        meta.managed_fields = None;
        Self { meta, spec: Ok(object.spec), status: object.status.unwrap_or_default() }
    }
}

impl Seen {
    /// `metadata.uid`.
    pub fn uid(&self) -> Uid {
        let text = self.meta.uid.as_deref().unwrap_or_default();
        Uid(text.chars().filter_map(|c| c.to_digit(16)).fold(0, |uid, digit| uid << 4 | u128::from(digit)))
    }

    /// What the step function needs of it.
    pub fn object(&self) -> Object {
        let generation = self.meta.generation.unwrap_or_default();
        let ready = self.status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let claims = self.status.observed_generation == Some(generation)
            && ready.is_some_and(|ready| ready.status == Truth::True.as_str());
        Object {
            uid: self.uid(),
            version: Version(self.meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default()),
            generation,
            // What can't be read is not acted on: an obstacle stands before it.
            paused: self.spec.as_ref().is_ok_and(|spec| spec.paused),
            mode: self.spec.as_ref().map_or(Mode::Report, DeploymentSpec::mode),
            claims,
        }
    }

    /// The Workspace that it names.
    fn workspace(&self, key: &Key) -> Option<Key> {
        let spec = self.spec.as_ref().ok()?;
        Some(Key { namespace: key.namespace.clone(), name: spec.workspace_ref.name.clone() })
    }

    fn claimant(&self) -> Claimant {
        let created = self.meta.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second());
        Claimant { created, uid: self.uid() }
    }
}

/// News for the task of one object.
#[derive(Debug, Default)]
pub struct Mailbox {
    inbox: Mutex<Inbox>,
    /// Counts of all news, and of those that can't wait for a look to end.
    signals: watch::Sender<(u64, u64)>,
}

/// What has come since it was last taken.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The newest view of the object, and how it came.
    pub seen: Option<(Arc<Seen>, Source)>,
    /// An object of this name that is gone, before the one in `seen`.
    pub deleted: Option<Uid>,
}

impl Mailbox {
    pub fn subscribe(&self) -> watch::Receiver<(u64, u64)> {
        self.signals.subscribe()
    }

    pub fn take(&self) -> Inbox {
        std::mem::take(&mut *self.inbox())
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, urgent: bool) {
        self.signals.send_modify(|(all, urgents)| {
            *all += 1;
            *urgents += u64::from(urgent);
        });
    }
}

/// Where an object stands: which line is its own, and what hinders it.
pub struct Standing {
    /// The line that it owns.
    pub line: Option<LineId>,
    /// Its Workspace.
    pub account: Option<Arc<Account>>,
    /// What hinders it, where, and the way out.
    pub obstacle: Option<(Obstacle, String)>,
}

#[derive(Default)]
pub struct Cluster {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Both kinds have been listed.
    open: bool,
    workspaces: BTreeMap<Key, Arc<Account>>,
    deployments: BTreeMap<Key, (Arc<Seen>, Arc<Mailbox>)>,
    /// The objects that name each deployment id, in any workspace.
    by_id: HashMap<String, BTreeSet<Key>>,
}

impl Cluster {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything has been listed: tasks may begin.
    pub fn open(&self) {
        let mut inner = self.inner();
        inner.open = true;
        inner.deployments.values().for_each(|(_, mailbox)| mailbox.signal(true));
        inner.workspaces.values().for_each(|account| account.recount());
    }

    /// Takes a Workspace in, and returns its account where it is new.
    pub fn put_workspace(&self, workspace: Workspace) -> Option<Arc<Account>> {
        let key = Key::of(&workspace.metadata);
        let mut inner = self.inner();
        if let Some(account) = inner.workspaces.get(&key).filter(|account| account.uid() == workspace.metadata.uid) {
            if account.update(workspace) {
                inner.poke_workspace(&key);
            }
            return None;
        }
        let account = Arc::new(Account::new(key.clone(), workspace));
        if let Some(old) = inner.workspaces.insert(key.clone(), Arc::clone(&account)) {
            old.close();
        }
        inner.poke_workspace(&key);
        Some(account)
    }

    pub fn remove_workspace(&self, key: &Key) {
        let mut inner = self.inner();
        if let Some(account) = inner.workspaces.remove(key) {
            account.close();
            inner.poke_workspace(key);
        }
    }

    /// Takes an object in, and returns the mailbox of its task where there is none yet.
    pub fn put_deployment(&self, key: &Key, seen: Seen, source: Source) -> Option<Arc<Mailbox>> {
        let mut inner = self.inner();
        let seen = Arc::new(seen);
        let identity = |seen: &Seen| (seen.uid(), seen.meta.generation, seen.meta.deletion_timestamp.is_some());
        let (before, mailbox, new) = match inner.deployments.get(key) {
            Some((before, mailbox)) => (Some(Arc::clone(before)), Arc::clone(mailbox), false),
            None => (None, Arc::default(), true),
        };
        let changed = before.as_ref().is_none_or(|before| identity(before) != identity(&seen));
        let replaced = before.as_ref().filter(|before| before.uid() != seen.uid());
        {
            let mut inbox = mailbox.inbox();
            inbox.deleted = replaced.map(|before| before.uid()).or(inbox.deleted);
            inbox.seen = Some((Arc::clone(&seen), source));
        }
        if let Some(before) = before.as_ref().filter(|_| changed) {
            inner.forget_id(key, before);
            inner.poke_siblings(key, before);
            inner.recount(key, before);
        }
        if let Ok(spec) = &seen.spec {
            inner.by_id.entry(spec.deployment_id.clone()).or_default().insert(key.clone());
        }
        inner.deployments.insert(key.clone(), (Arc::clone(&seen), Arc::clone(&mailbox)));
        if before.is_none_or(|before| changed || before.object().claims != seen.object().claims) {
            inner.recount(key, &seen);
        }
        if changed {
            inner.poke_siblings(key, &seen);
        }
        mailbox.signal(changed);
        new.then_some(mailbox)
    }

    pub fn remove_deployment(&self, key: &Key) {
        let mut inner = self.inner();
        let Some((seen, mailbox)) = inner.deployments.remove(key) else { return };
        inner.forget_id(key, &seen);
        {
            let mut inbox = mailbox.inbox();
            inbox.deleted = Some(seen.uid());
            inbox.seen = None;
        }
        mailbox.signal(true);
        inner.poke_siblings(key, &seen);
        inner.recount(key, &seen);
    }

    /// Wakes every object of a Workspace.
    pub fn poke_workspace(&self, key: &Key) {
        self.inner().poke_workspace(key);
    }

    /// How many objects name a Workspace, and how many of them are Ready; `None`: not everything has been listed yet.
    pub fn lines(&self, workspace: &Key) -> Option<Lines> {
        let inner = self.inner();
        let of_it =
            || inner.deployments.iter().filter(|(key, (seen, _))| seen.workspace(key).as_ref() == Some(workspace));
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        inner.open.then(|| Lines {
            total: count(of_it().count()),
            as_asked: count(of_it().filter(|(_, (seen, _))| seen.object().claims).count()),
        })
    }

    /// Where the object `key` stands; `None`: it isn't known (any more), or not enough is known yet.
    pub fn standing(&self, key: &Key) -> Option<Standing> {
        let inner = self.inner();
        let (seen, _) = inner.deployments.get(key).filter(|_| inner.open)?;
        let hindered =
            |obstacle, message| Some(Standing { line: None, account: None, obstacle: Some((obstacle, message)) });
        let spec = match &seen.spec {
            Ok(spec) => spec,
            Err(error) => {
                let message = format!(
                    "This object breaks a rule of its schema, so nothing is done for it: {error}. Correct that field, or delete the object (the line stays as it is)."
                );
                return hindered(Obstacle::InvalidSpec, message);
            }
        };
        if seen.meta.deletion_timestamp.is_some() {
            let message = "The object is being deleted; the line stays as it is. Something else keeps the object: see its finalizers.";
            return hindered(Obstacle::Deleting, message.to_owned());
        }
        let workspace = Key { namespace: key.namespace.clone(), name: spec.workspace_ref.name.clone() };
        let Some(account) = inner.workspaces.get(&workspace) else {
            let message = format!(
                "spec.workspaceRef names Workspace {:?}, and there is none of that name in namespace {:?}; create it there. The line stays as it is meanwhile.",
                workspace.name, workspace.namespace
            );
            return hindered(Obstacle::WorkspaceNotFound, message);
        };
        let line = match account.line(&spec.deployment_id) {
            Ok(line) => line,
            Err(message) => return hindered(Obstacle::InvalidSpec, message),
        };
        if let Some(other) = inner.other_owner(key, &line) {
            let whose = if other.namespace == key.namespace {
                format!("Deployment {:?}", other.name)
            } else {
                "a Deployment in another namespace".to_owned()
            };
            let message = format!(
                "{whose} is older and names the same line ({:?}), so it decides; delete one of the two. This one takes over when the other is gone.",
                spec.deployment_id
            );
            return hindered(Obstacle::NotOwner, message);
        }
        if !account.is_known() {
            return None;
        }
        Some(Standing { line: Some(line), account: Some(Arc::clone(account)), obstacle: account.obstacle() })
    }
}

impl Inner {
    /// The line that an object may own: it names one, in a Workspace that is there, and isn't being deleted.
    fn line_of(&self, key: &Key) -> Option<(LineId, Claimant)> {
        let (seen, _) = self.deployments.get(key)?;
        let spec = seen.spec.as_ref().ok().filter(|_| seen.meta.deletion_timestamp.is_none())?;
        let workspace = Key { namespace: key.namespace.clone(), name: spec.workspace_ref.name.clone() };
        let line = self.workspaces.get(&workspace)?.line(&spec.deployment_id).ok()?;
        Some((line, seen.claimant()))
    }

    /// The object that owns `line`, if it isn't `key`.
    fn other_owner(&self, key: &Key, line: &LineId) -> Option<&Key> {
        let named = self.by_id.get(line.deployment.as_str())?;
        let claims: Vec<_> = named
            .iter()
            .filter_map(|key| self.line_of(key).map(|(its, claimant)| (key, its, claimant)))
            .filter(|(_, its, _)| its == line)
            .collect();
        let uid = owner(claims.iter().map(|(_, _, claimant)| *claimant))?;
        claims.iter().find(|(its, _, claimant)| claimant.uid == uid && *its != key).map(|(its, _, _)| *its)
    }

    /// Has the Workspace of an object count its lines again.
    fn recount(&self, key: &Key, seen: &Seen) {
        if let Some(account) = seen.workspace(key).and_then(|workspace| self.workspaces.get(&workspace)) {
            account.recount();
        }
    }

    fn forget_id(&mut self, key: &Key, seen: &Seen) {
        let Ok(spec) = &seen.spec else { return };
        if let Some(keys) = self.by_id.get_mut(&spec.deployment_id) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_id.remove(&spec.deployment_id);
            }
        }
    }

    /// Wakes the other objects that name the same deployment id: who owns the line may have changed.
    fn poke_siblings(&self, key: &Key, seen: &Seen) {
        let Ok(spec) = &seen.spec else { return };
        let siblings = self.by_id.get(&spec.deployment_id).into_iter().flatten().filter(|its| *its != key);
        for (_, mailbox) in siblings.filter_map(|its| self.deployments.get(its)) {
            mailbox.signal(true);
        }
    }

    fn poke_workspace(&self, workspace: &Key) {
        for (key, (seen, mailbox)) in &self.deployments {
            let names_it = seen.spec.as_ref().is_ok_and(|spec| spec.workspace_ref.name == workspace.name);
            if names_it && key.namespace == workspace.namespace {
                mailbox.signal(true);
                self.poke_siblings(key, seen);
            }
        }
    }
}
