//! Records what the status of every `Deployment` of one namespace says, as a real API server tells it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::lock;
use crate::oracle::Claim;

/// How long after an error the watch tries again.
const RETRY: Duration = Duration::from_millis(100);

/// A watch that goes on until it is dropped, over API server restarts too.
pub struct Watch {
    seen: Arc<Seen>,
    watching: JoinHandle<()>,
}

struct Seen {
    claims: Mutex<Vec<Claim>>,
    grown: watch::Sender<usize>,
}

impl Watch {
    /// Starts watching. The Deployments that are there already give their first claim soon after.
    #[must_use]
    pub fn start(client: Client, namespace: &str) -> Self {
        let seen = Arc::new(Seen { claims: Mutex::new(Vec::new()), grown: watch::Sender::new(0) });
        let kind = GroupVersionKind::gvk("agents.sarvam.ai", "v1alpha1", "Deployment");
        let resource = ApiResource::from_gvk_with_plural(&kind, "deployments");
        let objects: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
        let watching = tokio::spawn(record(objects, Arc::clone(&seen)));
        Self { seen, watching }
    }

    /// The claims so far, in the order in which they were seen. One that says the same as the object's last is left out.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        self.seen.claims().clone()
    }

    /// Waits until `holds`, which is asked now and after every claim.
    ///
    /// # Errors
    /// It didn't hold within the limit; the error's text shows the last claims.
    pub async fn wait_until(&self, limit: Duration, mut holds: impl FnMut(&[Claim]) -> bool) -> Result<(), NotSeen> {
        let mut grown = self.seen.grown.subscribe();
        let held = async {
            while !holds(&self.seen.claims()) {
                // The sender lives as long as `self`, so this can't fail.
                let _ = grown.changed().await;
            }
        };
        tokio::time::timeout(limit, held).await.map_err(|_| {
            let claims = self.claims();
            let last = claims.len().saturating_sub(NotSeen::SHOWN);
            NotSeen { limit, last: claims[last..].to_vec() }
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Seen {
    fn claims(&self) -> MutexGuard<'_, Vec<Claim>> {
        lock(&self.claims)
    }

    fn add(&self, claim: Claim) {
        let mut claims = self.claims();
        let last = claims.iter().rfind(|known| known.uid == claim.uid);
        if !last.is_some_and(|last| last.says_what(&claim)) {
            claims.push(claim);
            self.grown.send_replace(claims.len());
        }
    }

    /// After a relist: objects that it didn't have are gone.
    fn keep_only(&self, listed: &[String]) {
        let mut uids: Vec<String> = self.claims().iter().map(|claim| claim.uid.clone()).collect();
        uids.sort_unstable();
        uids.dedup();
        for uid in uids.into_iter().filter(|uid| !listed.contains(uid)) {
            let last = self.claims().iter().rfind(|claim| claim.uid == uid).cloned();
            if let Some(last) = last {
                self.add(last.gone(now()));
            }
        }
    }
}

/// What was waited for wasn't seen.
#[derive(Debug)]
pub struct NotSeen {
    limit: Duration,
    last: Vec<Claim>,
}

impl NotSeen {
    /// How many of the last claims are shown.
    const SHOWN: usize = 10;
}

impl fmt::Display for NotSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not within {:?}; the last claims are", self.limit)?;
        self.last.iter().try_for_each(|claim| write!(f, "\n  {claim:?}"))
    }
}

impl std::error::Error for NotSeen {}

async fn record(objects: Api<DynamicObject>, seen: Arc<Seen>) {
    let mut events = watcher(objects, watcher::Config::default()).boxed();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(object)) => seen.add(claim(&object)),
            Ok(watcher::Event::Delete(object)) => seen.add(claim(&object).gone(now())),
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let claim = claim(&object);
                listed.push(claim.uid.clone());
                seen.add(claim);
            }
            Ok(watcher::Event::InitDone) => seen.keep_only(&listed),
            // The API server is away. A growing pause would see its first claims late.
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn claim(object: &DynamicObject) -> Claim {
    Claim::of(&json!(object), now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Ready;
    use serde_json::Value;

    fn object(uid: &str, generation: i64, status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "support-line", "uid": uid, "generation": generation},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn statuses_are_read() {
        let ready = |status: &str| json!({"conditions": [{"type": "Stalled", "status": "True"}, {"type": "Ready", "status": status}]});
        let cases = [
            (Value::Null, Ready::Absent),
            (json!({}), Ready::Absent),
            (json!({"conditions": []}), Ready::Absent),
            (ready("True"), Ready::True),
            (ready("False"), Ready::False),
            (ready("Unknown"), Ready::Unknown),
        ];
        for (status, expected) in cases {
            assert_eq!(claim(&object("u", 1, &status)).ready, expected, "{status}");
        }
        let whole = claim(&object("u", 3, &json!({"observedGeneration": 2, "remote": {"state": "Paused"}})));
        assert_eq!((whole.generation, whole.observed_generation), (3, Some(2)));
        assert_eq!(whole.state.as_deref(), Some("Paused"));
    }

    #[test]
    fn only_news_is_kept_and_a_relist_tells_who_is_gone() {
        let seen = Seen { claims: Mutex::new(Vec::new()), grown: watch::Sender::new(0) };
        let say = |uid, generation| seen.add(claim(&object(uid, generation, &json!({}))));
        say("a", 1);
        say("b", 1);
        say("a", 1);
        say("a", 2);
        seen.keep_only(&["a".to_owned()]);
        seen.keep_only(&["a".to_owned()]);
        let told: Vec<_> = seen.claims().iter().map(|c| (c.uid.clone(), c.generation, c.ready)).collect();
        let expected =
            [("a", 1, Ready::Absent), ("b", 1, Ready::Absent), ("a", 2, Ready::Absent), ("b", 1, Ready::Gone)];
        assert_eq!(told, expected.map(|(uid, generation, ready)| (uid.to_owned(), generation, ready)));
    }
}
