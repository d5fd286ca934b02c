//! Every version of every object of a namespace, as a real API server tells of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use sarvam_testkit::lock;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::LIMIT;

/// How long after an error the watch tries again.
const RETRY: Duration = Duration::from_millis(100);

/// The operator's kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One line.
    Deployment,
    /// One remote workspace.
    Workspace,
}

/// Where the API server serves a kind.
pub fn resource(kind: Kind) -> ApiResource {
    let (kind, plural) = match kind {
        Kind::Deployment => ("Deployment", "deployments"),
        Kind::Workspace => ("Workspace", "workspaces"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agents.sarvam.ai", "v1alpha1", kind), plural)
}

/// What the conditions of an object say of its newest generation: the status of Ready, the condition beside it or `-`,
/// and the reason. `stale` while they speak of an older generation.
pub fn verdict(object: &Value) -> String {
    let status = &object["status"];
    if status["observedGeneration"] != object["metadata"]["generation"] {
        return "stale".to_owned();
    }
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let find = |type_: &str| conditions.iter().find(|condition| condition["type"] == type_);
    let Some(ready) = find("Ready") else { return "nothing".to_owned() };
    let progress = ["Reconciling", "Stalled"].into_iter().find(|type_| find(type_).is_some()).unwrap_or("-");
    let word = |field: &str| ready[field].as_str().unwrap_or_default();
    format!("{} {progress} {}", word("status"), word("reason"))
}

/// The message of Ready, which an object of ours tells first.
pub fn ready_message(object: &Value) -> &str {
    object["status"]["conditions"][0]["message"].as_str().unwrap_or_default()
}

/// How often an Event has come.
pub fn occurrences(event: &Value) -> i64 {
    event["series"]["count"].as_i64().unwrap_or(1)
}

/// Watches both kinds of a namespace until it is dropped, over API server restarts too.
pub struct Recorder {
    seen: Arc<Seen>,
    watching: [JoinHandle<()>; 2],
}

struct Seen {
    /// The versions of the objects of each name, in the order in which they came.
    versions: Mutex<BTreeMap<(Kind, String), Vec<Value>>>,
    /// The API server was away for a while: versions may be missing.
    has_gaps: AtomicBool,
    grown: watch::Sender<()>,
}

impl Recorder {
    pub fn start(client: &Client, namespace: &str) -> Self {
        let seen = Arc::new(Seen {
            versions: Mutex::default(),
            has_gaps: AtomicBool::new(false),
            grown: watch::Sender::new(()),
        });
        let watching = [Kind::Deployment, Kind::Workspace].map(|kind| {
            let objects = Api::namespaced_with(client.clone(), namespace, &resource(kind));
            tokio::spawn(record(kind, objects, Arc::clone(&seen)))
        });
        Self { seen, watching }
    }

    /// Every version of every object.
    pub fn all(&self) -> Vec<Value> {
        lock(&self.seen.versions).values().flatten().cloned().collect()
    }

    /// Whether versions may be missing, because the API server was away.
    pub fn has_gaps(&self) -> bool {
        self.seen.has_gaps.load(Ordering::Relaxed)
    }

    /// Every version of the objects of this name.
    pub fn of(&self, kind: Kind, name: &str) -> Vec<Value> {
        lock(&self.seen.versions).get(&(kind, name.to_owned())).cloned().unwrap_or_default()
    }

    /// Waits until the newest version of an object is so, and returns it.
    pub async fn wait(&self, kind: Kind, name: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut grown = self.seen.grown.subscribe();
        let key = (kind, name.to_owned());
        let newer_than = |known: usize| {
            let versions = lock(&self.seen.versions);
            let mine = versions.get(&key).filter(|mine| mine.len() > known)?;
            Some((mine.len(), mine.last()?.clone()))
        };
        let held = async {
            let mut known = 0;
            loop {
                if let Some((count, object)) = newer_than(known) {
                    known = count;
                    if so(&object) {
                        return object;
                    }
                }
                // The sender lives as long as `self`, so this can't fail.
                let _ = grown.changed().await;
            }
        };
        tokio::time::timeout(LIMIT, held).await.unwrap_or_else(|_| {
            let said: Vec<_> = self.of(kind, name).iter().map(verdict).collect();
            let now = self.of(kind, name).pop().unwrap_or_default();
            panic!("{kind:?} {name} was not so within {LIMIT:?}: {what}\nit said {said:#?}\nand is {now:#}")
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
    }
}

async fn record(kind: Kind, objects: Api<DynamicObject>, seen: Arc<Seen>) {
    let mut events = watcher(objects, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                let mut object = object;
                object.managed_fields_mut().clear();
                let name = object.name_any();
                let object = serde_json::to_value(object).expect("it came as JSON");
                lock(&seen.versions).entry((kind, name)).or_default().push(object);
                seen.grown.send_replace(());
            }
            Ok(_) => {}
            Err(_) => {
                seen.has_gaps.store(true, Ordering::Relaxed);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
