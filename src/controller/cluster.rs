//! What this process knows of the API server, from its watches.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    census::{Census, Key},
    mailbox::Mailbox,
    seen::{Received, Seen},
    workspace::Account,
};
use crate::{
    api::{Lines, Workspace},
    core::{
        config::Connections,
        id::LineId,
        owner::{Claimant, owner},
        status::{Bar, Obstacle},
        step::Source,
    },
};

/// Where an object stands: which line is its own, and what hinders it.
pub struct Standing {
    /// The line that it owns.
    pub line: Option<LineId>,
    /// Its Workspace.
    pub account: Option<Arc<Account>>,
    /// What hinders it, where, and the way out.
    pub obstacle: Option<(Obstacle, String)>,
    /// What keeps its configuration from being carried out, where, and the way out.
    pub bar: Option<(Bar, String)>,
}

#[derive(Default)]
pub struct Cluster {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Both kinds have been listed.
    open: bool,
    workspaces: Census<Arc<Account>>,
    deployments: Census<(Arc<Seen>, Arc<Mailbox>)>,
    /// The objects that name each deployment id, in any workspace: one, where nobody makes a mistake.
    by_id: HashMap<Box<str>, Vec<Key>>,
    /// The objects that ask for each phone number: one, where nobody makes a mistake.
    by_number: HashMap<Box<str>, Vec<Key>>,
    /// How many objects name each Workspace, also one that isn't there.
    members: BTreeMap<Key, Members>,
}

#[derive(Default)]
struct Members {
    total: usize,
    /// How many of them claim to be as asked.
    ready: usize,
}

impl Cluster {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything has been listed: work may begin.
    pub fn open(&self) {
        let mut inner = self.inner();
        inner.open = true;
        inner.workspaces.values().for_each(|account| account.recount());
        inner.deployments.values().for_each(|(_, mailbox)| mailbox.signal(true));
    }

    /// Nothing new is begun any more: every line sees that.
    pub fn stop(&self) {
        let inner = self.inner();
        inner.workspaces.values().for_each(|account| account.close());
        inner.deployments.values().for_each(|(_, mailbox)| mailbox.signal(true));
    }

    /// The term is over: lets go of all lines at rest.
    pub fn dismiss(&self) {
        self.inner().deployments.values().for_each(|(_, mailbox)| mailbox.dismiss());
    }

    /// Takes a Workspace in, and returns its account where it is new.
    pub fn put_workspace(&self, workspace: Workspace) -> Option<Arc<Account>> {
        let key = Key::of(&workspace.metadata);
        let mut inner = self.inner();
        if let Some(account) = inner.workspaces.get(&key).filter(|account| account.uid() == workspace.metadata.uid) {
            if account.update(workspace) {
                inner.poke_workspace(&key);
            }
            inner.workspaces.mark(&key);
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
        self.inner().remove_workspace(key);
    }

    /// A new list of the Workspaces begins.
    pub fn list_workspaces(&self) {
        self.inner().workspaces.begin();
    }

    /// It is complete: what it had not is gone.
    pub fn listed_workspaces(&self) {
        let mut inner = self.inner();
        for key in inner.workspaces.missing() {
            inner.remove_workspace(&key);
        }
    }

    /// Takes an object in, and returns its mailbox where it is new.
    pub fn put_deployment(&self, key: &Key, received: Received, source: Source) -> Option<Arc<Mailbox>> {
        let mut inner = self.inner();
        let known = inner.deployments.get(key).cloned();
        if known.as_ref().is_some_and(|(seen, _)| received.is_old(seen, source)) {
            inner.deployments.mark(key);
            return None;
        }
        let (before, mailbox) = known.unzip();
        let (seen, status) = received.split(source);
        let is_new = mailbox.is_none();
        let mailbox = mailbox.unwrap_or_default();
        let seen = Arc::new(seen);
        let replaced = before.as_ref().map(|before| before.uid()).filter(|uid| *uid != seen.uid());
        let changed = before.as_ref().is_none_or(|before| before.is_another_than(&seen));
        mailbox.put(Arc::clone(&seen), status, source, replaced, changed);
        inner.replace(key, before.as_deref(), Some((&seen, &mailbox)));
        if changed {
            inner.poke_siblings(key, &seen);
            if let Some(before) = before.as_deref().filter(|before| indexed(before) != indexed(&seen)) {
                inner.poke_siblings(key, before);
            }
        }
        mailbox.signal(changed);
        is_new.then_some(mailbox)
    }

    /// Keeps what the API server answered to a write of ours, where nothing newer has come since.
    pub fn written(&self, key: &Key, seen: &Arc<Seen>) {
        let mut inner = self.inner();
        let Some((before, mailbox)) = inner.deployments.get(key).cloned() else { return };
        if before.uid() == seen.uid() && before.version() < seen.version() {
            inner.replace(key, Some(&before), Some((seen, &mailbox)));
        }
    }

    pub fn remove_deployment(&self, key: &Key) {
        self.inner().remove_deployment(key);
    }

    /// A new list of the Deployments begins.
    pub fn list_deployments(&self) {
        self.inner().deployments.begin();
    }

    /// It is complete: what it had not is gone.
    pub fn listed_deployments(&self) {
        let mut inner = self.inner();
        for key in inner.deployments.missing() {
            inner.remove_deployment(&key);
        }
    }

    /// Wakes every object of a Workspace.
    pub fn poke_workspace(&self, key: &Key) {
        self.inner().poke_workspace(key);
    }

    /// How many objects name a Workspace, and how many of them are Ready; `None`: not everything has been listed yet.
    pub fn lines(&self, workspace: &Key) -> Option<Lines> {
        let inner = self.inner();
        let (total, ready) = inner.members.get(workspace).map_or((0, 0), |of_it| (of_it.total, of_it.ready));
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        inner.open.then(|| Lines { total: count(total), as_asked: count(ready) })
    }

    /// Whether any object names a line.
    pub fn is_managed(&self, line: &LineId) -> bool {
        let inner = self.inner();
        let mut named = inner.by_id.get(line.deployment.as_str()).into_iter().flatten();
        named.any(|key| inner.line_of(key).is_some_and(|(its, _)| its == *line))
    }

    /// Where the object `key` stands; `None`: it isn't known (any more), or not enough is known yet.
    pub fn standing(&self, key: &Key) -> Option<Standing> {
        let inner = self.inner();
        let (seen, _) = inner.deployments.get(key).filter(|_| inner.open)?;
        let hindered = |obstacle, message| {
            Some(Standing { line: None, account: None, obstacle: Some((obstacle, message)), bar: None })
        };
        let spec = match &seen.spec {
            Ok(spec) => spec,
            Err(error) => {
                let message = format!(
                    "This object breaks a rule of its schema, so nothing is done for it: {error}. Correct that field, or delete the object (the line stays as it is)."
                );
                return hindered(Obstacle::InvalidSpec, message);
            }
        };
        if seen.is_deleting {
            let message = "The object is being deleted; the line stays as it is. Something else keeps the object: see its finalizers.";
            return hindered(Obstacle::Deleting, message.to_owned());
        }
        let workspace = key.beside(&spec.workspace);
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
            let whose = named_to(key, other);
            let message = format!(
                "{whose} is older and names the same line ({:?}), so it decides; delete one of the two. This one takes over when the other is gone.",
                spec.deployment_id
            );
            return hindered(Obstacle::NotOwner, message);
        }
        if !account.is_known() {
            return None;
        }
        let (obstacle, bar) = (account.obstacle(), inner.bar(key, seen));
        Some(Standing { line: Some(line), account: Some(Arc::clone(account)), obstacle, bar })
    }
}

impl Inner {
    fn remove_workspace(&mut self, key: &Key) {
        if let Some(account) = self.workspaces.remove(key) {
            account.close();
            self.poke_workspace(key);
        }
    }

    fn remove_deployment(&mut self, key: &Key) {
        let Some((seen, mailbox)) = self.deployments.get(key).cloned() else { return };
        self.replace(key, Some(&seen), None);
        mailbox.put_deletion(seen.uid());
        mailbox.signal(true);
        self.poke_siblings(key, &seen);
    }

    /// The line that an object may own: it names one, in a Workspace that is there, and isn't being deleted.
    fn line_of(&self, key: &Key) -> Option<(LineId, Claimant)> {
        let (seen, _) = self.deployments.get(key)?;
        let spec = seen.spec.as_ref().ok().filter(|_| !seen.is_deleting)?;
        let line = self.workspaces.get(&key.beside(&spec.workspace))?.line(&spec.deployment_id).ok()?;
        Some((line, seen.claimant()))
    }

    /// The object that owns `line`, if it isn't `key`.
    fn other_owner(&self, key: &Key, line: &LineId) -> Option<&Key> {
        let named = self.by_id.get(line.deployment.as_str())?;
        self.older(key, named, |its| its == line)
    }

    /// The oldest of these objects whose line is one of those, if it isn't `key`.
    fn older<'a>(&self, key: &Key, named: &'a [Key], is_one: impl Fn(&LineId) -> bool) -> Option<&'a Key> {
        if named.len() < 2 {
            return None;
        }
        let claims: Vec<_> = named
            .iter()
            .filter_map(|key| self.line_of(key).map(|(its, claimant)| (key, its, claimant)))
            .filter(|(_, its, _)| is_one(its))
            .collect();
        let uid = owner(claims.iter().map(|(_, _, claimant)| *claimant))?;
        claims.iter().find(|(its, _, claimant)| claimant.uid == uid && *its != key).map(|(its, _, _)| *its)
    }

    /// What keeps the configuration of an object from being carried out.
    fn bar(&self, key: &Key, seen: &Seen) -> Option<(Bar, String)> {
        if let Err(message) = &seen.managed {
            return Some((Bar::InvalidConfig, format!("{message}. Until then the configuration stays as it is.")));
        }
        numbers(seen).into_iter().find_map(|number| {
            let other = self.older(key, self.by_number.get(number)?, |_| true)?;
            let whose = named_to(key, other);
            let message = format!(
                "spec.connections: {whose} is older and asks for {number} too, and a number leads to one line only. Remove it from one of the two; until then the configuration stays as it is."
            );
            Some((Bar::NumberTaken, message))
        })
    }

    /// Puts an object in the place of what was known under its key, in every index, and has its Workspace count its lines
    /// again where that changes a count.
    fn replace(&mut self, key: &Key, before: Option<&Seen>, after: Option<(&Arc<Seen>, &Arc<Mailbox>)>) {
        // The key as it is kept already: what a name takes, it takes once.
        let key = self.deployments.key(key);
        let seen = after.map(|(seen, _)| &**seen);
        if let (Some(before), Some(seen)) = (before, seen)
            && indexed(before) == indexed(seen)
        {
            self.count_again(&key, before, seen);
        } else {
            if let Some(before) = before {
                self.strike(&key, before);
            }
            if let Some(seen) = seen {
                self.enlist(&key, seen);
            }
        }
        match after {
            Some((seen, mailbox)) => drop(self.deployments.insert(key, (Arc::clone(seen), Arc::clone(mailbox)))),
            None => drop(self.deployments.remove(&key)),
        }
    }

    /// An object claims otherwise than before, perhaps.
    fn count_again(&mut self, key: &Key, before: &Seen, seen: &Seen) {
        if let Some((_, workspace)) = names(seen).filter(|_| before.claims() != seen.claims()) {
            let workspace = key.beside(workspace);
            self.recount(&workspace);
            let members = self.members.entry(workspace).or_default();
            members.ready = members.ready - usize::from(before.claims()) + usize::from(seen.claims());
        }
    }

    fn enlist(&mut self, key: &Key, seen: &Seen) {
        let Some((id, workspace)) = names(seen) else { return };
        self.by_id.entry(id.into()).or_insert_with(|| Vec::with_capacity(1)).push(key.clone());
        for number in numbers(seen) {
            self.by_number.entry(number.into()).or_default().push(key.clone());
        }
        let workspace = key.beside(workspace);
        self.recount(&workspace);
        let members = self.members.entry(workspace).or_default();
        members.total += 1;
        members.ready += usize::from(seen.claims());
    }

    fn strike(&mut self, key: &Key, seen: &Seen) {
        let Some((id, workspace)) = names(seen) else { return };
        forget(&mut self.by_id, id, key);
        for number in numbers(seen) {
            forget(&mut self.by_number, number, key);
        }
        let workspace = key.beside(workspace);
        self.recount(&workspace);
        if let Some(members) = self.members.get_mut(&workspace) {
            members.total -= 1;
            members.ready -= usize::from(seen.claims());
            if members.total == 0 {
                self.members.remove(&workspace);
            }
        }
    }

    /// Has a Workspace count its lines again.
    fn recount(&self, workspace: &Key) {
        if let Some(account) = self.workspaces.get(workspace) {
            account.recount();
        }
    }

    /// Wakes the other objects that name the same deployment id or phone number: who owns it may have changed.
    fn poke_siblings(&self, key: &Key, seen: &Seen) {
        let Some((id, _)) = names(seen) else { return };
        let numbers = numbers(seen);
        let by_number = numbers.iter().filter_map(|number| self.by_number.get(*number));
        let siblings = self.by_id.get(id).into_iter().chain(by_number).flatten().filter(|its| *its != key);
        for (_, mailbox) in siblings.filter_map(|its| self.deployments.get(its)) {
            mailbox.signal(true);
        }
    }

    fn poke_workspace(&self, workspace: &Key) {
        let named = |seen: &Seen| names(seen).is_some_and(|(_, its)| *its == *workspace.name);
        for (key, (seen, mailbox)) in self.deployments.of(&workspace.namespace).filter(|(_, (seen, _))| named(seen)) {
            mailbox.signal(true);
            self.poke_siblings(key, seen);
        }
    }
}

/// The deployment id and the Workspace that an object names.
fn names(seen: &Seen) -> Option<(&str, &str)> {
    let spec = seen.spec.as_ref().ok()?;
    Some((&spec.deployment_id, &spec.workspace))
}

/// The connections that an object asks for.
fn connections(seen: &Seen) -> Option<&Connections> {
    seen.managed.as_ref().ok()?.connections.as_ref()
}

/// The phone numbers that an object asks for.
fn numbers(seen: &Seen) -> Vec<&str> {
    connections(seen).map(Connections::numbers).unwrap_or_default()
}

/// Takes an object out of an index.
fn forget(index: &mut HashMap<Box<str>, Vec<Key>>, name: &str, key: &Key) {
    if let Some(keys) = index.get_mut(name) {
        keys.retain(|named| named != key);
        if keys.is_empty() {
            index.remove(name);
        }
    }
}

/// What the owner of `key` may know of another object.
fn named_to(key: &Key, other: &Key) -> String {
    if other.namespace == key.namespace {
        format!("Deployment {:?}", other.name)
    } else {
        "a Deployment in another namespace".to_owned()
    }
}

/// What the indexes know an object by.
fn indexed(seen: &Seen) -> (Option<(&str, &str)>, Option<&Connections>) {
    (names(seen), connections(seen))
}
