//! Every version of every object of a namespace, as a real API server tells of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{LIMIT, lock};

/// How long after an error the watch tries again.
const RETRY: Duration = Duration::from_millis(100);

/// The operator's kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Watches both kinds of a namespace until it is dropped, over API server restarts too.
pub struct Recorder {
    seen: Arc<Seen>,
    watching: [JoinHandle<()>; 2],
}

struct Seen {
    /// A version of an object; in the order in which they came.
    versions: Mutex<Vec<(Kind, Value)>>,
    /// The API server was away for a while: versions may be missing.
    has_gaps: AtomicBool,
    grown: watch::Sender<usize>,
}

impl Recorder {
    pub fn start(client: &Client, namespace: &str) -> Self {
        let seen = Arc::new(Seen {
            versions: Mutex::default(),
            has_gaps: AtomicBool::new(false),
            grown: watch::Sender::new(0),
        });
        let watching = [Kind::Deployment, Kind::Workspace].map(|kind| {
            let objects = Api::namespaced_with(client.clone(), namespace, &resource(kind));
            tokio::spawn(record(kind, objects, Arc::clone(&seen)))
        });
        Self { seen, watching }
    }

    /// Every version of every object.
    pub fn all(&self) -> Vec<Value> {
        lock(&self.seen.versions).iter().map(|(_, object)| object.clone()).collect()
    }

    /// Whether versions may be missing, because the API server was away.
    pub fn has_gaps(&self) -> bool {
        self.seen.has_gaps.load(Ordering::Relaxed)
    }

    /// Every version of the objects of this name.
    pub fn of(&self, kind: Kind, name: &str) -> Vec<Value> {
        let versions = lock(&self.seen.versions);
        versions.iter().filter(|version| is(version, kind, name)).map(|(_, object)| object.clone()).collect()
    }

    /// Waits until the newest version of an object is so, and returns it.
    pub async fn wait(&self, kind: Kind, name: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut grown = self.seen.grown.subscribe();
        let newest = || {
            let versions = lock(&self.seen.versions);
            versions.iter().rfind(|version| is(version, kind, name)).map(|(_, object)| object.clone())
        };
        let held = async {
            loop {
                if let Some(object) = newest().filter(&so) {
                    return object;
                }
                // The sender lives as long as `self`, so this can't fail.
                let _ = grown.changed().await;
            }
        };
        match tokio::time::timeout(LIMIT, held).await {
            Ok(object) => object,
            Err(_) => {
                let said: Vec<_> = self.of(kind, name).iter().map(verdict).collect();
                let now = newest().unwrap_or_default();
                panic!("{kind:?} {name} was not so within {LIMIT:?}: {what}\nit said {said:#?}\nand is {now:#}")
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
    }
}

fn is((of, object): &(Kind, Value), kind: Kind, name: &str) -> bool {
    *of == kind && object["metadata"]["name"] == name
}

async fn record(kind: Kind, objects: Api<DynamicObject>, seen: Arc<Seen>) {
    let mut events = watcher(objects, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                let mut object = object;
                object.managed_fields_mut().clear();
                let object = serde_json::to_value(object).expect("it came as JSON");
                let mut versions = lock(&seen.versions);
                versions.push((kind, object));
                seen.grown.send_replace(versions.len());
            }
            Ok(_) => {}
            Err(_) => {
                seen.has_gaps.store(true, Ordering::Relaxed);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
