//! An API server in this process, for tests on paused time: what of Kubernetes an operator meets, and no more.
//!
//! It keeps the kinds of the CRDs that it is given, Secrets, Leases and Events. Its time is the runtime's. It knows versions, uids,
//! generations, preconditions, defaults, finalizers, the status subresource, merge patches, applies by one manager, and watches with
//! bookmarks, time limits and compaction. It validates nothing, and everybody may do everything. `tests/api_server.rs` sends the same requests to it
//! and to a real one and compares the answers.

mod rules;
mod store;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard};

use hyper::{Method, Uri};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch::Sender;

pub use rules::Kind;
pub use store::{Change, Happened};
pub use watch::{View, Watch};

use crate::lock;

use rules::Target;
use store::{Refused, Store};

/// An API server. Clones share it.
#[derive(Clone)]
pub struct ApiServer {
    kinds: Arc<Vec<Kind>>,
    store: Arc<Mutex<Store>>,
    /// The newest version.
    grown: Sender<u64>,
}

/// What a request is answered with.
pub enum Answer {
    /// An HTTP status and a whole body.
    Whole(u16, Value),
    /// A stream of events.
    Watch(Box<Watch>),
}

impl ApiServer {
    /// A server without objects, whose wall shows `wall` now.
    #[must_use]
    pub fn new(kinds: Arc<Vec<Kind>>, wall: Timestamp) -> Self {
        let store = Store::new(wall);
        Self { kinds, grown: Sender::new(store.version()), store: Arc::new(Mutex::new(store)) }
    }

    /// Answers a request as it is seen through `view`.
    #[must_use]
    pub fn request(&self, view: &View, method: &Method, uri: &Uri, body: &[u8]) -> Answer {
        match self.try_request(view, method, uri, body) {
            Ok(answer) => answer,
            Err(Refused { code, reason, message }) => Answer::Whole(
                code,
                json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "code": code, "reason": reason, "message": message,
                }),
            ),
        }
    }

    fn try_request(&self, view: &View, method: &Method, uri: &Uri, body: &[u8]) -> Result<Answer, Refused> {
        let target = Target::parse(&self.kinds, uri)
            .ok_or_else(|| Refused::not_found("the server could not find the requested resource"))?;
        let body = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| Refused::new(400, "BadRequest", error.to_string()))?,
        };
        if method == Method::GET && target.name.is_none() && target.is_watch() {
            return Ok(Answer::Watch(Box::new(Watch::begin(self.clone(), view.clone(), target))));
        }
        let mut store = self.store();
        let (code, answer) = match (method, target.name.is_some()) {
            (&Method::GET, true) => (200, store.get(&target)?),
            (&Method::GET, false) => (200, store.list(&target, view.limit())),
            (&Method::POST, false) => (201, store.create(&target, body)?),
            (&Method::PUT, true) => store.update(&target, body)?,
            (&Method::PATCH, true) => store.patch(&target, &body)?,
            (&Method::DELETE, true) => (200, store.delete(&target, &body)?),
            _ => {
                return Err(Refused::new(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                ));
            }
        };
        let version = store.version();
        self.grown.send_if_modified(|known| std::mem::replace(known, version) != version);
        Ok(Answer::Whole(code, answer))
    }

    /// Forgets what happened before now, as etcd's compaction does: a watch that would begin before gets 410 Gone.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// The newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.store().version()
    }

    /// Everything that happened, oldest first, whatever was compacted.
    #[must_use]
    pub fn history(&self) -> Vec<Change> {
        self.store().history().to_vec()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}
