//! Everything that the remote knows: lines, keys, and what happened. One lock guards it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::call::{Call, Route};
use super::faults::{Effect, Faults};
use super::history::{Arrival, CallId, Entry, What};
use super::limits::Patch;
use super::line::{Line, LineState};
use super::switches::{RateLimit, Switches, UpdatedAt};
use crate::clock::{Wall, now};

/// How long old versions of a line are kept for reads that lag.
const LONGEST_LAG: Duration = Duration::from_mins(1);

/// What the remote knows, to look at while the simulator's lock is held.
pub struct State {
    pub(super) switches: Switches,
    pub(super) faults: Faults,
    wall: Wall,
    lines: BTreeMap<String, Stored>,
    keys: Vec<Key>,
    history: Vec<Entry>,
    calls: CallId,
    bucket: Bucket,
    grown: watch::Sender<usize>,
}

/// A line, what it was before, and who set its state last.
struct Stored {
    org: String,
    workspace: String,
    versions: Vec<Version>,
    state_set: StateSet,
}

/// A line from a moment on; `from: None` is ever since.
struct Version {
    from: Option<Instant>,
    line: Option<Line>,
}

/// Who set a line's state last, and when: kept apart from `updated_by`, which a switch can hold still.
#[derive(Debug, Clone)]
pub(super) struct StateSet {
    pub at: Timestamp,
    pub by: String,
}

/// A key ever known, so that the history can name one that was revoked. Not printable.
struct Key {
    org: String,
    workspace: String,
    name: String,
    text: String,
    valid: bool,
}

/// A change that a call makes, now or later.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Status(LineState),
    Update(Patch),
    Create(Box<Line>),
    Delete,
}

impl Change {
    /// The line after the change. `None` is a line that isn't there.
    pub(super) fn on(&self, line: Option<&Line>, by: &str, switches: &Switches, at: Timestamp) -> Option<Line> {
        let touched = |line: &mut Line| {
            line.updated_by = Some(by.to_owned());
            line.updated_at = at;
        };
        match self {
            Self::Create(line) => Some((**line).clone()),
            Self::Delete => None,
            Self::Status(state) => line.cloned().map(|mut line| {
                line.status = *state;
                if switches.updated_at == UpdatedAt::Moves {
                    touched(&mut line);
                }
                line
            }),
            Self::Update(patch) => line.cloned().map(|mut line| {
                patch.clone().write(&mut line, switches);
                touched(&mut line);
                line
            }),
        }
    }
}

impl State {
    pub(super) fn new(switches: Switches, wall: Timestamp) -> Self {
        Self {
            switches,
            wall: Wall::start_at(wall),
            faults: Faults::default(),
            lines: BTreeMap::new(),
            keys: Vec::new(),
            history: Vec::new(),
            calls: 0,
            bucket: Bucket::default(),
            grown: watch::Sender::new(0),
        }
    }

    /// What the wall shows at the remote.
    pub(super) fn wall(&self) -> Timestamp {
        self.wall.now()
    }

    /// Everything that happened so far, oldest first.
    #[must_use]
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// The line as it truly is, whatever reads show; `None` where there is none.
    #[must_use]
    pub fn line(&self, deployment_id: &str) -> Option<&Line> {
        self.lines.get(deployment_id)?.versions.last()?.line.as_ref()
    }

    /// How many calls on this route came in.
    #[must_use]
    pub fn calls(&self, route: Route) -> usize {
        let matches = |entry: &&Entry| matches!(&entry.what, What::Arrived(arrival) if route.covers(arrival.route));
        self.history.iter().filter(matches).count()
    }

    /// Told of every new entry.
    pub(super) fn grown(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    pub(super) fn record(&mut self, what: What) {
        self.history.push(Entry { at: now(), wall: self.wall(), what });
        self.grown.send_replace(self.history.len());
    }

    /// Numbers a call, writes it down, and picks the fault that it meets.
    pub(super) fn arrived(&mut self, call: &mut Call) -> Option<Effect> {
        self.calls += 1;
        call.id = self.calls;
        let key = self.key(call).map(|key| key.name.clone());
        self.record(What::Arrived(Arrival {
            call: call.id,
            route: call.route,
            org: call.org.clone(),
            workspace: call.workspace.clone(),
            line: call.line.clone(),
            action: call.action(),
            body: String::from_utf8_lossy(&call.body).into_owned(),
            key,
        }));
        self.faults.take(call.route, call.line.as_deref())
    }

    /// The key that a call carries, if it was ever known, one of the call's own workspace before another's.
    fn key(&self, call: &Call) -> Option<&Key> {
        let text = call.key.as_deref()?;
        let own = |key: &&Key| key.org == call.org && key.workspace == call.workspace;
        let known = || self.keys.iter().filter(|key| key.text == text);
        known().find(own).or_else(|| known().next())
    }

    /// The name of the call's key, where it is valid in the call's workspace.
    pub(super) fn valid_key(&self, call: &Call) -> Option<String> {
        let key = self.key(call)?;
        let here = key.org == call.org && key.workspace == call.workspace;
        (key.valid && here).then(|| key.name.clone())
    }

    pub(super) fn add_key(&mut self, org: &str, workspace: &str, name: &str, text: &str) {
        self.keys.retain(|key| !(key.org == org && key.workspace == workspace && key.text == text));
        self.keys.push(Key {
            org: org.to_owned(),
            workspace: workspace.to_owned(),
            name: name.to_owned(),
            text: text.to_owned(),
            valid: true,
        });
        self.record(What::Key { name: name.to_owned(), valid: true });
    }

    /// Returns whether there was a valid key of that name.
    pub(super) fn revoke_key(&mut self, name: &str) -> bool {
        let mut revoked = false;
        for key in self.keys.iter_mut().filter(|key| key.name == name) {
            revoked |= std::mem::replace(&mut key.valid, false);
        }
        if revoked {
            self.record(What::Key { name: name.to_owned(), valid: false });
        }
        revoked
    }

    /// Names of the valid keys, each once.
    pub(super) fn key_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.keys.iter().filter(|k| k.valid).map(|k| k.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The workspaces that have a line, as (organisation, workspace).
    pub(super) fn workspaces(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> =
            self.lines.values().map(|stored| (stored.org.clone(), stored.workspace.clone())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn add_line(&mut self, org: &str, workspace: &str, line: Line) {
        let id = line.deployment_id.clone();
        let entry =
            What::Dashboard { line: id.clone(), who: line.created_by.clone(), from: None, to: Some(line.status) };
        let stored = Stored {
            org: org.to_owned(),
            workspace: workspace.to_owned(),
            state_set: StateSet { at: self.wall(), by: line.created_by.clone() },
            versions: vec![Version { from: None, line: Some(line) }],
        };
        let before = self.lines.insert(id.clone(), stored);
        assert!(before.is_none(), "there is a line {id} already: ids are unique in one simulator");
        self.record(entry);
    }

    /// What a person at the dashboard does: sets the state, or with `None` removes the line. Returns whether the line is there.
    pub(super) fn dashboard(&mut self, id: &str, to: Option<LineState>, who: &str) -> bool {
        let Some(before) = self.line(id).cloned() else {
            return false;
        };
        let after = to.map(|status| Line {
            status,
            updated_by: Some(who.to_owned()),
            updated_at: self.wall(),
            ..before.clone()
        });
        self.put(id, after, who);
        self.record(What::Dashboard { line: id.to_owned(), who: who.to_owned(), from: Some(before.status), to });
        true
    }

    /// Puts another line in the place of the one with its id. Returns whether there was one.
    pub(super) fn replace(&mut self, line: Line, who: &str) -> bool {
        let (id, to) = (line.deployment_id.clone(), line.status);
        if !self.dashboard(&id, None, who) {
            return false;
        }
        self.put(&id, Some(line), who);
        self.record(What::Dashboard { line: id, who: who.to_owned(), from: None, to: Some(to) });
        true
    }

    /// Carries a call's change out. A line that went in the meantime stays gone.
    pub(super) fn apply(&mut self, change: &Change, call: &Call, line: &str, by: &str) {
        let before = self.line(line).cloned();
        if let Change::Create(_) = change {
            let stored = Stored {
                org: call.org.clone(),
                workspace: call.workspace.clone(),
                versions: Vec::new(),
                state_set: StateSet { at: self.wall(), by: by.to_owned() },
            };
            self.lines.entry(line.to_owned()).or_insert(stored);
        } else if before.is_none() {
            return;
        }
        let after = change.on(before.as_ref(), by, &self.switches, self.wall());
        let from = before.as_ref().map(|line| line.status);
        let to = after.as_ref().map(|line| line.status);
        self.put(line, after.clone(), by);
        self.record(What::Applied { call: call.id, line: line.to_owned(), from, to });
        self.configured(Some(call.id), before, after);
    }

    /// Writes down what changed of a line's configuration, if anything did.
    fn configured(&mut self, call: Option<CallId>, before: Option<Line>, after: Option<Line>) {
        let (Some(before), Some(after)) = (before, after) else { return };
        let changed = before.differs(&after);
        if !changed.is_empty() {
            let (line, state) = (after.deployment_id.clone(), after.status);
            let (before, after) = (Box::new(before), Box::new(after));
            self.record(What::Configured { line, call, state, changed, before, after });
        }
    }

    /// What a person at the dashboard does to a line's configuration. Returns whether the line is there.
    pub(super) fn configure(&mut self, id: &str, who: &str, change: impl FnOnce(&mut Line)) -> bool {
        let Some(before) = self.line(id).cloned() else {
            return false;
        };
        let mut after = before.clone();
        change(&mut after);
        after.status = before.status;
        after.updated_by = Some(who.to_owned());
        after.updated_at = self.wall();
        self.put(id, Some(after.clone()), who);
        self.configured(None, Some(before), Some(after));
        true
    }

    fn put(&mut self, id: &str, line: Option<Line>, by: &str) {
        let (now, wall) = (now(), self.wall());
        let Some(stored) = self.lines.get_mut(id) else {
            return;
        };
        let state = |version: &Version| version.line.as_ref().map(|line| line.status);
        if stored.versions.last().and_then(state) != line.as_ref().map(|line| line.status) {
            stored.state_set = StateSet { at: wall, by: by.to_owned() };
        }
        stored.versions.push(Version { from: Some(now), line });
        // The newest version that the longest lag can still see, and all after it.
        let shown = |version: &Version| version.from.is_none_or(|from| from + LONGEST_LAG <= now);
        let oldest = stored.versions.iter().rposition(shown).unwrap_or(0);
        stored.versions.drain(..oldest);
    }

    /// The line of this workspace as reads show it, `read_lag` ago.
    pub(super) fn shown(&self, org: &str, workspace: &str, id: &str) -> Option<&Line> {
        let stored = self.lines.get(id)?;
        let here = stored.org == org && stored.workspace == workspace;
        here.then(|| self.shown_version(stored)).flatten()
    }

    /// Every line of this workspace as reads show it.
    pub(super) fn shown_lines<'a>(&'a self, org: &'a str, workspace: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines
            .values()
            .filter(move |stored| stored.org == org && stored.workspace == workspace)
            .filter_map(|stored| self.shown_version(stored))
    }

    fn shown_version<'a>(&self, stored: &'a Stored) -> Option<&'a Line> {
        let lag = self.switches.read_lag.min(LONGEST_LAG);
        let now = now();
        let old_enough = |version: &&Version| version.from.is_none_or(|from| from + lag <= now);
        stored.versions.iter().rfind(old_enough)?.line.as_ref()
    }

    /// The line as it truly is, where it is of this workspace.
    pub(super) fn own(&self, org: &str, workspace: &str, id: &str) -> Option<&Line> {
        let stored = self.lines.get(id)?;
        let here = stored.org == org && stored.workspace == workspace;
        here.then(|| self.line(id)).flatten()
    }

    /// Whether there ever was a line of this id in this workspace.
    pub(super) fn ever(&self, org: &str, workspace: &str, id: &str) -> bool {
        let here = |stored: &Stored| stored.org == org && stored.workspace == workspace;
        self.lines.get(id).is_some_and(here)
    }

    /// Every line as it truly is, with its workspace and who set its state.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, &Line, &StateSet)> {
        self.lines.values().filter_map(|stored| {
            let line = stored.versions.last()?.line.as_ref()?;
            Some((stored.org.as_str(), stored.workspace.as_str(), line, &stored.state_set))
        })
    }

    /// Takes a token of the account's rate limit; the error is how long until there is one.
    pub(super) fn take_token(&mut self) -> Result<(), Duration> {
        match self.switches.rate_limit {
            None => Ok(()),
            Some(limit) => self.bucket.take(limit, now()),
        }
    }
}

/// Tokens of the rate limit; full at first.
#[derive(Default)]
struct Bucket(Option<(f64, Instant)>);

impl Bucket {
    fn take(&mut self, limit: RateLimit, now: Instant) -> Result<(), Duration> {
        let (tokens, counted) = self.0.unwrap_or((limit.burst, now));
        let since = now.duration_since(counted).as_secs_f64();
        let tokens = (tokens + since * limit.per_second).min(limit.burst);
        let (left, answer) = if tokens >= 1.0 {
            (tokens - 1.0, Ok(()))
        } else {
            let missing = (1.0 - tokens) / limit.per_second;
            (tokens, Err(Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX)))
        };
        self.0 = Some((left, now));
        answer
    }
}
