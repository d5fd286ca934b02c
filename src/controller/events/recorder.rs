//! Writes Events of `events.k8s.io/v1`, and counts on each how often it came again.
//!
//! kube's own recorder takes what has another note for a repeat, and the first note stays. It also copies each Event several times, reads
//! the API server's answer back into types, and goes through all Events of six minutes for each.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::EventSeries},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
    core::Request,
};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::http::pool::Patience;

/// How long after an Event the same is a repeat of it.
const REPEATS: Duration = Duration::from_mins(6);

/// How many Events are remembered to count their repeats.
const REMEMBERED: usize = 100;

/// An Event is sent as its status is. Where edits are rare there is one open connection to the API server, and no other is opened for this.
const PATIENCE: Patience = Patience(Duration::from_millis(100));

/// What reports all Events.
const CONTROLLER: &str = "sarvam-operator";

/// An Event to be written.
pub struct Event {
    /// The object that it is about.
    pub regarding: ObjectReference,
    /// A word in CamelCase.
    pub reason: String,
    /// A sentence for people, of at most 1024 bytes.
    pub note: String,
    /// Whether something is wrong.
    pub is_warning: bool,
}

/// Writes the Events of one process.
pub struct Recorder {
    client: Client,
    instance: String,
    /// Known by their [`fingerprint`]s.
    written: Mutex<HashMap<u64, Series>>,
}

/// An Event and its repeats.
struct Series {
    name: String,
    count: i32,
    last: Instant,
}

/// All that an Event says but the time, in a number.
fn fingerprint(Event { regarding, reason, note, is_warning }: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&regarding.uid, reason, note, is_warning).hash(&mut hasher);
    hasher.finish()
}

/// The first of a series, as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct First<'a> {
    metadata: Meta<'a>,
    #[serde(rename = "type")]
    type_: &'static str,
    reason: &'a str,
    action: &'a str,
    note: &'a str,
    event_time: MicroTime,
    regarding: &'a ObjectReference,
    reporting_controller: &'static str,
    reporting_instance: &'a str,
}

#[derive(Serialize)]
struct Meta<'a> {
    name: &'a str,
    namespace: &'a str,
}

impl Recorder {
    /// Of the process named `instance`.
    pub fn new(client: Client, instance: String) -> Self {
        Self { client, instance, written: Mutex::default() }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<u64, Series>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an Event, or counts it where the same was written a short time ago.
    pub async fn publish(&self, event: &Event) -> kube::Result<()> {
        let Event { regarding, reason, note, is_warning } = event;
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        let events = Request::new(format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"));
        let (key, now, time) = (fingerprint(event), Instant::now(), MicroTime(Timestamp::now()));
        if let Some((name, count)) = self.count(key, now) {
            let patch = json!({"series": EventSeries { count, last_observed_time: time }});
            let written = self.send(events.patch(&name, &PatchParams::default(), &Patch::Merge(patch))).await;
            if matches!(&written, Err(kube::Error::Api(status)) if status.code == 404) {
                // The API server keeps none for ever: the next is a first again.
                self.written().remove(&key);
            }
            return written;
        }
        let of = regarding.name.as_deref().unwrap_or_default();
        let name = format!("{of}.{:x}", time.0.as_nanosecond());
        let first = First {
            metadata: Meta { name: &name, namespace },
            type_: if *is_warning { "Warning" } else { "Normal" },
            reason,
            action: reason,
            note,
            event_time: time,
            regarding,
            reporting_controller: CONTROLLER,
            reporting_instance: &self.instance,
        };
        let body = serde_json::to_vec(&first).map_err(kube::Error::SerdeError)?;
        self.send(events.create(&PostParams::default(), body)).await?;
        let mut written = self.written();
        if written.len() == REMEMBERED {
            written.clear();
        }
        written.insert(key, Series { name, count: 1, last: now });
        Ok(())
    }

    /// Counts an Event once more; its name, and how often it came. `None`: it has not been written lately.
    fn count(&self, key: u64, now: Instant) -> Option<(String, i32)> {
        let mut written = self.written();
        let series = written.get_mut(&key).filter(|series| now < series.last + REPEATS)?;
        series.count = series.count.saturating_add(1);
        series.last = now;
        Some((series.name.clone(), series.count))
    }

    async fn send(&self, request: Result<hyper::Request<Vec<u8>>, kube::core::request::Error>) -> kube::Result<()> {
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        request.extensions_mut().insert(PATIENCE);
        self.client.request_text(request).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        convert::Infallible,
        future::{Ready, ready},
        sync::Arc,
        task::{Context, Poll},
    };

    use hyper::{Method, Request, Response};
    use kube::client::Body;
    use tokio::time::advance;
    use tower_service::Service;

    use super::*;

    #[derive(Clone, Default)]
    struct ApiServer(Arc<Mutex<Played>>);

    #[derive(Default)]
    struct Played {
        /// The HTTP status that it answers all requests with.
        answer: u16,
        /// The method and the last part of the path of each.
        asked: Vec<(Method, String)>,
    }

    impl Service<Request<Body>> for ApiServer {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            assert!(request.extensions().get::<Patience>().is_some());
            let mut played = self.0.lock().unwrap();
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            played.asked.push((request.method().clone(), name));
            let answer =
                json!({"kind": "Status", "status": "Failure", "code": played.answer, "message": "", "reason": ""});
            ready(Ok(Response::builder()
                .status(played.answer)
                .body(Body::from(answer.to_string().into_bytes()))
                .unwrap()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_again_soon_is_counted() {
        let (post, patch) = (Method::POST, Method::PATCH);
        // The note, how long after the one before, the API server's answer, and what was asked.
        let table = [
            ("a", Duration::ZERO, 500, &post),
            ("a", Duration::ZERO, 201, &post),
            ("a", Duration::ZERO, 200, &patch),
            ("b", Duration::ZERO, 201, &post),
            ("a", REPEATS / 2, 200, &patch),
            ("a", REPEATS / 2, 500, &patch),
            ("a", REPEATS / 2, 404, &patch),
            ("a", Duration::ZERO, 201, &post),
            ("b", Duration::ZERO, 201, &post),
            ("a", REPEATS, 201, &post),
        ];
        let server = ApiServer::default();
        let recorder = Recorder::new(Client::new(server.clone(), "default"), "test".to_owned());
        for (row, (note, after, answer, asked)) in table.into_iter().enumerate() {
            advance(after).await;
            server.0.lock().unwrap().answer = answer;
            let event = Event {
                regarding: ObjectReference { uid: Some("7".to_owned()), ..ObjectReference::default() },
                reason: "Paused".to_owned(),
                note: note.to_owned(),
                is_warning: false,
            };
            assert_eq!(recorder.publish(&event).await.is_ok(), answer < 300, "{row}");
            assert_eq!(server.0.lock().unwrap().asked.last().map(|(method, _)| method), Some(asked), "{row}");
        }
        let asked = &server.0.lock().unwrap().asked;
        let patched: HashSet<_> = asked.iter().filter(|(method, _)| *method == patch).map(|(_, name)| name).collect();
        assert_eq!(patched.len(), 1, "all repeats of one Event count it up: {asked:?}");
    }
}
