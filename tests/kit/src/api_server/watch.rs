//! Watches: what happened after a version, and then what happens.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use super::ApiServer;
use super::rules::Target;
use super::store::Happened;

/// How often a watch tells the version that it has come to, where the client wants that.
const BOOKMARKS: Duration = Duration::from_mins(1);

/// The longest a watch without a limit of its own stays open.
const LONGEST: Duration = Duration::from_mins(30);

/// What one client sees. Frozen, it is a server that lags behind: its watches, and lists that allow an older view
/// (`resourceVersion=0`), show nothing newer than a version. Reads that ask for the newest are not touched.
#[derive(Debug, Clone)]
pub struct View(Sender<Option<u64>>);

impl Default for View {
    fn default() -> Self {
        Self(Sender::new(None))
    }
}

impl View {
    /// Shows nothing newer than `version` from now on.
    pub fn freeze(&self, version: u64) {
        self.0.send_replace(Some(version));
    }

    /// Shows everything again.
    pub fn thaw(&self) {
        self.0.send_replace(None);
    }

    pub(super) fn limit(&self) -> u64 {
        self.0.borrow().unwrap_or(u64::MAX)
    }
}

/// A watch that is open.
pub struct Watch {
    server: ApiServer,
    view: View,
    target: Target,
    /// What is there at the start, where the client asked for that.
    first: VecDeque<Value>,
    /// Everything up to this version was told.
    position: u64,
    is_over: bool,
    ends_at: Instant,
    bookmark_at: Option<Instant>,
    grown: Receiver<u64>,
    thawed: Receiver<Option<u64>>,
}

impl Watch {
    pub(super) fn begin(server: ApiServer, view: View, target: Target) -> Self {
        let from = target.parameter("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let (mut first, mut position) = (VecDeque::new(), from);
        let store = server.store();
        let is_over = from != 0 && from < store.compacted();
        if is_over {
            let message = format!("too old resource version: {from} ({})", store.compacted());
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "Expired", "code": 410});
            first.push_back(json!({"type": "ERROR", "object": status}));
        }
        if from == 0 {
            position = view.limit().min(store.version());
            first =
                store.at(&target, position).iter().map(|object| json!({"type": "ADDED", "object": **object})).collect();
        }
        drop(store);
        let limit = target
            .parameter("timeoutSeconds")
            .and_then(|seconds| seconds.parse().ok())
            .map_or(LONGEST, Duration::from_secs);
        let bookmarks = target.parameter("allowWatchBookmarks") == Some("true");
        Self {
            grown: server.grown.subscribe(),
            thawed: view.0.subscribe(),
            ends_at: Instant::now() + limit,
            bookmark_at: bookmarks.then(|| Instant::now() + BOOKMARKS),
            is_over,
            server,
            view,
            target,
            first,
            position,
        }
    }

    /// The next event; `None`: the watch is over. A future that is dropped loses no event.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            self.grown.mark_unchanged();
            self.thawed.mark_unchanged();
            if let Some(event) = self.take() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            let bookmark_at = self.bookmark_at.unwrap_or(self.ends_at);
            tokio::select! {
                biased;
                _ = self.grown.changed() => {}
                _ = self.thawed.changed() => {}
                () = sleep_until(self.ends_at.min(bookmark_at)) => {
                    if self.ends_at <= bookmark_at {
                        return None;
                    }
                    self.bookmark_at = Some(Instant::now() + BOOKMARKS);
                    self.position = self.server.version().min(self.view.limit()).max(self.position);
                    return Some(self.bookmark());
                }
            }
        }
    }

    /// An event that is there already.
    fn take(&mut self) -> Option<Value> {
        if let Some(event) = self.first.pop_front() {
            return Some(event);
        }
        if self.is_over {
            return None;
        }
        let store = self.server.store();
        let limit = self.view.limit();
        let history = store.history();
        let start = history.partition_point(|change| change.version <= self.position);
        let news = history[start..].iter().take_while(|change| change.version <= limit);
        let mut ours =
            news.filter(|change| change.plural == self.target.kind.plural && self.target.covers(&change.object));
        let change = ours.next()?;
        self.position = change.version;
        let word = match change.happened {
            Happened::Added => "ADDED",
            Happened::Modified => "MODIFIED",
            Happened::Deleted => "DELETED",
        };
        Some(json!({"type": word, "object": *change.object}))
    }

    fn bookmark(&self) -> Value {
        let kind = &self.target.kind;
        let meta = json!({"resourceVersion": self.position.to_string()});
        json!({"type": "BOOKMARK", "object": {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}})
    }
}
