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

/// How long after an Event the same is a repeat of it.
const REPEATS: Duration = Duration::from_mins(6);

/// How many Events are remembered to count their repeats.
const REMEMBERED: usize = 100;

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
        let key = fingerprint(event);
        let (now, time) = (Instant::now(), MicroTime(Timestamp::now()));
        // Where this fails, the next is a first again: the API server keeps none for ever.
        let before = self.written().remove(&key).filter(|series| now < series.last + REPEATS);
        let (request, series) = if let Some(series) = before {
            let series = Series { count: series.count.saturating_add(1), last: now, ..series };
            let patch = json!({"series": EventSeries { count: series.count, last_observed_time: time }});
            (events.patch(&series.name, &PatchParams::default(), &Patch::Merge(patch)), series)
        } else {
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
            (events.create(&PostParams::default(), body), Series { name, count: 1, last: now })
        };
        self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await?;
        let mut written = self.written();
        if written.len() == REMEMBERED {
            written.clear();
        }
        written.insert(key, series);
        Ok(())
    }
}
